//! Where access units come from: an open session with a device, whatever client library speaks to it.

#[cfg(feature = "gst")]
mod codec_string;
#[cfg(feature = "gst")]
mod gst;
mod openers;
mod rtsp;
pub(crate) mod rtsp_error;
#[cfg(test)]
pub(crate) mod scripted;
mod tempo;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fengsui_storage::frame::{AudioParams, Track, VideoParams};
use futures::future::BoxFuture;

pub use self::openers::Openers;
pub(crate) use self::tempo::Counted;
pub use self::tempo::{Kind, Sessions, Tempo};
use crate::failure::Failure;
use crate::spec::Target;

/// One thing that a session delivers.
#[derive(Debug, Clone)]
pub enum SourceItem {
    /// The tracks of the session, complete; comes before the first unit they apply to, and again when they change.
    Tracks {
        /// Video, when its parameters are known.
        video: Option<VideoParams>,
        /// Audio, when there is some and it is supported.
        audio: Option<AudioParams>,
    },
    /// One access unit.
    Unit(SourceUnit),
    /// An RTCP sender report.
    SenderReport {
        /// Track it is about.
        track: Track,
        /// NTP time of the camera, 32.32 fixed point.
        ntp: u64,
        /// The same moment as a time stamp of the track, unwrapped.
        raw_pts: i64,
    },
    /// A packet was unusable; the session goes on.
    BadPacket,
}

/// One access unit as a session delivers it.
#[derive(Debug, Clone)]
pub struct SourceUnit {
    /// Track.
    pub track: Track,
    /// Time stamp in ticks of the track, unwrapped, from any start.
    pub raw_pts: i64,
    /// Packets known to be lost directly before it.
    pub lost_before: u32,
    /// Coded bytes, in the form that `storage::frame` names for the codec.
    pub data: Bytes,
}

/// An open session. Dropping it says goodbye to the device in the background.
pub trait Source: Send {
    /// The next item, or why the session ended. After a failure it is not polled again.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<SourceItem, Failure>>;

    /// Somebody watches the stream live from now on, or nobody any more: how late pictures may come. Said again at
    /// will.
    fn hurry(&mut self, _watched: bool) {}
}

/// Opens sessions.
pub trait Opener: Send + Sync + 'static {
    /// Connects, authenticates, and asks the device to play. The caller bounds the time by dropping the future.
    fn open(&self, target: Target) -> BoxFuture<'static, Result<Box<dyn Source>, Failure>>;

    /// What its sessions need beside their own tasks; polled by the runtime that reads them for as long as that lives.
    fn serve(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    /// What its sessions need of the thread.
    fn tempo(&self) -> Arc<Tempo> {
        Arc::default()
    }

    /// Waits until the goodbyes of dropped sessions are through; the caller bounds the time.
    fn settle(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
