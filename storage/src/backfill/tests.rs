#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fengsui_config::clock::{ManualClock, UtcMicros};
use fengsui_config::ids::{CameraId, StreamKind};

use super::*;
use crate::frame::GapReason;
use crate::fs::{Fault, FaultPlan, PageBuf, SimFs};
use crate::playback::Footage;
use crate::segment::tests::kit;
use crate::segment::{EndReason, NodeKey, SegmentHead, SegmentWriter};
use crate::volume::{VolumeMode, VolumeState};

const CATALOGUE: &str = "/data/catalogue";
const PIECE: usize = 8 << 10;

fn west() -> Arc<NodeKey> {
    Arc::new(NodeKey::from_seed([9; 32]))
}

fn volumes() -> Vec<VolumeStatus> {
    vec![VolumeStatus {
        id: "v1".parse().unwrap(),
        root: "/v1".into(),
        state: VolumeState::Ok,
        detail: None,
        since: kit::START,
        total_bytes: 1 << 40,
        free_bytes: 1 << 39,
        reserve_bytes: 0,
        mode: VolumeMode::Use,
        weight: 100,
        stage: None,
        is_stage: false,
    }]
}

/// A segment of `from` to `to` seconds after the start, that `node` recorded on the volume `root`.
fn record(
    fs: &SimFs,
    root: &str,
    (node, key): (&str, Arc<NodeKey>),
    number: u64,
    (from, to): (u64, u64),
) -> (SegmentRow, Hash) {
    let units: Vec<_> = kit::stream(to * 25, 25, 300, false).split_off(usize::try_from(from * 25).unwrap());
    let head = SegmentHead {
        node: node.parse().unwrap(),
        start: units[0].utc,
        ..kit::head(number, &kit::info(false))
    };
    let mut writer = SegmentWriter::create(fs, Path::new(root), head, 0, key).unwrap();
    let mut buf = PageBuf::new();
    kit::feed(&mut writer, &units, &mut buf);
    let closed = writer.close(fs, EndReason::Rotation, &mut buf).unwrap();
    (closed.row, closed.hash)
}

struct Bench {
    fs: SimFs,
    catalogue: Arc<Catalogue>,
    backfill: Backfill,
}

impl Bench {
    fn open(fs: SimFs) -> Self {
        let clock = Arc::new(ManualClock::at(kit::START));
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        let catalogue = Catalogue::open(shared.clone(), Path::new(CATALOGUE), clock).unwrap();
        let backfill = Backfill::new(shared, catalogue.clone());
        Self { fs, catalogue, backfill }
    }

    /// Brings a file as a centre does, from where the node says on; gives what came of it in the end.
    fn bring(&self, incoming: &Incoming, file: &[u8]) -> Result<Came, StoreError> {
        let mut came = self.backfill.put(&volumes(), incoming, 0, &[])?;
        while let Came::Part(have) = came {
            let at = usize::try_from(have).unwrap();
            let piece = &file[at..file.len().min(at + PIECE)];
            came = self.backfill.put(&volumes(), incoming, have, piece)?;
        }
        Ok(came)
    }
}

/// What west recorded in the place of this node, from 20 to 40 s.
fn standing_in() -> (Incoming, Vec<u8>, Hash) {
    let elsewhere = SimFs::new(3);
    let number = crate::segment::stand_in_number(kit::START);
    let (row, hash) = record(&elsewhere, "/west", ("west", west()), number, (20, 40));
    let file = elsewhere.get(&Path::new("/west").join(row.path())).unwrap();
    let (key, name, bytes) = (row.key, row.name(), file.len() as u64);
    (Incoming { key, name, bytes, node: "west".parse().unwrap(), signer: west().id() }, file, hash)
}

