//! Any bytes as one of the append-only logs that the node derives from its footage.

use std::path::Path;
use std::sync::Arc;

use fengsui_config::clock::{ManualClock, UtcMicros};
use fengsui_config::ids::{StreamKey, VolumeId};
use fengsui_storage::archive::{ArchiveIndex, Stored};
use fengsui_storage::catalogue::{Catalogue, Opening};
use fengsui_storage::fs::{Fs, SimFs};
use fengsui_storage::segment::{SegmentFlags, SegmentRow};

use super::NOW;

const ALL: (UtcMicros, UtcMicros) = (UtcMicros(i64::MIN), UtcMicros(i64::MAX));

/// Everything that a catalogue answers, as text.
fn answers(catalogue: &Catalogue) -> String {
    let mut out = format!("{:?} {:?}\n", catalogue.unfinished(), catalogue.volume_names());
    for key in catalogue.keys() {
        let (day, next) = (NOW, UtcMicros(NOW.0 + 86_400_000_000));
        out += &format!(
            "{key} {} {:?} {:?} {:?} {:?}\n{:?}\n{:?}\n{:?}\n",
            catalogue.next_number(key),
            catalogue.last_hash(key),
            catalogue.known_to(key),
            catalogue.last_gap(key),
            catalogue.open_gap(key),
            catalogue.segments(key, ALL.0, ALL.1),
            catalogue.spans(key, ALL.0, ALL.1),
            catalogue.day_strip(key, day, next),
        );
        let _ = catalogue.summary(key);
        let _ = catalogue.segment(key, 1);
        let _ = catalogue.spans(key, day, next);
    }
    out
}

/// Opens the bytes as a catalogue. What was opened answers the same when it is opened again, as it is and written afresh;
/// bytes that do not hold are kept.
pub fn catalogue(bytes: &[u8]) {
    let (fs, dir) = (SimFs::new(1), Path::new("/data/catalogue"));
    let log = dir.join("catalogue.log");
    fs.put(&log, bytes.to_vec());
    let clock = Arc::new(ManualClock::at(NOW));
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let open = || Catalogue::open(shared.clone(), dir, clock.clone()).expect("a disk that does not refuse");
    let first = open();
    let kept = fs.files().iter().filter_map(|path| fs.get(path)).any(|file| file == bytes);
    match first.opening() {
        Opening::Clean | Opening::New => {}
        Opening::Damaged { .. } => assert!(kept, "damaged bytes were not kept"),
        Opening::TornTail { bytes: torn } => {
            let tail = &bytes[bytes.len() - usize::try_from(*torn).expect("a tail of the file")..];
            let kept = fs.files().iter().filter_map(|path| fs.get(path)).any(|file| file == tail);
            assert!(kept, "the torn tail was not kept");
        }
    }
    first.flush(true).expect("a disk that does not refuse");
    let _ = first.audit();
    let stats = first.stats();
    assert!(stats.memory_bytes <= 64 * bytes.len() + (1 << 20), "{} bytes in memory", stats.memory_bytes);
    let told = answers(&first);
    drop(first);
    fs.crash();
    let second = open();
    assert_eq!(*second.opening(), Opening::Clean);
    assert!(answers(&second) == told, "opened again it says something else");
    second.compact().expect("a disk that does not refuse");
    second.flush(true).expect("a disk that does not refuse");
    assert!(answers(&second) == told, "writing it afresh changed it");
    drop(second);
    fs.crash();
    let third = open();
    assert_eq!(*third.opening(), Opening::Clean);
    assert!(answers(&third) == told, "written afresh it says something else");
}

/// Opens the bytes as the index of an archive. It takes a row, and opened again it has what it had and that row.
pub fn archive_index(bytes: &[u8]) {
    let (fs, dir) = (SimFs::new(1), Path::new("/data/archive"));
    let id: VolumeId = "far".parse().expect("a name");
    fs.put(&dir.join("far.log"), bytes.to_vec());
    let open = || ArchiveIndex::open(&fs, dir, id.clone(), NOW).expect("a disk that does not refuse");
    let (mut index, _) = open();
    let row = Stored {
        key: StreamKey {
            camera: "33080200001320000001".parse().expect("a camera"),
            stream: fengsui_config::ids::StreamKind::Main,
        },
        number: 77,
        start_ms: NOW.millis(),
        duration_ms: 300_000,
        flags: SegmentFlags(3),
        bytes: 4711,
        at: NOW,
        hash: [5; 32],
    };
    index.append(&[row]).expect("a disk that does not refuse");
    assert!(index.has(row.key, row.start_ms, row.number));
    assert!(index.segments(row.key, ALL.0, ALL.1).iter().any(|r| r.number == 77));
    let _ = index.extent(row.key);
    let before: Vec<SegmentRow> = index.all().collect();
    assert!(before.len() <= bytes.len() / 96 + 1);
    let totals = index.totals();
    drop(index);
    fs.crash();
    let (index, _) = open();
    assert!(index.all().collect::<Vec<_>>() == before, "opened again it says something else");
    assert_eq!(index.totals(), totals);
}
