//! Making a backup.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::Config;
use fengsui_config::clock::{Clock, SystemClock};
use fengsui_config::listing::config_files;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{HeadFound, Journal};
use fengsui_storage::volume::IDENTITY_FILE;
use sha2::{Digest as _, Sha256};

use super::pack::Packer;
use super::seal::{Derivation, PASSPHRASE_CHARS_MIN, Sealer, sealed_length};
use super::{BackupError, Entry, FORMAT, Header, Manifest, Place, VolumeNote};
use crate::paths;

/// What to back up, and where to.
pub struct BackupOptions<'a> {
    /// The configuration file.
    pub config: &'a Path,
    /// The same, checked.
    pub checked: &'a Config,
    /// A folder, or a file that ends in `.tar`.
    pub to: &'a Path,
    /// Encrypts the backup; `None` only without keys.
    pub passphrase: Option<&'a str>,
    /// Leave out keys and camera passwords.
    pub without_keys: bool,
    /// Leave out the index of footage; most of it can be made anew from the files' names, the reasons of gaps cannot.
    pub without_catalogue: bool,
}

/// What was backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Newest journal record within.
    pub cut_seq: u64,
    /// Its hash: what `journal verify --expect` takes.
    pub cut_hash: String,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

/// Where the bytes of an entry come from.
enum Source {
    /// The first bytes of a file, or all that it has now.
    File(PathBuf, Option<u64>),
    Bytes(Vec<u8>),
}

struct Plan {
    wanted: Vec<(Place, Source, u32)>,
    taken: BTreeSet<PathBuf>,
    base: PathBuf,
    data: PathBuf,
    left_out: Vec<String>,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::File(path, error)
}

fn text(path: &Path) -> Result<String, BackupError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| BackupError::Refused(format!("{} is no UTF-8 name; rename it", path.display())))
}

impl Plan {
    fn place(&self, path: &Path) -> Result<Place, BackupError> {
        Ok(if let Ok(inner) = path.strip_prefix(&self.data) {
            Place::Data(text(inner)?)
        } else if let Ok(inner) = path.strip_prefix(&self.base) {
            Place::Config(text(inner)?)
        } else {
            Place::Outside(text(path)?)
        })
    }

    fn file(&mut self, path: &Path, first: Option<u64>) -> Result<(), BackupError> {
        if self.taken.insert(path.to_owned()) {
            let mode = fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o777;
            self.wanted.push((self.place(path)?, Source::File(path.to_owned(), first), mode));
        }
        Ok(())
    }

    /// A file that may not be there, or is left out for a reason.
    fn optional(&mut self, path: &Path, out: Option<&str>) -> Result<(), BackupError> {
        if !path.exists() {
            return Ok(());
        }
        if let Some(why) = out {
            self.taken.insert(path.to_owned());
            self.left_out.push(format!("{}: {why}", path.display()));
            return Ok(());
        }
        self.file(path, None)
    }

    /// Everything below a folder that is not planned yet.
    fn folder(&mut self, folder: &Path, skipped: &[PathBuf]) -> Result<(), BackupError> {
        let mut names: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder).map_err(at(folder))? {
            names.push(entry.map_err(at(folder))?.path());
        }
        names.sort();
        for path in names {
            let draft = path.extension().is_some_and(|e| e == "new");
            if draft || self.taken.contains(&path) || skipped.contains(&path) {
                continue;
            }
            // A file may go while a node runs; what must be there has been planned before.
            let Ok(kind) = fs::symlink_metadata(&path) else { continue };
            if kind.is_dir() {
                self.folder(&path, skipped)?;
            } else if kind.is_file() {
                self.file(&path, None)?;
            } else {
                self.left_out.push(format!("{}: no ordinary file", path.display()));
            }
        }
        Ok(())
    }
}

const KEY_LEFT_OUT: &str = "a key or password, and --without-keys";

