//! Everything that a node keeps, held against itself: volumes, key, catalogue, segments, journal, indexes of archives,
//! retention, files of incidents. Reads alone; the node may run.

mod files;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::ids::{NodeId, VolumeId};
use fengsui_config::limits;
use serde::Serialize;

use super::{FsckOptions, Progress, Report};
use crate::archive::{ArchiveIndex, IndexOpening};
use crate::catalogue::{self, Difference, DifferenceKind, Inspection, Opening};
use crate::error::StoreError;
use crate::fs::Fs;
use crate::journal::{HeadFound, Journal, Reducer as _, VerifyOptions, Witness, kinds};
use crate::retention::RetentionState;
use crate::segment::{KeyId, NodeKey};
use crate::volume::{IDENTITY_BYTES_MAX, IDENTITY_FILE, KNOWN_FILE, KnownVolumes, VolumeIdentity};

/// A part of what a node keeps, in the order in which they are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// The identity of every volume, and what the node knows of them.
    Volumes,
    /// The node's key.
    Key,
    /// The index of footage: its log, and whether it agrees with the files.
    Catalogue,
    /// Footage: every segment file.
    Segments,
    /// The journal, with its head and the copies of it on the volumes.
    Journal,
    /// The indexes of archives.
    Archive,
    /// Holds and deletions, as the journal tells them.
    Retention,
    /// Files of incidents.
    Attachments,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Volumes,
        Self::Key,
        Self::Catalogue,
        Self::Segments,
        Self::Journal,
        Self::Archive,
        Self::Retention,
        Self::Attachments,
    ];

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Volumes => "volumes",
            Self::Key => "key",
            Self::Catalogue => "catalogue",
            Self::Segments => "segments",
            Self::Journal => "journal",
            Self::Archive => "archive",
            Self::Retention => "retention",
            Self::Attachments => "attachments",
        }
    }
}

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file or directory.
    pub path: PathBuf,
    /// A short fixed text.
    pub kind: &'static str,
    /// What does not hold, for people.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}

/// What one section came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionReport {
    /// Which.
    pub section: Section,
    /// Files looked at.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Everything that does not hold, at most `limits::FSCK_PROBLEMS_MAX`.
    pub problems: Vec<Finding>,
    /// Problems beyond those listed.
    pub problems_unlisted: u64,
    /// What could not be looked at, and why.
    pub unchecked: Vec<String>,
}

impl SectionReport {
    /// Nothing looked at yet.
    #[must_use]
    pub fn new(section: Section) -> Self {
        let (problems, unchecked) = (Vec::new(), Vec::new());
        Self { section, files: 0, bytes: 0, problems, problems_unlisted: 0, unchecked }
    }

    /// Adds a problem.
    pub fn add(&mut self, path: &Path, kind: &'static str, detail: impl Into<String>, remedy: &str) {
        if self.problems.len() < limits::FSCK_PROBLEMS_MAX {
            let (path, detail, remedy) = (path.to_path_buf(), detail.into(), remedy.to_owned());
            self.problems.push(Finding { path, kind, detail, remedy });
        } else {
            self.problems_unlisted += 1;
        }
    }

    fn unchecked(&mut self, error: &StoreError) {
        self.unchecked.push(error.to_string());
    }
}

/// What a whole node came to. Its form is part of what scripts rely on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// Section by section.
    pub sections: Vec<SectionReport>,
    /// Details of the segments, when they were looked at.
    pub segments: Option<Report>,
}

impl NodeReport {
    /// Problems of all sections.
    #[must_use]
    pub fn problems(&self) -> u64 {
        self.sections.iter().map(|s| s.problems.len() as u64 + s.problems_unlisted).sum()
    }

    /// Something could not be looked at.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.sections.iter().any(|s| !s.unchecked.is_empty())
    }
}

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeProgress {
    /// What is looked at.
    pub section: Section,
    /// Files of it so far.
    pub files: u64,
    /// Bytes of it so far.
    pub bytes: u64,
    /// All bytes of it, where that is known.
    pub total: Option<u64>,
}

