//! The two tasks of the desk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_config::limits;
use fengsui_relay::event::Event;
use fengsui_relay::event::intake::{Due, Sender};
use fengsui_relay::event::rows::RecordId;
use fengsui_relay::event::watch::{Now, Watch, start_events, stop_event};
use futures::future::join_all;

use super::{NotNoted, Noted, Ticket, seen};
use crate::api::event_rows::told;
use crate::app::App;
use crate::auth::register::{RegisterError, kinds};

/// How long the writer sleeps at most when nothing is due.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Writes events as they are due until the node stops, then all that are left.
pub async fn run(app: Arc<App>) {
    loop {
        let woken = app.desk.wake.notified();
        if write(&app, false).await > 0 {
            continue;
        }
        let next = app.desk.intake.lock().next_due();
        let pause = next.map_or(SLEEP_MAX, |due| due.since(app.clock.mono()));
        tokio::select! {
            () = app.stop.cancelled() => break,
            () = woken => {}
            () = tokio::time::sleep(pause.clamp(Duration::from_millis(1), SLEEP_MAX)) => {}
        }
    }
    {
        let _intake = app.desk.intake.lock();
        app.desk.closed.store(true, Ordering::Release);
    }
    while write(&app, true).await > 0 {}
}

/// Writes what is due (or, at the end, whatever is there), as far as one group goes; how many records.
async fn write(app: &App, at_the_end: bool) -> usize {
    let due: Vec<Due<Ticket>> = {
        let (now, mut intake) = (app.clock.mono(), app.desk.intake.lock());
        let next = || if at_the_end { intake.take_at_once() } else { intake.take(now) };
        std::iter::from_fn(next).take(limits::EVENT_RECORDS_AT_ONCE_MAX).collect()
    };
    let appends = due.iter().map(|d| app.auth.register.append(kinds::EVENT_NOTED, d.event.body()));
    let written = join_all(appends).await;
    let records = due.len();
    for (due, written) in due.into_iter().zip(written) {
        match written {
            Ok(seq) => noted(app, due, seq),
            Err(error) => failed(app, due, &error, at_the_end),
        }
    }
    if records > 0 {
        app.rules.news();
    }
    if records > 0
        && let Some(relay) = &*app.relay.read()
    {
        relay.news();
    }
    records
}

fn noted(app: &App, due: Due<Ticket>, seq: u64) {
    let (desk, at) = (&app.desk, app.clock.utc());
    let counters = &desk.counters;
    counters.records.fetch_add(1, Ordering::Relaxed);
    counters.folded.fetch_add(due.event.count.saturating_sub(1), Ordering::Relaxed);
    let record = RecordId { node: desk.node.to_string(), epoch: desk.epoch, seq };
    let row = desk.rows.write().take_own(desk.epoch, seq, at, &due.event).cloned();
    let answer = Noted { record, row: row.as_ref().map(|r| r.id.clone()), events: due.event.count };
    if let Some(row) = &row {
        app.events.push("event", told(&answer.record, at, &due.event, row));
    }
    for waiter in due.waiters {
        // Who does not wait any more need not know.
        let _ = waiter.answer.send(Ok(answer.clone()));
    }
}

fn failed(app: &App, due: Due<Ticket>, error: &RegisterError, at_the_end: bool) {
    app.desk.counters.failed.fetch_add(1, Ordering::Relaxed);
    tracing::error!(%error, kind = %due.event.kind, "cannot note an event");
    if due.sender == Sender::Node && !at_the_end {
        let until = app.clock.mono() + limits::EVENT_RETRY_INTERVAL;
        app.desk.intake.lock().give_back(due, until);
        return;
    }
    for waiter in due.waiters {
        let _ = waiter.answer.send(Err(NotNoted::Refused(error.to_string())));
    }
}

/// Watches the node's own states and tells what changes, from what the journal says was told.
pub async fn watch(app: Arc<App>) {
    let mut watch = {
        let rows = app.desk.rows.read();
        let started = start_events(&app.desk.node, &rows, app.node.version, app.node.started);
        app.desk.put_own(started);
        Watch::new(&app.desk.node, &rows)
    };
    loop {
        let now = Now { utc: app.clock.utc(), mono: app.clock.mono() };
        app.desk.put_own(watch.look(now, &seen::look(&app)));
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(limits::EVENT_LOOK_INTERVAL) => {}
        }
    }
}

/// What the stop of the node tells; the last event of a run, noted when the desk is closed.
#[must_use]
pub fn stopped(app: &App) -> Event {
    stop_event(&app.desk.node, app.clock.utc())
}
