//! The limiter of events: pure, without a clock of its own.
//!
//! Every camera of every sender has a lane. A lane lets some records through at once; after that one every
//! `limits::EVENT_LANE_INTERVAL`, and what comes in between is folded into the next of its cause, counted. A sender as such
//! is limited likewise, so that no token fills the journal by way of many cameras. Among senders, and among the lanes of
//! one, turns are taken: a flood waits in its own lane and delays nobody else's event.
//!
//! Invariant: every event that was taken in comes out once, in exactly one record's count.
//! Invariant: a lane holds at most `limits::EVENT_LANE_CAUSES_MAX` causes apart and one sum a priority, whatever comes, but
//! for records that wait because they carry as many marks as one may.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::CameraId;
use fengsui_config::limits;
use serde_json::Value;

use super::{Event, Phase};

/// Who sends an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sender {
    /// The node, which watches its own states.
    Node,
    /// A token, by its id.
    Token(String),
    /// An operator, by name.
    Operator(String),
}

impl Sender {
    fn gate(&self) -> Gate {
        match self {
            Self::Node => Gate::new(limits::EVENT_NODE_INTERVAL, limits::EVENT_NODE_BURST),
            _ => Gate::new(limits::EVENT_SENDER_INTERVAL, limits::EVENT_SENDER_BURST),
        }
    }
}

/// There is no room for the event now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A record that is due: what it says, whose it is, and who waits for it.
#[derive(Debug)]
pub struct Due<T> {
    /// Whose.
    pub sender: Sender,
    /// What.
    pub event: Event,
    /// Who waits.
    pub waiters: Vec<T>,
}

/// Lets `burst` pass at once and then one every `interval` (the generic cell rate algorithm: one number of state).
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// When everything that passed is paid for.
    paid: MonoMicros,
    interval: Duration,
    burst: u32,
}

impl Gate {
    /// A gate that nothing has passed.
    #[must_use]
    pub fn new(interval: Duration, burst: u32) -> Self {
        Self { paid: MonoMicros(0), interval, burst }
    }

    /// One that lets `count` pass in a minute.
    #[must_use]
    pub fn per_minute(count: u32) -> Self {
        Self::new(Duration::from_secs(60) / count.max(1), count)
    }

    /// Lets `count` pass together, or none of them.
    ///
    /// # Errors
    /// How long to wait, when they may not pass yet.
    pub fn try_pass(&mut self, now: MonoMicros, count: u32) -> Result<(), Duration> {
        let cost = |n: u32| self.interval.saturating_mul(n);
        let (paid, most) = (self.paid.max(now) + cost(count), now + cost(self.burst));
        if paid > most {
            return Err(paid.since(most));
        }
        self.paid = paid;
        Ok(())
    }

    /// From when on the next may pass.
    fn opens(&self) -> MonoMicros {
        let credit = self.interval.saturating_mul(self.burst.saturating_sub(1));
        MonoMicros(self.paid.0.saturating_sub(u64::try_from(credit.as_micros()).unwrap_or(u64::MAX)))
    }

    fn pass(&mut self, now: MonoMicros) {
        self.paid = self.paid.max(now) + self.interval;
    }
}

#[derive(Debug)]
struct Pending<T> {
    event: Event,
    waiters: Vec<T>,
    /// Stands for several causes.
    sum: bool,
}

impl<T> Pending<T> {
    /// Carries as many marks as a record may.
    fn is_full(&self) -> bool {
        self.event.marks.len() >= limits::EVENT_MARKS_MAX
    }
}

#[derive(Debug)]
struct Lane<T> {
    gate: Gate,
    /// The journal refused: not before then.
    rests_until: MonoMicros,
    pending: Vec<Pending<T>>,
}

impl<T> Lane<T> {
    fn new() -> Self {
        let gate = Gate::new(limits::EVENT_LANE_INTERVAL, limits::EVENT_LANE_BURST);
        Self { gate, rests_until: MonoMicros(0), pending: Vec::new() }
    }

    /// From when on its next record may go; `None` when it has none.
    fn due(&self) -> Option<MonoMicros> {
        if self.pending.is_empty() {
            return None;
        }
        let gate = if self.pending.iter().any(Pending::is_full) { MonoMicros(0) } else { self.gate.opens() };
        Some(gate.max(self.rests_until))
    }

