//! Reading the configuration again while the node runs. Cameras and places change at once; everything else is noted as
//! needing a restart. A configuration that is refused changes nothing: the refusals are logged and shown. Places and cameras
//! of the node's centre, when a version of it is in force, take the place of those in the file ([`central`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fengsui_config::central::CentralTopology;
use fengsui_config::env::ProcessEnv;
use fengsui_config::{Config, Refusals, Topology, Warning};
use fengsui_relay::central::{Offer, Verdict};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinError;

use crate::app::{App, ConfigNote, Reload, Reloaded};
use crate::auth::register::kinds;
use crate::central::{self, Central, OfferError, ReleaseError};
use crate::node::Cameras;
use crate::trail::{ConfigMemory, ConfigState};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Refusals shown; a broken file can have thousands.
const REFUSALS_SHOWN_MAX: usize = 200;

/// What reading a configuration gives.
type Read = Result<(Config, Vec<Warning>), Refusals>;

/// Reads the configuration again and applies it.
pub struct Reloader {
    path: PathBuf,
    app: Arc<App>,
    cameras: Arc<Cameras>,
    /// What is in use; held while a new one is taken into use.
    current: Mutex<Config>,
    /// The same by its values, for the journal; absent until the first reload after a start that could not tell.
    in_use: parking_lot::Mutex<Option<ConfigState>>,
}

/// Changes between two sets of cameras.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    added: usize,
    changed: usize,
    removed: usize,
}

fn changes(before: &Topology, after: &Topology) -> Changes {
    let mut found = Changes::default();
    for (id, camera) in &after.cameras {
        match before.cameras.get(id) {
            None => found.added += 1,
            Some(old) if old != camera => found.changed += 1,
            Some(_) => {}
        }
    }
    found.removed = before.cameras.keys().filter(|id| !after.cameras.contains_key(id)).count();
    found
}

/// Parts of a configuration that only a restart takes into use.
fn restart_notes(before: &Config, after: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    for (differs, section) in [
        (before.node != after.node, "[node]"),
        (before.web != after.web, "[web]"),
        (before.storage != after.storage, "[storage]"),
        (before.ingest != after.ingest, "[ingest]"),
        (before.relay != after.relay, "[relay]"),
        (before.webhooks != after.webhooks, "[[webhook]]"),
    ] {
        if differs {
            notes.push(format!("{section} changed; that takes effect when the node starts again"));
        }
    }
    notes
}

impl Reloader {
    /// Reloads `path`; `current` is in use now.
    pub(crate) fn new(path: PathBuf, current: Config, app: Arc<App>, cameras: Arc<Cameras>) -> Self {
        let in_use = parking_lot::Mutex::new(ConfigMemory::new(&current.node.data).load());
        Self { path, app, cameras, current: Mutex::new(current), in_use }
    }

