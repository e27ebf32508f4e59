//! Records of the journal, hours, absence, and a node that was away.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_relay::event::rows::RecordId;
use fengsui_relay::event::{EventKind, Phase, Priority};
use fengsui_storage::journal::JournalRecord;
use serde_json::Value;

use super::kit::{SITE, Seen, at, camera, engine, event, id, input, own, places, rule, rule_id};
use crate::act::{Act, By, MatterId, MatterKind, Verb};
use crate::alarm::AlarmVerb;
use crate::book::Book;
use crate::define::{Hours, Judged, RuleBody, RuleVerb, Trigger};
use crate::rules::hours::Week;
use crate::rules::{Engine, Firing};

/// A journal, written record by record.
#[derive(Default)]
struct Journal {
    records: Vec<JournalRecord>,
    book: Book,
    epoch: u64,
}

impl Journal {
    fn put(&mut self, kind: &str, body: Value, at: UtcMicros) {
        let seq = u64::try_from(self.records.len()).unwrap() + 1;
        let record = JournalRecord {
            node: own().to_string(),
            epoch: self.epoch.max(1),
            seq,
            at,
            kind: kind.into(),
            body,
            previous: [0; 32],
            hash: [0; 32],
        };
        self.book.take_record(&record).unwrap();
        self.records.push(record);
    }

    fn act(&mut self, matter: &MatterId, verb: Verb, at: UtcMicros) -> bool {
        let Ok(act) = self.book.propose(matter, verb, By::system("rules"), at) else { return false };
        let kind = crate::book::record_kind(&act.verb);
        self.put(kind, Act::body(&act), at);
        true
    }

    fn define(&mut self, name: &str, body: RuleBody, at: UtcMicros) {
        assert!(self.act(&rule_id(name), Verb::Rule(RuleVerb::Define(body)), at));
    }

    /// Does what fired, as the driver would; what is in the book is there already.
    fn carry_out(&mut self, firings: Vec<Firing>, at: UtcMicros) {
        for firing in firings {
            match firing {
                Firing::Raise { matter, raise, .. } => {
                    self.act(&matter, Verb::Alarm(AlarmVerb::Raise(raise)), at);
                }
                Firing::Counted { matter, count, last_us, .. } => {
                    if self.book.alarms.get(&matter).unwrap().state().unwrap().count < count {
                        self.act(&matter, Verb::Alarm(AlarmVerb::Counted { count, last_us }), at);
                    }
                }
            }
        }
    }

    fn alarms(&self) -> Vec<(String, u64)> {
        let all = self.book.alarms.iter();
        all.map(|(id, ledger)| (id.name.clone(), ledger.state().unwrap().count)).collect()
    }
}

fn each() -> RuleBody {
    RuleBody { kinds: vec!["device.input".into()], ..rule(Trigger::Each) }
}

#[test]
fn an_alarm_that_a_crash_kept_from_the_journal_is_raised_at_the_next_start_once() {
    let mut journal = Journal::default();
    journal.define("each", each(), at(0));
    journal.put("event.noted", input(1, "door", 1).body(), at(1));
    // The node judged it and ended before the alarm was in the journal.
    let mut first = Engine::new(own(), places());
    let kept = serde_json::to_value(&first).unwrap();
    journal.records.iter().for_each(|record| first.record(record));
    let lost = first.take();
    assert_eq!(lost.len(), 1);
    for _ in 0..3 {
        let mut engine: Engine = serde_json::from_value(kept.clone()).unwrap();
        engine.at(own(), places(), at(2));
        for record in journal.records.clone() {
            engine.record(&record);
            let firings = engine.take();
            journal.carry_out(firings, at(3));
        }
        assert_eq!(journal.alarms().len(), 1);
    }
    let Firing::Raise { matter, .. } = &lost[0] else { unreachable!() };
    assert_eq!(journal.alarms()[0], (matter.name.clone(), 1));
}

