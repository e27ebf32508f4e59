//! From states to events: compares what a node looks like with what was told of it. Pure; time is an argument.
//!
//! Everything that can be wrong is a *part* with a name (`link:<camera>`, `gap:<camera>`, `clock:<camera>`,
//! `picture:<camera>`, `volume:<id>`, `slow`, `journal`). A part is told once when it opens and once when it closes, after the state
//! has held for a named time. What was told before a restart comes from the journal ([`EventRows::open_parts`]), so a start
//! tells nothing twice and closes what got well meanwhile.
//!
//! Causes group parts: a camera that is offline, its stall before and the gap that follows are one row.
//!
//! Invariant: however often and whenever states are looked at, a part opens and closes in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_storage::board::{FailureClass, SessionState};
use fengsui_storage::frame::GapReason;
use serde_json::{Value, json};

use super::rows::EventRows;
use super::{Event, EventKind, Phase, Priority, Source};

/// One camera as it is now.
#[derive(Debug, Clone)]
pub struct CameraSeen {
    /// Which.
    pub camera: CameraId,
    /// A key target: its outage is an alarm.
    pub key: bool,
    /// It is to be read.
    pub enabled: bool,
    /// Its main stream.
    pub state: SessionState,
    /// Last failure.
    pub failure: Option<FailureClass>,
    /// The failure in one sentence.
    pub detail: Option<String>,
    /// Camera clock less node clock.
    pub clock_offset_us: Option<i64>,
    /// RTP packets lost in this process's life.
    pub lost_packets: u64,
    /// Whether pictures reach the disk, when they are due.
    pub recording: Option<RecordingSeen>,
}

/// Recording of a camera's main stream.
#[derive(Debug, Clone, Copy)]
pub struct RecordingSeen {
    /// Pictures reach the disk.
    pub recording: bool,
    /// Why not.
    pub reason: Option<GapReason>,
}

/// One volume as it is now.
#[derive(Debug, Clone)]
pub struct VolumeSeen {
    /// Its name.
    pub id: String,
    /// Its state, as in the API.
    pub state: String,
    /// It takes footage.
    pub ok: bool,
    /// One sentence on what is wrong.
    pub detail: Option<String>,
}

/// A node as it is now.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Its cameras.
    pub cameras: Vec<CameraSeen>,
    /// Its volumes.
    pub volumes: Vec<VolumeSeen>,
    /// Pictures and sounds lost because volumes were too slow, in this process's life.
    pub lost_to_disks: u64,
    /// Failed writes of the journal and its head in this process's life.
    pub journal_errors: u64,
}

/// The part that a stop opens and a start closes.
const NODE_PART: &str = "node";
/// The part of pictures that volumes were too slow for.
const SLOW_PART: &str = "slow";
/// The part of the journal.
const JOURNAL_PART: &str = "journal";
/// The cause of everything that the node's disks do not record.
const RECORDING_CAUSE: &str = "storage/recording";
/// Parts of events that others tell, who know themselves whether they are over: the links of nodes, and who stands in for whom.
const PARTS_OF_OTHERS: [&str; 2] = ["link", "standby"];

/// What was told of a part.
#[derive(Debug, Clone)]
struct Told {
    cause: String,
    kind: EventKind,
    priority: Priority,
    /// State that was told, where a part has several.
    state: Option<String>,
}

/// Since when something has been so.
#[derive(Debug, Clone, Copy)]
struct Since {
    mono: MonoMicros,
    utc: UtcMicros,
}

/// What is seen of a part at one look.
struct Finding {
    /// Wrong, right, or neither: then the part stays as it is.
    wrong: Option<bool>,
    /// How long wrong must hold, and right.
    after: (Duration, Duration),
    state: Option<String>,
}

/// Counting packets of one camera.
#[derive(Debug, Clone, Copy)]
struct Loss {
    /// Counter and time at the start of the window.
    from: u64,
    at: MonoMicros,
    /// The window before this one lost too much.
    heavy: bool,
    /// How many.
    lost: u64,
}

/// A counter of what must not happen at all.
#[derive(Debug, Clone, Copy)]
struct Counter {
    known: u64,
    /// When it grew last.
    grew: MonoMicros,
    /// Where it stood before what is told now.
    from: u64,
}

