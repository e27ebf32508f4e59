//! The receiver's core: takes packets of many senders, gives its journal what is in order and good, and confirms what
//! the journal took. No I/O and no clock: whoever drives it says what came and when, and does what it answers.
//!
//! What must hold, whatever comes in whatever order:
//!
//! - Every frame of an origin is taken in once, in the origin's order, and none is left out but those in quarantine:
//!   `the_city_loses_nothing`, `a_county_forwards_for_its_stations`.
//! - Nothing is confirmed and no delivery acknowledged before the journal has it: `nothing_is_confirmed_before_the_journal_has_it`.
//! - What the journal refused comes again: `what_the_journal_refused_comes_again`.
//! - Each kind of bad frame goes to quarantine with its reason, the origin goes on behind it, and no other origin
//!   notices: `each_bad_frame_has_its_reason_and_nothing_else_suffers`.
//! - A sender that speaks for another moves nothing of that other one: `a_sender_speaks_for_nobody_else`.
//! - A flood of one origin delays no other: `a_flood_of_one_delays_nobody_else`.
//! - Memory is bounded for each origin, and a missing frame always finds room: `a_missing_frame_always_finds_room`.
//! - A frame that is missing is asked for; only when the sender went on without it in several walks is what follows
//!   judged without it: `a_gap_is_filled_or_given_up_only_with_evidence`.
//! - A live alarm is shown before its frame, once, and leaves when the frame is taken in: `a_preview_leaves_when_its_frame_comes`.

mod build;
mod judge;
mod offer;
mod preview;
mod queue;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_storage::journal::kinds;
use serde::Serialize;
use serde_json::Value;

pub use judge::{ByReason, Reason, Rules};
pub use state::{Applied, AppliedPart, BadFrame, InboxState, OriginState, Quarantined, QuarantinedPart};

use crate::frame::{Key, Mark, Preview};
use crate::pace::{Dice, Now};
use crate::talk::{Ask, Confirmation, OriginMark, Where};
use crate::upward::Upward;
use preview::Previews;
use queue::{OriginQueue, Sender};

/// What the driver is to do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum InboxAction {
    /// Append a record to the receiver's journal, then say [`Inbox::journalled`]. There is one at a time.
    Journal {
        /// Names it in the answer.
        ticket: u64,
        /// Kind of the record.
        kind: &'static str,
        /// Its body.
        body: Value,
    },
    /// Acknowledge a delivery to the stream: it need never come again.
    Ack {
        /// The delivery.
        token: u64,
    },
    /// Leave a delivery to the stream, which brings it again after the delay.
    Nak {
        /// The delivery.
        token: u64,
        /// How long.
        delay: Duration,
    },
    /// Publish on `fengsui.confirm.<to>`.
    Confirm {
        /// The sender.
        to: NodeId,
        /// What it is told.
        confirmation: Confirmation,
    },
    /// Show a live alarm ahead of its frame. A county forwards it with [`crate::outbox::Outbox::direct`].
    Show(Preview),
    /// Show it no longer.
    Hide {
        /// Whose it was.
        origin: NodeId,
        /// Its place.
        key: Key,
        /// Its frame has come; otherwise it was too old, or there was no room.
        applied: bool,
    },
}

/// Counters since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InboxCounters {
    /// Packets that came.
    pub packets: u64,
    /// Frames that the journal took.
    pub applied: u64,
    /// Frames that had been taken in before.
    pub duplicates: u64,
    /// Frames that waited for one before them.
    pub gaps: u64,
    /// How often a sender was asked to begin again.
    pub asked_anew: u64,
    /// Packets left to the stream for want of room.
    pub left_to_stream: u64,
    /// Frames not taken in, by reason.
    pub quarantined: ByReason,
    /// Those of them of which nothing is kept.
    pub quarantined_beyond: u64,
    /// Records that the journal refused.
    pub journal_refusals: u64,
    /// Live alarms shown.
    pub previews: u64,
    /// Live alarms whose frame had come before, or that were shown already.
    pub previews_late: u64,
    /// Live alarms refused: bad, or too many of one sender.
    pub previews_refused: u64,
    /// Live alarms that left without their frame.
    pub previews_expired: u64,
}

