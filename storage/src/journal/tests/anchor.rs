//! Whatever is changed, removed, exchanged, cut or doubled, a check finds it.

use super::*;

fn shared(fs: &SimFs) -> Arc<dyn Fs> {
    Arc::new(fs.clone())
}

fn check(fs: &SimFs) -> VerifyReport {
    let options = VerifyOptions { key: Some(NodeKey::from_seed([7; 32]).id()), witnesses: Vec::new() };
    Journal::verify_dir(&shared(fs), Path::new(DIR), &options).unwrap()
}

/// A closed journal of several files with a few records each.
fn sample() -> SimFs {
    let fs = SimFs::new(1);
    for _ in 0..2 {
        let clock = Arc::new(ManualClock::at(NOW));
        let journal = Journal::open(JournalOptions { file_bytes_max: 500, ..options(&fs, clock) }).unwrap();
        for n in 0..6 {
            note(&journal, &n.to_string()).unwrap();
        }
    }
    assert!(check(&fs).is_sound(), "{:?}", check(&fs));
    assert!(journals(&fs).len() >= 4, "{:?}", fs.files());
    fs
}

fn journals(fs: &SimFs) -> Vec<PathBuf> {
    fs.files().into_iter().filter(|f| f.extension().is_some_and(|e| e == "journal")).collect()
}

/// Where records begin in the bytes of a file, and where the last ends.
fn bounds(bytes: &[u8]) -> Vec<usize> {
    let mut at = format::FILE_HEAD;
    let mut out = vec![at];
    while let format::Decoded::Record(_, length) = format::decode_record(&bytes[at..]) {
        at += length;
        out.push(at);
    }
    assert_eq!(at, bytes.len());
    out
}

/// A copy of the sample with one file changed, or removed by `None`.
fn with(files: &[(PathBuf, Vec<u8>)], path: &Path, bytes: Option<Vec<u8>>) -> SimFs {
    let fs = SimFs::new(1);
    for (name, content) in files.iter().filter(|(name, _)| name != path) {
        fs.put(name, content.clone());
    }
    if let Some(bytes) = bytes {
        fs.put(path, bytes);
    }
    fs
}

fn contents(fs: &SimFs) -> Vec<(PathBuf, Vec<u8>)> {
    fs.files().into_iter().map(|f| (f.clone(), fs.get(&f).unwrap())).collect()
}

fn must_find(fs: &SimFs, what: &str) {
    assert!(!check(fs).is_sound(), "not found: {what}");
    // Whoever opens the journal first does not wash the traces away.
    drop(open(fs));
    assert!(!check(fs).is_sound(), "not found after the next opening: {what}");
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let files = contents(&sample());
    for (path, bytes) in &files {
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let fs = with(&files, path, Some(changed));
            assert!(!check(&fs).is_sound(), "byte {at} of {}", path.display());
        }
    }
}

#[test]
fn a_removed_exchanged_or_doubled_record_is_found() {
    let files = contents(&sample());
    for (path, bytes) in files.iter().filter(|(p, _)| p.extension().is_some()) {
        let bounds = bounds(bytes);
        for n in 0..bounds.len() - 1 {
            let record = bytes[bounds[n]..bounds[n + 1]].to_vec();
            let without = [&bytes[..bounds[n]], &bytes[bounds[n + 1]..]].concat();
            must_find(&with(&files, path, Some(without)), &format!("record {n} removed"));
            let twice = [&bytes[..bounds[n]], &record, &bytes[bounds[n]..]].concat();
            assert!(!check(&with(&files, path, Some(twice))).is_sound(), "record {n} doubled");
            if let Some(after) = bounds.get(n + 2) {
                let next = &bytes[bounds[n + 1]..*after];
                let swapped = [&bytes[..bounds[n]], next, &record, &bytes[*after..]].concat();
                must_find(&with(&files, path, Some(swapped)), &format!("records {n} exchanged"));
            }
        }
    }
}

#[test]
fn a_cut_at_any_byte_of_the_end_is_found() {
    let files = contents(&sample());
    let (path, bytes) = files.iter().rfind(|(p, _)| p.extension().is_some()).unwrap();
    for at in 0..bytes.len() {
        must_find(&with(&files, path, Some(bytes[..at].to_vec())), &format!("cut at byte {at}"));
    }
}

