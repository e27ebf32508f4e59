//! Listings with facets and without, whatever happens to the store and to the footage.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests"
)]

mod disk;
mod histories;

use std::path::Path;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use fengsui_config::clock::{ManualClock, UtcMicros};

use super::*;
use crate::catalogue::Catalogue;
use crate::fs::{Operation, PageBuf, SimFs};
use crate::playback::{Footage, GopList, HlsSegment};
use crate::scrub::{ScrubOptions, Scrubber};
use crate::segment::tests::kit;
use crate::segment::{EndReason, SegmentHead, SegmentReader, SegmentWriter};

/// From segment to segment: three hours, so that days change.
const APART: Duration = Duration::from_secs(3 * 3600);

#[derive(Default)]
struct World {
    busy: AtomicBool,
    told: Mutex<Vec<String>>,
}

impl Surroundings for World {
    fn busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst)
    }
}

impl Reporter for World {
    fn report(&self, kind: &'static str, body: serde_json::Value) -> Result<(), String> {
        self.told.lock().push(format!("{kind} {body}"));
        Ok(())
    }
}

/// What the store in memory does when it is called.
const FINE: u8 = 0;
const BROKEN: u8 = 1;
const FULL: u8 = 2;
const PANICS: u8 = 3;
/// Gives rows of which one bit flipped.
const FLIPS: u8 = 4;

/// A home in memory; what it does wrong is shared with its stores, and ends with a wipe.
#[derive(Default)]
struct Home {
    mode: Arc<AtomicU8>,
    store: Mutex<Arc<MemoryStore>>,
}

struct Faulty(Arc<AtomicU8>, Arc<MemoryStore>);

impl Faulty {
    fn call<T>(&self, work: impl FnOnce(&MemoryStore) -> Result<T, Fault>) -> Result<T, Fault> {
        match self.0.load(Ordering::SeqCst) {
            BROKEN => Err(Fault::Broken("a call failed".into())),
            FULL => Err(Fault::Full),
            PANICS => panic!("the store's own assertion"),
            _ => work(&self.1),
        }
    }
}

impl FacetStore for Faulty {
    fn get(&self, period: i64, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let mut row = self.call(|s| s.get(period, key))?;
        if let Some(row) = row.as_mut().filter(|_| self.0.load(Ordering::SeqCst) == FLIPS) {
            let at = row.len() / 2;
            row[at] ^= 16;
        }
        Ok(row)
    }
    fn put(&self, period: i64, key: &[u8], row: &[u8]) -> Result<bool, Fault> {
        self.call(|s| s.put(period, key, row))
    }
    fn remove(&self, period: i64, key: &[u8]) -> Result<(), Fault> {
        self.call(|s| s.remove(period, key))
    }
    fn periods(&self) -> Result<Vec<i64>, Fault> {
        self.call(FacetStore::periods)
    }
    fn drop_period(&self, period: i64) -> Result<(), Fault> {
        self.call(|s| s.drop_period(period))
    }
    fn len(&self) -> Result<u64, Fault> {
        self.call(FacetStore::len)
    }
    fn size(&self) -> Result<u64, Fault> {
        self.call(FacetStore::size)
    }
}

impl FacetHome for Arc<Home> {
    fn open(&self) -> Result<Arc<dyn FacetStore>, Fault> {
        Ok(Arc::new(Faulty(self.mode.clone(), self.store.lock().clone())))
    }
    fn wipe(&self) -> Result<(), Fault> {
        *self.store.lock() = Arc::default();
        self.mode.store(FINE, Ordering::SeqCst);
        Ok(())
    }
}

struct Bench {
    fs: SimFs,
    clock: Arc<ManualClock>,
    catalogue: Arc<Catalogue>,
    world: Arc<World>,
    rows: Vec<SegmentRow>,
}

fn volumes() -> Vec<(VolumeId, PathBuf)> {
    vec![("v1".parse().unwrap(), PathBuf::from("/v1"))]
}

fn shift(number: u64) -> Duration {
    APART * (number as u32 - 1)
}

impl Bench {
    fn new(segments: u64) -> Self {
        let fs = SimFs::new(1);
        fs.create_dir_all(Path::new("/data")).unwrap();
        let clock = Arc::new(ManualClock::at(kit::START + Duration::from_secs(90 * 86_400)));
        let shared: Arc<dyn Fs> = Arc::new(fs.clone());
        let catalogue = Catalogue::open(shared, Path::new("/data/catalogue"), clock.clone()).unwrap();
        let mut bench = Self { fs, clock, catalogue, world: Arc::default(), rows: Vec::new() };
        for _ in 0..segments {
            bench.close();
        }
        bench
    }

