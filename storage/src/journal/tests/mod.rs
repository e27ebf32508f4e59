#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod anchor;
mod lifetimes;
mod recent;
mod term;

use fengsui_config::clock::ManualClock;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fs::{Fault, FaultPlan, Operation, SimFs};

pub(super) const DIR: &str = "/data/journal";

pub(super) const NOW: UtcMicros = UtcMicros(1_700_000_000_000_000);

/// A journal that writes its head at opening and closing alone, so that faults come where a test wants them.
pub(super) fn options(fs: &SimFs, clock: Arc<ManualClock>) -> JournalOptions {
    let key = Arc::new(NodeKey::from_seed([7; 32]));
    let fs = Arc::new(fs.clone());
    let options = JournalOptions::new(fs, PathBuf::from(DIR), clock, "centre".parse().unwrap(), key);
    JournalOptions { head_every: None, ..options }
}

fn try_open(fs: &SimFs) -> Result<Arc<Journal>, StoreError> {
    Journal::open(options(fs, Arc::new(ManualClock::at(NOW))))
}

pub(super) fn open(fs: &SimFs) -> Arc<Journal> {
    try_open(fs).unwrap()
}

pub(super) fn notes(journal: &Journal) -> Vec<(u64, String)> {
    let records = journal.read(1).unwrap().map(Result::unwrap);
    records
        .filter(|r| r.kind == "note")
        .map(|r| (r.seq, r.body["text"].as_str().unwrap().to_owned()))
        .collect()
}

pub(super) fn note(journal: &Journal, text: &str) -> Result<u64, JournalError> {
    journal.append_blocking("note", json!({ "text": text }))
}

pub(super) fn file(n: u64) -> PathBuf {
    Path::new(DIR).join(recover::file_name(n))
}

#[test]
fn records_are_numbered_chained_and_survive_a_reopening() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    assert_eq!(journal.opening(), &JournalOpening::New);
    assert_eq!(note(&journal, "a").unwrap(), 2, "the opening itself is record 1");
    assert_eq!(note(&journal, "b").unwrap(), 3);
    let report = journal.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.records, report.last_seq), (3, 3));
    drop(journal);
    let journal = open(&fs);
    assert_eq!(journal.opening(), &JournalOpening::Clean);
    assert_eq!(journal.epoch(), 2);
    assert_eq!(note(&journal, "c").unwrap(), 5);
    assert_eq!(notes(&journal), [(2, "a".into()), (3, "b".into()), (5, "c".into())]);
    assert!(journal.verify().unwrap().is_sound());
    let from: Vec<u64> = journal.read(3).unwrap().map(|r| r.unwrap().seq).collect();
    assert_eq!(from, [3, 4, 5]);
    journal.close();
    assert!(matches!(note(&journal, "late"), Err(JournalError::Closed)));
}

#[test]
fn an_acknowledged_record_is_on_the_disk_after_a_power_cut() {
    for seed in 0..30 {
        let fs = SimFs::new(seed);
        let journal = open(&fs);
        for n in 0..20 {
            note(&journal, &n.to_string()).unwrap();
        }
        fs.crash();
        drop(journal);
        let journal = open(&fs);
        assert_eq!(notes(&journal).len(), 20, "seed {seed}");
        assert!(journal.verify().unwrap().is_sound(), "seed {seed}");
    }
}

proptest! {
    /// Power is cut at any call; what was acknowledged is there afterwards, in order, once.
    #[test]
    fn a_power_cut_at_any_call_loses_nothing_acknowledged(seed: u64, lives in prop::collection::vec((1..40u64, 1..30usize), 1..4)) {
        let fs = SimFs::new(seed);
        let mut acknowledged: Vec<(u64, String)> = Vec::new();
        let mut text = 0;
        for (after, count) in lives {
            fs.plan(FaultPlan { operation: None, below: None, after, times: 1, fault: Fault::PowerCut });
            if let Ok(journal) = try_open(&fs) {
                for _ in 0..count {
                    text += 1;
                    if let Ok(seq) = note(&journal, &text.to_string()) {
                        acknowledged.push((seq, text.to_string()));
                    }
                }
            }
            fs.heal();
            fs.crash();
        }
        let journal = open(&fs);
        let found = notes(&journal);
        for (seq, text) in &acknowledged {
            prop_assert!(found.contains(&(*seq, text.clone())), "{seq} {text} of {acknowledged:?} not in {found:?}");
        }
        prop_assert!(found.windows(2).all(|w| w[0].0 < w[1].0));
        note(&journal, "after").unwrap();
        let report = journal.verify().unwrap();
        let torn = |d: &JournalDamage| d.detail.contains("torn") || d.detail.contains("no record") || d.detail.contains("head");
        prop_assert!(report.damages.iter().all(torn), "{:?}", report);
    }
}

