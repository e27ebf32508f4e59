//! The link between a node and its centre: opaque bytes on subjects, and acknowledgements. What the bytes mean is for
//! others; they use [`Link`], whose one real form is [`NatsLink`], a thin driver over NATS.
//!
//! Bounded everywhere, and what is dropped is counted ([`LinkCounters`]): a message waits for the connection's writer a
//! fixed time, at most `limits::RELAY_PUBLISHES_UNDER_WAY_MAX` wait for the stream's acknowledgement, and a subscription
//! holds a number of messages and bytes. While there is no connection nothing is queued: [`LinkError::Down`] at once.
//!
//! A stream's acknowledgement means that a server has the message on its disk, and no more: whoever must know that the
//! centre has it waits for the centre's own word.

mod bucket;
mod frames;
mod nats;
mod reload;
mod settings;
pub mod subjects;
mod subscription;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;

pub use bucket::{Bucket, BucketSettings, Entry};
pub use frames::{Delivery, Frames};
pub use nats::{LinkOptions, NatsLink, reconnect_pause};
pub use reload::{Reloaded, reload};
pub use settings::{Change, ConsumerSettings, Plan, StreamSettings};
pub use subscription::{Incoming, Subscription};

/// What becomes of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// There was none yet.
    Connecting {
        /// What the last attempt met, if one was made.
        why: Option<String>,
    },
    /// It is there. Each new one has a higher number: what was under way on an earlier one may be lost.
    Up {
        /// The number, from 1.
        session: u64,
    },
    /// It is gone; attempts go on.
    Down {
        /// What it, or the last attempt, met.
        why: String,
    },
    /// It was closed by its owner.
    Closed,
}

impl LinkState {
    /// The number of the connection that is there.
    #[must_use]
    pub fn session(&self) -> Option<u64> {
        if let Self::Up { session } = self { Some(*session) } else { None }
    }
}

/// Why something did not go through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is no connection.
    #[error("there is no connection to the centre's servers")]
    Down,
    /// The connection broke before the answer: it may or may not have arrived.
    #[error("the connection broke before the answer")]
    Lost,
    /// No answer in time: it may or may not have arrived.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Too much is under way already.
    #[error("too many messages are under way")]
    Busy,
    /// Nobody listens on the subject, or there is no stream for it.
    #[error("nobody takes messages on {0}")]
    Nobody(String),
    /// The stream has all that it may keep of this sender, or of all.
    #[error("the stream is full: {0}")]
    Full(String),
    /// The message is larger than the server or `limits::RELAY_PAYLOAD_BYTES_MAX` allows.
    #[error("the message has {0} bytes, at most {1}")]
    TooLarge(usize, usize),
    /// An answer was to go to a subject that is not the asker's own inbox.
    #[error("{0} is not the inbox of who asked")]
    ForeignInbox(String),
    /// The entry was changed by somebody else.
    #[error("the entry has another revision by now")]
    Changed,
    /// A setting of the server differs and cannot be changed without loss.
    #[error(
        "{what} is {have} at the server and {want} here, which cannot be changed without losing messages; {remedy}"
    )]
    Settings {
        /// The setting.
        what: &'static str,
        /// What the server has.
        have: String,
        /// What is wanted.
        want: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The server refuses.
    #[error("the server refuses: {0}")]
    Refused(String),
}

/// A message for the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Subject.
    pub subject: String,
    /// Msg-Id: a second message of the same within `limits::RELAY_DUPLICATE_WINDOW` is not stored again.
    pub id: String,
    /// Bytes.
    pub payload: Bytes,
}

/// The stream has a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its number in the stream.
    pub sequence: u64,
    /// It was there already.
    pub duplicate: bool,
}

/// The acknowledgement to come of a message that is on its way.
pub type Acknowledgement = BoxFuture<'static, Result<Stored, LinkError>>;

/// What a link counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Connections made.
    pub connects: u64,
    /// Messages sent into the stream.
    pub published: u64,
    /// Acknowledged by the stream.
    pub acknowledged: u64,
    /// Not acknowledged: refused, timed out or lost.
    pub unacknowledged: u64,
    /// Messages sent beside the stream.
    pub told: u64,
    /// Messages refused to be sent: no connection, or too many under way.
    pub refused: u64,
    /// Messages received by subscriptions.
    pub received: u64,
    /// Of these dropped because nobody took them in time.
    pub dropped: u64,
    /// Bytes of the dropped.
    pub dropped_bytes: u64,
    /// Drops in the driver below, before they were counted as received; at least so many.
    pub dropped_below: u64,
    /// Answers not given because they were to go to somebody else's subject.
    pub foreign_inboxes: u64,
    /// Refusals of the server (permissions and others).
    pub server_errors: u64,
}

/// A connection to a centre's servers, over which a node (or the centre itself) speaks.
pub trait Link: Send + Sync + 'static {
    /// The state, and every change of it.
    fn state(&self) -> watch::Receiver<LinkState>;

    /// What was counted.
    fn counters(&self) -> LinkCounters;

    /// Sends a message into the stream. Ready when it is on its way behind those sent before; the acknowledgement comes
    /// later. Waits while too many are under way.
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Acknowledgement, LinkError>>;

    /// Sends a message to whoever listens; nobody acknowledges it.
    fn tell<'a>(&'a self, subject: &'a str, payload: Bytes) -> BoxFuture<'a, Result<(), LinkError>>;

    /// Asks, and waits for one answer at most until the deadline.
    fn ask<'a>(
        &'a self,
        subject: &'a str,
        payload: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Bytes, LinkError>>;

    /// Answers a message that asked; nothing happens when it did not.
    fn answer<'a>(&'a self, asked: &'a Incoming, payload: Bytes) -> BoxFuture<'a, Result<(), LinkError>>;

    /// Listens on a subject, across connections, until the subscription is dropped.
    fn subscribe<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Subscription, LinkError>>;
}
