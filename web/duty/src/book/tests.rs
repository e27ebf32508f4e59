//! The book: what waits, what leaves, what is not welcome, and how much there may be.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_wrap,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};

use fengsui_relay::frame::{Frame, Key, Mark};

use super::keep::Most;
use super::*;
use crate::alarm::{AlarmState, FALSE_REASONS, Level, Raise};
use crate::define::{PlanBody, PlanStep, PlanVerb};
use crate::incident::{Channel, IncidentState, IncidentVerb, Open, Where};
use crate::ledger::Conflict;

const START: i64 = 1_790_000_000_000_000;

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn matter(text: &str) -> MatterId {
    text.parse().unwrap()
}

fn raise(cause: &str) -> Verb {
    Verb::Alarm(AlarmVerb::Raise(Raise {
        rule: matter("rule/north/door"),
        rule_name: "Door".to_owned(),
        kind: "device.input".to_owned(),
        level: Level::USUAL,
        camera: None,
        site: None,
        cause: cause.to_owned(),
        row: None,
        text: String::new(),
        first_us: UtcMicros(START),
        count: 1,
        due_s: 60,
        hold_days: 0,
    }))
}

fn open(nodes: &[&str]) -> Verb {
    Verb::Incident(IncidentVerb::Open(Open {
        number: "20261129-001".to_owned(),
        kind: "fight".to_owned(),
        title: "Fight at the bridge".to_owned(),
        text: String::new(),
        level: Level::USUAL,
        place: Where { address: "Bridge 3".to_owned(), ..Where::default() },
        channel: Channel::Desk,
        reference: String::new(),
        alarms: BTreeSet::new(),
        cameras: BTreeSet::new(),
        nodes: nodes.iter().map(|name| node(name)).collect(),
    }))
}

fn note(text: &str) -> Verb {
    Verb::Alarm(AlarmVerb::Note { text: text.to_owned() })
}

/// A book that writes its own acts.
struct Desk {
    node: NodeId,
    book: Book,
    seq: u64,
    now: i64,
}

impl Desk {
    fn new(name: &str) -> Self {
        Self { node: node(name), book: Book::default(), seq: 0, now: START }
    }

    fn act(&mut self, on: &MatterId, verb: Verb) -> Result<Noted, Illegal> {
        let by = if verb.begins() || matches!(verb, Verb::Alarm(AlarmVerb::Counted { .. })) {
            By::system("rule/north/door")
        } else {
            By::person("wang")
        };
        self.now += 1_000_000;
        let act = self.book.propose(on, verb, by, UtcMicros(self.now))?;
        self.seq += 1;
        let noted = Noted { id: ActId { node: self.node.clone(), epoch: 1, seq: self.seq }, act };
        self.book.take(noted.clone());
        Ok(noted)
    }

    fn closed_alarm(&mut self, name: &str) -> MatterId {
        let on = matter(&format!("alarm/{}/{name}", self.node));
        self.act(&on, raise(name)).unwrap();
        let reason = FALSE_REASONS[0].to_owned();
        self.act(&on, Verb::Alarm(AlarmVerb::Dismiss { reason })).unwrap();
        self.act(&on, Verb::Alarm(AlarmVerb::Close)).unwrap();
        on
    }
}

fn from_snapshot(book: &Book) -> Book {
    let value: serde_json::Value = serde_json::from_str(&serde_json::to_string(book).unwrap()).unwrap();
    serde_json::from_value(value).unwrap()
}

#[test]
fn acts_before_the_beginning_wait() {
    let (mut north, on) = (Desk::new("north"), matter("alarm/north/a1"));
    let acts: Vec<Noted> = [raise("a1"), Verb::Alarm(AlarmVerb::Acknowledge), note("seen")]
        .map(|verb| north.act(&on, verb).unwrap())
        .into();
    let mut other = Book::default();
    for act in acts.iter().rev().take(2) {
        assert!(other.take(act.clone()));
        assert!(other.alarms[&on].state().is_none() && other.alarms[&on].conflicts().is_empty());
    }
    assert_eq!((other.waiting(), other.open_of(MatterKind::Alarm, &node("north"))), (1, 0));
    assert!(other.take(acts[0].clone()));
    assert_eq!((other.waiting(), other.open_of(MatterKind::Alarm, &node("north"))), (0, 1));
    assert!(other == north.book, "in whatever order they come");
    assert!(from_snapshot(&other) == other);
}

