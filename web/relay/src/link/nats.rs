//! The driver over NATS.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, ConnectOptions, Event, RequestErrorKind};
use bytes::Bytes;
use fengsui_config::{UpwardRole, limits};
use fengsui_storage::segment::NodeKey;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::subjects::{self, Subjects};
use super::subscription::{Intake, channel};
use super::{
    Acknowledgement, Incoming, Link, LinkCounters, LinkError, LinkState, Publication, Stored, Subscription,
};
use crate::identity::nkey;

/// Where to connect, and as whom.
#[derive(Clone)]
pub struct LinkOptions {
    /// Name that the server's own listings show.
    pub name: String,
    /// Servers, `tls://HOST:PORT`; any of them will do.
    pub servers: Vec<String>,
    /// PEM file of the only certificate that a server is believed by. Read at every attempt.
    pub authority: PathBuf,
    /// The key to log in with. Its seed does not leave it: it signs the server's challenge.
    pub key: Arc<NodeKey>,
    /// Before the inbox of each request.
    pub inbox_prefix: String,
}

/// Before the inboxes of the centre. No node's begin like this, whatever its name, so that none hears its answers.
const CENTRE_INBOX: &str = "_INBOX.centre";

impl LinkOptions {
    /// The link of a node to its centre.
    #[must_use]
    pub fn upward(role: &UpwardRole, key: Arc<NodeKey>) -> Self {
        Self {
            name: role.node.to_string(),
            servers: role.servers.clone(),
            authority: role.ca.clone(),
            key,
            inbox_prefix: Subjects::of(&role.node).inbox_prefix(),
        }
    }

    /// The link of a centre to its own servers; `authority` is the file of its authority's certificate. With the key of
    /// the system account it is the one to reload servers by.
    #[must_use]
    pub fn centre(servers: &[String], authority: PathBuf, key: Arc<NodeKey>) -> Self {
        let (name, inbox_prefix) = ("centre".to_owned(), CENTRE_INBOX.to_owned());
        Self { name, servers: servers.to_vec(), authority, key, inbox_prefix }
    }
}

impl std::fmt::Debug for LinkOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkOptions({} to {:?} as {})", self.name, self.servers, self.key.id())
    }
}

/// Counters while they count.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub connects: AtomicU64,
    pub published: AtomicU64,
    pub acknowledged: AtomicU64,
    pub unacknowledged: AtomicU64,
    pub told: AtomicU64,
    pub refused: AtomicU64,
    pub received: AtomicU64,
    pub dropped: AtomicU64,
    pub dropped_bytes: AtomicU64,
    pub dropped_below: AtomicU64,
    pub foreign_inboxes: AtomicU64,
    pub server_errors: AtomicU64,
}

