//! Reading the configuration again while the node runs. Cameras and places change at once; everything else is noted as
//! needing a restart. A configuration that is refused changes nothing: the refusals are logged and shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fengsui_config::env::ProcessEnv;
use fengsui_config::{Config, Topology};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::Mutex;

use crate::app::{App, ConfigNote, Reload, Reloaded};
use crate::auth::register::kinds;
use crate::node::Cameras;
use crate::trail::{ConfigMemory, ConfigState};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Refusals shown; a broken file can have thousands.
const REFUSALS_SHOWN_MAX: usize = 200;

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
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || Config::load(&path, &ProcessEnv)).await;
        let (config, warnings) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(refusals)) => {
                let lines: Vec<String> =
                    refusals.refusals.iter().take(REFUSALS_SHOWN_MAX).map(ToString::to_string).collect();
                self.refused(&by, &lines).await;
                return Err(lines);
            }
            Err(error) => return Err(vec![format!("the configuration could not be read: {error}")]),
        };
        let found = changes(&current.topology, &config.topology);
        let places = current.topology != config.topology;
        let now = self.state().await;
        let before = self.in_use.lock().replace(now.clone());
        let mut notes = restart_notes(&current, &config);
        for note in &notes {
            tracing::warn!("{note}");
        }
        for warning in &warnings {
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
            self.cameras.apply(&config.topology);
            self.app.set_topology(Arc::new(config.topology.clone()));
        }
        if current.retention != config.retention {
            self.cameras.keep(&config.retention);
            current.retention = config.retention;
        }
        // What needs a restart stays as it was, so that the next reload says so again.
        current.topology = config.topology;
        let Changes { added, changed, removed } = found;
        tracing::info!(added, changed, removed, "read the configuration again");
        Ok(Reloaded { added, changed, removed, notes })
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
