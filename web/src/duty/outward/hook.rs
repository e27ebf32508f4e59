//! One webhook: reads the journal, posts, waits, gives up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_config::{WebhookConfig, limits};
use fengsui_duty::act::Noted;
use fengsui_duty::outward::{self, CloudEvent, hmac, schedule};
use fengsui_storage::error::StoreError;
use fengsui_storage::journal::{Cursor, Journal, JournalRecord};
use parking_lot::Mutex;
use schedule::Attempts;
use serde_json::json;
use tokio::sync::Notify;

use super::client::{Client, Outcome};
use super::dead::{Dead, DeadLetter, Redelivered};
use crate::app::App;
use crate::auth::register::kinds;

/// Why nothing is delivered now.
#[derive(Debug, Clone)]
pub struct Failing {
    /// Attempts at the event in front.
    pub attempts: Attempts,
    /// When it is tried again.
    pub next: UtcMicros,
    /// What the last attempt came to.
    pub detail: String,
}

/// How a webhook stands.
#[derive(Debug, Clone, Default)]
pub struct HookState {
    /// Events taken since the start.
    pub delivered: u64,
    /// When the last was taken.
    pub delivered_at: Option<UtcMicros>,
    /// What is in the way; none while all goes well.
    pub failing: Option<Failing>,
    /// Dead letters.
    pub dead: Dead,
    /// Events of the record behind the cursor that were taken or given up.
    done: usize,
    /// Dead letters that somebody wants sent again, and who.
    again: VecDeque<(DeadLetter, String)>,
}

/// One webhook.
#[derive(Debug)]
pub struct Hook {
    config: WebhookConfig,
    client: Client,
    journal: Arc<Journal>,
    cursor: Arc<Cursor>,
    state: Mutex<HookState>,
    wake: Notify,
}

/// When a webhook is to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// At once: there may be more.
    Now,
    /// Then.
    At(UtcMicros),
    /// When something comes.
    Idle,
}