#[test]
fn a_refusal_says_what_was_done_before_and_by_whom() {
    let (mut north, on) = (Desk::new("north"), matter("alarm/north/a1"));
    north.act(&on, raise("a1")).unwrap();
    let mut refused = |verb: AlarmVerb| {
        let illegal = north.act(&on, Verb::Alarm(verb)).map(|_| ()).err();
        illegal.map(|illegal| (illegal.code, illegal.detail.contains("wang")))
    };
    let of = |code: &str, named: bool| Some((code.to_owned(), named));
    assert_eq!(refused(AlarmVerb::Begin), of("not_yet", false));
    assert_eq!(refused(AlarmVerb::Acknowledge), None);
    assert_eq!(refused(AlarmVerb::Acknowledge), of("already_acknowledged", true));
    assert_eq!(refused(AlarmVerb::Close), of("already_acknowledged", true));
    assert_eq!(refused(AlarmVerb::Resolve { result: "done".into() }), None);
    assert_eq!(refused(AlarmVerb::Acknowledge), of("already_settled", true));
    assert_eq!(refused(AlarmVerb::Reopen { reason: "again".into() }), None);
    assert_eq!(refused(AlarmVerb::Acknowledge), of("already_acknowledged", true));
    assert_eq!(refused(AlarmVerb::Dismiss { reason: FALSE_REASONS[0].into() }), None);
    assert_eq!(refused(AlarmVerb::Close), None);
    assert_eq!(
        refused(AlarmVerb::Own { owner: "li".into(), note: String::new() }),
        of("already_closed", true)
    );
}

#[test]
fn a_snooze_hides_an_open_alarm_until_its_time() {
    let (mut north, on) = (Desk::new("north"), matter("alarm/north/a1"));
    north.act(&on, raise("a1")).unwrap();
    north.act(&on, Verb::Alarm(AlarmVerb::Acknowledge)).unwrap();
    let until_us = UtcMicros(START + 60_000_000);
    north.act(&on, Verb::Alarm(AlarmVerb::Snooze { until_us, reason: "later".into() })).unwrap();
    let hidden = |desk: &Desk, at: i64| desk.book.alarms[&on].state().unwrap().is_snoozed(UtcMicros(at));
    assert!(hidden(&north, until_us.0 - 1) && !hidden(&north, until_us.0) && !hidden(&north, until_us.0 + 1));
    north
        .act(&on, Verb::Alarm(AlarmVerb::Prioritise { level: Level::USUAL.up(), reason: String::new() }))
        .unwrap();
    assert!(!hidden(&north, until_us.0 - 1), "what is more urgent is seen");
    assert_eq!(Level::ALL.map(|level| (level.get(), level.up().get())), [(1, 1), (2, 1), (3, 2), (4, 3)]);
}

#[test]
fn a_flood_of_counts_costs_nothing() {
    let (mut north, on) = (Desk::new("north"), matter("alarm/north/a1"));
    north.act(&on, raise("a1")).unwrap();
    let before = north.book.bytes();
    for count in 2..20_000 {
        let verb = AlarmVerb::Counted { count, last_us: UtcMicros(START + count as i64) };
        north.act(&on, Verb::Alarm(verb)).unwrap();
    }
    let alarm = north.book.alarms[&on].state().unwrap();
    assert_eq!((alarm.count, alarm.last_us), (19_999, UtcMicros(START + 19_999)));
    assert_eq!(north.book.acts_of(&on).count(), 2);
    assert!(north.book.bytes() < before + 400, "{} bytes", north.book.bytes());
    assert_eq!(north.book.digest(&on).count, 2);
}

