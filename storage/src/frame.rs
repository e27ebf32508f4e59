//! What a camera sends, as the rest of the system sees it: stream parameters and access units.

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;
use serde::{Deserialize, Serialize};

/// Video coding of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// ITU-T H.264; data are NAL units with 4-byte big-endian lengths.
    H264,
    /// ITU-T H.265; data are NAL units with 4-byte big-endian lengths.
    H265,
    /// Motion JPEG; data are whole JPEG images.
    Mjpeg,
}

/// Audio coding of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioCodec {
    /// MPEG-4 AAC, raw access units.
    Aac,
    /// G.711 A-law, one byte a sample.
    Pcma,
    /// G.711 mu-law, one byte a sample.
    Pcmu,
}

/// Parameters of a video track. Two streams with equal parameters may share one init segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoParams {
    /// Coding.
    pub codec: VideoCodec,
    /// Coded width in pixels; 0 when unknown.
    pub width: u16,
    /// Coded height in pixels; 0 when unknown.
    pub height: u16,
    /// Contents of the `avcC` or `hvcC` box (ISO/IEC 14496-15); empty for MJPEG.
    pub extra: Bytes,
    /// Codec string for browsers (RFC 6381), for example `avc1.64001F`.
    pub rfc6381: String,
}

/// Ticks a second of every video track (RTP clock of video, RFC 3551).
pub const VIDEO_TIMESCALE: u32 = 90_000;

/// Parameters of an audio track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioParams {
    /// Coding.
    pub codec: AudioCodec,
    /// Samples a second; also the track's ticks a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u16,
    /// `AudioSpecificConfig` of AAC (ISO/IEC 14496-3); empty for G.711.
    pub extra: Bytes,
}

/// Why a run of access units begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartReason {
    /// A new session with the camera.
    Connected,
    /// Codec or parameter sets changed within a session.
    ParametersChanged,
    /// Camera or node clock jumped by more than `limits::CLOCK_STEP_MIN`.
    ClockStep,
    /// The segment before reached its time or size.
    Rotation,
}

/// Parameters of one uninterrupted run of access units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Video track, if there is one.
    pub video: Option<VideoParams>,
    /// Audio track, if there is one.
    pub audio: Option<AudioParams>,
    /// Why the run begins.
    pub start: StartReason,
}

/// Which track an access unit belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Track {
    /// The video track.
    Video,
    /// The audio track.
    Audio,
}

/// One coded picture, or one run of audio samples, exactly as the camera sent it.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// Track.
    pub track: Track,
    /// A decoder can start here (H.264 IDR; H.265 IDR, BLA, CRA; every JPEG; every audio unit).
    pub key: bool,
    /// Presentation time in ticks of the track, unwrapped, 0 at the first unit of the run; may step back with B-frames.
    pub pts: i64,
    /// The same moment on the node's clock: the time base of segments, timeline and live.
    pub utc: UtcMicros,
    /// The same moment on the camera's clock by RTCP sender report, when there is one.
    pub camera_utc: Option<UtcMicros>,
    /// When the last packet of this unit arrived, on the node's clock.
    pub arrived: UtcMicros,
    /// RTP packets known to be lost directly before this unit.
    pub lost_before: u32,
    /// Coded bytes in the form named by the codec.
    pub data: Bytes,
}

/// Why nothing was recorded for a time. The texts are part of the catalogue format and of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum GapReason {
    /// The camera did not answer, or closed the connection.
    CameraOffline = 1,
    /// The camera refused the credentials.
    Auth = 2,
    /// The connection lived but nothing (or too little) came through.
    Network = 3,
    /// The node was not running.
    NodeDown = 4,
    /// A volume failed.
    DiskError = 5,
    /// No volume had room.
    DiskFull = 6,
    /// Volumes were too slow and the memory budget was used up.
    Backpressure = 7,
    /// Recording was not wanted.
    Policy = 8,
    /// The wall clock was set forward.
    ClockStep = 9,
    /// Bytes that had not reached the disk when the node died.
    CrashTail = 10,
    /// Deleted at the end of its time.
    Expired = 11,
    /// What the camera sent could not be understood (bad data, unknown codec).
    BadStream = 12,
    /// Pictures arrived, but no key frame a decoder could start at.
    NoKeyFrame = 13,
    /// Stored bytes were damaged and are in quarantine.
    Damaged = 14,
    /// Deleted before the end of its promised time, because a disk was full and the policy for emergencies says so.
    Sacrificed = 15,
}