#[test]
fn a_refused_record_is_never_taken_for_an_accepted_one() {
    for (operation, fault) in [
        (Operation::Write, Fault::Io),
        (Operation::Write, Fault::ShortWrite),
        (Operation::SyncFile, Fault::Io),
    ] {
        let fs = SimFs::new(3);
        let journal = open(&fs);
        note(&journal, "first").unwrap();
        fs.plan(FaultPlan { operation: Some(operation), below: None, after: 0, times: 1, fault });
        assert!(matches!(note(&journal, "refused"), Err(JournalError::Store(_))), "{operation:?}");
        assert_eq!(note(&journal, "second").unwrap(), 3, "{operation:?}: the number is given again");
        assert_eq!(notes(&journal), [(2, "first".into()), (3, "second".into())], "{operation:?}");
        assert_eq!(journal.stats().errors, 1);
        drop(journal);
        let journal = open(&fs);
        assert_eq!(notes(&journal), [(2, "first".into()), (3, "second".into())], "{operation:?}");
        assert_eq!(journal.last_seq(), 4);
    }
}

#[test]
fn a_torn_tail_is_copied_aside_and_cut() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    note(&journal, "a").unwrap();
    let whole = fs.get(&file(1)).unwrap();
    let head = Path::new(DIR).join(HEAD_FILE);
    journal.head.write().unwrap();
    let vouched = fs.get(&head).unwrap();
    note(&journal, "b").unwrap();
    let longer = fs.get(&file(1)).unwrap();
    drop(journal);
    for cut in whole.len() + 1..longer.len() {
        let fs = SimFs::new(1);
        fs.put(&file(1), longer[..cut].to_vec());
        fs.put(&head, vouched.clone());
        let journal = open(&fs);
        assert_eq!(journal.opening(), &JournalOpening::TornTail { bytes: (cut - whole.len()) as u64 });
        assert_eq!(notes(&journal), [(2, "a".into())]);
        let copy = fs.files().into_iter().find(|f| f.to_string_lossy().contains("quarantine")).unwrap();
        assert_eq!(fs.get(&copy).unwrap(), longer[whole.len()..cut]);
        assert!(journal.verify().unwrap().is_sound());
    }
}

#[test]
fn damage_before_the_end_is_reported_and_the_file_left_as_it_is() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    for n in 0..5 {
        note(&journal, &n.to_string()).unwrap();
    }
    drop(journal);
    let mut bytes = fs.get(&file(1)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs.put(&file(1), bytes.clone());
    let journal = open(&fs);
    assert!(matches!(journal.opening(), JournalOpening::Damaged { .. }), "{:?}", journal.opening());
    assert_eq!(fs.get(&file(1)).unwrap(), bytes);
    note(&journal, "after").unwrap();
    let report = journal.verify().unwrap();
    assert!(!report.is_sound());
    assert_eq!(report.damages[0].file, file(1));
    assert_eq!(notes(&journal).last().unwrap().1, "after");
    drop(journal);
    let journal = open(&fs);
    assert_eq!(journal.opening(), &JournalOpening::Clean, "the new file is sound");
    assert_eq!(notes(&journal).last().unwrap().1, "after");
}

proptest! {
    #[test]
    fn any_changed_byte_is_noticed(place: prop::sample::Index, flip in 1..=255u8) {
        let fs = SimFs::new(1);
        let journal = open(&fs);
        for n in 0..4 {
            note(&journal, &n.to_string()).unwrap();
        }
        drop(journal);
        let mut bytes = fs.get(&file(1)).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        fs.put(&file(1), bytes);
        let fs: Arc<dyn Fs> = Arc::new(fs);
        prop_assert!(!Journal::verify_dir(&fs, Path::new(DIR), &VerifyOptions::default()).unwrap().is_sound());
    }
}

#[tokio::test]
async fn records_that_come_together_share_a_sync() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    let all: Vec<_> = (0..200)
        .map(|n| {
            let j = journal.clone();
            async move { j.append("note", json!({ "text": n.to_string() })).await }
        })
        .collect();
    let mut set = tokio::task::JoinSet::new();
    for one in all {
        set.spawn(one);
    }
    let mut seqs: Vec<u64> = set.join_all().await.into_iter().map(Result::unwrap).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (2..=201).collect::<Vec<_>>());
    let stats = journal.stats();
    assert_eq!(stats.records, 201);
    assert!(stats.syncs <= stats.records);
    let large = json!("x".repeat(limits::JOURNAL_RECORD_BYTES_MAX));
    assert!(matches!(journal.append("note", large).await, Err(JournalError::TooLarge { .. })));
}