    /// A writer of the next segment with four seconds of pictures.
    fn begin(&self, number: u64) -> SegmentWriter {
        let info = kit::info(number.is_multiple_of(2));
        let head = SegmentHead { start: kit::START + shift(number), ..kit::head(number, &info) };
        let mut w = SegmentWriter::create(&self.fs, Path::new("/v1"), head, 0, kit::signer()).unwrap();
        let mut buf = PageBuf::new();
        for mut u in kit::stream(100, 75, 120, number.is_multiple_of(2)) {
            (u.utc, u.arrived) = (u.utc + shift(number), u.arrived + shift(number));
            u.camera_utc = u.camera_utc.filter(|_| !number.is_multiple_of(3));
            w.push(u.clone());
            while w.due(u.arrived) {
                w.flush(&mut buf).unwrap();
            }
        }
        w
    }

    fn close(&mut self) {
        let w = self.begin(self.rows.len() as u64 + 1);
        let closed = w.close(&self.fs, EndReason::Rotation, &mut PageBuf::new()).unwrap();
        self.catalogue.closed(&closed.row, closed.hash);
        self.rows.push(closed.row);
    }

    fn filler(&self, home: Box<dyn FacetHome>) -> (Arc<Facets>, Filler) {
        let facets = Facets::new(home);
        let filler = facets.manual(FillOptions {
            fs: Arc::new(self.fs.clone()),
            clock: self.clock.clone(),
            catalogue: self.catalogue.clone(),
            volumes: volumes(),
            data: "/data".into(),
            surroundings: self.world.clone(),
            reporter: self.world.clone(),
        });
        (facets, filler)
    }

    fn run(&self, filler: &mut Filler, seconds: u64) {
        for _ in 0..seconds * 4 {
            self.clock.advance(limits::FACET_INTERVAL);
            filler.step();
        }
    }

    fn opens(&self) -> u64 {
        self.fs.stats().calls.get(&Operation::Open).copied().unwrap_or(0)
    }

    fn footage(&self) -> Footage {
        Footage::new(Arc::new(self.fs.clone()), self.catalogue.clone(), volumes())
    }

    fn all(&self) -> (UtcMicros, UtcMicros) {
        (kit::START, kit::START + shift(self.rows.len() as u64 + 3))
    }

    /// Both kinds of list.
    fn list(footage: &Footage, (from, to): (UtcMicros, UtcMicros)) -> (GopList, Vec<HlsSegment>) {
        (footage.gops(kit::key(), from, to).unwrap(), footage.hls(kit::key(), from, to).unwrap())
    }

    /// Lists with facets and without must be the same; by readers that have nothing open yet.
    fn same(&self, facets: &Arc<Facets>, range: (UtcMicros, UtcMicros), why: &str) {
        let with = Self::list(&self.footage().with_facets(facets.clone()), range);
        assert_eq!(with, Self::list(&self.footage(), range), "{why}");
    }

    fn path(&self, n: usize) -> PathBuf {
        Path::new("/v1").join(self.rows[n].path())
    }

    fn flip(&self, n: usize, at: usize) {
        let mut bytes = self.fs.get(&self.path(n)).unwrap();
        bytes[at] ^= 4;
        self.fs.put(&self.path(n), bytes);
    }

    fn scrub(&self, seconds: u64) {
        let footage = self.footage();
        let scrubber = Scrubber::manual(ScrubOptions {
            fs: Arc::new(self.fs.clone()),
            clock: self.clock.clone(),
            catalogue: self.catalogue.clone(),
            volumes: volumes(),
            dir: "/data/integrity".into(),
            rate: 64 << 20,
            key: Some(kit::signer().id()),
            reporter: self.world.clone(),
            surroundings: self.world.clone(),
            replicas: Vec::new(),
            suspects: footage.suspects(),
        });
        for _ in 0..seconds * 4 {
            self.clock.advance(limits::SCRUB_INTERVAL);
            scrubber.step();
        }
    }
}

