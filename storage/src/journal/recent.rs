//! The records written last, in memory as they are on the disk: whoever follows a journal record by record need not read
//! a file for each of them.

use std::collections::VecDeque;

use fengsui_config::limits;
use parking_lot::Mutex;

use super::format::{Decoded, decode_record, peek};
use super::{Journal, JournalRecord};

/// Records that were made durable together.
#[derive(Debug)]
struct Group {
    first: u64,
    last: u64,
    bytes: Vec<u8>,
}

/// The newest groups of this life of the journal, without a hole between them.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    groups: VecDeque<Group>,
    bytes: usize,
}

impl Recent {
    /// Keeps a group that is durable; older ones go when there is no room.
    pub(super) fn put(&self, first: u64, last: u64, bytes: Vec<u8>) {
        let mut kept = self.0.lock();
        kept.bytes += bytes.len();
        kept.groups.push_back(Group { first, last, bytes });
        while kept.bytes > limits::JOURNAL_RECENT_BYTES_MAX {
            let Some(oldest) = kept.groups.pop_front() else { break };
            kept.bytes -= oldest.bytes.len();
        }
    }

    /// Up to `max` records from number `from` on; none when that one is not kept.
    fn read(&self, from: u64, max: usize) -> Vec<JournalRecord> {
        let kept = self.0.lock();
        if kept.groups.front().is_none_or(|oldest| from < oldest.first) {
            return Vec::new();
        }
        let begin = kept.groups.partition_point(|group| group.last < from);
        let mut found = Vec::new();
        for group in kept.groups.iter().skip(begin) {
            let mut rest = group.bytes.as_slice();
            while let Some((seq, length)) = peek(rest) {
                if found.len() >= max {
                    return found;
                }
                if seq >= from
                    && let Decoded::Record(record, _) = decode_record(rest)
                {
                    found.push(*record);
                }
                rest = rest.get(length..).unwrap_or_default();
            }
        }
        found
    }
}

impl Journal {
    /// Up to `max` durable records from number `from` on, in order, as far as they are still in memory; none when the
    /// first of them is not: [`Self::read`] has it.
    #[must_use]
    pub fn recent(&self, from: u64, max: usize) -> Vec<JournalRecord> {
        let last = self.last_seq();
        let mut found = self.recent.read(from, max);
        found.truncate(found.partition_point(|record| record.seq <= last));
        found
    }
}
