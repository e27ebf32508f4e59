//! Opening a file's preamble: checked against the first commit record, and mended in memory when one bit of it flipped.
//!
//! The preamble is the one part of a file that everything else needs and that stands there once. Nothing covers
//! `ftyp` and `moov` but the chain, which begins with the hash of the preamble; so the first group's record says
//! whether it holds, and whether what the header record says it must be is what was written. The file is never changed.

use super::boxes::{self, Boxes};
use super::flip::{flip, flipped_bit};
use super::mux;
use super::records::{self, RECORD_HEAD};
use super::scan::{self, Scan, Stop, Window};
use crate::fs::PAGE;

/// How far a preamble can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The first commit record continues its hash.
    Linked,
    /// There is no first commit record that holds; the header's own check sum does, nothing vouches for `moov`.
    Unlinked,
    /// One bit had flipped; what is in memory is what was written.
    Mended,
}

/// Longest preamble that is mended, in pages: what has more is not one of ours.
const MEND_PAGES_MAX: u64 = 4;
/// Reads and checks the preamble. Refuses one that does not hold and cannot be mended.
pub(super) fn open(w: &mut Window<'_>) -> Result<(Scan, Trust), Stop> {
    let strict = scan::preamble(w);
    let first = match &strict {
        Ok(scan) => first_record(w, scan.next)?.map(|record| (scan.next, record)),
        Err(Stop::Bad(..)) => first_group(w)?,
        Err(Stop::Io(_)) => None,
    };
    let Some((length, record)) = first else { return strict.map(|scan| (scan, Trust::Unlinked)) };
    let Some((commit, linked)) = records::decode_commit_unlinked(&record, 0) else {
        return strict.map(|scan| (scan, Trust::Unlinked));
    };
    if commit.number != 0 {
        // A crash left the first group out; what a later one continues is not the preamble.
        return strict.map(|scan| (scan, Trust::Unlinked));
    }
    if let Ok(scan) = strict
        && linked(&scan.chain) == commit.chain
    {
        return Ok((scan, Trust::Linked));
    }
    let holds = |bytes: &[u8]| linked(blake3::hash(bytes).as_bytes()) == commit.chain;
    let mut bytes = w.get(0, usize::try_from(length).unwrap_or(0))?.to_vec();
    // A sector that a crash left out is no flipped bit, and trying them all takes long.
    let kind = bytes.iter().skip(4).zip(b"ftyp").map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
    if kind > 1 || length > MEND_PAGES_MAX * PAGE as u64 || !mend(&mut bytes, holds) {
        return Err(Stop::Bad(0, "the preamble is not what the first group was written after"));
    }
    w.hold(0, bytes);
    scan::preamble(w).map(|scan| (scan, Trust::Mended))
}

/// The record of the group at `at`, if it holds, or would with one bit of it flipped.
fn first_record(w: &mut Window<'_>, at: u64) -> Result<Option<Vec<u8>>, Stop> {
    let mut record = match scan::find_commit(w, at, u64::MAX) {
        Ok(record) => record,
        Err(Stop::Bad(..)) => return Ok(None),
        Err(io @ Stop::Io(_)) => return Err(io),
    };
    let holds = |r: &[u8]| records::decode_commit_unlinked(r, 0).is_some_and(|(c, _)| c.offset == at);
    if let Some(bit) = flipped_bit(&record) {
        flip(&mut record, bit);
    }
    Ok(holds(&record).then_some(record))
}

/// The first group of a file whose preamble does not tell its own length.
fn first_group(w: &mut Window<'_>) -> Result<Option<(u64, Vec<u8>)>, Stop> {
    for page in 1..=MEND_PAGES_MAX {
        let at = page * PAGE as u64;
        if boxes::header(w.get(at, 8)?).is_some_and(|(_, kind)| &kind == b"prft")
            && let Some(record) = first_record(w, at)?
        {
            return Ok(Some((at, record)));
        }
    }
    Ok(None)
}

/// Brings a preamble back to what was written; `holds` knows its hash. Leaves anything in `bytes` when it cannot.
///
/// The header record says which of its own bits flipped, what `ftyp` and `moov` must say, and how long the filling is: so
/// there is one thing to try. Only where its box header does not lead to it are bits tried one by one.
fn mend(bytes: &mut Vec<u8>, holds: impl Fn(&[u8]) -> bool) -> bool {
    let whole = bytes.len();
    let Some(at) = header_place(bytes) else { return false };
    if bytes.get(at..at + RECORD_HEAD).and_then(boxes::header).is_none_or(|(_, kind)| &kind != b"uuid") {
        return flip_back(bytes, at..at + 8, &holds);
    }
    let size = bytes.get(at..).and_then(boxes::header).map_or(0, |(size, _)| size);
    let Some(record) = bytes.get_mut(at..at.saturating_add(size)) else {
        return flip_back(bytes, at..at + 8, &holds);
    };
    if let Some(bit) = flipped_bit(record) {
        flip(record, bit);
    }
    let Some((head, _)) = records::decode_header(record) else {
        return flip_back(bytes, at..at + RECORD_HEAD, &holds);
    };
    let Ok(init) = mux::init_segment(&head.info, mux::Audience::Stored) else { return false };
    let mut written = Boxes::with_capacity(whole);
    written.bytes(&init);
    written.bytes(record);
    let Some(filling) = whole.checked_sub(written.len()) else { return false };
    written.free(filling);
    let written = written.into_vec();
    if written.len() == whole && holds(&written) {
        *bytes = written;
        return true;
    }
    // Another writer's `moov`: the bit is in it, or nowhere.
    flip_back(bytes, 0..at, &holds)
}

/// Where the header record begins: behind `ftyp` and `moov` by their lengths, or where its type stands.
fn header_place(bytes: &[u8]) -> Option<usize> {
    let stands = |at: usize| bytes.get(at + 8..at + RECORD_HEAD) == Some(&records::HEADER);
    if let Some(at) = (0..bytes.len()).find(|at| stands(*at)) {
        return Some(at);
    }
    let (ftyp, _) = bytes.get(..8).and_then(boxes::header)?;
    let (moov, _) = bytes.get(ftyp..).and_then(boxes::header)?;
    ftyp.checked_add(moov).filter(|at| at + RECORD_HEAD <= bytes.len())
}

/// Looks for the one bit within `place` that makes `bytes` hold; leaves them as they were when there is none.
fn flip_back(bytes: &mut [u8], place: std::ops::Range<usize>, holds: &impl Fn(&[u8]) -> bool) -> bool {
    for bit in place.start * 8..place.end.min(bytes.len()) * 8 {
        flip(bytes, bit);
        if holds(bytes) {
            return true;
        }
        flip(bytes, bit);
    }
    false
}
