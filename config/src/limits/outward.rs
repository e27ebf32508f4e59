//! Bounds of what goes to other systems: webhooks and the stream of CloudEvents.

use std::time::Duration;

/// Webhooks of one node.
pub const WEBHOOKS_MAX: usize = 16;
/// Kinds that one webhook may name.
pub const WEBHOOK_KINDS_MAX: usize = 64;
/// Bytes of a webhook's secret, least and most.
pub const WEBHOOK_SECRET_BYTES: (usize, usize) = (16, 256);
/// Bytes of one event on its way out; a longer one goes without its data.
pub const WEBHOOK_BODY_BYTES_MAX: usize = 64 << 10;
/// How long a receiver may take to answer one event.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a receiver's answer that are read; the rest is of no use.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 4096;
/// Records that a webhook reads from the journal at once; what waits beyond them waits on the disk.
pub const WEBHOOK_BATCH_MAX: usize = 64;
/// First and longest pause between two attempts at one event.
pub const WEBHOOK_BACKOFF: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3600));
/// Attempts at one event after which it is a dead letter.
pub const WEBHOOK_ATTEMPTS_MAX: u32 = 40;
/// Attempts at one event that a receiver refuses (an answer 4xx) after which it is a dead letter: it will not be taken later.
pub const WEBHOOK_REFUSALS_MAX: u32 = 6;
/// How often a webhook looks into the journal when nobody tells it that something is there.
pub const WEBHOOK_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Age of the first attempt at one event after which it is a dead letter.
pub const WEBHOOK_GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Dead letters of one webhook that are listed; all are in the journal.
pub const WEBHOOK_DEAD_LISTED_MAX: usize = 100;
/// Characters of a receiver's or the network's words that are kept.
pub const WEBHOOK_DETAIL_CHARS_MAX: usize = 240;
/// Streams of CloudEvents that may be open at once.
pub const DUTY_STREAMS_MAX: usize = 64;
/// Acts that the streams can catch up with; who is further behind reads lists anew.
pub const DUTY_STREAM_KEPT_MAX: usize = 4096;
/// Characters of a hand-over's note.
pub const SHIFT_NOTE_CHARS_MAX: usize = 4000;