    fn put(&mut self, event: Event, waiters: Vec<T>) {
        let same = |p: &&mut Pending<T>| {
            !p.sum && !p.is_full() && p.event.cause == event.cause && p.event.part == event.part
        };
        if let Some(found) = self.pending.iter_mut().find(same) {
            found.event.absorb(event);
            found.waiters.extend(waiters);
            return;
        }
        if self.pending.iter().filter(|p| !p.sum).count() < limits::EVENT_LANE_CAUSES_MAX {
            self.pending.push(Pending { event, waiters, sum: false });
            return;
        }
        let sum = |p: &&mut Pending<T>| p.sum && !p.is_full() && p.event.priority == event.priority;
        match self.pending.iter_mut().find(sum) {
            Some(found) => {
                let names = found.event.data.remove(CAUSES);
                let added = event.cause.clone();
                found.event.absorb(summed(event));
                found.event.data.insert(CAUSES.into(), named(names, added));
                found.waiters.extend(waiters);
            }
            None => self.pending.push(Pending { event: summed(event), waiters, sum: true }),
        }
    }

    /// What goes first: what matters most, and of that the oldest.
    fn take(&mut self) -> Option<Pending<T>> {
        let first = self.pending.iter().enumerate().max_by_key(|(i, p)| (p.event.priority, usize::MAX - i));
        let place = first.map(|(i, _)| i)?;
        Some(self.pending.remove(place))
    }
}

/// Field of a sum's data that names causes within it.
const CAUSES: &str = "causes";

/// An event as part of a sum: what lasts cannot be told of many causes at once, so it becomes a point.
fn summed(mut event: Event) -> Event {
    event.data.clear();
    event.data.insert(CAUSES.into(), vec![Value::from(event.cause.clone())].into());
    let place = event.camera.map_or_else(|| "-".to_owned(), |c| c.to_string());
    let who = event.source.token.as_deref().or(event.source.operator.as_deref()).unwrap_or("node");
    let cause = format!("many/{place}/{}/{who}", event.priority.as_str());
    event.cause = cause.chars().take(limits::EVENT_CAUSE_CHARS_MAX).collect();
    (event.part, event.phase, event.times) = (String::new(), Phase::Point, 0);
    event
}

fn named(names: Option<Value>, added: String) -> Value {
    let mut names = names.and_then(|n| n.as_array().cloned()).unwrap_or_default();
    if names.len() < limits::EVENT_CAUSES_NAMED_MAX && !names.iter().any(|n| n == added.as_str()) {
        names.push(added.into());
    }
    names.into()
}

#[derive(Debug)]
struct Queue<T> {
    gate: Gate,
    lanes: BTreeMap<Option<CameraId>, Lane<T>>,
    /// Lanes with something pending, in the order of their turns.
    turns: VecDeque<Option<CameraId>>,
    waiting: usize,
}

/// Events on their way to the journal. `T` is whoever waits for the record of one.
#[derive(Debug)]
pub struct Intake<T> {
    queues: BTreeMap<Sender, Queue<T>>,
    /// Senders with something pending, in the order of their turns.
    turns: VecDeque<Sender>,
    lanes: usize,
    waiting: usize,
}

impl<T> Default for Intake<T> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), turns: VecDeque::new(), lanes: 0, waiting: 0 }
    }
}

impl<T> Intake<T> {
    /// Whether `events` of a sender have room.
    ///
    /// # Errors
    /// [`Full`] when too many wait already: of this sender, or of all together.
    pub fn room(&self, sender: &Sender, events: usize) -> Result<(), Full> {
        let own = self.queues.get(sender).map_or(0, |q| q.waiting);
        let fits = own + events <= limits::EVENT_WAITING_PER_SENDER_MAX
            && self.waiting + events <= limits::EVENT_WAITING_MAX
            && self.lanes + events <= limits::EVENT_LANES_MAX;
        if fits { Ok(()) } else { Err(Full) }
    }

    /// Takes an event in, with whoever waits for its record. The caller asked for [`Intake::room`].
    pub fn put(&mut self, sender: &Sender, event: Event, waiter: Option<T>) {
        let waiters: Vec<T> = waiter.into_iter().collect();
        self.waiting += waiters.len();
        let queue = self.queue(sender);
        queue.waiting += waiters.len();
        let place = event.camera;
        self.lane(sender, place).put(event, waiters);
    }

    /// Takes back a record that the journal refused, to be tried again at `until`; what came meanwhile is added to it.
    pub fn give_back(&mut self, due: Due<T>, until: MonoMicros) {
        let Due { sender, event, waiters } = due;
        self.waiting += waiters.len();
        self.queue(&sender).waiting += waiters.len();
        let lane = self.lane(&sender, event.camera);
        lane.rests_until = until;
        let same = |p: &Pending<T>| !p.sum && p.event.cause == event.cause && p.event.part == event.part;
        match lane.pending.iter().position(same) {
            Some(place) => {
                let newer = lane.pending.remove(place);
                let mut whole = Pending { event, waiters, sum: false };
                whole.event.absorb(newer.event);
                whole.waiters.extend(newer.waiters);
                lane.pending.insert(0, whole);
            }
            None => lane.put(event, waiters),
        }
    }

