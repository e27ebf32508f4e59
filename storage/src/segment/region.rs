//! One group of a file as it is read: media, commit record, filling; each with a word on whether it holds.

use std::path::Path;

use bytes::Bytes;
use fengsui_config::limits;

use super::Hash;
use super::boxes;
use super::records::{self, GroupEntry};
use super::scan;
use crate::error::StoreError;
use crate::fs::{FsFile, PAGE};

/// A group's bytes, checked.
#[derive(Debug, Clone)]
pub(super) struct Region {
    group: GroupEntry,
    bytes: Bytes,
    found: Hash,
    record: Option<RecordFacts>,
}

/// What the commit record says, when it holds and is this group's.
#[derive(Debug, Clone, Copy)]
struct RecordFacts {
    length: u64,
    /// The filling behind it holds too.
    filled: bool,
}

/// The media of a group.
#[derive(Debug)]
pub(super) struct Media<'a>(&'a Region);

impl Media<'_> {
    /// `length` bytes from `from` on, counted from the start of the group.
    pub(super) fn get(&self, from: u64, length: u64) -> Option<Bytes> {
        let end = from.checked_add(length).filter(|e| *e <= self.0.group.media)?;
        let (from, end) = (usize::try_from(from).ok()?, usize::try_from(end).ok()?);
        (end <= self.0.bytes.len()).then(|| self.0.bytes.slice(from..end))
    }
}

impl Region {
    /// Reads the group; the next one, or the footer, stands at `end`. None when it lies outside the file.
    pub(super) fn read(
        file: &dyn FsFile,
        path: &Path,
        group: GroupEntry,
        end: u64,
    ) -> Result<Option<Self>, StoreError> {
        let len = file.len().map_err(StoreError::io("measure segment", path))?;
        let (Some(media_end), true) = (group.offset.checked_add(group.media), end <= len) else {
            return Ok(None);
        };
        // Behind a group there may be a stretch that does not hold: it is not this group's.
        let most = media_end.saturating_add((limits::SEGMENT_RECORD_BYTES_MAX + 2 * PAGE) as u64);
        let Some(size) = end.min(most).checked_sub(group.offset) else { return Ok(None) };
        if media_end > end {
            return Ok(None);
        }
        let (Ok(size), Ok(media)) = (usize::try_from(size), usize::try_from(group.media)) else {
            return Ok(None);
        };
        let mut room = vec![0; size];
        file.read_exact_at(group.offset, &mut room).map_err(StoreError::io("read group", path))?;
        let (stored, tail) = room.split_at_checked(media).unwrap_or_default();
        let found = *blake3::hash(stored).as_bytes();
        let record = facts(&group, tail);
        if let Some(r) = record {
            room.truncate(usize::try_from(r.length).unwrap_or(usize::MAX));
        }
        Ok(Some(Self { group, bytes: Bytes::from(room), found, record }))
    }

    pub(super) fn offset(&self) -> u64 {
        self.group.offset
    }
    /// Bytes of the group with its record and filling, as far as they are known.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    pub(super) fn media(&self) -> Media<'_> {
        Media(self)
    }
    /// The hash of the media as they stand now.
    pub(super) fn found(&self) -> &Hash {
        &self.found
    }
    /// The fragments are what was written.
    pub(super) fn media_holds(&self) -> bool {
        self.found == self.group.hash
    }
    /// Record and filling are what was written.
    pub(super) fn tail_holds(&self) -> bool {
        self.record.is_some_and(|r| r.filled)
    }
    /// Every byte is what was written.
    pub(super) fn all_holds(&self) -> bool {
        self.media_holds() && self.tail_holds()
    }
    /// The commit record and what follows it.
    pub(super) fn tail(&self) -> &[u8] {
        let media = usize::try_from(self.group.media).unwrap_or(usize::MAX);
        self.bytes.get(media..).unwrap_or_default()
    }
}

fn facts(group: &GroupEntry, tail: &[u8]) -> Option<RecordFacts> {
    let (commit, _) = records::decode_commit_unlinked(tail, 0)?;
    let same = (commit.offset, commit.media, commit.hash) == (group.offset, group.media, group.hash);
    let (size, _) = boxes::header(tail)?;
    let behind = usize::try_from(commit.length.checked_sub(group.media)?).ok()?;
    if !same || !scan::sound(&commit, size) {
        return None;
    }
    let filled = tail.get(..behind).is_some_and(|t| behind - size <= 2 * PAGE && scan::is_padding(t, size));
    Some(RecordFacts { length: commit.length, filled })
}
