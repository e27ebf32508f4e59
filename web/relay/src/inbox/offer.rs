//! What comes in.

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;

use super::judge::{Claim, Reason, judge_claim};
use super::queue::{Item, OriginQueue, Queued, head_of};
use super::{BadFrame, Inbox, InboxAction, Unplaced};
use crate::frame::{DecodeError, Head, Key, Mark, Packet, Preview};
use crate::pace::Now;
use crate::upward::Priority;

/// Packets without a place that wait for their record, of all senders.
const UNPLACED_MAX: usize = 256;

impl Inbox {
    /// A packet came from the stream: `from` is whose subject it was on, `token` names the delivery, which gets exactly
    /// one [`InboxAction::Ack`] or [`InboxAction::Nak`]. Call [`Self::poll`] afterwards.
    pub fn offer(&mut self, now: Now, from: &NodeId, bytes: &[u8], token: u64) {
        self.counters.packets += 1;
        if self.is_crowded(from) {
            self.leave(token);
            return;
        }
        let (origin, key, mut queued) = match Packet::decode(bytes) {
            Ok(Packet { base, walk, frame }) => {
                let (origin, key) = (frame.origin.clone(), frame.key());
                let item = Item::Good(Box::new(frame));
                let queued = Queued {
                    item,
                    from: from.clone(),
                    base: Some(base),
                    walk: Some(walk),
                    tokens: vec![token],
                    bytes: bytes.len(),
                };
                (origin, key, queued)
            }
            Err(DecodeError::Oversized { head: Some(head), bytes: size, max }) => {
                let detail = format!("{size} bytes; a packet has at most {max}");
                self.bad(from, *head, Reason::Oversized, detail, bytes, token)
            }
            Err(DecodeError::Newer(head)) => {
                let detail = format!("a frame of version {}", head.v);
                self.bad(from, *head, Reason::UnknownVersion, detail, bytes, token)
            }
            Err(error @ DecodeError::Oversized { .. }) => {
                self.unplaced(now, from, (Reason::Oversized, error.to_string()), None, bytes, token);
                return;
            }
            Err(error @ DecodeError::Malformed(_)) => {
                self.unplaced(now, from, (Reason::Malformed, error.to_string()), None, bytes, token);
                return;
            }
        };
        if !self.rules.may_send(from, &origin) {
            let fault = (Reason::WrongOrigin, format!("{from} may not speak for {origin}"));
            self.unplaced(now, from, fault, Some(key), bytes, token);
            return;
        }
        if self.sender(from).walk != queued.walk {
            (queued.base, queued.walk) = (None, None);
        }
        self.place(now, origin, key, queued);
    }

    /// More senders or origins than there can be nodes.
    fn is_crowded(&self, from: &NodeId) -> bool {
        let many = limits::RELAY_ORIGINS_MAX;
        let full = self.senders.len() >= many || self.origins.len() >= many;
        full && !(self.senders.contains_key(from) && self.origins.contains_key(from))
    }

    fn bad(
        &self,
        from: &NodeId,
        head: Head,
        reason: Reason,
        detail: String,
        bytes: &[u8],
        token: u64,
    ) -> (NodeId, Key, Queued) {
        let mark = Mark { key: head.key, chain: head.chain };
        let item = Item::Bad { reason, detail, mark, prev: head.prev, head: head_of(bytes) };
        // Nothing but the first bytes of it is kept.
        let bytes = bytes.len().min(limits::RELAY_FRAME_BYTES_MAX);
        let tokens = vec![token];
        let queued =
            Queued { item, from: from.clone(), base: Some(head.base), walk: Some(head.walk), tokens, bytes };
        (head.origin, head.key, queued)
    }

    fn place(&mut self, now: Now, origin: NodeId, key: Key, queued: Queued) {
        let mark = self.mark(&origin).key;
        if key <= mark {
            self.counters.duplicates += 1;
            let durable = self.durable.mark(&origin).key;
            match &mut self.outstanding {
                Some(writing) if key > durable => writing.tokens.extend(queued.tokens),
                _ => {
                    self.actions.extend(queued.tokens.into_iter().map(|token| InboxAction::Ack { token }));
                    // It does not seem to know how far the origin has come.
                    let sender = self.sender(&queued.from);
                    if sender.again.pass(now.mono).is_ok() {
                        sender.owed.insert(origin);
                    }
                }
            }
            return;
        }
        let left = self.origins.entry(origin).or_default().put(key, queued, mark);
        left.into_iter().for_each(|token| self.leave(token));
    }

    /// A packet that moves nobody: it goes to quarantine under its sender.
    fn unplaced(
        &mut self,
        now: Now,
        from: &NodeId,
        (reason, detail): (Reason, String),
        key: Option<Key>,
        bytes: &[u8],
        token: u64,
    ) {
        *self.counters.quarantined.entry(reason).or_default() += 1;
        let room = self.unplaced.len() < UNPLACED_MAX && self.sender(from).quarantine.has_room(now.mono);
        if !room {
            self.counters.quarantined_beyond += 1;
            self.actions.push_back(InboxAction::Ack { token });
            return;
        }
        let bad = BadFrame { key, reason, detail, bytes: bytes.len(), head: head_of(bytes) };
        self.unplaced.push_back(Unplaced { from: from.clone(), bad, token });
    }

    /// A live alarm came the direct way. Whether it is shown is said by [`InboxAction::Show`].
    pub fn offer_preview(&mut self, now: Now, from: &NodeId, bytes: &[u8]) {
        let Some(preview) = self.good_preview(now, from, bytes) else {
            self.counters.previews_refused += 1;
            return;
        };
        if preview.key() <= self.durable.mark(&preview.origin).key {
            self.counters.previews_late += 1;
            return;
        }
        let Some(gone) = self.previews.put(preview.clone(), now.mono) else {
            self.counters.previews_late += 1;
            return;
        };
        for (origin, key) in gone {
            self.counters.previews_expired += 1;
            self.actions.push_back(InboxAction::Hide { origin, key, applied: false });
        }
        self.counters.previews += 1;
        self.actions.push_back(InboxAction::Show(preview));
    }

    fn good_preview(&mut self, now: Now, from: &NodeId, bytes: &[u8]) -> Option<Preview> {
        if self.is_crowded(from) || self.sender(from).previews.pass(now.mono).is_err() {
            return None;
        }
        let preview = Preview::decode(bytes).ok()?;
        let Preview { origin, at_us, kind, body, .. } = &preview;
        let claim = Claim { origin, at: UtcMicros(*at_us), kind, body };
        let good = self.rules.may_send(from, origin)
            && self.upward.priority(kind, body) == Some(Priority::Alarm)
            && judge_claim(&claim, &self.upward, &*self.rules, now.utc).is_ok();
        good.then_some(preview)
    }

    /// How many frames of an origin wait.
    #[must_use]
    pub fn waiting(&self, origin: &NodeId) -> usize {
        self.origins.get(origin).map_or(0, OriginQueue::len)
    }

    /// How many live alarms are shown.
    #[must_use]
    pub fn previews_shown(&self) -> usize {
        self.previews.len()
    }
}
