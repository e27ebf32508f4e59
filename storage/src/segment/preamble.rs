//! Opening a file's preamble: checked against the first commit record, and mended in memory when one bit of it flipped.
//!
//! The preamble is the one part of a file that everything else needs and that stands there once. Nothing covers
//! `ftyp` and `moov` but the chain, which begins with the hash of the preamble; so the first group's record says
//! whether it holds, and, bit by bit, which bit does not. The file is never changed.

use super::boxes;
use super::records;
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
/// Longest commit record that is mended: trying every bit costs the square of the length.
const MEND_RECORD_MAX: usize = 8192;

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
    if length > MEND_PAGES_MAX * PAGE as u64 || !flip_back(&mut bytes, holds) {
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
    Ok((holds(&record) || record.len() <= MEND_RECORD_MAX && flip_back(&mut record, holds)).then_some(record))
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

/// Looks for the one bit that makes `bytes` hold; leaves them as they were when there is none.
fn flip_back(bytes: &mut [u8], holds: impl Fn(&[u8]) -> bool) -> bool {
    for at in 0..bytes.len() {
        for bit in 0..8u8 {
            let mask = 1 << bit;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
            if holds(bytes) {
                return true;
            }
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
        }
    }
    false
}
