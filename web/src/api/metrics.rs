//! `/metrics` in the text format of Prometheus (version 0.0.4).

mod backfill;
mod duty;
mod search;

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use fengsui_config::ids::{StreamKey, StreamKind};
use fengsui_relay::inbox::Reason;
use fengsui_relay::link::Link;
use fengsui_relay::upward::Priority;
use fengsui_storage::board::{SessionState, StreamStatus};
use fengsui_storage::facets::FacetState;
use fengsui_storage::retention::forecast::Outlook;
use http::header::CONTENT_TYPE;

use super::system;
use crate::app::App;
use crate::live::ViewerCounters;
use crate::recordings::{VolumeDetail, VolumeState, VolumeUse};
use crate::relay::calls::CallCounters;
use crate::relay::centre::Centre;
use crate::relay::centre::live::FarLive;
use crate::relay::up::Uplink;

/// Counters and states for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "system", responses(
    (status = 200, content_type = "text/plain", body = String)))]
pub async fn show(State(app): State<Arc<App>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], write(&app)).into_response()
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP fengsui_{name} {help}\n# TYPE fengsui_{name} {kind}");
    }
    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "fengsui_{name}{labels} {value}");
    }
    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }
}

fn write(app: &App) -> String {
    let mut page = Page::default();
    let system = system::view(app);
    page.family("build_info", "gauge", "Version of the program.");
    page.sample("build_info", &format!("{{version=\"{}\",node=\"{}\"}}", system.version, system.node), 1);
    page.single(
        "start_time_seconds",
        "gauge",
        "Start of the process, Unix time.",
        system.started_us as f64 / 1e6,
    );
    page.single("cameras", "gauge", "Cameras configured.", system.counts.cameras);
    page.single("cameras_enabled", "gauge", "Cameras enabled.", system.counts.enabled);
    page.single("cameras_online", "gauge", "Cameras whose main stream plays.", system.counts.online);
    page.single("cameras_recording", "gauge", "Cameras being recorded.", system.counts.recording);
    page.single(
        "cameras_not_recording",
        "gauge",
        "Cameras due and not recorded.",
        system.counts.not_recording,
    );
    let c = system.counts;
    page.single("cameras_opening", "gauge", "Cameras being connected.", c.opening);
    page.single("cameras_waiting", "gauge", "Cameras waiting for their turn to connect.", c.waiting);
    page.single("cameras_back_off", "gauge", "Cameras that failed and wait to be tried again.", c.back_off);
    volumes(&mut page, &system);
    integrity(&mut page, app);
    volume_details(&mut page, app);
    retention(&mut page, app);
    catalogue(&mut page, app);
    facets(&mut page, app);
    archives(&mut page, app);
    hub(&mut page, app);
    live(&mut page, app);
    viewers(&mut page, app);
    sessions(&mut page, app);
    events(&mut page, app);
    relay(&mut page, app);
    duty::write(&mut page, app);
    search::write(&mut page, app);
    streams(&mut page, app);
    page.0
}

fn volumes(page: &mut Page, system: &system::SystemView) {
    let labels = |id: &str| format!("{{volume=\"{id}\"}}");
    page.family("volume_ok", "gauge", "1 while the volume takes footage.");
    for v in &system.volumes {
        page.sample("volume_ok", &labels(&v.id), u8::from(v.state == VolumeState::Ok));
    }
    page.family("volume_size_bytes", "gauge", "Size of the volume.");
    for v in &system.volumes {
        page.sample("volume_size_bytes", &labels(&v.id), v.total_bytes);
    }
    page.family("volume_free_bytes", "gauge", "Free bytes of the volume.");
    for v in &system.volumes {
        page.sample("volume_free_bytes", &labels(&v.id), v.free_bytes);
    }
}

