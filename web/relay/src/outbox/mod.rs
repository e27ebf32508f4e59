//! The sender's core: walks through its node's journal behind what the centre has confirmed, and keeps a bounded window of
//! frames on their way. No I/O and no clock: whoever drives it says what happened and when, and does what it answers.
//!
//! ```text
//!            link_up              located                    refused, silence, "anew"
//!   Down ------------> Asking ------------> Walking ---------------------------------> Asking
//!    ^--------------------------------------------- link_down
//! ```
//! A walk begins where the centre says it stands, and publishes each frame once. There is no other way to send
//! something again than a new walk: so what goes up is in order however often it goes.
//!
//! What must hold, whatever happens when:
//!
//! - Every record goes up in order, and none is left out but those passed over: `the_city_loses_nothing`.
//! - The cursor moves only by what the centre has confirmed, never by an acknowledgement of the stream:
//!   `the_cursor_moves_by_confirmation_alone`.
//! - Frames and bytes on their way are bounded, and so is what is held in memory, whatever waits in the journal:
//!   `the_window_is_bounded_and_a_long_backlog_costs_no_memory`.
//! - What is passed over is low first, then normal, never an alarm; it is counted exactly, and was never sent:
//!   `too_much_backlog_is_passed_over_low_first_and_never_an_alarm`, `the_city_loses_nothing`.
//! - A centre that was restored gets again what it lost, a node that was restored loses nothing that is new:
//!   `a_centre_that_was_restored_gets_again_what_it_lost`, `a_node_that_was_restored_goes_on`.
//! - A sender with nothing to send still finds out that its centre forgot: `an_idle_sender_asks_now_and_then`.
//! - A record that is too large for a frame is replaced by one that says so, in its place:
//!   `a_record_that_is_too_large_is_replaced_by_one_that_says_so`.
//! - What the stream forgot or holds back for a duplicate goes up all the same: `a_window_of_duplicates_stops_nothing`.

mod count;
mod flight;
mod passing;
mod spool;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_storage::error::StoreError;
use serde::Serialize;
use serde_json::Value;

pub use passing::{PassedOver, PassedState, PassedWhy, Size};
pub use spool::{JournalSpool, Spool};

use crate::frame::{Frame, Key, Mark, Preview};
use crate::pace::{Dice, Gate, Now};
use crate::talk::{Ask, Confirmation, OriginMark};
use crate::upward::{Priority, Upward};
use flight::Flights;
use passing::Search;

/// What the driver is to do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum OutboxAction {
    /// Ask the centre on `fengsui.where.<node>`; tell the answer to [`Outbox::located`].
    Ask(Ask),
    /// Publish to the stream on `fengsui.up.<node>`, in this order and on one connection; then [`Outbox::published`] or
    /// [`Outbox::refused`].
    Publish {
        /// Names it in the answer.
        ticket: u64,
        /// The header `Nats-Msg-Id`.
        message_id: String,
        /// The packet.
        bytes: Vec<u8>,
    },
    /// Send on `fengsui.now.<node>`, without the stream; whether it arrives does not matter.
    Direct(Vec<u8>),
    /// Move the journal's cursor to here, durably, then say [`Outbox::acknowledged`]. There is one at a time.
    Acknowledge {
        /// The record.
        seq: u64,
    },
    /// Append `relay.passed_over` with this body to the node's own journal, then say [`Outbox::noted`]. There is one at
    /// a time.
    Note(PassedOver),
}

/// Bounds of a sender.
#[derive(Debug, Clone, Copy)]
pub struct OutboxBounds {
    /// Frames that the centre has not confirmed; more than one record of a county holds.
    pub window_frames: usize,
    /// Bytes of them.
    pub window_bytes: usize,
    /// Frames that the stream has not acknowledged.
    pub unacked: usize,
    /// Own records that may wait.
    pub backlog: Size,
}

impl Default for OutboxBounds {
    fn default() -> Self {
        let (records, bytes) = (limits::RELAY_BACKLOG_RECORDS_DEFAULT, limits::RELAY_BACKLOG_BYTES_DEFAULT);
        Self {
            window_frames: limits::RELAY_WINDOW_FRAMES_MAX,
            window_bytes: limits::RELAY_WINDOW_BYTES_MAX,
            unacked: limits::RELAY_UNACKED_MAX,
            backlog: Size { records, bytes },
        }
    }
}

