//! Alarms as they are shown.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_duty::act::MatterId;
use fengsui_duty::alarm::{Alarm, AlarmState, Level};
use fengsui_duty::book::Book;
use fengsui_duty::ledger::Ledger;
use serde::Serialize;
use utoipa::ToSchema;

use super::{DoneView, Names, open_conflicts};
use crate::app::App;

/// The incident of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct IncidentRef {
    /// Its id.
    #[schema(example = "incident/centre/20260922-4e1a7c09")]
    pub id: String,
    /// Its number; none while it is not known here.
    pub number: Option<String>,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlarmView {
    /// Its id.
    #[schema(example = "alarm/kecheng/3f2a9c01b7d4e865")]
    pub id: String,
    /// The node at which it was raised.
    pub node: String,
    /// Its name there.
    pub name: String,
    /// `new`, `acknowledged`, `in_progress`, `resolved`, `false` or `closed`.
    #[schema(value_type = String, example = "new")]
    pub state: AlarmState,
    /// 1 before all others, 4 when there is time.
    pub level: u8,
    /// What happened.
    pub kind: String,
    /// Words of the first event.
    pub text: String,
    /// The rule that raised it.
    pub rule: String,
    /// Its name then.
    pub rule_name: String,
    /// The camera, when it is of one.
    #[schema(value_type = Option<String>)]
    pub camera: Option<CameraId>,
    /// Its name.
    pub camera_name: Option<String>,
    /// Code of the site.
    pub site: Option<String>,
    /// Its name.
    pub site_name: Option<String>,
    /// Events so far.
    pub count: u64,
    /// When the first happened.
    pub first_us: i64,
    /// When the latest happened.
    pub last_us: i64,
    /// When it was raised.
    pub raised_us: i64,
    /// Since when it is in its state.
    pub since_us: i64,
    /// Who owns it.
    pub owner: Option<String>,
    /// When somebody is to have acknowledged it; none when that is done, or it never is overdue.
    pub due_us: Option<i64>,
    /// That time is over.
    pub overdue: bool,
    /// Until when it is snoozed; may lie in the past.
    pub snoozed_until_us: Option<i64>,
    /// It is hidden by that now.
    pub snoozed: bool,
    /// How often it was escalated.
    pub escalations: u32,
    /// Why it was found false, or what was done.
    pub outcome: Option<String>,
    /// It was found false.
    pub was_false: bool,
    /// When it was acknowledged first.
    pub acknowledged: Option<DoneView>,
    /// When it was resolved or found false.
    pub settled: Option<DoneView>,
    /// When it was closed.
    pub closed: Option<DoneView>,
    /// Its incident.
    pub incident: Option<IncidentRef>,
    /// Conflicts at which nobody has looked.
    pub conflicts: u64,
    /// The row of events that it began with.
    pub row: Option<String>,
    /// Days for which footage around it is held; 0: it is not.
    pub hold_days: u32,
}

/// How many alarms are as somebody has to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlarmCounts {
    /// Nobody has taken them on.
    pub new: u64,
    /// Somebody has.
    pub acknowledged: u64,
    /// Somebody works on them.
    pub in_progress: u64,
    /// Of all open ones, those that are hidden by a snooze now.
    pub snoozed: u64,
    /// Of the new ones, those that should have been acknowledged.
    pub overdue: u64,
    /// Alarms, open or not, with a conflict at which nobody has looked.
    pub conflicts: u64,
    /// Open ones by level; `"1"` to `"4"`.
    pub by_level: BTreeMap<String, u64>,
}

