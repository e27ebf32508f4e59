//! Bounds of nodes that record in place of others.

use std::time::Duration;

/// Silence of a node after which others take its cameras over. With the decision, the order and the opening of the cameras
/// it leaves them recorded elsewhere within 15 s.
pub const STANDBY_SILENCE: Duration = Duration::from_secs(8);
/// How long a centre must have heard before it takes a silent node for gone: nodes may need as long to come back after the
/// servers were away.
pub const STANDBY_SETTLE: Duration = Duration::from_secs(15);
/// How long a node must be back and record before its cameras are left to it again.
pub const STANDBY_BACK: Duration = Duration::from_secs(30);
/// Of a node that is back, the part of the cameras that play which must reach the disk, in percent.
pub const STANDBY_BACK_PERCENT: usize = 90;
/// How often a lease is read again that nobody here wants to change.
pub const STANDBY_READ_INTERVAL: Duration = Duration::from_secs(30);
/// How old what was read of a lease may be when a decision is built on it.
pub const STANDBY_FRESH: Duration = Duration::from_secs(1);
/// Pause after a reading or writing of a lease that failed.
pub const STANDBY_READ_AGAIN: Duration = Duration::from_secs(1);
/// Pause before a node is told again what it did not take.
pub const STANDBY_TELL_AGAIN: Duration = Duration::from_secs(2);
/// How often a centre looks at who is silent and who is back.
pub const STANDBY_LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a node may take to answer an order to record in place of another.
pub const STANDBY_TELL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may take to answer about a lease.
pub const STANDBY_LEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a segment that is brought back to its owner: a segment and its footer.
pub const BACKFILL_SEGMENT_BYTES_MAX: u64 = super::SEGMENT_BYTES_MAX + (16 << 20);
/// Bytes of one piece of it.
pub const BACKFILL_PIECE_BYTES: usize = 256 << 10;
/// Bytes a second that a centre brings back in all, so that live pictures and alarms have the line.
pub const BACKFILL_BYTES_PER_S: u64 = 2 << 20;
/// Owners to which a centre brings footage back at a time.
pub const BACKFILL_OWNERS_MAX: usize = 4;
/// How far back a centre looks for footage that an owner lacks.
pub const BACKFILL_REACH: Duration = Duration::from_secs(7 * 86_400);
/// Age of a segment from which on a part of it is finished by nobody: a day more than [`BACKFILL_REACH`], because clocks differ
/// and what begins before the reach may end within it.
pub const BACKFILL_PART_AGE_MAX: Duration = Duration::from_secs(8 * 86_400);
/// How often it looks although nothing was given back.
pub const BACKFILL_INTERVAL: Duration = Duration::from_secs(3600);
/// Pause before it looks again after something was not brought back yet.
pub const BACKFILL_AGAIN: Duration = Duration::from_secs(15);
/// Times in a row that it looks so soon.
pub const BACKFILL_AGAIN_MAX: u32 = 8;
/// An owner's gap that is shorter is not filled: what the other node has begins and ends at pictures of its own.
pub const BACKFILL_GAP_MIN: Duration = Duration::from_secs(2);
/// How long a node may take to answer about one piece; the last one makes it read the whole file.
pub const BACKFILL_TIMEOUT: Duration = Duration::from_secs(30);
/// Nodes that a node may record for, those given back included: their revisions are remembered.
pub const STANDBY_OWNERS_MAX: usize = 512;