fn integrity(page: &mut Page, app: &App) {
    let Some(integrity) = app.integrity.read().clone() else { return };
    let (status, damages) = (integrity.scrubber.status(), integrity.catalogue.damages());
    page.single(
        "integrity_damaged_places",
        "gauge",
        "Places of stored footage that do not hold.",
        damages.len(),
    );
    page.single(
        "integrity_lost_seconds",
        "gauge",
        "Footage that is lost by them.",
        damages.lost_us() as f64 / 1e6,
    );
    page.single("integrity_found_total", "counter", "Damaged places found.", status.damaged);
    page.single("integrity_repaired_total", "counter", "Segments replaced by copies.", status.repaired);
    page.single("integrity_read_bytes_total", "counter", "Bytes of stored footage checked.", status.bytes);
    page.single("integrity_errors_total", "counter", "Failures of the check of footage.", status.errors);
    page.single("integrity_rate_bytes", "gauge", "Bytes a second checked at most; 0 is off.", status.rate);
    let last = status.last.and_then(|l| l.finished).map_or(0.0, |t| t.0 as f64 / 1e6);
    page.single("integrity_last_pass_seconds", "gauge", "End of the last full pass, Unix time.", last);
}

/// Value of a volume's gauge or counter.
type OfVolume = (&'static str, &'static str, &'static str, fn(&VolumeDetail) -> u64);

fn volume_details(page: &mut Page, app: &App) {
    let volumes = app.recordings.volume_details();
    let families: [OfVolume; 8] = [
        ("volume_draining", "gauge", "1 while the volume is to get no new segments.", |v| {
            u64::from(v.mode != VolumeUse::Use)
        }),
        ("volume_segments", "gauge", "Closed segments on the volume.", |v| v.segments),
        ("volume_footage_bytes", "gauge", "Their bytes.", |v| v.bytes),
        ("volume_waiting_segments", "gauge", "Segments that wait to be moved elsewhere.", |v| {
            v.waiting_segments
        }),
        ("volume_waiting_bytes", "gauge", "Their bytes.", |v| v.waiting_bytes),
        ("volume_moved_segments_total", "counter", "Segments moved elsewhere.", |v| v.moved_segments),
        ("volume_move_failures_total", "counter", "Moves that failed.", |v| v.move_failures),
        ("volume_move_alarm", "gauge", "1 while segments wait longer than they should.", |v| {
            u64::from(v.alarm.is_some())
        }),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help);
        for v in &volumes {
            page.sample(name, &format!("{{volume=\"{}\"}}", v.id), value(v));
        }
    }
    let help =
        "How long the last round of writing to all streams took, or the running one if that is longer.";
    page.family("volume_round_seconds", "gauge", help);
    for v in &volumes {
        let labels = format!("{{volume=\"{}\"}}", v.id);
        page.sample("volume_round_seconds", &labels, v.round_us as f64 / 1e6);
    }
}

fn retention(page: &mut Page, app: &App) {
    let Some(retained) = app.retention.read().clone() else { return };
    let counts = retained.retention.counts();
    page.single("holds_in_force", "gauge", "Holds in force.", counts.holds);
    page.single(
        "retention_unsettled",
        "gauge",
        "Deletions interrupted and not settled yet.",
        counts.unsettled,
    );
    page.single("retention_errors_total", "counter", "Failures of deletion, disk or journal.", counts.errors);
    let d = counts.deleted;
    let rows = [
        ("duty", d.duty_segments, d.duty_bytes),
        ("water", d.water_segments, d.water_bytes),
        ("sacrifice", d.sacrificed_segments, d.sacrificed_bytes),
    ];
    page.family("retention_deleted_segments_total", "counter", "Segments deleted, by reason.");
    for (why, segments, _) in rows {
        page.sample("retention_deleted_segments_total", &format!("{{why=\"{why}\"}}"), segments);
    }
    page.family("retention_deleted_bytes_total", "counter", "Bytes deleted, by reason.");
    for (why, _, bytes) in rows {
        page.sample("retention_deleted_bytes_total", &format!("{{why=\"{why}\"}}"), bytes);
    }
    page.family("retention_alarm", "gauge", "1 for each alarm that is raised.");
    for alarm in &counts.alarms {
        let labels = format!("{{kind=\"{}\",subject=\"{}\"}}", alarm.alarm.kind(), alarm.alarm);
        page.sample("retention_alarm", &labels, 1);
    }
    let Some(forecast) = counts.forecast else { return };
    page.single(
        "retention_capacity_bytes",
        "gauge",
        "Footage that the volumes can hold.",
        forecast.capacity_bytes,
    );
    page.single("retention_needed_bytes", "gauge", "Footage that all promises need.", forecast.needed_bytes);
    page.single("retention_bytes_per_day", "gauge", "Footage that comes in a day.", forecast.bytes_per_day);
    if let Outlook::Breaks { class, at_us } = forecast.outlook {
        page.family(
            "retention_promise_breaks_seconds",
            "gauge",
            "When the first promise will break, Unix time.",
        );
        let labels = format!("{{class=\"{}\"}}", class.as_str());
        page.sample("retention_promise_breaks_seconds", &labels, at_us.0 as f64 / 1e6);
    }
}