#[test]
fn a_start_without_a_kept_state_goes_on_with_the_counts_of_the_book() {
    let mut journal = Journal::default();
    journal.define("each", each(), at(0));
    let mut engine = Engine::new(own(), places());
    let mut fed = 0;
    let step = |journal: &mut Journal, engine: &mut Engine, fed: &mut usize, now| {
        while let Some(record) = journal.records.get(*fed).cloned() {
            *fed += 1;
            engine.record(&record);
            journal.carry_out(engine.take(), now);
        }
    };
    for s in 1..50 {
        journal.put("event.noted", input(1, "door", s).body(), at(s));
        step(&mut journal, &mut engine, &mut fed, at(s));
    }
    engine.flush(at(50));
    journal.carry_out(engine.take(), at(50));
    assert_eq!(journal.alarms()[0].1, 49);
    // All that is known now is the book, and the records from the thirtieth second on.
    let mut anew = Engine::new(own(), places());
    anew.define(&rule_id("each"), Some(each()), false, at(0));
    let book = journal.book.clone();
    for (matter, ledger) in &book.alarms {
        anew.known(matter, ledger.state().unwrap(), at(50));
    }
    let again: Vec<_> = journal.records.iter().filter(|r| r.at >= at(30)).cloned().collect();
    again.iter().for_each(|record| anew.record(record));
    anew.event(&id(9_000), &input(1, "door", 60), at(60));
    anew.flush(at(61));
    journal.carry_out(anew.take(), at(61));
    assert_eq!(journal.alarms(), [(journal.alarms()[0].0.clone(), 50)]);
}

#[test]
fn a_settled_alarm_makes_room_for_the_next_one_of_its_cause() {
    let mut journal = Journal::default();
    journal.define("each", RuleBody { hold_off_s: 30, ..each() }, at(0));
    let mut engine = Engine::new(own(), places());
    let mut fed = 0;
    let mut feed = |journal: &mut Journal, s: i64| {
        journal.put("event.noted", input(1, "door", s).body(), at(s));
        while let Some(record) = journal.records.get(fed).cloned() {
            fed += 1;
            engine.record(&record);
            journal.carry_out(engine.take(), at(s));
        }
    };
    feed(&mut journal, 1);
    let matter = journal.book.alarms.keys().next().unwrap().clone();
    let dismiss = Verb::Alarm(AlarmVerb::Dismiss { reason: "animal".into() });
    assert!(journal.act(&matter, dismiss, at(5)));
    feed(&mut journal, 30);
    assert_eq!(journal.alarms().len(), 1, "the hold-off keeps it away");
    feed(&mut journal, 36);
    assert_eq!(journal.alarms().len(), 2);
}

#[test]
fn a_rule_judges_nothing_that_was_noted_before_it_was_defined_or_after_it_was_removed() {
    let mut journal = Journal::default();
    journal.put("event.noted", input(1, "door", 1).body(), at(1));
    journal.define("each", each(), at(2));
    journal.put("event.noted", input(2, "door", 3).body(), at(3));
    assert!(journal.act(&rule_id("each"), Verb::Rule(RuleVerb::Remove), at(4)));
    journal.put("event.noted", input(3, "door", 5).body(), at(5));
    let mut engine = Engine::new(own(), places());
    journal.records.iter().for_each(|record| engine.record(record));
    let fired = engine.take();
    assert_eq!(fired.len(), 1);
    assert!(
        matches!(&fired[0], Firing::Raise { raise, .. } if raise.camera == Some(camera(2)) && raise.site.as_deref() == Some(SITE))
    );
}

#[test]
fn rules_of_the_centre_judge_own_events_here_and_rules_of_nodes_below_none() {
    let far = RecordId { node: "longyou".into(), epoch: 1, seq: 7 };
    let judged = |judged, home: &str, below, id: &RecordId| {
        let mut engine = Engine::new(own(), places());
        let rule = MatterId { kind: MatterKind::Rule, home: home.parse().unwrap(), name: "r".into() };
        engine.define(&rule, Some(RuleBody { judged, ..each() }), below, at(0));
        engine.event(id, &input(1, "door", 1), at(1));
        engine.take().len()
    };
    assert_eq!(judged(Judged::Origin, "centre", false, &id(1)), 1);
    assert_eq!(judged(Judged::Origin, "kecheng", false, &far), 0);
    assert_eq!(judged(Judged::Origin, "longyou", true, &id(1)), 0);
    assert_eq!(judged(Judged::Here, "kecheng", false, &far), 1);
    assert_eq!(judged(Judged::Here, "centre", false, &id(1)), 0);
}

