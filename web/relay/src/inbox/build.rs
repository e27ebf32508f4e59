//! Records for the receiver's journal: what waits and is in order, in turns.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_storage::journal::kinds;

use super::judge::{Reason, judge};
use super::queue::{Gap, Item, Queued};
use super::{Applied, AppliedPart, BadFrame, Inbox, InboxAction, Outstanding, Quarantined, QuarantinedPart};
use crate::frame::{Frame, Key, Mark};
use crate::pace::Now;

/// What is first of an origin.
enum First {
    /// Nothing, or something is missing before it.
    Nothing,
    /// A frame in its place that may be taken in.
    Good,
    /// One in its place that may not.
    Bad,
}

/// A record that is being put together.
struct Batch {
    at: Now,
    parts: Vec<AppliedPart>,
    tokens: Vec<u64>,
    marks: BTreeMap<NodeId, Mark>,
    told: BTreeSet<(NodeId, NodeId)>,
    frames: usize,
    bytes: usize,
}

impl Batch {
    fn new(at: Now) -> Self {
        Self {
            at,
            parts: Vec::new(),
            tokens: Vec::new(),
            marks: BTreeMap::new(),
            told: BTreeSet::new(),
            frames: 0,
            bytes: 0,
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.frames < limits::RELAY_BATCH_FRAMES_MAX && self.bytes + bytes <= limits::RELAY_BATCH_BYTES_MAX
    }

    fn add(&mut self, frame: Frame, from: NodeId, base: Option<Key>, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes;
        self.marks.insert(frame.origin.clone(), frame.mark());
        self.told.insert((from.clone(), frame.origin.clone()));
        let same = |p: &&mut AppliedPart| {
            p.from == from && p.frames.first().is_some_and(|f| f.origin == frame.origin)
        };
        match self.parts.last_mut().filter(same) {
            Some(part) => {
                part.base = base.or(part.base);
                part.frames.push(frame);
            }
            None => self.parts.push(AppliedPart { from, base, frames: vec![frame] }),
        }
    }
}

impl Inbox {
    /// Gives the journal the next record, if it has none and there is one.
    pub(super) fn build(&mut self, now: Now) {
        if self.outstanding.is_some() || self.rest_until.is_some_and(|until| now.mono < until) {
            return;
        }
        self.rest_until = None;
        if self.build_standing(now) {
            return;
        }
        // Good and bad ones take turns, so that neither waits for ever for the other.
        let built = (self.bad_turn && self.build_quarantined(now))
            || self.build_applied(now)
            || self.build_quarantined(now);
        if built {
            self.bad_turn = self.outstanding.as_ref().is_some_and(|o| o.kind == kinds::RELAY_APPLIED);
        }
    }

    /// The origins, beginning behind the one whose turn was last.
    fn ring(&self) -> Vec<NodeId> {
        let waiting = self.origins.iter().filter(|(_, queue)| queue.len() > 0).map(|(id, _)| id.clone());
        let (mut before, mut ring) = (Vec::new(), Vec::new());
        for id in waiting {
            if self.turn.as_ref().is_some_and(|turn| id <= *turn) { before.push(id) } else { ring.push(id) }
        }
        ring.append(&mut before);
        ring
    }

    /// Looks at what is first of an origin that stands at `mark`; what was taken in already is dropped.
    fn first(&mut self, now: Now, origin: &NodeId, mark: Mark) -> First {
        let Some(queue) = self.origins.get_mut(origin) else { return First::Nothing };
        while queue.first().is_some_and(|(key, _)| key <= mark.key) {
            self.counters.duplicates += 1;
            let tokens = queue.pop().map(|q| q.tokens).unwrap_or_default();
            self.actions.extend(tokens.into_iter().map(|token| InboxAction::Ack { token }));
        }
        let Some((_, queued)) = queue.first() else { return First::Nothing };
        if queued.item.prev() == mark.key {
            let fault = match &queued.item {
                Item::Bad { .. } => return First::Bad,
                Item::Good(frame) => judge(frame, mark.chain, &self.upward, &*self.rules, now.utc).err(),
            };
            let Some((reason, detail)) = fault else { return First::Good };
            queue.condemn(reason, detail);
            return First::Bad;
        }
        let (walk, from, prev) = (queued.walk, queued.from.clone(), queued.item.prev());
        let gap = queue.gap.take_if(|gap| gap.behind == mark.key);
        let is_new = gap.is_none();
        let mut gap = gap.unwrap_or_else(|| Gap { behind: mark.key, walks: BTreeSet::new() });
        gap.walks.extend(walk);
        let given_up = gap.walks.len() >= limits::RELAY_GAP_WALKS;
        queue.gap = Some(gap);
        if given_up {
            let detail = format!("it comes behind {prev}, and the origin stands at {}", mark.key);
            queue.condemn(Reason::BrokenChain, detail);
            return First::Bad;
        }
        self.counters.gaps += u64::from(is_new);
        self.ask_anew(now, &from);
        First::Nothing
    }

    fn ask_anew(&mut self, now: Now, from: &NodeId) {
        let in_vain = self.sender(from).anew_in_vain;
        let pause = self.dice.pause(limits::BACKOFF_RELAY_ANEW, in_vain);
        self.sender(from).anew_at.get_or_insert(now.mono + pause);
    }

