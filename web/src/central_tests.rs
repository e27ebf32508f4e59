#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use fengsui_config::clock::{Clock, ManualClock};
use fengsui_config::write;
use fengsui_relay::central::sum;
use fengsui_storage::fs::{Fault as DiskFault, FaultPlan, SimFs};
use fengsui_storage::journal::JournalOptions;
use fengsui_storage::segment::NodeKey;

use super::*;
use crate::testing::{MemoryRegister, NOW, config};

fn offer(version: u64, text: &str) -> Offer {
    Offer { version, hash: sum(text), text: text.to_owned(), by: "li".to_owned() }
}

fn central(fs: &Arc<SimFs>) -> Arc<Central> {
    Arc::new(Central::new(fs.clone(), Path::new("/data"), Standing::default()))
}

#[tokio::test]
async fn nothing_is_in_force_before_the_journal_has_it() {
    let (fs, register) = (Arc::new(SimFs::new(1)), MemoryRegister::default());
    let central = central(&fs);
    register.broken.store(true, Ordering::SeqCst);
    central.receive(&register, offer(3, "a"), NOW).await.unwrap_err();
    assert!(central.in_force().is_none() && fs.files().is_empty());
    register.broken.store(false, Ordering::SeqCst);
    central.receive(&register, offer(3, "a"), NOW).await.unwrap();
    assert_eq!(register.of(kinds::CONFIG_RECEIVED)[0]["text"], "a");
    assert_eq!(
        (central.word().in_force, fs.files()),
        (Some(3), vec![PathBuf::from("/data/relay/config-3.toml")])
    );
    register.broken.store(true, Ordering::SeqCst);
    central.release(&register, "wang", "wrong street").await.unwrap_err();
    assert_eq!(central.word().in_force, Some(3), "what is not noted has not happened");
    register.broken.store(false, Ordering::SeqCst);
    assert_eq!(central.release(&register, "wang", "wrong street").await.unwrap(), Some(3));
    assert_eq!((central.word().released, fs.files()), (Some(3), vec![]));
    assert_eq!(central.release(&register, "wang", "").await.unwrap(), None);
    assert_eq!(register.of(kinds::CONFIG_RELEASED).len(), 1);
}

#[tokio::test]
async fn a_disk_that_takes_no_file_keeps_no_version_out_of_force() {
    let (fs, register) = (Arc::new(SimFs::new(1)), MemoryRegister::default());
    let central = central(&fs);
    fs.plan(FaultPlan { operation: None, below: None, after: 0, times: u64::MAX, fault: DiskFault::NoSpace });
    central.receive(&register, offer(3, "a"), NOW).await.unwrap();
    assert_eq!(central.word().in_force, Some(3), "the journal has it");
}

#[tokio::test]
async fn what_was_not_taken_is_noted_with_its_reasons() {
    let (fs, register) = (Arc::new(SimFs::new(1)), MemoryRegister::default());
    let central = central(&fs);
    central.receive(&register, offer(3, "a"), NOW).await.unwrap();
    let refused = OfferError::from(central.judge(&offer(2, "b")).unwrap_err());
    central.refused(&register, &offer(2, "b"), &refused).await;
    let row = &register.of(kinds::CONFIG_OFFER_REFUSED)[0];
    assert_eq!((&row["version"], &row["faults"][0]["problem"]), (&json!(2), &json!(refused.to_string())));
    assert!(row.get("text").is_none(), "its text is at the centre");
}

/// A node's own file in a folder, and a version of the centre in which a camera has another name.
fn house() -> (tempfile::TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let topology = config().topology;
    let head =
        "[node]\nid = \"east\"\ndata = \"data\"\n[[storage.volume]]\nid = \"v1\"\npath = \"footage\"\n";
    let own = format!("{head}{}{}", write::places(&topology), write::cameras(topology.cameras.values()));
    let path = folder.path().join("fengsui.toml");
    std::fs::write(&path, own).unwrap();
    (folder, path, write::central(&topology).replace("水亭门西", "水亭门外"))
}

