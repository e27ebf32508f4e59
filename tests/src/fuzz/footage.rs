//! Any bytes as a segment: read, checked, recovered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fengsui_config::clock::UtcMicros;
use fengsui_storage::fs::{Fs, SimFs};
use fengsui_storage::segment::mux::{Audience, browser_fragment, init_segment};
use fengsui_storage::segment::{Outcome, SegmentReader, Surveyor, check, finish_torn, recover};

use super::key;

const OPEN: &str = "/v1/33080200001320000001/main/20250601/1748736000000_1.open.mp4";
const CLOSED: &str = "/v1/33080200001320000001/main/20250601/1748736000000_1_2400_vk.mp4";
const QUARANTINE: &str = "/v1/quarantine";

/// Opens, walks, plays and checks the bytes as a closed file and as one that is being written. Whatever is served lies
/// in the file, byte for byte, unless the file itself says that a bit of its preamble flipped.
pub fn segment_reader(bytes: &[u8]) {
    let fs = SimFs::new(1);
    let half = bytes.len() as u64 / 2;
    for (path, known) in [(CLOSED, None), (OPEN, Some(half)), (OPEN, Some(bytes.len() as u64))] {
        let path = Path::new(path);
        fs.put(path, bytes.to_vec());
        if let Ok(mut reader) = SegmentReader::open(&fs, path, known) {
            if known == Some(half) {
                let _ = reader.refresh(bytes.len() as u64);
            }
            play(&reader, bytes);
            served(&reader, bytes);
        }
        let found = check(&fs, path, true).expect("only a disk that refuses is an error");
        assert_eq!(found.bytes, bytes.len() as u64);
    }
    if let Ok(mut surveyor) = Surveyor::open(&fs, Path::new(CLOSED), UtcMicros(super::NOW.0 + 2_400_000)) {
        let mut steps = 0;
        while let Ok(Some(_)) = surveyor.step() {
            steps += 1;
            assert!(steps <= bytes.len() / 16 + 2, "a survey that does not end");
        }
        let survey = surveyor.finish();
        assert!(survey.bytes <= 2 * bytes.len() as u64 + 8192, "more was read than there is");
    }
}

fn play(reader: &SegmentReader, bytes: &[u8]) {
    for audience in [Audience::Stored, Audience::Browser] {
        let _ = init_segment(reader.info(), audience);
    }
    let _ = reader.init();
    for (index, fragment) in (0u32..).zip(reader.fragments().to_vec()) {
        let Ok(stored) = reader.read_fragment(index) else { continue };
        let from = usize::try_from(fragment.offset).expect("a fragment that is served lies in the file");
        assert!(bytes.get(from..from + stored.len()) == Some(&stored[..]), "other bytes than the file's");
        let _ = browser_fragment(&stored, fragment.utc, index);
        if let Ok(units) = reader.samples(index) {
            let media: usize = units.iter().map(|u| u.data.len()).sum();
            // Tracks may name the same bytes; a fragment of ours has two.
            assert!(units.is_empty() || media <= stored.len() * units.len(), "more media than bytes");
        }
    }
}

fn served(reader: &SegmentReader, bytes: &[u8]) {
    let mut at = 0;
    while at < bytes.len() {
        match reader.read_checked(at as u64, 3000) {
            Ok(part) if part.is_empty() => break,
            Ok(part) => {
                assert!(bytes.get(at..at + part.len()) == Some(&part[..]), "other bytes than the file's");
                at += part.len();
            }
            Err(_) => at += 512,
        }
    }
}

fn all(fs: &SimFs) -> BTreeMap<PathBuf, Vec<u8>> {
    fs.files().into_iter().map(|path| (path.clone(), fs.get(&path).unwrap_or_default())).collect()
}

/// Recovers the bytes as a file that a crash left open: no byte goes away, damage is not written over, and once done
/// there is nothing left to do, also after a power cut.
pub fn recovery(bytes: &[u8]) {
    let (fs, path) = (SimFs::new(1), Path::new(OPEN));
    fs.put(path, bytes.to_vec());
    let seen = recover(&fs, path).expect("only a disk that refuses is an error");
    assert!(seen.committed <= bytes.len() as u64);
    assert!(all(&fs).get(path).is_some_and(|b| b == bytes), "a look changed something");
    let done = finish_torn(&fs, path, Path::new(QUARANTINE), &key()).expect("a disk that does not refuse");
    assert_eq!(done.recovery.outcome, seen.outcome);
    let after = all(&fs);
    let aside = done.quarantined.as_ref().map(|q| after.get(q).expect("what was set aside is there"));
    let kept = after.iter().find(|(p, _)| Some(*p) != done.quarantined.as_ref());
    match (&done.row, kept) {
        (None, None) => assert!(aside.is_some_and(|a| a == bytes), "the file was set aside as it was"),
        (Some(_), Some((_, file))) => {
            let tail = aside.map_or(&[][..], Vec::as_slice);
            let (head, rest) = bytes.split_at(bytes.len() - tail.len());
            assert!(file.starts_with(head), "a byte that held was changed");
            assert!(rest == tail, "the torn tail was set aside as it was");
            if matches!(seen.outcome, Outcome::Damaged { .. }) {
                assert!(file == bytes, "a damaged file was changed");
            }
        }
        other => panic!("a file is gone or came: {other:?}"),
    }
    again(&fs, &after, done.quarantined.as_deref());
}

/// A second recovery changes nothing.
fn again(fs: &SimFs, after: &BTreeMap<PathBuf, Vec<u8>>, aside: Option<&Path>) {
    fs.crash();
    assert!(all(fs) == *after, "what recovery left was not durable");
    let Some(file) = after.keys().find(|p| Some(p.as_path()) != aside) else { return };
    let seen = recover(fs, file).expect("only a disk that refuses is an error");
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // A damaged file has its closed name, and files with one are not recovered again.
    if !name.contains('d') {
        assert_eq!((seen.outcome, seen.closed), (Outcome::Clean, true), "{}", file.display());
        finish_torn(fs, file, Path::new(QUARANTINE), &key()).expect("a disk that does not refuse");
    }
    assert!(all(fs) == *after, "a second recovery changed something: {:?}", fs.files());
    assert!(fs.metadata(file).is_ok());
}
