//! What outlives the moment: frames, hub, segments, catalogue, gaps, journal. No sockets, no RTSP, no HTTP.

pub mod board;
pub mod error;
pub mod frame;
pub mod fs;
pub mod fsck;
pub mod hub;
pub mod playback;
pub mod segment;
