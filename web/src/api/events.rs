//! Server-sent events. One task looks at the states and writes what changed into a bounded log; every browser reads the
//! log from where it stands. Who fell too far behind, or comes from an earlier process, is told to load the lists anew.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::CameraId;
use futures::Stream;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{system, view};
use crate::app::App;
use crate::auth::access::{Principal, Via};
use crate::http::problem::Problem;

/// When a browser comes back after the line broke: its own three seconds are most of what an outage may last on the screen.
const BACK_AFTER: Duration = Duration::from_secs(1);
/// Events kept for browsers that come back.
const EVENTS_KEPT_MAX: usize = 8192;
/// How often states are looked at: at most two events a camera and second.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the node's own numbers are sent.
const SYSTEM_EVERY: Duration = Duration::from_secs(5);
/// Counters of cameras (rates, sizes) are refreshed at this many cameras a second.
const REFRESH_PER_SECOND: usize = 50;
/// No camera is refreshed more often than this when nothing but its counters changed.
const REFRESH_EVERY_MIN: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Entry {
    number: u64,
    name: &'static str,
    data: Arc<str>,
}

/// The log of events.
pub struct EventLog {
    epoch: i64,
    kept: Mutex<VecDeque<Entry>>,
    newest: watch::Sender<u64>,
}

/// Where a reader stands.
enum Next {
    Entry(Entry),
    /// The log no longer holds what comes next.
    Lost(u64),
    Nothing,
}

impl EventLog {
    /// An empty log of the process that started at `started`.
    #[must_use]
    pub fn new(started: UtcMicros) -> Self {
        Self { epoch: started.0, kept: Mutex::new(VecDeque::new()), newest: watch::Sender::new(0) }
    }

    /// Adds an event.
    pub fn push(&self, name: &'static str, data: String) {
        let mut kept = self.kept.lock();
        let number = *self.newest.borrow() + 1;
        if kept.len() >= EVENTS_KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Entry { number, name, data: data.into() });
        self.newest.send_replace(number);
    }

    /// Tells every browser to load its lists anew.
    pub fn resync(&self) {
        self.push("resync", "{}".to_owned());
    }

    /// Has every reader look whether its session is still open.
    pub fn look_again(&self) {
        self.newest.send_modify(|_| ());
    }

    /// What was told under a name, in order.
    #[cfg(test)]
    pub(crate) fn all(&self, name: &str) -> Vec<Arc<str>> {
        self.kept.lock().iter().filter(|e| e.name == name).map(|e| e.data.clone()).collect()
    }

    fn after(&self, seen: u64) -> Next {
        let kept = self.kept.lock();
        let Some(oldest) = kept.front().map(|e| e.number) else { return Next::Nothing };
        let newest = *self.newest.borrow();
        if seen >= newest {
            return Next::Nothing;
        }
        if seen + 1 < oldest {
            return Next::Lost(newest);
        }
        let place = usize::try_from(seen + 1 - oldest).unwrap_or(usize::MAX);
        kept.get(place).map_or(Next::Nothing, |e| Next::Entry(e.clone()))
    }

    fn id(&self, number: u64) -> String {
        format!("{:x}-{number}", self.epoch)
    }

    /// The number in a `Last-Event-ID` of this process.
    fn read_id(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.split_once('-')?;
        (epoch == format!("{:x}", self.epoch)).then(|| number.parse().ok()).flatten()
    }
}

/// Events as they happen: `camera` (a camera's new state), `event` (a record of `/events/records` and its row), `alarm` and
/// `incident` (as in their lists), `definition` (a unit, plan, rule or shift: `{kind, id}`), `duty` (`{counts}` of alarms, at most
/// twice a second), `notice` (as in `/duty/notices`), `system` (the node, every 5 s), `resync` (load the lists anew).
/// Understands `Last-Event-ID`.
#[utoipa::path(get, path = "/api/v1/events", tag = "system", responses(
    (status = 200, content_type = "text/event-stream", body = String), (status = 401, body = Problem)))]
