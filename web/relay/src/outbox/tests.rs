#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use fengsui_config::clock::{ManualClock, UtcMicros};
use fengsui_storage::fs::RealFs;
use fengsui_storage::journal::{Journal, JournalOptions, JournalRecord, kinds};
use fengsui_storage::segment::NodeKey;
use serde_json::json;

use super::*;
use crate::frame::{Chain, Packet};
use crate::inbox::{Applied, AppliedPart};
use crate::talk::Where;
use crate::upward::{Known, UpwardKind};

const NOW: i64 = 1_790_000_000_000_000;

fn upward() -> Arc<Upward> {
    Arc::new(Upward::new([UpwardKind {
        name: "event.noted",
        version: 1,
        priority: |body| match body["p"].as_str() {
            Some("low") => Priority::Low,
            Some("alarm") => Priority::Alarm,
            _ => Priority::Normal,
        },
        camera: |_| None,
        body: |_| Known::Yes,
    }]))
}

fn node() -> NodeId {
    "s01".parse().unwrap()
}

/// A journal in memory.
#[derive(Default)]
struct Memory {
    records: Vec<Arc<JournalRecord>>,
    read: usize,
}

impl Memory {
    fn add(&mut self, epoch: u64, kind: &str, body: Value) {
        let seq = self.records.last().map_or(1, |r| r.seq + 1);
        let (node, kind, at) = ("s01".to_owned(), kind.to_owned(), UtcMicros(NOW - 3_600_000_000));
        let record = JournalRecord { node, epoch, seq, at, kind, body, previous: [0; 32], hash: [0; 32] };
        self.records.push(Arc::new(record));
    }

    fn events(&mut self, epoch: u64, count: u64, priority: &str) {
        (0..count).for_each(|n| self.add(epoch, "event.noted", json!({"p": priority, "n": n})));
    }
}

impl Spool for Memory {
    fn batch(&mut self, after: u64, max: usize) -> Result<Vec<Arc<JournalRecord>>, StoreError> {
        let found: Vec<_> =
            self.records.iter().skip(usize::try_from(after).unwrap()).take(max).cloned().collect();
        self.read += found.len();
        Ok(found)
    }
}

/// A sender, and a centre that does as it is told.
struct Bench {
    outbox: Outbox,
    spool: Memory,
    ms: u64,
    mark: Mark,
    base: Option<Key>,
    sent: Vec<(u64, String, Packet)>,
    asked: Vec<Ask>,
    direct: usize,
    cursor: Vec<u64>,
    is_note_held: bool,
    is_cursor_held: bool,
}

fn options(epoch: u64, acknowledged: u64, bounds: OutboxBounds) -> OutboxOptions {
    let passed = PassedState::default();
    OutboxOptions { node: node(), epoch, acknowledged, passed, upward: upward(), bounds, seed: 5 }
}

impl Bench {
    fn new(spool: Memory, options: OutboxOptions) -> Self {
        Self {
            outbox: Outbox::new(options),
            spool,
            ms: 0,
            mark: Mark::default(),
            base: None,
            sent: Vec::new(),
            asked: Vec::new(),
            direct: 0,
            cursor: Vec::new(),
            is_note_held: false,
            is_cursor_held: false,
        }
    }

    fn now(&self) -> Now {
        let us = self.ms * 1000;
        Now { utc: UtcMicros(NOW + i64::try_from(us).unwrap()), mono: MonoMicros(us) }
    }

    fn poll(&mut self) {
        for step in 0.. {
            assert!(step < 10_000, "it never comes to rest");
            let (now, mut again) = (self.now(), false);
            for action in self.outbox.poll(now, &mut self.spool).unwrap() {
                match action {
                    OutboxAction::Ask(ask) => self.asked.push(ask),
                    OutboxAction::Publish { ticket, message_id, bytes } => {
                        self.sent.push((ticket, message_id, Packet::decode(&bytes).unwrap()));
                    }
                    OutboxAction::Direct(_) => self.direct += 1,
                    OutboxAction::Acknowledge { seq } => {
                        self.cursor.push(seq);
                        if !self.is_cursor_held {
                            self.outbox.acknowledged(seq);
                            again = true;
                        }
                    }
                    OutboxAction::Note(passed) => {
                        if self.is_note_held {
                            continue;
                        }
                        let body = serde_json::to_value(passed).unwrap();
                        let epoch = self.outbox.epoch;
                        self.spool.add(epoch, kinds::RELAY_PASSED_OVER, body);
                        self.outbox.noted(true);
                        again = true;
                    }
                }
            }
            if !again && self.outbox.wake_at(now).is_none_or(|at| at > now.mono) {
                return;
            }
        }
    }