    /// The configuration by its values, as the files say now.
    async fn state(&self) -> ConfigState {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || ConfigState::read(&path)).await.unwrap_or_default()
    }

    async fn run(&self, by: String) -> Result<Reloaded, Vec<String>> {
        let mut current = self.current.lock().await;
        let central = self.central().and_then(|central| central.topology());
        let (config, warnings) = match self.read(central.clone()).await {
            Ok(Ok(read)) => read,
            Ok(Err(refusals)) => {
                let lines: Vec<String> =
                    refusals.refusals.iter().take(REFUSALS_SHOWN_MAX).map(ToString::to_string).collect();
                self.refused(&by, &lines).await;
                return Err(lines);
            }
            Err(error) => return Err(vec![format!("the configuration could not be read: {error}")]),
        };
        let mut done = self.apply(&mut current, config, &warnings, &by).await;
        if let Some(central) = central {
            done.notes.push(format!(
                "{} is in force: places and cameras of this file wait (fengsui node config release)",
                central.name().display()
            ));
        }
        Ok(done)
    }

    /// Reads the node's own file, with places and cameras of its centre when there are any.
    async fn read(&self, central: Option<CentralTopology>) -> Result<Read, JoinError> {
        let path = self.path.clone();
        let read = move || match central {
            Some(central) => Config::load_central(&path, &ProcessEnv, &central),
            None => Config::load(&path, &ProcessEnv),
        };
        tokio::task::spawn_blocking(read).await
    }

    fn central(&self) -> Option<Arc<Central>> {
        self.app.central.read().clone()
    }

    /// Takes a version of the centre, or says why not; then all is as it was.
    async fn take(&self, offer: Offer) -> Result<(), OfferError> {
        let mut current = self.current.lock().await;
        let central = self.central().ok_or(OfferError::NoFile)?;
        let done = self.take_into(&mut current, &central, offer.clone()).await;
        if let Err(error) = &done {
            central.refused(&*self.app.auth.register, &offer, error).await;
        }
        done
    }

    async fn take_into(
        &self,
        current: &mut Config,
        central: &Arc<Central>,
        offer: Offer,
    ) -> Result<(), OfferError> {
        if central.judge(&offer)? == Verdict::Same {
            return Ok(());
        }
        let topology = CentralTopology { version: offer.version, text: offer.text.clone() };
        let name = topology.name();
        let read = self.read(Some(topology)).await.map_err(|error| OfferError::Defect(error.to_string()))?;
        let (config, warnings) =
            read.map_err(|refusals| OfferError::Text(central::faults(&refusals, &name)))?;
        let by = format!("{} (centre)", offer.by);
        central.receive(&*self.app.auth.register, offer, self.app.clock.utc()).await?;
        self.apply(current, config, &warnings, &by).await;
        Ok(())
    }

    /// Goes back to the node's own file.
    async fn let_go(&self, by: &str, reason: &str) -> Result<u64, ReleaseError> {
        let mut current = self.current.lock().await;
        let central = self.central().filter(|c| c.in_force().is_some()).ok_or(ReleaseError::Nothing)?;
        let read = self.read(None).await.map_err(|error| ReleaseError::Own(vec![error.to_string()]))?;
        let lines = |refusals: Refusals| refusals.refusals.iter().map(ToString::to_string).collect();
        let (config, warnings) = read.map_err(|refusals| ReleaseError::Own(lines(refusals)))?;
        let version = central.release(&*self.app.auth.register, by, reason).await?;
        self.apply(&mut current, config, &warnings, by).await;
        version.ok_or(ReleaseError::Nothing)
    }

    /// Takes a configuration that is good into use.
    async fn apply(&self, current: &mut Config, config: Config, warnings: &[Warning], by: &str) -> Reloaded {
        let found = changes(&current.topology, &config.topology);
        let places = current.topology != config.topology;
        let now = self.state().await;
        let before = self.in_use.lock().replace(now.clone());
        let mut notes = restart_notes(current, &config);
        for note in &notes {
            tracing::warn!("{note}");
        }
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        notes.extend(warnings.iter().map(ToString::to_string));
        *self.app.config_note.write() = None;
        if places || before.as_ref() != Some(&now) {
            let row =
                json!({"by": by, "added": found.added, "changed": found.changed, "removed": found.removed});
            let row = now.describe(before.as_ref(), row);
            if let Err(error) = self.app.auth.register.append(kinds::CONFIG_RELOADED, row).await {
                tracing::error!(%error, "cannot write the reload to the journal");
            }
            ConfigMemory::new(&current.node.data).store(&now);
        }
        if places {
            self.cameras.configure(&self.app, &config.topology);
        }
        if current.retention != config.retention {
            self.cameras.keep(&config.retention);
            current.retention = config.retention;
        }
        // What needs a restart stays as it was, so that the next reload says so again.
        current.topology = config.topology;
        let Changes { added, changed, removed } = found;
        tracing::info!(added, changed, removed, "read the configuration again");
        Reloaded { added, changed, removed, notes }
    }

    async fn refused(&self, by: &str, lines: &[String]) {
        for line in lines {
            tracing::error!("refused: {line}");
        }
        tracing::error!(refusals = lines.len(), "the new configuration is refused; the old one stays in use");
        let note = ConfigNote { at: self.app.clock.utc(), refusals: lines.to_vec() };
        *self.app.config_note.write() = Some(note);
        let row = json!({"by": by, "refusals": lines.len(), "files": self.state().await.files()});
        if let Err(error) = self.app.auth.register.append(kinds::CONFIG_REFUSED, row).await {
            tracing::error!(%error, "cannot write the refusal to the journal");
        }
    }

    /// Reloads when a file changed and has rested for one look, until the node stops.
    pub(crate) async fn watch_file(self: Arc<Self>) {
        let mut applied = self.stamps().await;
        let mut last = applied.clone();
        loop {
            tokio::select! {
                () = self.app.stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let now = self.stamps().await;
            if now != applied && now == last {
                applied = now.clone();
                let _ = self.run("file".to_owned()).await;
            }
            last = now;
        }
    }

    /// Times and sizes of the configuration file and of the other TOML files beside it, which it may include.
    async fn stamps(&self) -> Stamps {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || stamps(&path)).await.unwrap_or_default()
    }
}

type Stamps = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

fn stamps(path: &Path) -> Stamps {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let beside = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let toml = beside.filter(|p| p.extension().is_some_and(|e| e == "toml"));
    let files = toml.chain([path.to_owned()]);
    files.filter_map(|p| std::fs::metadata(&p).ok().map(|m| (p, (m.modified().ok(), m.len())))).collect()
}

impl Reload for Reloader {
    fn reload(&self, by: String) -> BoxFuture<'_, Result<Reloaded, Vec<String>>> {
        self.run(by).boxed()
    }

    fn offer(&self, offer: Offer) -> BoxFuture<'_, Result<(), OfferError>> {
        self.take(offer).boxed()
    }

    fn release(&self, by: String, reason: String) -> BoxFuture<'_, Result<u64, ReleaseError>> {
        async move { self.let_go(&by, &reason).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testing::config;

    #[test]
    fn changes_are_counted_by_camera() {
        let before = config().topology;
        let mut after = before.clone();
        assert_eq!(changes(&before, &after), Changes::default());
        let (first, mut camera) = after.cameras.pop_first().unwrap();
        camera.name.push('2');
        camera.id = "33080200001320000077".parse().unwrap();
        after.cameras.insert(camera.id, camera);
        let mut last = after.cameras.last_entry().unwrap();
        last.get_mut().enabled = !last.get().enabled;
        assert!(!after.cameras.contains_key(&first));
        assert_eq!(changes(&before, &after), Changes { added: 1, changed: 0, removed: 1 });
        let mut other = before.clone();
        other.cameras.first_entry().unwrap().get_mut().enabled = false;
        assert_eq!(changes(&before, &other), Changes { added: 0, changed: 1, removed: 0 });
    }

    #[test]
    fn what_needs_a_restart_is_said() {
        let before = config();
        let mut after = before.clone();
        assert!(restart_notes(&before, &after).is_empty());
        after.web.listen.clear();
        after.storage.ring_budget_bytes += 1;
        after.ingest.lean = !after.ingest.lean;
        assert_eq!(restart_notes(&before, &after).len(), 3);
    }

    #[test]
    fn a_changed_file_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fengsui.toml");
        std::fs::write(&path, "a").unwrap();
        let before = stamps(&path);
        std::fs::write(folder.path().join("city.toml"), "b").unwrap();
        assert_ne!(stamps(&path), before);
    }
}
