//! File shape to checked configuration. Nothing stops at the first mistake: every check that can still be made is
//! made, and all refusals are returned at once.

mod archive;
mod camera;
pub(crate) mod central;
mod document;
mod node;
mod outward;
mod places;
mod relay;
mod retention;
pub(crate) mod section;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::central::CentralTopology;
use crate::checked::{Config, NodeConfig};
use crate::env::Env;
use crate::finding::{Refusals, Warning};
use crate::limits;
use crate::topology::Topology;
use document::Document;
use section::{Findings, Renamed, Section, Spot};

pub(crate) use camera::COLUMNS;

/// Keys that once had another name. A row stays for as long as files with the old name may be around.
const RENAMED: &[Renamed] = &[];

/// What a load starts from.
pub(crate) struct Source<'a> {
    /// The main file.
    pub path: &'a Path,
    /// Its text; read from the file when absent.
    pub text: Option<&'a str>,
    /// A file to leave out, because it is about to be written anew.
    pub without: Option<&'a Path>,
    /// Sections from elsewhere (CSV rows).
    pub extra: Vec<Section>,
    /// Where `env:` secrets come from.
    pub env: &'a dyn Env,
    /// Places and cameras of the node's centre, in force instead of the files'.
    pub central: Option<&'a CentralTopology>,
}

/// See [`Config::load`].
pub(crate) fn load(path: &Path, env: &dyn Env) -> Result<(Config, Vec<Warning>), Refusals> {
    let source = Source { path, text: None, without: None, extra: Vec::new(), env, central: None };
    run(source, Findings::default(), RENAMED)
}

/// See [`Config::load_central`].
pub(crate) fn load_central(
    path: &Path,
    env: &dyn Env,
    central: &CentralTopology,
) -> Result<(Config, Vec<Warning>), Refusals> {
    let source = Source { path, text: None, without: None, extra: Vec::new(), env, central: Some(central) };
    run(source, Findings::default(), RENAMED)
}

/// See [`Config::parse`].
pub(crate) fn parse(text: &str, path: &Path, env: &dyn Env) -> Result<(Config, Vec<Warning>), Refusals> {
    let source = Source { path, text: Some(text), without: None, extra: Vec::new(), env, central: None };
    run(source, Findings::default(), RENAMED)
}

/// Checks a configuration together with sections from elsewhere and what was already found in them.
pub(crate) fn load_with(source: Source<'_>, out: Findings) -> Result<(Config, Vec<Warning>), Refusals> {
    run(source, out, RENAMED)
}

/// Path of the key that opens `enc:` secrets, from a configuration that need not be valid otherwise.
///
/// # Errors
/// What is wrong with the file as TOML or with its `[node]`.
pub fn secret_key_path(path: &Path) -> Result<PathBuf, Refusals> {
    node_alone(path).map(|node| node.secret_key)
}

/// Folder of what the node keeps, from a configuration that need not be valid otherwise.
///
/// # Errors
/// As [`secret_key_path`].
pub fn data_folder(path: &Path) -> Result<PathBuf, Refusals> {
    node_alone(path).map(|node| node.data)
}

/// `[node]` alone.
fn node_alone(path: &Path) -> Result<NodeConfig, Refusals> {
    let mut out = Findings::default();
    let base = folder(path);
    let mut files = Files::new(None);
    let Document { mut singles, unread, .. } = files.gather(path, None, &mut out);
    if unread {
        return Err(out.0);
    }
    let node = node::node(single(&mut singles, "node", &root(path), &mut out), &base, &mut out);
    node.ok_or(out.0)
}

/// The text of the main file and of everything that it includes, as far as they can be read.
pub(crate) fn gather_texts(path: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Files::new(None);
    files.texts = Some(Vec::new());
    files.gather(path, None, &mut Findings::default());
    files.texts.unwrap_or_default()
}

