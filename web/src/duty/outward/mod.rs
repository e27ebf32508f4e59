//! What goes to other systems: every act as a CloudEvent, to webhooks and to streams.
//!
//! A webhook reads the journal from where its cursor stands, so nothing waits in memory and nothing is lost when the node or
//! the receiver stops. It sends one event after the other, in the order of the journal; what is not taken is tried again with
//! growing pauses, and given up as a dead letter after a day ([`fengsui_duty::outward::schedule`]). Streams get what comes
//! into the book; who comes back says the last act that they have seen.
//!
//! Nothing is sent anywhere but to the addresses in the configuration, and no redirect is followed.

mod client;
pub mod dead;
pub mod hook;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fengsui_config::WebhookConfig;
use fengsui_config::{Config, limits};
use fengsui_duty::act::Noted;
use fengsui_duty::outward::{self, CloudEvent};
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::Journal;
use fengsui_storage::segment::NodeKey;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::app::App;
use dead::DeadLetters;
use hook::Hook;

/// An event for streams, and its place among them.
#[derive(Debug, Clone)]
pub struct Kept {
    /// One more than the one before, from 1 at the start of the process.
    pub number: u64,
    /// The event.
    pub event: Arc<CloudEvent>,
}

/// Where a stream stands.
#[derive(Debug)]
pub enum Next {
    /// What comes next.
    Event(Kept),
    /// What comes next is not kept any more; the newest has this number.
    Lost(u64),
    /// Nothing yet.
    Nothing,
}

/// What goes outward.
#[derive(Debug)]
pub struct Outward {
    kept: Mutex<VecDeque<Kept>>,
    newest: watch::Sender<u64>,
    hooks: RwLock<BTreeMap<String, Arc<Hook>>>,
    /// Signs hand-overs; absent in most tests.
    signer: RwLock<Option<Arc<NodeKey>>>,
    /// Streams that are open.
    pub streams: Arc<tokio::sync::Semaphore>,
}

impl Default for Outward {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            newest: watch::Sender::new(0),
            hooks: RwLock::default(),
            signer: RwLock::default(),
            streams: Arc::new(tokio::sync::Semaphore::new(limits::DUTY_STREAMS_MAX)),
        }
    }
}

impl Outward {
    /// Tells the streams of acts that are in the book now.
    pub fn told(&self, app: &App, new: &[Noted]) {
        let events: Vec<CloudEvent> =
            app.duty.read(|book| new.iter().map(|noted| outward::event(noted, book)).collect());
        let mut kept = self.kept.lock();
        let mut number = *self.newest.borrow();
        for event in events {
            number += 1;
            if kept.len() >= limits::DUTY_STREAM_KEPT_MAX {
                kept.pop_front();
            }
            kept.push_back(Kept { number, event: Arc::new(event) });
        }
        self.newest.send_replace(number);
    }

    /// What comes behind number `seen`.
    #[must_use]
    pub fn after(&self, seen: u64) -> Next {
        let kept = self.kept.lock();
        let newest = *self.newest.borrow();
        let Some(oldest) = kept.front().map(|one| one.number).filter(|_| seen < newest) else {
            return Next::Nothing;
        };
        if seen + 1 < oldest {
            return Next::Lost(newest);
        }
        let place = usize::try_from(seen + 1 - oldest).unwrap_or(usize::MAX);
        kept.get(place).map_or(Next::Nothing, |one| Next::Event(one.clone()))
    }

    /// The number of an act; none when it is not kept.
    #[must_use]
    pub fn number_of(&self, act: &str) -> Option<u64> {
        self.kept.lock().iter().rev().find(|one| one.event.id == act).map(|one| one.number)
    }

    /// Follows the newest number.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The webhooks, by name.
    #[must_use]
    pub fn hooks(&self) -> Vec<Arc<Hook>> {
        self.hooks.read().values().cloned().collect()
    }

    /// One webhook.
    #[must_use]
    pub fn hook(&self, name: &str) -> Option<Arc<Hook>> {
        self.hooks.read().get(name).cloned()
    }

    /// What signs hand-overs.
    #[must_use]
    pub fn signer(&self) -> Option<Arc<NodeKey>> {
        self.signer.read().clone()
    }

    /// Signs with the node's key from now on.
    pub fn sign_with(&self, key: Arc<NodeKey>) {
        *self.signer.write() = Some(key);
    }
}

/// Starts the webhooks of the configuration. One that cannot start keeps nothing else from running.
pub fn start(app: &Arc<App>, config: &Config, journal: &Arc<Journal>) {
    let opened = open(&config.webhooks, journal);
    match opened {
        Ok(hooks) => {
            for hook in hooks {
                app.outward.hooks.write().insert(hook.name().to_owned(), hook.clone());
                app.tasks.spawn(hook::run(app.clone(), hook));
            }
        }
        Err(error) => {
            tracing::error!(%error, "cannot start the webhooks; nothing is lost, but nothing is sent")
        }
    }
}

/// The webhooks, each at its cursor; a new one begins with what comes from now on. Cursors of those that are not configured
/// any more are forgotten: they would keep the journal's old files for ever.
///
/// # Errors
/// When the journal or a file of certificates cannot be read.
pub fn open(configs: &[WebhookConfig], journal: &Arc<Journal>) -> Result<Vec<Arc<Hook>>, StoreError> {
    let known: Vec<(String, u64)> = journal.cursors()?;
    let configured: Vec<String> = configs.iter().map(WebhookConfig::cursor).collect();
    for (name, _) in &known {
        if name.starts_with(WebhookConfig::CURSOR) && !configured.contains(name) {
            journal.cursor(name)?.remove()?;
        }
    }
    if configs.is_empty() {
        return Ok(Vec::new());
    }
    let dead: DeadLetters = journal.state()?;
    let mut hooks = Vec::new();
    for config in configs {
        let name = config.cursor();
        let cursor = journal.cursor(&name)?;
        if !known.iter().any(|(known, _)| *known == name) {
            cursor.acknowledge(journal.last_seq())?;
        }
        hooks.push(Arc::new(Hook::new(config.clone(), journal.clone(), cursor, dead.of(&config.name))?));
    }
    Ok(hooks)
}
