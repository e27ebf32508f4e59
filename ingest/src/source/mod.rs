//! Where access units come from: an open session with a device, whatever client library speaks to it.

#[cfg(feature = "gst")]
mod codec_string;
#[cfg(feature = "gst")]
mod gst;
mod rtsp;
mod rtsp_error;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fengsui_storage::frame::{AudioParams, Track, VideoParams};
use futures::future::BoxFuture;

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
}

/// Opens sessions.
pub trait Opener: Send + Sync + 'static {
    /// Connects, authenticates, and asks the device to play. The caller bounds the time by dropping the future.
    fn open(&self, target: Target) -> BoxFuture<'static, Result<Box<dyn Source>, Failure>>;

    /// Waits until the goodbyes of dropped sessions are through; the caller bounds the time.
    fn settle(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The openers of the product: `rtsp://` by retina, `rtsps://` by GStreamer.
///
/// retina answers one challenge a session. Devices whose nonces hold for a request or two accept the credentials at
/// DESCRIBE and refuse them at SETUP; they are opened by GStreamer, which answers every challenge.
pub struct Openers {
    rtsp: rtsp::RtspOpener,
    /// Devices found to be of that kind; at most one entry for each configured device.
    #[cfg(feature = "gst")]
    fickle: Arc<parking_lot::Mutex<std::collections::BTreeSet<String>>>,
}

impl Openers {
    /// All openers this build has.
    #[must_use]
    pub fn shared() -> Arc<dyn Opener> {
        Arc::new(Self {
            rtsp: rtsp::RtspOpener::default(),
            #[cfg(feature = "gst")]
            fickle: Arc::default(),
        })
    }
}

#[cfg(feature = "gst")]
impl Opener for Openers {
    fn open(&self, target: Target) -> BoxFuture<'static, Result<Box<dyn Source>, Failure>> {
        let device = target.device();
        if target.url.scheme() == "rtsps" || self.fickle.lock().contains(&device) {
            return gst::open(target);
        }
        let (fickle, first) = (self.fickle.clone(), self.rtsp.open_or_explain(target.clone()));
        Box::pin(async move {
            match first.await {
                Ok(source) => Ok(source),
                Err(rtsp::Refusal { fickle: true, failure }) => {
                    tracing::info!(device, detail = %failure, "one-time nonces: the device is opened by GStreamer");
                    fickle.lock().insert(device);
                    gst::open(target).await
                }
                Err(refusal) => Err(refusal.failure),
            }
        })
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        self.rtsp.settle()
    }
}

#[cfg(not(feature = "gst"))]
impl Opener for Openers {
    fn open(&self, target: Target) -> BoxFuture<'static, Result<Box<dyn Source>, Failure>> {
        if target.url.scheme() != "rtsps" {
            let opening = self.rtsp.open_or_explain(target);
            return Box::pin(async move { opening.await.map_err(|refusal| refusal.failure) });
        }
        Box::pin(std::future::ready(Err(Failure::new(
            fengsui_storage::board::FailureClass::Unsupported,
            "This build has no RTSPS: it was made without the feature gst.",
        ))))
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        self.rtsp.settle()
    }
}
