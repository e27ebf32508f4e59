//! What is refused, and what is warned of.

use fengsui_relay::event::{EventKind, Priority};

use super::kit::{SITE, at, camera, id, input, own, places, rule, rule_id};
use crate::define::{Hours, RuleBody, Trigger};
use crate::rules::check::{can_last, check, highest};
use crate::rules::trial::Trial;

fn good() -> RuleBody {
    RuleBody { kinds: vec!["device.input".into()], ..rule(Trigger::Each) }
}

fn refused(change: fn(&mut RuleBody)) -> Vec<String> {
    let mut body = good();
    change(&mut body);
    let checked = check(&body, &places(), None, &[]);
    assert!(checked.refusals.iter().all(|r| !r.remedy.is_empty() && !r.detail.is_empty()));
    checked.refusals.into_iter().map(|r| r.field).collect()
}

fn warned(change: fn(&mut RuleBody)) -> Vec<String> {
    let mut body = good();
    change(&mut body);
    let checked = check(&body, &places(), None, &[]);
    assert!(checked.refusals.is_empty(), "{body:?}");
    checked.warnings.into_iter().map(|w| w.code).collect()
}

#[test]
fn a_value_out_of_bounds_is_refused_by_its_name() {
    assert_eq!(refused(|_| ()), [""; 0]);
    assert_eq!(refused(|r| r.name = "  ".into()), ["name"]);
    assert_eq!(refused(|r| r.name = "<b>x</b>".into()), ["name"]);
    assert_eq!(refused(|r| r.name = "x".repeat(65)), ["name"]);
    assert_eq!(refused(|r| r.area = vec!["33".into()]), ["area"]);
    assert_eq!(refused(|r| r.hold_days = 366), ["hold_days"]);
    assert_eq!(refused(|r| r.due_s = 604_801), ["due_s"]);
    assert_eq!(refused(|r| r.hold_off_s = 604_801), ["hold_off_s"]);
    assert_eq!(refused(|r| r.hours = vec![Hours { days: vec![8], from_min: 0, to_min: 1 }]), ["hours.days"]);
    assert_eq!(
        refused(|r| r.hours = vec![Hours { days: vec![], from_min: 1440, to_min: 1 }]),
        ["hours.from_min"]
    );
    assert_eq!(
        refused(|r| r.hours = vec![Hours { days: vec![], from_min: 0, to_min: 1441 }]),
        ["hours.to_min"]
    );
    let repetition = |times, within_s| Trigger::Repetition { times, within_s, together: false };
    assert_eq!(
        check(&RuleBody { trigger: repetition(1, 60), ..good() }, &places(), None, &[]).refusals[0].field,
        "trigger.times"
    );
    assert_eq!(
        check(&RuleBody { trigger: repetition(2, 0), ..good() }, &places(), None, &[]).refusals[0].field,
        "trigger.within_s"
    );
    assert_eq!(refused(|r| r.trigger = Trigger::Absence { for_s: 0, together: true }), ["trigger.for_s"]);
    assert_eq!(
        refused(|r| r.trigger = Trigger::Absence { for_s: 60, together: false }),
        ["trigger.together"]
    );
    assert_eq!(refused(|r| r.trigger = Trigger::Lasting { for_s: 604_801 }), ["trigger.for_s"]);
    assert_eq!(
        refused(|r| r.trigger = Trigger::Threshold { fact: String::new(), min: None, max: None }),
        ["trigger.fact", "trigger.min"]
    );
    assert_eq!(
        refused(|r| r.trigger = Trigger::Threshold { fact: "v".into(), min: Some(f64::NAN), max: None }),
        ["trigger.min"]
    );
    let turned = Trigger::Threshold { fact: "v".into(), min: Some(2.0), max: Some(1.0) };
    let checked = check(&RuleBody { trigger: turned, ..good() }, &places(), None, &[]);
    assert_eq!(checked.refusals[0].field, "trigger.min");
}

#[test]
fn a_rule_that_can_never_fire_or_fires_always_is_warned_of() {
    assert_eq!(warned(|_| ()), [""; 0]);
    assert_eq!(warned(|r| r.enabled = false), ["off"]);
    assert_eq!(warned(|r| r.kinds = vec!["no.such".into()]), ["never_kinds"]);
    assert_eq!(warned(|r| r.kinds.push("no.such".into())), ["unknown_kinds"]);
    assert_eq!(warned(|r| r.cameras = vec![camera(77)]), ["never_places"]);
    assert_eq!(warned(|r| r.cameras = vec![camera(77), camera(1)]), ["unknown_cameras"]);
    assert_eq!(warned(|r| r.area = vec!["33080200002160000099".into(), SITE.into()]), ["unknown_area"]);
    let node_of_camera = |r: &mut RuleBody| (r.kinds, r.area) = (vec!["node.key".into()], vec![SITE.into()]);
    assert_eq!(warned(node_of_camera), ["never_cameras"]);
    let low = |r: &mut RuleBody| {
        (r.kinds, r.min_priority) = (vec!["camera.stalled".into()], Some(Priority::Alarm));
    };
    assert_eq!(warned(low), ["never_priority"]);
    assert_eq!(warned(|r| r.kinds.clear()), ["always_each"]);
    let points = |r: &mut RuleBody| {
        (r.kinds, r.trigger) = (vec!["operator.mark".into()], Trigger::Lasting { for_s: 60 });
    };
    assert_eq!(warned(points), ["never_lasting"]);
    let short = |r: &mut RuleBody| {
        r.hours = vec![Hours { days: vec![], from_min: 0, to_min: 10 }];
        r.trigger = Trigger::Absence { for_s: 601, together: true };
    };
    assert_eq!(warned(short), ["never_absence"]);
}

#[test]
fn a_rule_that_another_one_is_already_is_warned_of_and_not_of_itself() {
    let old = rule_id("old");
    let existing = [(old.clone(), good())];
    let codes = |body: &RuleBody, id| {
        let checked = check(body, &places(), id, &existing);
        checked.warnings.into_iter().map(|w| w.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&good(), None), ["twice"]);
    assert_eq!(codes(&good(), Some(&old)), [""; 0]);
    assert_eq!(codes(&RuleBody { cameras: vec![camera(1)], ..good() }, None), ["same_name"]);
}

#[test]
fn kinds_that_never_last_and_their_priorities_are_known() {
    let short: Vec<EventKind> = EventKind::ALL.iter().copied().filter(|k| !can_last(*k)).collect();
    assert_eq!(short.len(), 8, "{short:?}");
    assert_eq!(highest(EventKind::CameraClockOffset), Priority::Low);
    assert_eq!(highest(EventKind::DeviceInput), Priority::Alarm);
}

#[test]
fn a_trial_takes_alarms_without_events_for_ten_minutes_as_dealt_with() {
    let rules = vec![(rule_id("each"), RuleBody { enabled: false, ..good() })];
    let mut trial = Trial::new(own(), places(), rules, (at(0), at(100_000)));
    for (seq, s) in [0, 300, 899, 1_500, 9_000].into_iter().enumerate() {
        trial.event(&id(u64::try_from(seq).unwrap()), &input(1, "door", s), at(s));
    }
    let (outcome, _) = trial.finish(at(20_000));
    let counts: Vec<(i64, u64)> =
        outcome.fired.iter().map(|f| (f.first_us.since(at(0)) / 1_000_000, f.count)).collect();
    assert_eq!(counts, [(0, 3), (1_500, 1), (9_000, 1)]);
    assert_eq!((outcome.alarms, outcome.events), (3, 5));
}