impl Counters {
    pub fn snapshot(&self) -> LinkCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkCounters {
            connects: get(&self.connects),
            published: get(&self.published),
            acknowledged: get(&self.acknowledged),
            unacknowledged: get(&self.unacknowledged),
            told: get(&self.told),
            refused: get(&self.refused),
            received: get(&self.received),
            dropped: get(&self.dropped),
            dropped_bytes: get(&self.dropped_bytes),
            dropped_below: get(&self.dropped_below),
            foreign_inboxes: get(&self.foreign_inboxes),
            server_errors: get(&self.server_errors),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Pause before attempt number `attempt` (from 1): anything between the floor and a ceiling that doubles, so that many
/// nodes that lost one server do not come back in one instant.
#[must_use]
pub fn reconnect_pause(attempt: usize, random: u64) -> Duration {
    let (first, largest) = limits::BACKOFF_RELAY;
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let ceiling = first.saturating_mul(1 << doublings).min(largest);
    let span = ceiling.saturating_sub(limits::RELAY_RETRY_FLOOR).as_micros();
    let within = u64::try_from(span).unwrap_or(u64::MAX).max(1);
    limits::RELAY_RETRY_FLOOR + Duration::from_micros(random % within)
}

/// A link over NATS. One connection; it comes back by itself until the link is closed.
#[derive(Debug)]
pub struct NatsLink {
    pub(super) client: Client,
    pub(super) jetstream: jetstream::Context,
    state: watch::Receiver<LinkState>,
    pub(super) counters: Arc<Counters>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Keeps the state up to date with what the client tells.
struct Watcher {
    state: watch::Sender<LinkState>,
    counters: Arc<Counters>,
}

impl Watcher {
    fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                let session = self.counters.connects.fetch_add(1, Ordering::SeqCst) + 1;
                self.state.send_replace(LinkState::Up { session });
            }
            Event::Disconnected | Event::LameDuckMode | Event::Draining => {
                if !matches!(event, Event::LameDuckMode) {
                    self.fell("the connection broke".to_owned());
                }
            }
            Event::Closed => drop(self.state.send_replace(LinkState::Closed)),
            Event::SlowConsumer(_) => count(&self.counters.dropped_below),
            Event::ServerError(error) => {
                count(&self.counters.server_errors);
                tracing::warn!(%error, "the server between nodes refuses");
                self.met(error.to_string());
            }
            // It names the kind alone; what happened comes with the next attempt.
            Event::ClientError(error) => tracing::debug!(%error, "the client of the server between nodes"),
        }
    }

    /// The connection is gone.
    fn fell(&self, why: String) {
        self.state.send_if_modified(|state| {
            let up = matches!(state, LinkState::Up { .. });
            if up {
                *state = LinkState::Down { why };
            }
            up
        });
    }

    /// What an attempt met, or the last words of a connection.
    fn met(&self, text: String) {
        self.state.send_if_modified(|state| match state {
            LinkState::Connecting { why } => {
                *why = Some(text);
                true
            }
            LinkState::Down { why } => {
                *why = text;
                true
            }
            LinkState::Up { .. } | LinkState::Closed => false,
        });
    }
}

impl NatsLink {
    /// Begins to connect, and goes on until [`Self::close`].
    ///
    /// # Errors
    /// When an address is none.
    pub async fn open(options: LinkOptions) -> Result<Self, LinkError> {
        let counters = Arc::new(Counters::default());
        let (sender, state) = watch::channel(LinkState::Connecting { why: None });
        let watcher = Arc::new(Watcher { state: sender, counters: counters.clone() });
        let (key, met) = (options.key.clone(), watcher.clone());
        let connect = ConnectOptions::with_auth_callback(move |nonce| {
            let key = key.clone();
            async move {
                let (text, signature) = nkey::answer(&key, &nonce);
                let mut auth = async_nats::Auth::new();
                auth.nkey = Some(text.as_str().to_owned());
                auth.signature = Some(signature.to_vec());
                Ok(auth)
            }
        })
        .name(&options.name)
        .custom_inbox_prefix(&options.inbox_prefix)
        .require_tls(true)
        .add_root_certificates(options.authority.clone())
        .retry_on_initial_connect()
        .ignore_discovered_servers()
        .max_reconnects(None)
        .connection_timeout(limits::RELAY_CONNECT_TIMEOUT)
        .ping_interval(limits::RELAY_PING_INTERVAL)
        .client_capacity(limits::RELAY_SEND_QUEUE_MAX)
        .subscription_capacity(limits::RELAY_CLIENT_QUEUE_MAX)
        .request_timeout(Some(limits::RELAY_PUBLISH_TIMEOUT))
        .reconnect_delay_callback(|attempt| reconnect_pause(attempt, getrandom::u64().unwrap_or(0)))
        // Asked before each attempt, and left to choose for itself; the only place that has what the last one met.
        .reconnect_to_server_callback(move |servers: Vec<async_nats::Server>, _| {
            let met = met.clone();
            async move {
                let errors = servers.iter().filter_map(|s| Some(format!("{s}: {}", s.last_error.as_ref()?)));
                let errors: Vec<String> = errors.collect();
                if !errors.is_empty() {
                    met.met(errors.join("; "));
                }
                None
            }
        })
        .event_callback(move |event| {
            let watcher = watcher.clone();
            async move { watcher.note(&event) }
        });
        let servers: Vec<async_nats::ServerAddr> = options
            .servers
            .iter()
            .map(|s| s.parse().map_err(|e| LinkError::Refused(format!("{s} is no address: {e}"))))
            .collect::<Result<_, _>>()?;
        let client = connect.connect(servers).await.map_err(|e| LinkError::Refused(e.to_string()))?;
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(limits::RELAY_PUBLISH_TIMEOUT)
            .ack_timeout(limits::RELAY_PUBLISH_TIMEOUT)
            .max_ack_inflight(limits::RELAY_PUBLISHES_UNDER_WAY_MAX)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Ok(Self { client, jetstream, state, counters, tasks, stop })
    }

