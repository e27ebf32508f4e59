//! Watches from outside that bytes once committed never change and that no file goes away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::harness::{HarnessError, Outcome};

/// Times a listing is repeated because a file was renamed under it.
const LISTING_TRIES: usize = 20;

/// What is known of one segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    length: usize,
    hash: [u8; 32],
}

/// All segment files seen so far, by directory and the part of the name that never changes.
#[derive(Debug, Default)]
pub struct Prefixes {
    known: BTreeMap<(PathBuf, String), Known>,
}

impl Prefixes {
    /// Looks at all segment files below `volume`: what was committed at earlier looks must still be there, byte by
    /// byte. Remembers what is committed now.
    ///
    /// # Errors
    /// A sentence for every file that is gone or changed, or a directory that cannot be read.
    pub fn look(&mut self, volume: &Path) -> Outcome<()> {
        for _ in 0..LISTING_TRIES {
            let mut found = BTreeMap::new();
            for path in files(volume)? {
                match std::fs::read(&path) {
                    Ok(bytes) => drop(found.insert(key(&path), bytes)),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                    Err(e) => return Err(HarnessError(format!("read {}: {e}", path.display()))),
                }
            }
            // A file missing may be one that was renamed between listing and reading: then another look finds it.
            if self.known.keys().all(|k| found.contains_key(k)) {
                return self.compare(&found);
            }
        }
        Err(HarnessError(format!("files are gone from {}", volume.display())))
    }

    /// Number of files known.
    #[must_use]
    pub fn files(&self) -> usize {
        self.known.len()
    }

    fn compare(&mut self, found: &BTreeMap<(PathBuf, String), Vec<u8>>) -> Outcome<()> {
        let mut changed = Vec::new();
        for (key, bytes) in found {
            if let Some(known) = self.known.get(key)
                && bytes.get(..known.length).is_none_or(|b| hash(b) != known.hash)
            {
                changed.push(format!("{}/{} ({} bytes)", key.0.display(), key.1, known.length));
            }
            let length = committed_length(bytes);
            if length == 0 {
                // No picture was ever committed: recovery may set the whole file aside.
                continue;
            }
            let now = Known { length, hash: hash(bytes.get(..length).unwrap_or_default()) };
            let known = self.known.entry(key.clone()).or_insert(now);
            if length > known.length {
                *known = now;
            }
        }
        if changed.is_empty() {
            Ok(())
        } else {
            Err(HarnessError(format!("changed: {}", changed.join(", "))))
        }
    }
}

/// Directory, start and number: what a segment keeps from its first byte to its closed name.
fn key(path: &Path) -> (PathBuf, String) {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.trim_end_matches(".mp4").trim_end_matches(".open");
    let stable = stem.split('_').take(2).collect::<Vec<_>>().join("_");
    (path.parent().map(Path::to_owned).unwrap_or_default(), stable)
}

fn files(volume: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut todo = vec![volume.to_owned()];
    while let Some(directory) = todo.pop() {
        let entries = std::fs::read_dir(&directory)
            .map_err(|e| HarnessError(format!("read {}: {e}", directory.display())))?;
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                // Bytes behind the last commit go to quarantine: they are no footage.
                if !name.to_string_lossy().contains("quarantine") {
                    todo.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "mp4") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Length up to the end of the last whole `uuid` box behind a `moof`: commit records and the footer are such boxes
/// (ISO/IEC 14496-12 section 4.2), so everything before has been committed. 0 when there is none.
#[must_use]
pub fn committed_length(bytes: &[u8]) -> usize {
    let (mut at, mut committed, mut pictures) = (0, 0, false);
    while let Some((size, kind)) = box_header(bytes, at) {
        let Some(end) = at.checked_add(size).filter(|&e| size >= 8 && e <= bytes.len()) else { break };
        pictures |= &kind == b"moof";
        if &kind == b"uuid" && pictures {
            committed = end;
        }
        at = end;
    }
    committed
}

fn box_header(bytes: &[u8], at: usize) -> Option<(usize, [u8; 4])> {
    let size: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    let kind: [u8; 4] = bytes.get(at + 4..at + 8)?.try_into().ok()?;
    let size = match u32::from_be_bytes(size) {
        1 => u64::from_be_bytes(bytes.get(at + 8..at + 16)?.try_into().ok()?),
        n => u64::from(n),
    };
    Some((usize::try_from(size).ok()?, kind))
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn boxes(kinds: &[&str]) -> Vec<u8> {
        let one = |kind: &&str| [&12u32.to_be_bytes()[..], kind.as_bytes(), b"body"].concat();
        kinds.iter().flat_map(one).collect()
    }

    #[test]
    fn committed_is_what_lies_before_the_last_whole_record() {
        let bytes = boxes(&["ftyp", "uuid", "moof", "mdat", "uuid", "free", "moof"]);
        assert_eq!(committed_length(&bytes), 60);
        assert_eq!(committed_length(bytes.get(..59).unwrap()), 0);
        assert_eq!(committed_length(&[0; 100]), 0);
    }

    #[test]
    fn growth_and_a_new_name_are_allowed_but_a_changed_or_lost_byte_is_not() {
        let volume = tempfile::tempdir().unwrap();
        let open = volume.path().join("1000_7.open.mp4");
        let closed = volume.path().join("1000_7_9_c.mp4");
        let mut prefixes = Prefixes::default();
        std::fs::write(&open, boxes(&["moof", "uuid"])).unwrap();
        prefixes.look(volume.path()).unwrap();
        std::fs::rename(&open, &closed).unwrap();
        std::fs::write(&closed, boxes(&["moof", "uuid", "uuid"])).unwrap();
        prefixes.look(volume.path()).unwrap();
        let mut bytes = boxes(&["moof", "uuid", "uuid"]);
        *bytes.get_mut(20).unwrap() ^= 1;
        std::fs::write(&closed, bytes).unwrap();
        assert!(prefixes.look(volume.path()).unwrap_err().0.starts_with("changed"));
        std::fs::remove_file(&closed).unwrap();
        assert!(prefixes.look(volume.path()).unwrap_err().0.contains("gone"));
    }
}