    fn queue(&mut self, sender: &Sender) -> &mut Queue<T> {
        self.queues.entry(sender.clone()).or_insert_with(|| Queue {
            gate: sender.gate(),
            lanes: BTreeMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
        })
    }

    /// The lane, made when new, with a turn of its own and of its sender.
    fn lane(&mut self, sender: &Sender, place: Option<CameraId>) -> &mut Lane<T> {
        let known = self.queues.get(sender).is_some_and(|q| q.lanes.contains_key(&place));
        self.lanes += usize::from(!known);
        if !self.turns.contains(sender) {
            self.turns.push_back(sender.clone());
        }
        let queue = self.queue(sender);
        let lane = queue.lanes.entry(place).or_insert_with(Lane::new);
        if lane.pending.is_empty() {
            queue.turns.push_back(place);
        }
        lane
    }

    /// The next record that may be written at `now`.
    pub fn take(&mut self, now: MonoMicros) -> Option<Due<T>> {
        self.next(Some(now))
    }

    /// The next record, limits or not: the node stops.
    pub fn take_at_once(&mut self) -> Option<Due<T>> {
        self.next(None)
    }

    fn next(&mut self, now: Option<MonoMicros>) -> Option<Due<T>> {
        for _ in 0..self.turns.len() {
            let sender = self.turns.pop_front()?;
            let Some(queue) = self.queues.get_mut(&sender) else { continue };
            let found = queue.next(now);
            if !queue.turns.is_empty() {
                self.turns.push_back(sender.clone());
            }
            if let Some(Pending { event, waiters, .. }) = found {
                self.waiting -= waiters.len();
                return Some(Due { sender, event, waiters });
            }
        }
        if let Some(now) = now {
            self.forget(now);
        }
        None
    }

    /// Forgets lanes that would let everything pass: nothing is lost with them.
    fn forget(&mut self, now: MonoMicros) {
        for queue in self.queues.values_mut() {
            queue.lanes.retain(|_, lane| !lane.pending.is_empty() || lane.gate.paid > now);
        }
        self.queues.retain(|_, queue| !queue.lanes.is_empty() || queue.gate.paid > now);
        self.lanes = self.queues.values().map(|q| q.lanes.len()).sum();
    }

    /// When the next record may be written; `None` when none waits.
    #[must_use]
    pub fn next_due(&self) -> Option<MonoMicros> {
        self.turns.iter().filter_map(|s| self.queues.get(s)?.due()).min()
    }

    /// Events with somebody who waits for them.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Cameras and senders remembered.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Records that are pending.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queues.values().flat_map(|q| q.lanes.values()).map(|l| l.pending.len()).sum()
    }
}

impl<T> Queue<T> {
    fn due(&self) -> Option<MonoMicros> {
        let lanes = self.turns.iter().filter_map(|place| self.lanes.get(place)?.due()).min()?;
        Some(lanes.max(self.gate.opens()))
    }

    fn next(&mut self, now: Option<MonoMicros>) -> Option<Pending<T>> {
        if now.is_some_and(|now| self.gate.opens() > now) {
            return None;
        }
        for _ in 0..self.turns.len() {
            let place = self.turns.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&place) else { continue };
            let ready = now.is_none_or(|now| lane.due().is_some_and(|due| due <= now));
            let taken = if ready { lane.take() } else { None };
            if let (Some(_), Some(now)) = (&taken, now) {
                lane.gate.pass(now);
                self.gate.pass(now);
            }
            if !lane.pending.is_empty() {
                self.turns.push_back(place);
            }
            if let Some(taken) = taken {
                self.waiting -= taken.waiters.len();
                return Some(taken);
            }
        }
        None
    }
}

impl Event {
    /// Adds a later event of the same cause: counts add up, the newest gives kind, phase and words.
    pub fn absorb(&mut self, newer: Self) {
        self.count = self.count.saturating_add(newer.count).min(limits::EVENT_COUNT_MAX);
        self.times = self.times.saturating_add(newer.times).min(self.count);
        self.at_us = self.at_us.min(newer.at_us);
        self.last_us = self.last_us.max(newer.last_us);
        self.priority = self.priority.max(newer.priority);
        (self.kind, self.phase) = (newer.kind, newer.phase);
        if !newer.text.is_empty() {
            self.text = newer.text;
        }
        if !newer.data.is_empty() {
            self.data = newer.data;
        }
        self.marks.extend(newer.marks);
    }
}
