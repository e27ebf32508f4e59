#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use fengsui_config::Config;
use fengsui_config::clock::{ManualClock, UtcMicros};
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{Journal, JournalOptions, Reducer, VerifyOptions, kinds};
use fengsui_storage::segment::NodeKey;
use serde_json::json;

use super::*;
use crate::auth::accounts::Accounts;
use crate::paths;

const WORDS: &str = "correct horse battery staple";
const CONFIG: &str = "include = [\"more/places.toml\"]\n[node]\nid = \"centre\"\ndata = \"data\"\n\
    [[storage.volume]]\nid = \"v1\"\npath = \"v1\"\n";
const PLACES: &str = "[city]\ncode = \"33080000002000000001\"\nname = \"衢州市\"\n";

struct Sample {
    folder: tempfile::TempDir,
    config: PathBuf,
    checked: Config,
}

fn open(data: &Path) -> Arc<Journal> {
    let key = Arc::new(NodeKey::load_or_create(&paths::node_key(data)).unwrap());
    let clock = Arc::new(ManualClock::at(UtcMicros(1_790_000_000_000_000)));
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    Journal::open(JournalOptions::new(fs, paths::journal(data), clock, "centre".parse().unwrap(), key))
        .unwrap()
}

fn account(journal: &Journal, name: &str) {
    let body = json!({"name": name, "roles": ["administrator"], "password": "$argon2id$hash"});
    journal.append_blocking(kinds::ACCOUNT_CREATED, body).unwrap();
}

fn sample() -> (Sample, Arc<Journal>) {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("old");
    fs::create_dir_all(base.join("more")).unwrap();
    fs::create_dir_all(base.join("v1")).unwrap();
    fs::create_dir_all(base.join("data/tls")).unwrap();
    let config = base.join("fengsui.toml");
    fs::write(&config, CONFIG).unwrap();
    fs::write(base.join("more/places.toml"), PLACES).unwrap();
    fs::write(base.join("v1/fengsui-volume.json"), "{\"uuid\": \"abc\"}").unwrap();
    fs::write(base.join("v1/footage.mp4"), "not in a backup").unwrap();
    fs::write(base.join("data/tls/key.pem"), "PRIVATE").unwrap();
    fs::write(base.join("data/volumes.json"), "{}").unwrap();
    fs::create_dir_all(base.join("data/catalogue")).unwrap();
    fs::write(base.join("data/catalogue/log"), vec![7; 200_000]).unwrap();
    let journal = open(&base.join("data"));
    account(&journal, "li");
    let (checked, _) = Config::load(&config, &BTreeMap::<String, String>::new()).unwrap();
    (Sample { folder, config, checked }, journal)
}

impl Sample {
    fn make(
        &self,
        to: &str,
        passphrase: Option<&str>,
        without_keys: bool,
    ) -> Result<BackupReport, BackupError> {
        make(&BackupOptions {
            config: &self.config,
            checked: &self.checked,
            to: &self.folder.path().join(to),
            passphrase,
            without_keys,
            without_catalogue: false,
        })
    }

    fn restore(&self, from: &str, to: &str, words: &str) -> Result<RestoreReport, BackupError> {
        let config = self.folder.path().join(to).join("fengsui.toml");
        fs::create_dir_all(config.parent().unwrap()).unwrap();
        let mut ask = || Ok(words.to_owned());
        let from = self.folder.path().join(from);
        restore(RestoreOptions { from: &from, config: &config, passphrase: &mut ask })
    }
}

fn names(journal: &Journal) -> Vec<String> {
    let accounts: Accounts = journal.state().unwrap();
    ["li", "late"].into_iter().filter(|n| accounts.get(n).is_some()).map(str::to_owned).collect()
}

#[test]
fn a_restored_node_is_the_node_that_was_backed_up() {
    let (sample, journal) = sample();
    for to in ["a.tar", "folder"] {
        let made = sample.make(to, Some(WORDS), false).unwrap();
        // What comes after the cut is not in it, whatever was written while it was made.
        account(&journal, "late");
        let place = format!("new-{to}");
        let restored = sample.restore(to, &place, WORDS).unwrap();
        assert_eq!((restored.cut_seq, restored.files), (made.cut_seq, made.files));
        assert_eq!(restored.volumes[0].identity, Some(json!({"uuid": "abc"})));
        let base = sample.folder.path().join(&place);
        for file in
            ["fengsui.toml", "more/places.toml", "data/node.key", "data/tls/key.pem", "data/catalogue/log"]
        {
            assert_eq!(
                fs::read(base.join(file)).unwrap(),
                fs::read(sample.config.with_file_name(file)).unwrap(),
                "{file}"
            );
        }
        assert!(!base.join("v1").exists() && !base.join("data/lock").exists());
        let epoch = journal.epoch();
        let restored = open(&base.join("data"));
        assert_eq!(names(&restored), if to == "a.tar" { vec!["li"] } else { vec!["li", "late"] });
        assert!(restored.verify().unwrap().is_sound(), "{:?}", restored.verify());
        assert!(restored.epoch() > epoch + 500, "an epoch that the old node never reaches");
        let kinds: Vec<String> = restored.read(made.cut_seq + 1).unwrap().map(|r| r.unwrap().kind).collect();
        assert_eq!(kinds, ["journal.opened", "journal.restored", "journal.opened"]);
    }
}