/// Compares looks with what was told.
#[derive(Debug)]
pub struct Watch {
    source: Source,
    told: BTreeMap<String, Told>,
    /// Since when each part has been wrong (true) or right again (false), while that is not told.
    since: BTreeMap<String, (bool, Since)>,
    losses: BTreeMap<CameraId, Loss>,
    counters: BTreeMap<&'static str, Counter>,
}

/// When a look is made.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// On the node's wall clock.
    pub utc: UtcMicros,
    /// On its monotonic clock.
    pub mono: MonoMicros,
}

impl Watch {
    /// Goes on from what the journal says was told.
    #[must_use]
    pub fn new(node: &NodeId, rows: &EventRows) -> Self {
        // That the node was stopped ends with its start, not with anything seen.
        let own = |part: &str| part != NODE_PART && !PARTS_OF_OTHERS.contains(&part);
        let open = rows.open_parts(node.as_str()).filter(|(part, _, _)| own(part));
        let told = open.map(|(part, cause, open)| {
            let (kind, priority) = (open.kind, open.priority);
            (part.to_owned(), Told { cause: cause.to_owned(), kind, priority, state: None })
        });
        Self {
            source: Source::node(node.clone()),
            told: told.collect(),
            since: BTreeMap::new(),
            losses: BTreeMap::new(),
            counters: BTreeMap::new(),
        }
    }

    /// What is to be told after a look.
    pub fn look(&mut self, now: Now, seen: &Seen) -> Vec<Event> {
        let mut events = Vec::new();
        let mut parts = BTreeSet::new();
        for camera in &seen.cameras {
            self.link(now, camera, &mut events);
            self.gap(now, camera, &mut events);
            self.clock(now, camera, &mut events);
            self.picture(now, camera, &mut events);
            parts.extend(["link", "gap", "clock", "picture"].map(|p| format!("{p}:{}", camera.camera)));
        }
        for volume in &seen.volumes {
            self.volume(now, volume, &mut events);
            parts.insert(format!("volume:{}", volume.id));
        }
        self.slow(now, seen.lost_to_disks, &mut events);
        self.journal(now, seen.journal_errors, &mut events);
        parts.extend([SLOW_PART, JOURNAL_PART].map(str::to_owned));
        self.gone(now, &parts, &mut events);
        events
    }

    /// Whether a part has now been wrong, or right again, for long enough, and since when.
    fn turned(&mut self, now: Now, part: &str, finding: &Finding) -> Option<(bool, UtcMicros)> {
        let told = self.told.get(part);
        let wrong = finding.wrong?;
        let same_state = told.is_some_and(|t| t.state.is_none() || t.state == finding.state);
        if told.is_some() == wrong && (same_state || !wrong) {
            if let (Some(told), true) = (self.told.get_mut(part), wrong) {
                told.state.clone_from(&finding.state);
            }
            self.since.remove(part);
            return None;
        }
        let fresh = (wrong, Since { mono: now.mono, utc: now.utc });
        let since = self.since.entry(part.to_owned()).or_insert(fresh);
        if since.0 != wrong {
            *since = fresh;
        }
        let (_, since) = *since;
        let after = if wrong { finding.after.0 } else { finding.after.1 };
        (now.mono.since(since.mono) >= after).then(|| {
            self.since.remove(part);
            (wrong, since.utc)
        })
    }

    fn opens(
        &mut self,
        part: &str,
        cause: String,
        kind: EventKind,
        priority: Priority,
        at: UtcMicros,
        state: Option<String>,
    ) -> Event {
        // A part that changes from one wrong state to another stays with its cause.
        let cause = self.told.get(part).map_or(cause, |told| told.cause.clone());
        self.told.insert(part.to_owned(), Told { cause: cause.clone(), kind, priority, state });
        Event::new(kind, priority, cause, Phase::Opens, at, self.source.clone()).part(part)
    }

    fn closes(&mut self, part: &str, kind: EventKind, at: UtcMicros) -> Option<Event> {
        let told = self.told.remove(part)?;
        // As high as its beginning: a spool that is full must not send the one and pass over the other.
        let event = Event::new(kind, told.priority, told.cause, Phase::Closes, at, self.source.clone());
        Some(event.part(part))
    }

