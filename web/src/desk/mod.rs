//! The desk of events: takes them in, hands them to the journal by turns, and keeps the rows that come of it.
//!
//! Whoever puts an event here is answered when the journal has it. One task writes ([`run`]), another watches the node's own
//! states ([`watch`]). What limits and folds floods, what a row is, and what a state means are pure and stand in
//! `fengsui_relay::event`.

pub mod remote;
mod run;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_relay::event::intake::{Gate, Intake, Sender};
use fengsui_relay::event::rows::{EventRows, RecordId};
use fengsui_relay::event::{Event, EventKind, Priority};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot};

pub use run::{run, stopped, watch};

/// Why an event is not noted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNoted {
    /// Too many wait already.
    #[error("too many events wait for the journal")]
    Full,
    /// The node stops.
    #[error("the node stops")]
    Stopping,
    /// The journal refused, or the writer ended; the event may or may not be noted.
    #[error("the journal refused: {0}")]
    Refused(String),
    /// A request with the same key is under way.
    #[error("a request with the same key is under way")]
    UnderWay,
}

/// Where an event was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Its record.
    pub record: RecordId,
    /// Its row.
    pub row: Option<RecordId>,
    /// Events that the record stands for.
    pub events: u64,
}

/// Somebody who waits for a record, and the request that it is of.
#[derive(Debug)]
struct Ticket {
    answer: oneshot::Sender<Result<Noted, NotNoted>>,
    /// Kept until the rows know the request by its marks.
    _request: Option<Arc<UnderWay>>,
}

/// Keys of requests under way.
type Keys = Arc<Mutex<BTreeSet<String>>>;

/// A request that is under way: until this is dropped, no other one with its key is taken.
#[derive(Debug)]
pub struct UnderWay {
    key: String,
    keys: Keys,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.key);
    }
}

/// Counters of the desk.
#[derive(Debug, Default)]
struct Counters {
    events: Mutex<BTreeMap<(EventKind, Priority), u64>>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    records: AtomicU64,
    folded: AtomicU64,
    failed: AtomicU64,
    applied: AtomicU64,
}

/// Counters as they stand.
#[derive(Debug, Clone, Default)]
pub struct DeskStats {
    /// Events taken in, by kind and priority.
    pub events: BTreeMap<(EventKind, Priority), u64>,
    /// Events refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Records written.
    pub records: u64,
    /// Events that have no record of their own: counted in another's.
    pub folded: u64,
    /// Records that the journal refused.
    pub failed: u64,
    /// Records of other nodes that were taken into the rows.
    pub applied: u64,
    /// Events whose senders wait.
    pub waiting: usize,
    /// Records that wait.
    pub pending: usize,
    /// Cameras and senders that the limiter remembers.
    pub lanes: usize,
    /// Rows that are open, by priority.
    pub open: BTreeMap<Priority, usize>,
}

/// Events on their way, and the rows they come to.
#[derive(Debug)]
pub struct Desk {
    node: NodeId,
    epoch: u64,
    intake: Mutex<Intake<Ticket>>,
    /// Something is to be written.
    wake: Notify,
    rows: RwLock<EventRows>,
    /// Live alarms of other nodes ahead of their frames.
    ahead: remote::Ahead,
    under_way: Keys,
    rates: Mutex<BTreeMap<String, Gate>>,
    counters: Counters,
    /// Nothing more is taken in; changes under the lock of `intake`.
    closed: AtomicBool,
}

impl Desk {
    /// A desk that goes on from `rows`, on a journal in its opening `epoch`.
    #[must_use]
    pub fn new(node: NodeId, epoch: u64, rows: EventRows) -> Self {
        Self {
            node,
            epoch,
            intake: Mutex::default(),
            wake: Notify::new(),
            rows: RwLock::new(rows),
            ahead: remote::Ahead::default(),
            under_way: Arc::default(),
            rates: Mutex::default(),
            counters: Counters::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Opening of the journal.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &RwLock<EventRows> {
        &self.rows
    }

    /// Puts events of the node's own; nobody waits for them.
    pub fn put_own(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut intake = self.intake.lock();
        for event in events {
            self.count(&event);
            intake.put(&Sender::Node, event, None);
        }
        drop(intake);
        self.wake.notify_one();
    }

    /// Puts the events of a request and waits until the journal has all of them.
    ///
    /// # Errors
    /// When there is no room (then none was taken), or the journal refused one.
    pub async fn put(
        &self,
        sender: &Sender,
        events: Vec<Event>,
        request: Option<Arc<UnderWay>>,
    ) -> Result<Vec<Noted>, NotNoted> {
        let mut answers = Vec::with_capacity(events.len());
        {
            let mut intake = self.intake.lock();
            if self.closed.load(Ordering::Acquire) {
                return Err(NotNoted::Stopping);
            }
            intake.room(sender, events.len()).map_err(|_| NotNoted::Full)?;
            for event in events {
                self.count(&event);
                let (answer, receiver) = oneshot::channel();
                intake.put(sender, event, Some(Ticket { answer, _request: request.clone() }));
                answers.push(receiver);
            }
        }
        drop(request);
        self.wake.notify_one();
        let mut noted = Vec::with_capacity(answers.len());
        for answer in answers {
            let answer = answer.await;
            noted.push(answer.map_err(|_| NotNoted::Refused("the writer of events ended".into()))??);
        }
        Ok(noted)
    }

    /// Takes the key of a request for as long as what this gives is held.
    ///
    /// # Errors
    /// [`NotNoted::UnderWay`] when somebody has it.
    pub fn begin(&self, key: String) -> Result<Arc<UnderWay>, NotNoted> {
        if !self.under_way.lock().insert(key.clone()) {
            return Err(NotNoted::UnderWay);
        }
        Ok(Arc::new(UnderWay { key, keys: self.under_way.clone() }))
    }

    /// Counts events against the rate of a token.
    ///
    /// # Errors
    /// How long to wait.
    pub fn rate(&self, token: &str, rate: u32, events: u32, now: MonoMicros) -> Result<(), Duration> {
        let mut rates = self.rates.lock();
        if rates.len() > limits::TOKENS_MAX {
            rates.clear();
        }
        rates.entry(token.to_owned()).or_insert_with(|| Gate::per_minute(rate)).try_pass(now, events)
    }

    fn count(&self, event: &Event) {
        *self.counters.events.lock().entry((event.kind, event.priority)).or_default() += event.count;
    }

    /// Counts a refusal.
    pub fn count_refusal(&self, reason: &'static str) {
        *self.counters.refused.lock().entry(reason).or_default() += 1;
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> DeskStats {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let intake = self.intake.lock();
        DeskStats {
            events: self.counters.events.lock().clone(),
            refused: self.counters.refused.lock().clone(),
            records: load(&self.counters.records),
            folded: load(&self.counters.folded),
            failed: load(&self.counters.failed),
            applied: load(&self.counters.applied),
            waiting: intake.waiting(),
            pending: intake.pending(),
            lanes: intake.lanes(),
            open: self.rows.read().open_counts(),
        }
    }
}