/// The record that the journal is writing.
#[derive(Debug)]
struct Outstanding {
    ticket: u64,
    kind: &'static str,
    body: Value,
    at: Now,
    /// Deliveries to be acknowledged with it.
    tokens: Vec<u64>,
    /// Where the origins in it will stand.
    marks: BTreeMap<NodeId, Mark>,
    /// Who is told.
    told: Vec<(NodeId, NodeId)>,
    applied: u64,
}

/// A packet without a place that goes to quarantine.
#[derive(Debug)]
struct Unplaced {
    from: NodeId,
    bad: BadFrame,
    token: u64,
}

/// The receiver.
pub struct Inbox {
    upward: Arc<Upward>,
    rules: Arc<dyn Rules>,
    /// What the journal has.
    durable: InboxState,
    outstanding: Option<Outstanding>,
    origins: BTreeMap<NodeId, OriginQueue>,
    senders: BTreeMap<NodeId, Sender>,
    /// Origin that had its turn last.
    turn: Option<NodeId>,
    /// The next record is one of quarantine, if there is something for it.
    bad_turn: bool,
    unplaced: VecDeque<Unplaced>,
    previews: Previews,
    actions: VecDeque<InboxAction>,
    tickets: u64,
    /// After a refusal of the journal.
    rest_until: Option<MonoMicros>,
    dice: Dice,
    counters: InboxCounters,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("durable", &self.durable)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Inbox {
    /// A receiver that goes on at `state`, which its journal determines. It tells every sender it knows to ask anew.
    #[must_use]
    pub fn new(state: InboxState, upward: Arc<Upward>, rules: Arc<dyn Rules>, seed: u64) -> Self {
        let mut inbox = Self {
            upward,
            rules,
            durable: state,
            outstanding: None,
            origins: BTreeMap::new(),
            senders: BTreeMap::new(),
            turn: None,
            bad_turn: false,
            unplaced: VecDeque::new(),
            previews: Previews::default(),
            actions: VecDeque::new(),
            tickets: 0,
            rest_until: None,
            dice: Dice::new(seed),
            counters: InboxCounters::default(),
        };
        let known: Vec<NodeId> = inbox.durable.senders.keys().cloned().collect();
        for to in known {
            let confirmation = Confirmation::new(true, Vec::new());
            inbox.actions.push_back(InboxAction::Confirm { to, confirmation });
        }
        inbox
    }

    /// What the journal has.
    #[must_use]
    pub fn state(&self) -> &InboxState {
        &self.durable
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &InboxCounters {
        &self.counters
    }

    /// Live alarms shown now.
    pub fn previews(&self) -> impl Iterator<Item = &Preview> {
        self.previews.iter()
    }

    /// How many more packets of a sender the driver may fetch: what waits of it is bounded.
    #[must_use]
    pub fn credit(&self, sender: &NodeId) -> usize {
        let waiting = self.origins.get(sender).map_or(0, OriginQueue::len);
        limits::RELAY_INBOX_FRAMES_PER_ORIGIN_MAX.saturating_sub(waiting)
    }

    /// The answer to a sender that asks where to go on.
    ///
    /// What a sender says about how far it was confirmed ([`crate::frame::Packet::base`]) is believed only of the walk
    /// that begins here: before, it may speak of what this journal had before it was restored from a backup.
    pub fn locate(&mut self, from: &NodeId, ask: Ask) -> Where {
        if self.senders.len() < limits::RELAY_ORIGINS_MAX || self.senders.contains_key(from) {
            self.sender(from).walk = Some(ask.ask);
        }
        let marks = self.durable.origins.iter().filter(|(origin, _)| self.rules.may_send(from, origin));
        let marks =
            marks.map(|(origin, state)| OriginMark { origin: origin.clone(), mark: state.mark }).collect();
        Where::new(ask.ask, self.durable.senders.get(from).copied(), marks)
    }

    /// Where an origin stands, what the journal is writing included.
    fn mark(&self, origin: &NodeId) -> Mark {
        let writing = self.outstanding.as_ref().and_then(|o| o.marks.get(origin)).copied();
        writing.unwrap_or_else(|| self.durable.mark(origin))
    }

    /// The journal took the record of this ticket, or refused it.
    pub fn journalled(&mut self, now: Now, ticket: u64, taken: bool) {
        let Some(done) = self.outstanding.take_if(|o| o.ticket == ticket) else { return };
        if !taken {
            // Everything that waits is based on what was to be written: it comes again from the stream.
            self.counters.journal_refusals += 1;
            self.rest_until = Some(now.mono + limits::RELAY_JOURNAL_RETRY);
            let waiting = self.origins.values_mut().flat_map(OriginQueue::clear);
            let tokens: Vec<u64> = done.tokens.into_iter().chain(waiting).collect();
            tokens.into_iter().for_each(|token| self.leave(token));
            return;
        }
        // The body was made here, so it has the shape that is read.
        let took = self.durable.take(done.kind, &done.body, done.at.utc);
        debug_assert!(took.is_ok(), "{took:?}");
        self.counters.applied += done.applied;
        for token in done.tokens {
            self.actions.push_back(InboxAction::Ack { token });
        }
        for (from, origin) in done.told {
            let sender = self.sender(&from);
            sender.anew_in_vain = 0;
            sender.owed.insert(origin);
        }
        for origin in done.marks.into_keys() {
            let mark = self.durable.mark(&origin).key;
            for (origin, key) in self.previews.reached(&origin, mark) {
                self.actions.push_back(InboxAction::Hide { origin, key, applied: true });
            }
        }
    }

    fn sender(&mut self, id: &NodeId) -> &mut Sender {
        self.senders.entry(id.clone()).or_insert_with(Sender::new)
    }

    fn leave(&mut self, token: u64) {
        self.counters.left_to_stream += 1;
        self.actions.push_back(InboxAction::Nak { token, delay: limits::RELAY_NAK_DELAY });
    }

    /// What is to be done now. To be asked after everything that was told, and at [`Self::wake_at`].
    pub fn poll(&mut self, now: Now) -> Vec<InboxAction> {
        for (origin, key) in self.previews.expired(now.mono) {
            self.counters.previews_expired += 1;
            self.actions.push_back(InboxAction::Hide { origin, key, applied: false });
        }
        self.build(now);
        self.speak(now);
        std::mem::take(&mut self.actions).into()
    }

    /// Confirms what the journal took, and asks for what is missing.
    fn speak(&mut self, now: Now) {
        let mut said = Vec::new();
        for (to, sender) in &mut self.senders {
            let anew = sender.anew_at.is_some_and(|at| at <= now.mono);
            if sender.owed.is_empty() && !anew {
                continue;
            }
            if anew {
                self.counters.asked_anew += 1;
                sender.anew_in_vain = sender.anew_in_vain.saturating_add(1);
                sender.anew_at = None;
            }
            let marks = std::mem::take(&mut sender.owed).into_iter();
            let durable = &self.durable;
            let marks =
                marks.map(|origin| OriginMark { mark: durable.mark(&origin), origin }).collect::<Vec<_>>();
            said.push((to.clone(), Confirmation::new(anew, marks)));
        }
        for (to, confirmation) in said {
            self.actions.push_back(InboxAction::Confirm { to, confirmation });
        }
    }

    /// When to ask again, if nothing else happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<MonoMicros> {
        let anew = self.senders.values().filter_map(|s| s.anew_at).min();
        [anew, self.rest_until, self.previews.next_expiry()].into_iter().flatten().min()
    }

    /// Gives the journal a record; nothing else is given to it before its answer.
    fn hand_over(&mut self, outstanding: Outstanding) {
        let Outstanding { ticket, kind, ref body, .. } = outstanding;
        self.actions.push_back(InboxAction::Journal { ticket, kind, body: body.clone() });
        self.outstanding = Some(outstanding);
    }

    /// Notes where everything stands, long before the records that say so may be dropped.
    fn build_standing(&mut self, now: Now) -> bool {
        let due =
            self.durable.standing_since.is_some_and(|at| now.utc >= at + limits::RELAY_STANDING_INTERVAL);
        if !due {
            return false;
        }
        let body = serde_json::to_value(&self.durable).unwrap_or_default();
        self.tickets += 1;
        self.hand_over(Outstanding {
            ticket: self.tickets,
            kind: kinds::RELAY_STANDING,
            body,
            at: now,
            tokens: Vec::new(),
            marks: BTreeMap::new(),
            told: Vec::new(),
            applied: 0,
        });
        true
    }
}