pub async fn stream(
    State(app): State<Arc<App>>,
    principal: Principal,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    let newest = *app.events.newest.borrow();
    // A browser that comes back with an id we do not know gets `resync` first, by standing before the beginning.
    let (seen, lost) = match last {
        None => (newest, false),
        Some(id) => app.events.read_id(id).filter(|n| *n <= newest).map_or((newest, true), |n| (n, false)),
    };
    let reader = Reader {
        changes: app.events.newest.subscribe(),
        app,
        via: principal.via(),
        seen,
        lost,
        begun: false,
    };
    Sse::new(futures::stream::unfold(reader, Reader::next))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

struct Reader {
    app: Arc<App>,
    changes: watch::Receiver<u64>,
    via: Via,
    seen: u64,
    lost: bool,
    /// The place was told: a browser comes back with it, even when nothing happened before the line broke.
    begun: bool,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if self.app.stop.is_cancelled() || !self.still_open() {
                return None;
            }
            if !std::mem::replace(&mut self.begun, true) {
                let event = Event::default().id(self.app.events.id(self.seen)).retry(BACK_AFTER);
                return Some((Ok(event), self));
            }
            if std::mem::take(&mut self.lost) {
                let event = Event::default().id(self.app.events.id(self.seen)).event("resync").data("{}");
                return Some((Ok(event), self));
            }
            match self.app.events.after(self.seen) {
                Next::Entry(entry) => {
                    self.seen = entry.number;
                    let event = Event::default().id(self.app.events.id(entry.number)).event(entry.name);
                    return Some((Ok(event.data(entry.data.as_ref())), self));
                }
                Next::Lost(newest) => {
                    self.seen = newest;
                    self.lost = true;
                }
                Next::Nothing => {
                    let (app, changes) = (self.app.clone(), &mut self.changes);
                    tokio::select! {
                        () = app.stop.cancelled() => return None,
                        changed = changes.changed() => changed.ok()?,
                    }
                }
            }
        }
    }

    fn still_open(&self) -> bool {
        match self.via {
            Via::Session(key) => self.app.auth.sessions.is_open(&key),
            Via::Ticket(_) => false,
            // A stream that goes over the link ends with the call.
            Via::Centre(_) => true,
        }
    }
}

/// What a browser was told of a camera last.
struct Told {
    camera: view::CameraView,
    at: MonoMicros,
}

/// Compares states with what was told last.
#[derive(Default)]
pub struct Watcher {
    told: HashMap<CameraId, Told>,
    system: Option<MonoMicros>,
}

impl Watcher {
    /// Looks once and writes what changed into the log.
    pub fn look(&mut self, app: &App) {
        let now = app.clock.mono();
        let topology = app.topology();
        self.told.retain(|id, _| topology.cameras.contains_key(id));
        let refresh = REFRESH_EVERY_MIN.max(Duration::from_secs(
            u64::try_from(topology.cameras.len() / REFRESH_PER_SECOND).unwrap_or(0),
        ));
        for camera in topology.cameras.values() {
            let shown = view::camera(app, &topology, camera);
            // Of cameras of other nodes is told as soon as these tell.
            if shown.node.is_some() {
                self.told.remove(&camera.id);
                continue;
            }
            let due = match self.told.get(&camera.id) {
                None => true,
                Some(told) if significant(&told.camera, &shown) => true,
                Some(told) => now.since(told.at) >= refresh && told.camera != shown,
            };
            if due {
                app.events.push("camera", serde_json::to_string(&shown).unwrap_or_default());
                self.told.insert(camera.id, Told { camera: shown, at: now });
            }
        }
        if self.system.is_none_or(|at| now.since(at) >= SYSTEM_EVERY) {
            self.system = Some(now);
            app.events.push("system", serde_json::to_string(&system::view(app)).unwrap_or_default());
        }
    }
}

/// True when something else than counters changed.
pub(super) fn significant(before: &view::CameraView, after: &view::CameraView) -> bool {
    let still = |s: &view::StreamView| {
        (s.state, s.since_us, s.failure, s.retry_at_us, s.detail.clone(), s.codec.clone(), s.size)
    };
    still(&before.streams.main) != still(&after.streams.main)
        || before.streams.sub.as_ref().map(still) != after.streams.sub.as_ref().map(still)
        || (before.recording.state, before.recording.reason)
            != (after.recording.state, after.recording.reason)
        || (&before.name, &before.site, before.enabled, &before.host, &before.node)
            != (&after.name, &after.site, after.enabled, &after.host, &after.node)
}

/// Looks at the states until the node stops.
pub async fn watch(app: Arc<App>) {
    let mut watcher = Watcher::default();
    loop {
        watcher.look(&app);
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn a_reader_gets_every_event_in_order() {
        let log = EventLog::new(UtcMicros(5));
        assert!(matches!(log.after(0), Next::Nothing));
        log.push("camera", "1".into());
        log.push("camera", "2".into());
        let Next::Entry(first) = log.after(0) else { panic!("no entry") };
        assert_eq!((first.number, first.data.as_ref()), (1, "1"));
        let Next::Entry(second) = log.after(1) else { panic!("no entry") };
        assert_eq!(second.data.as_ref(), "2");
        assert!(matches!(log.after(2), Next::Nothing));
    }

    #[test]
    fn a_reader_that_fell_behind_is_told() {
        let log = EventLog::new(UtcMicros(5));
        for _ in 0..EVENTS_KEPT_MAX + 2 {
            log.push("camera", String::new());
        }
        assert!(matches!(log.after(1), Next::Lost(n) if n == EVENTS_KEPT_MAX as u64 + 2));
        assert!(matches!(log.after(2), Next::Entry(e) if e.number == 3));
    }

    #[test]
    fn ids_of_another_process_are_not_ours() {
        let log = EventLog::new(UtcMicros(5));
        assert_eq!(log.read_id(&log.id(7)), Some(7));
        assert_eq!(EventLog::new(UtcMicros(6)).read_id(&log.id(7)), None);
        assert_eq!(log.read_id("nonsense"), None);
    }
}