#[test]
fn keys_leave_the_node_encrypted_or_not_at_all() {
    let (sample, _journal) = sample();
    assert!(
        matches!(sample.make("a.tar", None, false), Err(BackupError::Refused(why)) if why.contains("--without-keys"))
    );
    assert!(matches!(sample.make("a.tar", Some("short"), false), Err(BackupError::Refused(_))));
    sample.make("a.tar", Some(WORDS), false).unwrap();
    let bytes = fs::read(sample.folder.path().join("a.tar")).unwrap();
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(!holds(&bytes, "PRIVATE") && !holds(&bytes, "argon2id$hash") && !holds(&bytes, "data/node.key"));
    let report = sample.make("b.tar", None, true).unwrap();
    assert_eq!(report.left_out.len(), 2, "{report:?}");
    let bytes = fs::read(sample.folder.path().join("b.tar")).unwrap();
    let key = fs::read_to_string(sample.config.with_file_name("data/node.key")).unwrap();
    assert!(!holds(&bytes, "PRIVATE") && !holds(&bytes, key.trim()));
    let restored = sample.restore("b.tar", "new", "").unwrap();
    assert!(!restored.keys);
    let journal = open(&restored.data);
    assert_eq!(names(&journal), ["li"]);
    assert!(journal.verify().unwrap().is_sound(), "{:?}", journal.verify());
}

#[test]
fn nothing_is_written_over_and_a_wrong_passphrase_leaves_nothing() {
    let (sample, _journal) = sample();
    sample.make("a.tar", Some(WORDS), false).unwrap();
    let refused = |result: Result<RestoreReport, BackupError>, part: &str| {
        let why = result.unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
    };
    assert!(sample.make("a.tar", Some(WORDS), false).unwrap_err().to_string().contains("there already"));
    refused(sample.restore("a.tar", "new", "another horse battery"), "passphrase");
    refused(sample.restore("a.tar", "old", WORDS), "there already");
    fs::create_dir_all(sample.folder.path().join("full/data")).unwrap();
    fs::write(sample.folder.path().join("full/data/x"), "x").unwrap();
    refused(sample.restore("a.tar", "full", WORDS), "is not empty");
    let left: Vec<_> = fs::read_dir(sample.folder.path().join("new")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    sample.restore("a.tar", "new", WORDS).unwrap();
}

#[test]
fn a_changed_backup_is_refused_as_a_whole() {
    let (sample, _journal) = sample();
    sample.make("plain", None, true).unwrap();
    let folder = sample.folder.path().join("plain/files");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for path in files {
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&path, changed).unwrap();
        let refused = sample.restore("plain", "new", "").unwrap_err();
        assert!(matches!(refused, BackupError::Damaged(..)), "{refused}");
        assert!(!sample.folder.path().join("new/fengsui.toml").exists());
        assert!(!sample.folder.path().join("new/data").exists());
        fs::write(&path, whole).unwrap();
        fs::remove_dir_all(sample.folder.path().join("new")).unwrap();
    }
    let fs_: Arc<dyn Fs> = Arc::new(RealFs);
    let restored = sample.restore("plain", "new", "").unwrap();
    let dir = paths::journal(&restored.data);
    assert!(Journal::verify_dir(&fs_, &dir, &VerifyOptions::default()).unwrap().is_sound());
    assert_eq!(Accounts::NAME, "accounts");
}

#[test]
fn a_manifest_cannot_lead_out_of_its_folders() {
    let (sample, _journal) = sample();
    sample.make("plain", None, true).unwrap();
    let path = sample.folder.path().join("plain/manifest");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"more/places.toml\""));
    fs::write(&path, text.replace("\"more/places.toml\"", "\"../escaped.toml\"")).unwrap();
    assert!(sample.restore("plain", "new", "").unwrap_err().to_string().contains("leads out"));
    assert!(!sample.folder.path().join("escaped.toml").exists());
}
