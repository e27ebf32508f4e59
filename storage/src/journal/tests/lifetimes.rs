//! Snapshots, and whole lives with power cuts between them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::*;

/// Counts texts; order matters by the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Texts {
    counts: BTreeMap<String, u64>,
    last: String,
}

impl Reducer for Texts {
    const NAME: &'static str = "texts";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        if record.kind == "note" {
            let text = record.body["text"].as_str().ok_or_else(|| ReduceError::of(record, "no text"))?;
            *self.counts.entry(text.to_owned()).or_default() += 1;
            self.last = text.to_owned();
        }
        Ok(())
    }
}

#[test]
fn a_snapshot_and_what_follows_is_the_whole_at_every_place() {
    let fs = SimFs::new(1);
    let clock = Arc::new(ManualClock::at(NOW));
    let journal = Journal::open(JournalOptions { file_bytes_max: 700, ..options(&fs, clock) }).unwrap();
    let mut states = vec![journal.state_at::<Texts>().unwrap()];
    for n in 0..20 {
        note(&journal, &(n % 7).to_string()).unwrap();
        states.push(journal.state_at::<Texts>().unwrap());
        assert_eq!(states.last().unwrap().reduced, journal.last_seq(), "no snapshot yet");
    }
    let whole = states.last().unwrap().clone();
    for at in &states {
        journal.save_snapshot(at).unwrap();
        let by_snapshot = journal.state_at::<Texts>().unwrap();
        assert_eq!(by_snapshot.reduced, whole.seq - at.seq, "the snapshot was used");
        assert_eq!(
            (&by_snapshot.state, by_snapshot.seq, by_snapshot.hash),
            (&whole.state, whole.seq, whole.hash)
        );
    }
}

#[test]
fn a_snapshot_in_doubt_is_passed_over() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    for n in 0..5 {
        note(&journal, &n.to_string()).unwrap();
    }
    let whole = journal.state_at::<Texts>().unwrap();
    journal.save_snapshot(&StateAt { state: Texts::default(), ..whole.clone() }).unwrap();
    assert_eq!(journal.state::<Texts>().unwrap(), Texts::default(), "a lie that is signed is believed");
    let path = Path::new(DIR).join("snapshots/texts.snapshot");
    let bytes = fs.get(&path).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs.put(&path, changed);
        assert_eq!(journal.state_at::<Texts>().unwrap(), whole, "byte {at}");
    }
    // Of another record, of another journal, of a number that is not there.
    for (seq, hash) in [(3, whole.hash), (whole.seq, [9; 32]), (whole.seq + 1, whole.hash)] {
        journal.save_snapshot(&StateAt { state: Texts::default(), seq, hash, reduced: 0 }).unwrap();
        assert_eq!(journal.state_at::<Texts>().unwrap(), whole);
    }
}

#[test]
fn pages_hold_every_record_once_newest_first() {
    let fs = SimFs::new(1);
    let clock = Arc::new(ManualClock::at(NOW));
    let journal = Journal::open(JournalOptions { file_bytes_max: 300, ..options(&fs, clock) }).unwrap();
    for n in 0..40 {
        note(&journal, &n.to_string()).unwrap();
    }
    for limit in [1, 3, 100] {
        let (mut before, mut seen) = (u64::MAX, Vec::new());
        loop {
            let page = journal.page(before, limit, &|r| r.kind == "note").unwrap();
            assert!(page.records.len() <= limit);
            seen.extend(page.records.iter().map(|r| r.seq));
            match page.next_before {
                Some(next) => {
                    assert!(next < before);
                    before = next;
                }
                None => break,
            }
        }
        assert_eq!(seen, (2..=41).rev().collect::<Vec<_>>(), "limit {limit}");
    }
}

/// One thing done in a life.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Append,
    Head,
    Snapshot,
    Acknowledge,
    Drop,
    Days,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => Just(Deed::Append),
        1 => Just(Deed::Head),
        1 => Just(Deed::Snapshot),
        1 => Just(Deed::Acknowledge),
        1 => Just(Deed::Drop),
        1 => Just(Deed::Days),
    ]
}

/// What must be there after all lives.
#[derive(Default)]
struct Model {
    accepted: Vec<(u64, String)>,
    acknowledged: u64,
    text: u64,
}

fn live(journal: &Arc<Journal>, clock: &ManualClock, deeds: &[Deed], model: &mut Model) {
    for deed in deeds {
        match deed {
            Deed::Append => {
                model.text += 1;
                let text = model.text.to_string();
                if let Ok(seq) = note(journal, &text) {
                    model.accepted.push((seq, text));
                }
            }
            Deed::Head => drop(journal.head.write()),
            Deed::Snapshot => {
                if let Ok(at) = journal.state_at::<Texts>() {
                    let _ = journal.save_snapshot(&at);
                }
            }
            Deed::Acknowledge => {
                if let Ok(cursor) = journal.cursor("relay") {
                    assert!(cursor.acknowledged() <= journal.last_seq());
                    let seq = journal.last_seq();
                    model.acknowledged = model.acknowledged.max(seq);
                    let _ = cursor.acknowledge(seq);
                }
            }
            Deed::Drop => drop(journal.drop_old(limits::JOURNAL_KEEP_DAYS_MIN)),
            Deed::Days => clock.advance(Duration::from_secs(400 * 86_400)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        fengsui_config::env::Env::get(&fengsui_config::env::ProcessEnv, "FENGSUI_SEEDS").and_then(|n| n.parse().ok()).unwrap_or(192)
    ))]

    /// Power is cut at any call among appends, rotations, heads, snapshots, cursors and drops. What was acknowledged
    /// is there afterwards (notes are of a kind that is kept for ever), the journal holds, no cursor is ahead.
    #[test]
    fn whole_lives_with_power_cuts_lose_nothing_acknowledged(
        seed: u64,
        lives in prop::collection::vec((1..120u64, prop::collection::vec(deed(), 1..40)), 1..5),
    ) {
        let fs = SimFs::new(seed);
        let clock = Arc::new(ManualClock::at(NOW));
        let mut model = Model::default();
        for (after, deeds) in lives {
            fs.plan(FaultPlan { operation: None, below: None, after, times: 1, fault: Fault::PowerCut });
            let small = JournalOptions { file_bytes_max: 900, ..options(&fs, clock.clone()) };
            if let Ok(journal) = Journal::open(small) {
                live(&journal, &clock, &deeds, &mut model);
            }
            fs.heal();
            fs.crash();
        }
        let journal = open(&fs);
        let found = notes(&journal);
        for kept in &model.accepted {
            prop_assert!(found.contains(kept), "{kept:?} is not in {found:?}");
        }
        prop_assert!(found.windows(2).all(|w| w[0].0 < w[1].0));
        let cursor = journal.cursor("relay").unwrap();
        prop_assert!(cursor.acknowledged() <= model.acknowledged);
        let mut all = Texts::default();
        for record in journal.read(1).unwrap() {
            all.apply(&record.unwrap()).unwrap();
        }
        prop_assert_eq!(journal.state::<Texts>().unwrap(), all);
        note(&journal, "after").unwrap();
        let report = journal.verify().unwrap();
        // A group that was refused or cut may leave bytes that are no record behind the last one of its file.
        let left_over = |d: &JournalDamage| d.detail.contains("no record") || d.detail.contains("head of the file");
        prop_assert!(report.damages.iter().all(left_over), "{:?}", report);
    }
}
