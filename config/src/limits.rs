//! Every bound of the system by name. A queue, cache or buffer anywhere in the code takes its bound from here.

mod command;
mod duty;
mod duty_node;
mod duty_units;
mod outward;
mod people;
mod relay;
mod relay_live;
mod report;
mod rules;
mod search;
mod standby;

use std::time::Duration;

pub use command::*;
pub use duty::*;
pub use duty_node::*;
pub use duty_units::*;
pub use outward::*;
pub use people::*;
pub use relay::*;
pub use relay_live::*;
pub use report::*;
pub use rules::*;
pub use search::*;
pub use standby::*;

/// Oldest unflushed picture a recorder may hold in memory; with the write itself it stays within the 2 s promise.
pub const FLUSH_AGE_MAX: Duration = Duration::from_millis(1700);
/// Bytes of one stream that make a flush due before its age does.
pub const FLUSH_BYTES_MAX: usize = 1 << 20;
/// A key frame flushes what is pending when at least this much is (keeps groups on GOP bounds); a little less than
/// the usual GOP of 1 s, whose length jitters on the node's clock.
pub const FLUSH_AT_KEY_MIN: Duration = Duration::from_millis(900);
/// Longest fragment: a GOP that is longer is split here.
pub const FRAGMENT_DURATION_MAX: Duration = Duration::from_secs(2);
/// Shortest fragment: key frames that follow faster (Motion JPEG, all-intra coding) share one.
pub const FRAGMENT_DURATION_MIN: Duration = Duration::from_millis(300);
/// Longest duration one picture is given; a longer pause between two pictures is not footage.
pub const FRAME_DURATION_MAX: Duration = Duration::from_secs(10);
/// Nominal length of a segment on the wall clock.
pub const SEGMENT_DURATION: Duration = Duration::from_secs(300);
/// Hard size bound of a segment.
pub const SEGMENT_BYTES_MAX: u64 = 512 << 20;
/// How long past its time a segment waits for a key frame before it is cut all the same.
pub const SEGMENT_KEY_WAIT_MAX: Duration = Duration::from_secs(20);
/// Interval of `syncfs` per volume.
pub const VOLUME_SYNC_INTERVAL: Duration = Duration::from_secs(2);
/// Interval in which the writer thread of a volume looks at its streams.
pub const VOLUME_SWEEP_INTERVAL: Duration = Duration::from_millis(100);
/// Largest single access unit accepted from a camera.
pub const ACCESS_UNIT_BYTES_MAX: usize = 16 << 20;
/// Pictures older than this leave the live ring of a stream once recorded.
pub const RING_DURATION_MAX: Duration = Duration::from_secs(4);
/// Bytes that the rings of all streams may hold together while volumes stall; overridden by the configuration.
pub const RING_BYTES_BUDGET_DEFAULT: usize = 1 << 30;
/// Access units that a warm start sends at most.
pub const WARM_START_UNITS_MAX: usize = 150;
/// Live viewer: how far behind it may fall before it is moved to the next key frame.
pub const VIEWER_LAG_MAX: Duration = Duration::from_millis(1000);
/// Live subscriptions of one browser tab.
pub const LIVE_SUBSCRIPTIONS_PER_SOCKET_MAX: usize = 64;
/// Wall sockets of one node.
pub const LIVE_SOCKETS_MAX: usize = 256;
/// Watchdog: a session without an access unit for this long is stalled.
pub const STALL_AFTER: Duration = Duration::from_secs(5);
/// Time a session may take from connect to the first access unit.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Sessions that may be opening at once on a node.
pub const OPENING_MAX: usize = 64;
/// Connections that may be opening at once to one device address.
pub const OPENING_PER_DEVICE_MAX: usize = 2;
/// Shortest time between two attempts on one stream of one device.
pub const RETRY_FLOOR: Duration = Duration::from_secs(5);
/// First and largest back-off of an ordinary error (full jitter below it).
pub const BACKOFF_ORDINARY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(20));
/// First and largest back-off after a refused password: the slow lane.
pub const BACKOFF_AUTH: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// How long a sub-stream that nobody watches any more stays open.
pub const SUB_STREAM_LINGER: Duration = Duration::from_secs(15);
/// How long after its last access unit a stalled session is closed and tried again.
pub const STALL_CLOSE_AFTER: Duration = Duration::from_secs(10);
/// How long pictures may come without any key frame before the stream is called one without key frames.
pub const KEY_FRAME_WAIT_MAX: Duration = Duration::from_secs(20);
/// Play without a fault after which earlier failures no longer lengthen the back-off.
pub const SESSION_STABLE_AFTER: Duration = Duration::from_secs(10);
/// Packets in a row that may be unusable (without one whole access unit between them) before a session is given up.
pub const BAD_PACKETS_MAX: u32 = 50;
/// Longest RTSP message, head and body, that a device may send within a playing session.
pub const RTSP_MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Length of one failure sentence on the board, in characters.
pub const FAILURE_DETAIL_CHARS_MAX: usize = 240;
/// Time that goodbye messages (TEARDOWN) may take when ingest stops.
pub const TEARDOWN_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a stream of the lean path is read that nobody watches. Dearer when shorter; twice as long overruns the
/// receive window.
pub const LEAN_SWEEP: Duration = Duration::from_millis(200);
/// The same while somebody watches; ten of these make the longer period.
pub const LEAN_SWEEP_WATCHED: Duration = Duration::from_millis(20);
/// How long a new stream is read like a watched one, so that its first times are good ones.
pub const LEAN_SETTLE: Duration = Duration::from_secs(2);
/// Bytes read of one stream in one turn; a camera that floods has more waiting, and waits.
pub const LEAN_TURN_BYTES_MAX: usize = 1 << 20;
/// The buffer of a thread that streams are read into.
pub const LEAN_SCRATCH_BYTES: usize = 256 << 10;
/// Receive buffer asked of the kernel for each stream: what a period may bring, key frames and late turns included.
pub const LEAN_RECEIVE_BUFFER_BYTES: u32 = 1 << 20;
/// Bytes of one RTSP message of a device, description included.
pub const LEAN_MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Bytes waiting to be sent to a device that does not read.
pub const LEAN_SEND_BYTES_MAX: usize = 8 << 10;
/// Goodbyes under way; further ones are said, but their answers not waited for.
pub const LEAN_GOODBYES_MAX: usize = 4096;
/// Streams remembered as unusual, which retina reads.
pub const RETINA_STREAMS_MAX: usize = 4096;
/// Samples waiting between a GStreamer pipeline and its worker.
pub const GST_SAMPLES_MAX: u32 = 100;
/// Largest error by which a stream's node time may be corrected in a second, once settled: keeps times smooth.
pub const CLOCK_SLEW_PER_SECOND_MAX: Duration = Duration::from_millis(10);
/// Camera or node clock jump that starts a new segment.
pub const CLOCK_STEP_MIN: Duration = Duration::from_millis(500);
/// Request head: bytes and time.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// TLS handshake time.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Open HTTP connections of one node.
pub const HTTP_CONNECTIONS_MAX: usize = 2048;
/// Bytes of an ordinary request body.
pub const HTTP_BODY_BYTES_MAX: usize = 1 << 20;
/// Length of a log-in session without use, and in all.
pub const SESSION_IDLE_MAX: Duration = Duration::from_secs(12 * 3600);
/// Log-in attempts of one address within a minute.
pub const LOGIN_ATTEMPTS_PER_MINUTE_MAX: u32 = 10;
/// Rows of one page of an API listing.
pub const PAGE_ROWS_MAX: usize = 1000;
/// Bytes of one journal record.
pub const JOURNAL_RECORD_BYTES_MAX: usize = 256 << 10;
/// Bytes of one configuration or CSV file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 64 << 20;
/// Files of one configuration, includes and all.
pub const CONFIG_FILES_MAX: usize = 256;
/// Characters of one text in the configuration.
pub const CONFIG_TEXT_CHARS_MAX: usize = 2048;
/// Characters of a name that is shown to people.
pub const NAME_CHARS_MAX: usize = 128;
/// Characters of a value that a finding repeats.
pub const FINDING_VALUE_CHARS_MAX: usize = 120;
/// Bytes of a file that holds one secret or a key.
pub const SECRET_FILE_BYTES_MAX: u64 = 4096;
/// Cameras of one node; far above a whole city, and a bound for a generated one.
pub const CAMERAS_MAX: usize = 100_000;
/// Free bytes of a volume below which nothing more is written to it; overridden by the configuration.
pub const VOLUME_RESERVE_BYTES_DEFAULT: u64 = 2048 << 20;
/// Bounds of the ring budget in MiB.
pub const RING_BUDGET_MIB: (u64, u64) = (16, 4 << 20);
/// Bounds of the weight of a volume in percent, and what it is when nothing is said.
pub const VOLUME_WEIGHT: (u64, u64) = (1, 1000);
/// Weight of a volume of which nothing is said.
pub const VOLUME_WEIGHT_DEFAULT: u32 = 100;
/// A stream leaves its volume for another only when that suits it better by this much, in percent.
pub const VOLUME_HYSTERESIS_PERCENT: u32 = 25;
/// Closed segments queued for a move to another volume; the rest wait in the catalogue.
pub const MOVES_QUEUED_MAX: usize = 4096;
/// Bytes read and written at once by a move.
pub const MOVE_CHUNK_BYTES: usize = 1 << 20;
/// Segments of one move step: one sync of the catalogue is for all of them.
pub const MOVE_BATCH_MAX: usize = 16;
/// A look of a volume's writer longer than this makes moves wait for it.
pub const MOVE_YIELD_AFTER: Duration = Duration::from_millis(250);
/// Longest that one chunk of a move waits for the writers.
pub const MOVE_YIELD_MAX: Duration = Duration::from_secs(2);
/// A segment that waits longer than this for its move raises an alarm.
pub const MOVE_BACKLOG_ALARM_AFTER: Duration = Duration::from_secs(600);
/// How often what lies on each volume is counted anew.
pub const VOLUME_USAGE_INTERVAL: Duration = Duration::from_secs(10);
/// Bounds of the reserve of a volume in MiB.
pub const VOLUME_RESERVE_MIB: (u64, u64) = (0, 1 << 30);
/// Shorter absences are the seam between two segments, not a gap.
pub const GAP_MIN: Duration = Duration::from_millis(500);
/// How often the catalogue's log is written afresh.
pub const CATALOGUE_COMPACTION_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Bytes of changes that may come while the catalogue's log is written afresh; with more the attempt is given up.
pub const CATALOGUE_TAIL_BYTES_MAX: usize = 64 << 20;
/// How often the catalogue is searched for time that neither footage nor a gap explains.
pub const AUDIT_INTERVAL: Duration = Duration::from_secs(600);
/// Stretches of unexplained time that one audit lists.
pub const AUDIT_HOLES_MAX: usize = 1000;
/// Sign of life in the catalogue: what a crash leaves unexplained is at most this long.
pub const CATALOGUE_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Interval in which new rows reach the catalogue's log.
pub const CATALOGUE_FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Records waiting for the journal's writer; whoever comes later waits.
pub const JOURNAL_QUEUE_MAX: usize = 1024;
/// Records that one journal sync may cover.
pub const JOURNAL_GROUP_MAX: usize = 256;
/// Bytes of the newest records that a journal keeps in memory for those who follow it.
pub const JOURNAL_RECENT_BYTES_MAX: usize = 1 << 20;
/// A journal file that is longer is followed by a new one.
pub const JOURNAL_FILE_BYTES_MAX: u64 = 16 << 20;
/// A journal file that has taken records for this long is followed by a new one: files are dropped whole.
pub const JOURNAL_FILE_AGE_MAX: Duration = Duration::from_secs(30 * 86_400);
/// How far the signed head of the journal may be behind: the end of the journal that can be cut unseen.
pub const JOURNAL_HEAD_INTERVAL: Duration = Duration::from_secs(1);
/// How often a copy of the head goes to each volume.
pub const JOURNAL_WITNESS_INTERVAL: Duration = Duration::from_secs(60);
/// Shortest term of journal records in days: three years.
pub const JOURNAL_KEEP_DAYS_MIN: u64 = 1095;
/// Longest term of journal records in days.
pub const JOURNAL_KEEP_DAYS_MAX: u64 = 36_500;
/// Records after which a start keeps a snapshot of a state.
pub const JOURNAL_SNAPSHOT_EVERY: u64 = 10_000;
/// Bytes of one snapshot.
pub const JOURNAL_SNAPSHOT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of the records that a checkpoint carries over.
pub const JOURNAL_CHECKPOINT_BYTES_MAX: u64 = 256 << 20;
/// Files that one page of the journal looks through.
pub const JOURNAL_PAGE_FILES_MAX: usize = 4;
/// Records of one page of the journal.
pub const JOURNAL_PAGE_MAX: usize = 1000;
/// By how much the epoch of a restored journal grows, so that it never meets one that the lost node still wrote.
pub const JOURNAL_RESTORE_EPOCH_STEP: u64 = 1000;
/// How often a volume that failed, filled up or is missing is tried again, and a good one measured.
pub const VOLUME_PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// Files that a volume must still be able to create to be of use.
pub const VOLUME_INODES_MIN: u64 = 1000;
/// Largest record (commit, fragment table) that a reader of segments accepts.
pub const SEGMENT_RECORD_BYTES_MAX: usize = 4 << 20;
/// Segment files that playback keeps open.
pub const SEGMENT_READERS_MAX: usize = 128;
/// Init segments for browsers that playback remembers.
pub const INIT_SEGMENTS_MAX: usize = 1024;
/// Days of all cameras together in one answer about coverage.
pub const DAY_STRIPS_MAX: usize = 4096;
/// Groups of pictures of one playback listing.
pub const GOPS_PER_LISTING_MAX: usize = 5000;
/// Problems that one check of footage lists.
pub const FSCK_PROBLEMS_MAX: usize = 10_000;
/// Longer side of a still picture in pixels.
pub const STILL_SIDE_MAX: u32 = 1920;
/// Damaged places of footage that are listed; a disk that is dying has more, and then all of it is suspect.
pub const DAMAGED_PLACES_MAX: usize = 100_000;
/// Bytes a second at which stored footage is checked in the background; overridden by the configuration. Reads a
/// sub-centre's month within a month and a half, for a hundredth of a core.
pub const SCRUB_RATE_DEFAULT: u64 = 16 << 20;
/// Bounds of that rate in MiB a second; 0 turns it off.
pub const SCRUB_MIB_PER_SECOND: (u64, u64) = (0, 4096);
/// Pause between two looks of the scrubber.
pub const SCRUB_INTERVAL: Duration = Duration::from_millis(250);
/// Shortest time from the end of one pass through all footage to the start of the next.
pub const SCRUB_PASS_MIN: Duration = Duration::from_secs(3600);
/// How often the scrubber keeps its place; what it finds is kept at once.
pub const SCRUB_SAVE_INTERVAL: Duration = Duration::from_secs(30);
/// Bytes of the file in which the scrubber keeps its place and what it found.
pub const SCRUB_STATE_BYTES_MAX: u64 = 256 << 20;
/// Segments that readers stumbled over and that wait for the scrubber.
pub const SCRUB_SUSPECTS_MAX: usize = 1024;
/// Requests to read certain footage, waiting or done, that are kept.
pub const SCRUB_REQUESTS_MAX: usize = 64;
/// Findings put into the journal in one step.
pub const SCRUB_REPORTS_AT_ONCE_MAX: usize = 256;
/// How far recording may be behind before the scrubber lets it go first.
pub const SCRUB_LAG_MAX: Duration = Duration::from_secs(5);
/// Days that footage of a class is promised and then deleted, when nothing is said: normal cameras and key targets. The
/// promise is also the least that the law allows.
pub const RETENTION_DAYS_NORMAL: (u32, u32) = (30, 90);
/// As [`RETENTION_DAYS_NORMAL`], for key targets.
pub const RETENTION_DAYS_KEY: (u32, u32) = (90, 180);
/// Longest time that footage can be kept without a hold, in days.
pub const RETENTION_DAYS_MAX: f64 = 3650.0;
/// Footage younger than this is never sacrificed; overridden by the configuration.
pub const SACRIFICE_FLOOR: Duration = Duration::from_secs(24 * 3600);
/// Bounds of that in hours.
pub const SACRIFICE_FLOOR_HOURS: (f64, f64) = (0.0, 24.0 * 365.0);
/// High and low water mark of a volume in thousandths of its size without the reserve; overridden by the configuration.
pub const WATER_MARKS_PERMILLE: (u32, u32) = (970, 950);
/// Bounds of both in percent.
pub const WATER_MARK_PERCENT: (f64, f64) = (10.0, 99.5);
/// Interval in which retention looks for what to delete.
pub const RETENTION_INTERVAL: Duration = Duration::from_secs(5);
/// Interval in which what is older than its time is deleted, so that the register has few and large entries.
pub const RETENTION_DUTY_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// Segments deleted under one lock: whoever places a hold waits for as many at most.
pub const RETENTION_BATCH_MAX: usize = 512;
/// Batches of one look.
pub const RETENTION_BATCHES_PER_STEP_MAX: usize = 16;
/// Segments that a dry run counts at most; there may be more, and it says so.
pub const RETENTION_DRY_RUN_MAX: usize = 1_000_000;
/// Interval of the forecast, which looks at every row.
pub const FORECAST_INTERVAL: Duration = Duration::from_secs(600);
/// How far ahead an alarm tells of a promise that will break.
pub const FORECAST_ALARM: Duration = Duration::from_secs(72 * 3600);
/// How far the forecast looks.
pub const FORECAST_HORIZON: Duration = Duration::from_secs(400 * 86_400);
/// How much faster than time itself the age of footage may catch up after the wall clock was set forward.
pub const AGE_CATCH_UP: u32 = 2;
/// A wall clock that is this far ahead of the age of footage raises an alarm.
pub const AGE_LAG_ALARM: Duration = Duration::from_secs(3600);
/// Holds in force at once.
pub const HOLDS_MAX: usize = 10_000;
/// Holds released that are still listed; the journal has all.
pub const HOLDS_RELEASED_MAX: usize = 10_000;
/// Cameras of one hold: as many fit one journal record.
pub const HOLD_CAMERAS_MAX: usize = 5000;
/// Characters of the reason of a hold.
pub const HOLD_REASON_CHARS_MAX: usize = 500;
/// Stretches that an answer lists as gone; there may be more, which it counts.
pub const HOLD_GONE_SPANS_MAX: usize = 500;
/// How often the journal gets one record that stands for all deletions before; far less than its least term.
pub const RETENTION_STANDING_INTERVAL: Duration = Duration::from_secs(30 * 86_400);
/// Journal records that one page of the deletion register looks at.
pub const REGISTER_SCAN_MAX: usize = 20_000;
/// Archives of one node.
pub const ARCHIVES_MAX: usize = 4;
/// Bounds of the age in minutes at which footage goes to an archive.
pub const ARCHIVE_AFTER_MINUTES: (u64, u64) = (0, 527_040);
/// That age, overridden by the configuration.
pub const ARCHIVE_AFTER_MINUTES_DEFAULT: u64 = 10;
/// Bounds of what uploads take in Mbit/s.
pub const ARCHIVE_RATE_MBIT: (f64, f64) = (0.1, 1_000_000.0);
/// Bounds of uploads at once.
pub const ARCHIVE_UPLOADS: (u64, u64) = (1, 16);
/// Uploads at once, overridden by the configuration.
pub const ARCHIVE_UPLOADS_DEFAULT: usize = 2;
/// Bounds of an archive's cache in MiB.
pub const ARCHIVE_CACHE_MIB: (u64, u64) = (1, 1 << 20);
/// Bytes of an archive's footage kept in memory, overridden by the configuration.
pub const ARCHIVE_CACHE_BYTES_DEFAULT: usize = 128 << 20;
/// Bounds of the retention of an object in days.
pub const ARCHIVE_LOCK_DAYS: (u64, u64) = (1, 3660);
/// Bytes of a file of certificates.
pub const ARCHIVE_CA_BYTES_MAX: u64 = 1 << 20;
/// Bytes of one part of an upload: what each upload holds in memory.
pub const ARCHIVE_PART_BYTES: usize = 8 << 20;
/// Unit in which archived footage is fetched and cached.
pub const ARCHIVE_BLOCK_BYTES: u64 = 64 << 10;
/// Requests for archived footage at once; more wait their turn.
pub const ARCHIVE_READS_MAX: usize = 8;
/// Time that one answer of an archive may take.
pub const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long playback does not ask again after an archive did not answer.
pub const ARCHIVE_REST_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// First and largest pause of uploads after a failure.
pub const BACKOFF_ARCHIVE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often an archive looks for footage that is due.
pub const ARCHIVE_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How far back each look goes: segments that recovery closes late are found there.
pub const ARCHIVE_LOOK_BACK: Duration = Duration::from_secs(3600);
/// How often a look goes through everything.
pub const ARCHIVE_WHOLE_LOOK_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// For how long a segment that could not be stored for a reason of its own is left alone.
pub const ARCHIVE_ASIDE_TIME: Duration = Duration::from_secs(600);
/// Such segments that are remembered; when there are more all are tried again.
pub const ARCHIVE_ASIDE_MAX: usize = 10_000;
/// Segments whose storing is written down together.
pub const ARCHIVE_BATCH_MAX: usize = 32;
/// Footage that is overdue for this long raises an alarm.
pub const ARCHIVE_BEHIND_AFTER: Duration = Duration::from_secs(3600);
/// Bounds of the age in days at which footage is deleted from an archive.
pub const ARCHIVE_MAX_DAYS: (f64, f64) = (0.0, 36_500.0);
/// How often an archive looks for footage whose time is over, after all of it was gone.
pub const ARCHIVE_REMOVAL_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// How long a segment that the store keeps locked is left alone.
pub const ARCHIVE_LOCKED_RETRY: Duration = Duration::from_secs(6 * 3600);
/// How often locks of held footage are looked at.
pub const ARCHIVE_RENEWAL_INTERVAL: Duration = Duration::from_secs(3600);
/// Locks made longer that are remembered; when there are more all are made longer again.
pub const ARCHIVE_RENEWALS_MAX: usize = 1_000_000;
/// Problems that one check of an archive lists.
pub const ARCHIVE_PROBLEMS_MAX: usize = 10_000;
/// Largest index of an archive that is read at start.
pub const ARCHIVE_INDEX_BYTES_MAX: u64 = 8 << 30;
/// Rows of the derived facets of closed segments; the oldest days beyond it have none. The store takes about 1 kB of memory
/// a row whatever its cache (986 MB at a million, 200 MB at 300,000), so this bounds its memory.
pub const FACET_ROWS_MAX: u64 = 250_000;
/// Bytes of one such row: a segment with more fragments than fit is read from its file.
pub const FACET_ROW_BYTES_MAX: usize = 32 << 10;
/// Memory that the store of facets caches in.
pub const FACET_CACHE_BYTES: u64 = 64 << 20;
/// Bytes of the store of facets on the disk; a larger one is wiped and filled anew.
pub const FACET_DISK_BYTES_MAX: u64 = 12 << 30;
/// Free bytes of the data folder's disk below which no facet is kept.
pub const FACET_ROOM_MIN: u64 = 512 << 20;
/// Closed segments that wait for their facet; more are left to the pass through all.
pub const FACET_QUEUE_MAX: usize = 4096;
/// How often the store of facets is brought to the disk; what a crash takes is made again.
pub const FACET_FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// Pause between two steps of filling.
pub const FACET_INTERVAL: Duration = Duration::from_millis(250);
/// Rows looked at in a second by the pass through all.
pub const FACET_CHECKS_PER_SECOND: u32 = 2000;
/// As many such looks weighs one segment file that is read: 50 files a second at most.
pub const FACET_FILE_COST: u32 = 40;
/// From the end of one pass through all segments to the start of the next.
pub const FACET_PASS_INTERVAL: Duration = Duration::from_secs(3600);
/// How often room and size on the disk are looked at.
pub const FACET_ROOM_INTERVAL: Duration = Duration::from_secs(10);
/// First and largest pause after the store of facets failed.
pub const BACKOFF_FACETS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// How far ahead of the reader's clock the time of an event may be; what is further ahead comes from a wrong clock.
pub const EVENT_AHEAD_MAX: Duration = Duration::from_secs(300);
/// Bytes of one event as JSON.
pub const EVENT_BYTES_MAX: usize = 16 << 10;
/// Characters of the text of an event.
pub const EVENT_TEXT_CHARS_MAX: usize = 500;
/// Bytes of the data of an event as JSON.
pub const EVENT_DATA_BYTES_MAX: usize = 4 << 10;
/// Characters of the cause of an event, and of its part.
pub const EVENT_CAUSE_CHARS_MAX: usize = 160;
/// Characters of the name of an input of a device.
pub const EVENT_INPUT_CHARS_MAX: usize = 64;
/// Events of one request.
pub const EVENT_BATCH_MAX: usize = 100;
/// Events that one record may stand for; far above what a flood brings between two records.
pub const EVENT_COUNT_MAX: u64 = 1 << 40;
/// Marks of requests (`Idempotency-Key`) that one folded record carries; with more it is written early.
pub const EVENT_MARKS_MAX: usize = 150;
/// Characters of an `Idempotency-Key`.
pub const EVENT_KEY_CHARS_MAX: usize = 128;
/// Requests whose `Idempotency-Key` is remembered for each sender.
pub const EVENT_KEYS_PER_SENDER_MAX: usize = 2048;
/// Senders whose keys are remembered; the one that was silent longest is forgotten first.
pub const EVENT_KEY_SENDERS_MAX: usize = 512;
/// Records of one camera from one source that may follow each other at once.
pub const EVENT_LANE_BURST: u32 = 20;
/// After that, the least time between two of them: what comes in between is counted in the next.
pub const EVENT_LANE_INTERVAL: Duration = Duration::from_millis(500);
/// Causes of one camera from one source that wait apart; what has another one meanwhile is counted together.
pub const EVENT_LANE_CAUSES_MAX: usize = 8;
/// Causes that such a sum names.
pub const EVENT_CAUSES_NAMED_MAX: usize = 16;
/// Records of one token or operator, all cameras together, that may follow each other at once.
pub const EVENT_SENDER_BURST: u32 = 200;
/// After that, the least time between two of them.
pub const EVENT_SENDER_INTERVAL: Duration = Duration::from_millis(50);
/// Records of the node's own watching that may follow each other at once: a whole city that goes dark.
pub const EVENT_NODE_BURST: u32 = 4096;
/// After that, the least time between two of them.
pub const EVENT_NODE_INTERVAL: Duration = Duration::from_millis(5);
/// Cameras and sources that the limiter of events remembers.
pub const EVENT_LANES_MAX: usize = 200_000;
/// Events of all senders that wait for their record.
pub const EVENT_WAITING_MAX: usize = 50_000;
/// Events of one sender that wait for their record.
pub const EVENT_WAITING_PER_SENDER_MAX: usize = 5_000;
/// Records of events that are handed to the journal together.
pub const EVENT_RECORDS_AT_ONCE_MAX: usize = 64;
/// How long the node waits before it tries again to note its own events after the journal refused.
pub const EVENT_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Rows of events that are open at once; beyond that the one that was silent longest counts as over.
pub const EVENT_ROWS_OPEN_MAX: usize = 20_000;
/// Rows of events that are over and still in memory; the journal has all.
pub const EVENT_ROWS_OVER_MAX: usize = 5_000;
/// Things that one row of events keeps apart as open.
pub const EVENT_PARTS_MAX: usize = 2_000;
/// An event of a cause that was silent for longer begins a new row.
pub const EVENT_JOIN_WITHIN: Duration = Duration::from_secs(600);
/// How often the states of a node are looked at for events.
pub const EVENT_LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a camera must fail before it is called offline.
pub const EVENT_OFFLINE_AFTER: Duration = Duration::from_secs(10);
/// How long a camera must send nothing, its session open, before it is called stalled.
pub const EVENT_STALLED_AFTER: Duration = Duration::from_secs(2);
/// How long a camera must play before it is called online again.
pub const EVENT_ONLINE_AFTER: Duration = Duration::from_secs(3);
/// How long a due stream must not reach the disk before a gap is told.
pub const EVENT_GAP_AFTER: Duration = Duration::from_secs(10);
/// How long it must reach the disk before the gap is over.
pub const EVENT_GAP_OVER_AFTER: Duration = Duration::from_secs(3);
/// A camera's clock that is this far off fails (DOMAIN: clock offset).
pub const EVENT_CLOCK_FAIL: Duration = Duration::from_secs(3);
/// One that is this near passes again.
pub const EVENT_CLOCK_PASS: Duration = Duration::from_secs(1);
/// How long either must hold.
pub const EVENT_CLOCK_AFTER: Duration = Duration::from_secs(30);
/// Packets of a camera lost within [`EVENT_LOST_WINDOW`] that cost pictures people notice.
pub const EVENT_LOST_PACKETS_MIN: u64 = 20;
/// The window of that count.
pub const EVENT_LOST_WINDOW: Duration = Duration::from_secs(10);
/// How long fewer must be lost before it is over.
pub const EVENT_LOST_OVER_AFTER: Duration = Duration::from_secs(60);
/// How long a volume must be in a state before it is told.
pub const EVENT_VOLUME_AFTER: Duration = Duration::from_secs(3);
/// How long no picture must be lost to slow volumes before that is over.
pub const EVENT_SLOW_OVER_AFTER: Duration = Duration::from_secs(60);
/// How long the journal must write without a failure before its trouble is over.
pub const EVENT_JOURNAL_OVER_AFTER: Duration = Duration::from_secs(60);
/// Tokens of devices and other systems, revoked ones included.
pub const TOKENS_MAX: usize = 2_000;
/// Cameras and places that the scope of one token names.
pub const TOKEN_SCOPE_MAX: usize = 2_000;
/// Events a minute that a token may send, when nothing is said.
pub const TOKEN_RATE_DEFAULT: u32 = 20_000;
/// Bounds of that.
pub const TOKEN_RATE: (u32, u32) = (1, 600_000);