fn run(
    source: Source<'_>,
    mut out: Findings,
    renamed: &[Renamed],
) -> Result<(Config, Vec<Warning>), Refusals> {
    let Source { path, text, without, extra, env, central } = source;
    let base = folder(path);
    let mut document = Files::new(without).gather(path, text, &mut out);
    if document.unread {
        // Everything would be missing; the one refusal says why.
        return Err(out.0);
    }
    document.many.extend(extra);
    if let Some(central) = central {
        central::replace(&mut document.many, central, &mut out);
    }
    for section in document.singles.iter_mut().chain(&mut document.many) {
        section.rename(renamed, &mut out);
    }
    let checked = check(document, path, base, env, &mut out);
    let Findings(mut found) = out;
    found.sort();
    match checked {
        Some(config) if found.refusals.is_empty() => Ok((config, found.warnings)),
        _ => Err(found),
    }
}

fn check(
    document: Document,
    path: &Path,
    base: PathBuf,
    env: &dyn Env,
    out: &mut Findings,
) -> Option<Config> {
    let Document { mut singles, many, .. } = document;
    let whole = root(path);
    let node = node::node(single(&mut singles, "node", &whole, out), &base, out);
    let web = node::web(optional(&mut singles, "web", out), &base, out);
    let storage = optional(&mut singles, "storage", out);
    let kept = optional(&mut singles, "retention", out);
    let journal = node::journal(optional(&mut singles, "journal", out), out);
    let ingest = node::ingest(optional(&mut singles, "ingest", out), out);
    let city = single(&mut singles, "city", &whole, out);
    let mut by_kind: BTreeMap<&'static str, Vec<Section>> = BTreeMap::new();
    for section in many {
        by_kind.entry(section.kind).or_default().push(section);
    }
    let mut of = |kind: &str| by_kind.remove(kind).unwrap_or_default();
    let relay = optional(&mut singles, "relay", out);
    let relay = relay::relay(relay, of("relay.node_link"), node.as_ref(), &base, out);
    let data = node.as_ref().map(|node| node.data.as_path());
    let storage = node::storage(storage, of("storage.volume"), &base, data, &whole, out);
    let retention = retention::retention(kept, of("retention.class"), out);
    let secret_key = || node.as_ref().map(|node| node.secret_key.clone());
    let mut storage = storage;
    if let Some(storage) = &mut storage {
        let mut keys = camera::Keys::new(env, &base, secret_key());
        storage.archives = archive::archives(of("storage.archive"), &storage.volumes, &base, &mut keys, out);
    }
    let mut places = places::Places::new(places::city(city, out));
    places.sub_centres(of("sub_centre"), out);
    places.stations(of("station"), out);
    places.sites(of("site"), out);
    let mut keys = camera::Keys::new(env, &base, secret_key());
    let webhooks = outward::webhooks(of("webhook"), &base, &mut keys, out);
    let upward = relay.as_ref().and_then(|relay| relay.upward.as_ref());
    let own = camera::Own {
        id: node.as_ref().map(|node| &node.id),
        at_centre: upward.map(|up| &up.node),
        has_centre: upward.is_some(),
    };
    let cameras = camera::cameras(of("camera"), &mut places, own, keys, out);
    let places::Places { city, sub_centres, stations, sites, .. } = places;
    Some(Config {
        node: node?,
        web,
        storage: storage?,
        retention,
        journal,
        ingest,
        relay,
        webhooks,
        topology: Topology { city: city?, sub_centres, stations, sites, cameras },
        base,
    })
}

/// The file as a whole.
fn root(path: &Path) -> Spot {
    Spot { file: Arc::from(path), line: 1, column: 0 }
}

/// The absolute folder of a file.
fn folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().map_or(PathBuf::from("/"), tidy)
}

/// A path without `.` and `..`, by its words alone.
pub fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    tidy
}

