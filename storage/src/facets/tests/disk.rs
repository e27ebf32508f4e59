//! The store on disk, in a real folder: what a crash or a bad disk can leave there.

use super::*;
use crate::fs::RealFs;

fn home(dir: &Path) -> Box<dyn FacetHome> {
    Box::new(SledHome::new(Arc::new(RealFs), dir.to_path_buf()))
}

/// Files of the store, the largest last.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in RealFs.read_dir(dir).unwrap() {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            out.extend(files(&path));
        } else {
            out.push(path);
        }
    }
    out.sort_by_key(|p| RealFs.metadata(p).unwrap().len);
    out
}

fn overwrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = RealFs.read(path, 1 << 30).unwrap();
    change(&mut bytes);
    let file = RealFs.open(path, crate::fs::OpenOptions::WRITE).unwrap();
    file.truncate(0).unwrap();
    file.write_at(0, &bytes).unwrap();
}

/// A life of a node: fills, is asked, ends in order.
fn live(b: &Bench, dir: &Path, why: &str) -> FacetStatus {
    let (facets, mut filler) = b.filler(home(dir));
    b.same(&facets, b.all(), why);
    b.run(&mut filler, 5);
    b.same(&facets, b.all(), why);
    b.run(&mut filler, 30);
    b.same(&facets, b.all(), why);
    let before = b.opens();
    Bench::list(&b.footage().with_facets(facets.clone()), b.all());
    assert_eq!(b.opens(), before, "{why}: every row is back, {:?}", facets.status());
    let status = facets.status();
    // In order: the last owner of the store closes it here.
    facets.stopping.store(true, Ordering::SeqCst);
    drop(facets.store.write().take());
    status
}

#[test]
fn whatever_is_in_the_folder_listings_are_right_and_rows_come_back() {
    let b = Bench::new(9);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert_eq!(live(&b, dir, "first").filled, 9);
    let kept = live(&b, dir, "again");
    assert_eq!((kept.filled, kept.rebuilds, kept.rows), (0, 0, 9), "{kept:?}");
    type Harm = (&'static str, fn(&Path));
    let harms: [Harm; 7] = [
        ("garbage in the largest file", |d| {
            overwrite(files(d).last().unwrap(), |b| {
                b.iter_mut().zip(0u32..).for_each(|(b, i)| *b = (i * 31) as u8)
            });
        }),
        ("cut in the middle", |d| overwrite(files(d).last().unwrap(), |b| b.truncate(b.len() / 2))),
        ("cut to nothing", |d| overwrite(files(d).last().unwrap(), Vec::clear)),
        ("flipped bytes", |d| {
            overwrite(files(d).last().unwrap(), |b| b.iter_mut().step_by(97).for_each(|b| *b ^= 8));
        }),
        ("garbage in every file", |d| {
            files(d)
                .iter()
                .for_each(|f| overwrite(f, |b| b.iter_mut().for_each(|b| *b = b.wrapping_mul(7) ^ 0x5a)));
        }),
        ("a stranger's file and folder", |d| {
            RealFs.create_dir_all(&d.join("store-x/y")).unwrap();
            RealFs.open(&d.join("store-99"), crate::fs::OpenOptions::NEW).unwrap();
        }),
        ("all gone", |d| erase(&RealFs, d).unwrap()),
    ];
    for (what, harm) in harms {
        harm(dir);
        let status = live(&b, dir, what);
        assert_eq!(status.rows, 9, "{what}: {status:?}");
    }
    let names = RealFs.read_dir(dir).unwrap();
    assert_eq!(names.len(), 1, "old stores are gone: {names:?}");
}

#[test]
fn any_flipped_byte_of_the_store_is_found_or_harmless() {
    let b = Bench::new(3);
    let dir = tempfile::tempdir().unwrap();
    live(&b, dir.path(), "first");
    let file = files(dir.path()).last().unwrap().clone();
    let whole = RealFs.read(&file, 1 << 30).unwrap();
    // Within what is written: the rest of the file is empty.
    let used = whole.iter().rposition(|b| *b != 0).unwrap() + 1;
    for round in 0..12 {
        let file = files(dir.path()).last().unwrap().clone();
        overwrite(&file, |bytes| {
            let at = (used * round / 12 + round * 13) % bytes.len();
            bytes[at] ^= 1 << (round % 8);
        });
        let status = live(&b, dir.path(), &format!("round {round}"));
        assert_eq!(status.rows, 3, "round {round}: {status:?}");
    }
}

#[test]
fn a_store_that_is_wiped_while_somebody_holds_it_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let home = home(dir.path());
    let old = home.open().unwrap();
    old.put(1, b"a", b"old").unwrap();
    home.wipe().unwrap();
    let new = home.open().unwrap();
    assert_eq!((new.get(1, b"a"), new.len()), (Ok(None), Ok(0)));
    new.put(1, b"a", b"new").unwrap();
    let _ = old.put(1, b"a", b"older");
    drop(old);
    assert_eq!(new.get(1, b"a"), Ok(Some(b"new".to_vec())));
    assert_eq!(new.periods(), Ok(vec![1]));
    new.put(2, b"b", b"x").unwrap();
    new.drop_period(1).unwrap();
    assert_eq!(
        (new.periods(), new.get(1, b"a"), new.get(2, b"b")),
        (Ok(vec![2]), Ok(None), Ok(Some(b"x".to_vec())))
    );
}