fn names(config: &Config) -> Vec<&str> {
    config.topology.cameras.values().map(|camera| camera.name.as_str()).collect()
}

fn journal(folder: &Path) -> Arc<Journal> {
    let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(RealFs), Arc::new(ManualClock::at(NOW)));
    let key = Arc::new(NodeKey::from_seed([1; 32]));
    let dir = folder.join("data/journal");
    Journal::open(JournalOptions::new(fs, dir, clock, "east".parse().unwrap(), key)).unwrap()
}

#[test]
fn a_start_goes_by_the_journal_and_writes_its_file_again() {
    let (folder, path, text) = house();
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let start = |journal: &Journal| {
        let given = load(&path).unwrap();
        let file = given.central.is_some();
        let (config, central) = settle(given.config, &path, &fs, journal).unwrap();
        assert_eq!(central.unusable, Vec::<String>::new());
        (names(&config).join(" "), central.word().in_force, file)
    };
    let journal = journal(folder.path());
    assert_eq!(start(&journal), ("水亭门东 水亭门西".to_owned(), None, false));
    journal.append_blocking(kinds::CONFIG_RECEIVED, json!(offer(4, &text))).unwrap();
    assert_eq!(start(&journal), ("水亭门东 水亭门外".to_owned(), Some(4), false), "the file was lost");
    assert_eq!(start(&journal), ("水亭门东 水亭门外".to_owned(), Some(4), true), "and was written again");
    let file = folder.path().join("data/relay/config-4.toml");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("水亭门外", "水亭门内")).unwrap();
    assert_eq!(start(&journal), ("水亭门东 水亭门外".to_owned(), Some(4), false), "it was damaged");
    let released = json!({"version": 4, "by": "wang", "reason": "wrong street"});
    journal.append_blocking(kinds::CONFIG_RELEASED, released).unwrap();
    assert_eq!(start(&journal), ("水亭门东 水亭门西".to_owned(), None, true), "the file was left behind");
    assert!(!file.exists());
}

#[test]
fn a_version_that_goes_with_the_own_file_no_more_is_passed_over_and_told() {
    let (folder, path, text) = house();
    let journal = journal(folder.path());
    journal.append_blocking(kinds::CONFIG_RECEIVED, json!(offer(4, &text))).unwrap();
    let own = std::fs::read_to_string(&path).unwrap();
    // The city gets the code that a sub-centre of the version has.
    let other = own
        .replace("33080200002000000001", "33080200002000000009")
        .replace("33080000002000000001", "33080200002000000001");
    std::fs::write(&path, other).unwrap();
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let given = load(&path).unwrap().config;
    let (config, central) = settle(given, &path, &fs, &journal).unwrap();
    assert_eq!(
        names(&config),
        ["水亭门东", "水亭门西"],
        "a node that records by its own file is better than none"
    );
    assert_eq!(central.word().in_force, Some(4));
    let unusable = &central.unusable;
    assert!(unusable[0].contains("is the code of a city already"), "{unusable:?}");
    assert!(load(&path).unwrap().passed_over.is_some());
}

#[test]
fn a_fault_of_the_own_file_is_told_as_one() {
    let (_folder, path, text) = house();
    let own = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, own.replace("id = \"v1\"", "id = \"V 1\"")).unwrap();
    let topology = CentralTopology { version: 4, text: text.replace("kind = \"square\"", "kind = \"moon\"") };
    let nothing = BTreeMap::<String, String>::new();
    let refusals = Config::load_central(&path, &nothing, &topology).unwrap_err();
    let found = faults(&refusals, &topology.name());
    let line = text.lines().position(|line| line.starts_with("kind")).unwrap() + 1;
    let told: Vec<(u32, &str)> = found.iter().map(|f| (f.line, f.key.as_str())).collect();
    assert!(told.contains(&(u32::try_from(line).unwrap(), "site.kind")), "{found:?}");
    let own = found.iter().find(|f| f.key == "storage.volume.id").unwrap();
    assert!(own.line == 0 && own.problem.contains("of the node's own file"), "{own:?}");
}
