//! From the bytes of a playing session to what it delivers. Pure: no sockets, no time.

use std::collections::VecDeque;

use bytes::Bytes;

use super::media::Media;
use crate::source::SourceItem;

/// One thing found in the bytes of a session.
#[derive(Debug, Clone)]
pub enum WireItem {
    /// What the session delivers.
    Source(SourceItem),
    /// A whole RTSP message of the device between the packets: an answer to a sign of life, or a request of its own.
    Message(Bytes),
}

/// Why the bytes cannot be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Legal, but not known here; retina may know it.
    #[error("{0}")]
    Unknown(String),
    /// Not a session at all any more.
    #[error("{0}")]
    Broken(String),
}

/// Parser and depacketiser of one session.
#[derive(Debug)]
pub struct Wire {}

impl Wire {
    /// A parser for a session that begins to play.
    ///
    /// # Errors
    /// [`Trouble::Unknown`] when `media` needs something that is not known here.
    pub fn new(_media: &Media) -> Result<Self, Trouble> {
        Ok(Self {})
    }

    /// Takes the next bytes of the connection, split anywhere.
    ///
    /// # Errors
    /// The session is over; [`Trouble`] tells whether retina is to be asked.
    pub fn take(&mut self, _bytes: &[u8], _out: &mut VecDeque<WireItem>) -> Result<(), Trouble> {
        Ok(())
    }
}