    fn locate(&mut self) {
        let ask = self.asked.last().unwrap().ask;
        let marks = if self.mark == Mark::default() { Vec::new() } else { self.marks() };
        let answer = Where::new(ask, self.base, marks);
        self.outbox.located(self.now(), &answer, &mut self.spool).unwrap();
        self.poll();
    }

    fn connect(&mut self) {
        self.outbox.link_up(self.now());
        self.poll();
        self.locate();
    }

    fn marks(&self) -> Vec<OriginMark> {
        vec![OriginMark { origin: node(), mark: self.mark }]
    }

    /// The stream acknowledges and the centre takes in what was sent, and says so.
    fn take_all(&mut self) -> Vec<Packet> {
        let mut taken = Vec::new();
        while !self.sent.is_empty() {
            for (ticket, _, packet) in std::mem::take(&mut self.sent) {
                self.outbox.published(ticket);
                let frame = &packet.frame;
                assert_eq!((frame.prev, frame.chain_behind(self.mark.chain)), (self.mark.key, frame.chain));
                self.mark = frame.mark();
                self.base = Some(packet.base);
                taken.push(packet);
            }
            let confirmation = Confirmation::new(false, self.marks());
            self.outbox.confirmed(self.now(), &confirmation);
            self.poll();
        }
        taken
    }
}

fn small() -> OutboxBounds {
    OutboxBounds {
        window_frames: 10,
        window_bytes: 1 << 20,
        unacked: 10,
        backlog: Size { records: 100, bytes: 1 << 20 },
    }
}

