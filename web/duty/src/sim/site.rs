//! A node with its journal and its book; what it says upward and hears from above.

use std::collections::{BTreeMap, VecDeque};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_relay::frame::{Frame, Key, Mark};
use fengsui_relay::inbox::{Applied, AppliedPart};
use fengsui_storage::journal::{JournalRecord, Reducer as _, kinds};
use serde_json::Value;

use crate::act::{ActId, By, MatterId, Noted, Verb};
use crate::alarm::AlarmVerb;
use crate::book::{Book, Received, record_kind};
use crate::ledger::Illegal;
use crate::sync::{Answer, Say, answer, lacking};

pub struct Site {
    pub id: NodeId,
    pub epoch: u64,
    pub journal: Vec<JournalRecord>,
    pub book: Book,
    /// How far its clock is off.
    pub skew_us: i64,
    /// Frames for the node above, all of them.
    pub upward: Vec<Frame>,
    /// How many of each sender's frames it took in.
    pub taken: BTreeMap<NodeId, usize>,
    /// A snapshot, and the records that were in it.
    pub snapshot: Option<(String, usize)>,
}

impl Site {
    pub fn new(id: &str, skew_us: i64) -> Self {
        Self {
            id: id.parse().unwrap(),
            epoch: 1,
            journal: Vec::new(),
            book: Book::default(),
            skew_us,
            upward: Vec::new(),
            taken: BTreeMap::new(),
            snapshot: None,
        }
    }

    fn append(&mut self, kind: &str, body: &Value) -> u64 {
        let seq = self.journal.len() as u64 + 1;
        // As it is after it was read from the disk.
        let body = serde_json::from_str(&body.to_string()).unwrap();
        let (node, kind) = (self.id.to_string(), kind.to_owned());
        let (previous, hash) = ([0; 32], [0; 32]);
        let at = UtcMicros(seq as i64);
        self.journal.push(JournalRecord { node, epoch: self.epoch, seq, at, kind, body, previous, hash });
        seq
    }

    fn frame(&mut self, kind: &str, body: &Value, seq: u64) {
        let key = Key::new(self.epoch, seq);
        self.upward.push(Frame::behind(
            Mark::default(),
            &self.id,
            key,
            UtcMicros(seq as i64),
            kind,
            body.clone(),
        ));
    }

    /// Somebody does something here.
    pub fn act(&mut self, on: &MatterId, verb: Verb, by: By, now: UtcMicros) -> Result<Noted, Illegal> {
        let at = UtcMicros(now.0 + self.skew_us);
        let act = self.book.propose(on, verb, by, at)?;
        let (kind, body) = (record_kind(&act.verb), act.body());
        let seq = self.append(kind, &body);
        self.frame(kind, &body, seq);
        let noted = Noted { id: ActId { node: self.id.clone(), epoch: self.epoch, seq }, act };
        // A count that is lower than one before is overtaken at once.
        let counts = matches!(noted.act.verb, Verb::Alarm(AlarmVerb::Counted { .. }));
        assert!(self.book.take(noted.clone()) || counts, "an act of one's own is new");
        Ok(noted)
    }

    /// Frames of a node below; the acts that are new by them.
    pub fn hear_up(&mut self, from: &NodeId, frames: &[Frame]) -> Vec<Noted> {
        if frames.is_empty() {
            return Vec::new();
        }
        let mut parts: Vec<AppliedPart> = Vec::new();
        for frame in frames {
            match parts.last_mut().filter(|part| part.frames[0].origin == frame.origin) {
                Some(part) => part.frames.push(frame.clone()),
                None => {
                    parts.push(AppliedPart { from: from.clone(), base: None, frames: vec![frame.clone()] })
                }
            }
        }
        *self.taken.entry(from.clone()).or_default() += frames.len();
        let applied = Applied { parts };
        self.append(kinds::RELAY_APPLIED, &serde_json::to_value(&applied).unwrap());
        self.upward.extend(frames.iter().cloned());
        let here = self.id.clone();
        applied.parts.iter().flat_map(|part| self.book.take_part(part, &here)).collect()
    }

    /// What the centre says; the answer, and the acts that are new by it.
    pub fn hear_down(&mut self, say: &Say) -> (Answer, Vec<Noted>) {
        let acts = lacking(&self.book, say);
        let new: Vec<Noted> = acts.iter().map(|carried| carried.read().unwrap()).collect();
        if !acts.is_empty() {
            let body = serde_json::to_value(Received { from: say.from.clone(), acts }).unwrap();
            self.append(kinds::DUTY_RECEIVED, &body);
        }
        // Of two counts in one message the lower one may be overtaken; nobody need be told of it.
        let took: Vec<Noted> = new.into_iter().filter(|noted| self.book.take(noted.clone())).collect();
        (answer(&self.book, say, took.len()), took)
    }

    /// The book as the first records of the journal say.
    pub fn reduced(&self, records: usize) -> Book {
        let mut book = Book::default();
        self.journal[..records].iter().for_each(|record| book.apply(record).unwrap());
        book
    }

    /// Keeps the book for the next start.
    pub fn keep(&mut self) {
        self.snapshot = Some((serde_json::to_string(&self.book).unwrap(), self.journal.len()));
    }

    /// The book from the snapshot and what came behind it.
    pub fn by_snapshot(&self) -> Option<Book> {
        let (text, records) = self.snapshot.as_ref()?;
        // As a journal reads it: first as any JSON.
        let value: Value = serde_json::from_str(text).unwrap();
        let mut book: Book = serde_json::from_value(value).unwrap();
        self.journal[*records..].iter().for_each(|record| book.apply(record).unwrap());
        Some(book)
    }

    /// The process dies and starts again from its journal.
    pub fn restart(&mut self) {
        let book = self.by_snapshot().unwrap_or_else(|| self.reduced(self.journal.len()));
        assert!(book == self.book, "{} comes back as it was", self.id);
        self.book = book;
        self.epoch += 1;
    }
}

/// A line on which messages are lost, doubled and late.
pub struct Line<T> {
    under_way: VecDeque<(u64, T)>,
}

impl<T: Clone> Line<T> {
    pub fn new() -> Self {
        Self { under_way: VecDeque::new() }
    }

    pub fn send(&mut self, dice: &mut super::deeds::Dice, now: u64, rough: bool, message: T) {
        if rough && dice.one_in(4) {
            return;
        }
        let late = |dice: &mut super::deeds::Dice| if rough { dice.roll(4) as u64 } else { 0 };
        if rough && dice.one_in(5) {
            let at = now + late(dice);
            self.under_way.push_back((at, message.clone()));
        }
        let at = now + late(dice);
        self.under_way.push_back((at, message));
    }

    pub fn cut(&mut self) {
        self.under_way.clear();
    }

    pub fn arrived(&mut self, now: u64) -> Vec<T> {
        let (here, later) = std::mem::take(&mut self.under_way).into_iter().partition(|(at, _)| *at <= now);
        self.under_way = later;
        let here: VecDeque<(u64, T)> = here;
        here.into_iter().map(|(_, message)| message).collect()
    }
}