#[test]
fn kinds_priority_cameras_and_area_select() {
    let raised = |change: fn(&mut RuleBody)| {
        let mut body = rule(Trigger::Each);
        change(&mut body);
        let mut engine = engine(&[("r", body)]);
        let mut alarm = input(5, "door", 1);
        alarm.priority = Priority::Alarm;
        engine.event(&id(1), &alarm, at(1));
        engine.event(&id(2), &input(1, "window", 1), at(1));
        engine.event(&id(3), &event(EventKind::NodeKey, "node/key", Phase::Point, 1), at(1));
        engine.event(&id(4), &event(EventKind::DeviceInput, "gate", Phase::Closes, 1), at(1));
        let mut seen = Seen::default();
        seen.add(engine.take());
        seen.raised
            .iter()
            .map(|(_, _, cause)| cause.rsplit('/').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(raised(|_| ()), ["door", "window", "key"], "what only closes raises nothing");
    assert_eq!(raised(|r| r.kinds = vec!["node.key".into()]), ["key"]);
    assert_eq!(raised(|r| r.kinds = vec!["no.such".into()]), [""; 0]);
    assert_eq!(raised(|r| r.min_priority = Some(Priority::Alarm)), ["door"]);
    assert_eq!(raised(|r| r.cameras = vec![camera(5)]), ["door"]);
    assert_eq!(raised(|r| r.area = vec![SITE.into()]), ["window"]);
    assert_eq!(raised(|r| r.area = vec![super::kit::CENTRE.into()]), ["door", "window"]);
    assert_eq!(raised(|r| r.enabled = false), [""; 0]);
}

#[test]
fn hours_are_local_and_may_run_into_the_next_day() {
    let hours = |days: &[u8], from_min, to_min| Hours { days: days.to_vec(), from_min, to_min };
    // at(0) is a Monday, 08:00 in China.
    let inside = |h: Hours, s: i64| Week::of(&[h], limits::LOCAL_UTC_OFFSET_S).contains(at(s));
    assert!(inside(hours(&[1], 480, 481), 0));
    assert!(!inside(hours(&[1], 480, 481), 60));
    assert!(!inside(hours(&[2], 480, 481), 0));
    assert!(inside(hours(&[], 1320, 360), 14 * 3600), "22:00");
    assert!(inside(hours(&[1], 1320, 360), 21 * 3600), "05:00 on Tuesday is of Monday's night");
    assert!(!inside(hours(&[1], 1320, 360), 22 * 3600));
    assert!(inside(hours(&[7], 1320, 600), 0), "Sunday's night runs into the new week");
    assert!(inside(hours(&[1], 300, 300), 5 * 3600) && !inside(hours(&[2], 0, 0), 5 * 3600));
    let night = Week::of(&[hours(&[], 1320, 360)], limits::LOCAL_UTC_OFFSET_S);
    assert_eq!(night.next(at(0)), Some(at(14 * 3600)));
    assert_eq!(night.longest_s(), Some(8 * 3600));
    assert_eq!(Week::default().longest_s(), None);
}

#[test]
fn absence_is_told_once_for_each_silence_and_of_each_camera() {
    let body = RuleBody {
        cameras: vec![camera(1), camera(2)],
        ..rule(Trigger::Absence { for_s: 100, together: false })
    };
    let mut engine = Engine::new(own(), places());
    engine.define(&rule_id("quiet"), Some(body), false, at(0));
    engine.event(&id(1), &input(1, "door", 50), at(50));
    engine.tick(at(99));
    assert!(engine.take().is_empty());
    engine.tick(at(149));
    let fired = engine.take();
    assert!(
        matches!(&fired[..], [Firing::Raise { raise, .. }] if raise.camera == Some(camera(2)) && raise.first_us == at(0) && raise.kind == "absence")
    );
    engine.tick(at(1_000));
    assert_eq!(engine.take().len(), 1, "the other, once");
    engine.event(&id(2), &input(1, "door", 1_000), at(1_000));
    engine.tick(at(1_099));
    engine.flush(at(1_099));
    assert!(engine.take().is_empty());
    engine.tick(at(1_100));
    engine.flush(at(1_100));
    assert!(matches!(&engine.take()[..], [Firing::Counted { count: 2, .. }]), "it is silent again");
}

#[test]
fn silence_outside_the_hours_and_while_the_node_was_away_does_not_count() {
    // From 10:00 to 12:00; at(0) is 08:00.
    let hours = vec![Hours { days: Vec::new(), from_min: 600, to_min: 720 }];
    let body = RuleBody { hours, ..rule(Trigger::Absence { for_s: 1_800, together: true }) };
    let mut engine = Engine::new(own(), places());
    engine.define(&rule_id("quiet"), Some(body), false, at(0));
    engine.tick(at(7_200 + 1_799));
    assert!(engine.take().is_empty());
    engine.tick(at(7_200 + 1_800));
    assert_eq!(engine.take().len(), 1);

    let mut journal = Journal::default();
    journal.define("quiet", rule(Trigger::Absence { for_s: 100, together: true }), at(0));
    journal.put("event.noted", input(1, "door", 1).body(), at(1));
    journal.epoch = 2;
    journal.put("journal.opened", serde_json::json!({}), at(5_000));
    let mut engine = Engine::new(own(), places());
    journal.records.iter().for_each(|record| engine.record(record));
    engine.tick(at(5_099));
    assert!(engine.take().is_empty());
    engine.tick(at(5_100));
    assert_eq!(engine.take().len(), 1);
}

#[test]
fn what_lasts_is_told_when_it_lasted_and_closed_by_whatever_closes_its_part() {
    let body = RuleBody { kinds: vec!["camera.offline".into()], ..rule(Trigger::Lasting { for_s: 300 }) };
    let mut engine = engine(&[("silent", body)]);
    let offline = |n: usize, s| {
        event(EventKind::CameraOffline, &format!("camera/{n}"), Phase::Opens, s)
            .part(format!("link:{n}"))
            .camera(camera(n))
    };
    let online = |n: usize, s| {
        event(EventKind::CameraOnline, &format!("camera/{n}"), Phase::Closes, s)
            .part(format!("link:{n}"))
            .camera(camera(n))
    };
    engine.event(&id(1), &offline(1, 0), at(0));
    engine.event(&id(2), &offline(2, 0), at(0));
    engine.event(&id(3), &online(2, 299), at(299));
    engine.tick(at(299));
    assert!(engine.take().is_empty());
    engine.tick(at(300));
    assert!(
        matches!(&engine.take()[..], [Firing::Raise { raise, .. }] if raise.camera == Some(camera(1)) && raise.first_us == at(0))
    );
    engine.tick(at(10_000));
    assert!(engine.take().is_empty(), "once");
    engine.event(&id(4), &online(1, 10_000), at(10_000));
    engine.event(&id(5), &offline(1, 10_010), at(10_010));
    engine.tick(at(10_310));
    engine.flush(at(10_310));
    assert!(matches!(&engine.take()[..], [Firing::Counted { count: 2, .. }]));
}

#[test]
fn a_rule_that_is_changed_looks_anew_and_keeps_its_open_alarms() {
    let often = |times| rule(Trigger::Repetition { times, within_s: 60, together: false });
    let mut engine = engine(&[("often", often(3))]);
    let put = |engine: &mut Engine, seq, s| {
        engine.event(&id(seq), &input(1, "door", s), at(s));
        engine.take().len()
    };
    assert_eq!(put(&mut engine, 1, 1) + put(&mut engine, 2, 2), 0);
    engine.define(
        &rule_id("often"),
        Some(RuleBody { level: 1.try_into().unwrap(), ..often(3) }),
        false,
        at(3),
    );
    assert_eq!(put(&mut engine, 3, 3), 1, "another level forgets nothing");
    engine.define(&rule_id("often"), Some(often(2)), false, at(4));
    assert_eq!(put(&mut engine, 4, 4) + put(&mut engine, 5, 4), 0, "they join the open alarm");
    assert_eq!(engine.stats().keys, 1);
}