#[test]
fn what_another_node_recorded_is_taken_in_whole_proved_and_once() {
    let bench = Bench::open(SimFs::new(1));
    let (own, own_hash) = record(&bench.fs, "/v1", ("centre", kit::signer()), 1, (0, 20));
    let (later, later_hash) = record(&bench.fs, "/v1", ("centre", kit::signer()), 2, (35, 50));
    bench.catalogue.closed(&own, own_hash);
    bench.catalogue.gap(own.key, GapReason::NodeDown, own.end(), later.start());
    bench.catalogue.closed(&later, later_hash);
    let (incoming, file, hash) = standing_in();
    assert!(file.len() > 3 * PIECE, "it comes in pieces");
    // A piece that does not follow is left out, and told where it would.
    let put = |offset, piece: &[u8]| bench.backfill.put(&volumes(), &incoming, offset, piece).unwrap();
    assert_eq!(put(0, &file[..100]), Came::Part(100));
    assert_eq!(put(0, &file[..100]), Came::Part(100));
    assert_eq!(put(5000, &file[5000..5100]), Came::Part(100));
    assert_eq!(bench.bring(&incoming, &file).unwrap(), Came::Taken(hash));
    assert_eq!(bench.bring(&incoming, &file).unwrap(), Came::Known);
    let row = bench.catalogue.segment(incoming.key, incoming.name.number).unwrap();
    assert_eq!(bench.fs.get(&Path::new("/v1").join(row.path())).unwrap(), file, "byte for byte");
    assert!(bench.fs.files().iter().all(|f| !f.starts_with("/v1/backfill")));
    // The stream's own segments go on with their numbers and their chain.
    assert_eq!((bench.catalogue.next_number(own.key), bench.catalogue.last_hash(own.key)), (3, later_hash));
    // One timeline without a hole.
    let (from, to) = (kit::START, UtcMicros(kit::START.0 + 50_000_000));
    let spans = bench.catalogue.spans(own.key, from, to);
    assert_eq!((spans.len(), spans[0].from, spans[0].to), (1, from, to), "{spans:?}");
    // And what is played goes on from one to the other: no picture twice, none missing.
    let places = vec![("v1".parse().unwrap(), PathBuf::from("/v1"))];
    let footage = Footage::new(Arc::new(bench.fs.clone()), bench.catalogue.clone(), places);
    let list = footage.gops(own.key, from, to).unwrap();
    let mut reached = from;
    for gop in &list.items {
        assert!(
            gop.from.since(reached).abs() <= 1_000_000,
            "{} behind {reached:?}: {gop:?}",
            list.items.len()
        );
        assert!(gop.to > reached, "time does not go back: {gop:?}");
        reached = gop.to;
    }
    assert_eq!(reached, to);
    // After a restart, and after an index made anew from names, it is the same.
    bench.catalogue.flush(true).unwrap();
    let again = Bench::open(bench.fs.clone());
    assert_eq!(again.catalogue.segment(incoming.key, incoming.name.number), Some(row));
    assert_eq!((again.catalogue.next_number(own.key), again.catalogue.last_hash(own.key)), (3, later_hash));
    drop(again);
    let clock = Arc::new(ManualClock::at(kit::START));
    let places = [("v1".parse().unwrap(), PathBuf::from("/v1"))];
    Catalogue::rebuild(Arc::new(bench.fs.clone()), Path::new(CATALOGUE), &places, clock).unwrap();
    assert_eq!(Bench::open(bench.fs.clone()).catalogue.next_number(own.key), 3);
}

#[test]
fn what_does_not_hold_is_no_footage() {
    let (incoming, file, _) = standing_in();
    let refused = |incoming: &Incoming, file: &[u8], why: &str| {
        let bench = Bench::open(SimFs::new(1));
        match bench.bring(incoming, file).unwrap() {
            Came::Refused(text) => assert!(text.contains(why), "{text}"),
            other => panic!("{why}: {other:?}"),
        }
        assert!(bench.catalogue.keys().is_empty(), "{why}");
        let kept = bench.fs.files().iter().filter(|f| f.starts_with("/v1/quarantine")).count();
        assert!(bench.fs.files().iter().all(|f| !f.starts_with("/v1/backfill")), "{why}");
        kept
    };
    for at in [file.len() / 3, file.len() / 2, file.len() - 700] {
        let mut flipped = file.clone();
        flipped[at] ^= 4;
        assert_eq!(refused(&incoming, &flipped, ""), 1, "kept aside");
    }
    let foreign = Incoming { signer: NodeKey::from_seed([1; 32]).id(), ..incoming.clone() };
    assert_eq!(refused(&foreign, &file, "another key"), 1);
    let other = Incoming { node: "north".parse().unwrap(), ..incoming.clone() };
    assert_eq!(refused(&other, &file, "west recorded it, not north"), 1);
    let camera: CameraId = "33080200001320000009".parse().unwrap();
    let key = StreamKey { camera, stream: StreamKind::Main };
    assert_eq!(refused(&Incoming { key, ..incoming.clone() }, &file, "another segment"), 1);
    let mut name = incoming.name;
    name.closed = name.closed.map(|(duration, flags)| (duration + 60_000, flags));
    assert_eq!(refused(&Incoming { name, ..incoming.clone() }, &file, "another time"), 1);
    // What could be no footage of another node is refused before a byte is kept.
    let own = SegmentName { number: 7, ..incoming.name };
    assert_eq!(refused(&Incoming { name: own, ..incoming.clone() }, &file, "its number is none"), 0);
    let open = SegmentName { closed: None, ..incoming.name };
    assert_eq!(refused(&Incoming { name: open, ..incoming.clone() }, &file, "not closed"), 0);
    let large = limits::BACKFILL_SEGMENT_BYTES_MAX + 1;
    assert_eq!(refused(&Incoming { bytes: large, ..incoming.clone() }, &file, "at most"), 0);
    // Another segment with its number is in its way.
    let bench = Bench::open(SimFs::new(1));
    let (row, hash) = record(&bench.fs, "/v1", ("north", west()), incoming.name.number, (0, 5));
    bench.catalogue.closed(&row, hash);
    assert!(matches!(bench.bring(&incoming, &file).unwrap(), Came::Refused(why) if why.contains("number")));
    // Without a volume that takes footage nothing is kept.
    let full = vec![VolumeStatus { state: VolumeState::Full, ..volumes().remove(0) }];
    let none = Bench::open(SimFs::new(1)).backfill.put(&full, &incoming, 0, &file[..9]).unwrap();
    assert_eq!(none, Came::Refused("no volume takes footage".into()));
}