#[test]
fn the_cursor_moves_by_confirmation_alone() {
    let mut spool = Memory::default();
    spool.events(1, 5, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.connect();
    let tickets: Vec<u64> = bench.sent.iter().map(|(ticket, ..)| *ticket).collect();
    tickets.into_iter().for_each(|ticket| bench.outbox.published(ticket));
    bench.poll();
    assert!(bench.cursor.is_empty(), "the stream's word is not enough");
    bench.mark = bench.sent[2].2.frame.mark();
    bench.outbox.confirmed(bench.now(), &Confirmation::new(false, bench.marks()));
    bench.poll();
    assert_eq!(bench.cursor, [3]);
}

#[test]
fn the_window_is_bounded_and_a_long_backlog_costs_no_memory() {
    let mut spool = Memory::default();
    spool.events(1, 5000, "normal");
    let bounds = OutboxBounds { backlog: OutboxBounds::default().backlog, ..small() };
    let mut bench = Bench::new(spool, options(1, 0, bounds));
    bench.connect();
    assert_eq!(
        (bench.sent.len(), bench.outbox.in_flight().0, bench.outbox.backlog().records),
        (10, 10, 5000)
    );
    // Acknowledged by the stream, and still on its way.
    let tickets: Vec<u64> = bench.sent.iter().map(|(ticket, ..)| *ticket).collect();
    tickets.into_iter().for_each(|ticket| bench.outbox.published(ticket));
    bench.poll();
    assert_eq!(bench.sent.len(), 10);
    assert!(bench.outbox.ready.len() <= 1, "one record is read ahead");
    assert_eq!(bench.take_all().len(), 5000);
    assert_eq!((bench.outbox.backlog(), bench.outbox.in_flight()), (Size::default(), (0, 0)));
}

#[test]
fn too_much_backlog_is_passed_over_low_first_and_never_an_alarm() {
    let mut spool = Memory::default();
    spool.events(1, 1, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.connect();
    bench.take_all();
    bench.outbox.link_down();
    for _ in 0..30 {
        for priority in ["normal", "low", "alarm", "low"] {
            bench.spool.events(1, 5, priority);
        }
        bench.poll();
    }
    let passed = bench.outbox.passed().count;
    let waits = bench.outbox.backlog();
    let notes = bench.spool.records.iter().filter(|r| r.kind == kinds::RELAY_PASSED_OVER).count() as u64;
    assert_eq!(passed + waits.records, 600 + notes);
    bench.connect();
    let taken = bench.take_all();
    let of = |p: &str| taken.iter().filter(|t| t.frame.body["p"] == p).count();
    assert_eq!(of("alarm"), 150, "every alarm");
    assert!(of("low") <= 10, "low ones go first, but for the first few that may be on their way");
    let mut told = BTreeMap::new();
    for packet in taken.iter().filter(|t| t.frame.kind == kinds::RELAY_PASSED_OVER) {
        let body: PassedOver = serde_json::from_value(packet.frame.body.clone()).unwrap();
        *told.entry(body.priority).or_insert(0) += body.count;
    }
    assert_eq!(told[&Priority::Low], 300 - of("low") as u64);
    assert_eq!(told.get(&Priority::Normal).copied().unwrap_or(0), 150 - of("normal") as u64);
    assert!(!told.contains_key(&Priority::Alarm));
}

#[test]
fn nothing_is_sent_that_is_about_to_be_passed_over() {
    let mut spool = Memory::default();
    spool.events(1, 200, "low");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.is_note_held = true;
    bench.connect();
    let before = bench.outbox.sent;
    let passed = bench.outbox.noting.clone().unwrap();
    assert!(passed.from.seq > before, "what is on its way is spared");
    bench.take_all();
    assert_eq!(bench.outbox.sent, before, "nothing goes before the decision is in the journal");
    bench.is_note_held = false;
    let body = serde_json::to_value(passed).unwrap();
    bench.spool.add(1, kinds::RELAY_PASSED_OVER, body);
    bench.outbox.noted(true);
    bench.poll();
    let taken = bench.take_all();
    let low = taken.iter().filter(|p| p.frame.body["p"] == "low").count() as u64;
    assert_eq!(before + low + bench.outbox.passed().count, 200);
}

/// However often a life ends before its cursor is durable, what was ever sent is within one window behind it.
#[test]
fn what_was_ever_sent_is_within_a_window_behind_the_cursor() {
    let mut spool = Memory::default();
    spool.events(1, 60, "normal");
    let (mut mark, mut base) = (Mark::default(), None);
    for life in 0..4 {
        let records = spool.records.clone();
        let mut bench = Bench::new(Memory { records, read: 0 }, options(1, 0, small()));
        (bench.mark, bench.base, bench.is_cursor_held) = (mark, base, true);
        bench.connect();
        bench.take_all();
        assert!(bench.outbox.sent <= 10, "record {} in life {life}", bench.outbox.sent);
        (mark, base) = (bench.mark, bench.base);
    }
}

#[test]
fn a_backlog_of_alarms_alone_goes_up_whole() {
    let mut spool = Memory::default();
    spool.events(1, 1, "alarm");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.connect();
    bench.take_all();
    bench.outbox.link_down();
    bench.spool.events(1, 1000, "alarm");
    bench.poll();
    let read = bench.spool.read;
    (0..50).for_each(|_| bench.poll());
    assert!(bench.spool.read - read < 2000, "it does not look again and again for what is not there");
    bench.connect();
    assert_eq!((bench.take_all().len(), bench.outbox.passed().count), (1000, 0));
}

#[test]
fn a_centre_that_was_restored_gets_again_what_it_lost() {
    let mut spool = Memory::default();
    spool.events(1, 100, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.connect();
    let first = bench.take_all();
    // The backup was made when sixty were in.
    let kept = &first[59];
    (bench.mark, bench.base) = (kept.frame.mark(), Some(kept.base));
    bench.spool.events(1, 20, "normal");
    bench.connect();
    let again = bench.take_all();
    assert_eq!(again.len(), 60);
    let seqs: Vec<u64> = again.iter().map(|p| p.frame.seq).collect();
    assert_eq!(seqs, (61..=120).collect::<Vec<_>>());
    assert_eq!(
        again[..40].iter().map(|p| &p.frame).collect::<Vec<_>>(),
        first[60..].iter().map(|p| &p.frame).collect::<Vec<_>>()
    );
    // And one that lost all gets all.
    (bench.mark, bench.base) = (Mark::default(), None);
    bench.connect();
    assert_eq!(bench.take_all().len(), 120);
    assert_eq!(bench.outbox.backlog(), Size::default());
}

#[test]
fn a_cursor_of_the_walk_before_speaks_for_nothing_of_this_one() {
    let mut spool = Memory::default();
    spool.events(1, 5, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.is_cursor_held = true;
    bench.connect();
    bench.take_all();
    let moved = *bench.cursor.last().unwrap();
    // While the cursor is on its way to the disk the centre loses everything, and a new walk begins.
    (bench.mark, bench.base) = (Mark::default(), None);
    bench.connect();
    bench.outbox.acknowledged(moved);
    bench.spool.events(1, 1, "normal");
    bench.poll();
    assert_eq!((bench.outbox.in_flight().0, bench.sent.len()), (6, 6), "all are still waited for");
    assert!(bench.sent.iter().all(|(_, _, packet)| packet.base == Key::default()));
}

#[test]
fn a_node_that_was_restored_goes_on() {
    let mut spool = Memory::default();
    spool.events(1, 50, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.connect();
    bench.take_all();
    let (mark, base) = (bench.mark, bench.base);
    // The backup had thirty; its epoch leaps, its numbers go on from there.
    let mut spool = Memory::default();
    spool.events(1, 30, "normal");
    spool.events(1001, 40, "normal");
    for cursor in [0, 25] {
        let spool = Memory { records: spool.records.clone(), read: 0 };
        let mut bench = Bench::new(spool, options(1001, cursor, small()));
        (bench.mark, bench.base) = (mark, base);
        bench.connect();
        let taken = bench.take_all();
        let keys: Vec<_> = taken.iter().map(|p| (p.frame.epoch, p.frame.seq)).collect();
        assert_eq!(keys, (31..=70).map(|seq| (1001, seq)).collect::<Vec<_>>());
        assert_eq!(bench.outbox.backlog(), Size::default());
    }
    // One whose epoch did not leap must not pass for the one that it was.
    let mut spool = Memory::default();
    spool.events(1, 60, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.mark = Mark { key: Key::new(2, 10), chain: Chain([1; 32]) };
    bench.connect();
    assert_eq!((bench.outbox.standing(), bench.sent.len()), (Standing::Ahead, 0));
}

#[test]
fn a_record_that_is_too_large_is_replaced_by_one_that_says_so() {
    let mut spool = Memory::default();
    spool.events(1, 1, "normal");
    spool.add(1, "event.noted", json!({"p": "alarm", "x": "x".repeat(limits::RELAY_FRAME_BYTES_MAX)}));
    spool.events(1, 1, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.connect();
    let taken = bench.take_all();
    assert_eq!(taken.iter().map(|p| p.frame.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(taken[1].frame.kind, kinds::RELAY_PASSED_OVER);
    let passed: PassedOver = serde_json::from_value(taken[1].frame.body.clone()).unwrap();
    assert_eq!((passed.count, passed.why, passed.from), (1, PassedWhy::Oversized, Key::new(1, 2)));
    assert_eq!(bench.outbox.counters().oversized, 1);
}

#[test]
fn a_window_of_duplicates_stops_nothing() {
    let mut spool = Memory::default();
    spool.events(1, 3, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.connect();
    let mut seen: BTreeMap<String, Packet> = BTreeMap::new();
    for _ in 0..20 {
        // The stream says that it has them, the centre never sees those that it saw once.
        for (ticket, id, packet) in std::mem::take(&mut bench.sent) {
            bench.outbox.published(ticket);
            seen.insert(id, packet);
        }
        bench.ms += 61_000;
        bench.poll();
        bench.locate();
    }
    assert!(seen.len() > 3, "they go up under another name: {:?}", seen.keys());
    assert!(seen.iter().any(|(id, packet)| id.starts_with("s01/1/1/") && packet.frame.seq == 1));
}

#[test]
fn after_walks_in_vain_frames_go_one_by_one() {
    let mut spool = Memory::default();
    spool.events(1, 30, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.connect();
    assert_eq!(bench.sent.len(), 10);
    for _ in 0..4 {
        let first = bench.sent[0].0;
        bench.sent.clear();
        bench.outbox.refused(bench.now(), first);
        bench.ms += 10_000;
        bench.poll();
        bench.locate();
    }
    assert_eq!(bench.sent.len(), 1);
    assert_eq!(bench.take_all().len(), 30, "and fast again when they are taken");
}

#[test]
fn silence_leads_to_a_question_and_an_old_answer_to_nothing() {
    let mut spool = Memory::default();
    spool.events(1, 3, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.outbox.link_up(bench.now());
    bench.poll();
    let old = *bench.asked.last().unwrap();
    bench.ms += 10_000;
    bench.poll();
    assert_eq!(bench.asked.len(), 2, "asked again");
    bench.outbox.located(bench.now(), &Where::new(old.ask, None, Vec::new()), &mut bench.spool).unwrap();
    bench.poll();
    assert!(bench.sent.is_empty());
    bench.locate();
    assert_eq!(bench.sent.len(), 3);
    bench.ms += 6_000;
    bench.poll();
    assert_eq!((bench.outbox.standing(), bench.asked.len()), (Standing::Asking, 3), "no acknowledgement");
}

#[test]
fn an_idle_sender_asks_now_and_then() {
    let mut spool = Memory::default();
    spool.events(1, 3, "normal");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.connect();
    bench.take_all();
    // The centre comes back from a backup made before this node was enrolled, on the same connection.
    (bench.mark, bench.base) = (Mark::default(), None);
    let asked = bench.asked.len();
    bench.ms += 301_000;
    bench.poll();
    assert_eq!(bench.asked.len(), asked + 1);
    bench.locate();
    assert_eq!(bench.take_all().len(), 3);
}

#[test]
fn live_alarms_go_the_direct_way_at_a_bounded_rate() {
    let mut spool = Memory::default();
    spool.events(1, 20, "alarm");
    let mut bench = Bench::new(spool, options(1, 0, small()));
    bench.connect();
    assert_eq!(bench.direct, 0, "an hour old");
    for _ in 0..1000 {
        let (seq, now) = (bench.spool.records.len() as u64 + 1, bench.now());
        let record = JournalRecord { at: now.utc, seq, ..(*bench.spool.records[0]).clone() };
        bench.spool.records.push(Arc::new(record));
    }
    bench.poll();
    assert_eq!(bench.direct, limits::RELAY_DIRECT_MAX);
    for _ in 0..100 {
        bench.ms += 10;
        bench.poll();
    }
    assert!(bench.direct <= limits::RELAY_DIRECT_MAX + 51, "{}", bench.direct);
    assert!(bench.outbox.direct.len() <= limits::RELAY_DIRECT_MAX);
}

#[test]
fn a_county_forwards_frames_as_they_came() {
    let station: NodeId = "st1".parse().unwrap();
    let mut mark = Mark::default();
    let mut frames = Vec::new();
    for seq in 1..=30 {
        let body = json!({"n": seq, "x": 0.1});
        let frame = Frame::behind(mark, &station, Key::new(7, seq), UtcMicros(NOW), "event.noted", body);
        mark = frame.mark();
        frames.push(frame);
    }
    let mut spool = Memory::default();
    spool.events(3, 2, "normal");
    for part in frames.chunks(15) {
        let part = AppliedPart { from: station.clone(), base: None, frames: part.to_vec() };
        let body = serde_json::to_value(Applied { parts: vec![part] }).unwrap();
        spool.add(3, kinds::RELAY_APPLIED, body);
    }
    // A window must hold what one record of a county does.
    let mut bench =
        Bench::new(spool, options(3, 0, OutboxBounds { window_frames: 20, unacked: 20, ..small() }));
    bench.connect();
    let mut got = Vec::new();
    for _ in 0..9 {
        let sent = std::mem::take(&mut bench.sent);
        let mut marks = BTreeMap::new();
        for (ticket, id, packet) in sent {
            bench.outbox.published(ticket);
            assert_eq!(id, packet.frame.message_id());
            marks.insert(packet.frame.origin.clone(), packet.frame.mark());
            got.push(packet.frame);
        }
        let marks = marks.into_iter().map(|(origin, mark)| OriginMark { origin, mark }).collect();
        bench.outbox.confirmed(bench.now(), &Confirmation::new(false, marks));
        bench.poll();
    }
    assert_eq!(got[2..], frames);
    assert_eq!(bench.cursor.last(), Some(&4));
}

/// The journal on a disk is a spool: in any step, across files, and while it grows.
#[test]
fn the_real_journal_is_read_in_order_and_on_demand() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(UtcMicros(NOW)));
    let key = NodeKey::from_seed([7; 32]);
    let folder: PathBuf = dir.path().join("journal");
    let mut with = JournalOptions::new(Arc::new(RealFs), folder, clock, node(), Arc::new(key));
    (with.file_bytes_max, with.head_every) = (20_000, None);
    let journal = Journal::open(with).unwrap();
    let mut spool = JournalSpool::new(journal.clone());
    let mut outbox = Outbox::new(options(journal.epoch(), 0, small()));
    let now = Now { utc: UtcMicros(NOW), mono: MonoMicros(0) };
    let mut read = Vec::new();
    for n in 0..600 {
        journal.append_blocking("event.noted", json!({"n": n, "pad": "x".repeat(200)})).unwrap();
        if n % 7 == 0 {
            let batch = spool.batch(read.len() as u64, 1 + n % 50).unwrap();
            read.extend(batch.iter().map(|r| r.seq));
        }
        outbox.poll(now, &mut spool).unwrap();
    }
    while (read.len() as u64) < journal.last_seq() {
        read.extend(spool.batch(read.len() as u64, 300).unwrap().iter().map(|r| r.seq));
    }
    assert_eq!(read, (1..=601).collect::<Vec<_>>());
    assert_eq!(outbox.backlog().records, 600);
    assert!(spool.batch(601, 5).unwrap().is_empty());
    assert_eq!(spool.batch(3, 1).unwrap()[0].seq, 4, "and back");
}
