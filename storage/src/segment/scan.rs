//! Walking the records of a file: preamble, groups, footer. Reads headers and records, not media.

use std::path::Path;

use fengsui_config::limits;

use super::boxes;
use super::records::{self, COMMIT, Commit, Final, GroupEntry, HEADER, Header, RECORD_HEAD};
use super::{FragmentEntry, Hash, SegmentHead};
use crate::error::StoreError;
use crate::fs::{FsFile, PAGE};

/// Why a walk stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The file system refused.
    Io(StoreError),
    /// What stands at this offset is no part of the format, or does not hold.
    Bad(u64, &'static str),
}

/// What the walk knows so far.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) head: SegmentHead,
    pub(super) header: Header,
    /// The checked bytes of `ftyp` and `moov`.
    pub(super) init: bytes::Bytes,
    /// The checked bytes of the whole preamble.
    pub(super) preamble: bytes::Bytes,
    /// End of the last group that holds.
    pub(super) next: u64,
    pub(super) chain: Hash,
    /// What the last record says was durable before it was written.
    pub(super) synced: u64,
    pub(super) groups: Vec<GroupEntry>,
    pub(super) fragments: Vec<FragmentEntry>,
    /// Groups are missing before the last one.
    pub(super) skipped: bool,
}

/// Reads with a small window, so that neighbouring headers cost one call.
pub(super) struct Window<'a> {
    file: &'a dyn FsFile,
    path: &'a Path,
    at: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a dyn FsFile, path: &'a Path) -> Self {
        Self { file, path, at: 0, bytes: Vec::new() }
    }

    /// Lets the next reads at `at` see these bytes instead of the file's.
    pub(super) fn hold(&mut self, at: u64, bytes: Vec<u8>) {
        (self.at, self.bytes) = (at, bytes);
    }

    /// Up to `len` bytes at `at`; fewer at the end of the file.
    pub(super) fn get(&mut self, at: u64, len: usize) -> Result<&[u8], Stop> {
        let inside = |w: &Self| {
            let skip = usize::try_from(at.checked_sub(w.at)?).ok()?;
            (skip.checked_add(len)? <= w.bytes.len()).then_some(skip)
        };
        let skip = if let Some(skip) = inside(self) {
            skip
        } else {
            let mut room = vec![0; len.max(2 * PAGE)];
            let mut done = 0;
            while let Some(rest) = room.get_mut(done..).filter(|r| !r.is_empty()) {
                match self.file.read_at(at + done as u64, rest) {
                    Ok(0) => break,
                    Ok(n) => done += n,
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(Stop::Io(StoreError::io("read segment", self.path)(e))),
                }
            }
            room.truncate(done);
            (self.at, self.bytes) = (at, room);
            0
        };
        let end = (skip + len).min(self.bytes.len());
        Ok(self.bytes.get(skip..end).unwrap_or_default())
    }
}

/// Reads and checks the preamble.
pub(super) fn preamble(w: &mut Window<'_>) -> Result<Scan, Stop> {
    let mut at = 0u64;
    let mut init_len = 0usize;
    for expected in [b"ftyp", b"moov"] {
        let (size, kind) = boxes::header(w.get(at, 8)?).ok_or(Stop::Bad(at, "no box header"))?;
        if &kind != expected || size > limits::SEGMENT_RECORD_BYTES_MAX {
            return Err(Stop::Bad(at, "no ftyp and moov at the start"));
        }
        at += size as u64;
        init_len += size;
    }
    let record = record_at(w, at, HEADER)?;
    let (head, header) =
        records::decode_header(&record).ok_or(Stop::Bad(at, "header record does not hold"))?;
    let whole = header.preamble as usize;
    if whole > limits::SEGMENT_RECORD_BYTES_MAX
        || !whole.is_multiple_of(PAGE)
        || whole < init_len + record.len()
    {
        return Err(Stop::Bad(at, "header record with an impossible preamble length"));
    }
    let bytes = w.get(0, whole)?;
    if bytes.len() < whole || !is_padding(bytes, init_len + record.len()) {
        return Err(Stop::Bad(at, "preamble is not complete"));
    }
    let chain = *blake3::hash(bytes).as_bytes();
    let preamble = bytes::Bytes::copy_from_slice(bytes);
    Ok(Scan {
        head,
        header,
        init: preamble.slice(..init_len),
        preamble,
        next: whole as u64,
        chain,
        synced: 0,
        groups: Vec::new(),
        fragments: Vec::new(),
        skipped: false,
    })
}

/// Whether `bytes` from `at` on are nothing, or one `free` box of zeros.
pub(super) fn is_padding(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    let zeros = |b: &[u8]| b.iter().all(|b| *b == 0);
    rest.is_empty()
        || boxes::header(rest).is_some_and(|(size, kind)| {
            &kind == b"free" && size == rest.len() && zeros(rest.get(8..).unwrap_or_default())
        })
}

