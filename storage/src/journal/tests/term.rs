//! Dropping what is old enough, and what stays of it.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const KEEP: u64 = limits::JOURNAL_KEEP_DAYS_MIN;

fn small(fs: &SimFs, clock: &Arc<ManualClock>) -> Arc<Journal> {
    Journal::open(JournalOptions { file_bytes_max: 600, ..options(fs, clock.clone()) }).unwrap()
}

fn account(journal: &Journal, name: &str) -> u64 {
    let body = json!({"name": name, "roles": [], "password": "x"});
    journal.append_blocking(kinds::ACCOUNT_CREATED, body).unwrap()
}

fn login(journal: &Journal, name: &str) -> u64 {
    journal.append_blocking(kinds::SESSION_OPENED, json!({"by": name, "address": "::1"})).unwrap()
}

fn ordinals(fs: &SimFs) -> Vec<u64> {
    recover::files(fs, Path::new(DIR)).unwrap().into_iter().map(|(n, _)| n).collect()
}

fn accounts(journal: &Journal) -> Vec<u64> {
    let records = journal.read(1).unwrap().map(Result::unwrap);
    records.filter(|r| r.kind == kinds::ACCOUNT_CREATED).map(|r| r.seq).collect()
}

#[test]
fn files_are_dropped_whole_after_their_term_and_state_stays() {
    let fs = SimFs::new(1);
    let clock = Arc::new(ManualClock::at(NOW));
    let journal = small(&fs, &clock);
    let mut expected = Vec::new();
    for n in 0..8 {
        expected.push(account(&journal, &format!("old {n}")));
        login(&journal, "li");
    }
    assert_eq!(journal.drop_old(KEEP).unwrap(), None, "nothing is old");
    let old = *ordinals(&fs).last().unwrap();
    clock.advance(DAY * 600);
    expected.push(account(&journal, "middle"));
    clock.advance(DAY * 600);
    login(&journal, "li");
    assert!(journal.drop_old(KEEP - 1).is_err(), "the law's term is the shortest");
    let dropped = journal.drop_old(KEEP).unwrap().unwrap();
    assert!(dropped.files >= 3 && dropped.carried == 8, "{dropped:?}");
    assert_eq!(ordinals(&fs)[0], old + 1, "what was written later stays whole");
    assert_eq!(accounts(&journal), expected);
    let logins = |j: &Journal| {
        j.read(1).unwrap().filter(|r| r.as_ref().unwrap().kind == kinds::SESSION_OPENED).count()
    };
    assert_eq!(logins(&journal), 1, "what only says what happened is gone");
    let report = journal.verify().unwrap();
    assert!(report.is_sound() && report.checkpoint_seq == dropped.through_seq, "{report:?}");
    assert_eq!(journal.drop_old(KEEP).unwrap(), None);
    drop(journal);
    // A second round, over a checkpoint.
    let clock = Arc::new(ManualClock::at(clock.utc()));
    let journal = small(&fs, &clock);
    clock.advance(DAY * 1200);
    expected.push(account(&journal, "new"));
    login(&journal, "li");
    clock.advance(DAY * 40);
    login(&journal, "li");
    let again = journal.drop_old(KEEP).unwrap().unwrap();
    assert!(again.through_seq > dropped.through_seq && again.carried == 9, "{again:?}");
    assert_eq!(accounts(&journal), expected);
    assert_eq!(checkpoint::list(&fs, Path::new(DIR)).unwrap().len(), 1);
    let page = journal.page(u64::MAX, 100, &|r| r.kind == kinds::ACCOUNT_CREATED).unwrap();
    assert_eq!(page.records.iter().rev().map(|r| r.seq).collect::<Vec<_>>(), expected);
    assert!(journal.verify().unwrap().is_sound(), "{:?}", journal.verify());
    drop(journal);
    // Without the checkpoint, or with a changed one, the journal no longer holds.
    let (_, path) = checkpoint::list(&fs, Path::new(DIR)).unwrap().pop().unwrap();
    let whole = fs.get(&path).unwrap();
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    for at in (0..whole.len()).step_by(7) {
        let mut changed = whole.clone();
        changed[at] ^= 4;
        fs.put(&path, changed);
        let report = Journal::verify_dir(&shared, Path::new(DIR), &VerifyOptions::default()).unwrap();
        assert!(!report.is_sound(), "byte {at} of the checkpoint");
    }
    fs.remove(&path).unwrap();
    assert!(!Journal::verify_dir(&shared, Path::new(DIR), &VerifyOptions::default()).unwrap().is_sound());
}

