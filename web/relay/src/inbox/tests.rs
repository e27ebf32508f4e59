#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::Arc;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::frame::{FRAME_VERSION, Frame, Packet};
use crate::upward::{Known, Priority, UpwardKind};

const NOW: i64 = 1_790_000_000_000_000;

struct Own;

impl Rules for Own {
    fn may_send(&self, sender: &NodeId, origin: &NodeId) -> bool {
        sender == origin || sender.as_str() == "county" && origin.as_str().starts_with("st")
    }
    fn owns(&self, origin: &NodeId, camera: &str) -> bool {
        camera.starts_with(origin.as_str())
    }
}

fn upward() -> Arc<Upward> {
    Arc::new(Upward::new([UpwardKind {
        name: "event.noted",
        version: 1,
        priority: |body| if body["alarm"] == true { Priority::Alarm } else { Priority::Normal },
        camera: |body| body["camera"].as_str(),
        body: |body| match (body["unreadable"].as_str(), body["new"].as_str()) {
            (Some(why), _) => Known::Malformed(why.to_owned()),
            (None, Some(kind)) => Known::UnknownKind(kind.to_owned()),
            (None, None) => Known::Yes,
        },
    }]))
}

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

/// A receiver, its journal, and what was said.
struct Bench {
    inbox: Inbox,
    ms: u64,
    token: u64,
    journal: Vec<(&'static str, Value)>,
    acked: Vec<u64>,
    naked: Vec<u64>,
    said: Vec<(NodeId, Confirmation)>,
    shown: Vec<Preview>,
    hidden: Vec<(Key, bool)>,
    /// Records wait for [`Bench::answer`].
    is_held: bool,
    open: Option<(u64, &'static str, Value)>,
}

impl Bench {
    fn new() -> Self {
        Self::from(InboxState::default())
    }

    fn from(state: InboxState) -> Self {
        Self {
            inbox: Inbox::new(state, upward(), Arc::new(Own), 1),
            ms: 0,
            token: 0,
            journal: Vec::new(),
            acked: Vec::new(),
            naked: Vec::new(),
            said: Vec::new(),
            shown: Vec::new(),
            hidden: Vec::new(),
            is_held: false,
            open: None,
        }
    }

    fn now(&self) -> Now {
        let us = self.ms * 1000;
        Now { utc: UtcMicros(NOW + i64::try_from(us).unwrap()), mono: MonoMicros(us) }
    }

    fn offer(&mut self, from: &str, bytes: &[u8]) -> u64 {
        self.token += 1;
        self.inbox.offer(self.now(), &node(from), bytes, self.token);
        self.token
    }

    fn poll(&mut self) {
        loop {
            let actions = self.inbox.poll(self.now());
            let mut again = false;
            for action in actions {
                match action {
                    InboxAction::Journal { ticket, kind, body } => {
                        assert!(self.open.is_none(), "one record at a time");
                        assert!(body.to_string().len() <= limits::JOURNAL_RECORD_BYTES_MAX);
                        self.open = Some((ticket, kind, body));
                    }
                    InboxAction::Ack { token } => self.acked.push(token),
                    InboxAction::Nak { token, .. } => self.naked.push(token),
                    InboxAction::Confirm { to, confirmation } => self.said.push((to, confirmation)),
                    InboxAction::Show(preview) => self.shown.push(preview),
                    InboxAction::Hide { key, applied, .. } => self.hidden.push((key, applied)),
                }
            }
            if !self.is_held && self.open.is_some() {
                self.answer(true);
                again = true;
            }
            if !again {
                return;
            }
        }
    }

    fn answer(&mut self, taken: bool) {
        let (ticket, kind, body) = self.open.take().unwrap();
        if taken {
            self.journal.push((kind, body));
        }
        self.inbox.journalled(self.now(), ticket, taken);
    }

    /// Numbers of an origin that were taken in, in order.
    fn applied(&self, origin: &str) -> Vec<u64> {
        let mut found = Vec::new();
        for (kind, body) in &self.journal {
            if *kind == kinds::RELAY_APPLIED {
                let applied: Applied = serde_json::from_value(body.clone()).unwrap();
                let frames = applied.parts.into_iter().flat_map(|p| p.frames);
                found.extend(frames.filter(|f| f.origin == node(origin)).map(|f| f.seq));
            }
        }
        found
    }

    fn reduced(&self) -> InboxState {
        let mut state = InboxState::default();
        for (kind, body) in &self.journal {
            state.take(kind, body, UtcMicros(NOW)).unwrap();
        }
        state
    }
}

/// What one origin says, each frame behind the one before.
struct Voice {
    origin: NodeId,
    mark: Mark,
    walk: u64,
}

impl Voice {
    fn new(origin: &str) -> Self {
        Self { origin: node(origin), mark: Mark::default(), walk: 1 }
    }

    fn frame(&mut self, at: i64, kind: &str, body: Value) -> Frame {
        let key = Key::new(1, self.mark.key.seq + 2);
        let frame = Frame::behind(self.mark, &self.origin, key, UtcMicros(at), kind, body);
        self.mark = frame.mark();
        frame
    }

    fn good(&mut self) -> Frame {
        let body = json!({"camera": format!("{}-1", self.origin)});
        self.frame(NOW, "event.noted", body)
    }

    fn wrap(&self, frame: Frame) -> Vec<u8> {
        Packet { base: Key::default(), walk: self.walk, frame }.encode()
    }

    fn say(&mut self) -> Vec<u8> {
        let frame = self.good();
        self.wrap(frame)
    }
}

#[test]
fn nothing_is_confirmed_before_the_journal_has_it() {
    let (mut bench, mut voice) = (Bench::new(), Voice::new("s01"));
    bench.is_held = true;
    let token = bench.offer("s01", &voice.say());
    bench.poll();
    // The same again, while the journal writes.
    let again = bench.offer("s01", &{
        let mut same = Voice::new("s01");
        same.say()
    });
    bench.poll();
    assert!(bench.acked.is_empty() && bench.said.is_empty());
    assert!(bench.inbox.locate(&node("s01"), Ask::new(1)).marks.is_empty());
    bench.answer(true);
    bench.poll();
    assert_eq!(bench.acked, [token, again]);
    let [(to, confirmation)] = &bench.said[..] else { panic!("{:?}", bench.said) };
    assert_eq!((to, confirmation.marks[0].mark), (&node("s01"), voice.mark));
    assert_eq!(bench.inbox.locate(&node("s01"), Ask::new(1)).marks, confirmation.marks);
}

#[test]
fn what_the_journal_refused_comes_again() {
    let (mut bench, mut voice) = (Bench::new(), Voice::new("s01"));
    bench.is_held = true;
    let (one, two) = (voice.say(), voice.say());
    let first = bench.offer("s01", &one);
    bench.poll();
    let second = bench.offer("s01", &two);
    bench.poll();
    bench.answer(false);
    bench.poll();
    assert_eq!((bench.naked.clone(), bench.acked.len(), bench.said.len()), (vec![first, second], 0, 0));
    bench.is_held = false;
    bench.ms += 2000;
    bench.offer("s01", &one);
    bench.offer("s01", &two);
    bench.poll();
    assert_eq!(bench.applied("s01"), [2, 4]);
}

#[test]
fn each_bad_frame_has_its_reason_and_nothing_else_suffers() {
    let camera = json!({"camera": "s01-1"});
    let good = |voice: &mut Voice| voice.say();
    type Make = Box<dyn Fn(&mut Voice) -> Vec<u8>>;
    type Bad = (&'static str, Make);
    let c = camera.clone();
    let frame = |at: i64, kind: &'static str, body: Value| -> Make {
        Box::new(move |voice| {
            let frame = voice.frame(at, kind, body.clone());
            voice.wrap(frame)
        })
    };
    let bad: Vec<Bad> = vec![
        ("future", frame(NOW + 301_000_000, "event.noted", c.clone())),
        ("before_time", frame(0, "event.noted", c.clone())),
        ("unknown_kind", frame(NOW, "weather.changed", c.clone())),
        ("unknown_kind", frame(NOW, "event.noted", json!({"new": "a kind of event of the next version"}))),
        ("unknown_version", frame(NOW, "event.noted", json!({"v": 2}))),
        ("malformed", frame(NOW, "event.noted", json!({"unreadable": "it has no kind"}))),
        ("foreign_camera", frame(NOW, "event.noted", json!({"camera": "s02-1"}))),
        ("oversized", frame(NOW, "event.noted", json!({"camera": "s01-1", "x": "x".repeat(70_000)}))),
        (
            "broken_chain",
            Box::new(|voice: &mut Voice| {
                let mut frame = voice.good();
                frame.body["camera"] = json!("s01-2");
                voice.wrap(frame)
            }),
        ),
        (
            "unknown_version",
            Box::new(|voice: &mut Voice| {
                let text = String::from_utf8(voice.say()).unwrap();
                text.replace("\"v\":1,\"origin\"", "\"v\":9,\"origin\"").into_bytes()
            }),
        ),
    ];
    for (reason, make) in bad {
        let mut bench = Bench::new();
        let mut voice = Voice::new("s01");
        let mut other = Voice::new("s02");
        bench.offer("s01", &good(&mut voice));
        bench.offer("s01", &make(&mut voice));
        bench.offer("s01", &good(&mut voice));
        bench.offer("s02", &good(&mut other));
        bench.poll();
        assert_eq!(bench.applied("s01"), [2, 6], "{reason}");
        assert_eq!(bench.applied("s02"), [2], "{reason}");
        let counts: Vec<_> =
            bench.inbox.counters().quarantined.iter().map(|(r, n)| (r.as_str(), *n)).collect();
        assert_eq!(counts, [(reason, 1)]);
        assert_eq!(bench.acked.len(), 4, "{reason}");
        let (_, body) = bench.journal.iter().find(|(kind, _)| *kind == kinds::RELAY_QUARANTINED).unwrap();
        assert_eq!(body["parts"][0]["frames"][0]["reason"], reason);
        assert_eq!(body["parts"][0]["frames"][0]["key"]["seq"], 4);
        let state = bench.inbox.state();
        assert_eq!((state.mark(&node("s01")), state.origins[&node("s01")].quarantined), (voice.mark, 1));
        // A start on this journal goes on behind the bad one.
        assert_eq!(bench.reduced().origins, state.origins);
    }
}

#[test]
fn a_sender_speaks_for_nobody_else() {
    let (mut bench, mut voice) = (Bench::new(), Voice::new("s02"));
    bench.offer("s01", &voice.say());
    bench.offer("s01", b"garbage");
    bench.offer("s01", &vec![b'x'; limits::RELAY_PACKET_BYTES_READ_MAX + 1]);
    bench.poll();
    let counts: Vec<_> = bench.inbox.counters().quarantined.iter().map(|(r, n)| (*r, *n)).collect();
    assert_eq!(counts, [(Reason::Oversized, 1), (Reason::WrongOrigin, 1), (Reason::Malformed, 1)]);
    assert_eq!(bench.acked.len(), 3);
    assert!(bench.inbox.state().origins.is_empty(), "nobody has moved");
    // What the other one says itself is taken in.
    bench.offer("s02", &Voice::new("s02").say());
    bench.poll();
    assert_eq!(bench.applied("s02"), [2]);
    // A county speaks for its stations and is told where they stand; a station is not told of others.
    bench.offer("county", &Voice::new("st1").say());
    bench.poll();
    assert_eq!(bench.inbox.locate(&node("county"), Ask::new(1)).marks.len(), 1);
    assert_eq!(bench.inbox.locate(&node("s02"), Ask::new(1)).marks[0].origin, node("s02"));
}

#[test]
fn a_quarantine_that_floods_is_counted_and_not_kept() {
    let (mut bench, mut voice) = (Bench::new(), Voice::new("s01"));
    for _ in 0..3000 {
        let frame = voice.frame(0, "event.noted", json!({"camera": "s01-1"}));
        bench.offer("s01", &voice.wrap(frame));
        bench.offer("s03", b"garbage");
        bench.ms += 1;
        bench.poll();
    }
    let kept: usize = bench
        .journal
        .iter()
        .flat_map(|(_, body)| body["parts"].as_array().unwrap())
        .map(|part| part["frames"].as_array().unwrap().len())
        .sum();
    assert_eq!(kept, 2 * limits::RELAY_QUARANTINE_PER_MINUTE_MAX as usize);
    assert_eq!(bench.inbox.counters().quarantined[&Reason::BeforeTime], 3000);
    assert_eq!(bench.inbox.state().origins[&node("s01")].quarantined, 3000);
    assert_eq!(bench.reduced().origins, bench.inbox.state().origins);
}

#[test]
fn a_flood_of_one_delays_nobody_else() {
    let mut bench = Bench::new();
    bench.is_held = true;
    let floods = ["s01", "s02"].map(|origin| {
        let mut voice = Voice::new(origin);
        (origin, (0..2000).map(|_| voice.say()).collect::<Vec<_>>())
    });
    let (mut calm, mut busy) = (Voice::new("s03"), Voice::new("s04"));
    for round in 0..2 {
        for (origin, packets) in &floods {
            for bytes in packets {
                bench.offer(origin, bytes);
            }
        }
        if round == 0 {
            bench.poll();
        }
    }
    bench.offer("s03", &calm.say());
    for _ in 0..5 {
        bench.offer("s04", &busy.say());
    }
    bench.answer(true);
    bench.poll();
    bench.answer(true);
    assert_eq!((bench.applied("s03").len(), bench.applied("s04").len()), (1, 5), "in the very next record");
    // What does not fit waits in the stream.
    assert!(bench.inbox.waiting(&node("s01")) <= limits::RELAY_INBOX_FRAMES_PER_ORIGIN_MAX);
    assert!(!bench.naked.is_empty());
}

#[test]
fn a_missing_frame_always_finds_room() {
    let (mut bench, mut voice) = (Bench::new(), Voice::new("s01"));
    let first = voice.say();
    let rest: Vec<_> = (0..1000).map(|_| voice.say()).collect();
    for bytes in &rest {
        bench.offer("s01", bytes);
        bench.poll();
    }
    let held = bench.inbox.waiting(&node("s01"));
    assert_eq!(held, limits::RELAY_INBOX_FRAMES_PER_ORIGIN_MAX);
    assert_eq!(bench.inbox.credit(&node("s01")), 0);
    bench.offer("s01", &first);
    bench.poll();
    assert_eq!(bench.applied("s01").len(), held);
    for bytes in &rest[held - 1..] {
        bench.offer("s01", bytes);
    }
    bench.poll();
    assert_eq!(bench.applied("s01"), (1..=1001).map(|n| 2 * n).collect::<Vec<_>>());
}

#[test]
fn a_gap_is_filled_or_given_up_only_with_evidence() {
    let (mut bench, mut voice) = (Bench::new(), Voice::new("s01"));
    bench.offer("s01", &voice.say());
    let lost = voice.good();
    let behind = voice.good();
    for walk in 1..limits::RELAY_GAP_WALKS as u64 {
        voice.walk = walk;
        bench.inbox.locate(&node("s01"), Ask::new(walk));
        // However often and however late the same walk is delivered, and whatever is left over of others.
        for old in 0..50 {
            let packet = Packet { base: Key::default(), walk: 1000 + old, frame: behind.clone() };
            bench.offer("s01", &packet.encode());
            bench.offer("s01", &voice.wrap(behind.clone()));
            bench.ms += 10_000;
            bench.poll();
        }
    }
    assert_eq!(bench.applied("s01"), [2]);
    assert!(bench.said.iter().any(|(_, c)| c.anew), "it was asked for");
    let mut other = Bench::from(bench.inbox.state().clone());
    std::mem::swap(&mut bench.journal, &mut other.journal);
    for frame in [behind.clone(), lost] {
        other.offer("s01", &voice.wrap(frame));
    }
    other.poll();
    assert_eq!(other.applied("s01"), [2, 4, 6], "it came");
    voice.walk = 99;
    bench.inbox.locate(&node("s01"), Ask::new(99));
    bench.offer("s01", &voice.wrap(behind));
    bench.offer("s01", &voice.say());
    bench.poll();
    assert_eq!(bench.applied("s01"), [8], "it does not exist; what is behind it goes on");
    assert_eq!(bench.inbox.counters().quarantined[&Reason::BrokenChain], 1);
}

#[test]
fn what_a_sender_was_confirmed_is_believed_only_of_the_walk_of_this_life() {
    let (mut bench, mut voice) = (Bench::new(), Voice::new("s01"));
    let mut say = |bench: &mut Bench, walk: u64, base: u64| {
        let packet = Packet { base: Key::new(1, base), walk, frame: voice.good() };
        bench.offer("s01", &packet.encode());
        bench.poll();
        bench.inbox.locate(&node("s01"), Ask::new(70 + base)).base
    };
    // A walk that began before this centre was restored speaks of what is lost.
    assert_eq!(say(&mut bench, 5, 1), None);
    assert_eq!(say(&mut bench, 71, 2), Some(Key::new(1, 2)));
    assert_eq!(say(&mut bench, 71, 3), Some(Key::new(1, 2)));
    assert_eq!(bench.applied("s01"), [2, 4, 6], "the frames themselves are good");
    assert_eq!(bench.reduced().senders, bench.inbox.state().senders);
}

fn preview(origin: &str, seq: u64, at: i64) -> Preview {
    let body = json!({"camera": format!("{origin}-1"), "alarm": true});
    Preview {
        v: FRAME_VERSION,
        origin: node(origin),
        epoch: 1,
        seq,
        at_us: at,
        kind: "event.noted".into(),
        body,
    }
}

#[test]
fn a_preview_leaves_when_its_frame_comes() {
    let (mut bench, mut voice) = (Bench::new(), Voice::new("s01"));
    for _ in 0..3 {
        bench.inbox.offer_preview(bench.now(), &node("s01"), &preview("s01", 4, NOW).encode());
    }
    for bad in [
        preview("s02", 4, NOW),
        preview("s01", 6, 0),
        preview("s01", 6, NOW + 400_000_000),
        Preview { kind: "weather.changed".into(), ..preview("s01", 6, NOW) },
        Preview { body: json!({"camera": "s02-1", "alarm": true}), ..preview("s01", 6, NOW) },
        Preview { body: json!({"camera": "s01-1"}), ..preview("s01", 6, NOW) },
    ] {
        bench.inbox.offer_preview(bench.now(), &node("s01"), &bad.encode());
    }
    bench.poll();
    assert_eq!(bench.shown, [preview("s01", 4, NOW)]);
    let counters = bench.inbox.counters();
    assert_eq!((counters.previews, counters.previews_late, counters.previews_refused), (1, 2, 6));
    bench.offer("s01", &voice.say());
    bench.poll();
    assert_eq!((bench.hidden.len(), bench.inbox.previews_shown()), (0, 1));
    bench.offer("s01", &voice.say());
    bench.poll();
    assert_eq!((bench.hidden.clone(), bench.inbox.previews_shown()), (vec![(Key::new(1, 4), true)], 0));
    // After its frame it is not shown again, and one whose frame never comes leaves by itself.
    bench.inbox.offer_preview(bench.now(), &node("s01"), &preview("s01", 4, NOW).encode());
    bench.inbox.offer_preview(bench.now(), &node("s01"), &preview("s01", 9, NOW).encode());
    bench.poll();
    bench.ms += 601_000;
    bench.poll();
    assert_eq!(bench.hidden, [(Key::new(1, 4), true), (Key::new(1, 9), false)]);
    assert_eq!(bench.inbox.counters().previews_expired, 1);
}

#[test]
fn previews_are_bounded_for_each_origin() {
    let mut bench = Bench::new();
    for seq in 1..2000 {
        bench.ms += 20;
        bench.inbox.offer_preview(bench.now(), &node("s01"), &preview("s01", seq, NOW).encode());
    }
    bench.inbox.offer_preview(bench.now(), &node("s02"), &preview("s02", 1, NOW).encode());
    bench.poll();
    assert_eq!(bench.inbox.previews_shown(), limits::RELAY_PREVIEWS_PER_ORIGIN_MAX + 1);
    assert!(bench.inbox.previews().any(|p| p.origin == node("s02")));
    assert!(bench.inbox.previews().any(|p| p.seq == 1999), "the newest stay");
}

#[test]
fn a_standing_record_stands_for_all_before() {
    let (mut bench, mut voice) = (Bench::new(), Voice::new("s01"));
    bench.offer("s01", &voice.say());
    bench.poll();
    bench.ms += 31 * 86_400_000;
    bench.poll();
    let (kind, body) = bench.journal.last().unwrap();
    assert_eq!(*kind, kinds::RELAY_STANDING);
    let mut alone = InboxState::default();
    alone.take(kind, body, UtcMicros(NOW)).unwrap();
    assert_eq!(
        (&alone.origins, &alone.senders),
        (&bench.inbox.state().origins, &bench.inbox.state().senders)
    );
}

proptest! {
    /// Whatever comes in, in whatever order: no panic, every delivery is answered once, and where an origin stands is
    /// moved by its own sender alone.
    #[test]
    fn no_bytes_move_anybody_but_their_sender(
        junk in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), 0..400usize, any::<u8>()), 1..40),
    ) {
        let (mut bench, mut voice) = (Bench::new(), Voice::new("s01"));
        for (bytes, at, byte) in junk {
            let good = voice.say();
            bench.offer("s01", &good);
            let mut bent = good;
            let at = at.min(bent.len() - 1);
            bent[at] ^= byte;
            bench.offer("s02", &bent);
            bench.offer("s02", &bytes);
            bench.inbox.offer_preview(bench.now(), &node("s02"), &bytes);
            bench.poll();
        }
        prop_assert_eq!(bench.inbox.state().mark(&node("s01")), voice.mark);
        prop_assert!(bench.inbox.state().origins.len() <= 2);
        let mut answered: Vec<u64> = bench.acked.iter().chain(&bench.naked).copied().collect();
        answered.sort_unstable();
        answered.dedup();
        prop_assert!(answered.len() == bench.acked.len() + bench.naked.len());
        prop_assert!(answered.len() as u64 + bench.inbox.waiting(&node("s02")) as u64 == bench.token);
    }
}
