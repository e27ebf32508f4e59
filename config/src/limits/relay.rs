//! Bounds of what nodes say to each other.

use std::time::Duration;

/// Bytes of one frame of the relay: four times the largest event.
pub const RELAY_FRAME_BYTES_MAX: usize = 64 << 10;
/// Bytes of a packet from which a receiver still reads whose frame it is, to go on behind it.
pub const RELAY_PACKET_BYTES_READ_MAX: usize = 1 << 20;
/// Bytes of the kind of a frame.
pub const RELAY_KIND_BYTES_MAX: usize = 64;
/// Frames on their way to a centre that it has not confirmed; more than one journal record of a county can hold.
pub const RELAY_WINDOW_FRAMES_MAX: usize = 1024;
/// Bytes of them.
pub const RELAY_WINDOW_BYTES_MAX: usize = 4 << 20;
/// Frames that the stream has not acknowledged.
pub const RELAY_UNACKED_MAX: usize = 256;
/// Journal records that a sender reads at once.
pub const RELAY_READ_RECORDS_MAX: usize = 256;
/// Journal records that a sender counts or scans in one step.
pub const RELAY_SCAN_RECORDS_MAX: usize = 4096;
/// First and largest pause before the centre is asked again where to go on.
pub const BACKOFF_RELAY_ASK: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));
/// How often a sender with nothing to send asks where its centre stands.
pub const RELAY_CHECK_INTERVAL: Duration = Duration::from_secs(300);
/// First and largest time that the stream may take to acknowledge.
pub const RELAY_ACK_TIMEOUT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// First and largest time that the centre may take to confirm.
pub const RELAY_CONFIRM_TIMEOUT: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(60));
/// Live alarms that wait for the direct way.
pub const RELAY_DIRECT_MAX: usize = 64;
/// After as many at once, the least time between two live alarms on the direct way.
pub const RELAY_DIRECT_INTERVAL: Duration = Duration::from_millis(20);
/// An alarm that is older does not go the direct way.
pub const RELAY_DIRECT_AGE_MAX: Duration = Duration::from_secs(60);
/// Frames of one origin that a receiver holds in memory.
pub const RELAY_INBOX_FRAMES_PER_ORIGIN_MAX: usize = 512;
/// Bytes of them.
pub const RELAY_INBOX_BYTES_PER_ORIGIN_MAX: usize = 1 << 20;
/// Frames of one origin in one step of a receiver, before the next origin has its turn.
pub const RELAY_TURN_FRAMES_MAX: usize = 64;
/// Frames of one journal record of a receiver.
pub const RELAY_BATCH_FRAMES_MAX: usize = 512;
/// Bytes of one such record: less than a record may have.
pub const RELAY_BATCH_BYTES_MAX: usize = 192 << 10;
/// How far ahead of the receiver's clock a frame may be.
pub const RELAY_AHEAD_MAX: Duration = Duration::from_secs(300);
/// Walks of a sender that must all lack a frame before a receiver believes that the sender does not have it.
pub const RELAY_GAP_WALKS: usize = 8;
/// First and largest pause before a sender is asked anew to fill a gap.
pub const BACKOFF_RELAY_ANEW: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Frames of one origin that are put in quarantine with their bytes in a minute; more are only counted.
pub const RELAY_QUARANTINE_PER_MINUTE_MAX: u32 = 20;
/// Bytes of a frame in quarantine that are kept.
pub const RELAY_QUARANTINE_HEAD_BYTES: usize = 256;
/// Live alarms that a receiver shows ahead of their frames.
pub const RELAY_PREVIEWS_MAX: usize = 1024;
/// Those of one origin.
pub const RELAY_PREVIEWS_PER_ORIGIN_MAX: usize = 128;
/// How long one is shown whose frame does not come.
pub const RELAY_PREVIEW_AGE_MAX: Duration = Duration::from_secs(600);
/// How long a receiver leaves a packet to the stream that it has no room for.
pub const RELAY_NAK_DELAY: Duration = Duration::from_millis(500);
/// How long a receiver waits after its journal refused.
pub const RELAY_JOURNAL_RETRY: Duration = Duration::from_secs(1);
/// How often a receiver notes where every origin stands; far less than the least term of the journal.
pub const RELAY_STANDING_INTERVAL: Duration = Duration::from_secs(30 * 86_400);
/// Origins of one receiver.
pub const RELAY_ORIGINS_MAX: usize = 1024;
/// Bytes of an answer of a centre: a mark for each origin.
pub const RELAY_ANSWER_BYTES_MAX: usize = 256 << 10;
/// Stretches of its journal that a sender remembers to have passed over.
pub const RELAY_STRETCHES_MAX: usize = 1024;
/// Bytes of one message between nodes; a frame is a journal record and a little more.
pub const RELAY_PAYLOAD_BYTES_MAX: usize = 512 << 10;
/// Nodes of one centre, retired ones and open invitations included.
pub const RELAY_NODES_MAX: usize = 512;
/// Cameras that one node may speak of; their list fits into one journal record.
pub const RELAY_NODE_CAMERAS_MAX: usize = 4096;
/// Earlier keys of one node that are remembered.
pub const RELAY_NODE_KEYS_MAX: usize = 16;
/// Shortest and longest life of an enrolment token.
pub const RELAY_TOKEN_LIFETIME: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(30 * 86_400));
/// Life of the authority's certificate.
pub const RELAY_AUTHORITY_LIFETIME: Duration = Duration::from_secs(20 * 365 * 86_400);
/// Life of a server's certificate.
pub const RELAY_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// How long before its end a server's certificate is made anew.
pub const RELAY_CERTIFICATE_RENEW_BEFORE: Duration = Duration::from_secs(60 * 86_400);
/// Bytes of a file written for the NATS server.
pub const RELAY_SERVER_FILE_BYTES_MAX: u64 = 4 << 20;
/// Bytes that the NATS server keeps for one connection that does not read; then it is cut.
pub const RELAY_SERVER_PENDING_BYTES_MAX: usize = 16 << 20;
/// Connections of one NATS server.
pub const RELAY_SERVER_CONNECTIONS_MAX: usize = 2048;
/// Subscriptions of one connection to it.
pub const RELAY_SERVER_SUBSCRIPTIONS_MAX: usize = 1024;
/// How long one write of it to a connection may take.
pub const RELAY_SERVER_WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of streams that it keeps in memory; ours are all files.
pub const RELAY_SERVER_MEMORY_STORE_BYTES: u64 = 16 << 20;
/// Answers that a node may give to one request, and for how long.
pub const RELAY_ANSWERS_PER_REQUEST_MAX: u32 = 1;
/// As [`RELAY_ANSWERS_PER_REQUEST_MAX`].
pub const RELAY_ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// How often each end of a connection asks for a sign of life; after two without an answer it is cut.
pub const RELAY_PING_INTERVAL: Duration = Duration::from_secs(3);
/// Time that one attempt to connect may take, TLS and log-in included.
pub const RELAY_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// First and largest pause between attempts to connect (full jitter below it, never under the floor).
pub const BACKOFF_RELAY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// Shortest pause between two attempts to connect.
pub const RELAY_RETRY_FLOOR: Duration = Duration::from_millis(100);
/// Commands waiting for the connection's writer; whoever comes later waits, and gives up after a while.
pub const RELAY_SEND_QUEUE_MAX: usize = 256;
/// Messages that may be on their way to the stream without an acknowledgement.
pub const RELAY_PUBLISHES_UNDER_WAY_MAX: usize = 256;
/// Time that the acknowledgement of one may take.
pub const RELAY_PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that the connection's writer may take to accept a message.
pub const RELAY_SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages of one subscription that nobody took yet; later ones are dropped and counted.
pub const RELAY_SUBSCRIPTION_MESSAGES_MAX: usize = 1024;
/// Their bytes.
pub const RELAY_SUBSCRIPTION_BYTES_MAX: usize = 8 << 20;
/// Messages of one subscription that came in one burst and that the link did not sort yet: it does nothing else, so that
/// this is room for a busy moment.
pub const RELAY_CLIENT_QUEUE_MAX: usize = 8192;
/// Bounds of what the stream of upward frames may take on disk, in MiB.
pub const RELAY_STREAM_MIB: (u64, u64) = (16, 1 << 20);
/// That size, overridden by the configuration: 18 sub-centres for far more than a day.
pub const RELAY_STREAM_BYTES_DEFAULT: u64 = 4 << 30;
/// Messages that the stream keeps of one sender, several windows of it; beyond them the sender is refused, and nobody else.
pub const RELAY_STREAM_MESSAGES_PER_NODE_MAX: u64 = 4096;
/// How long the stream knows a Msg-Id again.
pub const RELAY_DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Time that the centre may take to acknowledge a frame before it comes again.
pub const RELAY_ACK_WAIT: Duration = Duration::from_secs(10);
/// Frames of one sender that the centre may have without having acknowledged them: all that the stream keeps of it, because
/// those that wait for a missing one count, and the missing one must come through all the same.
pub const RELAY_ACKS_PENDING_MAX: usize = 4096;
/// Frames of one batch of one sender.
pub const RELAY_FETCH_MAX: usize = 256;
/// Bytes after which a batch takes no further frame; as much is asked for of each sender ahead.
pub const RELAY_FETCH_BYTES_MAX: usize = 2 << 20;
/// NATS servers of one centre, and servers that a node knows of its centre.
pub const RELAY_SERVERS_MAX: usize = 8;
/// Replicas of the stream.
pub const RELAY_REPLICAS: (u64, u64) = (1, 5);
/// Bounds of the records that a node keeps for its centre.
pub const RELAY_BACKLOG_RECORDS: (u64, u64) = (1000, 100_000_000);
/// Those records, overridden by the configuration: seven days of a sub-centre with 11 state changes a second.
pub const RELAY_BACKLOG_RECORDS_DEFAULT: u64 = 7_000_000;
/// Bounds of their bytes, in MiB.
pub const RELAY_BACKLOG_MIB: (u64, u64) = (16, 1 << 20);
/// Those bytes, overridden by the configuration.
pub const RELAY_BACKLOG_BYTES_DEFAULT: u64 = 8 << 30;
/// Bytes of one value of a bucket.
pub const RELAY_BUCKET_VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of one bucket.
pub const RELAY_BUCKET_BYTES_MAX: u64 = 64 << 20;
/// How often a node says to its centre that it is there.
pub const RELAY_PRESENCE_INTERVAL: Duration = Duration::from_secs(2);
/// Silence of a node after which it is late, and after which it is gone.
pub const RELAY_PRESENCE_SILENCE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(15));
/// Bytes of one word of a node that it is there.
pub const RELAY_PRESENCE_BYTES_MAX: usize = 4 << 10;
/// Batches of frames that wait for the centre's receiver; who reads more waits.
pub const RELAY_DELIVERED_BATCHES_MAX: usize = 64;
/// Live alarms of nodes below that wait for the sender of this node; later ones are dropped and counted.
pub const RELAY_BELOW_MAX: usize = 256;
/// What a sender or receiver hears before it acts once.
pub const RELAY_HEARD_MAX: usize = 256;
/// Pause before something of the relay that failed is tried again.
pub const RELAY_AGAIN_PAUSE: Duration = Duration::from_secs(2);
/// How often a sender looks at its journal although nobody told it of anything new.
pub const RELAY_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often a centre looks at its stream, its certificate and its nodes' silence for its page and metrics.
pub const RELAY_TELL_INTERVAL: Duration = Duration::from_millis(500);
/// How often a centre looks whether its certificates have to be made anew.
pub const RELAY_CERTIFICATE_LOOK: Duration = Duration::from_secs(86_400);
/// Time that a centre has to answer an enrolment.
pub const RELAY_ENROL_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of the answer to an enrolment.
pub const RELAY_ENROL_BYTES_MAX: usize = 64 << 10;
/// Servers that are told to read their configuration again, and how long their answers may take.
pub const RELAY_RELOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of the line that begins a call of a node's API, or a part of its answer.
pub const RELAY_CALL_LINE_BYTES_MAX: usize = 16 << 10;
/// Bytes of a body in one message of a call; a line and this are less than a message may have.
pub const RELAY_CALL_BYTES_MAX: usize = 256 << 10;
/// Calls of its centre that a node serves at once; what comes then is refused.
pub const RELAY_CALLS_MAX: usize = 96;
/// Parts of one answer that a centre asks for ahead.
pub const RELAY_CALL_AHEAD: usize = 2;
/// How long the head of an answer waits for the first bytes of its body.
pub const RELAY_CALL_HEAD_WAIT: Duration = Duration::from_millis(200);
/// How long a part may wait for something to send before it goes empty.
pub const RELAY_CALL_PART_WAIT: Duration = Duration::from_secs(5);
/// How long a node keeps an answer of which nobody asks for more.
pub const RELAY_CALL_IDLE_MAX: Duration = Duration::from_secs(15);
/// How long the answer to a question for a part may take.
pub const RELAY_CALL_PART_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the head of an answer may take, where the caller says nothing else.
pub const RELAY_CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the places and cameras that a centre writes for one node: with its frame they fit into one journal record.
pub const RELAY_CONFIG_BYTES_MAX: usize = 192 << 10;
/// Bytes of the journal record that carries them: less than a record may have.
pub const RELAY_CONFIG_RECORD_BYTES_MAX: usize = 248 << 10;
/// Versions of one node's configuration that a centre keeps; after these the node's own file is to be edited.
pub const RELAY_CONFIG_VERSIONS_MAX: usize = 10_000;
/// Refusals of one version that are kept and shown; more are counted.
pub const RELAY_CONFIG_FAULTS_MAX: usize = 50;
/// Characters of each text of one of them.
pub const RELAY_CONFIG_FAULT_CHARS_MAX: usize = 300;
/// Time that a node has to check a configuration and take it into use.
pub const RELAY_CONFIG_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before a configuration that a node did not answer goes to it again.
pub const RELAY_CONFIG_AGAIN: Duration = Duration::from_secs(5);
/// How often a centre looks whether a node lacks its configuration.
pub const RELAY_CONFIG_LOOK: Duration = Duration::from_secs(1);
/// Nodes that get their configuration at the same time.
pub const RELAY_CONFIG_SENDS_MAX: usize = 8;
/// Bytes of a node's answer about its configuration.
pub const RELAY_CONFIG_ANSWER_BYTES_MAX: usize = 512 << 10;
