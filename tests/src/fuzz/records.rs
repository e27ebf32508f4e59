//! Any bytes as the files of a journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::clock::ManualClock;
use fengsui_storage::fs::{Fs, SimFs};
use fengsui_storage::journal::{Journal, JournalOptions, JournalRecord, ReduceError, Reducer, VerifyOptions};

use super::{NOW, key};

/// Stands before each file; the byte after it says which one.
pub(super) const MARK: &[u8] = b"@@@S";

const DIR: &str = "/data/journal";

/// A state that every record changes.
#[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Count {
    records: u64,
}

impl Reducer for Count {
    const NAME: &'static str = "count";
    const VERSION: u32 = 1;
    fn apply(&mut self, _: &JournalRecord) -> Result<(), ReduceError> {
        self.records += 1;
        Ok(())
    }
}

/// The files that the bytes stand for, each as a range of them. Bytes before the first mark are the first file of all.
pub(super) fn parts(bytes: &[u8]) -> Vec<(PathBuf, std::ops::Range<usize>)> {
    let marks: Vec<usize> =
        bytes.windows(MARK.len()).enumerate().filter(|(_, w)| *w == MARK).map(|(at, _)| at).collect();
    let mut out = Vec::new();
    if marks.first() != Some(&0) {
        out.push((name(b'1'), 0..marks.first().copied().unwrap_or(bytes.len())));
    }
    for (n, at) in marks.iter().enumerate() {
        let end = marks.get(n + 1).copied().unwrap_or(bytes.len());
        let from = at + MARK.len();
        if let Some(which) = bytes.get(from).filter(|_| from < end) {
            out.push((name(*which), from + 1..end));
        }
    }
    out.truncate(8);
    out
}

fn name(which: u8) -> PathBuf {
    let file = match which {
        b'h' => "head".to_owned(),
        b'c' => "00000000000000000003.checkpoint".to_owned(),
        b's' => "snapshots/count.snapshot".to_owned(),
        b'u' => "cursors/uplink.cursor".to_owned(),
        other => format!("{:010}.journal", 1 + u32::from(other.wrapping_sub(b'1') % 4)),
    };
    Path::new(DIR).join(file)
}

/// Verifies, reads and opens the files, appends a record, and opens them again: the record is there with its body, no
/// byte of a file went away, and a second look finds what the first found.
pub fn journal(bytes: &[u8]) {
    let (fs, dir) = (SimFs::new(1), Path::new(DIR));
    for (path, range) in parts(bytes) {
        fs.put(&path, bytes[range].to_vec());
    }
    let before: Vec<_> = fs.files().into_iter().filter_map(|p| fs.get(&p).map(|b| (p, b))).collect();
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let with_key = VerifyOptions { key: Some(key().id()), witnesses: Vec::new() };
    for options in [VerifyOptions::default(), with_key] {
        let found = Journal::verify_dir(&shared, dir, &options);
        assert!(found.is_ok_and(|r| r.records <= bytes.len() as u64 / 58), "more records than bytes");
    }
    read(&shared, dir);
    let clock = Arc::new(ManualClock::at(NOW));
    let node: fengsui_config::ids::NodeId = "centre".parse().expect("a name");
    let open = || {
        let mut options =
            JournalOptions::new(shared.clone(), dir.to_path_buf(), clock.clone(), node.clone(), key());
        options.head_every = None;
        Journal::open(options)
    };
    // Numbers may be at their end; then it is refused, not begun again.
    let Ok(journal) = open() else { return };
    let body = serde_json::json!({"n": 4711});
    let seq = journal.append_blocking("session.opened", body.clone());
    if let Ok(cursor) = journal.cursor("uplink") {
        let _ = cursor.batch(10);
        let _ = cursor.acknowledge(cursor.acknowledged());
    }
    if let Ok(state) = journal.state_at::<Count>() {
        let _ = journal.save_snapshot(&state);
    }
    journal.close();
    drop(journal);
    fs.crash();
    nothing_is_gone(&fs, &before);
    let Ok(seq) = seq else { return };
    read(&shared, dir);
    let found = Journal::read_dir(&shared, dir, seq).expect("a disk that does not refuse");
    let found = found.map_while(Result::ok).find(|r| r.seq == seq && r.kind == "session.opened");
    assert_eq!(found.map(|r| r.body), Some(body), "an acknowledged record is gone");
    if let Ok(journal) = open() {
        assert!(journal.last_seq() > seq, "a number was given again");
        journal.close();
    }
}

fn read(fs: &Arc<dyn Fs>, dir: &Path) {
    if let Ok(records) = Journal::read_dir(fs, dir, 1) {
        let _ = records.count();
    }
    let page = Journal::page_dir(fs, dir, u64::MAX, 5, &|_| true);
    assert!(page.is_ok_and(|p| p.records.len() <= 5));
    let _ = Journal::head_of(fs, dir);
}

/// Every byte of every journal file is still in it, or in the quarantine.
fn nothing_is_gone(fs: &SimFs, before: &[(PathBuf, Vec<u8>)]) {
    let aside: Vec<Vec<u8>> = fs
        .files()
        .into_iter()
        .filter(|p| p.starts_with(Path::new(DIR).join("quarantine")))
        .filter_map(|p| fs.get(&p))
        .collect();
    for (path, old) in before.iter().filter(|(p, _)| p.extension().is_some_and(|e| e == "journal")) {
        let new = fs.get(path).unwrap_or_default();
        let kept = new.iter().zip(old).take_while(|(a, b)| a == b).count();
        let rest = &old[kept..];
        let held = rest.is_empty() || aside.iter().any(|a| a.ends_with(rest));
        assert!(held, "{}: bytes from {kept} on are gone", path.display());
    }
}
