//! Segments: created, committed, closed, recovered, set aside.

use std::path::{Path, PathBuf};

use super::Protocol;
use crate::fs::{Fs, PageBuf, SimFs};
use crate::segment::tests::kit;
use crate::segment::{EndReason, Outcome, SegmentName, SegmentReader, SegmentWriter, finish_torn, recover};

const ROOT: &str = "/v1";
const QUARANTINE: &str = "/v1/quarantine";

/// What was promised, and what was written.
#[derive(Debug)]
struct Done {
    /// Bytes that were durable.
    durable: u64,
    /// All bytes of the segment in the end.
    written: Vec<u8>,
}

fn units(n: u64) -> Vec<crate::frame::AccessUnit> {
    kit::stream(n, 25, 300, false)
}

fn segments(fs: &SimFs) -> Vec<PathBuf> {
    fs.files().into_iter().filter(|p| p.extension().is_some_and(|e| e == "mp4")).collect()
}

/// The one file that a segment is, as it was written so far or will have been.
fn whole(n: u64) -> Vec<u8> {
    let fs = SimFs::new(1);
    let mut w =
        SegmentWriter::create(&fs, Path::new(ROOT), kit::head(1, &kit::info(false)), 0, kit::signer())
            .unwrap();
    kit::feed(&mut w, &units(n), &mut PageBuf::new());
    let closed = w.close(&fs, EndReason::Rotation, &mut PageBuf::new()).unwrap();
    fs.get(&closed.path).unwrap()
}

/// Finishes whatever is there, twice with a crash between; then it is one whole file with everything durable, or
/// set aside if nothing was.
fn recovers(fs: &SimFs, done: &Done) {
    let before = fs.files().len();
    for _ in 0..2 {
        for path in segments(fs) {
            let name: SegmentName = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            if path.starts_with(QUARANTINE) || name.closed.is_some() {
                continue;
            }
            let found = recover(fs, &path).unwrap();
            assert!(!matches!(found.outcome, Outcome::Damaged { .. }), "{:?}", found.outcome);
            assert!(found.units == 0 || found.committed >= done.durable, "{} bytes held", found.committed);
            finish_torn(fs, &path, Path::new(QUARANTINE), &kit::signer()).unwrap();
        }
        fs.crash();
    }
    assert!(fs.files().len() >= before, "recovery deletes nothing");
    let left: Vec<_> = segments(fs).into_iter().filter(|p| !p.starts_with(QUARANTINE)).collect();
    assert!(left.len() <= 1, "{left:?}");
    let Some(path) = left.first() else {
        assert_eq!(done.durable, 0, "a file with durable groups is gone");
        return;
    };
    let found = recover(fs, path).unwrap();
    assert_eq!((found.outcome, found.closed), (Outcome::Clean, true));
    let good = found.committed as usize;
    assert!(found.committed >= done.durable);
    assert!(fs.get(path).unwrap()[..good] == done.written[..good], "a byte is another than was written");
    let reader = SegmentReader::open(fs, path, None).unwrap();
    assert_eq!(crate::segment::check(fs, path, true).unwrap().outcome, Outcome::Clean);
    for i in 0..reader.fragments().len() as u32 {
        reader.samples(i).unwrap();
    }
}

#[test]
fn segment_begin_and_commit() {
    let written = whole(75);
    let commit = Protocol {
        name: "segment_commit",
        before: &|| SimFs::new(1),
        run: &|fs| {
            let (root, mut buf) = (Path::new(ROOT), PageBuf::new());
            let head = kit::head(1, &kit::info(false));
            let mut durable = 0;
            if let Ok(mut w) = SegmentWriter::create(fs, root, head, 1 << 20, kit::signer()) {
                let mut flushes = 0;
                for unit in units(75) {
                    w.push(unit.clone());
                    while w.due(unit.arrived) {
                        let Ok(done) = w.flush(&mut buf) else {
                            return Done { durable, written: written.clone() };
                        };
                        flushes += 1;
                        if flushes == 1 && fs.sync_volume(root).is_ok() {
                            durable = done.length;
                        }
                    }
                }
                assert!(flushes >= 2, "{flushes}");
            }
            Done { durable, written: written.clone() }
        },
        check: &recovers,
    };
    commit.enumerate();
}

