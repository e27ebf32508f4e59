//! The stream of upward frames as the centre sees it: made and kept as wanted, read batch by batch, acknowledged one by
//! one.

use std::time::Duration;

use async_nats::jetstream::consumer::{self, PullConsumer, pull};
use async_nats::jetstream::context::{ConsumerInfoErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{AckKind, Message};
use bytes::Bytes;
use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use futures::{FutureExt as _, StreamExt as _};

use super::settings::{self, ConsumerSettings, Plan, StreamSettings};
use super::{LinkError, NatsLink, subjects};

/// A pull is renewed this often, and in between the server says that it is there.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);
/// What the stream takes in until its consumers are there: nothing that anybody sends.
const NOTHING_YET: &str = "fengsui.up";

fn refused(error: impl std::fmt::Display) -> LinkError {
    LinkError::Refused(error.to_string())
}

/// A frame delivered.
#[derive(Debug)]
pub struct Delivery {
    /// Subject: its last word is the sender.
    pub subject: String,
    /// Bytes.
    pub payload: Bytes,
    /// Number in the stream.
    pub sequence: u64,
    /// Which delivery of it this is, from 1.
    pub delivery: u64,
    message: Message,
}

impl Delivery {
    /// Tells the stream that the frame is done with: it is forgotten there.
    ///
    /// # Errors
    /// When it cannot be said; the frame comes again then.
    pub async fn acknowledge(&self) -> Result<(), LinkError> {
        self.say(AckKind::Ack).await
    }

    /// Has the frame delivered again after a while.
    ///
    /// # Errors
    /// When it cannot be said; the frame comes again after `limits::RELAY_ACK_WAIT` then.
    pub async fn later(&self, after: Duration) -> Result<(), LinkError> {
        self.say(AckKind::Nak(Some(after))).await
    }

    async fn say(&self, kind: AckKind) -> Result<(), LinkError> {
        let saying = self.message.ack_with(kind);
        match tokio::time::timeout(limits::RELAY_SEND_TIMEOUT, saying).await {
            Ok(said) => said.map_err(refused),
            Err(_) => Err(LinkError::Busy),
        }
    }
}

/// The centre's reader of what one node sends.
pub struct Frames {
    messages: pull::Stream,
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Frames")
    }
}

impl Frames {
    /// Waits for a frame, and gives it together with those that came with it: at most `limits::RELAY_FETCH_MAX`, and
    /// none more once they have `limits::RELAY_FETCH_BYTES_MAX`, in the order of the stream. Empty when none came in time.
    ///
    /// # Errors
    /// When the server ended the reading: open it again.
    pub async fn batch(&mut self, wait: Duration) -> Result<Vec<Delivery>, LinkError> {
        let mut batch = Vec::new();
        let Ok(next) = tokio::time::timeout(wait, self.messages.next()).await else { return Ok(batch) };
        let first = received(next)?;
        let mut bytes = first.payload.len();
        batch.push(first);
        while batch.len() < limits::RELAY_FETCH_MAX && bytes < limits::RELAY_FETCH_BYTES_MAX {
            // An error here is one that the reading gets over, or its end, which the next call meets.
            let Some(Some(Ok(message))) = self.messages.next().now_or_never() else { break };
            let next = delivery(message)?;
            bytes += next.payload.len();
            batch.push(next);
        }
        // A frame that comes again may stand behind later ones.
        batch.sort_by_key(|d| d.sequence);
        Ok(batch)
    }
}

fn received(next: Option<Result<Message, pull::MessagesError>>) -> Result<Delivery, LinkError> {
    match next {
        Some(Ok(message)) => delivery(message),
        Some(Err(e)) => Err(refused(e)),
        None => Err(LinkError::Lost),
    }
}

fn delivery(message: Message) -> Result<Delivery, LinkError> {
    let info = message.info().map_err(refused)?;
    let (sequence, delivery) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1));
    Ok(Delivery {
        subject: message.subject.to_string(),
        payload: message.payload.clone(),
        sequence,
        delivery,
        message,
    })
}

