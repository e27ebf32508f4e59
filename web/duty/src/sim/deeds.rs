//! What people, rules and units might do next, sensible or not.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::act::{By, ByKind, MatterId, MatterKind, Verb};
use crate::alarm::{AlarmVerb, Level, Raise};
use crate::book::Book;
use crate::define::{
    Net, PlanBody, PlanStep, PlanVerb, RuleBody, RuleVerb, ShiftVerb, Trigger, UnitBody, UnitVerb,
};
use crate::incident::{Channel, IncidentVerb, Open, Progress, SentUnit, Where};

/// Dice.
pub struct Dice(StdRng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }
    pub fn roll(&mut self, below: usize) -> usize {
        self.0.random_range(0..below)
    }
    pub fn one_in(&mut self, many: usize) -> bool {
        self.roll(many) == 0
    }
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

const PEOPLE: [&str; 4] = ["wang", "li", "zhao", "<b>chen</b>"];

pub fn matter(kind: MatterKind, home: &str, name: &str) -> MatterId {
    MatterId { kind, home: home.parse().unwrap(), name: name.to_owned() }
}

pub fn by(dice: &mut Dice) -> By {
    let kind = *dice.pick(&[
        ByKind::Person,
        ByKind::Person,
        ByKind::Person,
        ByKind::System,
        ByKind::Unit,
        ByKind::Token,
    ]);
    By { kind, name: (*dice.pick(&PEOPLE)).to_owned() }
}

fn person(dice: &mut Dice) -> String {
    (*dice.pick(&PEOPLE)).to_owned()
}

/// Words, and now and then none where some are wanted.
fn words(dice: &mut Dice) -> String {
    let all = ["animal", "came back", "looked: nothing\nwas there", "<script>alert(1)</script>"];
    (*dice.pick(&all)).to_owned()
}

fn level(dice: &mut Dice) -> Level {
    *dice.pick(&Level::ALL)
}

fn camera(dice: &mut Dice) -> CameraId {
    format!("3308020100132000000{}", dice.roll(4)).parse().unwrap()
}

pub fn raise(dice: &mut Dice, rule: MatterId, at: UtcMicros) -> Raise {
    Raise {
        rule,
        rule_name: "Door".to_owned(),
        kind: "device.input".to_owned(),
        level: level(dice),
        camera: (!dice.one_in(4)).then(|| camera(dice)),
        site: Some("33080201".to_owned()),
        cause: format!("door/{}", dice.roll(3)),
        row: None,
        text: "opened".to_owned(),
        first_us: at,
        count: 1,
        due_s: 60,
        hold_days: 30,
    }
}

/// The act in conflict that somebody settles, often one that is in a conflict.
fn in_conflict(dice: &mut Dice, book: &Book, matter: &MatterId) -> String {
    let ids: Vec<String> = match matter.kind {
        MatterKind::Alarm => book.alarms[matter].conflicts().iter().map(|c| c.act().id.to_string()).collect(),
        _ => book.incidents[matter].conflicts().iter().map(|c| c.act().id.to_string()).collect(),
    };
    if ids.is_empty() || dice.one_in(4) { "centre.1.1".to_owned() } else { dice.pick(&ids).clone() }
}

pub fn alarm(dice: &mut Dice, book: &Book, on: &MatterId, now: UtcMicros) -> AlarmVerb {
    let incident = matter(MatterKind::Incident, on.home.as_str(), &format!("i{}", dice.roll(2)));
    match dice.roll(18) {
        0 | 1 => AlarmVerb::Acknowledge,
        2 | 3 => AlarmVerb::Begin,
        4 | 5 => AlarmVerb::Resolve { result: words(dice) },
        6 => AlarmVerb::Dismiss { reason: words(dice) },
        7 | 8 => AlarmVerb::Reopen { reason: words(dice) },
        9 if dice.one_in(3) => AlarmVerb::Close,
        10 => AlarmVerb::Prioritise { level: level(dice), reason: String::new() },
        11 => AlarmVerb::Own { owner: person(dice), note: String::new() },
        12 => {
            let span = *dice.pick(&[0, 60_000_000, 12 * 3_600_000_000, 12 * 3_600_000_000 + 1]);
            AlarmVerb::Snooze { until_us: UtcMicros(now.0 + span), reason: words(dice) }
        }
        13 => AlarmVerb::Wake,
        14 => AlarmVerb::Escalate { level: level(dice) },
        15 => AlarmVerb::Link { incident },
        16 => AlarmVerb::Settle { act: in_conflict(dice, book, on), note: words(dice) },
        17 if dice.one_in(3) => AlarmVerb::Raise(raise(dice, on.clone(), now)),
        _ if dice.one_in(2) => AlarmVerb::Counted {
            count: 1 + dice.roll(100) as u64,
            last_us: UtcMicros(now.0 + dice.roll(9) as i64),
        },
        _ => AlarmVerb::Note { text: words(dice) },
    }
}