impl AlarmCounts {
    fn of(book: &Book, standing: &BTreeSet<MatterId>, now: UtcMicros) -> Self {
        let level = |level: Level| (level.get().to_string(), 0);
        let mut all = Self { by_level: Level::ALL.into_iter().map(level).collect(), ..Self::default() };
        for (ledger, alarm) in
            standing.iter().filter_map(|id| book.alarms.get(id)).filter_map(|l| Some((l, l.state()?)))
        {
            all.conflicts += u64::from(open_conflicts(ledger) > 0);
            match alarm.state {
                AlarmState::New => all.new += 1,
                AlarmState::Acknowledged => all.acknowledged += 1,
                AlarmState::InProgress => all.in_progress += 1,
                AlarmState::Resolved | AlarmState::False | AlarmState::Closed => continue,
            }
            all.snoozed += u64::from(alarm.is_snoozed(now));
            all.overdue += u64::from(is_overdue(alarm, now));
            *all.by_level.entry(alarm.level.get().to_string()).or_default() += 1;
        }
        all
    }
}

pub(super) fn is_overdue(alarm: &Alarm, now: UtcMicros) -> bool {
    alarm.overdue_us().is_some_and(|due| due <= now)
}

/// How many alarms are open.
#[must_use]
pub fn alarm_counts(app: &App) -> AlarmCounts {
    let now = app.clock.utc();
    app.duty.read_standing(|book, standing| AlarmCounts::of(book, standing, now))
}

/// An alarm as it is now; none when it is not known here.
#[must_use]
pub fn alarm(app: &App, id: &MatterId) -> Option<AlarmView> {
    let (now, names) = (app.clock.utc(), Names(app.topology()));
    app.duty.read(|book| alarm_in(&names, book, id, now))
}

/// The same, of a book at hand.
#[must_use]
pub(in crate::duty) fn alarm_in(
    names: &Names,
    book: &Book,
    id: &MatterId,
    now: UtcMicros,
) -> Option<AlarmView> {
    let ledger = book.alarms.get(id)?;
    Some(view(names, book, (id, ledger, ledger.state()?), now))
}

/// Several of them, those that are known here.
#[must_use]
pub fn alarms_in<'a>(app: &App, ids: impl Iterator<Item = &'a MatterId>) -> Vec<AlarmView> {
    let (now, names) = (app.clock.utc(), Names(app.topology()));
    app.duty.read(|book| ids.filter_map(|id| alarm_in(&names, book, id, now)).collect())
}

fn view(
    names: &Names,
    book: &Book,
    (id, ledger, alarm): (&MatterId, &Ledger<Alarm>, &Alarm),
    now: UtcMicros,
) -> AlarmView {
    let raise = &alarm.raise;
    let site = names.site(raise.site.as_deref(), raise.camera.as_ref());
    let number = |incident: &MatterId| Some(book.incidents.get(incident)?.state()?.open.number.clone());
    let incident = alarm.incident.as_ref();
    AlarmView {
        id: id.to_string(),
        node: id.home.to_string(),
        name: id.name.clone(),
        state: alarm.state,
        level: alarm.level.get(),
        kind: raise.kind.clone(),
        text: raise.text.clone(),
        rule: raise.rule.to_string(),
        rule_name: raise.rule_name.clone(),
        camera: raise.camera,
        camera_name: raise.camera.as_ref().map(|camera| names.camera(camera)),
        site: site.as_ref().map(|(code, _)| code.clone()),
        site_name: site.map(|(_, name)| name),
        count: alarm.count,
        first_us: raise.first_us.0,
        last_us: alarm.last_us.0,
        raised_us: alarm.raised_us.0,
        since_us: alarm.since_us.0,
        owner: alarm.owner.clone(),
        due_us: alarm.overdue_us().map(|t| t.0),
        overdue: is_overdue(alarm, now),
        snoozed_until_us: alarm.snoozed_until_us.map(|t| t.0),
        snoozed: alarm.is_snoozed(now),
        escalations: alarm.escalations,
        outcome: alarm.outcome.clone(),
        was_false: alarm.was_false,
        acknowledged: alarm.acknowledged.as_ref().map(DoneView::of),
        settled: alarm.settled.as_ref().map(DoneView::of),
        closed: alarm.closed.as_ref().map(DoneView::of),
        incident: incident.map(|id| IncidentRef { id: id.to_string(), number: number(id) }),
        conflicts: open_conflicts(ledger),
        row: raise.row.clone(),
        hold_days: raise.hold_days,
    }
}
