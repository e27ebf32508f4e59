//! What waits of one origin, and what is known of one sender.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;

use super::judge::Reason;
use crate::frame::{Chain, Frame, Key, Mark};
use crate::pace::Gate;

/// A frame that waits.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Good(Box<Frame>),
    /// Known to be bad already; goes to quarantine when its turn comes.
    Bad {
        reason: Reason,
        detail: String,
        mark: Mark,
        prev: Key,
        head: String,
    },
}

impl Item {
    pub(super) fn prev(&self) -> Key {
        match self {
            Self::Good(frame) => frame.prev,
            Self::Bad { prev, .. } => *prev,
        }
    }

    fn chain(&self) -> Chain {
        match self {
            Self::Good(frame) => frame.chain,
            Self::Bad { mark, .. } => mark.chain,
        }
    }
}

/// A frame that waits, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub item: Item,
    pub from: NodeId,
    /// What the sender says of itself, when that is believed.
    pub base: Option<Key>,
    /// The walk that it came in, if that was the sender's last one when it came: what the stream delivers of walks before
    /// says nothing about what the sender has.
    pub walk: Option<u64>,
    /// Deliveries of it; each wants an answer.
    pub tokens: Vec<u64>,
    pub bytes: usize,
}

/// Something is missing before the first frame that waits.
#[derive(Debug)]
pub(super) struct Gap {
    /// Where the origin stands.
    pub behind: Key,
    /// Walks in which the sender went on without it; each was its last one then.
    pub walks: BTreeSet<u64>,
}

/// Frames of one origin in order; at most as many and as large as the limits say.
#[derive(Debug, Default)]
pub(super) struct OriginQueue {
    frames: BTreeMap<Key, Queued>,
    bytes: usize,
    pub gap: Option<Gap>,
    pub quarantine: Minute,
}

impl OriginQueue {
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn first(&self) -> Option<(Key, &Queued)> {
        self.frames.first_key_value().map(|(key, queued)| (*key, queued))
    }

    pub(super) fn pop(&mut self) -> Option<Queued> {
        let (_, queued) = self.frames.pop_first()?;
        self.bytes -= queued.bytes;
        Some(queued)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.frames.len() < limits::RELAY_INBOX_FRAMES_PER_ORIGIN_MAX
            && self.bytes + bytes <= limits::RELAY_INBOX_BYTES_PER_ORIGIN_MAX
    }

    /// Takes a frame in; gives back the deliveries that have to be left to the stream for want of room.
    ///
    /// What comes earlier goes before what comes later: otherwise later frames that wait for a missing one would leave
    /// no room for it.
    pub(super) fn put(&mut self, key: Key, mut new: Queued, mark: Key) -> Vec<u64> {
        if let Some(old) = self.frames.get_mut(&key) {
            old.tokens.append(&mut new.tokens);
            if let Some(walk) = new.walk {
                (old.walk, old.base) = (new.walk, new.base);
                self.gap.iter_mut().for_each(|gap| gap.walks.extend([walk]));
            }
            // A later walk is based on where the origin stands now; what was sent before it may not be.
            if old.item.prev() != mark && old.item.chain() != new.item.chain() {
                self.bytes = self.bytes + new.bytes - old.bytes;
                (old.item, old.bytes) = (new.item, new.bytes);
            }
            return Vec::new();
        }
        let mut left = Vec::new();
        while !self.has_room(new.bytes) {
            match self.frames.last_key_value() {
                Some((last, _)) if *last > key => {
                    if let Some((_, out)) = self.frames.pop_last() {
                        self.bytes -= out.bytes;
                        left.extend(out.tokens);
                    }
                }
                Some(_) => {
                    left.append(&mut new.tokens);
                    return left;
                }
                // A single frame is never larger than all the room.
                None => break,
            }
        }
        self.bytes += new.bytes;
        self.frames.insert(key, new);
        left
    }

    /// Makes the first one bad.
    pub(super) fn condemn(&mut self, reason: Reason, detail: String) {
        let Some(mut entry) = self.frames.first_entry() else { return };
        let queued = entry.get_mut();
        if let Item::Good(frame) = &queued.item {
            let head = head_of(&crate::frame::to_bytes(&**frame));
            queued.item = Item::Bad { reason, detail, mark: frame.mark(), prev: frame.prev, head };
        } else if let Item::Bad { reason: r, detail: d, .. } = &mut queued.item {
            (*r, *d) = (reason, detail);
        }
    }

    /// Leaves everything to the stream.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        self.bytes = 0;
        std::mem::take(&mut self.frames).into_values().flat_map(|q| q.tokens).collect()
    }
}

/// The first bytes of a frame for the journal.
pub(super) fn head_of(bytes: &[u8]) -> String {
    let head = bytes.get(..limits::RELAY_QUARANTINE_HEAD_BYTES).unwrap_or(bytes);
    String::from_utf8_lossy(head).into_owned()
}

/// A bound for each minute.
#[derive(Debug, Default)]
pub(super) struct Minute {
    minute: u64,
    count: u32,
}

impl Minute {
    pub(super) fn has_room(&mut self, now: MonoMicros) -> bool {
        let minute = now.0 / 60_000_000;
        if minute != self.minute {
            (self.minute, self.count) = (minute, 0);
        }
        self.count += 1;
        self.count <= limits::RELAY_QUARANTINE_PER_MINUTE_MAX
    }
}

/// What is owed to one sender.
#[derive(Debug)]
pub(super) struct Sender {
    /// The walk that began at the last answer of this life.
    pub walk: Option<u64>,
    /// Origins that have come further.
    pub owed: BTreeSet<NodeId>,
    /// When it is asked anew.
    pub anew_at: Option<MonoMicros>,
    /// How often it was asked in vain.
    pub anew_in_vain: u32,
    /// For what it sends without a place.
    pub quarantine: Minute,
    /// For confirmations of what it sends twice.
    pub again: Gate,
    /// For live alarms.
    pub previews: Gate,
}

impl Sender {
    pub(super) fn new() -> Self {
        let burst = u32::try_from(limits::RELAY_DIRECT_MAX).unwrap_or(u32::MAX);
        Self {
            walk: None,
            owed: BTreeSet::new(),
            anew_at: None,
            anew_in_vain: 0,
            quarantine: Minute::default(),
            again: Gate::new(Duration::from_millis(250), 4),
            previews: Gate::new(limits::RELAY_DIRECT_INTERVAL / 2, burst * 2),
        }
    }
}