#[test]
fn a_consumer_that_lags_and_a_clock_that_leaps_hold_files_back() {
    let fs = SimFs::new(1);
    let clock = Arc::new(ManualClock::at(NOW));
    let journal = small(&fs, &clock);
    for _ in 0..12 {
        login(&journal, "li");
    }
    clock.advance(DAY * 1200);
    login(&journal, "li");
    let cursor = journal.cursor("relay").unwrap();
    assert_eq!(journal.drop_old(KEEP).unwrap(), None, "nothing was acknowledged");
    let batch = cursor.batch(5).unwrap();
    assert_eq!(batch.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    cursor.acknowledge(9).unwrap();
    assert!(cursor.acknowledge(99).is_err(), "never ahead of what is there");
    let dropped = journal.drop_old(KEEP).unwrap().unwrap();
    assert!(dropped.through_seq <= 9, "{dropped:?}");
    assert_eq!(cursor.batch(1).unwrap()[0].seq, 10);
    assert_eq!(journal.cursors().unwrap(), [("relay".to_owned(), 9)]);
    drop(cursor);
    drop(journal);
    let clock = Arc::new(ManualClock::at(UtcMicros(clock.utc().0 + 50 * 365 * 86_400_000_000)));
    let journal = small(&fs, &clock);
    let cursor = journal.cursor("relay").unwrap();
    assert_eq!(cursor.acknowledged(), 9);
    cursor.acknowledge(13).unwrap();
    assert_eq!(journal.drop_old(KEEP).unwrap(), None, "fifty years since the last record are a broken clock");
    cursor.remove().unwrap();
    assert!(journal.cursors().unwrap().is_empty());
}

#[test]
fn a_cursor_in_doubt_starts_over() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    for n in 0..5 {
        note(&journal, &n.to_string()).unwrap();
    }
    journal.cursor("relay").unwrap().acknowledge(4).unwrap();
    assert_eq!(journal.cursor("relay").unwrap().acknowledged(), 4);
    let path = Path::new(DIR).join("cursors/relay.cursor");
    let whole = fs.get(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs.put(&path, changed);
        assert_eq!(journal.cursor("relay").unwrap().acknowledged(), 0, "byte {at}");
    }
    assert!(journal.cursor("../x").is_err());
    // The cursor of another journal, or of this one before it was restored.
    fs.put(&path, whole);
    let other = SimFs::new(2);
    other.put(&path, fs.get(&path).unwrap());
    let journal = open(&other);
    assert_eq!(journal.cursor("relay").unwrap().acknowledged(), 0);
    for n in 0..5 {
        note(&journal, &format!("other {n}")).unwrap();
    }
    other.put(&path, fs.get(&path).unwrap());
    assert_eq!(journal.cursor("relay").unwrap().acknowledged(), 0);
}

/// Power is cut at every call of a drop in turn; state, chain and what is younger are always there.
#[test]
fn a_drop_that_is_cut_anywhere_loses_nothing_it_should_keep() {
    for after in 0.. {
        let fs = SimFs::new(after);
        let clock = Arc::new(ManualClock::at(NOW));
        let journal = small(&fs, &clock);
        let expected: Vec<u64> = (0..9).map(|n| account(&journal, &n.to_string())).collect();
        clock.advance(DAY * 1200);
        let young = login(&journal, "li");
        fs.plan(FaultPlan { operation: None, below: None, after, times: 1, fault: Fault::PowerCut });
        let done = journal.drop_old(KEEP);
        fs.heal();
        fs.crash();
        drop(journal);
        let journal = small(&fs, &clock);
        assert_eq!(accounts(&journal), expected, "cut after {after} calls");
        assert_eq!(journal.record(young).unwrap().unwrap().kind, kinds::SESSION_OPENED);
        let report = journal.verify().unwrap();
        assert!(report.is_sound(), "cut after {after} calls: {report:?}");
        let _ = journal.drop_old(KEEP).unwrap();
        assert_eq!(accounts(&journal), expected, "finished after a cut after {after} calls");
        assert!(journal.verify().unwrap().is_sound(), "finished after a cut after {after} calls");
        if done.is_ok() {
            assert!(after > 10, "the drop was cut at some calls");
            break;
        }
    }
}
