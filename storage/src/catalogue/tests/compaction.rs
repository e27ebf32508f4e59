//! Writing the log afresh.

use super::super::compact::{self, Tee};
use super::*;
use crate::fs::Operation;

/// Everything that can be asked and does not depend on which run asks, as text.
fn state(c: &Catalogue) -> Vec<String> {
    c.keys()
        .into_iter()
        .map(|key| {
            let mut known = spans(c, key);
            known.retain(|s| !s.ends_with("CrashTail"));
            format!(
                "{key} {known:?} {:?} next {} hash {:?} open {:?} {:?}",
                c.segments(key, at(-1_000_000), at(10_000_000)),
                c.next_number(key),
                c.last_hash(key),
                c.open_gap(key),
                c.unfinished(),
            )
        })
        .collect()
}

fn fill(c: &Catalogue, from: u32, streams: u32) {
    for s in from..from + streams {
        for n in 0..20u8 {
            let number = u64::from(n) + 1;
            c.closed(&row(key(s), number, i64::from(n) * 400, 300), [n; 32]);
            c.gap(key(s), GapReason::Network, at(i64::from(n) * 400 + 300), at(i64::from(n) * 400 + 400));
        }
        c.removed(&row(key(s), 3, 800, 300), GapReason::Expired);
        c.opened(key(s), &volume("v2"), 21, at(9000));
        c.abandoned(key(s), 21);
    }
    c.alive(at(9001));
}

#[test]
fn a_fresh_log_says_the_same_in_fewer_bytes() {
    let fs = SimFs::new(1);
    let c = open(&fs, 20_000);
    fill(&c, 0, 5);
    c.gap_begin(key(3), GapReason::Auth, at(9_500));
    for n in 0..10_000 {
        c.alive(at(10_000 + n));
    }
    c.flush(true).unwrap();
    let before = state(&c);
    let done = c.compact().unwrap().unwrap();
    assert!(done.after_bytes < done.before_bytes / 10, "{done:?}");
    assert_eq!(fs.get(Path::new(LOG)).unwrap().len() as u64, done.after_bytes);
    assert_eq!(state(&c), before);
    c.gap_end(key(3), at(19_999));
    c.flush(true).unwrap();
    let before = state(&c);
    drop(c);
    fs.crash();
    let c = open(&fs, 20_000);
    assert_eq!(c.opening(), &Opening::Clean);
    assert_eq!(state(&c), before);
    assert_eq!(c.alive_before(), Some(at(19_999)));
}

#[test]
fn a_power_cut_at_any_call_of_a_compaction_leaves_a_whole_log() {
    let mut whole = false;
    for after in 0..40 {
        for seed in 0..4 {
            let fs = SimFs::new(seed * 1000 + after);
            let c = open(&fs, 20_000);
            fill(&c, 0, 3);
            c.flush(true).unwrap();
            let before = state(&c);
            let mut plan =
                FaultPlan { operation: None, below: None, after, times: 1, fault: Fault::PowerCut };
            plan.times = u64::MAX;
            fs.plan(plan);
            whole |= c.compact().is_ok();
            drop(c);
            fs.heal();
            fs.crash();
            let c = open(&fs, 20_000);
            assert_eq!(c.opening(), &Opening::Clean, "after {after} seed {seed}");
            assert_eq!(state(&c), before, "after {after} seed {seed}");
        }
    }
    assert!(whole, "some compaction came to its end");
}

#[test]
fn a_compaction_that_fails_at_any_call_leaves_the_catalogue_as_it_was() {
    for after in 0..20 {
        for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite] {
            let fs = SimFs::new(after);
            let c = open(&fs, 20_000);
            fill(&c, 0, 3);
            c.flush(true).unwrap();
            fs.plan(FaultPlan { operation: None, below: None, after, times: 1, fault });
            let _ = c.compact();
            fs.heal();
            fill(&c, 3, 1);
            c.flush(true).unwrap();
            let before = state(&c);
            drop(c);
            fs.crash();
            let c = open(&fs, 20_000);
            assert_eq!(c.opening(), &Opening::Clean, "after {after} {fault:?}");
            assert_eq!(state(&c), before, "after {after} {fault:?}");
        }
    }
}

#[test]
fn after_a_failed_sync_the_log_is_written_afresh() {
    let fs = SimFs::new(3);
    let c = open(&fs, 20_000);
    fill(&c, 0, 2);
    fs.plan(FaultPlan {
        operation: Some(Operation::SyncFile),
        below: None,
        after: 0,
        times: 1,
        fault: Fault::Io,
    });
    assert!(c.flush(true).is_err());
    assert!(c.compaction_due(MonoMicros(0)));
    c.flush(true).unwrap();
    assert!(!c.compaction_due(MonoMicros(0)));
    let before = state(&c);
    drop(c);
    fs.crash();
    let c = open(&fs, 20_000);
    assert_eq!(state(&c), before, "what was called durable is");
}