/// Makes a backup; the node may run.
///
/// # Errors
/// When it would hold keys in plain, the target exists, or a file cannot be read or written. Nothing half-made stays.
pub fn make(options: &BackupOptions<'_>) -> Result<BackupReport, BackupError> {
    match options.passphrase {
        None if !options.without_keys => {
            return Err(BackupError::Refused(
                "a backup with keys is encrypted: give a passphrase (--passphrase-file), or leave the keys out \
                 (--without-keys)"
                    .into(),
            ));
        }
        Some(words) if words.chars().count() < PASSPHRASE_CHARS_MIN => {
            return Err(BackupError::Refused(format!(
                "the passphrase is too short: it has {PASSPHRASE_CHARS_MIN} characters at least"
            )));
        }
        _ => {}
    }
    let config = options.checked;
    let data = config.node.data.clone();
    let filesystem: Arc<dyn Fs> = Arc::new(RealFs);
    let journal = paths::journal(&data);
    let cut = Journal::cut(&filesystem, &journal)?;
    let key = match Journal::head_of(&filesystem, &journal)? {
        HeadFound::Good(key, _) => Some(key.to_string()),
        _ => None,
    };
    let plan = plan(options, &cut)?;
    let made_us = SystemClock::new().utc().0;
    let config_name = options.config.file_name().map(Path::new).unwrap_or(Path::new("fengsui.toml"));
    let relative = data.strip_prefix(&config.base).unwrap_or(&data);
    let mut manifest = Manifest {
        node: config.node.id.to_string(),
        key,
        keys: !options.without_keys,
        cut_seq: cut.seq,
        cut_hash: hex::encode(cut.hash),
        config: text(config_name)?,
        data: text(relative)?,
        volumes: volumes(config),
        left_out: plan.left_out.clone(),
        files: Vec::new(),
    };
    let encryption = options.passphrase.map(|_| Derivation::new()).transpose()?;
    let sealer = match (&encryption, options.passphrase) {
        (Some(derivation), Some(words)) => Some(derivation.sealer(words)?),
        _ => None,
    };
    let program = env!("CARGO_PKG_VERSION").to_owned();
    let header = Header { format: FORMAT, program, node: manifest.node.clone(), made_us, encryption };
    let mut packer = Packer::begin(options.to)?;
    match write(&mut packer, &header, sealer.as_ref(), plan, &mut manifest) {
        Ok(()) => packer.finish()?,
        Err(error) => {
            packer.abandon();
            return Err(error);
        }
    }
    Ok(BackupReport {
        files: manifest.files.len(),
        bytes: manifest.files.iter().map(|f| f.bytes).sum(),
        cut_seq: manifest.cut_seq,
        cut_hash: manifest.cut_hash,
        left_out: manifest.left_out,
    })
}

/// Everything that goes in, in order.
fn plan(
    options: &BackupOptions<'_>,
    cut: &fengsui_storage::journal::JournalCut,
) -> Result<Plan, BackupError> {
    let config = options.checked;
    let data = config.node.data.clone();
    let mut plan = Plan {
        wanted: Vec::new(),
        taken: BTreeSet::new(),
        base: config.base.clone(),
        data: data.clone(),
        left_out: Vec::new(),
    };
    let keys = options.without_keys.then_some(KEY_LEFT_OUT);
    for file in config_files(options.config) {
        plan.file(&file.path, None)?;
    }
    plan.optional(&config.node.secret_key, keys)?;
    plan.optional(&paths::node_key(&data), keys)?;
    if let (Some(certificate), Some(key)) = (&config.web.certificate, &config.web.key) {
        plan.optional(certificate, None)?;
        plan.optional(key, keys)?;
    }
    for camera in config.topology.cameras.values() {
        let reference = camera.credentials.as_ref().and_then(|c| c.password.reference());
        if let Some(file) = reference.and_then(|r| r.strip_prefix("file:")) {
            let path = fengsui_config::listing::tidy(&config.base.join(file));
            if !plan.taken.contains(&path) {
                plan.optional(&path, keys)?;
            }
        }
    }
    let journal = paths::journal(&data);
    for (path, length) in &cut.files {
        plan.file(path, Some(*length))?;
    }
    for (name, bytes) in &cut.small {
        let path = journal.join(name);
        plan.taken.insert(path.clone());
        plan.wanted.push((plan.place(&path)?, Source::Bytes(bytes.clone()), 0o600));
    }
    let mut skipped = vec![paths::lock(&data), journal.join("snapshots"), journal.join("cursors")];
    // A file begun after the cut belongs to what comes after it.
    skipped.extend(
        fs::read_dir(&journal).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_file()),
    );
    if options.without_catalogue {
        skipped.push(paths::catalogue(&data));
        plan.left_out.push("the index of footage: --without-catalogue".into());
    }
    if keys.is_some() && paths::tls(&data).exists() {
        skipped.push(paths::tls(&data));
        plan.left_out.push(format!("{}: {KEY_LEFT_OUT}", paths::tls(&data).display()));
    }
    let relay = crate::relay::folder(&data);
    if keys.is_some() && relay.exists() {
        skipped.push(relay.clone());
        plan.left_out.push(format!("{}: {KEY_LEFT_OUT}", relay.display()));
    }
    // Another program's, which changes them meanwhile; nodes keep what is in them until the journal has it.
    skipped.push(relay.join("streams"));
    if let Some(centre) = config.relay.as_ref().and_then(|relay| relay.centre.as_ref()) {
        skipped.push(centre.store.clone());
    }
    for volume in &config.storage.volumes {
        skipped.push(volume.path.clone());
    }
    plan.folder(&data, &skipped)?;
    Ok(plan)
}