    fn link(&mut self, now: Now, seen: &CameraSeen, events: &mut Vec<Event>) {
        let part = format!("link:{}", seen.camera);
        let stalled = seen.state == SessionState::Stalled;
        let wrong = link_wrong(seen);
        let state = if stalled { "stalled" } else { "offline" };
        // Who is offline stays so while its next session stalls; a stall that becomes an outage is told.
        let known = self.told.get(&part).and_then(|t| t.state.clone());
        let state = if known.as_deref() == Some("offline") { "offline" } else { state };
        let wait = if state == "stalled" { limits::EVENT_STALLED_AFTER } else { limits::EVENT_OFFLINE_AFTER };
        let back = if seen.enabled { limits::EVENT_ONLINE_AFTER } else { Duration::ZERO };
        let finding = Finding { wrong, after: (wait, back), state: Some(state.to_owned()) };
        let told_kind = self.told.get(&part).map(|t| t.kind);
        if let (Some(told), Some(kind)) = (self.told.get_mut(&part), told_kind)
            && told.state.is_none()
        {
            // From before a restart.
            let word = if kind == EventKind::CameraStalled { "stalled" } else { "offline" };
            told.state = Some(word.to_owned());
        }
        match self.turned(now, &part, &finding) {
            Some((true, at)) => {
                let (kind, priority) = match (state, seen.key) {
                    ("stalled", _) => (EventKind::CameraStalled, Priority::Low),
                    (_, true) => (EventKind::CameraOffline, Priority::Alarm),
                    (_, false) => (EventKind::CameraOffline, Priority::Normal),
                };
                let cause = format!("link/{}", seen.camera);
                let event = self.opens(&part, cause, kind, priority, at, finding.state);
                let event = event.camera(seen.camera).fact("failure", json!(seen.failure));
                events.push(event.fact("detail", json!(seen.detail)));
            }
            Some((false, at)) => {
                let event = self.closes(&part, EventKind::CameraOnline, at);
                events.extend(event.map(|e| e.camera(seen.camera).fact("disabled", disabled(seen))));
            }
            None => {}
        }
    }

    fn gap(&mut self, now: Now, seen: &CameraSeen, events: &mut Vec<Event>) {
        let part = format!("gap:{}", seen.camera);
        let wrong = match seen.recording {
            None => Some(false),
            Some(r) if r.recording => Some(false),
            // Who waits for its turn, or opens for the first time, has no outage yet that its gap would belong to.
            Some(r) if link_wrong(seen).is_none() && !is_of_disks(r.reason) => None,
            Some(r) => r.reason.map(|_| true),
        };
        let over = if seen.recording.is_some() { limits::EVENT_GAP_OVER_AFTER } else { Duration::ZERO };
        let finding = Finding { wrong, after: (limits::EVENT_GAP_AFTER, over), state: None };
        match self.turned(now, &part, &finding) {
            Some((true, at)) => {
                let reason = seen.recording.and_then(|r| r.reason);
                let (cause, priority) = gap_cause(seen.camera, reason, seen.key);
                let event = self.opens(&part, cause, EventKind::CameraGapOpened, priority, at, None);
                events.push(event.camera(seen.camera).fact("reason", json!(reason)));
            }
            Some((false, at)) => {
                let event = self.closes(&part, EventKind::CameraGapClosed, at);
                events.extend(event.map(|e| e.camera(seen.camera).fact("disabled", disabled(seen))));
            }
            None => {}
        }
    }

    fn clock(&mut self, now: Now, seen: &CameraSeen, events: &mut Vec<Event>) {
        let part = format!("clock:{}", seen.camera);
        let off = seen.clock_offset_us.map(|us| Duration::from_micros(us.unsigned_abs()));
        let wrong = match off {
            _ if !seen.enabled => Some(false),
            Some(off) if off > limits::EVENT_CLOCK_FAIL => Some(true),
            Some(off) if off <= limits::EVENT_CLOCK_PASS => Some(false),
            // In between, or not known: as it was.
            _ => None,
        };
        let finding =
            Finding { wrong, after: (limits::EVENT_CLOCK_AFTER, limits::EVENT_CLOCK_AFTER), state: None };
        let event = match self.turned(now, &part, &finding) {
            Some((true, at)) => {
                let cause = format!("clock/{}", seen.camera);
                Some(self.opens(&part, cause, EventKind::CameraClockOffset, Priority::Low, at, None))
            }
            Some((false, at)) => self.closes(&part, EventKind::CameraClockOffset, at),
            None => None,
        };
        events.extend(event.map(|e| e.camera(seen.camera).fact("offset_us", json!(seen.clock_offset_us))));
    }