/// What [`Outbox::new`] needs.
#[derive(Debug)]
pub struct OutboxOptions {
    /// This node.
    pub node: NodeId,
    /// Epoch of its journal.
    pub epoch: u64,
    /// Newest record that the cursor `relay` has acknowledged.
    pub acknowledged: u64,
    /// What was passed over, reduced from the journal.
    pub passed: PassedState,
    /// What goes up.
    pub upward: Arc<Upward>,
    /// Bounds.
    pub bounds: OutboxBounds,
    /// For pauses and names of walks; different in every life.
    pub seed: u64,
}

/// How the sender stands to its centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// No link.
    Down,
    /// The centre was asked where to go on.
    Asking,
    /// Frames go up.
    Walking,
    /// The centre knows a later life of this node than this one: another node has its name, or its journal was put back
    /// by hand. Nothing is sent; somebody has to look.
    Ahead,
}

/// Counters since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OutboxCounters {
    /// Frames published, repeated ones included.
    pub published: u64,
    /// Frames that the centre confirmed.
    pub confirmed: u64,
    /// Publications that the stream refused.
    pub refused: u64,
    /// Walks begun.
    pub walks: u64,
    /// Questions.
    pub asked: u64,
    /// Live alarms sent the direct way.
    pub direct: u64,
    /// Live alarms that were too many or too old for it.
    pub direct_dropped: u64,
    /// Records replaced because they are too large for a frame.
    pub oversized: u64,
    /// Records passed over.
    pub passed_over: u64,
    /// Records that the journal could not give.
    pub unreadable: u64,
}

/// A live alarm that waits for the direct way.
#[derive(Debug)]
struct Direct {
    preview: Preview,
    until: MonoMicros,
}

/// The sender.
#[derive(Debug)]
pub struct Outbox {
    node: NodeId,
    epoch: u64,
    upward: Arc<Upward>,
    bounds: OutboxBounds,
    dice: Dice,
    standing: Standing,
    /// The question that is not answered.
    ask: Option<Ask>,
    /// When to ask (again).
    ask_at: MonoMicros,
    /// When the centre last said where this node stands.
    located_at: MonoMicros,
    /// Questions in vain.
    asked_in_vain: u32,
    /// Walks without progress.
    walks_in_vain: u32,
    /// Number of the walk.
    walk: u64,
    /// Where each origin stands in this walk: what was sent, or need not be.
    marks: BTreeMap<NodeId, Mark>,
    /// Newest record that this walk has read.
    head: Key,
    /// Frames of the record read last that do not fit the window yet.
    ready: VecDeque<walk::Ready>,
    flights: Flights,
    /// The cursor.
    acknowledged: u64,
    /// Its record, as the centre is told; unknown until the first walk.
    base: Key,
    acknowledging: Option<u64>,
    /// Newest record of which anything was sent in this life.
    sent: u64,
    /// Newest own frame that the centre is known to have.
    done: Key,
    /// Newest record that was counted.
    tail: u64,
    /// Own records that wait, by priority.
    waiting: BTreeMap<Priority, Size>,
    passed: PassedState,
    search: Option<Search>,
    noting: Option<PassedOver>,
    /// Nothing more could be passed over when this much waited.
    hopeless: Size,
    direct: VecDeque<Direct>,
    direct_gate: Gate,
    direct_at: Option<MonoMicros>,
    /// More can be done at once than one step does.
    busy: bool,
    counters: OutboxCounters,
}

impl Outbox {
    /// A sender without a link.
    #[must_use]
    pub fn new(options: OutboxOptions) -> Self {
        let OutboxOptions { node, epoch, acknowledged, passed, upward, bounds, seed } = options;
        let burst = u32::try_from(limits::RELAY_DIRECT_MAX).unwrap_or(u32::MAX);
        Self {
            node,
            epoch,
            upward,
            bounds,
            dice: Dice::new(seed),
            standing: Standing::Down,
            ask: None,
            ask_at: MonoMicros(0),
            located_at: MonoMicros(0),
            asked_in_vain: 0,
            walks_in_vain: 0,
            walk: 0,
            marks: BTreeMap::new(),
            head: Key::default(),
            ready: VecDeque::new(),
            flights: Flights::default(),
            acknowledged,
            base: Key::default(),
            acknowledging: None,
            sent: 0,
            done: Key::default(),
            tail: acknowledged,
            waiting: BTreeMap::new(),
            passed,
            search: None,
            noting: None,
            hopeless: Size::default(),
            direct: VecDeque::new(),
            direct_gate: Gate::new(limits::RELAY_DIRECT_INTERVAL, burst),
            direct_at: None,
            busy: false,
            counters: OutboxCounters::default(),
        }
    }