#[test]
fn removed_and_doubled_files_are_found() {
    let fs = sample();
    let files = contents(&fs);
    let all = journals(&fs);
    for (n, path) in all.iter().enumerate() {
        must_find(&with(&files, path, None), &format!("file {n} removed"));
        // The files from here to the end, down to none at all.
        let cut = SimFs::new(1);
        for (name, content) in files.iter().filter(|(name, _)| !all[n..].contains(name)) {
            cut.put(name, content.clone());
        }
        must_find(&cut, &format!("files from {n} on removed"));
        for other in [all.len() as u64 + 1, 99] {
            let doubled = with(&files, &file(other), fs.get(path));
            assert!(!check(&doubled).is_sound(), "file {n} doubled as {other}");
        }
        if let Some(next) = all.get(n + 1) {
            let swapped = with(&files, path, fs.get(next));
            swapped.put(next, fs.get(path).unwrap());
            assert!(!check(&swapped).is_sound(), "files {n} and the next exchanged");
        }
    }
    must_find(&with(&files, &Path::new(DIR).join(HEAD_FILE), None), "the head removed");
}

/// Without the node's key a chain can be made anew, but not signed.
#[test]
fn a_chain_made_anew_is_found_even_after_the_node_went_on() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    for n in 0..5 {
        note(&journal, &n.to_string()).unwrap();
    }
    drop(journal);
    let mut bytes = fs.get(&file(1)).unwrap();
    let mut out = bytes[..format::FILE_HEAD].to_vec();
    let mut rest = bytes.split_off(format::FILE_HEAD);
    let mut previous = [0; 32];
    while let format::Decoded::Record(mut record, length) = format::decode_record(&rest) {
        if record.seq == 3 {
            record.body = json!({ "text": "never happened" });
        }
        record.previous = previous;
        previous = format::encode_record(&record, record.body.to_string().as_bytes(), &mut out);
        rest = rest.split_off(length);
    }
    fs.put(&file(1), out);
    assert!(!check(&fs).is_sound());
    let journal = open(&fs);
    assert_eq!(journal.opening(), &JournalOpening::Rewritten { head_seq: 6 });
    note(&journal, "after").unwrap();
    drop(journal);
    let report = check(&fs);
    assert!(report.damages.iter().any(|d| d.detail.contains("quarantine")), "{report:?}");
    assert!(fs.files().iter().any(|f| f.to_string_lossy().contains("quarantine/head")));
}

#[test]
fn numbers_that_were_given_are_never_given_again_after_a_cut() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    for n in 0..5 {
        note(&journal, &n.to_string()).unwrap();
    }
    drop(journal);
    let bytes = fs.get(&file(1)).unwrap();
    let keep = bounds(&bytes)[3];
    fs.put(&file(1), bytes[..keep].to_vec());
    let journal = open(&fs);
    assert_eq!(journal.opening(), &JournalOpening::Cut { last_seq: 3, head_seq: 6 });
    assert_eq!(note(&journal, "after").unwrap(), 8);
    assert_eq!(notes(&journal).iter().map(|n| n.0).collect::<Vec<_>>(), [2, 3, 8]);
    let report = journal.verify().unwrap();
    assert_eq!(report.damages.len(), 1, "{report:?}");
    assert!(report.damages[0].detail.contains("does not follow record 3"));
}

/// The one window: records since the last head, here made by leaving the head out.
#[test]
fn a_cut_behind_the_head_is_the_one_that_is_not_seen_and_a_witness_sees_it() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    note(&journal, "a").unwrap();
    let head = fs.get(&Path::new(DIR).join(HEAD_FILE)).unwrap();
    let (seq, hash) = journal.newest();
    drop(journal);
    fs.put(&Path::new(DIR).join(HEAD_FILE), head);
    let bytes = fs.get(&file(1)).unwrap();
    fs.put(&file(1), bytes[..bounds(&bytes)[1]].to_vec());
    let report = check(&fs);
    assert!(report.is_sound() && report.beyond_head() == 0, "{report:?}");
    let witnesses = vec![Witness { name: "a copy".into(), seq, hash: hex::encode(hash) }];
    let options = VerifyOptions { key: None, witnesses };
    let report = Journal::verify_dir(&shared(&fs), Path::new(DIR), &options).unwrap();
    assert!(report.damages[0].detail.contains("its end was cut"), "{report:?}");
}