#[test]
fn a_full_matter_takes_no_words_and_can_be_ended() {
    let (mut north, on) = (Desk::new("north"), matter("alarm/north/a1"));
    north.act(&on, raise("a1")).unwrap();
    let refused = loop {
        if let Err(refused) = north.act(&on, note("more")) {
            break refused;
        }
    };
    assert_eq!((refused.code.as_str(), north.book.alarms[&on].len()), ("full", limits::DUTY_MATTER_ACTS_MAX));
    north.act(&on, Verb::Alarm(AlarmVerb::Acknowledge)).unwrap();
    let result = String::new();
    let round = [AlarmVerb::Resolve { result }, AlarmVerb::Reopen { reason: "again".to_owned() }];
    while round.iter().all(|verb| north.act(&on, Verb::Alarm(verb.clone())).is_ok()) {}
    let many = north.book.alarms[&on].len();
    assert!(many <= limits::DUTY_MATTER_ACTS_MAX + limits::DUTY_MATTER_ACTS_RESERVE + 2, "{many} acts");
    north.act(&on, Verb::Alarm(AlarmVerb::Close)).unwrap();
    assert_eq!(north.book.alarms[&on].state().unwrap().state, AlarmState::Closed);
}

#[test]
fn what_there_is_no_room_for_goes_into_one_alarm_of_its_rule() {
    let (mut north, home, rule) = (Desk::new("north"), node("north"), matter("rule/north/door"));
    for n in 0..limits::DUTY_OPEN_ALARMS_MAX {
        assert!(north.book.has_room_for_alarm(&home));
        north.act(&matter(&format!("alarm/north/a{n}")), raise("x")).unwrap();
    }
    assert!(!north.book.has_room_for_alarm(&home));
    let refused = north.act(&matter("alarm/north/beyond"), raise("x")).unwrap_err();
    assert_eq!(refused.code, "too_many_open");
    let over = north.book.overflow_alarm(&home, &rule);
    assert_eq!(over, north.book.overflow_alarm(&home, &rule));
    assert_ne!(over, north.book.overflow_alarm(&home, &matter("rule/north/window")));
    north.act(&over, raise("beyond")).unwrap();
    assert_eq!(north.book.overflow_alarm(&home, &rule), over, "while it is open, there is one");
    let reason = "test".to_owned();
    north.act(&over, Verb::Alarm(AlarmVerb::Dismiss { reason })).unwrap();
    let next = north.book.overflow_alarm(&home, &rule);
    assert_ne!(next, over);
    north.act(&next, raise("beyond")).unwrap();
}

#[test]
fn of_matters_long_over_the_facts_stay_and_late_acts_are_listed() {
    let mut north = Desk::new("north");
    north.book.keep.bounded(Most { alarms: 3, incidents: 3, bytes: 1 << 20, facts: 5 });
    let closed: Vec<MatterId> = (0..6).map(|n| north.closed_alarm(&format!("a{n}"))).collect();
    assert_eq!(north.book.alarms.len(), 3, "the newest stay");
    assert!(north.book.is_gone(&closed[0]) && !north.book.is_gone(&closed[3]));
    assert_eq!(north.book.facts().count(), 6);
    let fact = north.book.facts().find(|(id, _)| *id == closed[0]).unwrap().1;
    let Fact::Alarm(fact) = fact else { panic!("{fact:?}") };
    assert!(fact.was_false && fact.state == AlarmState::Closed && fact.acknowledged_us.is_some());
    assert_eq!(north.act(&closed[0], note("still")).unwrap_err().code, "gone");

    let mut act = north.act(&closed[5], note("x")).unwrap();
    act.act.matter = closed[0].clone();
    assert!(!north.book.lacks(&act) && !north.book.take(act.clone()));
    assert_eq!((north.book.late().count, &north.book.late().newest[0].id), (1, &act.id));
    for n in 6..20 {
        north.closed_alarm(&format!("a{n}"));
    }
    assert_eq!(north.book.facts().count(), 3 + 5, "the oldest facts leave as well");
    let mut again = from_snapshot(&north.book);
    again.keep.bounded(Most { alarms: 3, incidents: 3, bytes: 1 << 20, facts: 5 });
    assert!(again == north.book);
}

#[test]
fn what_is_over_leaves_when_it_is_too_much_in_bytes() {
    let mut north = Desk::new("north");
    let one = {
        north.closed_alarm("first");
        north.book.bytes()
    };
    let bytes = 10 * one;
    north.book.keep.bounded(Most { alarms: 1000, incidents: 1000, bytes, facts: 1000 });
    for n in 0..50 {
        north.closed_alarm(&format!("a{n}"));
        assert!(north.book.bytes() <= bytes);
    }
    assert_eq!(north.book.facts().count(), 51);
}

