//! The lean path: our own reader for the commonest session by far, RTP interleaved in the RTSP connection (RFC 2326
//! section 10.12) with H.264 or H.265. It exists for its cost: whole sweeps of bytes go through a pure parser, each byte
//! is copied once, and nothing is done per packet that can be done per sweep. Whatever it does not know is left to
//! retina, whose results it is held against byte for byte.

mod audio;
mod books;
mod control;
mod describe;
mod dialog;
mod frame;
mod framing;
pub mod media;
mod params;
mod rtp;
mod scratch;
mod source;
mod sweep;
#[cfg(test)]
mod tests;
mod unit;
mod video;
pub mod wire;

use std::sync::Arc;

use fengsui_config::clock::Clock;
use fengsui_storage::board::FailureClass;
use futures::future::BoxFuture;

pub(crate) use self::source::LeanSource;
use self::sweep::Sweeps;
use crate::failure::Failure;
use crate::source::Tempo;
use crate::spec::Target;

/// Why a session was not opened, or ended.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A failure like any other.
    Failed(Failure),
    /// Something that is not known here, in a sentence; retina may know it.
    Unknown(String),
}

impl Stop {
    /// As a failure, for want of another way.
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Unknown(what) => {
                Failure::new(FailureClass::BadData, format!("{what} It is read in another way from now on."))
            }
        }
    }
}

fn unknown(what: &str) -> Stop {
    Stop::Unknown(format!("The device sends {what}."))
}

/// Opens lean sessions.
pub(crate) struct LeanOpener {
    sweeps: Arc<Sweeps>,
    tempo: Arc<Tempo>,
}

impl LeanOpener {
    pub(crate) fn new(clock: Arc<dyn Clock>, tempo: Arc<Tempo>) -> Self {
        Self { sweeps: Sweeps::new(clock, tempo.clone()), tempo }
    }

    /// Opens a session.
    pub(crate) fn open(&self, target: Target) -> BoxFuture<'static, Result<LeanSource, Stop>> {
        let (sweeps, tempo) = (self.sweeps.clone(), self.tempo.clone());
        Box::pin(async move {
            let playing = control::open(&target, sweeps.clone()).await?;
            Ok(LeanSource::new(playing, &sweeps, &tempo))
        })
    }

    /// Calls the sessions to be read; without it nothing is.
    pub(crate) fn run(&self) -> BoxFuture<'static, ()> {
        Box::pin(self.sweeps.clone().run())
    }

    /// Waits until dropped sessions have said goodbye.
    pub(crate) fn settle(&self) -> BoxFuture<'static, ()> {
        let sweeps = self.sweeps.clone();
        Box::pin(async move { sweeps.settle().await })
    }
}
