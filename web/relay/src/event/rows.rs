//! Rows of events for people: one cause, one row. A reduction of the journal.
//!
//! A row is open while a part of its cause is. Events of a cause that was silent for `limits::EVENT_JOIN_WITHIN` begin a
//! new row. Only so many rows that are over stay in memory; the journal has all events.
//!
//! Invariant: the rows are what the journal says, wherever a snapshot was taken.
//! Invariant: what devices tell late is counted, and opens or closes nothing that changed since.

mod look;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer, kinds};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Event, EventKind, Phase, Priority, Source};
use crate::frame::Frame;
use crate::inbox::Applied;

/// Parts of a row whose end is remembered.
const ENDED_MAX: usize = 64;

/// A journal record, by which an event is known everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecordId {
    /// The node that wrote it.
    pub node: String,
    /// Opening of its journal.
    pub epoch: u64,
    /// Number in it.
    pub seq: u64,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.node, self.epoch, self.seq)
    }
}

impl FromStr for RecordId {
    type Err = super::NotKnown;
    fn from_str(s: &str) -> Result<Self, super::NotKnown> {
        let mut parts = s.rsplitn(3, '.');
        let mut number = || parts.next().and_then(|p| p.parse().ok()).ok_or(super::NotKnown);
        let (seq, epoch) = (number()?, number()?);
        let node = parts.next().filter(|n| !n.is_empty()).ok_or(super::NotKnown)?;
        Ok(Self { node: node.to_owned(), epoch, seq })
    }
}

/// A part of a row that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPart {
    /// As what it opened.
    pub kind: EventKind,
    /// How much that matters.
    pub priority: Priority,
    /// When.
    pub at_us: UtcMicros,
}

/// All events of one cause, until it was silent for long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The record that began it.
    pub id: RecordId,
    /// The cause.
    pub cause: String,
    /// Its heading: what matters most, and of that the first.
    pub kind: EventKind,
    /// The highest of its events.
    pub priority: Priority,
    /// Where.
    pub camera: Option<CameraId>,
    /// Who told the heading.
    pub source: Source,
    /// What is open.
    pub parts: BTreeMap<String, OpenPart>,
    /// Events.
    pub count: u64,
    /// How often it began.
    pub times: u64,
    /// Records that hold them.
    pub records: u64,
    /// When the first happened.
    pub first_us: UtcMicros,
    /// When the latest happened.
    pub last_us: UtcMicros,
    /// When it was over; absent while it is open and for what does not last.
    pub over_us: Option<UtcMicros>,
    /// When parts that are over were closed, as far as remembered: what opened before then is over too.
    pub ended: BTreeMap<String, UtcMicros>,
    /// Words of the heading.
    pub text: String,
    /// Facts of the heading.
    pub data: Map<String, Value>,
    /// Newest record.
    pub newest: RecordId,
    /// When that was noted.
    pub noted_us: UtcMicros,
    /// It was closed because too many were open, not because it was over.
    pub lapsed: bool,
    /// Grows with every event of all rows: the order of the listing.
    pub order: u64,
}

