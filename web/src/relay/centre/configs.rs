//! Configurations of nodes at their centre: saved in versions, sent to the nodes, and noted what each made of them.
//!
//! What is due for a node follows from the versions and from what the node last said of itself
//! ([`Versions::due`]); so a node gets what it lacks after every cut, kill and restore, without a queue that could be lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::central::CentralTopology;
use fengsui_config::clock::MonoMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use fengsui_relay::call::OnBehalf;
use fengsui_relay::central::{
    ConfigWord, Draft, Due, Entry, Fault, Offer, Outcome, SaveRefused, Saved, Versions,
};
use fengsui_relay::identity::NodeRefusal;
use fengsui_storage::journal::{Reducer as _, kinds};
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use super::Centre;
use crate::app::App;
use crate::auth::register::RegisterError;
use crate::relay::calls::Call;
use crate::relay::presence::Silence;

/// Where a node takes configurations.
pub const PATH: &str = "/api/v1/node/config";

/// What a node answers to an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What became of the version.
    pub outcome: Outcome,
    /// Why it was not taken.
    pub faults: Vec<Fault>,
}

/// What a node says of its places and cameras.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// The centre's version in force; none: its own file.
    pub in_force: Option<u64>,
    /// Places and cameras as TOML, without users and passwords.
    pub text: String,
}

/// Asks a node something over its link.
pub trait Asks: Send + Sync {
    /// One request and its answer, or why there is none.
    fn ask<'a>(
        &'a self,
        node: &'a NodeId,
        method: Method,
        path: &'a str,
        body: Bytes,
        by: OnBehalf,
    ) -> BoxFuture<'a, Result<(StatusCode, Bytes), String>>;
}

impl Asks for Centre {
    fn ask<'a>(
        &'a self,
        node: &'a NodeId,
        method: Method,
        path: &'a str,
        body: Bytes,
        by: OnBehalf,
    ) -> BoxFuture<'a, Result<(StatusCode, Bytes), String>> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let call = Call { method, path_and_query: path.to_owned(), headers, body, by };
        let asked = async move {
            let answer =
                self.call(node, call, limits::RELAY_CONFIG_TIMEOUT).await.map_err(|e| e.to_string())?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), limits::RELAY_CONFIG_ANSWER_BYTES_MAX).collect();
            Ok((status, body.await.map_err(|e| e.to_string())?.to_bytes()))
        };
        Box::pin(async move {
            let within = tokio::time::timeout(limits::RELAY_CONFIG_TIMEOUT, asked).await;
            within.unwrap_or_else(|_| Err(format!("{node} did not answer in time")))
        })
    }
}

