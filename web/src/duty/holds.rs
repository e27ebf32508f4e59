//! Footage around an alarm is held for the days of its rule: at the node that records the camera, by `rule:NAME`.
//!
//! The first words of a hold's reason are the alarm and the days. So what is to be done follows from the book and the holds
//! alone, whatever was killed in between: no alarm is held twice, and a hold whose alarm is not in the book any more still
//! ends in its time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::CameraId;
use fengsui_config::limits;
use fengsui_duty::act::{MatterId, MatterKind};
use fengsui_duty::alarm::Alarm;
use fengsui_duty::book::Book;
use fengsui_storage::retention::hold::Hold;
use fengsui_storage::retention::{HoldRefused, HoldRequest, Retention};

use crate::app::App;

/// What begins the name by which rules place holds.
const BY: &str = "rule:";
/// What the release of a hold says.
const OVER: &str = "the days of its rule are over";
/// What a longer hold says.
const GOES_ON: &str = "the alarm goes on";
const DAY: Duration = Duration::from_secs(86_400);
/// Characters of a rule's name in a reason, so that the whole fits into one.
const NAME_CHARS: usize = 200;

/// What holds for alarms came to, since the start.
#[derive(Debug, Default)]
pub struct HoldCounters {
    /// Placed.
    pub placed: AtomicU64,
    /// Made longer.
    pub extended: AtomicU64,
    /// Released.
    pub released: AtomicU64,
    /// Refused, or not written.
    pub refused: AtomicU64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Hold the footage around an alarm.
    Place(HoldRequest),
    /// Hold more: the alarm goes on.
    Extend(u64, UtcMicros),
    /// The days are over.
    Release(u64),
}

fn after(at: UtcMicros) -> UtcMicros {
    at + limits::DUTY_HOLD_AFTER
}

fn until(last: UtcMicros, days: u32) -> UtcMicros {
    last + DAY.saturating_mul(days)
}

/// The alarm and the days of a hold that a rule placed.
#[must_use]
pub fn of_rule(hold: &Hold) -> Option<(MatterId, u32)> {
    hold.by.starts_with(BY).then_some(())?;
    let mut words = hold.reason.split(' ');
    let alarm: MatterId = words.next()?.parse().ok()?;
    let days = words.next()?.parse().ok()?;
    (alarm.kind == MatterKind::Alarm).then_some((alarm, days))
}

/// When a hold that a rule placed ends: its days after the last event, as far as that is known.
#[must_use]
pub fn until_of(hold: &Hold, days: u32, alarm: Option<&Alarm>) -> UtcMicros {
    let held = hold.to_us.map_or(hold.placed_us, |to| to - limits::DUTY_HOLD_AFTER);
    until(alarm.map_or(held, |alarm| alarm.last_us), days)
}

fn request(id: &MatterId, alarm: &Alarm, camera: CameraId) -> HoldRequest {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect::<String>();
    let name = plain(&alarm.raise.rule_name);
    HoldRequest {
        cameras: [camera].into(),
        from: alarm.raise.first_us - limits::DUTY_HOLD_BEFORE,
        to: Some(after(alarm.last_us)),
        reason: format!("{id} {} days: {name}", alarm.raise.hold_days),
        by: format!("{BY}{name}"),
        ..HoldRequest::default()
    }
}

/// A longer hold for an alarm that goes on: not with each event, or its record would grow with them; and at last all of it.
fn extension(hold: &Hold, alarm: &Alarm, now: UtcMicros) -> Option<UtcMicros> {
    let (to, wanted) = (hold.to_us?, after(alarm.last_us));
    if wanted <= to {
        return None;
    }
    let (margin, silent) = (to.since(alarm.last_us), now.since(alarm.last_us));
    let after = i64::try_from(limits::DUTY_HOLD_AFTER.as_micros()).unwrap_or(i64::MAX);
    // By a tenth of how long it has gone on, so that an alarm of a day adds no more than some dozen lines to its hold.
    let ahead = alarm.last_us.since(alarm.raise.first_us).max(0) / 10;
    if margin < after / 2 {
        return Some(UtcMicros(wanted.0.saturating_add(ahead)));
    }
    (silent >= after).then_some(wanted)
}

