//! Checking one file to the last byte.

use std::path::Path;

use super::boxes;
use super::preamble;
use super::scan::{self, Scan, Stop, Window};
use super::{Hash, KeyId, Outcome, SegmentHead, recover};
use crate::error::StoreError;
use crate::fs::{Fs, FsFile, OpenOptions};

/// What is known of a file after a check.
#[derive(Debug, Clone)]
pub struct FileCheck {
    /// The outcome.
    pub outcome: Outcome,
    /// What does not hold, for people; empty when all does.
    pub detail: String,
    /// A footer is there.
    pub closed: bool,
    /// The head, if the preamble holds.
    pub head: Option<SegmentHead>,
    /// The key that the file names.
    pub key_id: Option<KeyId>,
    /// The footer's signature holds.
    pub signed: bool,
    /// The segment's hash (of a closed file).
    pub hash: Hash,
    /// Length of the file.
    pub bytes: u64,
    /// Groups whose hash was checked.
    pub groups_hashed: u64,
}

/// Checks one file; with `full` every byte of it. Changes nothing. Fails only when the file system does.
pub fn check(fs: &dyn Fs, path: &Path, full: bool) -> Result<FileCheck, StoreError> {
    let file = fs.open(path, OpenOptions::READ).map_err(StoreError::io("open segment", path))?;
    let bytes = file.len().map_err(StoreError::io("measure segment", path))?;
    let found = recover(fs, path)?;
    let mut out = FileCheck {
        outcome: found.outcome,
        detail: match found.outcome {
            Outcome::Clean => String::new(),
            _ => "a group, record or footer does not hold".into(),
        },
        closed: found.closed,
        head: found.head,
        key_id: None,
        signed: false,
        hash: found.chain,
        bytes,
        groups_hashed: 0,
    };
    let mut w = Window::new(&*file, path);
    let Some((mut scan, _)) = held(preamble::open(&mut w))? else { return Ok(out) };
    out.key_id = Some(scan.header.key_id);
    let footer = held(scan::footer(&mut w, bytes))?.flatten();
    out.signed = footer.as_ref().is_some_and(|f| f.signed && Some(f.last.key_id) == out.key_id);
    if full && matches!(out.outcome, Outcome::Clean) {
        let mut damage = |at, detail: &str| {
            out.outcome = Outcome::Damaged { at };
            detail.clone_into(&mut out.detail);
        };
        let end = footer.as_ref().map_or(bytes, |f| f.last.footer);
        match every_group(&*file, path, &mut scan, &mut w, end)? {
            Err((at, what)) => damage(at, what),
            Ok(hashed) => {
                out.groups_hashed = hashed;
                if let Some(f) = footer {
                    if f.groups != scan.groups || f.fragments != scan.fragments {
                        damage(end, "the fragment table differs from the commit records");
                    } else if !f.continues(&scan.chain) {
                        damage(f.at, "the final record does not continue the chain");
                    }
                }
            }
        }
    }
    Ok(out)
}

fn held<T>(r: Result<T, Stop>) -> Result<Option<T>, StoreError> {
    match r {
        Ok(v) => Ok(Some(v)),
        Err(Stop::Bad(..)) => Ok(None),
        Err(Stop::Io(e)) => Err(e),
    }
}

/// Walks all groups up to `end` and hashes each.
fn every_group(
    file: &dyn FsFile,
    path: &Path,
    scan: &mut Scan,
    w: &mut Window<'_>,
    end: u64,
) -> Result<Result<u64, (u64, &'static str)>, StoreError> {
    let mut room = Vec::new();
    let mut hashed = 0;
    while scan.next < end {
        match scan.step(w, end) {
            Err(Stop::Io(e)) => return Err(e),
            Err(Stop::Bad(at, what)) => return Ok(Err((at, what))),
            Ok(()) => {}
        }
        if let Some(g) = scan.groups.last().copied() {
            if !scan::hash_holds(file, path, &g, &mut room)? {
                return Ok(Err((g.offset, "the group's hash does not hold")));
            }
            if !only_fragments(&room) {
                return Ok(Err((g.offset, "the group is not made of fragments")));
            }
            hashed += 1;
        }
    }
    Ok(Ok(hashed))
}

/// Whether a group's bytes are `prft moof mdat`, over and over.
fn only_fragments(media: &[u8]) -> bool {
    let mut kinds = boxes::children(media).map(|b| (b.kind, b.body.len() + 8));
    let mut total = 0;
    while let Some((first, len)) = kinds.next() {
        let (second, third) = (kinds.next(), kinds.next());
        let shape = (&first, second.map(|k| k.0), third.map(|k| k.0));
        if shape != (b"prft", Some(*b"moof"), Some(*b"mdat")) {
            return false;
        }
        total += len + second.map_or(0, |k| k.1) + third.map_or(0, |k| k.1);
    }
    total == media.len()
}
