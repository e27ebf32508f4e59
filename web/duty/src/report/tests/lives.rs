//! Random lives of alarms and incidents at two nodes that know of each other late, and the journal of one of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fengsui_config::clock::UtcMicros;
use fengsui_storage::journal::{JournalRecord, kinds};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::super::recount::Recount;
use super::super::{DAY_US, Places, SitePlace};
use crate::act::{Act, ActId, By, ByKind, MatterId, Noted, Verb};
use crate::book::Book;

const SECOND: i64 = 1_000_000;

pub static PLACES: LazyLock<Places> = LazyLock::new(|| {
    let site = |n: u32| SitePlace {
        name: format!("site {n}"),
        station: format!("st{}", n / 2),
        sub_centre: "sub".into(),
    };
    Places {
        sites: (0..4).map(|n| (format!("33080200002160000{n:03}"), site(n))).collect(),
        stations: BTreeMap::from([("st0".into(), "府山".into())]),
        sub_centres: BTreeMap::from([("sub".into(), "柯城".into())]),
        cameras: (1..4)
            .map(|n| {
                (
                    format!("3308020000132000000{n}"),
                    (format!("camera {n}"), format!("33080200002160000{n:03}")),
                )
            })
            .collect(),
    }
});

/// What a node knows, and what it wrote.
#[derive(Default)]
struct Desk {
    name: &'static str,
    book: Book,
    made: Vec<Noted>,
    seq: u64,
}

pub struct Lives {
    pub book: Book,
    pub begin: i64,
    pub records: Vec<JournalRecord>,
    seq: u64,
}

impl Lives {
    pub fn new(begin: i64) -> Self {
        Self { book: Book::default(), begin, records: Vec::new(), seq: 0 }
    }

    fn write(&mut self, kind: &str, body: Value) -> u64 {
        self.seq += 1;
        self.records.push(JournalRecord {
            node: "centre".into(),
            epoch: 1,
            seq: self.seq,
            at: UtcMicros(0),
            kind: kind.to_owned(),
            body,
            previous: [0; 32],
            hash: [0; 32],
        });
        self.seq
    }

    /// An alarm with the acts that `live` makes, each at its microsecond.
    pub fn alarm(
        &mut self,
        name: &str,
        raised: i64,
        due_s: u32,
        live: impl FnOnce(&mut dyn FnMut(i64, &str)),
    ) {
        let matter: MatterId = format!("alarm/kecheng/{name}").parse().unwrap();
        let raise = json!({"do": "raise", "rule": "rule/kecheng/gate", "rule_name": "gate", "kind": "k", "level": 2,
            "cause": "c", "first_us": 1_790_000_000_000_000_i64, "count": 1, "due_s": due_s, "hold_days": 0});
        let mut act = |at: i64, verb: &str| {
            let by = if verb.contains("raise") { By::system("gate") } else { By::person("li") };
            let verb = Verb::Alarm(serde_json::from_str(verb).unwrap());
            let act = self.book.propose(&matter, verb, by, UtcMicros(at)).unwrap();
            let seq = self.write(kinds::DUTY_ACTED, act.body());
            let id = ActId { node: "centre".parse().unwrap(), epoch: 1, seq };
            self.book.take(Noted { id, act });
        };
        act(raised, &raise.to_string());
        live(&mut act);
    }

    pub fn recount(&self) -> Recount {
        let mut recount = Recount::default();
        for record in &self.records {
            recount.take(record);
        }
        recount
    }

    pub fn conflicts(&self) -> u64 {
        let alarms = self.book.alarms.values().map(|l| l.conflicts().len());
        alarms.chain(self.book.incidents.values().map(|l| l.conflicts().len())).sum::<usize>() as u64
    }

