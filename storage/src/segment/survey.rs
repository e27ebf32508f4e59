//! Reading one closed file to its last byte, a group at a time, and saying of each part whether it holds. Unlike
//! [`super::check`], it goes on behind what does not hold, and tells what time of footage is lost by it.

use std::path::Path;

use fengsui_config::clock::UtcMicros;
use serde::{Deserialize, Serialize};

use super::preamble::Trust;
use super::reader::SegmentReader;
use super::records;
use super::scan::{self, Window};
use super::{Hash, KeyId, SegmentHead};
use crate::error::StoreError;
use crate::fs::Fs;

/// What part of a file does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The start of the file. One flipped bit costs nothing: the first record tells which.
    Preamble,
    /// Pictures: the time of the group is lost.
    Group,
    /// The record or filling behind a group; its pictures hold.
    Record,
    /// Fragment table, signature or index; the records serve in their place.
    Footer,
    /// The file as a whole: it cannot be opened, or not be read.
    File,
}

/// One place of a file that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// What it is part of.
    pub part: Part,
    /// File offset of that part.
    pub offset: u64,
    /// Length of that part in bytes.
    pub length: u64,
    /// The footage that is lost by it, `from <= t < to`; none when nothing is.
    pub lost: Option<(UtcMicros, UtcMicros)>,
    /// The hash it should have, when there is one.
    pub expected: Option<String>,
    /// The hash it has.
    pub found: Option<String>,
    /// What does not hold, for people.
    pub detail: String,
}

/// What a whole file came to.
#[derive(Debug, Clone)]
pub struct Survey {
    /// What the file says it is.
    pub head: SegmentHead,
    /// The key it names.
    pub key_id: KeyId,
    /// Groups read.
    pub groups: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The segment's hash, when the footer holds and is signed.
    pub hash: Option<Hash>,
    /// Everything that does not hold.
    pub damages: Vec<Damage>,
}

/// A survey under way.
#[derive(Debug)]
pub struct Surveyor {
    reader: SegmentReader,
    /// Group to read next.
    next: usize,
    /// Chain behind the group before; none after a record that does not hold.
    chain: Option<Hash>,
    /// End of footage of the group before.
    reached: Option<UtcMicros>,
    end: UtcMicros,
    bytes: u64,
    done: bool,
    damages: Vec<Damage>,
}

fn unreadable(e: &StoreError) -> bool {
    // EIO: the disk gave up on a sector. Anything else is no word on the file.
    matches!(e, StoreError::Io { source, .. } if source.raw_os_error() == Some(5))
}

impl Surveyor {
    /// Opens a closed file whose footage ends at `end` by its name. A file whose preamble does not hold is refused
    /// as [`StoreError::Damaged`].
    pub fn open(fs: &dyn Fs, path: &Path, end: UtcMicros) -> Result<Self, StoreError> {
        let reader = SegmentReader::open(fs, path, None)?;
        let chain = Some(*blake3::hash(&reader.scan.preamble).as_bytes());
        let mut damages = Vec::new();
        if reader.trust != Trust::Linked {
            let detail = match reader.trust {
                Trust::Mended => "one bit is not what was written; it is known which, and nothing is lost",
                _ => "no record vouches for the preamble",
            };
            damages.push(Damage {
                part: Part::Preamble,
                offset: 0,
                length: reader.scan.preamble.len() as u64,
                lost: None,
                expected: None,
                found: None,
                detail: detail.into(),
            });
        }
        let bytes = reader.scan.preamble.len() as u64;
        Ok(Self { reader, next: 0, chain, reached: None, end, bytes, done: false, damages })
    }

    /// End of the footage that the file tells of.
    #[must_use]
    pub fn reached(&self) -> Option<UtcMicros> {
        self.reader.fragments().iter().map(|f| f.utc_end).max()
    }

    /// Reads and checks the next part. Returns the bytes that it took; none at the end.
    pub fn step(&mut self) -> Result<Option<u64>, StoreError> {
        if self.done {
            return Ok(None);
        }
        let took = if self.next < self.reader.scan.groups.len() { self.group()? } else { self.footer()? };
        self.bytes += took;
        Ok(Some(took))
    }