#[test]
fn a_row_comes_back_as_it_was_and_no_flipped_bit_passes() {
    let b = Bench::new(2);
    for n in 0..2 {
        let reader = SegmentReader::open(&b.fs, &b.path(n), None).unwrap();
        let facet = Facet {
            info: reader.info().clone(),
            init: "0123456789abcdef01234567".into(),
            fragments: reader.fragments().to_vec(),
        };
        let row = &b.rows[n];
        let sealed = seal(row, &facet).unwrap();
        assert_eq!(unseal(row, &sealed), Ok(Some(facet)));
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(row, &bad).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(unseal(row, &sealed[..length]).is_err(), "length {length}");
        }
        // Whole, but of what the catalogue has not: not believed, and no reason to doubt the rest.
        for other in [
            SegmentRow { bytes: row.bytes + 1, ..row.clone() },
            SegmentRow { start_ms: row.start_ms + 1, ..row.clone() },
            SegmentRow { duration_ms: row.duration_ms + 1, ..row.clone() },
        ] {
            assert_eq!(unseal(&other, &sealed), Ok(None));
        }
        // Under the key of another segment it does not even hold.
        assert!(unseal(&SegmentRow { number: row.number + 1, ..row.clone() }, &sealed).is_err());
        let moved = SegmentRow { volume: "v2".parse().unwrap(), ..row.clone() };
        assert!(unseal(&moved, &sealed).unwrap().is_some());
    }
}

#[test]
fn listings_with_facets_open_no_file_and_say_the_same() {
    let mut b = Bench::new(12);
    let home = Arc::new(Home::default());
    let (facets, mut filler) = b.filler(Box::new(home.clone()));
    b.same(&facets, b.all(), "before there is a store");
    b.run(&mut filler, 60);
    b.close();
    b.run(&mut filler, 1);
    let status = facets.status();
    assert_eq!((status.state, status.rows, status.filled), (FacetState::Ready, 13, 13), "{status:?}");
    assert_eq!(home.store.lock().len(), Ok(13));
    let before = b.opens();
    let footage = b.footage().with_facets(facets.clone());
    let (gops, hls) = Bench::list(&footage, b.all());
    assert_eq!(b.opens(), before);
    assert_eq!((hls.len(), gops.items.len()), (13, 13 * hls[0].fragments.len()));
    assert_eq!(facets.status().hits, status.hits + 26);
    // Not even the init segments were read, and they are those of the files.
    let id = gops.items[0].init.clone();
    assert_eq!(footage.init(kit::key(), &id).unwrap(), b.footage().init(kit::key(), &id).unwrap());
    b.same(&facets, b.all(), "filled");
    // A restart finds its rows and reads no file.
    drop(filler);
    let (facets, mut filler) = b.filler(Box::new(home));
    let before = b.opens();
    b.run(&mut filler, 5);
    assert_eq!((facets.status().rows, facets.status().filled, b.opens()), (13, 0, before));
}

#[test]
fn whatever_the_store_does_listings_are_right_and_it_is_made_anew() {
    for mode in [BROKEN, FULL, PANICS, FLIPS] {
        let b = Bench::new(6);
        let home = Arc::new(Home::default());
        let (facets, mut filler) = b.filler(Box::new(home.clone()));
        b.run(&mut filler, 20);
        assert_eq!(facets.status().rows, 6);
        home.mode.store(mode, Ordering::SeqCst);
        b.same(&facets, b.all(), "while it fails");
        assert!(facets.store.read().is_none(), "out of use at once, mode {mode}");
        // A full disk stays so for a while.
        b.run(&mut filler, 60);
        let status = facets.status();
        assert_eq!((status.rebuilds, status.rows), (1, 6), "mode {mode}: {status:?}");
        assert_eq!(home.store.lock().len(), Ok(6));
        let told = b.world.told.lock().clone();
        assert!(told.len() == 1 && told[0].starts_with("facets.wiped {\"reason\":"), "{told:?}");
        let before = b.opens();
        Bench::list(&b.footage().with_facets(facets.clone()), b.all());
        assert_eq!(b.opens(), before, "mode {mode}");
        // While filling, too.
        home.mode.store(mode, Ordering::SeqCst);
        b.clock.advance(limits::FACET_PASS_INTERVAL);
        b.run(&mut filler, 60);
        assert_eq!((facets.status().rebuilds, facets.status().rows), (2, 6), "mode {mode}");
        b.same(&facets, b.all(), "made anew");
    }
}

