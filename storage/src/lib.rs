//! What outlives the moment: frames, hub, segments, catalogue, gaps, journal. No sockets, no RTSP, no HTTP.

pub mod archive;
pub mod backfill;
pub mod board;
pub mod catalogue;
#[cfg(test)]
mod crash_states;
pub mod damage;
pub mod error;
pub mod facets;
// The form of a figure is the test kit's; campaigns that need what is private here print theirs in the same one.
#[cfg(test)]
#[path = "../../tests/src/figure.rs"]
mod figure;
pub mod frame;
pub mod fs;
pub mod fsck;
pub mod gaps;
pub mod hub;
pub mod journal;
#[cfg(feature = "ffmpeg")]
pub mod picture;
pub mod playback;
pub mod recorder;
pub mod retention;
pub mod scrub;
pub mod segment;
pub mod volume;