/// The one section of a kind that must be there.
fn single(all: &mut Vec<Section>, kind: &'static str, whole: &Spot, out: &mut Findings) -> Option<Section> {
    let section = optional(all, kind, out);
    if section.is_none() {
        out.refuse(whole, kind, "", "is missing", format!("write a table [{kind}]"));
    }
    section
}

/// The one section of a kind that may be there.
fn optional(all: &mut Vec<Section>, kind: &str, out: &mut Findings) -> Option<Section> {
    let mut found = None;
    let mut at = 0;
    while at < all.len() {
        if all.get(at).is_none_or(|section| section.kind != kind) {
            at += 1;
            continue;
        }
        let section = all.remove(at);
        if found.is_some() {
            out.refuse(&section.spot, kind, "", "is there a second time", "keep one of the two");
        } else {
            found = Some(section);
        }
    }
    found
}

/// Reads the main file and everything that it includes, each file once.
struct Files {
    seen: BTreeSet<PathBuf>,
    without: Option<PathBuf>,
    /// Collects what was read, when somebody wants it.
    texts: Option<Vec<(PathBuf, String)>>,
}

impl Files {
    fn new(without: Option<&Path>) -> Self {
        Self { seen: BTreeSet::new(), without: without.map(real), texts: None }
    }

    fn note(&mut self, path: &Path, text: &str) {
        if let Some(texts) = &mut self.texts {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            texts.push((tidy(&path), text.to_owned()));
        }
    }

    fn gather(&mut self, path: &Path, text: Option<&str>, out: &mut Findings) -> Document {
        let mut whole = Document::default();
        self.seen.insert(real(path));
        let read = match text {
            Some(text) => Ok(text.to_owned()),
            None => read_file(path),
        };
        let first = match read {
            Ok(text) => {
                self.note(path, &text);
                document::read(&text, &Arc::from(path), out)
            }
            Err(problem) => {
                let spot = Spot { file: Arc::from(path), line: 0, column: 0 };
                out.refuse(&spot, "file", "", problem, "name a readable TOML file");
                whole.unread = true;
                return whole;
            }
        };
        let mut waiting = vec![(path.to_owned(), first)];
        while let Some((path, document)) = waiting.pop() {
            whole.singles.extend(document.singles);
            whole.many.extend(document.many);
            let mut included = Vec::new();
            for include in &document.includes {
                let target = tidy(&folder(&path).join(&include.value));
                if self.without.as_deref() == Some(real(&target).as_path()) {
                    continue;
                }
                let refused = if !self.seen.insert(real(&target)) {
                    Err("is included already".to_owned())
                } else if self.seen.len() > limits::CONFIG_FILES_MAX {
                    Err(format!("is one of more than {} files", limits::CONFIG_FILES_MAX))
                } else {
                    read_file(&target)
                };
                match refused {
                    Ok(text) => {
                        self.note(&target, &text);
                        let document = document::read(&text, &Arc::from(shown(&path, &include.value)), out);
                        included.push((target, document));
                    }
                    Err(problem) => {
                        let value = format!("{:?}", include.value);
                        let remedy = "name each readable TOML file once, relative to this file";
                        out.refuse(&include.spot, "include", value, problem, remedy);
                    }
                }
            }
            waiting.extend(included.into_iter().rev());
        }
        whole
    }
}

/// How an included file is named in findings: as far as possible as it was written.
fn shown(parent: &Path, include: &str) -> PathBuf {
    parent.parent().map_or_else(|| PathBuf::from(include), |folder| folder.join(include))
}

/// The path that tells whether two names mean one file.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        tidy(&absolute)
    })
}

/// Reads a text file within the bound.
pub(crate) fn read_file(path: &Path) -> Result<String, String> {
    let bytes = read_bytes(path, limits::CONFIG_FILE_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
        format!("is no UTF-8 text at line {line}")
    })
}

/// Reads a whole file of at most `most` bytes.
pub(crate) fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let file = std::fs::File::open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err("is no ordinary file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(cannot)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(format!("is larger than {most} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
