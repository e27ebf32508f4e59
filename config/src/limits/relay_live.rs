//! Bounds of live pictures that come from other nodes.

use std::time::Duration;

/// What live pictures of one node may take of the line to it, in Mbit/s.
pub const RELAY_LINK_MBIT: (u64, u64) = (1, 10_000);
/// That, where the configuration says nothing else.
pub const RELAY_LINK_MBIT_DEFAULT: u64 = 20;
/// What a main stream is reckoned with before it was measured, in bits a second.
pub const RELAY_LIVE_MAIN_BITS: u64 = 4_000_000;
/// What a sub-stream is reckoned with before it was measured, in bits a second.
pub const RELAY_LIVE_SUB_BITS: u64 = 768_000;
/// A measured stream counts at least for its first reckoning divided by this: a still picture will move again.
pub const RELAY_LIVE_BITS_FLOOR_DIVISOR: u64 = 4;
/// Over how long a stream is measured.
pub const RELAY_LIVE_METER: Duration = Duration::from_secs(5);
/// How long a stream of another node goes on after its last viewer left: walls turn pages.
pub const RELAY_LIVE_LINGER: Duration = Duration::from_secs(5);
/// How long a stream that lost its place is not given one again.
pub const RELAY_LIVE_HOLD: Duration = Duration::from_secs(10);
/// Pause before a stream of another node is asked for again: at first, and at most.
pub const RELAY_LIVE_RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// A stream of another node that came for this long begins again with the first pause.
pub const RELAY_LIVE_STEADY: Duration = Duration::from_secs(10);
/// How long a node that has no picture to send waits before it says that it is there.
pub const RELAY_LIVE_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// How often a node looks at a camera that does not play, to tell its centre.
pub const RELAY_LIVE_LOOK: Duration = Duration::from_millis(200);
/// Silence after which a centre takes a stream for broken: a full part takes some time on a narrow line.
pub const RELAY_LIVE_SILENCE_MAX: Duration = Duration::from_secs(6);
/// How often a centre looks at its streams of other nodes while there are any.
pub const RELAY_LIVE_TICK: Duration = Duration::from_millis(500);
/// Bytes of parameters or words about a stream in one frame.
pub const RELAY_LIVE_WORDS_BYTES_MAX: usize = 64 << 10;
/// Streams of one node whose measured rate is remembered.
pub const RELAY_LIVE_RATES_MAX: usize = 4_096;
