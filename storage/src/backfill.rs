//! Footage that another node recorded in the place of this one, taken in: whole signed segment files, which keep that node's
//! name, number and signature.
//!
//! A file comes in pieces, each durable before the next is asked for, into `<volume>/backfill`; what is there of it is where
//! the next piece goes on, also after a crash. When all is there it is read to its last byte, must be the segment that its name
//! says and be signed by the node that recorded it, and only then gets its name and its row. What does not hold goes to the
//! quarantine of the volume.
//!
//! Invariants
//! - Nothing of another node is footage here that is not proved to its last byte, and nothing is in the place of what this
//!   node recorded itself. `what_another_node_recorded_is_taken_in_whole_proved_and_once`,
//!   `what_does_not_hold_is_no_footage`
//! - A part that nobody finishes does not stay for ever: `parts_that_nobody_finishes_go_to_quarantine`
//! - A crash at any call leaves the whole segment or a part that the next piece continues.
//!   `a_crash_at_any_call_leaves_the_segment_or_a_part_to_go_on_with`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{NodeId, StreamKey, VolumeId};
use fengsui_config::limits;
use parking_lot::Mutex;

use crate::catalogue::Catalogue;
use crate::error::StoreError;
use crate::fs::{Fs, OpenOptions};
use crate::segment::{Hash, KeyId, SegmentName, SegmentRow, Surveyor, is_stand_in};
use crate::volume::{VolumeStatus, choose};

/// Directory of files that are not whole yet, on each volume.
pub const BACKFILL_DIR: &str = "backfill";

/// A segment that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Its stream.
    pub key: StreamKey,
    /// Its name, closed.
    pub name: SegmentName,
    /// Length of the file.
    pub bytes: u64,
    /// The node that recorded it.
    pub node: NodeId,
    /// The key of that node.
    pub signer: KeyId,
}

/// How a segment that is to come stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// So many bytes of it are here; the next ones follow there.
    Part(u64),
    /// It is here, proved, and has this hash.
    Taken(Hash),
    /// It was here already.
    Known,
    /// It is not taken, and why; what came of it is in quarantine, if anything.
    Refused(String),
}

/// Takes segments in, one piece at a time.
#[derive(Debug)]
pub struct Backfill {
    fs: Arc<dyn Fs>,
    catalogue: Arc<Catalogue>,
    /// One piece at a time: two callers with one file would write over each other.
    turn: Mutex<()>,
}

impl Incoming {
    /// The row that it will have on `volume`; none when its name is none of a closed segment.
    fn row(&self, volume: &VolumeId) -> Option<SegmentRow> {
        let (duration_ms, flags) = self.name.closed?;
        let SegmentName { start_ms, number, .. } = self.name;
        let (volume, key) = (volume.clone(), self.key);
        Some(SegmentRow {
            volume,
            key,
            number,
            start_ms,
            duration_ms,
            flags,
            bytes: self.bytes,
            closed: true,
        })
    }

    fn part(&self, root: &Path) -> PathBuf {
        let Self { key, name, .. } = self;
        root.join(BACKFILL_DIR).join(format!("{}_{}_{name}.part", key.camera, key.stream))
    }

    /// Why it cannot be one that another node recorded in this one's place.
    fn fault(&self) -> Option<String> {
        if self.name.closed.is_none() {
            return Some("a segment that is not closed has no proof".into());
        }
        if !is_stand_in(self.name.number) {
            return Some("its number is none of footage that a node recorded in the place of another".into());
        }
        if self.bytes == 0 || self.bytes > limits::BACKFILL_SEGMENT_BYTES_MAX {
            return Some(format!(
                "it has {} bytes, at most {}",
                self.bytes,
                limits::BACKFILL_SEGMENT_BYTES_MAX
            ));
        }
        None
    }
}