#[test]
fn a_copy_of_the_head_that_knows_more_is_left_as_a_witness() {
    let fs = SimFs::new(1);
    let journal = open(&fs);
    let copy = Path::new("/disk/journal.head");
    fs.create_dir_all(Path::new("/disk")).unwrap();
    note(&journal, "a").unwrap();
    assert_eq!(journal.put_head(copy).unwrap(), 2);
    note(&journal, "b").unwrap();
    assert_eq!(journal.put_head(copy).unwrap(), 3, "an older one is replaced");
    // The same node with an earlier state of the whole data disk.
    let other = SimFs::new(2);
    other.create_dir_all(Path::new("/disk")).unwrap();
    other.put(copy, fs.get(copy).unwrap());
    let earlier = open(&other);
    assert!(earlier.put_head(copy).unwrap_err().to_string().contains("its end was cut"));
    assert_eq!(other.get(copy), fs.get(copy));
    drop(earlier);
    // After a restore the copy speaks of a life that is over.
    let clock = Arc::new(ManualClock::at(NOW));
    let step = limits::JOURNAL_RESTORE_EPOCH_STEP;
    let restored = Journal::open(JournalOptions { epoch_step: step, ..options(&other, clock) }).unwrap();
    assert_eq!(restored.put_head(copy).unwrap(), 2);
}

#[test]
fn a_head_follows_the_newest_record_within_its_interval() {
    let fs = SimFs::new(1);
    let every = Some(Duration::from_millis(5));
    let options = options(&fs, Arc::new(ManualClock::at(NOW)));
    let journal = Journal::open(JournalOptions { head_every: every, ..options }).unwrap();
    note(&journal, "a").unwrap();
    let began = std::time::Duration::from_secs(10);
    let mut waited = Duration::ZERO;
    while journal.stats().head_seq < 2 {
        assert!(waited < began, "the head does not follow");
        std::thread::sleep(Duration::from_millis(2));
        waited += Duration::from_millis(2);
    }
    let HeadFound::Good(_, head) = Journal::head_of(&shared(&fs), Path::new(DIR)).unwrap() else {
        panic!("no head")
    };
    assert_eq!((head.seq, head.hash), (2, hex::encode(journal.newest().1)));
}

#[test]
fn a_head_of_another_node_is_found() {
    let fs = sample();
    let options = VerifyOptions { key: Some(NodeKey::from_seed([8; 32]).id()), witnesses: Vec::new() };
    let report = Journal::verify_dir(&shared(&fs), Path::new(DIR), &options).unwrap();
    assert!(report.damages[0].detail.contains("not this node's"), "{report:?}");
}

/// A torn end behind the head is what a crash leaves, and no damage.
#[test]
fn a_torn_end_that_nobody_was_promised_is_no_damage() {
    let fs = sample();
    let last = journals(&fs).pop().unwrap();
    let mut bytes = fs.get(&last).unwrap();
    bytes.extend_from_slice(&[9; 20]);
    fs.put(&last, bytes);
    let report = check(&fs);
    assert!(report.is_sound() && report.notes[0].starts_with("torn end"), "{report:?}");
    assert!(matches!(open(&fs).opening(), JournalOpening::TornTail { bytes: 20 }));
}

#[test]
fn a_head_that_is_far_too_long_is_damage_and_does_not_keep_the_node_from_starting() {
    for length in [5_000, 2 << 20] {
        let fs = SimFs::new(1);
        let journal = open(&fs);
        let seq = note(&journal, "one").unwrap();
        journal.close();
        let head = Path::new(DIR).join(HEAD_FILE);
        fs.put(&head, vec![7; length]);
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        let found = Journal::verify_dir(&shared, Path::new(DIR), &VerifyOptions::default()).unwrap();
        assert!(found.damages.iter().any(|d| d.file == head), "{found:?}");
        let journal = open(&fs);
        assert!(journal.last_seq() > seq);
        journal.close();
        let kept = fs.files().into_iter().filter_map(|p| fs.get(&p)).any(|b| b == vec![7; length]);
        assert!(kept, "the bytes of {length} are in the quarantine");
    }
}
