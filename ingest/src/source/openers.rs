//! The openers of the product: who speaks to which device.
//!
//! `rtsp://` goes by the lean path, `rtsps://` by GStreamer. What the lean path does not know goes to retina, and stays
//! there: within the same attempt when no picture had come yet, with the next attempt otherwise.
//!
//! retina answers one challenge a session. Devices whose nonces hold for a request or two accept the credentials at
//! DESCRIBE and refuse them at SETUP; where retina meets one, GStreamer, which answers every challenge, opens it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll};

use fengsui_config::clock::Clock;
use fengsui_config::limits;
use fengsui_config::topology::Transport;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::tempo::{Counted, Kind, Tempo};
use super::{Opener, Source, SourceItem, rtsp};
use crate::failure::Failure;
use crate::lean::{LeanOpener, LeanSource, Stop};
use crate::spec::Target;

/// All openers this build has.
pub struct Openers(Arc<Inner>);

struct Inner {
    lean: Option<LeanOpener>,
    rtsp: rtsp::RtspOpener,
    tempo: Arc<Tempo>,
    /// Addresses whose streams the lean path does not know; at most `limits::RETINA_STREAMS_MAX`.
    unusual: Mutex<BTreeSet<String>>,
    /// Devices with nonces that do not last; at most one entry for each configured device.
    #[cfg(feature = "gst")]
    fickle: Mutex<BTreeSet<String>>,
}

type Opening = BoxFuture<'static, Result<Box<dyn Source>, Failure>>;

impl Openers {
    /// All openers this build has; without `lean`, retina opens everything that it can.
    #[must_use]
    pub fn shared(clock: Arc<dyn Clock>, lean: bool) -> Arc<dyn Opener> {
        let tempo = Arc::<Tempo>::default();
        Arc::new(Self(Arc::new(Inner {
            lean: lean.then(|| LeanOpener::new(clock, tempo.clone())),
            rtsp: rtsp::RtspOpener::default(),
            tempo,
            unusual: Mutex::default(),
            #[cfg(feature = "gst")]
            fickle: Mutex::default(),
        })))
    }
}

impl Opener for Openers {
    fn open(&self, target: Target) -> Opening {
        let inner = self.0.clone();
        if target.url.scheme() == "rtsps" || inner.is_fickle(&target) {
            return inner.gst(target);
        }
        let Some(lean) = inner.lean.as_ref().filter(|_| inner.is_usual(&target)) else {
            return inner.retina(target);
        };
        let opening = lean.open(target.clone());
        Box::pin(async move {
            match opening.await {
                Ok(source) => {
                    Ok(Box::new(Flexible { inner, target, now: Now::Lean(Box::new(source)) })
                        as Box<dyn Source>)
                }
                Err(Stop::Failed(failure)) => Err(failure),
                Err(Stop::Unknown(what)) => {
                    inner.give_up(&target, &what);
                    inner.retina(target).await
                }
            }
        })
    }

    fn serve(&self) -> BoxFuture<'static, ()> {
        match &self.0.lean {
            Some(lean) => lean.run(),
            None => Box::pin(std::future::pending()),
        }
    }

    fn tempo(&self) -> Arc<Tempo> {
        self.0.tempo.clone()
    }

    fn settle(&self) -> BoxFuture<'static, ()> {
        let retina = self.0.rtsp.settle();
        match &self.0.lean {
            Some(lean) => Box::pin(futures::future::join(retina, lean.settle()).map(|((), ())| ())),
            None => retina,
        }
    }
}

impl Inner {
    fn is_usual(&self, target: &Target) -> bool {
        target.transport == Transport::Tcp && !self.unusual.lock().contains(target.url.as_str())
    }

    /// The stream is retina's from now on.
    fn give_up(&self, target: &Target, what: &str) {
        tracing::info!(
            device = target.device(),
            path = target.url.path(),
            what,
            "unusual stream: it is read by retina"
        );
        let mut unusual = self.unusual.lock();
        // A forgotten one is found out again.
        while unusual.len() >= limits::RETINA_STREAMS_MAX {
            unusual.pop_first();
        }
        unusual.insert(target.url.as_str().to_owned());
    }

