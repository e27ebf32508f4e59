//! Room for the footage of a benchmark. A city writes 350 MB a second: where a run does not fit the disk, the bench
//! takes away what was written a while ago by punching holes into the files, behind the recorder's back. The
//! recorder's own work stays the same, and the footer of each file, from which pictures are counted, stays whole.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fengsui_storage::fs::RealFs;
use fengsui_storage::segment::SegmentReader;
use rustix::fs::{FallocateFlags, fallocate};

/// Bytes a second of one camera, with what a file adds.
const CAMERA_BYTES_PER_SECOND: u64 = 265_000;
/// Bytes that stay free whatever is measured.
const SPARE_BYTES: u64 = 3 << 30;
/// Seconds of footage that lie on the disk while the rest is taken away.
const KEPT_SECONDS: u64 = 20;
/// Bytes at the start and at the end of a file that stay: preamble, and what the recorder still works on or its footer.
const START_BYTES: u64 = 64 << 10;
const END_BYTES: u64 = 2 << 20;
/// Bytes that are worth a hole.
const HOLE_BYTES_MIN: u64 = 1 << 20;
/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(3);

/// How a run fits the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Everything is kept.
    All,
    /// Old footage is taken away while the run goes on.
    Punch,
}

impl Room {
    /// How `cameras` cameras of 2 Mbit/s for `seconds` fit into what is free at `directory`.
    ///
    /// # Errors
    /// They do not fit at all; the sentence says how much room there must be.
    pub fn plan(directory: &Path, cameras: u32, seconds: u64) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(directory)?;
        Self::plan_for(stat.f_bavail.saturating_mul(stat.f_frsize), cameras, seconds).map_err(|need| {
            io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "{cameras} cameras need {} GB free at {} ({} GB to keep all footage); --out names another place",
                    need.0.div_ceil(1_000_000_000),
                    directory.display(),
                    need.1.div_ceil(1_000_000_000),
                ),
            )
        })
    }

    /// Whether all that `cameras` cameras send in `seconds` fits beside what else is there.
    ///
    /// # Errors
    /// It does not.
    pub fn for_all(directory: &Path, cameras: u32, seconds: u64) -> io::Result<()> {
        let stat = rustix::fs::statvfs(directory)?;
        let need = CAMERA_BYTES_PER_SECOND * u64::from(cameras) * seconds + SPARE_BYTES;
        if stat.f_bavail.saturating_mul(stat.f_frsize) >= need {
            return Ok(());
        }
        let gb = need.div_ceil(1_000_000_000);
        let what = format!(
            "a floor of {cameras} cameras keeps {gb} GB in {seconds} s, more than is free at {}; \
             take fewer --floor-seconds",
            directory.display()
        );
        Err(io::Error::new(io::ErrorKind::StorageFull, what))
    }

    fn plan_for(free: u64, cameras: u32, seconds: u64) -> Result<Self, (u64, u64)> {
        let rate = CAMERA_BYTES_PER_SECOND * u64::from(cameras);
        let ends = (START_BYTES + END_BYTES + HOLE_BYTES_MIN) * u64::from(cameras) * 2;
        let all = rate * seconds + SPARE_BYTES;
        let least = rate * KEPT_SECONDS + ends + SPARE_BYTES;
        match free {
            // Others write to the disk too: all is kept only where there is plenty.
            free if free / 2 >= all => Ok(Self::All),
            free if free >= least => Ok(Self::Punch),
            _ => Err((least.min(all), all)),
        }
    }
}

/// Takes old footage away until it is dropped.
#[derive(Debug)]
pub struct Puncher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<u64>>>,
}