    /// Waits until there is a connection, or the link is closed.
    pub async fn up(&self) -> Option<u64> {
        let mut state = self.state.clone();
        let found = state.wait_for(|s| s.session().is_some() || *s == LinkState::Closed).await.ok()?;
        found.session()
    }

    /// Ends subscriptions, sends what was said, and closes the connection.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let _ = tokio::time::timeout(limits::RELAY_SEND_TIMEOUT, self.client.drain()).await;
    }

    /// The connection that is there, and whether this much may go over it.
    fn ready(&self, bytes: usize) -> Result<u64, LinkError> {
        if bytes > limits::RELAY_PAYLOAD_BYTES_MAX {
            count(&self.counters.refused);
            return Err(LinkError::TooLarge(bytes, limits::RELAY_PAYLOAD_BYTES_MAX));
        }
        let session = self.state.borrow().session().filter(|_| !self.stop.is_cancelled());
        let there = self.client.connection_state() == async_nats::connection::State::Connected;
        session.filter(|_| there).ok_or_else(|| {
            count(&self.counters.refused);
            LinkError::Down
        })
    }

    /// Waits a bounded time for the connection's writer.
    async fn within_send_time<T>(
        &self,
        sending: impl Future<Output = Result<T, LinkError>>,
    ) -> Result<T, LinkError> {
        let sent = tokio::time::timeout(limits::RELAY_SEND_TIMEOUT, sending).await;
        sent.unwrap_or_else(|_| {
            count(&self.counters.refused);
            Err(LinkError::Busy)
        })
    }

    async fn send(&self, publication: Publication) -> Result<Acknowledgement, LinkError> {
        let session = self.ready(publication.payload.len())?;
        let subject = publication.subject.clone();
        let message = PublishMessage::build().payload(publication.payload).message_id(publication.id);
        let sending = self.jetstream.send_publish(publication.subject, message);
        let wait =
            self.within_send_time(async { sending.await.map_err(|e| publish_error(&e, &subject)) }).await?;
        count(&self.counters.published);
        let (counters, mut state) = (self.counters.clone(), self.state.clone());
        Ok(Box::pin(async move {
            // A broken connection brings no acknowledgement any more: nobody waits for the time-out.
            let broke = async {
                let _ = state.wait_for(|s| s.session() != Some(session)).await;
            };
            let result = tokio::select! {
                biased;
                answer = wait.into_future() => answer.map_err(|e| publish_error(&e, &subject)),
                () = broke => Err(LinkError::Lost),
            };
            count(if result.is_ok() { &counters.acknowledged } else { &counters.unacknowledged });
            result.map(|ack| Stored { sequence: ack.sequence, duplicate: ack.duplicate })
        }))
    }

    async fn say(&self, subject: &str, payload: Bytes) -> Result<(), LinkError> {
        self.ready(payload.len())?;
        let sending = self.client.publish(subject.to_owned(), payload);
        self.within_send_time(async { sending.await.map_err(|e| LinkError::Refused(e.to_string())) }).await?;
        count(&self.counters.told);
        Ok(())
    }

    async fn question(&self, subject: &str, payload: Bytes, deadline: Duration) -> Result<Bytes, LinkError> {
        self.ready(payload.len())?;
        let request = async_nats::Request::new().payload(payload).timeout(Some(deadline));
        let asking = self.client.send_request(subject.to_owned(), request);
        // The client's own time begins when the message was accepted; ours when it was asked for.
        match tokio::time::timeout(deadline, asking).await {
            Ok(Ok(answer)) => Ok(answer.payload),
            Ok(Err(e)) => Err(match e.kind() {
                RequestErrorKind::TimedOut => LinkError::Timeout(deadline),
                RequestErrorKind::NoResponders => LinkError::Nobody(subject.to_owned()),
                _ => LinkError::Refused(e.to_string()),
            }),
            Err(_) => Err(LinkError::Timeout(deadline)),
        }
    }

    async fn listen(&self, subject: &str) -> Result<Subscription, LinkError> {
        let subscribing = self.client.subscribe(subject.to_owned());
        let source = self
            .within_send_time(async { subscribing.await.map_err(|e| LinkError::Refused(e.to_string())) })
            .await?;
        let (intake, subscription) = channel(self.counters.clone(), self.stop.child_token());
        self.tasks.spawn(pump(source, intake));
        Ok(subscription)
    }
}

