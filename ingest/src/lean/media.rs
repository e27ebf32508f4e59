//! What a lean session was set up with.

use std::num::NonZeroU16;

use fengsui_storage::frame::VideoCodec;

/// The tracks of a session that is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The video track.
    pub video: VideoMedia,
    /// The audio track, when there is a supported one.
    pub audio: Option<AudioMedia>,
}

/// The video track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoMedia {
    /// H.264 or H.265.
    pub codec: VideoCodec,
    /// Interleaved channel of RTP; RTCP has the next one.
    pub channel: u8,
    /// Format parameters as the description has them (`a=fmtp`, without the payload type).
    pub format: Option<String>,
}

/// The audio track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioMedia {
    /// Name of the coding in lower case: `pcma`, `pcmu` or `mpeg4-generic`.
    pub encoding: String,
    /// Interleaved channel of RTP; RTCP has the next one.
    pub channel: u8,
    /// Samples a second.
    pub clock_rate: u32,
    /// Channels of sound, when the description tells.
    pub channels: Option<NonZeroU16>,
    /// Format parameters as the description has them (`a=fmtp`, without the payload type).
    pub format: Option<String>,
}