    fn build_applied(&mut self, now: Now) -> bool {
        let mut batch = Batch::new(now);
        let mut ring = self.ring();
        while !ring.is_empty() {
            let mut again = Vec::new();
            for origin in ring {
                let (full, more) = self.turn_of(now, &origin, &mut batch);
                if full {
                    return self.finish(batch);
                }
                if more {
                    again.push(origin);
                }
            }
            ring = again;
        }
        if batch.frames == 0 { false } else { self.finish(batch) }
    }

    /// One turn of one origin; says whether the record is full, and whether the origin may have more.
    fn turn_of(&mut self, now: Now, origin: &NodeId, batch: &mut Batch) -> (bool, bool) {
        for _ in 0..limits::RELAY_TURN_FRAMES_MAX {
            let mark = batch.marks.get(origin).copied().unwrap_or_else(|| self.durable.mark(origin));
            let First::Good = self.first(now, origin, mark) else { return (false, false) };
            let Some(queue) = self.origins.get_mut(origin) else { return (false, false) };
            let size = queue.first().map_or(0, |(_, q)| q.bytes);
            if !batch.has_room(size) {
                return (true, true);
            }
            let Some(Queued { item: Item::Good(frame), from, base, mut tokens, bytes, .. }) = queue.pop()
            else {
                return (false, false);
            };
            batch.tokens.append(&mut tokens);
            batch.add(*frame, from, base, bytes);
            self.turn = Some(origin.clone());
        }
        (false, true)
    }

    fn finish(&mut self, batch: Batch) -> bool {
        let Batch { at, parts, tokens, marks, told, frames, bytes: _ } = batch;
        let body = serde_json::to_value(Applied { parts }).unwrap_or_default();
        self.tickets += 1;
        self.hand_over(Outstanding {
            ticket: self.tickets,
            kind: kinds::RELAY_APPLIED,
            body,
            at,
            tokens,
            marks,
            told: told.into_iter().collect(),
            applied: frames as u64,
        });
        true
    }

    /// One record for all that is first and bad, of each origin a turn; what has no place goes first.
    fn build_quarantined(&mut self, now: Now) -> bool {
        let (mut parts, mut tokens, mut marks, mut told) =
            (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
        while let Some(unplaced) = self.unplaced.pop_front() {
            let from = unplaced.from;
            tokens.push(unplaced.token);
            let frames = vec![unplaced.bad];
            let (origin, beyond) = (from.clone(), BTreeMap::new());
            parts.push(QuarantinedPart { from, base: None, origin, mark: None, frames, beyond });
            if parts.len() >= limits::RELAY_TURN_FRAMES_MAX {
                break;
            }
        }
        for origin in self.ring() {
            if parts.len() >= limits::RELAY_TURN_FRAMES_MAX {
                break;
            }
            if let Some((part, mark)) = self.bad_run(now, &origin, &mut tokens) {
                told.push((part.from.clone(), origin.clone()));
                marks.insert(origin, mark);
                parts.push(part);
            }
        }
        if parts.is_empty() {
            return false;
        }
        let body = serde_json::to_value(Quarantined { parts }).unwrap_or_default();
        self.tickets += 1;
        let (ticket, kind) = (self.tickets, kinds::RELAY_QUARANTINED);
        self.hand_over(Outstanding { ticket, kind, body, at: now, tokens, marks, told, applied: 0 });
        true
    }

    /// The bad frames of an origin that follow each other and came from one sender.
    fn bad_run(
        &mut self,
        now: Now,
        origin: &NodeId,
        tokens: &mut Vec<u64>,
    ) -> Option<(QuarantinedPart, Mark)> {
        let mut at = self.durable.mark(origin);
        let mut part: Option<QuarantinedPart> = None;
        for _ in 0..limits::RELAY_TURN_FRAMES_MAX {
            let First::Bad = self.first(now, origin, at) else { break };
            let Some(queue) = self.origins.get_mut(origin) else { break };
            let other = |q: &Queued| part.as_ref().is_some_and(|p| p.from != q.from);
            if queue.first().is_none_or(|(_, q)| other(q)) {
                break;
            }
            let Some(queued) = queue.pop() else { break };
            let Item::Bad { reason, detail, mark, head, .. } = queued.item else { break };
            tokens.extend(queued.tokens);
            at = mark;
            *self.counters.quarantined.entry(reason).or_default() += 1;
            let part = part.get_or_insert_with(|| QuarantinedPart {
                from: queued.from,
                base: None,
                origin: origin.clone(),
                mark: None,
                frames: Vec::new(),
                beyond: BTreeMap::new(),
            });
            (part.base, part.mark) = (queued.base.or(part.base), Some(mark));
            // A run is part of one record: what is kept of it must fit beside that of others.
            if part.frames.len() < 2 && queue.quarantine.has_room(now.mono) {
                let (key, bytes) = (Some(mark.key), queued.bytes);
                part.frames.push(BadFrame { key, reason, detail, bytes, head });
            } else {
                self.counters.quarantined_beyond += 1;
                *part.beyond.entry(reason).or_default() += 1;
            }
        }
        part.map(|part| (part, at))
    }
}
