//! Buckets of the server: a few small entries with revisions, for what must be agreed on at once (leases). Of the
//! centre's own user alone: a node has no permission for any.

use std::time::Duration;

use async_nats::jetstream::kv;
use async_nats::jetstream::stream::StorageType;
use bytes::Bytes;
use fengsui_config::limits;

use super::{LinkError, NatsLink};

/// What a bucket is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSettings {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// Entries that nobody wrote for this long are gone; zero: never.
    pub max_age: Duration,
    /// Servers that keep each entry.
    pub replicas: usize,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Bytes.
    pub value: Bytes,
    /// Grows with every change in the bucket.
    pub revision: u64,
}

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    store: kv::Store,
}

impl NatsLink {
    /// Opens a bucket, making or changing it as wanted.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn bucket(&self, settings: BucketSettings) -> Result<Bucket, LinkError> {
        let config = kv::Config {
            bucket: settings.name,
            history: 1,
            max_age: settings.max_age,
            max_bytes: i64::try_from(limits::RELAY_BUCKET_BYTES_MAX).unwrap_or(i64::MAX),
            max_value_size: i32::try_from(limits::RELAY_BUCKET_VALUE_BYTES_MAX).unwrap_or(i32::MAX),
            storage: StorageType::File,
            num_replicas: settings.replicas,
            ..kv::Config::default()
        };
        let opened = self.jetstream.create_or_update_key_value(config).await;
        Ok(Bucket { store: opened.map_err(|e| LinkError::Refused(e.to_string()))? })
    }
}

impl Bucket {
    /// The entry of a key; `None` when there is none, or it was removed.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, LinkError> {
        let entry = self.store.entry(key).await.map_err(|e| LinkError::Refused(e.to_string()))?;
        let live = entry.filter(|e| e.operation == kv::Operation::Put);
        Ok(live.map(|e| Entry { value: e.value, revision: e.revision }))
    }

    /// Makes an entry that is not there; its revision.
    ///
    /// # Errors
    /// [`LinkError::Changed`] when somebody was first.
    pub async fn create(&self, key: &str, value: Bytes) -> Result<u64, LinkError> {
        self.store.create(key, value).await.map_err(|e| match e.kind() {
            kv::CreateErrorKind::AlreadyExists => LinkError::Changed,
            _ => LinkError::Refused(e.to_string()),
        })
    }

    /// Changes an entry that still has this revision; its new one.
    ///
    /// # Errors
    /// [`LinkError::Changed`] when somebody was first.
    pub async fn update(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, LinkError> {
        self.store.update(key, value, revision).await.map_err(|e| match e.kind() {
            kv::UpdateErrorKind::WrongLastRevision => LinkError::Changed,
            kv::UpdateErrorKind::TimedOut => LinkError::Timeout(limits::RELAY_PUBLISH_TIMEOUT),
            _ => LinkError::Refused(e.to_string()),
        })
    }

    /// Removes an entry that still has this revision.
    ///
    /// # Errors
    /// [`LinkError::Changed`] when somebody was first.
    pub async fn remove(&self, key: &str, revision: u64) -> Result<(), LinkError> {
        self.store.delete_expect_revision(key, Some(revision)).await.map_err(|e| match e.kind() {
            kv::UpdateErrorKind::WrongLastRevision => LinkError::Changed,
            _ => LinkError::Refused(e.to_string()),
        })
    }
}