/// The whole record box of `kind` at `at`.
fn record_at(w: &mut Window<'_>, at: u64, kind: [u8; 16]) -> Result<Vec<u8>, Stop> {
    let head = w.get(at, RECORD_HEAD)?;
    let fits = boxes::header(head).filter(|(size, k)| {
        k == b"uuid" && *size <= limits::SEGMENT_RECORD_BYTES_MAX && head.get(8..) == Some(&kind)
    });
    let (size, _) = fits.ok_or(Stop::Bad(at, "no record here"))?;
    Ok(w.get(at, size)?.to_vec())
}

/// Finds the commit record of the group that starts at `offset` by walking its boxes.
pub(super) fn find_commit(w: &mut Window<'_>, offset: u64, limit: u64) -> Result<Vec<u8>, Stop> {
    let mut at = offset;
    loop {
        if at.saturating_add(8) > limit {
            return Err(Stop::Bad(offset, "group without a commit record"));
        }
        let (size, kind) = boxes::header(w.get(at, 8)?).ok_or(Stop::Bad(offset, "no box header in group"))?;
        match &kind {
            b"prft" | b"moof" | b"mdat" => at += size as u64,
            b"uuid" => {
                return record_at(w, at, COMMIT).map_err(|stop| match stop {
                    Stop::Bad(..) => Stop::Bad(offset, "group without a commit record"),
                    io @ Stop::Io(_) => io,
                });
            }
            _ => return Err(Stop::Bad(offset, "no group here")),
        }
    }
}

/// Whether a commit's own figures fit together.
pub(super) fn sound(c: &Commit, record_len: usize) -> bool {
    let Some(end) = c.offset.checked_add(c.media) else { return false };
    let mut at = c.offset;
    let contiguous = c.fragments.iter().all(|f| {
        let here = f.offset == at;
        at = at.saturating_add(u64::from(f.length));
        here
    });
    contiguous
        && at == end
        && c.length.is_multiple_of(PAGE as u64)
        && c.media.checked_add(record_len as u64).is_some_and(|n| n <= c.length)
}

impl Scan {
    /// Takes in the next group if it ends at or before `limit`. The media bytes are not looked at.
    pub(super) fn step(&mut self, w: &mut Window<'_>, limit: u64) -> Result<(), Stop> {
        let offset = self.next;
        let record = find_commit(w, offset, limit)?;
        let first = u32::try_from(self.fragments.len()).unwrap_or(u32::MAX);
        let c = records::decode_commit(&record, &self.chain, first)
            .ok_or(Stop::Bad(offset, "commit record does not hold or does not continue the chain"))?;
        let in_place = c.offset == offset && (self.skipped || c.number as usize == self.groups.len());
        if !in_place || !sound(&c, record.len()) || offset.saturating_add(c.length) > limit {
            return Err(Stop::Bad(offset, "commit record of another place"));
        }
        let tail = offset + c.media + record.len() as u64;
        let pad = usize::try_from(offset + c.length - tail).unwrap_or(usize::MAX);
        if pad > 2 * PAGE || !is_padding(w.get(tail, pad)?, 0) || w.get(tail, pad)?.len() < pad {
            return Err(Stop::Bad(offset, "padding after a commit record does not hold"));
        }
        self.synced = c.synced;
        self.chain = c.chain;
        self.next = offset + c.length;
        self.groups.push(GroupEntry { offset, media: c.media, first_fragment: first, hash: c.hash });
        self.fragments.extend(c.fragments);
        Ok(())
    }

    /// Takes in the group at `at` although bytes before it do not hold; the chain goes on from its record.
    pub(super) fn skip_to(&mut self, w: &mut Window<'_>, at: u64, limit: u64) -> Result<(), Stop> {
        let record = find_commit(w, at, limit)?;
        let first = u32::try_from(self.fragments.len()).unwrap_or(u32::MAX);
        let c = records::decode_commit_unlinked(&record, first).map(|(c, _)| c);
        let c =
            c.filter(|c| c.offset == at && sound(c, record.len()) && c.length <= limit.saturating_sub(at));
        let c = c.ok_or(Stop::Bad(at, "commit record does not hold"))?;
        self.skipped = true;
        self.chain = c.chain;
        self.next = at + c.length;
        self.synced = c.synced;
        self.groups.push(GroupEntry { offset: at, media: c.media, first_fragment: first, hash: c.hash });
        self.fragments.extend(c.fragments);
        Ok(())
    }

    /// Forgets group `n` and all after it; `chain` and `next` are those after the group before.
    pub(super) fn back_to(&mut self, n: usize, chain: Hash, next: u64) {
        let first = self.groups.get(n).map_or(self.fragments.len(), |g| g.first_fragment as usize);
        self.groups.truncate(n);
        self.fragments.truncate(first);
        (self.chain, self.next) = (chain, next);
    }
}

