//! What the stream and its consumer are to be, and what has to be done so that they are. Pure: the driver asks the
//! server what is there and carries the plan out.

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use fengsui_config::ids::NodeId;
use fengsui_config::limits;

use super::LinkError;
use super::subjects::{self, Subjects};

/// Settings of the stream of upward frames that an administrator chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// Bytes that it may take at each server.
    pub bytes_max: u64,
    /// Servers that keep each message.
    pub replicas: usize,
}

/// Settings of the centre's consumer of one sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// Time until a frame comes again that was not acknowledged.
    pub ack_wait: std::time::Duration,
    /// Frames under way at most.
    pub acks_pending_max: usize,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self { ack_wait: limits::RELAY_ACK_WAIT, acks_pending_max: limits::RELAY_ACKS_PENDING_MAX }
    }
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name at the server.
    pub what: &'static str,
    /// What the server has.
    pub have: String,
    /// What it is to have.
    pub want: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// It is not there: make it.
    Create,
    /// It is as it should be.
    Keep,
    /// Change these settings; every message stays.
    Update(Vec<Change>),
}

/// The stream as it is wanted. A message stays until every consumer acknowledged it; a full stream refuses new messages
/// rather than forget old ones, and a sender that fills its share holds up nobody else. Nobody can purge or delete
/// messages, not even by a reply subject of an acknowledgement.
#[must_use]
pub fn stream(settings: StreamSettings) -> Config {
    Config {
        name: subjects::STREAM.to_owned(),
        description: Some("Upward frames of sub-centres on their way to the centre's journal".to_owned()),
        subjects: vec![subjects::STREAM_SUBJECTS.to_owned()],
        retention: RetentionPolicy::Interest,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        max_bytes: i64::try_from(settings.bytes_max).unwrap_or(i64::MAX),
        max_messages: -1,
        max_messages_per_subject: i64::try_from(limits::RELAY_STREAM_MESSAGES_PER_NODE_MAX)
            .unwrap_or(i64::MAX),
        max_message_size: i32::try_from(limits::RELAY_PAYLOAD_BYTES_MAX).unwrap_or(i32::MAX),
        storage: StorageType::File,
        num_replicas: settings.replicas,
        duplicate_window: limits::RELAY_DUPLICATE_WINDOW,
        deny_delete: true,
        deny_purge: true,
        max_consumers: -1,
        ..Config::default()
    }
}

/// The consumer of `sender` as it is wanted. Each sender has its own, so that what waits of one holds up no other.
#[must_use]
pub fn consumer(sender: &NodeId, settings: ConsumerSettings) -> consumer::pull::Config {
    consumer::pull::Config {
        durable_name: Some(subjects::consumer(sender)),
        description: Some("Applies frames of one node to the centre's journal".to_owned()),
        filter_subject: Subjects::of(sender).up(),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.ack_wait,
        max_deliver: -1,
        replay_policy: ReplayPolicy::Instant,
        max_ack_pending: i64::try_from(settings.acks_pending_max).unwrap_or(i64::MAX),
        ..consumer::pull::Config::default()
    }
}

/// Collects settings that differ.
#[derive(Default)]
struct Differences(Vec<Change>);

impl Differences {
    fn note<T: PartialEq + std::fmt::Debug>(&mut self, what: &'static str, have: &T, want: &T) {
        if have != want {
            self.0.push(Change { what, have: format!("{have:?}"), want: format!("{want:?}") });
        }
    }

    fn plan(self) -> Plan {
        if self.0.is_empty() { Plan::Keep } else { Plan::Update(self.0) }
    }
}

fn fixed<T: PartialEq + std::fmt::Debug>(what: &'static str, have: &T, want: &T) -> Result<(), LinkError> {
    if have == want {
        return Ok(());
    }
    let (have, want) = (format!("{have:?}"), format!("{want:?}"));
    let remedy =
        "let the nodes wait, remove the stream with the server's own tool, and start the centre again";
    Err(LinkError::Settings { what, have, want, remedy })
}