impl NatsLink {
    /// Makes the stream and the centre's consumers of `senders` as wanted, or changes what differs, without losing a
    /// message. Says what was changed. While the consumers are not there a new stream takes nothing in: a frame that no
    /// consumer waits for would be acknowledged and forgotten.
    ///
    /// # Errors
    /// When the server refuses, or has a setting that cannot be changed in place.
    pub async fn ensure_stream(
        &self,
        stream_settings: StreamSettings,
        consumer_settings: ConsumerSettings,
        senders: &[NodeId],
    ) -> Result<Plan, LinkError> {
        let want = settings::stream(stream_settings);
        let found = self.stream_now().await?;
        let plan = settings::plan_stream(found.as_ref(), &want)?;
        if plan == Plan::Create {
            let closed = Config { subjects: vec![NOTHING_YET.to_owned()], ..want.clone() };
            self.jetstream.create_stream(closed).await.map_err(refused)?;
        }
        for sender in senders {
            self.ensure_consumer(sender, consumer_settings).await?;
        }
        match (&plan, found) {
            (Plan::Keep, _) => {}
            (_, Some(have)) => {
                let merged = settings::merged_stream(&have, &want);
                self.jetstream.update_stream(merged).await.map_err(refused)?;
            }
            (_, None) => drop(self.jetstream.update_stream(want).await.map_err(refused)?),
        }
        Ok(plan)
    }

    async fn stream_now(&self) -> Result<Option<Config>, LinkError> {
        match self.jetstream.get_stream(subjects::STREAM).await {
            Ok(stream) => Ok(Some(stream.cached_info().config.clone())),
            Err(e) => match e.kind() {
                GetStreamErrorKind::JetStream(error) if error.code() == 404 => Ok(None),
                _ => Err(refused(e)),
            },
        }
    }

    async fn stream(&self) -> Result<Stream, LinkError> {
        self.jetstream.get_stream(subjects::STREAM).await.map_err(refused)
    }

    /// Makes the centre's consumer of one sender as wanted. A node is answered where to go on only when this was done.
    ///
    /// # Errors
    /// As [`Self::ensure_stream`].
    pub async fn ensure_consumer(
        &self,
        sender: &NodeId,
        settings: ConsumerSettings,
    ) -> Result<Plan, LinkError> {
        let want = settings::consumer(sender, settings);
        let stream = self.stream().await?;
        let have: Option<consumer::Config> = match stream.consumer_info(subjects::consumer(sender)).await {
            Ok(info) => Some(info.config),
            Err(e) => match e.kind() {
                ConsumerInfoErrorKind::NotFound => None,
                _ => return Err(refused(e)),
            },
        };
        let plan = settings::plan_consumer(have.as_ref(), &want)?;
        if plan != Plan::Keep {
            stream.create_consumer(want).await.map_err(refused)?;
        }
        Ok(plan)
    }

    /// Opens the centre's reading of what `sender` sends. What was delivered before and not acknowledged comes again at once, in
    /// order, where the server can do that (NATS 2.14 and newer), else after `limits::RELAY_ACK_WAIT`.
    ///
    /// # Errors
    /// When there is no stream or consumer: [`Self::ensure_stream`].
    pub async fn frames(&self, sender: &NodeId) -> Result<Frames, LinkError> {
        let name = subjects::consumer(sender);
        let reset = format!("CONSUMER.RESET.{}.{name}", subjects::STREAM);
        let nothing = serde_json::Map::new();
        match self.jetstream.request::<_, _, serde_json::Value>(reset, &nothing).await {
            Ok(answer) if answer.get("error").is_none() => {}
            Ok(answer) => {
                tracing::debug!(%answer, "the server does not begin again at what is not acknowledged")
            }
            Err(error) => {
                tracing::debug!(%error, "the server cannot begin again at what is not acknowledged")
            }
        }
        let consumer: PullConsumer = self.stream().await?.get_consumer(&name).await.map_err(refused)?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(limits::RELAY_FETCH_MAX)
            .max_bytes_per_batch(limits::RELAY_FETCH_BYTES_MAX)
            .expires(PULL_EXPIRES)
            .heartbeat(PULL_HEARTBEAT)
            .messages()
            .await
            .map_err(refused)?;
        Ok(Frames { messages })
    }

    /// Frames in the stream, and their bytes: for metrics.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn backlog(&self) -> Result<(u64, u64), LinkError> {
        let stream = self.stream().await?;
        let state = &stream.cached_info().state;
        Ok((state.messages, state.bytes))
    }

    /// Frames of one sender that were delivered and not acknowledged.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn unacknowledged(&self, sender: &NodeId) -> Result<u64, LinkError> {
        let info = self.stream().await?.consumer_info(subjects::consumer(sender)).await.map_err(refused)?;
        Ok(u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX))
    }
}