/// Why a version is not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeRefusal),
    /// The versions that there are.
    #[error(transparent)]
    Versions(#[from] SaveRefused),
    /// The text.
    #[error("the text has {} faults", .0.len())]
    Text(Vec<Fault>),
    /// It could not be noted.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// Sending to one node.
#[derive(Debug, Default, Clone)]
struct Sending {
    busy: bool,
    /// The version sent last, and when.
    last: Option<(u64, MonoMicros)>,
    why: Option<String>,
}

/// Configurations of all nodes.
#[derive(Debug)]
pub struct Configs {
    versions: RwLock<Versions>,
    /// Held from the decision until the record is durable and applied.
    turn: tokio::sync::Mutex<()>,
    sending: Mutex<BTreeMap<NodeId, Sending>>,
    changed: Notify,
}

impl Configs {
    /// With what the journal says.
    #[must_use]
    pub fn new(versions: Versions) -> Self {
        Self {
            versions: RwLock::new(versions),
            turn: tokio::sync::Mutex::default(),
            sending: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Looks at the versions.
    pub fn read<T>(&self, look: impl FnOnce(&Versions) -> T) -> T {
        look(&self.versions.read())
    }

    /// Why the newest version has not reached a node, when it was tried.
    #[must_use]
    pub fn why(&self, node: &NodeId) -> Option<String> {
        self.sending.lock().get(node).and_then(|s| s.why.clone())
    }

    /// Takes the right to send to a node; none while somebody does, or did a moment ago.
    fn begin(&self, node: &NodeId, version: u64, now: MonoMicros) -> bool {
        let mut all = self.sending.lock();
        let sending = all.entry(node.clone()).or_default();
        let lately =
            |(sent, at): (u64, MonoMicros)| sent == version && now.since(at) < limits::RELAY_CONFIG_AGAIN;
        if sending.busy || sending.last.is_some_and(lately) {
            return false;
        }
        (sending.busy, sending.last) = (true, Some((version, now)));
        true
    }

    fn end(&self, node: &NodeId, why: Option<String>) {
        let mut all = self.sending.lock();
        let sending = all.entry(node.clone()).or_default();
        (sending.busy, sending.why) = (false, why);
    }
}

/// Checks a text for a node that may speak of these cameras.
fn check(text: &CentralTopology, allowed: impl Fn(&CameraId) -> bool) -> Result<(), Vec<Fault>> {
    let (lines, _) = text.check().map_err(|refusals| crate::central::faults(&refusals, &text.name()))?;
    let foreign = lines.into_iter().filter(|(camera, _)| !allowed(camera));
    let mut faults: Vec<Fault> = foreign
        .map(|(camera, line)| Fault {
            line,
            key: "camera.code".to_owned(),
            value: camera.to_string(),
            problem: "is not assigned to this node".to_owned(),
            remedy: "assign it to the node first, or remove it here".to_owned(),
        })
        .collect();
    faults.sort_by_key(|fault| fault.line);
    faults.truncate(limits::RELAY_CONFIG_FAULTS_MAX);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

impl Centre {
    /// What a node last said of its configuration; nothing when it is not heard, or says nothing of that.
    #[must_use]
    pub fn config_word(&self, node: &NodeId) -> Option<ConfigWord> {
        self.presence.lock().of(node).and_then(|last| last.word.config)
    }

    /// Saves a version of a node's places and cameras; it goes to the node as soon as that can be reached.
    ///
    /// # Errors
    /// Why not; then there is none.
    pub async fn save_config(&self, app: &App, node: &NodeId, draft: Draft) -> Result<Entry, SaveError> {
        let _turn = self.configs.turn.lock().await;
        let nodes = self.roll.nodes();
        if !self.roll.works(node) {
            let known = nodes.get(node).is_some();
            let node = node.clone();
            return Err(if known { NodeRefusal::Retired(node) } else { NodeRefusal::Unknown(node) }.into());
        }
        let known = self.config_word(node).map_or(0, ConfigWord::newest);
        // Before the text is looked at: who was overtaken has to begin anew in any case.
        let saved: Saved = self.configs.read(|versions| versions.save(node, draft, known))?;
        let text = CentralTopology { version: saved.version, text: saved.text.clone() };
        check(&text, |camera| nodes.may_speak_of(node, *camera)).map_err(SaveError::Text)?;
        self.enter_config(app, kinds::CONFIG_SAVED, &saved).await?;
        tracing::info!(%node, version = saved.version, by = saved.by, "saved a configuration of a node");
        self.configs.changed.notify_one();
        let entry = self.configs.read(|versions| versions.get(node, saved.version).cloned());
        entry.ok_or_else(|| RegisterError("the version is not among the others".to_owned()).into())
    }

    async fn enter_config(
        &self,
        app: &App,
        kind: &'static str,
        body: &impl Serialize,
    ) -> Result<(), RegisterError> {
        let body = serde_json::to_value(body).unwrap_or_default();
        let record = self.write(app, kind, body).await?;
        if let Err(error) = self.configs.versions.write().apply(&record) {
            // The body was made here; it is read again from the journal at the next start.
            tracing::error!(%error, "cannot apply a record of a node's configuration");
        }
        Ok(())
    }

    /// Notes what became of a version.
    async fn settle_config(&self, app: &App, node: &NodeId, version: u64, answer: Answer) {
        let _turn = self.configs.turn.lock().await;
        let Answer { outcome, faults } = answer;
        let settled = self.configs.read(|versions| versions.settle(node, version, outcome, faults));
        let Some(settled) = settled else { return };
        tracing::info!(%node, version, ?outcome, faults = settled.faults.len(), "a node and its configuration");
        if let Err(error) = self.enter_config(app, kinds::CONFIG_SETTLED, &settled).await {
            // The node is asked again.
            tracing::error!(%error, "cannot note what a node made of its configuration");
        }
    }

    /// Text of a version, from the journal.
    ///
    /// # Errors
    /// When the journal cannot be read; nothing when it has no such version.
    pub async fn config_text(
        &self,
        app: &App,
        node: &NodeId,
        version: u64,
    ) -> Result<Option<String>, RegisterError> {
        let (found, newest) = self.configs.read(|versions| {
            (versions.get(node, version).cloned(), versions.offer(node).filter(|o| o.version == version))
        });
        if let Some(newest) = newest {
            return Ok(Some(newest.text));
        }
        let Some(entry) = found else { return Ok(None) };
        let seq = entry.seq;
        let page = app.auth.register.page(seq.saturating_add(1), 1, Box::new(move |r| r.seq == seq)).await?;
        let text = page.records.first().and_then(|r| r.body.get("text")).and_then(Value::as_str);
        Ok(text.map(str::to_owned))
    }
}

/// Asks a node what it goes by now.
///
/// # Errors
/// Why it does not say.
pub async fn current(asks: &dyn Asks, node: &NodeId, by: OnBehalf) -> Result<Current, String> {
    let (status, body) = asks.ask(node, Method::GET, PATH, Bytes::new(), by).await?;
    read(status, &body)
}

fn read<T: for<'de> Deserialize<'de>>(status: StatusCode, body: &[u8]) -> Result<T, String> {
    if status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED {
        return Err("the node's program is older and takes no configuration from its centre".to_owned());
    }
    if !status.is_success() {
        let detail = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let detail = detail.get("detail").and_then(Value::as_str).unwrap_or_default();
        return Err(format!("the node answers {}: {detail}", status.as_u16()));
    }
    serde_json::from_slice(body).map_err(|error| format!("the node's answer cannot be read: {error}"))
}

/// Sends a version to a node and notes what became of it.
pub(crate) async fn send(app: &App, centre: &Centre, asks: &dyn Asks, node: &NodeId, offer: Offer) {
    let (version, by) = (offer.version, OnBehalf { user: offer.by.clone(), roles: Vec::new() });
    let body = Bytes::from(serde_json::to_vec(&offer).unwrap_or_default());
    let asked = asks.ask(node, Method::PUT, PATH, body, by).await;
    let why = match asked.and_then(|(status, body)| read::<Answer>(status, &body)) {
        Ok(answer) => {
            centre.settle_config(app, node, version, answer).await;
            None
        }
        Err(why) => {
            tracing::warn!(%node, version, why, "a configuration did not reach its node; it is sent again");
            Some(why)
        }
    };
    centre.configs.end(node, why);
}

/// Sends what nodes lack, until this node stops.
pub(super) async fn run(app: Arc<App>, centre: Arc<Centre>) {
    let slots = Arc::new(Semaphore::new(limits::RELAY_CONFIG_SENDS_MAX));
    loop {
        for node in centre.roll.senders().into_iter().filter(|node| centre.roll.works(node)) {
            look(&app, &centre, &node, &slots).await;
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = centre.configs.changed.notified() => {}
            () = tokio::time::sleep(limits::RELAY_CONFIG_LOOK) => {}
        }
    }
}

/// Does what is due for one node.
async fn look(app: &Arc<App>, centre: &Arc<Centre>, node: &NodeId, slots: &Arc<Semaphore>) {
    let word = {
        let presence = centre.presence.lock();
        match presence.of(node) {
            Some(last) if last.silence != Silence::Gone => last.word.config,
            _ => return,
        }
    };
    let (due, offer) = centre.configs.read(|versions| (versions.due(node, word), versions.offer(node)));
    let Some(offer) = offer else { return };
    match due {
        None => {}
        Some(Due::Released) => {
            let answer = Answer { outcome: Outcome::Released, faults: Vec::new() };
            centre.settle_config(app, node, offer.version, answer).await;
        }
        Some(Due::Send) => {
            let Ok(slot) = slots.clone().try_acquire_owned() else { return };
            if !centre.configs.begin(node, offer.version, app.clock.mono()) {
                return;
            }
            let (app, centre, node) = (app.clone(), centre.clone(), node.clone());
            app.clone().tasks.spawn(async move {
                send(&app, &centre, &*centre, &node, offer).await;
                drop(slot);
            });
        }
    }
}