/// What to do about the stream.
///
/// # Errors
/// [`LinkError::Settings`] when a setting differs that no server can change in place.
pub fn plan_stream(have: Option<&Config>, want: &Config) -> Result<Plan, LinkError> {
    let Some(have) = have else { return Ok(Plan::Create) };
    fixed("storage", &have.storage, &want.storage)?;
    // Between the other two a server changes; to and from a work queue it does not.
    if have.retention == RetentionPolicy::WorkQueue {
        fixed("retention", &have.retention, &want.retention)?;
    }
    fixed("sealed", &have.sealed, &want.sealed)?;
    let mut differs = Differences::default();
    differs.note("subjects", &have.subjects, &want.subjects);
    differs.note("retention", &have.retention, &want.retention);
    differs.note("discard", &have.discard, &want.discard);
    differs.note("discard_new_per_subject", &have.discard_new_per_subject, &want.discard_new_per_subject);
    differs.note("max_bytes", &have.max_bytes, &want.max_bytes);
    differs.note("max_msgs", &have.max_messages, &want.max_messages);
    differs.note("max_msgs_per_subject", &have.max_messages_per_subject, &want.max_messages_per_subject);
    differs.note("max_msg_size", &have.max_message_size, &want.max_message_size);
    differs.note("max_age", &have.max_age, &want.max_age);
    differs.note("num_replicas", &have.num_replicas, &want.num_replicas);
    differs.note("duplicate_window", &have.duplicate_window, &want.duplicate_window);
    differs.note("deny_delete", &have.deny_delete, &want.deny_delete);
    differs.note("deny_purge", &have.deny_purge, &want.deny_purge);
    Ok(differs.plan())
}

/// The settings to send: those of the server with ours in their places, so that what this program does not know stays.
#[must_use]
pub fn merged_stream(have: &Config, want: &Config) -> Config {
    Config {
        description: want.description.clone(),
        subjects: want.subjects.clone(),
        retention: want.retention,
        discard: want.discard,
        discard_new_per_subject: want.discard_new_per_subject,
        max_bytes: want.max_bytes,
        max_messages: want.max_messages,
        max_messages_per_subject: want.max_messages_per_subject,
        max_message_size: want.max_message_size,
        max_age: want.max_age,
        num_replicas: want.num_replicas,
        duplicate_window: want.duplicate_window,
        deny_delete: want.deny_delete,
        deny_purge: want.deny_purge,
        ..have.clone()
    }
}

/// What to do about the consumer.
///
/// # Errors
/// As [`plan_stream`].
pub fn plan_consumer(
    have: Option<&consumer::Config>,
    want: &consumer::pull::Config,
) -> Result<Plan, LinkError> {
    let Some(have) = have else { return Ok(Plan::Create) };
    fixed("ack_policy", &have.ack_policy, &want.ack_policy)?;
    fixed("deliver_policy", &have.deliver_policy, &want.deliver_policy)?;
    fixed("filter_subject", &have.filter_subject, &want.filter_subject)?;
    let mut differs = Differences::default();
    differs.note("ack_wait", &have.ack_wait, &want.ack_wait);
    differs.note("max_ack_pending", &have.max_ack_pending, &want.max_ack_pending);
    differs.note("max_deliver", &have.max_deliver, &want.max_deliver);
    Ok(differs.plan())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SETTINGS: StreamSettings = StreamSettings { bytes_max: 1 << 30, replicas: 1 };

    #[test]
    fn settings_that_differ_are_changed_in_place_and_unknown_ones_stay() {
        let want = stream(StreamSettings { bytes_max: 2 << 30, replicas: 3 });
        assert_eq!(plan_stream(None, &want), Ok(Plan::Create));
        let mut have = stream(SETTINGS);
        have.max_age = std::time::Duration::from_secs(60);
        have.allow_direct = true;
        let Plan::Update(changes) = plan_stream(Some(&have), &want).unwrap() else { unreachable!() };
        let names: Vec<&str> = changes.iter().map(|c| c.what).collect();
        assert_eq!(names, ["max_bytes", "max_age", "num_replicas"]);
        let merged = merged_stream(&have, &want);
        assert!(merged.allow_direct, "what somebody else set stays");
        assert_eq!(plan_stream(Some(&merged), &want), Ok(Plan::Keep));
    }

    #[test]
    fn what_cannot_be_changed_without_loss_is_refused_with_its_remedy() {
        let want = stream(SETTINGS);
        let queue = Config { retention: RetentionPolicy::WorkQueue, ..want.clone() };
        let memory = Config { storage: StorageType::Memory, ..want.clone() };
        for have in [queue, memory] {
            let refused = plan_stream(Some(&have), &want).unwrap_err().to_string();
            assert!(refused.contains("without losing messages"), "{refused}");
        }
    }
}
