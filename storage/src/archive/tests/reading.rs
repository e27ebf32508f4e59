//! What is served from the archive when the volume has let it go.

use super::*;
use crate::error::StoreError;
use crate::playback::{Footage, SegmentIndex, TieredIndex, Tiers, is_unreachable};

/// The volume's index, by hand.
struct Index(Arc<Local>);

impl SegmentIndex for Index {
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        self.0.segments(key, from, to)
    }
}

fn footage(city: &City, archive: &Arc<Archive>) -> Footage {
    let tiers = Tiers(vec![archive.clone()]);
    let index = TieredIndex { local: Arc::new(Index(city.local.clone())), tiers: tiers.clone() };
    let volumes = vec![("v1".parse().unwrap(), "/v1".into())];
    Footage::new(Arc::new(city.fs.clone()), Arc::new(index), volumes).with_tiers(tiers)
}

/// Archives all, then lets the volume forget it.
fn archived(count: u64) -> (City, Arc<Archive>, Footage, Vec<SegmentRow>) {
    let city = City::new(count);
    let archive = city.open();
    while archive.step().unwrap() > 0 {}
    let rows = city.rows();
    for row in &rows {
        city.fs.remove(&Path::new("/v1").join(row.path())).unwrap();
    }
    city.local.0.lock().clear();
    city.faults.given.lock().clear();
    let footage = footage(&city, &archive);
    (city, archive, footage, rows)
}

fn all(footage: &Footage) -> Result<Vec<Bytes>, StoreError> {
    let list = footage.gops(kit::key(), kit::START, kit::START + Duration::from_secs(3600))?;
    list.items.iter().map(|g| footage.gop(kit::key(), &g.id)).collect()
}

#[test]
fn deleted_segments_play_from_the_archive_as_they_did_from_the_volume() {
    let city = City::new(3);
    let archive = city.open();
    archive.step().unwrap();
    let before = footage(&city, &archive);
    let wanted = all(&before).unwrap();
    let rows = city.rows();
    let name = rows[1].name().to_string();
    let file = before.file(kit::key(), &name).unwrap();
    let whole = file.read(0, file.len as usize).unwrap();
    // First the files go, as retention deletes them, then the rows.
    for row in &rows {
        city.fs.remove(&Path::new("/v1").join(row.path())).unwrap();
    }
    assert_eq!(all(&footage(&city, &archive)).unwrap(), wanted);
    city.local.0.lock().clear();
    let after = footage(&city, &archive);
    assert_eq!(all(&after).unwrap(), wanted);
    let file = after.file(kit::key(), &name).unwrap();
    assert_eq!(file.read(0, file.len as usize).unwrap(), whole);
    assert_eq!(after.hls(kit::key(), kit::START, kit::START + Duration::from_secs(3600)).unwrap().len(), 3);
    let at = rows[2].end();
    let (unit, _) = after.key_picture(kit::key(), at).unwrap();
    assert!(unit.key && unit.utc <= at);
    assert!(matches!(after.gop(kit::key(), "1_1_1"), Err(StoreError::NotFound(_))));
}

#[test]
fn a_seek_fetches_the_footer_and_one_group_and_the_cache_stays_within_its_bound() {
    let mut city = City::new(0);
    city.config.cache_bytes = 1 << 20;
    let row = segment(&city.fs, 1, 7500, 20_000);
    city.clock.advance(Duration::from_secs(3600));
    city.local.0.lock().push(row.clone());
    let archive = city.open();
    archive.step().unwrap();
    city.fs.remove(&Path::new("/v1").join(row.path())).unwrap();
    city.faults.given.lock().clear();
    let footage = footage(&city, &archive);
    let at = row.start() + Duration::from_secs(150);
    let list = footage.gops(kit::key(), at, at + Duration::from_millis(10)).unwrap();
    footage.gop(kit::key(), &list.items.last().unwrap().id).unwrap();
    let fetched = archive.read_stats().fetched_bytes;
    assert!(row.bytes > 100 << 20 && fetched < 2 << 20, "{fetched} of {}", row.bytes);
    all(&footage).unwrap();
    assert!(archive.read_stats().cached_bytes <= 1 << 20);
}