    /// Acts of two nodes of which each learns the other's late; the journal is that of the first.
    pub fn random(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let begin = 1_790_000_000 * SECOND;
        let mut here = Desk { name: "centre", ..Desk::default() };
        let mut there = Desk { name: "kecheng", ..Desk::default() };
        let mut lives = Self::new(begin);
        let mut matters: Vec<MatterId> = Vec::new();
        let mut told = (0, 0);
        for step in 0..700 {
            let at = begin + step * DAY_US / 130 + random.random_range(-30..30) * SECOND;
            let desk = if random.random_bool(0.6) { &mut here } else { &mut there };
            if matters.is_empty() || random.random_bool(0.1) {
                let matter = first(&mut random, desk, at, step);
                matters.push(matter);
            } else {
                let matter = matters.choose(&mut random).unwrap().clone();
                act(&mut random, desk, &matter, at);
            }
            if random.random_bool(0.04) {
                exchange(&mut random, &mut lives, (&mut here, &mut there), &mut told);
            }
        }
        exchange(&mut random, &mut lives, (&mut here, &mut there), &mut told);
        lives.book = Book::default();
        for record in &lives.records {
            lives.book.take_record(record).unwrap();
        }
        lives
    }
}

/// Own acts go into the journal as they are made; those of the other node with the next exchange.
fn exchange(
    random: &mut StdRng,
    lives: &mut Lives,
    (here, there): (&mut Desk, &mut Desk),
    told: &mut (usize, usize),
) {
    let carried = |noted: &Noted| json!({"id": noted.id, "body": noted.act.body()});
    for noted in &here.made[told.0..] {
        lives.records.push(JournalRecord {
            node: here.name.into(),
            epoch: noted.id.epoch,
            seq: noted.id.seq,
            at: noted.act.at_us,
            kind: kinds::DUTY_ACTED.into(),
            body: noted.act.body(),
            previous: [0; 32],
            hash: [0; 32],
        });
        there.book.take(noted.clone());
    }
    let news: Vec<Noted> = there.made[told.1..].to_vec();
    *told = (here.made.len(), there.made.len());
    if news.is_empty() {
        return;
    }
    // The same acts may come by both ways, and more than once; what is not a node's to do comes by its centre alone.
    let before = lives.records.len();
    if random.random_bool(0.6) {
        let frame = |n: &Noted| {
            json!({"v": 1, "origin": n.id.node, "epoch": n.id.epoch, "seq": n.id.seq, "prev": {"epoch": 0, "seq": 0}, "at_us": n.act.at_us,
                "kind": kinds::DUTY_ACTED, "body": n.act.body(), "chain": "0".repeat(64)})
        };
        let frames: Vec<Value> = news.iter().map(frame).collect();
        lives.write(
            kinds::RELAY_APPLIED,
            json!({"parts": [{"from": "kecheng", "base": null, "frames": frames}]}),
        );
    }
    if random.random_bool(0.6) || lives.records.len() == before {
        let acts: Vec<Value> = news.iter().map(carried).collect();
        lives.write(kinds::DUTY_RECEIVED, json!({"from": "county", "acts": acts}));
    }
    for record in &lives.records[before..] {
        here.book.take_record(record).unwrap();
    }
}

fn put(desk: &mut Desk, act: Act) {
    desk.seq += 1;
    let id = ActId { node: desk.name.parse().unwrap(), epoch: 1, seq: desk.seq };
    let noted = Noted { id, act };
    desk.book.take(noted.clone());
    desk.made.push(noted);
}

fn propose(desk: &mut Desk, matter: &MatterId, body: Value, at: i64) -> bool {
    let by_system = matches!(body["do"].as_str(), Some("raise" | "counted" | "escalate"));
    let kind = if by_system { ByKind::System } else { ByKind::Person };
    let by = By { kind, name: format!("p{}", at % 3) };
    let verb = match matter.kind.as_str() {
        "alarm" => Verb::Alarm(serde_json::from_value(body).unwrap()),
        _ => Verb::Incident(serde_json::from_value(body).unwrap()),
    };
    match desk.book.propose(matter, verb, by, UtcMicros(at)) {
        Ok(act) => put(desk, act),
        Err(_) => return false,
    }
    true
}

