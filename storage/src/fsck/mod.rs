//! Checking footage against itself: files, chains between files, signatures.

mod node;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fengsui_config::ids::VolumeId;
use fengsui_config::limits;
use serde::Serialize;

use crate::error::StoreError;
use crate::fs::Fs;
pub use node::{Finding, Node, NodeProgress, NodeReport, Section, SectionReport, run as run_node};

use crate::segment::{FileCheck, Hash, KeyId, Outcome, SegmentName, check};

/// What to check.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsckOptions {
    /// Read every byte and check every hash; otherwise structure, records, signatures and chains.
    pub full: bool,
    /// Segments must be signed by this key; otherwise by the key they name.
    pub key: Option<KeyId>,
}

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file or directory.
    pub path: PathBuf,
    /// A short fixed text: `damaged`, `torn`, `chain`, `signature`, `name`, `unknown_file`, `unreadable`.
    pub kind: &'static str,
    /// What does not hold, for people.
    pub detail: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Segment files seen.
    pub files: u64,
    /// Closed, and all that was checked holds.
    pub clean: u64,
    /// Still open (being written, or left by a crash).
    pub open: u64,
    /// With a torn tail.
    pub torn: u64,
    /// Damaged.
    pub damaged: u64,
    /// Bytes of all segment files.
    pub bytes: u64,
    /// Groups whose hash was checked.
    pub groups_hashed: u64,
    /// Links from a segment to the one before that hold.
    pub links: u64,
    /// By the node that a segment names and the key that signed it: how many, and the first file.
    #[serde(skip)]
    pub signers: BTreeMap<(String, KeyId), (u64, PathBuf)>,
    /// Everything that does not hold, at most `limits::FSCK_PROBLEMS_MAX`.
    pub problems: Vec<Problem>,
    /// Problems beyond those listed.
    pub problems_unlisted: u64,
}

impl Report {
    fn problem(&mut self, path: &Path, kind: &'static str, detail: impl Into<String>) {
        if self.problems.len() < limits::FSCK_PROBLEMS_MAX {
            self.problems.push(Problem { path: path.to_path_buf(), kind, detail: detail.into() });
        } else {
            self.problems_unlisted += 1;
        }
    }
}

/// Progress: files and bytes seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A closed segment's place in its stream's chain.
struct Link {
    path: PathBuf,
    previous: Hash,
    hash: Hash,
}

/// Checks all segment files of all volumes. Changes nothing. Fails only when a volume cannot be listed.
///
/// Files that are being written may be checked too: bytes not yet committed count as `open`, not as a problem, if
/// the name is that of an open file; a torn tail of one is listed.
pub fn run(
    fs: &dyn Fs,
    volumes: &[(VolumeId, PathBuf)],
    options: FsckOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    // Per stream, over all volumes: a stream moves to another volume when one fails.
    let mut chains: BTreeMap<String, BTreeMap<u64, Link>> = BTreeMap::new();
    for (_, root) in volumes {
        for camera in fs.read_dir(root).map_err(StoreError::io("list volume", root))? {
            // Directories of cameras carry a national code; others (quarantine, lost+found) are not ours to judge.
            let code = camera.name.len() == 20 && camera.name.bytes().all(|b| b.is_ascii_digit());
            if !camera.is_dir || !code {
                continue;
            }
            for stream in ["main", "sub"] {
                let dir = root.join(&camera.name).join(stream);
                let links = chains.entry(format!("{}/{stream}", camera.name)).or_default();
                check_stream(fs, &dir, options, links, &mut report, progress);
            }
        }
    }
    for links in chains.values() {
        check_chain(links, &mut report);
    }
    Ok(report)
}

fn check_stream(
    fs: &dyn Fs,
    dir: &Path,
    options: FsckOptions,
    links: &mut BTreeMap<u64, Link>,
    report: &mut Report,
    progress: &mut dyn FnMut(Progress),
) {
    let days = match fs.read_dir(dir) {
        Ok(days) => days,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return,
        Err(e) => return report.problem(dir, "unreadable", e.to_string()),
    };
    for day in days.iter().filter(|d| d.is_dir) {
        let dir = dir.join(&day.name);
        match fs.read_dir(&dir) {
            Err(e) => report.problem(&dir, "unreadable", e.to_string()),
            Ok(files) => {
                for file in files.iter().filter(|f| !f.is_dir) {
                    one_file(fs, &dir.join(&file.name), options, links, report);
                    progress(Progress { files: report.files, bytes: report.bytes });
                }
            }
        }
    }
}

fn one_file(
    fs: &dyn Fs,
    path: &Path,
    options: FsckOptions,
    links: &mut BTreeMap<u64, Link>,
    report: &mut Report,
) {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let Ok(name) = name.parse::<SegmentName>() else {
        return report.problem(path, "unknown_file", "not the name of a segment");
    };
    report.files += 1;
    let found = match check(fs, path, options.full) {
        Ok(found) => found,
        Err(e) => return report.problem(path, "unreadable", e.to_string()),
    };
    report.bytes += found.bytes;
    report.groups_hashed += found.groups_hashed;
    let problems = report.problems.len();
    judge(path, name, &found, options, report);
    if name.closed.is_none() {
        report.open += 1;
    } else if problems == report.problems.len() {
        report.clean += 1;
    }
    if let (Some(head), Some(key), true) = (&found.head, found.key_id, found.closed && found.signed) {
        let signer = report.signers.entry((head.node.to_string(), key));
        signer.or_insert_with(|| (0, path.to_path_buf())).0 += 1;
    }
    if let Some(head) = found.head.filter(|_| found.closed) {
        let link = Link { path: path.to_path_buf(), previous: head.previous, hash: found.hash };
        if let Some(twin) = links.insert(head.number, link) {
            report.problem(
                path,
                "name",
                format!("segment number {} again: {}", head.number, twin.path.display()),
            );
        }
    }
}

fn judge(path: &Path, name: SegmentName, found: &FileCheck, options: FsckOptions, report: &mut Report) {
    match found.outcome {
        Outcome::Clean => {}
        Outcome::TornTail { bytes } => {
            report.torn += 1;
            report.problem(path, "torn", format!("{bytes} bytes after the last commit"));
        }
        Outcome::Damaged { at } => {
            report.damaged += 1;
            report.problem(path, "damaged", format!("byte {at}: {}", found.detail));
        }
    }
    if let Some(head) = &found.head
        && (head.start.millis(), head.number) != (name.start_ms, name.number)
    {
        report.problem(path, "name", "start or number differ from the header");
    }
    let signer = found.key_id.filter(|_| found.closed);
    if let (Some(want), Some(key)) = (options.key, signer)
        && key != want
    {
        report.problem(path, "signature", format!("signed by {key}, not by {want}"));
    }
    if signer.is_some() && !found.signed {
        report.problem(path, "signature", "the signature does not hold");
    }
}

/// Every segment names the hash of the one before, unless that is not known (zeros) or no longer stored.
fn check_chain(links: &BTreeMap<u64, Link>, report: &mut Report) {
    let mut before: Option<(u64, &Link)> = None;
    for (number, link) in links {
        if let Some((_, last)) = before.filter(|(n, _)| n + 1 == *number)
            && link.previous != [0; 32]
        {
            if link.previous == last.hash {
                report.links += 1;
            } else {
                let detail = format!("does not continue {}", last.path.display());
                report.problem(&link.path, "chain", detail);
            }
        }
        before = Some((*number, link));
    }
}