    fn picture(&mut self, now: Now, seen: &CameraSeen, events: &mut Vec<Event>) {
        let part = format!("picture:{}", seen.camera);
        let start = Loss { from: seen.lost_packets, at: now.mono, heavy: false, lost: 0 };
        let loss = self.losses.entry(seen.camera).or_insert(start);
        if seen.lost_packets < loss.from {
            // The counter began anew.
            *loss = start;
        }
        let lost = seen.lost_packets - loss.from;
        let over = now.mono.since(loss.at) >= limits::EVENT_LOST_WINDOW;
        let heavy = lost >= limits::EVENT_LOST_PACKETS_MIN;
        if over || (heavy && !loss.heavy) {
            *loss = Loss { from: seen.lost_packets, at: now.mono, heavy, lost };
        }
        let (wrong, lost) = (loss.heavy, loss.lost);
        let finding = Finding {
            wrong: Some(wrong),
            after: (Duration::ZERO, limits::EVENT_LOST_OVER_AFTER),
            state: None,
        };
        let event = match self.turned(now, &part, &finding) {
            Some((true, at)) => {
                let cause = format!("picture/{}", seen.camera);
                let event = self.opens(&part, cause, EventKind::CameraPictureLost, Priority::Low, at, None);
                Some(event.fact("lost_packets", lost))
            }
            Some((false, at)) => self.closes(&part, EventKind::CameraPictureLost, at),
            None => None,
        };
        events.extend(event.map(|e| e.camera(seen.camera)));
    }

    fn volume(&mut self, now: Now, seen: &VolumeSeen, events: &mut Vec<Event>) {
        let part = format!("volume:{}", seen.id);
        let after = (limits::EVENT_VOLUME_AFTER, limits::EVENT_VOLUME_AFTER);
        let finding = Finding { wrong: Some(!seen.ok), after, state: Some(seen.state.clone()) };
        let event = match self.turned(now, &part, &finding) {
            Some((true, at)) => {
                let cause = format!("storage/{}", seen.id);
                let state = finding.state;
                Some(self.opens(&part, cause, EventKind::StorageVolume, Priority::Alarm, at, state))
            }
            Some((false, at)) => self.closes(&part, EventKind::StorageVolume, at),
            None => None,
        };
        events.extend(event.map(|e| {
            let e = e.fact("volume", seen.id.clone()).fact("state", seen.state.clone());
            e.fact("detail", json!(seen.detail))
        }));
    }

    /// Wrong when a counter has grown, right when it has stood for `over_after`.
    fn counted(&mut self, now: Now, part: &'static str, count: u64, over_after: Duration) -> Finding {
        let told = self.told.contains_key(part);
        let fresh = Counter { known: 0, grew: now.mono, from: 0 };
        let counter = self.counters.entry(part).or_insert(fresh);
        let wrong = if count > counter.known {
            let from = if told { counter.from } else { counter.known };
            *counter = Counter { known: count, grew: now.mono, from };
            Some(true)
        } else {
            Some(false).filter(|_| now.mono.since(counter.grew) >= over_after)
        };
        Finding { wrong, after: (Duration::ZERO, Duration::ZERO), state: None }
    }

    fn slow(&mut self, now: Now, lost: u64, events: &mut Vec<Event>) {
        let finding = self.counted(now, SLOW_PART, lost, limits::EVENT_SLOW_OVER_AFTER);
        let event = match self.turned(now, SLOW_PART, &finding) {
            Some((true, at)) => {
                let (cause, kind) = (RECORDING_CAUSE.to_owned(), EventKind::StorageSlow);
                Some(self.opens(SLOW_PART, cause, kind, Priority::Alarm, at, None))
            }
            Some((false, at)) => self.closes(SLOW_PART, EventKind::StorageSlow, at),
            None => None,
        };
        let from = self.counters.get(SLOW_PART).map_or(0, |counter| counter.from);
        events.extend(event.map(|e| e.fact("pictures", lost.saturating_sub(from))));
    }