fn first(random: &mut StdRng, desk: &mut Desk, at: i64, step: i64) -> MatterId {
    let home = ["kecheng", "centre", "longyou"].choose(random).unwrap();
    let site = random.random_bool(0.6).then(|| format!("33080200002160000{:03}", random.random_range(0..6)));
    if random.random_bool(0.6) {
        let matter: MatterId = format!("alarm/{home}/a{step}").parse().unwrap();
        let rule = random.random_range(0..4);
        let camera =
            random.random_bool(0.7).then(|| format!("3308020000132000000{}", random.random_range(1..6)));
        let due_s = *[0, 60, 3600].choose(random).unwrap();
        let raise = json!({"do": "raise", "rule": format!("rule/centre/r{rule}"), "rule_name": format!("rule {rule}.{}", step / 200),
            "kind": "device.input", "level": 2, "camera": camera, "site": site, "cause": "c", "first_us": at, "count": 1,
            "due_s": due_s, "hold_days": 0});
        assert!(propose(desk, &matter, raise.clone(), at), "{raise}");
        return matter;
    }
    let matter: MatterId = format!("incident/{home}/i{step}").parse().unwrap();
    let open = json!({"do": "open", "number": format!("n-{step}"), "kind": "theft", "title": "t", "level": 2,
        "place": {"site": site, "address": "a"}, "channel": "desk"});
    propose(desk, &matter, open, at);
    matter
}

fn act(random: &mut StdRng, desk: &mut Desk, matter: &MatterId, at: i64) {
    // What is not possible is tried again with something else: a few times, so that most steps do something.
    for _ in 0..6 {
        let body = match matter.kind.as_str() {
            "alarm" => alarm_act(random, at),
            _ => incident_act(random, at),
        };
        if propose(desk, matter, body, at) {
            return;
        }
    }
}

fn alarm_act(random: &mut StdRng, at: i64) -> Value {
    let all = [
        json!({"do": "acknowledge"}),
        json!({"do": "begin"}),
        json!({"do": "resolve", "result": "done"}),
        json!({"do": "dismiss", "reason": "animal"}),
        json!({"do": "reopen", "reason": "again"}),
        json!({"do": "close"}),
        json!({"do": "prioritise", "level": 1, "reason": "r"}),
        json!({"do": "own", "owner": "wang"}),
        json!({"do": "snooze", "until_us": at + 600 * SECOND, "reason": "r"}),
        json!({"do": "wake"}),
        json!({"do": "escalate", "level": 1}),
        json!({"do": "note", "text": "n"}),
        json!({"do": "counted", "count": 5, "last_us": at}),
        json!({"do": "link", "incident": format!("incident/centre/i{}", random.random_range(0..2))}),
    ];
    all.choose(random).unwrap().clone()
}

fn incident_act(random: &mut StdRng, _at: i64) -> Value {
    let steps = json!([
        {"id": "s1", "text": "look", "answers": {"yes": "", "no": "s3"}},
        {"id": "s2", "text": "go"},
        {"id": "s3", "text": "tell"},
    ]);
    let unit = random.random_range(0..3);
    let dispatch = format!("d{}", random.random_range(0..4));
    let step = format!("s{}", random.random_range(1..4));
    let (answer, to) = (
        *["yes", "no"].choose(random).unwrap(),
        *["received", "arrived", "done", "declined", "recalled"].choose(random).unwrap(),
    );
    let answer = if step == "s1" { json!(answer) } else { Value::Null };
    let plan = format!("plan/centre/p{}", random.random_range(0..2));
    let all = [
        json!({"do": "assign", "people": ["li"]}),
        json!({"do": "edit", "place": {"site": format!("33080200002160000{:03}", random.random_range(0..6))}}),
        json!({"do": "edit", "title": "other"}),
        json!({"do": "note", "text": "n"}),
        json!({"do": "share", "node": "kecheng"}),
        json!({"do": "use_plan", "plan": plan, "body": {"name": "p", "steps": steps}}),
        json!({"do": "step_done", "step": step, "answer": answer}),
        json!({"do": "step_done", "step": step, "answer": answer}),
        json!({"do": "step_skipped", "step": step, "reason": "r"}),
        json!({"do": "dispatch", "id": dispatch, "order": "go", "unit": {"id": format!("unit/centre/u{unit}"), "name": "u", "net": "street"}}),
        json!({"do": "progressed", "id": dispatch, "to": to, "result": "r"}),
        json!({"do": "progressed", "id": dispatch, "to": to, "result": "r"}),
        json!({"do": "progressed", "id": dispatch, "to": to, "result": "r"}),
        json!({"do": "resolve", "result": "r"}),
        json!({"do": "reopen", "reason": "r"}),
        json!({"do": "close"}),
        json!({"do": "cancel", "reason": "r"}),
    ];
    all.choose(random).unwrap().clone()
}