#[test]
fn changes_during_a_compaction_are_in_the_fresh_log() {
    let fs = SimFs::new(1);
    let c = open(&fs, 20_000);
    fill(&c, 0, 3);
    c.flush(true).unwrap();
    let mut bytes = Vec::new();
    {
        let mut inner = c.inner.write();
        inner.index.snapshot_head(&mut bytes);
        inner.tee = Some(Tee::default());
    }
    assert!(compact::copy_next(&mut c.inner.write(), &mut bytes));
    for s in 0..3 {
        c.removed(&row(key(s), 5, 1600, 300), GapReason::Expired);
        c.closed(&SegmentRow { volume: volume("v9"), ..row(key(s), 30, 12_000, 300) }, [5; 32]);
        c.gap_begin(key(s), GapReason::Auth, at(12_300));
    }
    fill(&c, 7, 1);
    while compact::copy_next(&mut c.inner.write(), &mut bytes) {}
    c.gap_end(key(1), at(12_400));
    fill(&c, 8, 1);
    let tail = c.inner.write().tee.take().unwrap();
    bytes.extend_from_slice(tail.bytes());
    fs.put(Path::new("/other/catalogue.log"), bytes);
    let other =
        Catalogue::open(Arc::new(fs.clone()), Path::new("/other"), Arc::new(ManualClock::at(at(20_000))));
    let other = other.unwrap();
    assert_eq!(other.opening(), &Opening::Clean);
    other.alive(at(1));
    let settle = |c: &Catalogue| {
        for s in 0..3 {
            c.gap_end(key(s), at(12_900));
        }
        state(c)
    };
    let (here, there) = (settle(&c), settle(&other));
    // What is not over ends, at an opening, with the last sign of life.
    assert_eq!(here[1], there[1]);
    assert_eq!(here[3..], there[3..]);
    assert_eq!(other.segment(key(0), 30).unwrap().volume, volume("v9"));
}

#[test]
fn queries_and_changes_go_on_during_compactions() {
    let fs = SimFs::new(1);
    let c = open(&fs, 20_000);
    fill(&c, 0, 3);
    let (done, count) = (std::sync::atomic::AtomicBool::new(false), std::sync::atomic::AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                c.compact().unwrap();
                count.fetch_add(1, Ordering::AcqRel);
            }
        });
        let enough = |s: &u32| *s < 30 || count.load(Ordering::Acquire) < 3;
        for s in (10..).take_while(enough) {
            fill(&c, s, 1);
            c.flush(s % 3 == 0).unwrap();
            assert_eq!(c.summary(key(s)).segments, 19);
        }
        done.store(true, Ordering::Release);
    });
    c.flush(true).unwrap();
    let before = state(&c);
    drop(c);
    fs.crash();
    let c = open(&fs, 20_000);
    assert_eq!(c.opening(), &Opening::Clean);
    assert_eq!(state(&c), before);
}

#[test]
fn a_compaction_is_due_once_a_day_and_when_the_log_is_mostly_dead() {
    let fs = SimFs::new(1);
    let clock = Arc::new(ManualClock::at(at(0)));
    let c = Catalogue::open(Arc::new(fs.clone()), Path::new(DIR), clock.clone()).unwrap();
    assert!(!c.compaction_due(clock.mono()));
    for n in 0..10_000 {
        c.alive(at(n));
    }
    c.flush(false).unwrap();
    assert!(c.compaction_due(clock.mono()));
    c.compact().unwrap().unwrap();
    assert!(!c.compaction_due(clock.mono()));
    clock.advance(limits::CATALOGUE_COMPACTION_INTERVAL);
    assert!(c.compaction_due(clock.mono()));
}

/// A log of every kind of record, as it was written when the format was new.
#[test]
fn version_1_of_the_log_is_read_for_ever() {
    let golden = include_bytes!("../../../golden/catalogue-v1.bin");
    let fs = SimFs::new(1);
    fs.put(Path::new(LOG), golden.to_vec());
    let c = open(&fs, 20_000);
    assert_eq!(c.opening(), &Opening::Clean);
    assert_eq!(state(&c), state(&golden_catalogue(&SimFs::new(1))));
    assert_eq!(golden_bytes(), golden, "the same records give the same bytes");
}

fn golden_catalogue(fs: &SimFs) -> Arc<Catalogue> {
    let c = open(fs, 20_000);
    fill(&c, 0, 1);
    c.compact().unwrap().unwrap();
    fill(&c, 1, 1);
    c.gap_begin(key(1), GapReason::Auth, at(9_500));
    c.gap_end(key(1), at(9_600));
    c.open_lost(key(1), 21, at(9000).millis());
    c.flush(true).unwrap();
    c
}

fn golden_bytes() -> Vec<u8> {
    let fs = SimFs::new(1);
    golden_catalogue(&fs);
    fs.get(Path::new(LOG)).unwrap()
}
