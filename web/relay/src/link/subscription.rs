//! What was received and not taken yet: bounded in number and bytes, newest dropped, every drop counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fengsui_config::limits;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::nats::Counters;

/// A message received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Subject.
    pub subject: String,
    /// Bytes.
    pub payload: Bytes,
    /// Where the answer is to go, if one is asked for.
    pub reply: Option<String>,
}

/// Messages of one subject, in the order of the server.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<Incoming>,
    bytes: Arc<AtomicUsize>,
    _stop: DropGuard,
}

/// The other end: takes in what comes and never waits.
pub(super) struct Intake {
    messages: mpsc::Sender<Incoming>,
    bytes: Arc<AtomicUsize>,
    counters: Arc<Counters>,
    /// Set when the subscription is dropped.
    pub stop: CancellationToken,
}

/// Both ends of a new subscription.
pub(super) fn channel(counters: Arc<Counters>, stop: CancellationToken) -> (Intake, Subscription) {
    let (sender, messages) = mpsc::channel(limits::RELAY_SUBSCRIPTION_MESSAGES_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    let intake = Intake { messages: sender, bytes: bytes.clone(), counters, stop: stop.clone() };
    (intake, Subscription { messages, bytes, _stop: stop.drop_guard() })
}

impl Intake {
    /// Takes a message in, or drops it.
    pub fn put(&self, message: Incoming) {
        let length = message.payload.len();
        self.counters.received.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(length, Ordering::SeqCst);
        let fits = held + length <= limits::RELAY_SUBSCRIPTION_BYTES_MAX;
        if fits && self.messages.try_send(message).is_ok() {
            return;
        }
        self.bytes.fetch_sub(length, Ordering::SeqCst);
        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        self.counters.dropped_bytes.fetch_add(length as u64, Ordering::Relaxed);
    }
}

impl Subscription {
    /// The next message; `None` when the link was closed.
    pub async fn next(&mut self) -> Option<Incoming> {
        let message = self.messages.recv().await?;
        self.bytes.fetch_sub(message.payload.len(), Ordering::SeqCst);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn message(bytes: usize) -> Incoming {
        Incoming { subject: "s".into(), payload: Bytes::from(vec![0; bytes]), reply: None }
    }

    #[tokio::test]
    async fn a_slow_reader_holds_a_bounded_number_of_messages_and_bytes_and_drops_are_counted() {
        let counters = Arc::new(Counters::default());
        let (intake, mut subscription) = channel(counters.clone(), CancellationToken::new());
        let most = limits::RELAY_SUBSCRIPTION_MESSAGES_MAX;
        for _ in 0..most + 7 {
            intake.put(message(1));
        }
        assert_eq!((counters.snapshot().dropped, counters.snapshot().dropped_bytes), (7, 7));
        for _ in 0..most {
            subscription.next().await.unwrap();
        }
        let large = limits::RELAY_SUBSCRIPTION_BYTES_MAX / 4;
        for _ in 0..6 {
            intake.put(message(large));
        }
        assert_eq!(counters.snapshot().dropped, 9, "four fit");
        subscription.next().await.unwrap();
        intake.put(message(large));
        assert_eq!(counters.snapshot().dropped, 9, "room came back");
        let stop = intake.stop.clone();
        drop(subscription);
        assert!(stop.is_cancelled());
    }
}