#[test]
fn a_crash_at_any_call_leaves_the_segment_or_a_part_to_go_on_with() {
    let (incoming, file, hash) = standing_in();
    let calm = Bench::open(SimFs::new(1));
    let before = calm.fs.stats().changing();
    calm.bring(&incoming, &file).unwrap();
    let calls = calm.fs.stats().changing() - before;
    for cut in 0..calls {
        let bench = Bench::open(SimFs::new(cut));
        let fault = Fault::PowerCut;
        bench.fs.plan(FaultPlan { operation: None, below: None, after: cut, times: 1, fault });
        assert!(bench.bring(&incoming, &file).is_err(), "cut at call {cut} of {calls}");
        bench.fs.crash();
        let again = Bench::open(bench.fs.clone());
        let id = "v1".parse().unwrap();
        // As a recorder does after its start.
        again.catalogue.check_volume(&id, Path::new("/v1"), &AtomicBool::new(false)).unwrap();
        let mut came = again.bring(&incoming, &file).unwrap();
        if let Came::Refused(why) = &came {
            // Bytes that were never durable stood in the part: found, put aside, and brought anew.
            assert!(why.contains("damaged"), "cut at call {cut}: {why}");
            came = again.bring(&incoming, &file).unwrap();
        }
        assert!(
            matches!(came, Came::Known) || came == Came::Taken(hash),
            "cut at call {cut} of {calls}: {came:?}"
        );
        let row = again.catalogue.segment(incoming.key, incoming.name.number).unwrap();
        assert_eq!(again.fs.get(&Path::new("/v1").join(row.path())).unwrap(), file, "cut at call {cut}");
    }
}

#[test]
fn numbers_of_a_node_that_stands_in_come_from_the_time_and_never_twice() {
    let bench = Bench::open(SimFs::new(1));
    let key = kit::key();
    let first = crate::segment::stand_in_number(kit::START);
    assert!(is_stand_in(first) && u32::try_from(first).is_ok());
    bench.catalogue.set_number_floors([(key, first)].into());
    assert_eq!(bench.catalogue.next_number(key), first);
    bench.catalogue.opened(key, &"v1".parse().unwrap(), first, kit::START);
    assert_eq!(bench.catalogue.next_number(key), first + 1, "the next one of the same time");
    let later = crate::segment::stand_in_number(UtcMicros(kit::START.0 + 60_000_000));
    bench.catalogue.set_number_floors([(key, later)].into());
    assert_eq!(bench.catalogue.next_number(key), first + 30);
    // Nothing of it stands in for a stream of the node's own.
    bench.catalogue.set_number_floors(std::collections::BTreeMap::new());
    let sub = StreamKey { stream: StreamKind::Sub, ..key };
    assert_eq!(bench.catalogue.next_number(sub), 1);
}

#[test]
fn parts_that_nobody_finishes_go_to_quarantine() {
    let bench = Bench::open(SimFs::new(5));
    let (incoming, file, hash) = standing_in();
    let put = |offset, piece: &[u8]| bench.backfill.put(&volumes(), &incoming, offset, piece).unwrap();
    assert_eq!(put(0, &file[..100]), Came::Part(100));
    let stranger = Path::new("/v1/backfill/notes.part");
    bench.fs.open(stranger, OpenOptions::NEW).unwrap().sync_all().unwrap();
    let began = UtcMicros(incoming.name.start_ms * 1000);
    let (old, after) = (began + limits::BACKFILL_PART_AGE_MAX, Duration::from_micros(1));
    assert_eq!(bench.backfill.put_aside(&volumes(), old).unwrap(), 0, "a centre may still bring the rest");
    assert_eq!(put(0, &[]), Came::Part(100));
    assert_eq!(bench.backfill.put_aside(&volumes(), old + after).unwrap(), 1);
    assert_eq!(bench.backfill.put_aside(&volumes(), old + after).unwrap(), 0, "once");
    let kept = bench.fs.files().into_iter().find(|f| f.starts_with("/v1/quarantine")).unwrap();
    assert_eq!(bench.fs.get(&kept).unwrap(), file[..100], "what came of it is not removed");
    assert!(bench.fs.metadata(stranger).is_ok(), "what is no part is left alone");
    // It is brought again from its beginning, and its place in the quarantine is no matter.
    assert_eq!(put(0, &[]), Came::Part(0));
    assert_eq!(bench.bring(&incoming, &file).unwrap(), Came::Taken(hash));
    let nowhere = vec![VolumeStatus { root: "/nowhere".into(), ..volumes().remove(0) }];
    assert_eq!(bench.backfill.put_aside(&nowhere, old + after).unwrap(), 0);
}
