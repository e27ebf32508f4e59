//! The lean path: our own reader for the commonest session by far, RTP interleaved in the RTSP connection (RFC 2326
//! section 10.12) with H.264 or H.265. It exists for its cost: whole sweeps of bytes go through a pure parser, each byte
//! is copied once, and nothing is done per packet that can be done per sweep. Whatever it does not know is left to
//! retina, whose results it is held against byte for byte.

mod audio;
mod books;
mod frame;
pub mod media;
mod params;
mod rtp;
mod unit;
mod video;
pub mod wire;