/// What to look at.
#[derive(Debug, Clone)]
pub struct Node {
    /// The node's name.
    pub id: NodeId,
    /// Its data directory.
    pub data: PathBuf,
    /// Its volumes.
    pub volumes: Vec<(VolumeId, PathBuf)>,
    /// Folder of the catalogue.
    pub catalogue: PathBuf,
    /// Folder of the journal.
    pub journal: PathBuf,
    /// Name of the journal's witness on a volume.
    pub witness: &'static str,
    /// Folder of the indexes of archives.
    pub archive: PathBuf,
    /// The archives.
    pub archives: Vec<VolumeId>,
    /// File of the node's key.
    pub key: PathBuf,
    /// Read every byte of every segment.
    pub full: bool,
}

/// Looks at the chosen sections of a node. Changes nothing.
///
/// A node that runs goes on changing files: what a first look finds different between catalogue, indexes and files is looked at
/// once more after `settle`, which gives it time to write down what it did.
pub fn run(
    fs: &Arc<dyn Fs>,
    node: &Node,
    sections: &[Section],
    settle: &mut dyn FnMut(),
    progress: &mut dyn FnMut(NodeProgress),
) -> NodeReport {
    let mut check =
        Check { fs, node, key: None, former: BTreeSet::new(), total: None, out: NodeReport::default() };
    let key = check.key_file();
    for section in Section::ALL.into_iter().filter(|s| sections.contains(s)) {
        progress(NodeProgress { section, files: 0, bytes: 0, total: None });
        let found = match section {
            Section::Volumes => check.volumes(),
            Section::Key => key.clone(),
            Section::Catalogue => check.catalogue(settle),
            Section::Segments => check.segments(progress),
            Section::Journal => check.journal(),
            Section::Archive => check.archives(settle),
            Section::Retention => check.retention(),
            Section::Attachments => check.attachments(),
        };
        let (files, bytes) = (found.files, found.bytes);
        progress(NodeProgress { section, files, bytes, total: Some(bytes) });
        check.out.sections.push(found);
    }
    check.out
}

struct Check<'a> {
    fs: &'a Arc<dyn Fs>,
    node: &'a Node,
    key: Option<KeyId>,
    /// Keys that the node had before it was restored without them, hexadecimal.
    former: BTreeSet<String>,
    /// Bytes of footage by the catalogue.
    total: Option<u64>,
    out: NodeReport,
}

