//! The newest records, from memory.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Records of any size, refused ones among them, in files of any length: what memory gives is what the disk has, and
    /// memory has all of the newest that have room.
    #[test]
    fn what_is_kept_in_memory_is_what_the_disk_has(
        seed: u64,
        steps in prop::collection::vec((0..200_000usize, 0..12u8), 1..40),
        file_bytes in 1_000..2_000_000u64,
    ) {
        let fs = SimFs::new(seed);
        let clock = Arc::new(ManualClock::at(NOW));
        let small = JournalOptions { file_bytes_max: file_bytes, ..options(&fs, clock) };
        let journal = Journal::open(small).unwrap();
        for (length, chance) in steps {
            // Most are as small as events are.
            let length = if chance < 8 { length / 400 } else { length };
            if chance == 0 {
                let (operation, fault) = (Some(Operation::SyncFile), Fault::Io);
                fs.plan(FaultPlan { operation, below: None, after: 0, times: 1, fault });
            }
            let _maybe_refused = note(&journal, &"x".repeat(length));
            prop_assert_eq!(journal.recent(journal.last_seq(), 1).len(), 1, "the newest is there");
        }
        let disk: Vec<JournalRecord> = journal.read(1).unwrap().map(Result::unwrap).collect();
        let mut most = 0;
        for from in 1..=journal.last_seq() + 1 {
            let at = usize::try_from(from - 1).unwrap();
            let kept = journal.recent(from, usize::MAX);
            prop_assert!(kept.is_empty() || kept == disk[at..], "from {from} of {}", disk.len());
            prop_assert_eq!(journal.recent(from, 2), kept.iter().take(2).cloned().collect::<Vec<_>>());
            most = most.max(kept.iter().map(|r| r.body.to_string().len()).sum());
        }
        prop_assert!(most <= limits::JOURNAL_RECENT_BYTES_MAX, "{most} bytes are kept");
    }
}

#[test]
fn a_new_life_of_the_journal_remembers_nothing_it_did_not_write() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    note(&journal, "a").unwrap();
    drop(journal);
    let journal = open(&fs);
    assert_eq!((journal.recent(1, 9).len(), journal.recent(2, 9).len()), (0, 0));
    let own: Vec<u64> = journal.recent(3, 9).iter().map(|r| r.seq).collect();
    assert_eq!(own, [3], "its own opening");
    assert_eq!(journal.record(2).unwrap().unwrap().body["text"], "a");
    assert!(journal.record(9).unwrap().is_none());
}