impl Backfill {
    /// Takes segments into `catalogue`.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>, catalogue: Arc<Catalogue>) -> Self {
        Self { fs, catalogue, turn: Mutex::default() }
    }

    /// Takes the piece at `offset`; an empty one asks how the segment stands. A piece that does not follow what is here is
    /// left out. With the last one the file is proved and becomes footage; that reads all of it.
    ///
    /// # Errors
    /// When a file system refuses; what is durable stays.
    pub fn put(
        &self,
        volumes: &[VolumeStatus],
        incoming: &Incoming,
        offset: u64,
        piece: &[u8],
    ) -> Result<Came, StoreError> {
        let _turn = self.turn.lock();
        if let Some(why) = incoming.fault() {
            return Ok(Came::Refused(why));
        }
        if let Some(known) = self.known(incoming) {
            return Ok(known);
        }
        let Some(volume) = self.volume(volumes, incoming) else {
            return Ok(Came::Refused("no volume takes footage".into()));
        };
        let (part, dir) = (incoming.part(&volume.root), volume.root.join(BACKFILL_DIR));
        self.fs.create_dir_all(&dir).map_err(StoreError::io("create directory", &dir))?;
        let have = self.fs.metadata(&part).map_or(0, |found| found.len);
        let follows = offset == have && !piece.is_empty();
        let fits = have.saturating_add(piece.len() as u64) <= incoming.bytes;
        if follows && !fits {
            return Ok(Came::Refused("more comes than its length says".into()));
        }
        let mut have = have;
        if follows {
            let file =
                self.fs.open(&part, OpenOptions::CREATE).map_err(StoreError::io("open part", &part))?;
            file.write_at(offset, piece).map_err(StoreError::io("write part", &part))?;
            file.sync_all().map_err(StoreError::io("sync part", &part))?;
            if offset == 0 {
                self.fs.sync_dir(&dir).map_err(StoreError::io("sync directory", &dir))?;
            }
            have += piece.len() as u64;
        }
        match have.cmp(&incoming.bytes) {
            std::cmp::Ordering::Less => Ok(Came::Part(have)),
            std::cmp::Ordering::Equal => self.finish(volume, incoming, &part),
            // A part of another try with this name: it is not this segment.
            std::cmp::Ordering::Greater => {
                self.quarantine(volume, &part, "the part is longer than the segment")
            }
        }
    }

    /// Puts parts aside that nobody finishes: of segments that are older than centres look back. Gives how many.
    ///
    /// They go to quarantine and are not removed: they are no footage, because nothing proves them; but the node that recorded
    /// them may have lost its disk meanwhile, and then they are all that is left. A person decides.
    ///
    /// # Errors
    /// When a file system refuses; what was not put aside is found again.
    pub fn put_aside(&self, volumes: &[VolumeStatus], now: UtcMicros) -> Result<usize, StoreError> {
        let _turn = self.turn.lock();
        let mut count = 0;
        for volume in volumes.iter().filter(|v| v.takes_footage()) {
            let dir = volume.root.join(BACKFILL_DIR);
            let names = match self.fs.read_dir(&dir) {
                Ok(names) => names,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io("read directory", &dir)(e)),
            };
            let begun =
                |name: &str| part_begins(name).is_some_and(|at| at + limits::BACKFILL_PART_AGE_MAX < now);
            for entry in names.into_iter().filter(|entry| begun(&entry.name)) {
                self.quarantine(volume, &dir.join(entry.name), "nobody finished it")?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// What is here under this name, or in its way.
    fn known(&self, incoming: &Incoming) -> Option<Came> {
        let SegmentName { start_ms, number, .. } = incoming.name;
        let found = self.catalogue.segment(incoming.key, number)?;
        if found.start_ms == start_ms {
            return Some(Came::Known);
        }
        // Numbers name segments wherever files are held open: two with one number would be taken for each other.
        Some(Came::Refused(format!("another segment here has its number {number}")))
    }

    /// The volume that has a part of it, or the one on which it is to lie.
    fn volume<'a>(&self, volumes: &'a [VolumeStatus], incoming: &Incoming) -> Option<&'a VolumeStatus> {
        let has = |v: &&VolumeStatus| v.takes_footage() && self.fs.metadata(&incoming.part(&v.root)).is_ok();
        volumes.iter().find(has).or_else(|| {
            let seed = blake3::hash(incoming.key.to_string().as_bytes());
            let seed = seed.as_bytes().first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
            let id = choose(volumes, seed)?;
            volumes.iter().find(|v| v.id == *id)
        })
    }

    /// Proves the file, gives it its name, and notes it.
    fn finish(&self, volume: &VolumeStatus, incoming: &Incoming, part: &Path) -> Result<Came, StoreError> {
        let Some(row) = incoming.row(&volume.id) else {
            return Ok(Came::Refused("a segment that is not closed has no proof".into()));
        };
        let hash = match self.prove(incoming, &row, part)? {
            Ok(hash) => hash,
            Err(why) => return self.quarantine(volume, part, &why),
        };
        let path = volume.root.join(row.path());
        let dir = path.parent().unwrap_or(&volume.root);
        self.fs.create_dir_all(dir).map_err(StoreError::io("create directory", dir))?;
        self.fs.rename(part, &path).map_err(StoreError::io("put segment in place", part))?;
        let parts = volume.root.join(BACKFILL_DIR);
        for dir in dir.ancestors().take_while(|d| d.starts_with(&volume.root)).chain([&*parts]) {
            self.fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))?;
        }
        self.catalogue.closed(&row, hash);
        self.catalogue.flush(true)?;
        Ok(Came::Taken(hash))
    }

    /// The hash of a file that holds to its last byte and is what it should be; else why not.
    fn prove(
        &self,
        incoming: &Incoming,
        row: &SegmentRow,
        part: &Path,
    ) -> Result<Result<Hash, String>, StoreError> {
        let mut surveyor = match Surveyor::open(&*self.fs, part, row.end()) {
            Ok(surveyor) => surveyor,
            Err(e @ StoreError::Damaged { .. }) => return Ok(Err(e.to_string())),
            Err(e) => return Err(e),
        };
        let reached = surveyor.reached();
        while surveyor.step()?.is_some() {}
        let found = surveyor.finish();
        let head = &found.head;
        let late = reached.map_or(i64::MAX, |end| end.since(row.end()).abs());
        let why = if let Some(damage) = found.damages.first() {
            format!("it is damaged at byte {}: {}", damage.offset, damage.detail)
        } else if (head.key, head.number, head.start.millis()) != (row.key, row.number, row.start_ms) {
            "it is another segment than its name says".into()
        } else if head.node != incoming.node {
            format!("{} recorded it, not {}", head.node, incoming.node)
        } else if found.key_id != incoming.signer {
            "it is signed by another key than that node's".into()
        } else if late > NAME_END_TOLERANCE_US {
            "it ends at another time than its name says".into()
        } else {
            return Ok(found.hash.ok_or_else(|| "it is not signed".to_owned()));
        };
        Ok(Err(why))
    }

    /// Puts what does not hold aside.
    fn quarantine(&self, volume: &VolumeStatus, part: &Path, why: &str) -> Result<Came, StoreError> {
        let dir = volume.root.join("quarantine");
        self.fs.create_dir_all(&dir).map_err(StoreError::io("create directory", &dir))?;
        let name = part.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let to = dir.join(format!("{name}.backfill"));
        self.fs.rename(part, &to).map_err(StoreError::io("move to quarantine", part))?;
        for dir in [&dir, &volume.root.join(BACKFILL_DIR)] {
            self.fs.sync_dir(dir).map_err(StoreError::io("sync directory", dir))?;
        }
        tracing::error!(file = %to.display(), why, "footage of another node does not hold; it is in quarantine");
        Ok(Came::Refused(why.to_owned()))
    }
}

/// When the segment begins of which `name` is a part; none when it is the name of no part.
fn part_begins(name: &str) -> Option<UtcMicros> {
    let stem = name.strip_suffix(".part")?;
    let (_camera, rest) = stem.split_once('_')?;
    let (_stream, segment) = rest.split_once('_')?;
    let name: SegmentName = segment.parse().ok()?;
    Some(UtcMicros(name.start_ms.checked_mul(1000)?))
}

/// Names round ends up to milliseconds, and recovery may have found less.
const NAME_END_TOLERANCE_US: i64 = 1_000_000;

#[cfg(test)]
mod tests;