impl Hook {
    /// A webhook that goes on behind its cursor.
    ///
    /// # Errors
    /// When its certificates cannot be read.
    pub fn new(
        config: WebhookConfig,
        journal: Arc<Journal>,
        cursor: Cursor,
        dead: Dead,
    ) -> Result<Self, StoreError> {
        let client = Client::new(&config).map_err(StoreError::Invalid)?;
        let state = Mutex::new(HookState { dead, ..HookState::default() });
        Ok(Self { config, client, journal, cursor: Arc::new(cursor), state, wake: Notify::new() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &WebhookConfig {
        &self.config
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> HookState {
        self.state.lock().clone()
    }

    /// Records of the journal that it has not gone through; most are of no interest to it.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.journal.last_seq().saturating_sub(self.cursor.acknowledged())
    }

    /// Tries at once what waits, and sends the dead letters that are listed again. How many of these.
    pub fn retry(&self, by: &str) -> usize {
        let mut state = self.state.lock();
        if let Some(failing) = &mut state.failing {
            failing.next = UtcMicros(0);
        }
        let waiting: Vec<String> = state.again.iter().map(|(letter, _)| letter.act.clone()).collect();
        let dead: Vec<DeadLetter> =
            state.dead.listed.iter().filter(|letter| !waiting.contains(&letter.act)).cloned().collect();
        state.again.extend(dead.into_iter().map(|letter| (letter, by.to_owned())));
        let count = state.again.len();
        drop(state);
        self.wake.notify_one();
        count
    }

    /// Does what is due now, and says when to look again.
    ///
    /// # Errors
    /// When the journal cannot be read or written; nothing is lost then.
    pub async fn look(&self, app: &App) -> Result<Look, StoreError> {
        let again = self.state.lock().again.pop_front();
        if let Some((letter, by)) = again {
            self.again(app, letter, by).await?;
            return Ok(Look::Now);
        }
        let waits = self.state.lock().failing.as_ref().map(|failing| failing.next);
        if let Some(next) = waits.filter(|next| app.clock.utc() < *next) {
            return Ok(Look::At(next));
        }
        let cursor = self.cursor.clone();
        let records = tokio::task::spawn_blocking(move || cursor.batch(limits::WEBHOOK_BATCH_MAX)).await;
        let records = records.map_err(|e| StoreError::Invalid(e.to_string()))??;
        let Some(last) = records.last().map(|record| record.seq) else { return Ok(Look::Idle) };
        for record in &records {
            if let Some(next) = self.record(app, record).await? {
                return Ok(Look::At(next));
            }
        }
        // What is of no interest is passed over without a word to the disk for each.
        self.acknowledge(last).await?;
        Ok(Look::Now)
    }

    /// Sends what a record holds; when it has to wait, until when.
    async fn record(&self, app: &App, record: &JournalRecord) -> Result<Option<UtcMicros>, StoreError> {
        let wanted = self.wanted(record);
        if wanted.is_empty() {
            return Ok(None);
        }
        let done = self.state.lock().done;
        for noted in wanted.iter().skip(done) {
            let event = app.duty.read(|book| outward::event(noted, book));
            match self.post(app, &event).await {
                Outcome::Taken => self.taken(app.clock.utc()),
                Outcome::Refused(detail) => {
                    if let Some(next) = self.failed(app, record.seq, &event, detail, true).await? {
                        return Ok(Some(next));
                    }
                }
                Outcome::Failed(detail) => {
                    if let Some(next) = self.failed(app, record.seq, &event, detail, false).await? {
                        return Ok(Some(next));
                    }
                }
            }
        }
        self.acknowledge(record.seq).await?;
        Ok(None)
    }

    fn wanted(&self, record: &JournalRecord) -> Vec<Noted> {
        let acts = outward::acts_of(record).into_iter();
        acts.filter(|noted| outward::wants(&self.config.kinds, &outward::type_of(noted))).collect()
    }

    async fn post(&self, app: &App, event: &CloudEvent) -> Outcome {
        let body = outward::bytes(event);
        let unix_s = app.clock.utc().0.div_euclid(1_000_000);
        let signature = hmac::signature(self.config.secret.expose().as_bytes(), unix_s, &body);
        self.client.post(self.config.url.as_str(), &signature, body).await
    }

    fn taken(&self, now: UtcMicros) {
        let mut state = self.state.lock();
        if state.failing.take().is_some() {
            tracing::info!(webhook = self.config.name, "the receiver takes events again");
        }
        state.delivered += 1;
        state.delivered_at = Some(now);
        state.done += 1;
    }

    /// Notes a failed attempt. When the event is tried again; nothing when it is given up, and noted as a dead letter.
    async fn failed(
        &self,
        app: &App,
        seq: u64,
        event: &CloudEvent,
        detail: String,
        refused: bool,
    ) -> Result<Option<UtcMicros>, StoreError> {
        let now = app.clock.utc();
        let before = self.state.lock().failing.as_ref().map(|failing| failing.attempts.clone());
        if before.is_none() {
            tracing::warn!(
                webhook = self.config.name,
                detail,
                "the receiver did not take an event; it is tried again"
            );
        }
        let mut attempts = before.unwrap_or(Attempts { made: 0, first: now, refused: 0 });
        attempts.made += 1;
        attempts.refused += u32::from(refused);
        if let schedule::Next::At(next) =
            schedule::after_failure(&attempts, now, seed(&self.config.name, seq))
        {
            self.state.lock().failing = Some(Failing { attempts, next, detail });
            return Ok(Some(next));
        }
        let letter = DeadLetter {
            webhook: self.config.name.clone(),
            seq,
            act: event.id.clone(),
            subject: event.subject.clone(),
            kind: event.kind.clone(),
            attempts: attempts.made,
            first_us: attempts.first,
            at_us: now,
            detail,
        };
        tracing::error!(
            webhook = letter.webhook,
            act = letter.act,
            detail = letter.detail,
            "an event was given up"
        );
        self.note(kinds::WEBHOOK_DEAD, json!(letter)).await?;
        let mut state = self.state.lock();
        state.dead.add(letter);
        state.failing = None;
        state.done += 1;
        Ok(None)
    }

    /// Sends a dead letter once more; it stays one when it is not taken.
    async fn again(&self, app: &App, letter: DeadLetter, by: String) -> Result<(), StoreError> {
        let (journal, seq) = (self.journal.clone(), letter.seq);
        let record = tokio::task::spawn_blocking(move || journal.record(seq)).await;
        let record = record.map_err(|e| StoreError::Invalid(e.to_string()))??;
        let acts = record.as_ref().map(outward::acts_of).unwrap_or_default();
        let Some(noted) = acts.into_iter().find(|noted| noted.id.to_string() == letter.act) else {
            tracing::warn!(act = letter.act, "the record of a dead letter is no longer in the journal");
            return Ok(());
        };
        let event = app.duty.read(|book| outward::event(&noted, book));
        match self.post(app, &event).await {
            Outcome::Taken => {
                let (webhook, act) = (letter.webhook.clone(), letter.act.clone());
                self.note(kinds::WEBHOOK_REDELIVERED, json!(Redelivered { webhook, act, by })).await?;
                let mut state = self.state.lock();
                state.dead.remove(&letter.act);
                state.delivered += 1;
                state.delivered_at = Some(app.clock.utc());
            }
            Outcome::Refused(detail) | Outcome::Failed(detail) => {
                tracing::warn!(
                    webhook = self.config.name,
                    act = letter.act,
                    detail,
                    "a dead letter was not taken"
                );
            }
        }
        Ok(())
    }

    async fn note(&self, kind: &'static str, body: serde_json::Value) -> Result<(), StoreError> {
        let appended = self.journal.append(kind, body).await;
        appended.map(drop).map_err(|e| StoreError::Invalid(e.to_string()))
    }

    async fn acknowledge(&self, seq: u64) -> Result<(), StoreError> {
        let cursor = self.cursor.clone();
        let done = tokio::task::spawn_blocking(move || cursor.acknowledge(seq)).await;
        done.map_err(|e| StoreError::Invalid(e.to_string()))??;
        self.state.lock().done = 0;
        Ok(())
    }
}

/// Draws pauses: others for each webhook and each event, the same after a restart.
fn seed(name: &str, seq: u64) -> u64 {
    let hash = blake3::hash(format!("{name}/{seq}").as_bytes());
    hash.as_bytes().iter().take(8).fold(0, |seed, byte| (seed << 8) | u64::from(*byte))
}

/// Delivers until the node stops.
pub async fn run(app: Arc<App>, hook: Arc<Hook>) {
    while !app.stop.is_cancelled() {
        // Asked for before the look, so that nothing that comes meanwhile is missed.
        let news = app.duty.news.notified();
        let looked = tokio::select! {
            () = app.stop.cancelled() => return,
            looked = hook.look(&app) => looked,
        };
        let idle = matches!(looked, Ok(Look::Idle));
        let pause = match looked {
            Ok(Look::Now) => continue,
            Ok(Look::Idle) => limits::WEBHOOK_LOOK_INTERVAL,
            Ok(Look::At(at)) => {
                let wait = u64::try_from(at.since(app.clock.utc())).unwrap_or(0);
                Duration::from_micros(wait)
            }
            Err(error) => {
                tracing::error!(webhook = hook.name(), %error, "cannot go on with a webhook; trying again");
                limits::WEBHOOK_LOOK_INTERVAL
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = news, if idle => {}
            () = hook.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