    /// How it stands to its centre.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &OutboxCounters {
        &self.counters
    }

    /// Own records that wait for the centre, as far as they were counted.
    #[must_use]
    pub fn backlog(&self) -> Size {
        self.waiting.values().fold(Size::default(), |sum, size| Size {
            records: sum.records + size.records,
            bytes: sum.bytes + size.bytes,
        })
    }

    /// Those of one priority.
    #[must_use]
    pub fn waiting(&self, priority: Priority) -> Size {
        self.waiting.get(&priority).copied().unwrap_or_default()
    }

    /// Frames and bytes on their way.
    #[must_use]
    pub fn in_flight(&self) -> (usize, usize) {
        (self.flights.len(), self.flights.bytes())
    }

    /// What was passed over.
    #[must_use]
    pub fn passed(&self) -> &PassedState {
        &self.passed
    }

    /// There is a connection to the centre's server.
    pub fn link_up(&mut self, now: Now) {
        self.standing = Standing::Asking;
        self.asked_in_vain = 0;
        self.ask = None;
        self.ask_at = now.mono;
    }

    /// The connection is gone, or is not believed any more.
    pub fn link_down(&mut self) {
        self.standing = Standing::Down;
        self.ask = None;
    }

    /// Asks where to go on, and begins again there.
    fn ask_again(&mut self, now: Now, soon: bool) {
        if self.standing != Standing::Walking {
            return;
        }
        self.standing = Standing::Asking;
        self.ask = None;
        let pause = self.dice.pause(limits::BACKOFF_RELAY_ASK, self.walks_in_vain);
        self.ask_at = if soon && self.walks_in_vain == 0 { now.mono } else { now.mono + pause };
    }

    /// The stream has this frame.
    pub fn published(&mut self, ticket: u64) {
        self.flights.published(ticket);
    }

    /// The stream does not take this frame.
    pub fn refused(&mut self, now: Now, ticket: u64) {
        if self.flights.is_open(ticket) {
            self.counters.refused += 1;
            self.ask_again(now, false);
        }
    }

    /// The centre's journal took something.
    pub fn confirmed(&mut self, now: Now, confirmation: &Confirmation) {
        if self.confirm(&confirmation.marks) {
            self.walks_in_vain = 0;
        }
        if confirmation.anew {
            self.ask_again(now, true);
        }
    }

    /// Takes in how far origins have come; says whether that was news.
    fn confirm(&mut self, marks: &[OriginMark]) -> bool {
        let mut news = false;
        for OriginMark { origin, mark } in marks {
            for flight in self.flights.confirm(origin, mark.key) {
                self.counters.confirmed += 1;
                news = true;
                if *origin == self.node {
                    self.settle(flight.key, flight.priority, flight.size);
                }
            }
        }
        news
    }

    /// An own record need not wait any more.
    fn settle(&mut self, key: Key, priority: Priority, size: u64) {
        if key > self.done {
            self.done = key;
            self.waiting.entry(priority).or_default().sub(1, size);
        }
    }

    /// The journal's cursor is durably here.
    pub fn acknowledged(&mut self, seq: u64) {
        self.acknowledging = None;
        if seq > self.acknowledged {
            self.acknowledged = seq;
            // The cursor may be one of the walk before, for a centre that has forgotten since: what is on its way now
            // goes by its own confirmations.
            let confirmed = self.confirmed_up_to().min(seq);
            self.base = self.flights.acknowledge(confirmed, self.head, self.base);
        }
    }

    /// The cursor could not be moved; it is tried again with the next confirmation.
    pub fn not_acknowledged(&mut self) {
        self.acknowledging = None;
    }

    /// The record of [`OutboxAction::Note`] is in the journal, or was refused.
    pub fn noted(&mut self, taken: bool) {
        let Some(passed) = self.noting.take().filter(|_| taken) else { return };
        self.counters.passed_over += passed.count;
        self.waiting.entry(passed.priority).or_default().sub(passed.count, passed.bytes);
        self.passed.take(&passed);
    }

    /// Sends a live alarm the direct way: of this node, or of one below it.
    pub fn direct(&mut self, now: Now, preview: Preview) {
        if self.direct.len() >= limits::RELAY_DIRECT_MAX {
            self.counters.direct_dropped += 1;
            self.direct.pop_front();
        }
        self.direct.push_back(Direct { preview, until: now.mono + limits::RELAY_DIRECT_AGE_MAX });
    }

    /// What is to be done now. To be asked after everything that was told, when the journal has new records, and at
    /// [`Self::wake_at`].
    ///
    /// # Errors
    /// When the journal cannot be read; it is tried again with the next call.
    pub fn poll(&mut self, now: Now, spool: &mut dyn Spool) -> Result<Vec<OutboxAction>, StoreError> {
        let mut actions = Vec::new();
        self.busy = false;
        self.count(now, spool)?;
        self.send_direct(now, &mut actions);
        self.pass_over(spool, &mut actions)?;
        if self.standing == Standing::Asking && self.ask_at <= now.mono {
            self.counters.asked += 1;
            let ask = Ask::new(self.dice.roll() >> 1);
            self.ask = Some(ask);
            let pause = self.dice.pause(limits::BACKOFF_RELAY_ASK, self.asked_in_vain);
            self.ask_at = now.mono + pause;
            self.asked_in_vain = self.asked_in_vain.saturating_add(1);
            actions.push(OutboxAction::Ask(ask));
        }
        if self.standing == Standing::Walking {
            if self.is_silent(now) {
                self.ask_again(now, true);
                self.busy = true;
            } else if self.search.is_none() && self.noting.is_none() {
                self.step(now, spool, &mut actions)?;
            }
        }
        self.acknowledge(&mut actions);
        Ok(actions)
    }

    /// When to ask again, if nothing else happens; `None`: not before something is told.
    #[must_use]
    pub fn wake_at(&self, now: Now) -> Option<MonoMicros> {
        if self.busy {
            return Some(now.mono);
        }
        let ask = (self.standing == Standing::Asking).then_some(self.ask_at);
        let silence = (self.standing == Standing::Walking).then(|| self.silent_at()).flatten();
        let direct = self.direct_at.filter(|_| self.standing != Standing::Down);
        [ask, silence, direct].into_iter().flatten().min()
    }

    fn timeout(bounds: (Duration, Duration), in_vain: u32) -> Duration {
        bounds.0.saturating_mul(1 << in_vain.min(8)).min(bounds.1)
    }

    /// When the stream or the centre has been silent for too long about what is on its way.
    fn silent_at(&self) -> Option<MonoMicros> {
        let ack = Self::timeout(limits::RELAY_ACK_TIMEOUT, self.walks_in_vain);
        let confirm = Self::timeout(limits::RELAY_CONFIRM_TIMEOUT, self.walks_in_vain);
        let ack = self.flights.oldest_unacked().map(|at| at + ack);
        let confirm = self.flights.oldest_unconfirmed().map(|at| at + confirm);
        // With nothing on its way nobody would tell that the centre came back from an old backup.
        let idle = confirm.is_none().then(|| self.located_at + limits::RELAY_CHECK_INTERVAL);
        [ack, confirm, idle].into_iter().flatten().min()
    }

    fn is_silent(&self, now: Now) -> bool {
        self.silent_at().is_some_and(|at| at <= now.mono)
    }

    /// Record up to which this walk knows everything to be confirmed.
    fn confirmed_up_to(&self) -> u64 {
        self.flights.confirmed_up_to(self.ready.front().map(|r| r.behind), self.head)
    }

    /// Moves the cursor behind what the centre has confirmed.
    fn acknowledge(&mut self, actions: &mut Vec<OutboxAction>) {
        if self.acknowledging.is_some() || self.standing != Standing::Walking {
            return;
        }
        let seq = self.confirmed_up_to();
        // Records that do not go up move it only now and then: each time costs a sync.
        let moved = self.flights.has_confirmed() || seq >= self.acknowledged + IDLE_RECORDS;
        if seq <= self.acknowledged {
            // A walk that began behind the cursor, for a centre that forgot.
            let before = self.flights.len();
            self.base = self.flights.acknowledge(seq, self.head, self.base);
            self.busy |= self.flights.len() < before;
        } else if moved {
            self.acknowledging = Some(seq);
            actions.push(OutboxAction::Acknowledge { seq });
        }
    }

    fn send_direct(&mut self, now: Now, actions: &mut Vec<OutboxAction>) {
        self.direct_at = None;
        while self.direct.front().is_some_and(|d| d.until <= now.mono) {
            self.direct.pop_front();
            self.counters.direct_dropped += 1;
        }
        if self.standing == Standing::Down {
            return;
        }
        while !self.direct.is_empty() {
            if let Err(at) = self.direct_gate.pass(now.mono) {
                self.direct_at = Some(at);
                return;
            }
            if let Some(direct) = self.direct.pop_front() {
                self.counters.direct += 1;
                actions.push(OutboxAction::Direct(direct.preview.encode()));
            }
        }
    }
}

/// Records that do not go up, after which the cursor is moved all the same.
const IDLE_RECORDS: u64 = 256;

/// The frames of a county's record that came from below.
fn forwarded(body: &Value) -> Vec<Frame> {
    use serde::Deserialize;
    let applied = crate::inbox::Applied::deserialize(body).unwrap_or_default();
    applied.parts.into_iter().flat_map(|part| part.frames).collect()
}