impl Check<'_> {
    fn has_run(&self) -> bool {
        self.fs.metadata(&self.node.journal).is_ok() || self.fs.metadata(&self.node.catalogue).is_ok()
    }

    fn key_file(&mut self) -> SectionReport {
        let mut out = SectionReport::new(Section::Key);
        let path = &self.node.key;
        match NodeKey::load_in(&**self.fs, path) {
            Ok(Some(key)) => {
                (out.files, self.key) = (1, Some(key.id()));
                out.bytes = self.fs.metadata(path).map_or(0, |m| m.len);
            }
            Ok(None) if self.has_run() => {
                out.add(path, "missing", "there is no key, but the node has run", RESTORE_KEY);
            }
            Ok(None) => {}
            Err(e) if e.io_kind().is_some() => out.unchecked(&e),
            Err(e) => out.add(path, "damaged", e.to_string(), RESTORE_KEY),
        }
        out
    }

    fn volumes(&self) -> SectionReport {
        let mut out = SectionReport::new(Section::Volumes);
        let known_path = self.node.data.join(KNOWN_FILE);
        let known = match KnownVolumes::load(&**self.fs, &self.node.data) {
            Ok(known) => known,
            Err(e) if e.io_kind().is_some() => {
                out.unchecked(&e);
                return out;
            }
            Err(e) => {
                let remedy =
                    "stop the node, see that every volume is mounted, and remove this file: it is made anew";
                out.add(&known_path, "damaged", e.to_string(), remedy);
                KnownVolumes::default()
            }
        };
        for (id, root) in &self.node.volumes {
            out.files += 1;
            let path = root.join(IDENTITY_FILE);
            let bytes = match self.fs.read(&path, IDENTITY_BYTES_MAX) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    if known.uuid(id).is_some() {
                        let remedy = format!(
                            "mount the disk; a new one in its place is put into use by: fengsui volume replace {id}"
                        );
                        out.add(&path, "missing", "a volume that was in use has no identity", &remedy);
                    }
                    continue;
                }
                Err(e) => {
                    out.unchecked(&StoreError::io("read volume identity", &path)(e));
                    continue;
                }
            };
            out.bytes += bytes.len() as u64;
            let adopt = format!(
                "mount the right disk, or take this one with what is on it: fengsui volume adopt {id}"
            );
            match serde_json::from_slice::<VolumeIdentity>(&bytes) {
                Err(e) => out.add(&path, "damaged", format!("not a volume identity: {e}"), &adopt),
                Ok(found) if found.id != id.as_str() => {
                    let detail = format!("it belongs to volume {} of node {}", found.id, found.node);
                    out.add(&path, "exchanged", detail, &adopt);
                }
                Ok(found) if known.uuid(id).is_some_and(|uuid| uuid != found.uuid) => {
                    let detail = format!("another disk is in its place (identity {})", found.uuid);
                    out.add(&path, "exchanged", detail, &adopt);
                }
                Ok(_) => {}
            }
        }
        out
    }

    fn inspect(&self) -> Result<Inspection, StoreError> {
        catalogue::inspect(&**self.fs, &self.node.catalogue, &self.node.volumes)
    }

    fn catalogue(&mut self, settle: &mut dyn FnMut()) -> SectionReport {
        let mut out = SectionReport::new(Section::Catalogue);
        let path = catalogue::log_path(&self.node.catalogue);
        let mut found = match self.inspect() {
            Ok(found) => found,
            Err(e) => {
                out.unchecked(&e);
                return out;
            }
        };
        if !found.differences.is_empty() || !matches!(found.opening, Opening::Clean | Opening::New) {
            settle();
            match self.inspect() {
                Ok(mut again) => {
                    again.differences.retain(|d| found.differences.binary_search(d).is_ok());
                    found = again;
                }
                Err(e) => out.unchecked(&e),
            }
        }
        self.total = Some(found.bytes);
        (out.files, out.bytes) = (1, found.log_bytes);
        match found.opening {
            Opening::Clean => {}
            Opening::New if self.has_run() => {
                out.add(&path, "missing", "there is no index of footage", REBUILD)
            }
            Opening::New => {}
            Opening::TornTail { bytes } => {
                let remedy = "start the node: it sets these bytes aside and goes on";
                out.add(&path, "torn", format!("the last {bytes} bytes are no record"), remedy);
            }
            Opening::Damaged { at } => {
                let remedy = "start the node: it keeps what holds, sets the old index aside and compares it with the files";
                out.add(&path, "damaged", format!("byte {at} does not hold"), remedy);
            }
        }
        let gone = out.problems.iter().any(|p| p.kind == "missing");
        let differences = if gone { Vec::new() } else { found.differences };
        for Difference { path, kind } in &differences {
            let start = "start the node, or run with it stopped: fengsui index check";
            match kind {
                DifferenceKind::NoRow => out.add(path, "no_row", "the index does not know this file", start),
                DifferenceKind::NoFile => {
                    let remedy = "look for it on the other volumes and in the archive; fengsui index check makes its time a gap";
                    out.add(path, "no_file", "the index has a row for a file that is not there", remedy);
                }
                DifferenceKind::Short => {
                    let remedy = "fengsui fsck --full --section segments tells what is left; fengsui index check notes it";
                    out.add(path, "short", "the file is shorter than its row says", remedy);
                }
            }
        }
        for (id, why) in found.unlisted {
            out.unchecked.push(format!("volume {id}: {why}"));
        }
        out
    }

    fn segments(&mut self, progress: &mut dyn FnMut(NodeProgress)) -> SectionReport {
        let mut out = SectionReport::new(Section::Segments);
        let mut volumes = Vec::new();
        for (id, root) in &self.node.volumes {
            match self.fs.read_dir(root) {
                Ok(_) => volumes.push((id.clone(), root.clone())),
                Err(e) => out.unchecked(&StoreError::io("list volume", root)(e)),
            }
        }
        let total = match self.total {
            Some(total) => Some(total),
            None => catalogue::inspect(&**self.fs, &self.node.catalogue, &[]).ok().map(|i| i.bytes),
        };
        let total = total.filter(|t| *t > 0);
        let section = Section::Segments;
        let mut on = |p: Progress| progress(NodeProgress { section, files: p.files, bytes: p.bytes, total });
        let options = FsckOptions { full: self.node.full, key: None };
        let report = match super::run(&**self.fs, &volumes, options, &mut on) {
            Ok(report) => report,
            Err(e) => {
                out.unchecked(&e);
                return out;
            }
        };
        (out.files, out.bytes) = (report.files, report.bytes);
        for p in &report.problems {
            out.add(&p.path, p.kind, p.detail.as_str(), remedy_of_segment(p.kind));
        }
        out.problems_unlisted += report.problems_unlisted;
        self.former_keys();
        for ((node, key), (count, path)) in &report.signers {
            let ours = self.key.is_none_or(|own| own == *key) || self.former.contains(&key.to_string());
            if *node == self.node.id.to_string() && !ours {
                let detail =
                    format!("{count} segments, this the first, name this node and are signed by {key}");
                let remedy =
                    "find out who wrote them; if the node's key was exchanged, put the copy of a backup back";
                out.add(path, "signature", detail, remedy);
            }
        }
        self.out.segments = Some(report);
        out
    }

    /// The keys that `journal.restored` names.
    fn former_keys(&mut self) {
        let Ok(records) = Journal::read_dir(self.fs, &self.node.journal, 1) else { return };
        let restored = records.map_while(Result::ok).filter(|r| r.kind == kinds::JOURNAL_RESTORED);
        self.former.extend(restored.filter_map(|r| Some(r.body.get("key_before")?.as_str()?.to_owned())));
    }

    fn journal(&mut self) -> SectionReport {
        let mut out = SectionReport::new(Section::Journal);
        let dir = &self.node.journal;
        if self.fs.metadata(dir).is_err() {
            if self.fs.metadata(&self.node.catalogue).is_ok() {
                out.add(dir, "missing", "there is no journal, but the node has run", RESTORE_JOURNAL);
            }
            return out;
        }
        let mut options = VerifyOptions { key: self.key, witnesses: Vec::new() };
        let epoch = match Journal::head_of(self.fs, dir) {
            Ok(HeadFound::Good(_, head)) => head.epoch,
            _ => 0,
        };
        for (_, root) in &self.node.volumes {
            let path = root.join(self.node.witness);
            match Journal::head_at(self.fs, &path) {
                // One of another node, or of a life before a restore, is not asked.
                Ok(HeadFound::Good(signer, head))
                    if self.key.is_none_or(|key| key == signer) && head.speaks_in(epoch) =>
                {
                    let name = path.display().to_string();
                    options.witnesses.push(Witness { name, seq: head.seq, hash: head.hash });
                }
                Ok(HeadFound::Invalid(why)) => {
                    let remedy =
                        "a running node writes it anew within a minute; if it stays, look at the disk";
                    out.add(
                        &path,
                        "witness",
                        format!("the copy of the journal's head does not hold: {why}"),
                        remedy,
                    );
                }
                _ => {}
            }
        }
        match Journal::verify_dir(self.fs, dir, &options) {
            Ok(report) => {
                out.files = report.files;
                for d in report.damages {
                    let detail = format!("byte {}: {}", d.at, d.detail);
                    out.add(&d.file, "damaged", detail, RESTORE_JOURNAL);
                }
            }
            Err(e) => out.unchecked(&e),
        }
        let files = self.fs.read_dir(dir).unwrap_or_default();
        let sizes =
            files.iter().filter(|f| !f.is_dir).filter_map(|f| self.fs.metadata(&dir.join(&f.name)).ok());
        out.bytes = sizes.map(|m| m.len).sum();
        out
    }

    fn archives(&self, settle: &mut dyn FnMut()) -> SectionReport {
        let mut out = SectionReport::new(Section::Archive);
        for id in &self.node.archives {
            let path = self.node.archive.join(format!("{id}.log"));
            let look = || ArchiveIndex::look(&**self.fs, &self.node.archive, id.clone());
            let mut found = look();
            if matches!(&found, Ok(Some((_, opening))) if *opening != IndexOpening::Clean) {
                settle();
                found = look();
            }
            out.files += 1;
            out.bytes += self.fs.metadata(&path).map_or(0, |m| m.len);
            match found {
                Ok(None | Some((_, IndexOpening::Clean))) => {}
                Ok(Some((_, IndexOpening::New))) => out.add(&path, "torn", "it is empty", RESTART),
                Ok(Some((_, IndexOpening::TornTail { bytes }))) => {
                    out.add(&path, "torn", format!("the last {bytes} bytes are no row"), RESTART);
                }
                Ok(Some((_, IndexOpening::Damaged { records }))) => {
                    let remedy =
                        format!("stop the node and make it anew: fengsui archive rebuild --archive {id}");
                    out.add(&path, "damaged", format!("{records} rows do not hold"), &remedy);
                }
                Err(e) => out.unchecked(&e),
            }
        }
        out
    }

    fn retention(&self) -> SectionReport {
        let mut out = SectionReport::new(Section::Retention);
        let dir = &self.node.journal;
        if self.fs.metadata(dir).is_err() {
            return out;
        }
        let records = match Journal::read_dir(self.fs, dir, 1) {
            Ok(records) => records,
            Err(e) => {
                out.unchecked(&e);
                return out;
            }
        };
        let mut state = RetentionState::default();
        out.files = 1;
        for record in records {
            match record {
                Ok(record) => {
                    if let Err(e) = state.apply(&record) {
                        out.add(dir, "record", e.to_string(), UNDERSTOOD);
                    }
                }
                Err(e) => {
                    out.unchecked(&e);
                    break;
                }
            }
        }
        out
    }
}

const RESTORE_KEY: &str = "put the copy of a backup in its place (fengsui restore); without it the node takes a new one and cannot sign as before";
const RESTORE_JOURNAL: &str =
    "keep the folder as it is, ask fengsui journal verify for the whole report, and compare with a backup";
const REBUILD: &str = "with the node stopped: fengsui index rebuild";
const RESTART: &str = "start the node: it sets these bytes aside and goes on";
const UNDERSTOOD: &str =
    "no hold is forgotten by this program alone: use the version that wrote it, or a backup of the journal";

fn remedy_of_segment(kind: &str) -> &'static str {
    match kind {
        "damaged" => {
            "what holds of it still plays; look at the disk, and fetch the file from the archive or a copy"
        }
        "torn" => {
            "if the node does not write it now, start the node: it sets the tail aside and closes the file"
        }
        "chain" | "signature" => {
            "somebody exchanged this file: keep it, and compare it with the archive or a copy"
        }
        "name" => "give it back the name that its header and the index tell, or move it away from the volume",
        "unknown_file" => "move it away from the volume: it is not of the node",
        _ => "look at the disk and at the rights of this file",
    }
}

#[cfg(test)]
mod tests;