/// An open segment, all of it durable but the last group, which may still be in memory.
fn open(fs: &SimFs, n: u64, sync: bool) -> (SegmentWriter, u64) {
    let (w, lengths) = kit::open(fs, Path::new(ROOT), &kit::info(false), &units(n));
    let durable = if sync { lengths[lengths.len() - 1] } else { 0 };
    if sync {
        fs.sync_volume(Path::new(ROOT)).unwrap();
    }
    (w, durable)
}

#[test]
fn segment_close() {
    for (name, n, sync) in [("segment_close", 75, true), ("segment_close_never_synced", 40, false)] {
        let written = whole(n);
        let writer = parking_lot::Mutex::new(None);
        let close = Protocol {
            name,
            before: &|| {
                let fs = SimFs::new(1);
                *writer.lock() = Some(open(&fs, n, sync));
                fs
            },
            run: &|fs| {
                let (w, mut durable) = writer.lock().take().unwrap();
                if let Ok(closed) = w.close(fs, EndReason::Rotation, &mut PageBuf::new()) {
                    durable = recover(fs, &closed.path).map_or(durable, |r| r.committed);
                }
                Done { durable, written: written.clone() }
            },
            check: &recovers,
        };
        close.enumerate();
    }
}

#[test]
fn recovery_of_a_torn_file() {
    let written = whole(75);
    let (w, lengths) = kit::open(&SimFs::new(1), Path::new(ROOT), &kit::info(false), &units(75));
    let path = w.path().to_path_buf();
    let committed = lengths[0];
    let torn = written[..lengths[1] as usize - 100].to_vec();
    let tail = torn[committed as usize..].to_vec();
    let recovery = Protocol {
        name: "recovery_torn_tail",
        before: &|| {
            let fs = SimFs::new(1);
            fs.put(&path, torn.clone());
            fs
        },
        run: &|fs| {
            let _ = finish_torn(fs, &path, Path::new(QUARANTINE), &kit::signer());
            Done { durable: committed, written: written.clone() }
        },
        check: &|fs, done| {
            recovers(fs, done);
            let kept = fs.files().iter().any(|p| p.starts_with(QUARANTINE) && fs.get(p).unwrap() == tail);
            assert!(kept, "the torn tail is kept");
        },
    };
    recovery.enumerate();
}

#[test]
fn recovery_of_files_without_a_group_and_of_damaged_ones() {
    let written = whole(75);
    let path = Path::new("/v1/33080200001320000001/main/20250601/1748736000000_1.open.mp4");
    let put = |bytes: &[u8]| {
        let fs = SimFs::new(1);
        fs.put(path, bytes.to_vec());
        fs
    };
    let finish = |fs: &SimFs| drop(finish_torn(fs, path, Path::new(QUARANTINE), &kit::signer()));
    let same = |fs: &SimFs, bytes: &[u8]| {
        for path in segments(fs).iter().filter(|p| p.to_string_lossy().ends_with(".open.mp4")) {
            finish_torn(fs, path, Path::new(QUARANTINE), &kit::signer()).unwrap();
        }
        fs.crash();
        let files = fs.files();
        assert_eq!(files.len(), 1, "{files:?}");
        assert!(fs.get(&files[0]).unwrap() == bytes, "no byte is changed");
    };
    let half = &written[..5000];
    let aside = Protocol {
        name: "recovery_set_aside",
        before: &|| put(half),
        run: &finish,
        check: &|fs, ()| same(fs, half),
    };
    aside.enumerate();
    let damaged = {
        let fs = SimFs::new(1);
        let head = kit::head(1, &kit::info(false));
        let mut w = SegmentWriter::create(&fs, Path::new(ROOT), head, 0, kit::signer()).unwrap();
        let mut buf = PageBuf::new();
        for unit in units(75) {
            w.push(unit.clone());
            while w.due(unit.arrived) {
                let done = w.flush(&mut buf).unwrap();
                w.synced(done.length);
            }
        }
        let mut bytes = fs.get(w.path()).unwrap();
        bytes[4096 + 36] ^= 0xff;
        bytes
    };
    let renamed = Protocol {
        name: "recovery_damaged",
        before: &|| put(&damaged),
        run: &finish,
        check: &|fs, ()| same(fs, &damaged),
    };
    renamed.enumerate();
}