/// Empties the client's own queue at once, so that what is dropped is dropped, and counted, in one place.
async fn pump(mut source: async_nats::Subscriber, intake: Intake) {
    loop {
        let message = tokio::select! {
            () = intake.stop.cancelled() => break,
            message = source.next() => message,
        };
        let Some(message) = message else { break };
        intake.put(Incoming {
            subject: message.subject.to_string(),
            payload: message.payload,
            reply: message.reply.map(|r| r.to_string()),
        });
    }
    let _ = source.unsubscribe().await;
}

/// What the stream's refusal means.
fn publish_error(error: &async_nats::jetstream::context::PublishError, subject: &str) -> LinkError {
    match error.kind() {
        PublishErrorKind::StreamNotFound => LinkError::Nobody(subject.to_owned()),
        PublishErrorKind::TimedOut => LinkError::Timeout(limits::RELAY_PUBLISH_TIMEOUT),
        PublishErrorKind::BrokenPipe => LinkError::Lost,
        PublishErrorKind::MaxAckPending => LinkError::Busy,
        PublishErrorKind::MaxPayloadExceeded => LinkError::Refused(error.to_string()),
        _ => {
            let text = error.to_string();
            // The server has one code for all refusals to store, and tells them apart by words.
            if text.contains("maximum") { LinkError::Full(text) } else { LinkError::Refused(text) }
        }
    }
}

impl Link for NatsLink {
    fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    fn counters(&self) -> LinkCounters {
        self.counters.snapshot()
    }

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Acknowledgement, LinkError>> {
        Box::pin(self.send(publication))
    }

    fn tell<'a>(&'a self, subject: &'a str, payload: Bytes) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(self.say(subject, payload))
    }

    fn ask<'a>(
        &'a self,
        subject: &'a str,
        payload: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Bytes, LinkError>> {
        Box::pin(self.question(subject, payload, deadline))
    }

    fn answer<'a>(&'a self, asked: &'a Incoming, payload: Bytes) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            let Some(reply) = &asked.reply else { return Ok(()) };
            if !subjects::may_answer(&asked.subject, reply) {
                count(&self.counters.foreign_inboxes);
                return Err(LinkError::ForeignInbox(reply.clone()));
            }
            self.say(reply, payload).await
        })
    }

    fn subscribe<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Subscription, LinkError>> {
        Box::pin(self.listen(subject))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_between_attempts_are_bounded_and_spread(attempt in 0..usize::MAX, random: u64) {
            let pause = reconnect_pause(attempt, random);
            prop_assert!(pause >= limits::RELAY_RETRY_FLOOR && pause <= limits::BACKOFF_RELAY.1);
            if attempt <= 1 {
                prop_assert!(pause <= limits::BACKOFF_RELAY.0);
            }
        }
    }
}