pub fn open(dice: &mut Dice, nodes: &[&str]) -> Open {
    let named: BTreeSet<_> =
        nodes.iter().filter(|_| dice.one_in(3)).map(|node| node.parse().unwrap()).collect();
    Open {
        number: format!("20261129-{:03}", dice.roll(1000)),
        kind: "fight".to_owned(),
        title: words(dice).replace('\n', " "),
        text: String::new(),
        level: level(dice),
        place: place(dice),
        channel: Channel::Desk,
        reference: String::new(),
        alarms: BTreeSet::new(),
        cameras: BTreeSet::new(),
        nodes: named,
    }
}

fn place(dice: &mut Dice) -> Where {
    let point = (28.9 + dice.roll(100) as f64 / 1000.0, 118.87);
    match dice.roll(3) {
        0 => Where { site: Some("33080201".to_owned()), ..Where::default() },
        1 => Where { address: "Bridge 3".to_owned(), ..Where::default() },
        _ => Where { point: Some(point), ..Where::default() },
    }
}

pub fn plan(dice: &mut Dice) -> PlanBody {
    let many = 1 + dice.roll(4);
    let step = |n: usize, dice: &mut Dice| {
        let mut answers = BTreeMap::new();
        if dice.one_in(2) {
            answers.insert("yes".to_owned(), String::new());
            let target = n + 1 + dice.roll(many - n);
            answers.insert("no".to_owned(), if target < many { format!("s{target}") } else { String::new() });
        }
        PlanStep { id: format!("s{n}"), text: words(dice), answers }
    };
    let steps = (0..many).map(|n| step(n, dice)).collect();
    PlanBody { name: "Fight".to_owned(), kinds: Vec::new(), steps }
}

fn step(dice: &mut Dice, book: &Book, on: &MatterId) -> (String, Option<String>) {
    let next = book.incidents.get(on).and_then(|l| l.state()).and_then(|i| i.next_step());
    match next.filter(|_| !dice.one_in(4)) {
        Some(step) => {
            let answers: Vec<_> = step.answers.keys().cloned().collect();
            let answer = (!answers.is_empty()).then(|| dice.pick(&answers).clone());
            (step.id.clone(), if dice.one_in(8) { Some("maybe".to_owned()) } else { answer })
        }
        None => (format!("s{}", dice.roll(4)), None),
    }
}

pub fn incident(dice: &mut Dice, book: &Book, on: &MatterId, nodes: &[&str], now: UtcMicros) -> IncidentVerb {
    let unit = dice.roll(3);
    match dice.roll(26) {
        0 => IncidentVerb::Assign { people: BTreeSet::from([person(dice)]) },
        1 => {
            let (title, kind) =
                (dice.one_in(2).then(|| "Fight".to_owned()), dice.one_in(2).then(|| "theft".to_owned()));
            let place = dice.one_in(2).then(|| place(dice));
            IncidentVerb::Edit { title, kind, level: Some(level(dice)), place }
        }
        2 => IncidentVerb::AddAlarm { alarm: matter(MatterKind::Alarm, on.home.as_str(), "a0") },
        3 => IncidentVerb::AddCamera { camera: camera(dice) },
        4 => {
            let (from_us, to_us, camera) = (now, UtcMicros(now.0 + 1), camera(dice));
            IncidentVerb::AddClip { camera, from_us, to_us, note: String::new() }
        }
        5 => IncidentVerb::Note { text: words(dice) },
        6 => {
            let (name, media) = ("photo.jpg".to_owned(), "image/jpeg".to_owned());
            IncidentVerb::Attach { hash: "0f".repeat(32), name, media, bytes: 7 }
        }
        7 => IncidentVerb::Share { node: dice.pick(nodes).parse().unwrap() },
        8 | 9 => {
            let plan_id = matter(MatterKind::Plan, on.home.as_str(), "p0");
            IncidentVerb::UsePlan { plan: plan_id, body: plan(dice) }
        }
        10..=13 => {
            let (step, answer) = step(dice, book, on);
            IncidentVerb::StepDone { step, answer, note: String::new() }
        }
        14 => IncidentVerb::StepSkipped { step: step(dice, book, on).0, reason: words(dice) },
        15 | 16 => {
            let id = matter(MatterKind::Unit, on.home.as_str(), &format!("u{unit}"));
            let name = format!("Unit {unit}");
            let unit = SentUnit { id, name, net: Net::Street, contact: String::new() };
            IncidentVerb::Dispatch { id: format!("d{}", dice.roll(12)), unit, order: words(dice) }
        }
        17..=20 => {
            let sent = book.incidents.get(on).and_then(|l| l.state()).map(|i| i.dispatches.keys().cloned());
            let sent: Vec<String> = sent.into_iter().flatten().collect();
            let id = if sent.is_empty() { "d0".to_owned() } else { dice.pick(&sent).clone() };
            let all = [
                Progress::Received,
                Progress::Arrived,
                Progress::Done,
                Progress::Declined,
                Progress::Recalled,
            ];
            IncidentVerb::Progressed { id, to: *dice.pick(&all), result: words(dice) }
        }
        21 | 22 => IncidentVerb::Resolve { result: words(dice) },
        23 => IncidentVerb::Reopen { reason: words(dice) },
        24 if dice.one_in(2) => IncidentVerb::Close,
        24 if dice.one_in(2) => IncidentVerb::Cancel { reason: words(dice) },
        24 => IncidentVerb::Open(open(dice, nodes)),
        _ => IncidentVerb::Settle { act: in_conflict(dice, book, on), note: String::new() },
    }
}