    fn group(&mut self) -> Result<u64, StoreError> {
        let place = self.next;
        let Some(g) = self.reader.scan.groups.get(place).copied() else { return Ok(0) };
        let next = self.reader.scan.groups.get(place + 1);
        let end = next.map_or(self.reader.scan.next, |g| g.offset);
        let last = next.map_or(self.reader.fragments().len(), |g| g.first_fragment as usize);
        let first = g.first_fragment as usize;
        let fragments = self.reader.fragments().get(first..last).unwrap_or_default();
        let from = fragments.iter().map(|f| f.utc).min();
        let to = fragments.iter().map(|f| f.utc_end).max();
        let lost = from.zip(to);
        let region = match self.reader.region(place) {
            Ok(region) => region,
            Err(e) if unreadable(&e) => None,
            Err(e) => return Err(e),
        };
        self.next += 1;
        let mut damage = |part, offset, length, lost, found, detail: &str| {
            let expected = (part == Part::Group).then(|| hex::encode(g.hash));
            let detail = detail.to_owned();
            self.damages.push(Damage { part, offset, length, lost, expected, found, detail });
        };
        let whole = end.saturating_sub(g.offset);
        let Some(region) = region else {
            damage(Part::Group, g.offset, whole, lost, None, "the group cannot be read");
            (self.chain, self.reached) = (None, to);
            return Ok(whole);
        };
        if !region.media_holds() {
            let found = Some(hex::encode(region.found()));
            damage(Part::Group, g.offset, g.media, lost, found, "the group's hash does not hold");
        }
        let commit = records::decode_commit_unlinked(region.tail(), 0);
        let linked =
            commit.as_ref().map(|(c, link)| (c.chain, self.chain.is_none_or(|b| link(&b) == c.chain)));
        let record_at = g.offset.saturating_add(g.media);
        let record_len = region.len().saturating_sub(g.media);
        if !region.tail_holds() {
            damage(Part::Record, record_at, record_len, None, None, "commit record or filling does not hold");
        } else if !matches!(linked, Some((_, true))) {
            damage(
                Part::Record,
                record_at,
                record_len,
                None,
                None,
                "the commit record does not continue the chain",
            );
        }
        self.chain = linked.filter(|_| region.tail_holds()).map(|(chain, _)| chain);
        let read = region.len();
        self.hole(g.offset.saturating_add(read), end, to);
        self.reached = to.max(self.reached);
        Ok(read)
    }

    /// Bytes between what holds that belong to no group that is known.
    fn hole(&mut self, at: u64, end: u64, from: Option<UtcMicros>) {
        if at >= end {
            return;
        }
        let next = self.reader.scan.groups.get(self.next).map(|g| g.first_fragment as usize);
        let next = next.and_then(|i| self.reader.fragments().get(i)).map(|f| f.utc);
        let from = from.or(self.reached).unwrap_or(self.reader.scan.head.start);
        self.damages.push(Damage {
            part: Part::Group,
            offset: at,
            length: end - at,
            lost: Some((from, next.unwrap_or(self.end))).filter(|(a, b)| a < b),
            expected: None,
            found: None,
            detail: "no group that holds".into(),
        });
    }

    fn footer(&mut self) -> Result<u64, StoreError> {
        self.done = true;
        let reader = &self.reader;
        let first = reader.scan.groups.first().map_or(reader.scan.next, |g| g.offset);
        let lost_before = reader.fragments().first().map(|f| (reader.scan.head.start, f.utc));
        let before = (reader.scan.preamble.len() as u64, first);
        let len = reader.file.len().map_err(StoreError::io("measure segment", &reader.path))?;
        let mut damage = |offset, length, lost, part, detail: &str| {
            let (expected, found, detail) = (None, None, detail.to_owned());
            self.damages.push(Damage { part, offset, length, lost, expected, found, detail });
        };
        if before.0 < before.1 {
            let lost = lost_before.filter(|(a, b)| a < b);
            damage(before.0, before.1 - before.0, lost, Part::Group, "no group that holds");
        }
        let at = reader.scan.next;
        let rest = len.saturating_sub(at);
        let mut w = Window::new(&*reader.file, &reader.path);
        let footer = match scan::footer(&mut w, len) {
            Ok(footer) => footer,
            Err(scan::Stop::Io(e)) if !unreadable(&e) => return Err(e),
            Err(_) => None,
        };
        match footer {
            None => {
                let reached = self.reached.unwrap_or(reader.scan.head.start);
                // Behind the last group that holds there may have been others before the footer. A seam is no loss.
                let lost = Some((reached, self.end)).filter(|(a, b)| b.since(*a) > 1000 && rest > 0);
                let lost = lost.filter(|_| reader.footer.is_none());
                damage(at, rest, lost, Part::Footer, "there is no footer that holds");
            }
            Some(f) if !f.signed || f.last.key_id != reader.scan.header.key_id => {
                damage(f.at, len - f.at, None, Part::Footer, "the signature does not hold");
            }
            Some(f) if self.chain.is_some_and(|chain| !f.continues(&chain)) => {
                damage(f.at, len - f.at, None, Part::Footer, "the final record does not continue the chain");
            }
            Some(_) => {}
        }
        Ok(rest)
    }

    /// What it came to; after [`Self::step`] gave none.
    #[must_use]
    pub fn finish(self) -> Survey {
        let hash = self.chain.filter(|_| self.reader.footer.is_some());
        let hash = hash.and_then(|_| self.reader.segment_hash());
        Survey {
            head: self.reader.scan.head.clone(),
            key_id: self.reader.scan.header.key_id,
            groups: self.next as u64,
            bytes: self.bytes,
            hash,
            damages: self.damages,
        }
    }
}
