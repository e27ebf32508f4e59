//! Playback over closed and growing segments.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use std::path::Path;

use super::*;
use crate::fs::{PageBuf, SimFs};
use crate::segment::tests::kit;
use crate::segment::{EndReason, SegmentWriter};

/// An index that a test fills by hand.
#[derive(Default)]
struct Rows(Mutex<Vec<SegmentRow>>);

impl SegmentIndex for Rows {
    fn segments(&self, _: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        self.0.lock().iter().filter(|r| r.start() < to && r.end() > from).cloned().collect()
    }
}

fn footage(fs: &SimFs) -> (Footage, Arc<Rows>) {
    let rows = Arc::new(Rows::default());
    let volumes = vec![("v1".parse().unwrap(), PathBuf::from("/v1"))];
    (Footage::new(Arc::new(fs.clone()), rows.clone(), volumes), rows)
}

fn second(n: i64) -> UtcMicros {
    UtcMicros(kit::START.0 + n * 1_000_000)
}

fn open_row(w: &SegmentWriter) -> SegmentRow {
    let end = w.fragments().last().map_or(kit::START, |f| f.utc_end);
    SegmentRow {
        volume: "v1".parse().unwrap(),
        key: kit::key(),
        number: 1,
        start_ms: kit::START.millis(),
        duration_ms: (end.since(kit::START) / 1000) as u32,
        flags: crate::segment::SegmentFlags::default(),
        bytes: w.committed(),
        closed: false,
    }
}

#[test]
fn a_growing_segment_is_served_up_to_its_last_commit_and_after_it_was_closed() {
    let fs = SimFs::new(1);
    let (footage, rows) = footage(&fs);
    let units = kit::stream(300, 25, 200, true);
    let mut w =
        SegmentWriter::create(&fs, Path::new("/v1"), kit::head(1, &kit::info(true)), 0, kit::signer())
            .unwrap();
    let mut buf = PageBuf::new();
    kit::feed(&mut w, &units[..200], &mut buf);
    *rows.0.lock() = vec![open_row(&w)];
    let first = footage.gops(kit::key(), second(0), second(60)).unwrap();
    assert!(first.items.len() >= 2 && first.items.iter().all(|g| g.key), "{first:?}");
    kit::feed(&mut w, &units[200..400], &mut buf);
    // Not told yet: not shown.
    assert_eq!(footage.gops(kit::key(), second(0), second(60)).unwrap(), first);
    *rows.0.lock() = vec![open_row(&w)];
    let more = footage.gops(kit::key(), second(0), second(60)).unwrap();
    assert!(more.items.len() > first.items.len());
    assert_eq!(more.items[..first.items.len()], first.items);
    kit::feed(&mut w, &units[400..], &mut buf);
    let closed = w.close(&fs, EndReason::Rotation, &mut buf).unwrap();
    *rows.0.lock() = vec![closed.row.clone()];
    let all = footage.gops(kit::key(), second(0), second(60)).unwrap();
    assert_eq!(all.items.len(), 12);
    assert!(all.items.windows(2).all(|w| w[0].to == w[1].from), "{all:?}");
    // Ids from before the closing still work, and so does the open name.
    let gop = footage.gop(kit::key(), &first.items[0].id).unwrap();
    assert!(gop.len() > 1000);
    let open_name = SegmentName::open(kit::START, 1).to_string();
    assert_eq!(footage.file(kit::key(), &open_name).unwrap().len, closed.row.bytes);
    assert!(footage.init(kit::key(), &all.items[0].init).unwrap().len() > 400);
    assert!(footage.init(kit::key(), "00").is_err());
    assert!(footage.gop(kit::key(), "1_2").is_err());
    assert!(footage.gop(kit::key(), "1_2_3").is_err());
}

#[test]
fn a_range_begins_where_a_decoder_can_start() {
    let fs = SimFs::new(1);
    let (footage, rows) = footage(&fs);
    // GOPs of 4 s: fragments in between start without a key frame.
    let made = kit::closed(&fs, Path::new("/v1"), &kit::info(false), &kit::stream(500, 100, 200, false));
    *rows.0.lock() = vec![made.row];
    let list = footage.gops(kit::key(), second(11), second(12)).unwrap();
    assert!(list.items[0].key && list.items[0].from == second(8), "{list:?}");
    assert!(list.items.last().unwrap().from < second(12));
    let hls = footage.hls(kit::key(), second(11), second(12)).unwrap();
    assert_eq!(hls[0].fragments.len(), list.items.len());
    assert_eq!(hls[0].codecs, "avc1.42C00A");
    let raw = footage.raw_fragment(kit::key(), &hls[0].name, hls[0].fragments[0].index).unwrap();
    assert_eq!(raw.len() as u32, hls[0].fragments[0].length);
    let (unit, _) = footage.key_picture(kit::key(), second(11)).unwrap();
    assert_eq!(unit.utc, second(8));
    assert!(footage.key_picture(kit::key(), second(-1)).is_err());
    let file = footage.file(kit::key(), &hls[0].name).unwrap();
    assert_eq!(&file.read(4, 4).unwrap()[..], b"ftyp");
    assert_eq!(file.read(file.len - 3, 100).unwrap().len(), 3);
    assert!(file.read(file.len + 3, 100).unwrap().is_empty());
}

#[test]
fn open_readers_are_bounded() {
    let fs = SimFs::new(1);
    let (footage, rows) = footage(&fs);
    let made = kit::closed(&fs, Path::new("/v1"), &kit::info(false), &kit::stream(30, 25, 50, false));
    let bytes = fs.get(&made.path).unwrap();
    for n in 0..limits::SEGMENT_READERS_MAX as u64 + 20 {
        let row = SegmentRow { number: n, ..made.row.clone() };
        fs.put(&Path::new("/v1").join(row.path()), bytes.clone());
        *rows.0.lock() = vec![row];
        assert_eq!(footage.gops(kit::key(), second(0), second(9)).unwrap().items.len(), 2);
    }
    assert_eq!(footage.readers.len(), limits::SEGMENT_READERS_MAX);
}

#[test]
fn a_listing_reads_each_closed_file_a_few_times_and_the_second_not_at_all() {
    let fs = SimFs::new(1);
    let (footage, rows) = footage(&fs);
    let made = kit::closed(&fs, Path::new("/v1"), &kit::info(false), &kit::stream(1500, 50, 200, false));
    *rows.0.lock() = vec![made.row];
    let reads = || fs.stats().calls.get(&crate::fs::Operation::Read).copied().unwrap_or(0);
    let before = reads();
    let list = footage.gops(kit::key(), second(0), second(60)).unwrap();
    assert!(list.items.len() >= 30);
    // Preamble, end of the file, final record, fragment table; some end with a read that finds the end.
    let first = reads() - before;
    assert!((3..=8).contains(&first), "{first} reads");
    let again = reads();
    assert_eq!(footage.gops(kit::key(), second(0), second(60)).unwrap(), list);
    assert_eq!(reads(), again);
}
