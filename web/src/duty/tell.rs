//! What browsers are told, on the stream of `GET /api/v1/events`: `alarm`, `incident`, `definition`, `duty` and `notice`.
//!
//! What somebody did is told at once. That an alarm counts further is told every half second, however fast it counts, and
//! so is how many alarms are open: a flood at one camera floods no browser.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fengsui_config::clock::MonoMicros;
use fengsui_config::limits;
use fengsui_duty::act::{MatterId, MatterKind, Noted, Verb};
use fengsui_duty::alarm::AlarmVerb;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use super::{notices, view};
use crate::app::App;

#[derive(Debug, Default)]
struct Waiting {
    /// When browsers were told last that an alarm counts further.
    counted: BTreeMap<MatterId, MonoMicros>,
    /// Alarms that counted further since.
    alarms: BTreeSet<MatterId>,
    /// When the counts were told last.
    counts_at: Option<MonoMicros>,
    /// They are to be told again.
    counts: bool,
}

impl Waiting {
    /// Whether to tell now that an alarm counts further; else it waits.
    fn may_count(&mut self, alarm: &MatterId, now: MonoMicros) -> bool {
        let lately = |at: &MonoMicros| now.since(*at) < limits::DUTY_COUNTED_INTERVAL;
        if self.counted.get(alarm).is_some_and(lately) {
            self.alarms.insert(alarm.clone());
            return false;
        }
        if self.counted.len() >= limits::DUTY_COUNTED_REMEMBERED_MAX {
            self.counted.retain(|_, at| lately(at));
        }
        self.counted.insert(alarm.clone(), now);
        true
    }

    /// Whether to tell the counts now; else they wait.
    fn may_tell_counts(&mut self, now: MonoMicros) -> bool {
        let lately = self.counts_at.is_some_and(|at| now.since(at) < limits::DUTY_COUNTS_INTERVAL);
        (self.counts, self.counts_at) = (lately, if lately { self.counts_at } else { Some(now) });
        !lately
    }
}

/// What is still to be told.
#[derive(Debug, Default)]
pub(super) struct Teller {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

/// Tells of acts that are in the book since a moment ago.
pub(super) fn told(app: &App, new: &[Noted]) {
    let now = app.clock.mono();
    let (mut at_once, mut later) = (BTreeSet::new(), false);
    {
        let mut waiting = app.duty.teller.waiting.lock();
        for noted in new {
            let counts = matches!(noted.act.verb, Verb::Alarm(AlarmVerb::Counted { .. }));
            if !counts || waiting.may_count(&noted.act.matter, now) {
                at_once.insert(&noted.act.matter);
            }
        }
        for matter in &at_once {
            waiting.alarms.remove(*matter);
        }
        later |= !waiting.alarms.is_empty();
    }
    for matter in at_once {
        push(app, matter);
    }
    notices::told(app, new);
    if new.iter().any(|n| matches!(n.act.matter.kind, MatterKind::Alarm | MatterKind::Incident)) {
        later |= !counts(app, now);
    }
    if later {
        app.duty.teller.wake.notify_one();
    }
}

/// Tells how a matter is now.
pub fn push(app: &App, matter: &MatterId) {
    let told = match matter.kind {
        MatterKind::Alarm => {
            view::alarm(app, matter).and_then(|view| Some(("alarm", serde_json::to_string(&view).ok()?)))
        }
        MatterKind::Incident => view::incident_row(app, matter)
            .and_then(|row| Some(("incident", serde_json::to_string(&row).ok()?))),
        kind => Some(("definition", json!({"kind": kind.as_str(), "id": matter.to_string()}).to_string())),
    };
    if let Some((name, data)) = told {
        app.events.push(name, data);
    }
}

/// Tells how many alarms are open, unless that was told a moment ago; whether it did.
fn counts(app: &App, now: MonoMicros) -> bool {
    if !app.duty.teller.waiting.lock().may_tell_counts(now) {
        return false;
    }
    let counts = view::alarm_counts(app);
    app.events.push("duty", json!({"counts": counts}).to_string());
    true
}

/// Tells what waits, when it is time.
pub(crate) fn flush(app: &App) {
    let now = app.clock.mono();
    let (alarms, again) = {
        let mut waiting = app.duty.teller.waiting.lock();
        let all = std::mem::take(&mut waiting.alarms);
        let alarms: Vec<MatterId> = all.into_iter().filter(|alarm| waiting.may_count(alarm, now)).collect();
        (alarms, waiting.counts)
    };
    for alarm in alarms {
        push(app, &alarm);
    }
    if again {
        counts(app, now);
    }
}

impl Teller {
    fn waits(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.counts || !waiting.alarms.is_empty()
    }
}

/// Tells what was not told at once, until the node stops.
pub async fn run(app: Arc<App>) {
    loop {
        let teller = &app.duty.teller;
        if teller.waits() {
            tokio::select! {
                () = app.stop.cancelled() => return,
                () = tokio::time::sleep(limits::DUTY_COUNTED_INTERVAL / 2) => {}
            }
            flush(&app);
        } else {
            tokio::select! {
                () = app.stop.cancelled() => return,
                () = teller.wake.notified() => {}
            }
        }
    }
}