impl Row {
    /// Whether something of it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.parts.is_empty()
    }

    fn begin(id: RecordId, event: &Event) -> Self {
        Self {
            cause: event.cause.clone(),
            kind: event.kind,
            priority: event.priority,
            camera: event.camera,
            source: event.source.clone(),
            parts: BTreeMap::new(),
            count: 0,
            times: 0,
            records: 0,
            first_us: event.at_us,
            last_us: event.last_us,
            over_us: None,
            ended: BTreeMap::new(),
            text: event.text.clone(),
            data: event.data.clone(),
            newest: id.clone(),
            id,
            noted_us: UtcMicros(0),
            lapsed: false,
            order: 0,
        }
    }

    fn add(&mut self, event: &Event, state_counts: bool) {
        let was_open = self.is_open();
        let fresh = event.phase == Phase::Opens && !was_open && self.count > 0;
        if event.priority > self.priority || fresh {
            (self.kind, self.source) = (event.kind, event.source.clone());
            (self.text, self.data) = (event.text.clone(), event.data.clone());
        } else if event.kind == self.kind && (event.phase != Phase::Closes || !was_open) {
            if !event.text.is_empty() {
                self.text.clone_from(&event.text);
            }
            if !event.data.is_empty() {
                self.data.clone_from(&event.data);
            }
        }
        self.priority = self.priority.max(event.priority);
        self.camera = self.camera.or(event.camera);
        self.count = self.count.saturating_add(event.count);
        // What opens beside something open does not begin the row anew.
        let times = if was_open { event.times.saturating_sub(1) } else { event.times };
        self.times = self.times.saturating_add(times);
        self.records += 1;
        self.first_us = self.first_us.min(event.at_us);
        self.last_us = self.last_us.max(event.last_us);
        if state_counts {
            self.change(event);
        }
    }

    fn change(&mut self, event: &Event) {
        let at = event.last_us;
        // What a node tells of itself is in order, whatever its clock does meanwhile; what devices tell may come late.
        let in_order = event.source.token.is_none();
        match event.phase {
            Phase::Opens if in_order || self.ended.get(&event.part).is_none_or(|ended| at >= *ended) => {
                let room = self.parts.len() < limits::EVENT_PARTS_MAX;
                if room || self.parts.contains_key(&event.part) {
                    let part = OpenPart { kind: event.kind, priority: event.priority, at_us: at };
                    self.parts.insert(event.part.clone(), part);
                }
                (self.over_us, self.lapsed) = (None, false);
            }
            Phase::Closes if self.parts.get(&event.part).is_some_and(|part| in_order || at >= part.at_us) => {
                self.parts.remove(&event.part);
                self.ended.insert(event.part.clone(), at);
                if self.ended.len() > ENDED_MAX
                    && let Some(oldest) = self.ended.iter().min_by_key(|(_, at)| **at).map(|(p, _)| p.clone())
                {
                    self.ended.remove(&oldest);
                }
                if !self.is_open() {
                    self.over_us = Some(at);
                }
            }
            _ => {}
        }
    }
}

/// A request that was noted, by its mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedRequest {
    /// Hash of sender and key.
    pub key: String,
    /// Hash of the body.
    pub body: String,
    /// Which events of it, and the record of each: opening of the journal, and number.
    pub events: BTreeMap<u16, (u64, u64)>,
}

/// What the newest opening of the journal said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The outcome, as in `journal.opened`.
    pub found: Value,
    /// The node's key.
    pub key: String,
    /// The key of the opening before.
    pub key_before: Option<String>,
}

/// A place in the listing, from which the next page goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Among the open rows.
    pub open: bool,
    /// Before this one.
    pub before: u64,
}

/// All rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventRows {
    rows: BTreeMap<u64, Row>,
    /// The row of each cause that goes on: node and cause to its number.
    current: BTreeMap<String, u64>,
    /// Orders of the open ones and of the others, to their numbers.
    open: BTreeMap<u64, u64>,
    over: BTreeMap<u64, u64>,
    next_number: u64,
    next_order: u64,
    requests: BTreeMap<String, VecDeque<NotedRequest>>,
    /// Senders of requests, the one silent longest first.
    senders: VecDeque<String>,
    opened: Option<Opened>,
    /// The newest start has not been followed by a stop.
    running: bool,
}

impl Reducer for EventRows {
    const NAME: &'static str = "event_rows";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        let is = |wanted| kinds::is(&record.kind, &record.body, wanted);
        if is(kinds::EVENT_NOTED) {
            let event = Event::read(&record.body).map_err(|e| ReduceError::of(record, e))?;
            self.take_own(record.epoch, record.seq, record.at, &event);
        } else if is(kinds::RELAY_APPLIED) {
            let applied = Applied::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))?;
            for (id, event) in applied.parts.iter().flat_map(|part| &part.frames).filter_map(told_by) {
                self.note(id, record.at, &event);
            }
        } else if is(kinds::JOURNAL_OPENED) {
            let text = |name: &str| record.body.get(name).and_then(Value::as_str).map(str::to_owned);
            let found = record.body.get("found").cloned().unwrap_or_default();
            let key_before = self.opened.take().map(|o| o.key);
            self.opened = Some(Opened { found, key: text("key").unwrap_or_default(), key_before });
        } else if is(kinds::JOURNAL_RESTORED) {
            // A restored node may have a new key, and says so in this record.
            self.opened = None;
        } else if is(kinds::NODE_STARTED) {
            self.running = true;
        } else if is(kinds::NODE_STOPPED) {
            self.running = false;
        }
        Ok(())
    }
}

