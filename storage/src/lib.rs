//! What outlives the moment: frames, hub, segments, catalogue, gaps, journal. No sockets, no RTSP, no HTTP.

pub mod board;
pub mod frame;
pub mod hub;