/// What is to be done at `now`, at a node that records the cameras of which `is_recorded` says so.
#[must_use]
pub fn due(book: &Book, holds: &[Hold], is_recorded: &dyn Fn(CameraId) -> bool, now: UtcMicros) -> Vec<Work> {
    let mut of_alarm: BTreeMap<MatterId, &Hold> = BTreeMap::new();
    let mut work = Vec::new();
    for hold in holds {
        let Some((id, days)) = of_rule(hold) else { continue };
        let alarm = book.alarms.get(&id).and_then(|ledger| ledger.state());
        of_alarm.insert(id, hold);
        if !hold.is_in_force() {
            continue;
        }
        if until_of(hold, days, alarm) <= now {
            work.push(Work::Release(hold.id));
        } else if let Some(to) = alarm.and_then(|alarm| extension(hold, alarm, now)) {
            work.push(Work::Extend(hold.id, to));
        }
    }
    for (id, ledger) in &book.alarms {
        let Some(alarm) = ledger.state().filter(|alarm| alarm.raise.hold_days > 0) else { continue };
        let Some(camera) = alarm.raise.camera.filter(|camera| is_recorded(*camera)) else { continue };
        // A person who released it meant that; when time did, and the alarm goes on, it is held anew.
        let settled =
            |hold: &&Hold| hold.released.as_ref().is_none_or(|released| !released.by.starts_with(BY));
        if until(alarm.last_us, alarm.raise.hold_days) > now
            && of_alarm.get(id).filter(|h| settled(h)).is_none()
        {
            work.push(Work::Place(request(id, alarm, camera)));
        }
    }
    work.truncate(limits::DUTY_HOLDS_AT_ONCE_MAX);
    work
}

fn done(retention: &Retention, work: Work) -> Result<&'static str, HoldRefused> {
    let by_of = |id: u64| retention.hold(id).map_or_else(|| BY.to_owned(), |placed| placed.hold.by);
    match work {
        Work::Place(request) => retention.place_hold(request).map(|_| "placed"),
        Work::Extend(id, to) => {
            retention.extend_hold(id, None, Some(Some(to)), GOES_ON, &by_of(id)).map(|_| "extended")
        }
        Work::Release(id) => retention.release_hold(id, OVER, &by_of(id)).map(|_| "released"),
    }
}

/// Looks once, and does what is due.
pub async fn look(app: &App) {
    let Some(retained) = app.retention.read().clone() else { return };
    let retention = retained.retention.clone();
    let held = tokio::task::spawn_blocking(move || retention.holds()).await.unwrap_or_default();
    let (now, topology) = (app.clock.utc(), app.topology());
    let is_recorded = |camera| topology.cameras.get(&camera).is_some_and(|c| c.enabled);
    let work = app.duty.read(|book| due(book, &held, &is_recorded, now));
    if work.is_empty() {
        return;
    }
    let outcomes = tokio::task::spawn_blocking(move || {
        work.into_iter().map(|work| done(&retained.retention, work)).collect::<Vec<_>>()
    });
    let counters = &app.duty.holds;
    for outcome in outcomes.await.unwrap_or_default() {
        let counter = match outcome {
            Ok("placed") => &counters.placed,
            Ok("extended") => &counters.extended,
            Ok(_) => &counters.released,
            Err(error) => {
                tracing::warn!(%error, "footage of an alarm is not held as its rule says; it is tried again");
                &counters.refused
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks until the node stops.
pub async fn run(app: Arc<App>) {
    loop {
        look(&app).await;
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(limits::DUTY_HOLDS_LOOK) => {}
        }
    }
}