/// The event that a frame of another node tells of, and the record by which it is known. It is told by the frame's origin,
/// whatever it says itself. One that cannot be read is none: it stays in the journal.
#[must_use]
pub fn told_by(frame: &Frame) -> Option<(RecordId, Event)> {
    kinds::is(&frame.kind, &frame.body, kinds::EVENT_NOTED).then_some(())?;
    told_in(&frame.origin, (frame.epoch, frame.seq), &frame.body)
}

/// As [`told_by`], of a body of `event.noted`.
#[must_use]
pub fn told_in(origin: &NodeId, (epoch, seq): (u64, u64), body: &Value) -> Option<(RecordId, Event)> {
    let mut event = Event::read(body).ok()?;
    event.source.node = origin.clone();
    Some((RecordId { node: origin.to_string(), epoch, seq }, event))
}

fn cause_key(node: &str, cause: &str) -> String {
    format!("{node}\n{cause}")
}

impl EventRows {
    /// Takes in an event that this node noted itself: its marks are remembered.
    pub fn take_own(&mut self, epoch: u64, seq: u64, noted: UtcMicros, event: &Event) -> Option<&Row> {
        self.remember((epoch, seq), event);
        let id = RecordId { node: event.source.node.to_string(), epoch, seq };
        self.note(id, noted, event)
    }

    /// Takes in an event, of this node or of another, and gives its row.
    pub fn note(&mut self, id: RecordId, noted: UtcMicros, event: &Event) -> Option<&Row> {
        let key = cause_key(event.source.node.as_str(), &event.cause);
        let current = self.current.get(&key).copied();
        let row = current.and_then(|n| self.rows.get(&n));
        let within = i64::try_from(limits::EVENT_JOIN_WITHIN.as_micros()).unwrap_or(i64::MAX);
        let (number, state_counts) = match (current, row) {
            (Some(number), Some(row)) => {
                let older = row.first_us.since(event.last_us) > within;
                let newer = event.at_us.since(row.last_us) > within;
                if older && event.source.token.is_some() {
                    // It comes very late: a row of its own, over already.
                    (self.begin(&id, event, None), false)
                } else if (older || newer) && !row.is_open() {
                    (self.begin(&id, event, Some(key)), true)
                } else {
                    (number, true)
                }
            }
            _ => (self.begin(&id, event, Some(key)), true),
        };
        self.next_order += 1;
        let order = self.next_order;
        let row = self.rows.get_mut(&number)?;
        self.open.remove(&row.order);
        self.over.remove(&row.order);
        row.add(event, state_counts);
        (row.order, row.newest, row.noted_us) = (order, id, noted);
        if row.is_open() {
            self.open.insert(order, number);
        } else {
            self.over.insert(order, number);
        }
        self.keep_bounds();
        self.rows.get(&number)
    }

    /// The row as it would be with an event that is not noted yet.
    #[must_use]
    pub fn row_with(&self, id: RecordId, noted: UtcMicros, event: &Event) -> Option<Row> {
        let key = cause_key(event.source.node.as_str(), &event.cause);
        let mut aside =
            Self { next_number: self.next_number, next_order: self.next_order, ..Self::default() };
        if let Some((number, row)) = self.current.get(&key).and_then(|n| Some((*n, self.rows.get(n)?))) {
            aside.rows.insert(number, row.clone());
            aside.current.insert(key, number);
        }
        aside.note(id, noted, event).cloned()
    }

    fn begin(&mut self, id: &RecordId, event: &Event, key: Option<String>) -> u64 {
        self.next_number += 1;
        let number = self.next_number;
        if let Some(key) = key {
            self.current.insert(key, number);
        }
        self.rows.insert(number, Row::begin(id.clone(), event));
        number
    }

    fn keep_bounds(&mut self) {
        while self.open.len() > limits::EVENT_ROWS_OPEN_MAX {
            let Some((_, number)) = self.open.pop_first() else { break };
            self.next_order += 1;
            if let Some(row) = self.rows.get_mut(&number) {
                row.parts.clear();
                (row.over_us, row.lapsed, row.order) = (Some(row.last_us), true, self.next_order);
            }
            self.over.insert(self.next_order, number);
        }
        while self.over.len() > limits::EVENT_ROWS_OVER_MAX {
            let Some((_, number)) = self.over.pop_first() else { break };
            let Some(row) = self.rows.remove(&number) else { continue };
            let key = cause_key(&row.id.node, &row.cause);
            if self.current.get(&key) == Some(&number) {
                self.current.remove(&key);
            }
        }
    }