    fn tallied(&self, kind: Kind, source: Box<dyn Source>) -> Box<dyn Source> {
        Box::new(Tallied { source, counted: self.tempo.count(kind) })
    }

    #[cfg(feature = "gst")]
    fn is_fickle(&self, target: &Target) -> bool {
        self.fickle.lock().contains(&target.device())
    }

    #[cfg(not(feature = "gst"))]
    fn is_fickle(&self, _target: &Target) -> bool {
        false
    }

    #[cfg(feature = "gst")]
    fn gst(self: Arc<Self>, target: Target) -> Opening {
        let opening = super::gst::open(target);
        Box::pin(async move { opening.await.map(|source| self.tallied(Kind::Gstreamer, source)) })
    }

    #[cfg(not(feature = "gst"))]
    fn gst(self: Arc<Self>, _target: Target) -> Opening {
        Box::pin(std::future::ready(Err(Failure::new(
            fengsui_storage::board::FailureClass::Unsupported,
            "This build has no RTSPS: it was made without the feature gst.",
        ))))
    }

    fn retina(self: Arc<Self>, target: Target) -> Opening {
        let first = self.rtsp.open_or_explain(target.clone());
        Box::pin(async move {
            match first.await {
                Ok(source) => Ok(self.tallied(Kind::Retina, source)),
                #[cfg(feature = "gst")]
                Err(rtsp::Refusal { fickle: true, failure }) => {
                    let device = target.device();
                    tracing::info!(device, detail = %failure, "one-time nonces: the device is opened by GStreamer");
                    self.fickle.lock().insert(device);
                    self.gst(target).await
                }
                Err(refusal) => Err(refusal.failure),
            }
        })
    }
}

/// A session that wakes the thread itself.
struct Tallied {
    source: Box<dyn Source>,
    counted: Counted,
}

impl Source for Tallied {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<SourceItem, Failure>> {
        self.source.poll_next(cx)
    }

    fn hurry(&mut self, watched: bool) {
        self.counted.watch(watched);
    }
}

/// A lean session that becomes one of retina's when something unusual comes before the first picture.
struct Flexible {
    inner: Arc<Inner>,
    target: Target,
    now: Now,
}

enum Now {
    Lean(Box<LeanSource>),
    Changing { opening: Opening, watched: bool },
    Retina(Box<dyn Source>),
}

impl Source for Flexible {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<SourceItem, Failure>> {
        loop {
            match &mut self.now {
                Now::Lean(lean) => {
                    let what = match std::task::ready!(lean.poll_item(cx)) {
                        Ok(item) => return Poll::Ready(Ok(item)),
                        Err(Stop::Failed(failure)) => return Poll::Ready(Err(failure)),
                        Err(Stop::Unknown(what)) => what,
                    };
                    self.inner.give_up(&self.target, &what);
                    if lean.played() {
                        return Poll::Ready(Err(Stop::Unknown(what).failure()));
                    }
                    let watched = lean.watched();
                    let opening = self.inner.clone().retina(self.target.clone());
                    self.now = Now::Changing { opening, watched };
                }
                Now::Changing { opening, watched } => {
                    let mut source = std::task::ready!(opening.as_mut().poll(cx))?;
                    source.hurry(*watched);
                    self.now = Now::Retina(source);
                }
                Now::Retina(source) => return source.poll_next(cx),
            }
        }
    }

    fn hurry(&mut self, watched: bool) {
        match &mut self.now {
            Now::Lean(lean) => lean.hurry(watched),
            Now::Changing { watched: later, .. } => *later = watched,
            Now::Retina(source) => source.hurry(watched),
        }
    }
}

#[cfg(test)]
#[path = "openers_tests.rs"]
mod tests;