fn frame(noted: &Noted) -> Frame {
    let key = Key::new(noted.id.epoch, noted.id.seq);
    let kind = record_kind(&noted.act.verb);
    Frame::behind(Mark::default(), &noted.id.node, key, noted.act.at_us, kind, noted.act.body())
}

fn part(from: &str, noted: &Noted) -> AppliedPart {
    AppliedPart { from: node(from), base: None, frames: vec![frame(noted)] }
}

#[test]
fn a_node_acts_on_what_is_its_own_or_names_it_and_on_nothing_else() {
    let here = node("centre");
    let (mut north, mut south) = (Desk::new("north"), Desk::new("south"));
    let (alarm, incident) = (matter("alarm/north/a1"), matter("incident/north/i1"));
    let begun = [north.act(&alarm, raise("a1")).unwrap(), north.act(&incident, open(&[])).unwrap()];
    let mut centre = Book::default();
    for noted in &begun {
        assert_eq!(centre.take_part(&part("north", noted), &here).len(), 1);
        south.book.take(noted.clone());
    }
    let foreign = south.act(&alarm, Verb::Alarm(AlarmVerb::Acknowledge)).unwrap();
    assert_eq!(centre.take_from_below(foreign, &here), Err(Unwelcome::NotItsOwn));
    let cancel = || Verb::Incident(IncidentVerb::Cancel { reason: "none".to_owned() });
    let foreign = south.act(&incident, cancel()).unwrap();
    assert_eq!(centre.take_from_below(foreign, &here), Err(Unwelcome::NotShared));
    assert_eq!(centre.incidents[&incident].state().unwrap().state, IncidentState::Open);

    let share = north.act(&incident, Verb::Incident(IncidentVerb::Share { node: node("south") })).unwrap();
    centre.take_part(&part("north", &share), &here);
    south.book = Book::default();
    for noted in begun.iter().chain([&share]) {
        assert!(south.book.take(noted.clone()));
    }
    let shared = south.act(&incident, cancel()).unwrap();
    assert_eq!(centre.take_from_below(shared, &here), Ok(true));

    // A definition of the centre, and one in another node's name.
    let define = |home: &str| {
        let step = PlanStep { id: "s1".to_owned(), text: "go".to_owned(), answers: BTreeMap::new() };
        let body = PlanBody { name: "Fight".to_owned(), kinds: Vec::new(), steps: vec![step] };
        (matter(&format!("plan/{home}/p1")), Verb::Plan(PlanVerb::Define(body)))
    };
    for home in ["centre", "north", "unheard"] {
        let (on, verb) = define(home);
        let foreign = south.act(&on, verb).unwrap();
        assert_eq!(centre.take_from_below(foreign, &here), Err(Unwelcome::NotItsOwn), "{home}");
        assert!(!centre.plans.contains_key(&on));
    }
    assert_eq!(centre.unwelcome(), &BTreeMap::from([(Unwelcome::NotItsOwn, 4), (Unwelcome::NotShared, 1)]));
    assert!(from_snapshot(&centre) == centre);
    assert_eq!(south.book.may_act(&alarm, &node("south")).unwrap_err().code, "not_here");
    assert!(south.book.may_act(&incident, &node("south")).is_ok() && centre.may_act(&alarm, &here).is_ok());
}

#[test]
fn a_county_acts_for_the_nodes_for_which_it_speaks() {
    let here = node("centre");
    let (mut town, mut county, mut lake) = (Desk::new("town"), Desk::new("county"), Desk::new("lake"));
    let alarm = matter("alarm/town/a1");
    let raised = town.act(&alarm, raise("a1")).unwrap();
    let mut centre = Book::default();
    centre.take_part(&part("county", &raised), &here);
    county.book.take(raised.clone());
    lake.book.take(raised);
    let acknowledge = || Verb::Alarm(AlarmVerb::Acknowledge);
    let by_lake = lake.act(&alarm, acknowledge()).unwrap();
    assert!(centre.take_part(&part("county", &by_lake), &here).is_empty());
    let by_county = county.act(&alarm, acknowledge()).unwrap();
    assert_eq!(centre.take_part(&part("county", &by_county), &here).len(), 1);
    assert_eq!(centre.alarms[&alarm].state().unwrap().state, AlarmState::Acknowledged);
}

