//! Both file systems keep the promises of the trait; the simulated one fails as disks do.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::io::ErrorKind;
use std::path::Path;

use super::*;

/// What every file system must do.
fn conforms(fs: &dyn Fs, root: &Path) {
    let dir = root.join("a/b");
    assert_eq!(fs.open(&dir.join("x"), OpenOptions::NEW).unwrap_err().kind(), ErrorKind::NotFound);
    fs.create_dir_all(&dir).unwrap();
    let path = dir.join("x");
    assert_eq!(fs.open(&path, OpenOptions::READ).unwrap_err().kind(), ErrorKind::NotFound);
    let file = fs.open(&path, OpenOptions::NEW_DIRECT).unwrap();
    assert_eq!(fs.open(&path, OpenOptions::NEW).unwrap_err().kind(), ErrorKind::AlreadyExists);
    file.allocate_keep_size(1 << 20).unwrap();
    assert_eq!(file.len().unwrap(), 0, "reserving does not change the length");
    let mut pages = PageBuf::new();
    pages.extend(&vec![7; 2 * PAGE]);
    file.write_at(0, pages.as_slice()).unwrap();
    file.write_at(2 * PAGE as u64, pages.as_slice()).unwrap();
    // Not whole pages: works all the same.
    file.write_at(4 * PAGE as u64 + 3, b"tail").unwrap();
    assert_eq!(file.len().unwrap(), 4 * PAGE as u64 + 7);
    file.truncate(3 * PAGE as u64).unwrap();
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    let reader = fs.open(&path, OpenOptions::READ).unwrap();
    let mut room = vec![0; 3 * PAGE];
    reader.read_exact_at(0, &mut room).unwrap();
    assert!(room.iter().all(|b| *b == 7));
    assert_eq!(reader.read_at(3 * PAGE as u64, &mut room).unwrap(), 0);
    assert_eq!(reader.read_exact_at(PAGE as u64, &mut room).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert!(reader.write_at(0, b"no").is_err(), "a reading handle does not write");
    let to = root.join("a/y");
    fs.rename(&path, &to).unwrap();
    fs.sync_dir(&root.join("a")).unwrap();
    fs.sync_volume(root).unwrap();
    assert_eq!(reader.read_at(0, &mut room[..10]).unwrap(), 10, "an open file outlives its name");
    let names: Vec<_> = fs.read_dir(&root.join("a")).unwrap();
    let entry = |name: &str, is_dir| DirEntry { name: name.into(), is_dir };
    assert_eq!(names, [entry("b", true), entry("y", false)]);
    assert_eq!(fs.metadata(&to).unwrap(), Metadata { len: 3 * PAGE as u64, is_dir: false });
    assert_eq!(fs.metadata(&dir).unwrap(), Metadata { len: 0, is_dir: true });
    assert_eq!(fs.read(&to, 100).unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert_eq!(fs.read(&to, 1 << 20).unwrap().len(), 3 * PAGE);
    let space = fs.space(root).unwrap();
    assert!(space.free > 0 && space.free <= space.total && space.inodes_free > 0);
    assert!(fs.remove_dir(&root.join("a")).is_err(), "not empty");
    fs.remove_dir(&dir).unwrap();
    fs.remove(&to).unwrap();
    assert_eq!(fs.remove(&to).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs.metadata(&to).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn the_real_one_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&RealFs, dir.path());
    // A file system without direct I/O, where there is one.
    if let Ok(dir) = tempfile::tempdir_in("/dev/shm") {
        conforms(&RealFs, dir.path());
    }
}

#[test]
fn direct_handles_read_what_they_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let file = RealFs.open(&dir.path().join("x"), OpenOptions::NEW_DIRECT).unwrap();
    let mut pages = PageBuf::new();
    pages.extend(&(0..2 * PAGE).map(|i| (i % 251) as u8).collect::<Vec<_>>());
    file.write_at(0, pages.as_slice()).unwrap();
    let mut room = [0; 100];
    assert_eq!(file.read_at(4090, &mut room).unwrap(), 100);
    assert_eq!(room[..], pages.as_slice()[4090..4190]);
    assert_eq!(file.read_at(8190, &mut room).unwrap(), 2);
}

#[test]
fn the_simulated_one_conforms() {
    let fs = SimFs::new(3);
    conforms(&fs, Path::new("/v"));
    assert_eq!(fs.stats().calls[&Operation::SyncVolume], 1);
    assert!(fs.log().contains(&(Operation::Rename, "/v/a/b/x".into())));
}

fn volume(seed: u64) -> (SimFs, Box<dyn FsFile>) {
    let fs = SimFs::new(seed);
    fs.create_dir_all(Path::new("/v")).unwrap();
    let file = fs.open(Path::new("/v/x"), OpenOptions::NEW).unwrap();
    (fs, file)
}

#[test]
fn a_crash_keeps_what_was_synced_and_tears_what_was_not() {
    let (mut dropped, mut kept, mut torn, mut reordered, mut gone) = (0, 0, 0, 0, 0);
    for seed in 0..400 {
        let (fs, file) = volume(seed);
        if seed % 2 == 0 {
            file.write_at(0, &[1; 4096]).unwrap();
            fs.sync_volume(Path::new("/v")).unwrap();
        }
        file.write_at(4096, &[2; 4096]).unwrap();
        file.write_at(8192, &[3; 4096]).unwrap();
        fs.crash();
        assert!(file.write_at(0, b"x").is_err(), "handles of before the crash are dead");
        let Some(bytes) = fs.get(Path::new("/v/x")) else {
            assert_eq!(seed % 2, 1, "seed {seed}: a synced name is gone");
            gone += 1;
            continue;
        };
        if seed % 2 == 0 {
            assert_eq!(bytes[..4096], [1; 4096], "seed {seed}: synced bytes are kept");
        }
        let count = |b: u8| bytes.iter().filter(|x| **x == b).count();
        match (count(2), count(3)) {
            (0, 0) => dropped += 1,
            (4096, 4096) => kept += 1,
            (0, 1..) => reordered += 1,
            _ => torn += 1,
        }
    }
    assert!(
        [dropped, kept, torn, reordered, gone].iter().all(|n| *n > 5),
        "{dropped} {kept} {torn} {reordered} {gone}"
    );
}

#[test]
fn the_same_seed_gives_the_same_crash() {
    let run = |seed| {
        let (fs, file) = volume(seed);
        fs.sync_volume(Path::new("/v")).unwrap();
        (0..20u64).for_each(|i| file.write_at(i * 1000, &[i as u8; 3000]).unwrap());
        fs.crash();
        fs.get(Path::new("/v/x")).unwrap()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn faults_come_at_the_call_asked_for() {
    let (fs, file) = volume(1);
    let plan = |operation, after, fault| FaultPlan {
        operation: Some(operation),
        below: None,
        after,
        times: 1,
        fault,
    };
    fs.plan(plan(Operation::Write, 1, Fault::Io));
    file.write_at(0, &[1; 10]).unwrap();
    assert_eq!(file.write_at(0, &[2; 10]).unwrap_err().raw_os_error(), Some(5));
    file.write_at(0, &[3; 10]).unwrap();
    fs.plan(plan(Operation::Write, 0, Fault::ShortWrite));
    assert_eq!(file.write_at(10, &[4; 10]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 15);
    fs.set_capacity(20);
    assert_eq!(file.write_at(15, &[5; 10]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(fs.space(Path::new("/v")).unwrap().free, 5);
    assert_eq!(fs.stats().faults, 2);
}

#[test]
fn after_a_failed_sync_the_disk_has_less_than_the_page_cache_whatever_a_second_sync_says() {
    let (mut whole, mut less) = (0, 0);
    for seed in 0..100 {
        let (fs, file) = volume(seed);
        fs.sync_dir(Path::new("/v")).unwrap();
        file.write_at(0, &[7; 4096]).unwrap();
        let (operation, below) = (Some(Operation::SyncFile), None);
        fs.plan(FaultPlan { operation, below, after: 0, times: 1, fault: Fault::Io });
        assert!(file.sync_all().is_err());
        assert_eq!(fs.get(Path::new("/v/x")).unwrap(), [7; 4096], "the page cache remembers all");
        let disk = fs.open(Path::new("/v/x"), OpenOptions::READ_DISK).unwrap();
        let mut known = [9; 4096];
        disk.read_exact_at(0, &mut known).unwrap();
        file.write_at(4096, &[8; 10]).unwrap();
        file.sync_all().unwrap();
        fs.crash();
        let after = fs.get(Path::new("/v/x")).unwrap();
        assert_eq!(after[..4096], known, "seed {seed}: the disk has what it had at the failed sync");
        assert_eq!(after[4096..], [8; 10], "seed {seed}: what came later is stored");
        if known == [7; 4096] { whole += 1 } else { less += 1 }
    }
    assert!(whole > 10 && less > 10, "{whole} {less}");
}

#[test]
fn a_kill_keeps_what_was_written_and_tears_only_the_write_under_way() {
    let mut partly = 0;
    for seed in 0..50 {
        let (fs, file) = volume(seed);
        file.write_at(0, &[1; 600]).unwrap();
        let (operation, below) = (Some(Operation::Write), None);
        fs.plan(FaultPlan { operation, below, after: 0, times: 1, fault: Fault::Kill });
        assert!(file.write_at(600, &[2; 600]).is_err());
        assert!(fs.is_dead() && fs.read_dir(Path::new("/v")).is_err());
        fs.kill();
        let bytes = fs.get(Path::new("/v/x")).unwrap();
        assert_eq!(bytes[..600], [1; 600]);
        assert!(bytes[600..].iter().all(|b| *b == 2));
        partly += u32::from((601..1200).contains(&bytes.len()));
    }
    assert!(partly > 25, "{partly}");
}

#[test]
fn every_state_of_a_crash_is_shown_once_and_those_of_seeds_are_among_them() {
    let build = |seed| {
        let (fs, file) = volume(seed);
        file.write_at(0, &[1; 1024]).unwrap();
        fs.rename(Path::new("/v/x"), Path::new("/v/y")).unwrap();
        fs
    };
    let look =
        |fs: &SimFs| fs.files().into_iter().map(|p| (p.clone(), fs.get(&p).unwrap())).collect::<Vec<_>>();
    let mut states = std::collections::BTreeSet::new();
    // Two changes of names; of the write any of two sectors, or its length; the directory.
    let count = build(0).each_crash_state(|fs| _ = states.insert(look(&fs))).unwrap();
    assert_eq!(count, 2 * 2 * 5 * 2);
    // Nothing; under either name: empty, first sector, second sector, both, zeros.
    assert_eq!(states.len(), 1 + 2 * 5);
    for seed in 0..100 {
        let fs = build(seed);
        fs.crash();
        assert!(states.contains(&look(&fs)), "seed {seed}");
    }
}