fn unit(dice: &mut Dice) -> UnitBody {
    let members = vec![person(dice)];
    UnitBody {
        name: words(dice).replace('\n', " "),
        net: Net::Checkpoint,
        members,
        contact: "081".to_owned(),
        area: Vec::new(),
        duty: Vec::new(),
        post: Some((28.9, 118.8)),
    }
}

fn rule(dice: &mut Dice) -> RuleBody {
    RuleBody {
        name: "Door".to_owned(),
        enabled: dice.one_in(2),
        judged: crate::define::Judged::Origin,
        kinds: vec!["device.input".to_owned()],
        min_priority: None,
        cameras: Vec::new(),
        area: Vec::new(),
        hours: Vec::new(),
        trigger: Trigger::Each,
        level: level(dice),
        hold_off_s: 0,
        due_s: 60,
        hold_days: 0,
    }
}

/// What is defined, and the shift.
pub fn define(dice: &mut Dice, kind: MatterKind) -> Verb {
    match kind {
        MatterKind::Unit if dice.one_in(5) => Verb::Unit(UnitVerb::Remove),
        MatterKind::Unit => Verb::Unit(UnitVerb::Define(unit(dice))),
        MatterKind::Plan if dice.one_in(5) => Verb::Plan(PlanVerb::Remove),
        MatterKind::Plan => Verb::Plan(PlanVerb::Define(plan(dice))),
        MatterKind::Rule if dice.one_in(5) => Verb::Rule(RuleVerb::Remove),
        MatterKind::Rule => Verb::Rule(RuleVerb::Define(rule(dice))),
        _ if dice.one_in(2) => Verb::Shift(ShiftVerb::TakeOver { note: String::new() }),
        _ => Verb::Shift(ShiftVerb::HandOver {
            to: person(dice),
            note: words(dice),
            open: BTreeMap::from([("alarms".to_owned(), 3)]),
            signature: "ab".repeat(64),
            key: "cd".repeat(32),
        }),
    }
}

/// The same verb with a field that cannot be so; nothing where no field can be wrong.
pub fn spoiled(verb: &Verb) -> Option<Verb> {
    Some(match verb {
        Verb::Alarm(AlarmVerb::Dismiss { .. }) => Verb::Alarm(AlarmVerb::Dismiss { reason: " ".to_owned() }),
        Verb::Alarm(AlarmVerb::Note { .. }) => Verb::Alarm(AlarmVerb::Note { text: "a\u{202e}b".to_owned() }),
        Verb::Alarm(AlarmVerb::Own { .. }) => {
            Verb::Alarm(AlarmVerb::Own { owner: "a\u{7}".to_owned(), note: String::new() })
        }
        Verb::Incident(IncidentVerb::StepSkipped { step, .. }) => {
            Verb::Incident(IncidentVerb::StepSkipped { step: step.clone(), reason: String::new() })
        }
        Verb::Incident(IncidentVerb::AddClip { camera, from_us, note, .. }) => {
            let (camera, from_us, to_us, note) = (*camera, *from_us, *from_us, note.clone());
            Verb::Incident(IncidentVerb::AddClip { camera, from_us, to_us, note })
        }
        Verb::Incident(IncidentVerb::Open(open)) => {
            Verb::Incident(IncidentVerb::Open(Open { place: Where::default(), ..open.clone() }))
        }
        Verb::Unit(UnitVerb::Define(body)) => {
            Verb::Unit(UnitVerb::Define(UnitBody { members: Vec::new(), ..body.clone() }))
        }
        Verb::Plan(PlanVerb::Define(body)) => {
            Verb::Plan(PlanVerb::Define(PlanBody { steps: Vec::new(), ..body.clone() }))
        }
        _ => return None,
    })
}