    fn journal(&mut self, now: Now, errors: u64, events: &mut Vec<Event>) {
        let finding = self.counted(now, JOURNAL_PART, errors, limits::EVENT_JOURNAL_OVER_AFTER);
        let event = match self.turned(now, JOURNAL_PART, &finding) {
            Some((true, at)) => {
                let (cause, kind) = ("node/journal".to_owned(), EventKind::NodeJournal);
                Some(self.opens(JOURNAL_PART, cause, kind, Priority::Alarm, at, None))
            }
            Some((false, at)) => self.closes(JOURNAL_PART, EventKind::NodeJournal, at),
            None => None,
        };
        events.extend(event.map(|e| e.fact("errors", errors)));
    }

    /// Closes what was told of cameras and volumes that are no longer configured.
    fn gone(&mut self, now: Now, parts: &BTreeSet<String>, events: &mut Vec<Event>) {
        let gone: Vec<String> = self.told.keys().filter(|part| !parts.contains(*part)).cloned().collect();
        for part in gone {
            let Some(told) = self.told.get(&part).cloned() else { continue };
            let kind = match told.kind {
                EventKind::CameraOffline | EventKind::CameraStalled => EventKind::CameraOnline,
                EventKind::CameraGapOpened => EventKind::CameraGapClosed,
                other => other,
            };
            let camera = part.split_once(':').and_then(|(_, name)| name.parse().ok());
            let Some(mut event) = self.closes(&part, kind, now.utc) else { continue };
            event.camera = camera;
            events.push(event.fact("gone", true));
        }
        self.since.retain(|part, _| parts.contains(part));
        self.losses.retain(|camera, _| parts.contains(&format!("link:{camera}")));
    }
}

/// Whether a camera's session is wrong; `None` while nothing is known of it yet: it waits for its turn, or opens for the
/// first time.
fn link_wrong(seen: &CameraSeen) -> Option<bool> {
    match seen.state {
        _ if !seen.enabled => Some(false),
        SessionState::Playing => Some(false),
        SessionState::Stalled | SessionState::BackOff => Some(true),
        SessionState::Idle => None,
        SessionState::Waiting | SessionState::Opening => seen.failure.map(|_| true),
    }
}

fn is_of_disks(reason: Option<GapReason>) -> bool {
    matches!(reason, Some(GapReason::DiskError | GapReason::DiskFull | GapReason::Backpressure))
}

fn disabled(seen: &CameraSeen) -> Value {
    if seen.enabled { Value::Null } else { true.into() }
}

/// What a gap belongs to, and how much it matters: one that the camera or its network makes belongs to the camera's link;
/// those that the node's disks make are one row for all cameras.
fn gap_cause(camera: CameraId, reason: Option<GapReason>, key: bool) -> (String, Priority) {
    let priority = if key { Priority::Alarm } else { Priority::Normal };
    if is_of_disks(reason) {
        return (RECORDING_CAUSE.to_owned(), Priority::Alarm);
    }
    (format!("link/{camera}"), priority)
}

/// What a start has to tell: that it is one, after what, and what the journal and the node's key were found to be.
#[must_use]
pub fn start_events(node: &NodeId, rows: &EventRows, version: &str, at: UtcMicros) -> Vec<Event> {
    let source = || Source::node(node.clone());
    let crashed = rows.runs();
    let kind = EventKind::NodeStarted;
    let started = Event::new(kind, Priority::Normal, "node", Phase::Closes, at, source()).part(NODE_PART);
    let started =
        started.fact("version", version).fact("unclean", if crashed { json!(true) } else { Value::Null });
    let mut events = vec![started];
    let Some(opened) = rows.opened() else { return events };
    let outcome = opened.found.get("outcome").and_then(Value::as_str).unwrap_or_default();
    if matches!(outcome, "damaged" | "cut" | "rewritten") {
        let kind = EventKind::NodeJournal;
        let event = Event::new(kind, Priority::Alarm, "node/journal", Phase::Point, at, source());
        events.push(event.fact("found", opened.found.clone()));
    }
    if let Some(before) = opened.key_before.as_ref().filter(|before| **before != opened.key) {
        let event = Event::new(EventKind::NodeKey, Priority::Alarm, "node/key", Phase::Point, at, source());
        events.push(event.fact("key", opened.key.clone()).fact("before", before.clone()));
    }
    events
}

/// What a stop in good order has to tell.
#[must_use]
pub fn stop_event(node: &NodeId, at: UtcMicros) -> Event {
    let source = Source::node(node.clone());
    Event::new(EventKind::NodeStopped, Priority::Normal, "node", Phase::Opens, at, source).part(NODE_PART)
}