fn catalogue(page: &mut Page, app: &App) {
    let stats = app.media.index_stats();
    page.single("catalogue_segments", "gauge", "Closed segments known.", stats.segments);
    page.single("catalogue_gaps", "gauge", "Gaps known.", stats.gaps);
    page.single("catalogue_memory_bytes", "gauge", "Memory of the index of footage.", stats.memory_bytes);
    page.single("catalogue_log_bytes", "gauge", "Length of the log of the index.", stats.log_bytes);
    page.single("catalogue_write_errors_total", "counter", "Failed writes of that log.", stats.write_errors);
    page.single(
        "footage_unexplained_seconds",
        "gauge",
        "Time that is neither footage nor a gap with a reason, when it was last looked for; must be 0.",
        stats.unexplained_us as f64 / 1e6,
    );
}

fn facets(page: &mut Page, app: &App) {
    let Some(status) = app.media.facets() else { return };
    let up = status.state != FacetState::Off;
    page.single("facets_up", "gauge", "1 while derived facets serve listings.", u8::from(up));
    page.single("facets_rows", "gauge", "Closed segments that have a facet.", status.rows);
    page.single("facets_bytes", "gauge", "Bytes of the store of facets on the disk.", status.bytes);
    page.single("facets_hits_total", "counter", "Listings of a segment that opened no file.", status.hits);
    page.single("facets_misses_total", "counter", "Listings of a segment that read its file.", status.misses);
    page.single("facets_filled_total", "counter", "Facets made.", status.filled);
    page.single(
        "facets_rebuilds_total",
        "counter",
        "Times that the store was wiped in doubt.",
        status.rebuilds,
    );
    page.single("facets_dropped_total", "counter", "Closed segments left to the next pass.", status.dropped);
    page.single("facets_pass_checked", "gauge", "Segments that the last pass looked at.", status.checked);
    page.single("facets_pass_total", "gauge", "Segments that there were when it began.", status.total);
}