impl Puncher {
    /// Begins below a volume's directory.
    #[must_use]
    pub fn start(volume: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, volume) = (Arc::clone(&stop), volume.to_owned());
        let thread = std::thread::spawn(move || {
            let mut done = HashMap::new();
            let mut bytes = 0;
            while !told.load(Ordering::Relaxed) {
                bytes += punch_round(&volume, &mut done)?;
                std::thread::park_timeout(ROUND);
            }
            Ok(bytes)
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it; the bytes that it took away.
    ///
    /// # Errors
    /// A hole was refused.
    pub fn finish(mut self) -> io::Result<u64> {
        self.halt().unwrap_or(Ok(0))
    }

    fn halt(&mut self) -> Option<io::Result<u64>> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take()?;
        thread.thread().unpark();
        thread.join().ok()
    }
}

impl Drop for Puncher {
    fn drop(&mut self) {
        // Whoever wants to know about failures has called `finish`.
        let _ = self.halt();
    }
}

/// One round; `done` says how far each file (by inode, as names change at close) is punched.
fn punch_round(volume: &Path, done: &mut HashMap<u64, u64>) -> io::Result<u64> {
    let mut bytes = 0;
    for (inode, path) in footage_files(volume)? {
        let from = done.get(&inode).copied().unwrap_or(START_BYTES);
        match punch(&path, from) {
            Ok(Some(to)) => {
                bytes += to - from;
                done.insert(inode, to);
            }
            Ok(None) => {}
            // It was closed meanwhile and has another name; the next round finds it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io::Error::new(e.kind(), format!("punch {}: {e}", path.display()))),
        }
    }
    Ok(bytes)
}

fn punch(path: &Path, from: u64) -> io::Result<Option<u64>> {
    let len = std::fs::metadata(path)?.len();
    let to = len.saturating_sub(END_BYTES) / START_BYTES * START_BYTES;
    if to < from + HOLE_BYTES_MIN {
        return Ok(None);
    }
    let file = File::options().write(true).open(path)?;
    fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, to - from)?;
    Ok(Some(to))
}

/// All segment files of main streams below a volume, with their inodes.
fn footage_files(volume: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for camera in std::fs::read_dir(volume)? {
        let days = camera?.path().join("main");
        if !days.is_dir() {
            continue;
        }
        for day in std::fs::read_dir(days)? {
            for file in std::fs::read_dir(day?.path())? {
                let file = file?;
                if file.path().extension().is_some_and(|e| e == "mp4") {
                    files.push((file.ino(), file.path()));
                }
            }
        }
    }
    Ok(files)
}

/// What lies on a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Pictures of each camera's main stream, camera 1 first.
    pub frames: Vec<u64>,
    /// Files.
    pub files: u64,
    /// Files that have no footer that holds.
    pub flawed: u64,
}

impl Stored {
    /// Counts the pictures of `cameras` cameras by the fragment tables of their files; the node must have stopped.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(volume: &Path, cameras: u32) -> io::Result<Self> {
        let mut stored = Self { frames: vec![0; cameras as usize], ..Self::default() };
        for (_, path) in footage_files(volume)? {
            stored.files += 1;
            let reader = match SegmentReader::open(&RealFs, &path, None) {
                Ok(reader) => reader,
                Err(_) => {
                    stored.flawed += 1;
                    continue;
                }
            };
            // The first group may have been taken away, which makes a file suspect; its footer must be there all the same.
            stored.flawed += u64::from(reader.segment_hash().is_none());
            let code = reader.head().key.camera.to_string();
            let n: usize = code.get(14..).and_then(|n| n.parse().ok()).unwrap_or(0);
            let frames = reader.fragments().iter().map(|f| u64::from(f.frames)).sum::<u64>();
            if let Some(sum) = stored.frames.get_mut(n.wrapping_sub(1)) {
                *sum += frames;
            }
        }
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_run_is_kept_punched_or_refused_with_the_room_it_needs() {
        assert_eq!(Room::plan_for(500 << 30, 1400, 600), Ok(Room::All));
        assert_eq!(Room::plan_for(30 << 30, 1400, 600), Ok(Room::Punch));
        let (least, all) = Room::plan_for(10 << 30, 1400, 600).unwrap_err();
        assert!(least > 10 << 30 && least < 30 << 30 && all > 200 << 30, "{least} {all}");
        assert_eq!(Room::plan_for(8 << 30, 20, 10), Ok(Room::All));
    }

    #[test]
    fn a_punched_file_keeps_its_length_and_both_ends() {
        let directory = tempfile::tempdir().unwrap();
        let day = directory.path().join("33080201001320000001/main/20261124");
        std::fs::create_dir_all(&day).unwrap();
        let path = day.join("1_1.open.mp4");
        std::fs::write(&path, vec![7; 8 << 20]).unwrap();
        let mut done = HashMap::new();
        let took = punch_round(directory.path(), &mut done).unwrap();
        assert_eq!(took, (6 << 20) - START_BYTES);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 8 << 20);
        let zeros = bytes.iter().filter(|b| **b == 0).count() as u64;
        assert_eq!(zeros, took);
        assert!(bytes.iter().take(START_BYTES as usize).all(|b| *b == 7));
        // The same file under its last name has no more to give.
        std::fs::rename(&path, day.join("1_1_9_0.mp4")).unwrap();
        assert_eq!(punch_round(directory.path(), &mut done).unwrap(), 0);
    }
}