#[test]
fn a_flipped_byte_in_an_object_is_found_and_never_served() {
    let (city, archive, footage, rows) = archived(1);
    let good = all(&footage).unwrap();
    // In the middle of the pictures of the last group.
    let reader = archive.reader(&rows[0]).unwrap();
    let last = *reader.fragments().last().unwrap();
    drop(reader);
    flip(&city.fs, &city.object(&rows[0]), last.offset + u64::from(last.length) / 2);
    let archive = city.open();
    let footage = self::footage(&city, &archive);
    let list = footage.gops(kit::key(), kit::START, kit::START + Duration::from_secs(3600)).unwrap();
    let served: Vec<_> = list.items.iter().map(|g| footage.gop(kit::key(), &g.id)).collect();
    assert!(matches!(served.last().unwrap(), Err(StoreError::Damaged { .. })));
    assert_eq!(served[0].as_ref().unwrap(), &good[0]);
    let report = check(&city, &archive);
    assert_eq!(report.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), ["damaged"]);
}

fn check(city: &City, _: &Arc<Archive>) -> VerifyReport {
    let node = "centre".parse().unwrap();
    let (index, _) =
        ArchiveIndex::open(&city.fs, Path::new("/data/archive"), "cold".parse().unwrap(), kit::START)
            .unwrap();
    let scratch = scratch(Path::new("/data/archive"), &"cold".parse().unwrap());
    verify(&*city.store(), &node, &index, (&city.fs, &scratch), &mut |_| {}).unwrap()
}

#[test]
fn a_fault_on_the_way_does_not_stay_and_short_answers_are_refused() {
    let (city, archive, footage, rows) = archived(1);
    let list = footage.gops(kit::key(), kit::START, kit::START + Duration::from_secs(3600)).unwrap();
    let last = list.items.last().unwrap().id.clone();
    archive.forget(&rows[0]);
    city.faults.rot.store(1, Ordering::SeqCst);
    assert!(matches!(footage.gop(kit::key(), &last), Err(StoreError::Damaged { .. })));
    footage.gop(kit::key(), &last).unwrap();
    archive.forget(&rows[0]);
    city.faults.short.store(1, Ordering::SeqCst);
    let first = &list.items[0].id;
    assert!(footage.gop(kit::key(), first).is_err());
    footage.gop(kit::key(), first).unwrap();
}

#[test]
fn an_archive_that_does_not_answer_is_told_apart_and_left_alone_for_a_while() {
    let (city, archive, footage, rows) = archived(2);
    city.faults.down.store(true, Ordering::SeqCst);
    let range = (kit::START, kit::START + Duration::from_secs(3600));
    assert!(is_unreachable(&footage.gops(kit::key(), range.0, range.1).unwrap_err()));
    assert!(is_unreachable(&footage.file(kit::key(), &rows[0].name().to_string()).unwrap_err()));
    // It is not asked again at once, even when it is back.
    city.faults.down.store(false, Ordering::SeqCst);
    let asked = archive.read_stats().requests;
    assert!(is_unreachable(&footage.gops(kit::key(), range.0, range.1).unwrap_err()));
    assert_eq!(archive.read_stats().requests, asked);
    city.clock.advance(fengsui_config::limits::ARCHIVE_REST_AFTER_FAILURE);
    assert!(!footage.gops(kit::key(), range.0, range.1).unwrap().items.is_empty());
}

#[test]
fn a_whole_check_names_what_is_missing_strange_or_changed() {
    let (city, archive, _, rows) = archived(3);
    let report = check(&city, &archive);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.objects, report.sound), (3, 3));
    city.fs.remove(&city.object(&rows[0])).unwrap();
    let other = city.fs.get(&city.object(&rows[1])).unwrap();
    city.fs.put(&city.object(&rows[2]), other);
    city.fs.put(Path::new("/cold/centre/x"), vec![0]);
    let report = check(&city, &archive);
    let kinds: BTreeSet<&str> = report.problems.iter().map(|p| p.kind).collect();
    assert!(kinds.is_superset(&["missing", "name", "unknown_object"].into()), "{report:?}");
    assert_eq!(report.sound, 1);
}

#[test]
fn a_copy_for_repair_is_whole() {
    let (city, archive, _, rows) = archived(1);
    let file = city.fs.open(Path::new("/v1/repaired"), crate::fs::OpenOptions::NEW).unwrap();
    let archive: &dyn crate::scrub::Replica = &*archive;
    assert!(archive.fetch(&rows[0], &*file).unwrap());
    let mut unknown = rows[0].clone();
    unknown.number = 77;
    assert!(!archive.fetch(&unknown, &*file).unwrap());
    assert_eq!(city.fs.get(Path::new("/v1/repaired")), city.fs.get(&city.object(&rows[0])));
}
