//! Every bound of the system by name. A queue, cache or buffer anywhere in the code takes its bound from here.

use std::time::Duration;

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
pub const RETRY_FLOOR: Duration = Duration::from_secs(1);
/// First and largest back-off of an ordinary error (full jitter below it).
pub const BACKOFF_ORDINARY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));
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
/// Length of one failure sentence on the board, in characters.
pub const FAILURE_DETAIL_CHARS_MAX: usize = 240;
/// Time that goodbye messages (TEARDOWN) may take when ingest stops.
pub const TEARDOWN_TIMEOUT: Duration = Duration::from_secs(2);
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
/// A journal file that is longer is followed by a new one.
pub const JOURNAL_FILE_BYTES_MAX: u64 = 64 << 20;
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
