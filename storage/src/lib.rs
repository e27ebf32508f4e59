//! What outlives the moment: frames, hub, segments, catalogue, gaps, journal. No sockets, no RTSP, no HTTP.

pub mod archive;
pub mod board;
pub mod catalogue;
pub mod damage;
pub mod error;
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
pub mod scrub;
pub mod segment;
pub mod volume;
