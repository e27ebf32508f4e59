//! A message server of a centre, as far as the relay relies on it: a stream that keeps what it acknowledged, tells
//! doubles within a window by their message id, and delivers each message until it is acknowledged, the first time in
//! order and later in any order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How long a message id is remembered.
const DUPLICATE_WINDOW_US: u64 = 120_000_000;
/// How long a delivery may take before it is repeated.
const ACK_WAIT_US: u64 = 30_000_000;
/// Deliveries of one sender's messages that are not acknowledged.
const ACK_PENDING_MAX: usize = 256;

struct Stored {
    id: String,
    bytes: Arc<[u8]>,
    /// When it is delivered again; `None` before the first time.
    again_at: Option<u64>,
    /// Its delivery that is not answered.
    token: Option<u64>,
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PubAck {
    Stored,
    Refused,
}

#[derive(Default)]
pub(super) struct Server {
    pub is_up: bool,
    pub generation: u64,
    /// Refuses about half of what comes: the stream is full.
    pub is_full: bool,
    streams: BTreeMap<usize, VecDeque<Stored>>,
    ids: BTreeMap<String, u64>,
    tokens: BTreeMap<u64, (usize, String)>,
    next_token: u64,
}

impl Server {
    pub(super) fn publish(
        &mut self,
        now: u64,
        from: usize,
        id: String,
        bytes: Arc<[u8]>,
        coin: bool,
    ) -> PubAck {
        if self.is_full && coin {
            return PubAck::Refused;
        }
        let fresh = |at: &u64| now - *at < DUPLICATE_WINDOW_US;
        if self.ids.get(&id).is_some_and(fresh) {
            return PubAck::Stored;
        }
        if self.ids.len() > 4096 {
            self.ids.retain(|_, at| now - *at < DUPLICATE_WINDOW_US);
        }
        self.ids.insert(id.clone(), now);
        let stream = self.streams.entry(from).or_default();
        stream.push_back(Stored { id, bytes, again_at: None, token: None });
        PubAck::Stored
    }

    /// Up to `credit` deliveries of a sender's messages that are due.
    pub(super) fn deliver(
        &mut self,
        now: u64,
        from: usize,
        credit: usize,
        reorder: bool,
    ) -> Vec<(u64, Arc<[u8]>)> {
        let Some(stream) = self.streams.get_mut(&from) else { return Vec::new() };
        let pending = stream.iter().filter(|s| s.token.is_some()).count();
        let credit = credit.min(ACK_PENDING_MAX.saturating_sub(pending));
        let mut out = Vec::new();
        for stored in stream.iter_mut() {
            if out.len() >= credit {
                break;
            }
            let due = stored.again_at.is_none_or(|at| at <= now);
            if !due {
                continue;
            }
            if let Some(old) = stored.token {
                self.tokens.remove(&old);
            }
            self.next_token += 1;
            stored.token = Some(self.next_token);
            let first = stored.again_at.is_none();
            stored.again_at = Some(now + ACK_WAIT_US);
            self.tokens.insert(self.next_token, (from, stored.id.clone()));
            out.push((first, self.next_token, stored.bytes.clone()));
        }
        if reorder && out.iter().any(|(first, ..)| !first) {
            out.reverse();
        }
        out.into_iter().map(|(_, token, bytes)| (token, bytes)).collect()
    }

    pub(super) fn ack(&mut self, token: u64) {
        if let Some((from, id)) = self.tokens.remove(&token)
            && let Some(stream) = self.streams.get_mut(&from)
        {
            stream.retain(|s| s.id != id || s.token != Some(token));
        }
    }

    pub(super) fn nak(&mut self, now: u64, token: u64, delay: u64) {
        if let Some((from, _)) = self.tokens.remove(&token)
            && let Some(stream) = self.streams.get_mut(&from)
            && let Some(stored) = stream.iter_mut().find(|s| s.token == Some(token))
        {
            (stored.again_at, stored.token) = (Some(now + delay), None);
        }
    }

    /// When a message of a sender is to be delivered (again).
    pub(super) fn due_at(&self, now: u64, from: usize) -> Option<u64> {
        let stream = self.streams.get(&from)?;
        stream.iter().map(|s| s.again_at.unwrap_or(now)).min()
    }

    /// The server dies. What it stored stays; of ids it knows only those of what is stored.
    pub(super) fn kill(&mut self) {
        self.is_up = false;
        self.generation += 1;
        self.tokens.clear();
        let kept: Vec<String> = self.streams.values().flatten().map(|s| s.id.clone()).collect();
        self.ids.retain(|id, _| kept.contains(id));
        for stored in self.streams.values_mut().flatten() {
            stored.token = None;
        }
    }

    pub(super) fn stored(&self) -> usize {
        self.streams.values().map(VecDeque::len).sum()
    }
}
