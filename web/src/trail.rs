//! What the node itself writes into the journal: which configuration is in use and what changed in it, and how its
//! volumes stand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::Config;
use fengsui_config::clock::Clock;
use fengsui_config::listing::{config_changes, config_files, config_values};
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::Fs;
use fengsui_storage::journal::{Journal, JournalOptions};
use fengsui_storage::segment::NodeKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::auth::register::kinds;
use crate::paths;
use crate::recordings::VolumeNow;

/// Changes that one row lists; the others are counted.
const CHANGES_MAX: usize = 200;
/// Characters of a value in a row.
const VALUE_CHARS_MAX: usize = 200;
/// How often the volumes are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Name of the file that remembers the configuration in use, secrets left out.
const MEMORY_FILE: &str = "config-in-use.json";

/// One file of the configuration in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileSum {
    path: String,
    sha256: String,
}

/// A configuration by its values, without secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigState {
    files: Vec<FileSum>,
    values: BTreeMap<String, String>,
}

impl ConfigState {
    /// As the files say now.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let files = config_files(path);
        let sum = |file: &fengsui_config::listing::ConfigFile| FileSum {
            path: file.path.display().to_string(),
            sha256: hex::encode(Sha256::digest(file.text.as_bytes())),
        };
        Self { files: files.iter().map(sum).collect(), values: config_values(&files) }
    }

    /// Hashes of the files, for a row.
    #[must_use]
    pub fn files(&self) -> Value {
        json!(self.files)
    }

    /// Adds files and changes since `before` to a row.
    #[must_use]
    pub fn describe(&self, before: Option<&Self>, mut row: Value) -> Value {
        let changes = before.map(|b| config_changes(&b.values, &self.values)).unwrap_or_default();
        let listed: Vec<Value> = changes
            .iter()
            .take(CHANGES_MAX)
            .map(|c| json!({"name": c.name, "from": clipped(c.from.as_deref()), "to": clipped(c.to.as_deref())}))
            .collect();
        if let Some(fields) = row.as_object_mut() {
            fields.insert("files".into(), self.files());
            fields.insert("unlisted".into(), changes.len().saturating_sub(listed.len()).into());
            fields.insert("changes".into(), listed.into());
        }
        row
    }
}

fn clipped(value: Option<&str>) -> Option<String> {
    value.map(|text| text.chars().take(VALUE_CHARS_MAX).collect())
}

/// The configuration in use, remembered over restarts. What is lost of it costs the list of changes of one start.
#[derive(Debug)]
pub struct ConfigMemory {
    file: PathBuf,
}

impl ConfigMemory {
    /// In the data folder.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { file: data.join(MEMORY_FILE) }
    }

    /// What was in use last.
    #[must_use]
    pub fn load(&self) -> Option<ConfigState> {
        serde_json::from_slice(&std::fs::read(&self.file).ok()?).ok()
    }

    /// Remembers what is in use.
    pub fn store(&self, state: &ConfigState) {
        let draft = self.file.with_extension("new");
        let bytes = serde_json::to_vec(state).unwrap_or_default();
        if let Err(error) = std::fs::write(&draft, bytes).and_then(|()| std::fs::rename(&draft, &self.file)) {
            tracing::warn!(%error, "cannot remember the configuration in use; the next start lists no changes");
        }
    }
}

/// Opens the journal of a node.
///
/// # Errors
/// When the disk refuses.
pub fn open(
    config: &Config,
    fs: &Arc<dyn Fs>,
    clock: &Arc<dyn Clock>,
    key: &Arc<NodeKey>,
) -> Result<Arc<Journal>, StoreError> {
    let (dir, node) = (paths::journal(&config.node.data), config.node.id.clone());
    Journal::open(JournalOptions::new(fs.clone(), dir, clock.clone(), node, key.clone()))
}

/// Writes the start and its configuration into the journal.
pub async fn started(app: &App, path: PathBuf, data: PathBuf) {
    let register = &app.auth.register;
    if let Err(error) = register.append(kinds::NODE_STARTED, json!({"version": app.node.version})).await {
        tracing::error!(%error, "cannot write the start to the journal");
    }
    let read = tokio::task::spawn_blocking(move || {
        let memory = ConfigMemory::new(&data);
        let (before, now) = (memory.load(), ConfigState::read(&path));
        memory.store(&now);
        (before, now)
    });
    let Ok((before, now)) = read.await else { return };
    let row = now.describe(before.as_ref(), json!({"compared": before.is_some()}));
    if let Err(error) = register.append(kinds::CONFIG_IN_USE, row).await {
        tracing::error!(%error, "cannot write the configuration in use to the journal");
    }
}

/// Rows for what changed between two looks.
fn volume_rows(told: &mut BTreeMap<String, String>, volumes: &[VolumeNow]) -> Vec<Value> {
    let mut rows = Vec::new();
    for volume in volumes {
        let state = json!(volume.state).as_str().unwrap_or_default().to_owned();
        let before = told.insert(volume.id.clone(), state.clone());
        if before.as_ref() != Some(&state) {
            rows.push(json!({"volume": volume.id, "from": before, "to": state, "detail": volume.detail}));
        }
    }
    rows
}

/// Writes every change of a volume's state into the journal until the node stops.
pub async fn watch_volumes(app: Arc<App>) {
    let mut told = BTreeMap::new();
    loop {
        for row in volume_rows(&mut told, &app.recordings.volumes()) {
            if let Err(error) = app.auth.register.append(kinds::STORAGE_VOLUME_STATE, row).await {
                tracing::error!(%error, "cannot write the state of a volume to the journal");
            }
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::recordings::VolumeState;

    fn volume(state: VolumeState) -> VolumeNow {
        VolumeNow { id: "v1".into(), state, detail: None, total_bytes: 1, free_bytes: 1 }
    }

    #[test]
    fn a_volume_is_written_down_when_its_state_changes() {
        let mut told = BTreeMap::new();
        let mut look = |state| volume_rows(&mut told, &[volume(state)]);
        assert_eq!(
            look(VolumeState::Ok),
            [json!({"volume": "v1", "from": null, "to": "ok", "detail": null})]
        );
        assert!(look(VolumeState::Ok).is_empty());
        assert_eq!(look(VolumeState::Missing)[0]["from"], "ok");
    }

    #[test]
    fn a_start_tells_what_changed_since_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fengsui.toml");
        let memory = ConfigMemory::new(folder.path());
        assert_eq!(memory.load(), None);
        std::fs::write(&path, "[node]\nid = \"a\"\n").unwrap();
        let before = ConfigState::read(&path);
        memory.store(&before);
        assert_eq!(memory.load().as_ref(), Some(&before));
        std::fs::write(&path, "[node]\nid = \"b\"\n").unwrap();
        let row = ConfigState::read(&path).describe(memory.load().as_ref(), json!({"by": "file"}));
        assert_eq!(row["changes"], json!([{"name": "node.id", "from": "a", "to": "b"}]));
        assert_eq!((&row["by"], &row["unlisted"]), (&json!("file"), &json!(0)));
        assert_eq!(row["files"][0]["sha256"].as_str().unwrap().len(), 64);
    }
}