/// Reads the media of a group and says whether its hash holds. The bytes are left in `room`.
pub(super) fn hash_holds(
    file: &dyn FsFile,
    path: &Path,
    g: &GroupEntry,
    room: &mut Vec<u8>,
) -> Result<bool, StoreError> {
    let Ok(len) = usize::try_from(g.media) else { return Ok(false) };
    // No memory for what the file cannot hold.
    let end = g.offset.saturating_add(g.media);
    if end > file.len().map_err(StoreError::io("measure segment", path))? {
        return Ok(false);
    }
    room.resize(len, 0);
    match file.read_exact_at(g.offset, room) {
        Ok(()) => Ok(*blake3::hash(room).as_bytes() == g.hash),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(StoreError::io("read group", path)(e)),
    }
}

/// The start of a group after `from` whose commit record holds, whatever comes before it: its offset and what that
/// record says was durable when it was written.
pub(super) fn later_group(w: &mut Window<'_>, from: u64, len: u64) -> Result<Option<(u64, u64)>, Stop> {
    let mut at = (from + 1).next_multiple_of(PAGE as u64);
    while at < len {
        let starts = boxes::header(w.get(at, 8)?).is_some_and(|(_, kind)| &kind == b"prft");
        if starts {
            match find_commit(w, at, len) {
                Ok(record) => {
                    let commit = records::decode_commit_unlinked(&record, 0).map(|(c, _)| c);
                    if let Some(c) = commit.filter(|c| c.offset == at && sound(c, record.len())) {
                        return Ok(Some((at, c.synced)));
                    }
                }
                Err(Stop::Bad(..)) => {}
                Err(io @ Stop::Io(_)) => return Err(io),
            }
        }
        at += PAGE as u64;
    }
    Ok(None)
}

/// A footer that holds, and the table in it.
pub(super) struct Footer {
    pub(super) last: Final,
    pub(super) groups: Vec<GroupEntry>,
    pub(super) fragments: Vec<FragmentEntry>,
    /// The signature is that of the key it names.
    pub(super) signed: bool,
    /// File offset of the final record.
    pub(super) at: u64,
    /// Hash of all bytes from the footer's offset to the end of the file.
    pub(super) hash: Hash,
    /// The final record and what follows it.
    tail: Vec<u8>,
}

impl Footer {
    /// Whether the final record continues the chain that ends with `before`.
    pub(super) fn continues(&self, before: &Hash) -> bool {
        records::decode_final(&self.tail).is_some_and(|(f, linked)| linked(before) == f.chain)
    }
}

/// Reads the footer at the end of a file of `len` bytes. None when there is none that holds.
pub(super) fn footer(w: &mut Window<'_>, len: u64) -> Result<Option<Footer>, Stop> {
    let Some(at) = len.checked_sub(16) else { return Ok(None) };
    let mfro = w.get(at, 16)?;
    if mfro.get(4..8) != Some(b"mfro") {
        return Ok(None);
    }
    let size = boxes::Bits::new(mfro.get(12..).unwrap_or_default()).u32().unwrap_or(0);
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(limits::SEGMENT_RECORD_BYTES_MAX);
    let back = records::FINAL_BYTES + size;
    let Some(at) = len.checked_sub(back as u64) else { return Ok(None) };
    let tail = w.get(at, back)?.to_vec();
    let Some((last, _)) = records::decode_final(&tail) else { return Ok(None) };
    let table_len = usize::try_from(last.table).unwrap_or(usize::MAX);
    if table_len > limits::SEGMENT_RECORD_BYTES_MAX || last.footer.saturating_add(last.table) > at {
        return Ok(None);
    }
    let between = usize::try_from(at - last.footer).unwrap_or(usize::MAX);
    if between > table_len + 2 * PAGE {
        return Ok(None);
    }
    let bytes = w.get(last.footer, between)?;
    let table = bytes.get(..table_len).unwrap_or_default();
    if *blake3::hash(table).as_bytes() != last.table_hash || !is_padding(bytes, table_len) {
        return Ok(None);
    }
    let Some((groups, fragments)) = records::decode_table(table) else { return Ok(None) };
    if tail.get(records::FINAL_BYTES..) != Some(super::group::mfra(&fragments).as_slice()) {
        return Ok(None);
    }
    let mut hash = blake3::Hasher::new();
    hash.update(bytes).update(&tail);
    let hash = *hash.finalize().as_bytes();
    let signed = last.key_id.verifies(&records::signed(&last.chain), &last.signature);
    Ok(Some(Footer { last, groups, fragments, signed, at, hash, tail }))
}