    fn remember(&mut self, record: (u64, u64), event: &Event) {
        if event.marks.is_empty() {
            return;
        }
        let sender = sender_of(&event.source);
        if self.senders.back() != Some(&sender) {
            self.senders.retain(|s| *s != sender);
            self.senders.push_back(sender.clone());
        }
        if self.senders.len() > limits::EVENT_KEY_SENDERS_MAX
            && let Some(oldest) = self.senders.pop_front()
        {
            self.requests.remove(&oldest);
        }
        let noted = self.requests.entry(sender).or_default();
        for mark in &event.marks {
            match noted.iter_mut().rev().find(|r| r.key == mark.key && r.body == mark.body) {
                Some(request) => drop(request.events.insert(mark.index, record)),
                None => noted.push_back(NotedRequest {
                    key: mark.key.clone(),
                    body: mark.body.clone(),
                    events: BTreeMap::from([(mark.index, record)]),
                }),
            }
            if noted.len() > limits::EVENT_KEYS_PER_SENDER_MAX {
                noted.pop_front();
            }
        }
    }

    /// What was noted of a request of this sender with the hash `key`.
    #[must_use]
    pub fn request(&self, source: &Source, key: &str) -> Option<&NotedRequest> {
        self.requests.get(&sender_of(source))?.iter().rev().find(|r| r.key == key)
    }

    /// A page of rows that are wanted: open ones first, each with the newest event first.
    #[must_use]
    pub fn page(
        &self,
        after: Option<Place>,
        limit: usize,
        wanted: &dyn Fn(&Row) -> bool,
    ) -> (Vec<&Row>, Option<Place>) {
        let place = after.unwrap_or(Place { open: true, before: u64::MAX });
        let below = |list: &'_ BTreeMap<u64, u64>, before: u64| -> Vec<u64> {
            list.range(..before).rev().map(|(_, number)| *number).collect()
        };
        let mut numbers = if place.open { below(&self.open, place.before) } else { Vec::new() };
        numbers.extend(below(&self.over, if place.open { u64::MAX } else { place.before }));
        let mut rows = numbers.iter().filter_map(|n| self.rows.get(n)).filter(|row| wanted(row));
        let page: Vec<&Row> = rows.by_ref().take(limit).collect();
        let more = rows.next().is_some();
        let last = page.last().map(|row| Place { open: row.is_open(), before: row.order });
        (page, last.filter(|_| more))
    }

    /// The row that this record began.
    #[must_use]
    pub fn row(&self, id: &RecordId) -> Option<&Row> {
        self.rows.values().rev().find(|row| row.id == *id)
    }

    /// The row that goes on for a cause of a node.
    #[must_use]
    pub fn current(&self, node: &str, cause: &str) -> Option<&Row> {
        self.rows.get(self.current.get(&cause_key(node, cause))?)
    }

    /// What a node itself has told to be open: the part, its cause, and as what it opened.
    pub fn open_parts<'a>(&'a self, node: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a OpenPart)> {
        let own = move |row: &&Row| {
            row.id.node == node && row.source.token.is_none() && row.source.operator.is_none()
        };
        let rows = self.open.values().filter_map(|n| self.rows.get(n)).filter(own);
        rows.flat_map(|row| row.parts.iter().map(|(part, p)| (part.as_str(), row.cause.as_str(), p)))
    }

    /// Rows that are open, by priority.
    #[must_use]
    pub fn open_counts(&self) -> BTreeMap<Priority, usize> {
        let mut counts: BTreeMap<Priority, usize> = Priority::ALL.map(|p| (p, 0)).into();
        for row in self.open.values().filter_map(|n| self.rows.get(n)) {
            *counts.entry(row.priority).or_default() += 1;
        }
        counts
    }

    /// What the newest opening of the journal said.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// Whether the newest start was followed by no stop: the node runs, or ended without one.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.running
    }
}

fn sender_of(source: &Source) -> String {
    match (&source.token, &source.operator) {
        (Some(token), _) => format!("token {token}"),
        (None, Some(operator)) => format!("operator {operator}"),
        (None, None) => "node".to_owned(),
    }
}