#[test]
fn who_settles_a_conflict_settles_what_they_saw() {
    let (mut north, mut centre, on) = (Desk::new("north"), Desk::new("centre"), matter("alarm/north/a1"));
    let raised = north.act(&on, raise("a1")).unwrap();
    centre.book.take(raised);
    let own = |owner: &str| Verb::Alarm(AlarmVerb::Own { owner: owner.to_owned(), note: String::new() });
    let (a, b) = (north.act(&on, own("li")).unwrap(), centre.act(&on, own("zhao")).unwrap());
    centre.book.take(a.clone());
    north.book.take(b.clone());
    assert!(north.book == centre.book);
    let ledger = &north.book.alarms[&on];
    assert_eq!((ledger.conflicts().len(), ledger.open_conflicts()), (1, 1));
    let Conflict::Overrules { act, other, what } = ledger.conflicts()[0].clone() else { panic!("overruled") };
    assert_eq!((&act.id, &other.id, what.as_str()), (&a.id, &b.id, "owner"));

    let settle = |act: String| Verb::Alarm(AlarmVerb::Settle { act, note: String::new() });
    assert_eq!(north.act(&on, settle(b.id.to_string())).unwrap_err().code, "no_conflict");
    let settled = north.act(&on, settle(a.id.to_string())).unwrap();
    assert_eq!((north.book.alarms[&on].conflicts().len(), north.book.open_conflicts(&on)), (1, 0));
    centre.book.take(settled);
    assert_eq!(centre.book.open_conflicts(&on), 0);

    // A void act that nobody saw who settled is open.
    let (c, d) = (
        north.act(&on, Verb::Alarm(AlarmVerb::Acknowledge)),
        centre.act(&on, Verb::Alarm(AlarmVerb::Acknowledge)),
    );
    north.book.take(d.unwrap());
    centre.book.take(c.unwrap());
    assert_eq!((north.book.open_conflicts(&on), centre.book.open_conflicts(&on)), (1, 1));
}

#[test]
fn who_saves_a_definition_that_two_changed_settles_it() {
    let (mut north, mut centre, on) = (Desk::new("north"), Desk::new("centre"), matter("plan/north/p1"));
    let plan = |name: &str| {
        let step = PlanStep { id: "a".to_owned(), text: "Go".to_owned(), answers: BTreeMap::new() };
        let body = PlanBody { name: name.to_owned(), kinds: Vec::new(), steps: vec![step] };
        Verb::Plan(PlanVerb::Define(body))
    };
    centre.book.take(north.act(&on, plan("First")).unwrap());
    let (a, b) = (north.act(&on, plan("North's")).unwrap(), centre.act(&on, plan("Centre's")).unwrap());
    // Saved without having heard of the other's change: that settles nothing.
    let again = centre.act(&on, plan("Centre's again")).unwrap();
    for noted in [b, again] {
        north.book.take(noted);
    }
    centre.book.take(a);
    let open = |desk: &Desk| desk.book.plans[&on].open_conflicts();
    assert!(north.book == centre.book && open(&north) > 0, "{}", open(&north));
    centre.book.take(north.act(&on, plan("Both")).unwrap());
    assert_eq!((open(&north), open(&centre)), (0, 0));
    assert!(!north.book.plans[&on].conflicts().is_empty(), "what happened stays known");
}

#[test]
fn what_was_not_seen_whole_is_not_said_to_be_seen() {
    let (mut north, on) = (Desk::new("north"), matter("alarm/north/a1"));
    let acts: Vec<Noted> =
        [raise("a1"), note("one"), note("two")].map(|verb| north.act(&on, verb).unwrap()).into();
    let mut centre = Desk::new("centre");
    centre.book.take(acts[0].clone());
    centre.book.take(acts[2].clone());
    let act = centre.act(&on, note("here")).unwrap().act;
    assert_eq!((act.lamport, act.seen.get(&node("north"))), (4, Some(&1)));
    centre.book.take(acts[1].clone());
    let act = centre.act(&on, note("there")).unwrap().act;
    assert_eq!((act.seen.get(&node("north")), act.seen.get(&node("centre"))), (Some(&3), Some(&4)));
}