#[test]
fn a_full_disk_turns_facets_off_until_there_is_room() {
    let b = Bench::new(4);
    let home = Arc::new(Home::default());
    let (facets, mut filler) = b.filler(Box::new(home.clone()));
    b.run(&mut filler, 20);
    b.fs.set_capacity(600 << 20);
    home.mode.store(FULL, Ordering::SeqCst);
    b.same(&facets, b.all(), "full");
    b.run(&mut filler, 600);
    let status = facets.status();
    assert_eq!((status.state, status.rows, status.rebuilds), (FacetState::Off, 0, 1), "{status:?}");
    assert_eq!(home.store.lock().len(), Ok(0), "its room is given back");
    b.same(&facets, b.all(), "off");
    b.fs.set_capacity(64 << 30);
    b.run(&mut filler, 60);
    assert_eq!((facets.status().state, facets.status().rows), (FacetState::Ready, 4));
}

#[test]
fn damage_is_never_hidden_by_a_facet() {
    let b = Bench::new(4);
    let (facets, mut filler) = b.filler(Box::new(Arc::new(Home::default())));
    b.run(&mut filler, 20);
    let whole = Bench::list(&b.footage().with_facets(facets.clone()), b.all()).0;
    let hurt = SegmentReader::open(&b.fs, &b.path(1), None).unwrap().fragments()[0];
    b.flip(1, hurt.offset as usize + 900);
    b.scrub(10);
    let left = Bench::list(&b.footage().with_facets(facets.clone()), b.all()).0;
    assert_eq!(left.items.len(), whole.items.len() - 1);
    assert!(left.items.iter().all(|g| g.from != hurt.utc));
    b.same(&facets, b.all(), "a damaged group");
    // What nobody has looked at yet is shown by both until it is read; then by neither.
    b.flip(2, 40);
    b.flip(2, 5000);
    let footage = b.footage().with_facets(facets.clone());
    let list = Bench::list(&footage, b.all()).0;
    let of_third = list.items.iter().filter(|g| g.id.contains("_3_")).map(|g| footage.gop(kit::key(), &g.id));
    assert!(of_third.filter(Result::is_err).count() > 0, "read before it was found");
    b.same(&facets, b.all(), "found by a reader");
    // Cut, and gone.
    let bytes = b.fs.get(&b.path(0)).unwrap();
    b.fs.put(&b.path(0), bytes[..bytes.len() / 2].to_vec());
    b.fs.remove(&b.path(3)).unwrap();
    b.same(&facets, b.all(), "cut and gone");
}

#[test]
fn filling_waits_for_recording_keeps_its_rate_and_a_bounded_queue() {
    let b = Bench::new(60);
    let home = Arc::new(Home::default());
    let (facets, mut filler) = b.filler(Box::new(home.clone()));
    b.world.busy.store(true, Ordering::SeqCst);
    let before = b.opens();
    b.run(&mut filler, 30);
    assert_eq!((facets.status().state, b.opens()), (FacetState::Paused, before));
    b.same(&facets, b.all(), "paused");
    b.world.busy.store(false, Ordering::SeqCst);
    let before = facets.status().filled;
    b.run(&mut filler, 1);
    let filled = facets.status().filled - before;
    // A pause earns a second's worth at most.
    assert!((20..=101).contains(&filled), "{filled}");
    let newest = b.rows.iter().rev().take(5).all(|r| facets.get(r).is_some());
    assert!(newest, "newest first");
    b.run(&mut filler, 60);
    for _ in 0..limits::FACET_QUEUE_MAX + 7 {
        facets.offer(&b.rows[0]);
    }
    assert_eq!((facets.status().dropped, facets.queue.lock().len()), (7, limits::FACET_QUEUE_MAX));
}

#[test]
fn a_day_that_retention_has_let_go_is_dropped_whole() {
    let b = Bench::new(20);
    let home = Arc::new(Home::default());
    let (_facets, mut filler) = b.filler(Box::new(home.clone()));
    b.run(&mut filler, 20);
    let days = home.store.lock().periods().unwrap();
    assert_eq!(days.len(), 3);
    let first: Vec<_> = b.rows.iter().filter(|r| period(r.start_ms) == days[0]).cloned().collect();
    b.catalogue.expired(&first, crate::frame::GapReason::Expired);
    b.clock.advance(limits::FACET_PASS_INTERVAL);
    b.run(&mut filler, 20);
    assert_eq!(home.store.lock().periods().unwrap(), days[1..]);
    assert_eq!(home.store.lock().len(), Ok(20 - first.len() as u64));
}