fn volumes(config: &Config) -> Vec<VolumeNote> {
    let note = |volume: &fengsui_config::VolumeConfig| VolumeNote {
        id: volume.id.to_string(),
        path: volume.path.display().to_string(),
        identity: fs::read(volume.path.join(IDENTITY_FILE))
            .ok()
            .and_then(|b| serde_json::from_slice(&b).ok()),
    };
    config.storage.volumes.iter().map(note).collect()
}

/// Passes bytes on and takes their sum.
struct Summed<R> {
    from: R,
    sum: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(out)?;
        self.sum.update(out.get(..length).unwrap_or_default());
        self.bytes += length as u64;
        Ok(length)
    }
}

fn write(
    packer: &mut Packer,
    header: &Header,
    sealer: Option<&Sealer>,
    plan: Plan,
    manifest: &mut Manifest,
) -> Result<(), BackupError> {
    let json = |error: serde_json::Error| BackupError::Other(error.to_string());
    let text = serde_json::to_vec_pretty(header).map_err(json)?;
    packer.put("backup.json", text.len() as u64, &mut |to| Ok(to.write_all(&text)?))?;
    for (number, (place, source, mode)) in plan.wanted.into_iter().enumerate() {
        let (from, length): (Box<dyn Read>, u64) = match source {
            Source::Bytes(bytes) => {
                let length = bytes.len() as u64;
                (Box::new(io::Cursor::new(bytes)), length)
            }
            Source::File(path, first) => {
                let file = File::open(&path).map_err(at(&path))?;
                let length = first.unwrap_or(file.metadata().map_err(at(&path))?.len());
                (Box::new(file), length)
            }
        };
        // A file that grows meanwhile is taken as far as it was.
        let mut from = Summed { from: from.take(length), sum: Sha256::new(), bytes: 0 };
        put(packer, sealer, &format!("files/{number:06}"), length, &mut from)?;
        if from.bytes != length {
            return Err(BackupError::Refused(format!(
                "{place:?} became shorter meanwhile; run the backup again"
            )));
        }
        let sha256 = hex::encode(from.sum.finalize());
        manifest.files.push(Entry { place, bytes: length, sha256, mode });
    }
    let text = serde_json::to_vec_pretty(manifest).map_err(json)?;
    put(packer, sealer, "manifest", text.len() as u64, &mut text.as_slice())
}

fn put(
    packer: &mut Packer,
    sealer: Option<&Sealer>,
    name: &str,
    length: u64,
    from: &mut dyn Read,
) -> Result<(), BackupError> {
    match sealer {
        Some(sealer) => {
            packer.put(name, sealed_length(length), &mut |to: &mut dyn Write| sealer.seal(name, from, to))
        }
        None => packer.put(name, length, &mut |to: &mut dyn Write| Ok(io::copy(from, to).map(drop)?)),
    }
}
