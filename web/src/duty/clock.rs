//! What time does to alarms: one that nobody acknowledged in its time is escalated, by its home node alone; one whose snooze
//! ends, or that becomes overdue, is shown anew. The latter are no acts: everybody sees the same at the same moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_duty::act::{By, MatterId, Verb};
use fengsui_duty::alarm::{Alarm, AlarmVerb};
use fengsui_duty::book::Book;

use super::tell;
use crate::app::App;

/// The name by which time acts.
const BY: &str = "clock";

fn open<'a>(
    book: &'a Book,
    standing: &'a BTreeSet<MatterId>,
) -> impl Iterator<Item = (&'a MatterId, &'a Alarm)> {
    let state = |id: &'a MatterId| Some((id, book.alarms.get(id)?.state()?));
    standing.iter().filter_map(state).filter(|(_, alarm)| alarm.state.is_open())
}

/// What `node` has to do at `now`: alarms of its own that are overdue and were not escalated in this state.
#[must_use]
pub fn due(
    book: &Book,
    standing: &BTreeSet<MatterId>,
    now: UtcMicros,
    node: &NodeId,
) -> Vec<(MatterId, Verb)> {
    let is_due = |alarm: &Alarm| {
        alarm.escalated_in != Some(alarm.state) && alarm.overdue_us().is_some_and(|at| at <= now)
    };
    let own = open(book, standing).filter(|(id, alarm)| id.home == *node && is_due(alarm));
    let escalate = |(id, alarm): (&MatterId, &Alarm)| {
        (id.clone(), Verb::Alarm(AlarmVerb::Escalate { level: alarm.level.up() }))
    };
    own.map(escalate).take(limits::DUTY_BULK_MAX).collect()
}

/// Alarms that look otherwise since `before`, though nobody did anything: a snooze ended, or they became overdue.
#[must_use]
pub fn turned(
    book: &Book,
    standing: &BTreeSet<MatterId>,
    before: UtcMicros,
    now: UtcMicros,
) -> Vec<MatterId> {
    let within = |at: Option<UtcMicros>| at.is_some_and(|at| before < at && at <= now);
    let turned = open(book, standing)
        .filter(|(_, alarm)| within(alarm.snoozed_until_us) || within(alarm.overdue_us()));
    turned.map(|(id, _)| id.clone()).collect()
}

/// Looks once at what time did since `before`; gives the time up to which it has looked.
pub async fn look(app: &App, before: UtcMicros) -> UtcMicros {
    let now = app.clock.utc();
    let (due, turned) = app.duty.read_standing(|book, standing| {
        (due(book, standing, now, app.duty.node()), turned(book, standing, before, now))
    });
    for id in turned.iter().filter(|id| !due.iter().any(|(other, _)| other == *id)) {
        tell::push(app, id);
    }
    for outcome in app.duty.act_each(app, due, &By::system(BY)).await {
        if let Err(error) = outcome {
            // Somebody was quicker, or the journal does not write; the next look tries again.
            tracing::debug!(%error, "an alarm was not escalated");
        }
    }
    now
}

/// Looks until the node stops.
pub async fn run(app: Arc<App>) {
    let mut seen = app.clock.utc();
    loop {
        seen = look(&app, seen).await;
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(limits::DUTY_CLOCK_LOOK) => {}
        }
    }
}