/// Name, kind, help and value of a family with one sample an archive.
type ArchiveFamily = (&'static str, &'static str, &'static str, fn(&super::archive::ArchiveView) -> f64);

fn archives(page: &mut Page, app: &App) {
    use fengsui_storage::archive::{ArchiveState, LockState};
    let families: [ArchiveFamily; 13] = [
        ("archive_ok", "gauge", "1 while the archive takes what is due.", |a| {
            f64::from(u8::from(a.state == ArchiveState::Ok))
        }),
        ("archive_locked", "gauge", "1 when a locked object could not be deleted.", |a| {
            f64::from(u8::from(a.lock.state == LockState::Locked))
        }),
        ("archive_segments", "gauge", "Segments in the archive.", |a| a.segments as f64),
        ("archive_bytes", "gauge", "Bytes in the archive.", |a| a.bytes as f64),
        ("archive_backlog_segments", "gauge", "Segments due and not stored.", |a| a.backlog_segments as f64),
        ("archive_backlog_bytes", "gauge", "Bytes due and not stored.", |a| a.backlog_bytes as f64),
        ("archive_lag_seconds", "gauge", "For how long the oldest has been due.", |a| a.lag_us as f64 / 1e6),
        ("archive_stored_bytes_total", "counter", "Bytes stored.", |a| a.work.stored_bytes as f64),
        ("archive_verified_total", "counter", "Uploads read back and compared.", |a| a.work.verified as f64),
        ("archive_failures_total", "counter", "Attempts that failed.", |a| a.work.failures as f64),
        ("archive_removed_segments_total", "counter", "Segments removed, their time over.", |a| {
            a.work.removed as f64
        }),
        ("archive_locked_segments", "gauge", "Segments over, and kept locked by the store.", |a| {
            a.locked_segments as f64
        }),
        ("archive_read_bytes_total", "counter", "Bytes fetched for playback.", |a| a.work.read_bytes as f64),
    ];
    let all = super::archive::view(app);
    for (name, kind, help, value) in families.into_iter().filter(|_| !all.is_empty()) {
        page.family(name, kind, help);
        for a in &all {
            page.sample(name, &format!("{{archive=\"{}\"}}", a.id), value(a));
        }
    }
}

fn hub(page: &mut Page, app: &App) {
    let hub = app.media.stats();
    page.single("hub_ring_bytes", "gauge", "Bytes in the rings of all streams.", hub.ring_bytes);
    page.single("hub_ring_budget_bytes", "gauge", "Bound of the rings.", hub.budget_bytes);
    page.single("hub_units_total", "counter", "Access units received.", hub.units);
    page.single("hub_bytes_total", "counter", "Bytes received.", hub.bytes);
    page.single(
        "recorder_dropped_units_total",
        "counter",
        "Access units lost because volumes were too slow.",
        hub.recorder_dropped_units,
    );
}

fn live(page: &mut Page, app: &App) {
    let load = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    page.single("live_sockets", "gauge", "Wall sockets open.", app.live.sockets());
    page.single("live_subscriptions", "gauge", "Streams shown on wall sockets.", app.live.subscriptions());
    page.single("live_units_total", "counter", "Pictures sent to walls.", load(&app.live.units));
    page.single("live_bytes_total", "counter", "Bytes sent to walls.", load(&app.live.bytes));
    page.single(
        "live_dropped_units_total",
        "counter",
        "Pictures slow walls skipped.",
        load(&app.live.dropped),
    );
    page.single(
        "live_server_microseconds_total",
        "counter",
        "Sum of times from arrival to hand-over to the socket.",
        load(&app.live.latency_us),
    );
    page.single("live_server_units_total", "counter", "Pictures in that sum.", load(&app.live.latency_units));
    page.single(
        "live_viewer_milliseconds_total",
        "counter",
        "Sum of latencies that browsers reported.",
        load(&app.live.viewer_latency_ms),
    );
    page.single(
        "live_viewer_reports_total",
        "counter",
        "Reports in that sum.",
        load(&app.live.viewer_reports),
    );
}

/// One sample a viewer, by its number.
fn viewers(page: &mut Page, app: &App) {
    type Of = fn(&ViewerCounters) -> u64;
    let families: [(&str, &str, &str, Of); 4] = [
        ("live_viewer_subscriptions", "gauge", "Streams that a viewer shows.", |v| {
            v.subscriptions.load(Ordering::Relaxed) as u64
        }),
        ("live_viewer_units_total", "counter", "Pictures sent to a viewer.", |v| {
            v.units.load(Ordering::Relaxed)
        }),
        ("live_viewer_bytes_total", "counter", "Bytes sent to a viewer.", |v| {
            v.bytes.load(Ordering::Relaxed)
        }),
        ("live_viewer_dropped_units_total", "counter", "Pictures that a viewer was too slow for.", |v| {
            v.dropped.load(Ordering::Relaxed)
        }),
    ];
    let viewers = app.live.viewers();
    for (name, kind, help, of) in families {
        page.family(name, kind, help);
        for viewer in &viewers {
            page.sample(name, &format!("{{viewer=\"{}\"}}", viewer.number), of(viewer));
        }
    }
}

fn events(page: &mut Page, app: &App) {
    let stats = app.desk.stats();
    page.family("events_total", "counter", "Events taken in, by kind and priority.");
    for ((kind, priority), count) in &stats.events {
        let labels = format!("{{kind=\"{kind}\",priority=\"{}\"}}", priority.as_str());
        page.sample("events_total", &labels, count);
    }
    page.family("events_refused_total", "counter", "Requests with events that were refused, by reason.");
    for (reason, count) in &stats.refused {
        page.sample("events_refused_total", &format!("{{reason=\"{reason}\"}}"), count);
    }
    page.single("event_records_total", "counter", "Records of events written.", stats.records);
    page.single("events_folded_total", "counter", "Events counted in a record of others.", stats.folded);
    page.single("event_records_failed_total", "counter", "Records that the journal refused.", stats.failed);
    page.single("events_waiting", "gauge", "Events whose senders wait for the journal.", stats.waiting);
    page.single("event_records_pending", "gauge", "Records of events not yet written.", stats.pending);
    page.single("event_lanes", "gauge", "Cameras and senders that the limiter remembers.", stats.lanes);
    page.family("event_rows_open", "gauge", "Rows of events that are open, by priority.");
    for (priority, count) in &stats.open {
        page.sample("event_rows_open", &format!("{{priority=\"{}\"}}", priority.as_str()), count);
    }
}

fn relay(page: &mut Page, app: &App) {
    let Some(relay) = app.relay.read().clone() else { return };
    if let Some(uplink) = &relay.uplink {
        relay_up(page, uplink);
        relay_calls(page, "up", uplink.calls.as_ref(), &relay.calls);
    }
    if let Some(centre) = &relay.centre {
        relay_centre(page, centre, app.desk.stats().applied);
        relay_calls(page, "centre", centre.calls.link(), centre.calls.counters());
        relay_command(page, centre);
        relay_live(page, &app.far);
        backfill::write(page, &centre.backfill);
    }
}

fn relay_live(page: &mut Page, far: &FarLive) {
    page.single("relay_live_open", "gauge", "Live streams of other nodes that come.", far.counters.open());
    for (name, help, value) in far.counters.all() {
        page.single(&format!("relay_live_{name}_total"), "counter", help, value);
    }
    let lines = far.lines();
    page.family(
        "relay_live_line_bits",
        "gauge",
        "What live streams of a node are reckoned to, bits a second.",
    );
    for (node, line) in &lines {
        page.sample("relay_live_line_bits", &format!("{{node=\"{node}\"}}"), line.bits);
    }
}

/// Footage and states of cameras of other nodes.
fn relay_command(page: &mut Page, centre: &Centre) {
    let ((nodes, cameras), footage) = (centre.states.sizes(), &centre.footage);
    page.single("relay_footage_open", "gauge", "Answers with footage of nodes under way.", footage.taken());
    page.single("relay_footage_refused_total", "counter", "Refused: too many under way.", footage.refused());
    page.single("relay_states_nodes", "gauge", "Nodes that tell of their cameras now.", nodes);
    page.single("relay_states_cameras", "gauge", "Cameras of which something was told.", cameras);
    page.single(
        "relay_states_unread_total",
        "counter",
        "States that could not be read.",
        centre.states.unread(),
    );
}

/// What a centre asks the API of its nodes; at a node what its centre asks.
fn relay_calls(page: &mut Page, to: &str, link: &dyn Link, calls: &CallCounters) {
    relay_link(page, &format!("{to}_calls"), link);
    page.single(&format!("relay_{to}_calls_open"), "gauge", "Answers under way.", calls.open());
    let counters = [
        ("calls", "Calls begun.", calls.calls()),
        ("calls_refused", "Calls refused, or that got no answer.", calls.refused()),
        ("calls_broken", "Answers that broke off, or that nobody read to their end.", calls.broken()),
        ("calls_bytes", "Bytes of bodies of answers.", calls.bytes()),
    ];
    for (name, help, value) in counters {
        page.single(&format!("relay_{to}_{name}_total"), "counter", help, value);
    }
}

fn relay_link(page: &mut Page, to: &str, link: &dyn Link) {
    let (up, c) = (link.state().borrow().session().is_some(), link.counters());
    page.single(&format!("relay_{to}_link_up"), "gauge", "1 while the connection is there.", u8::from(up));
    let counters = [
        ("connects", "Connections made.", c.connects),
        ("refused", "Messages refused to be sent: no connection, or too many under way.", c.refused),
        ("dropped", "Messages dropped because nobody took them in time.", c.dropped + c.dropped_below),
        ("server_errors", "Refusals of the server.", c.server_errors),
    ];
    for (name, help, value) in counters {
        page.single(&format!("relay_{to}_link_{name}_total"), "counter", help, value);
    }
}

fn relay_up(page: &mut Page, uplink: &Uplink) {
    relay_link(page, "up", &uplink.link);
    let (seen, word) = (uplink.seen(), |p: Priority| format!("{p:?}").to_lowercase());
    page.family("relay_backlog_records", "gauge", "Records that wait for the centre, by priority.");
    for (priority, size) in &seen.waiting {
        page.sample("relay_backlog_records", &format!("{{priority=\"{}\"}}", word(*priority)), size.records);
    }
    page.family("relay_backlog_bytes", "gauge", "Their bytes.");
    for (priority, size) in &seen.waiting {
        page.sample("relay_backlog_bytes", &format!("{{priority=\"{}\"}}", word(*priority)), size.bytes);
    }
    let c = &seen.counters;
    let counters = [
        ("published", "Frames sent, repeated ones included.", c.published),
        ("confirmed", "Frames that the centre confirmed.", c.confirmed),
        ("refused", "Frames that the stream refused.", c.refused),
        ("walks", "Walks through the journal begun.", c.walks),
        ("direct", "Live alarms sent the direct way.", c.direct),
        ("direct_dropped", "Live alarms not sent that way.", c.direct_dropped + uplink.below_dropped()),
        ("oversized", "Records replaced because they are too large.", c.oversized),
        ("unreadable", "Records that the journal could not give.", c.unreadable),
        ("passed_over", "Records never sent because too much waited.", seen.passed_over),
    ];
    for (name, help, value) in counters {
        page.single(&format!("relay_{name}_total"), "counter", help, value);
    }
}

fn relay_centre(page: &mut Page, centre: &Centre, rows: u64) {
    relay_link(page, "centre", &centre.link);
    let seen = centre.seen();
    page.single("relay_stream_messages", "gauge", "Frames in the stream.", seen.stream.0);
    page.single("relay_stream_bytes", "gauge", "Bytes of them.", seen.stream.1);
    page.single("relay_previews", "gauge", "Live alarms shown ahead of their records.", seen.previews);
    let c = &seen.counters;
    let counters = [
        ("packets", "Packets that came.", c.packets),
        ("applied", "Frames that the journal took.", c.applied),
        ("events", "Events among them that came into rows.", rows),
        ("duplicates", "Frames that had been taken in before.", c.duplicates),
        ("gaps", "Frames that waited for one before them.", c.gaps),
        ("asked_anew", "How often a sender was asked to begin again.", c.asked_anew),
        ("left_to_stream", "Frames left to the stream for want of room.", c.left_to_stream),
        ("quarantined_beyond", "Frames not taken in of which nothing is kept.", c.quarantined_beyond),
        ("journal_refusals", "Records that the journal refused.", c.journal_refusals),
        ("previews_refused", "Live alarms refused.", c.previews_refused),
        ("presence_refused", "Words of presence that could not be read.", seen.words_refused),
    ];
    for (name, help, value) in counters {
        page.single(&format!("relay_{name}_total"), "counter", help, value);
    }
    page.family("relay_quarantined_total", "counter", "Frames not taken in, by reason.");
    for reason in Reason::ALL {
        let count = c.quarantined.get(&reason).copied().unwrap_or_default();
        page.sample("relay_quarantined_total", &format!("{{reason=\"{reason}\"}}"), count);
    }
    page.family("nodes", "gauge", "Nodes that were heard, by how they are heard now.");
    for (silence, count) in centre.presence.lock().counts() {
        page.sample("nodes", &format!("{{link=\"{silence}\"}}"), count);
    }
}

/// Name, kind, help and value of a family with one sample a stream.
type Family = (&'static str, &'static str, &'static str, fn(&StreamStatus) -> u64);

fn sessions(page: &mut Page, app: &App) {
    let Some(sessions) = app.sessions.read().clone() else { return };
    page.family("sessions", "gauge", "Camera sessions open, by who speaks to the device.");
    for (source, open) in sessions.open_sessions() {
        page.sample("sessions", &format!("{{source=\"{source}\"}}"), open);
    }
}

fn streams(page: &mut Page, app: &App) {
    let snapshot = app.board.snapshot();
    let labels = |key: &StreamKey| format!("{{camera=\"{}\",stream=\"{}\"}}", key.camera, key.stream);
    let families: [Family; 5] = [
        ("stream_up", "gauge", "1 while the stream plays.", |s| u64::from(s.state == SessionState::Playing)),
        ("stream_units_total", "counter", "Access units received.", |s| s.units),
        ("stream_bytes_total", "counter", "Bytes received.", |s| s.bytes),
        ("stream_lost_packets_total", "counter", "RTP packets lost.", |s| s.lost_packets),
        ("stream_sessions_total", "counter", "Sessions opened.", |s| s.sessions),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help);
        for (key, status) in &snapshot {
            page.sample(name, &labels(key), value(status));
        }
    }
    page.family("stream_recording", "gauge", "1 while the stream reaches the disk; absent when not due.");
    for (key, _) in snapshot.iter().filter(|(key, _)| key.stream == StreamKind::Main) {
        if let Some(now) = app.recordings.stream(key) {
            page.sample("stream_recording", &labels(key), u8::from(now.recording));
        }
    }
}
