//! The archive at work: looks for what is due, stores it, writes it down, and reads it back.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use fengsui_config::archive::ArchiveConfig;
use fengsui_config::clock::{Clock, MonoMicros, UtcMicros};
use fengsui_config::ids::{NodeId, StreamKey, VolumeId};
use fengsui_config::limits;
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};

use super::index::{ArchiveIndex, IndexOpening, Stored};
use super::object_key;
use super::plan::{Backoff, Candidate, Throttle, order, proof_due};
use super::remote::{Remote, RemoteFs, RemoteStats};
use super::removal::Removal;
use super::status::{ArchiveState, ArchiveStatus, Counting, Standing};
use super::store::{ArchiveError, ArchiveStore, LockReport, Retention};
use super::upload::{Done, Job, Pace, Stop};
use crate::catalogue::Catalogue;
use crate::error::StoreError;
use crate::fs::{Fs, FsFile};
use crate::journal::kinds;
use crate::scrub::Replica;
use crate::segment::{SegmentReader, SegmentRow};

/// Footage on the volumes.
pub trait LocalFootage: Send + Sync {
    /// Every stream that ever had footage.
    fn keys(&self) -> Vec<StreamKey>;
    /// Segments that overlap a range, by start.
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow>;
}

impl LocalFootage for Catalogue {
    fn keys(&self) -> Vec<StreamKey> {
        Self::keys(self)
    }
    fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        Self::segments(self, key, from, to)
    }
}

/// What is to be archived.
pub trait Wanted: Send + Sync {
    /// Whether a stream's footage is archived.
    fn takes(&self, key: StreamKey) -> bool;
    /// Whether any of a range of a stream is held.
    fn held(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> bool;
    /// Changes whenever an answer of the two above may have changed for footage that was asked about before.
    fn generation(&self) -> u64;
}

/// Where the archive writes down what it did; the journal.
pub trait Note: Send + Sync {
    /// Writes a record and waits until it is durable; a refusal is logged there.
    fn note(&self, kind: &'static str, body: Value);
}

/// What an archive needs.
pub struct ArchiveOptions {
    /// The node's files.
    pub fs: Arc<dyn Fs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The place.
    pub store: Arc<dyn ArchiveStore>,
    /// What the configuration says of it.
    pub config: ArchiveConfig,
    /// Footage on the volumes.
    pub footage: Arc<dyn LocalFootage>,
    /// The volumes.
    pub volumes: Vec<(VolumeId, PathBuf)>,
    /// What is to be archived.
    pub wanted: Arc<dyn Wanted>,
    /// The journal.
    pub note: Arc<dyn Note>,
    /// Folder of the indexes.
    pub dir: PathBuf,
    /// This node.
    pub node: NodeId,
}

#[derive(Default)]
struct Cursors {
    generation: u64,
    /// When everything was last looked through.
    whole: Option<MonoMicros>,
    /// Per stream: everything before is in the archive or not wanted there.
    done_to: HashMap<StreamKey, UtcMicros>,
}

/// Segments that could not be stored for a reason of their own, by stream, start and number: when that was, and whether
/// the store gave other bytes than were sent. They are left alone for a while, so that they keep nobody waiting.
type Aside = HashMap<(StreamKey, i64, u64), (MonoMicros, bool)>;

/// One archive of a node. Safe from many threads.
pub struct Archive {
    pub(super) options: ArchiveOptions,
    pub(super) index: RwLock<ArchiveIndex>,
    pub(super) remote: Arc<Remote>,
    pub(super) pace: Pace,
    pub(super) counting: Counting,
    pub(super) removal: Removal,
    standing: Mutex<Standing>,
    lock: Mutex<LockReport>,
    cursors: Mutex<Cursors>,
    aside: Mutex<Aside>,
    backoff: Mutex<Backoff>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("id", &self.options.config.id).finish_non_exhaustive()
    }
}

/// Candidates that one look remembers: more than a batch, so that the held and the oldest are among them.
const CANDIDATES_MAX: usize = 8 * limits::ARCHIVE_BATCH_MAX;

impl Archive {
    /// Opens the index of what is there; nothing is sent before [`Self::start`] or [`Self::step`].
    pub fn open(options: ArchiveOptions) -> Result<Arc<Self>, StoreError> {
        let now = options.clock.utc();
        let id = options.config.id.clone();
        let (index, opening) = ArchiveIndex::open(&*options.fs, &options.dir, id, now)?;
        if let IndexOpening::Damaged { records } = opening {
            tracing::error!(archive = %options.config.id, records,
                "records of the archive's index do not hold; make it anew: fengsui archive rebuild");
        }
        let remote =
            Arc::new(Remote::new(options.store.clone(), options.clock.clone(), options.config.cache_bytes));
        let pace = Pace {
            throttle: Mutex::new(Throttle::new(options.config.rate_bytes)),
            clock: options.clock.clone(),
            stop: Stop::default(),
        };
        Ok(Arc::new(Self {
            index: RwLock::new(index),
            remote,
            pace,
            counting: Counting::default(),
            removal: Removal::default(),
            standing: Standing::new(now),
            lock: Mutex::new(LockReport::not_probed()),
            cursors: Mutex::default(),
            aside: Mutex::default(),
            backoff: Mutex::default(),
            thread: Mutex::new(None),
            options,
        }))
    }

    /// Begins to store what is due, in a thread of its own.
    pub fn start(self: &Arc<Self>) -> Result<(), StoreError> {
        let me = self.clone();
        let thread = std::thread::Builder::new()
            .name(format!("archive-{}", self.options.config.id))
            .spawn(move || me.run())
            .map_err(StoreError::io("start the archive's thread", &self.options.dir))?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Ends the thread. An upload under way is given up; it is due again at the next start.
    pub fn stop(&self) {
        self.pace.stop.tell();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }

    fn run(&self) {
        let found = self.options.store.probe_lock();
        tracing::info!(archive = %self.options.config.id, lock = ?found.state, reason = found.reason, "probed object lock");
        self.options.note.note(
            kinds::ARCHIVE_PROBED,
            json!({"archive": self.options.config.id, "lock": found.state, "reason": found.reason}),
        );
        *self.lock.lock() = found;
        loop {
            let looked = self.step();
            self.tidy_in_time();
            let pause = match looked {
                Ok(0) => limits::ARCHIVE_LOOK_INTERVAL,
                Ok(_) => Duration::ZERO,
                Err(_) => self.backoff.lock().failed(),
            };
            if self.pace.stop.wait(pause) {
                return;
            }
        }
    }

    /// Looks for what is due and stores one batch of it; says how many segments. Fails when the archive does, with
    /// what was stored before written down.
    pub fn step(&self) -> Result<usize, ArchiveError> {
        let batch = self.look();
        if batch.is_empty() {
            self.stands(None);
            return Ok(0);
        }
        let (stored, failure) = self.store_all(&batch);
        let written = self.acknowledge(&stored);
        let outcome = match (failure, written) {
            (Some(error), _) | (None, Err(error)) => Err(error),
            (None, Ok(())) => Ok(stored.len()),
        };
        if outcome.is_ok() {
            self.backoff.lock().worked();
        }
        self.stands(outcome.as_ref().err());
        outcome
    }

    /// Finds what is due, counts it, and gives the first of it.
    fn look(&self) -> Vec<Candidate> {
        let o = &self.options;
        let now = o.clock.utc();
        let generation = o.wanted.generation();
        let mut cursors = self.cursors.lock();
        let mono = o.clock.mono();
        let stale = cursors.whole.is_none_or(|at| mono.since(at) >= limits::ARCHIVE_WHOLE_LOOK_INTERVAL);
        if cursors.generation != generation || stale {
            *cursors = Cursors { generation, whole: Some(mono), ..Cursors::default() };
        }
        let mut aside = self.aside.lock();
        aside.retain(|_, (at, _)| mono.since(*at) < limits::ARCHIVE_ASIDE_TIME);
        let index = self.index.read();
        let mut due: Vec<Candidate> = Vec::new();
        let (mut segments, mut bytes, mut oldest) = (0u64, 0u64, None::<UtcMicros>);
        for key in o.footage.keys() {
            let takes = o.wanted.takes(key);
            let from = cursors.done_to.get(&key).copied().unwrap_or(UtcMicros(0));
            let mut done_to = None;
            for row in o.footage.segments(key, from, now) {
                let held = o.wanted.held(key, row.start(), row.end());
                let there = row.closed && index.has(key, row.start_ms, row.number);
                // It would be removed from there at once.
                let over = o.config.max.is_some_and(|max| row.end() + max <= now);
                if there || (row.closed && !held && (over || !takes)) {
                    continue;
                }
                done_to.get_or_insert(row.start());
                let since = if held { row.end() } else { row.end() + o.config.after };
                if !row.closed || since > now {
                    continue;
                }
                segments += 1;
                bytes += row.bytes;
                oldest = Some(oldest.map_or(since, |o| o.min(since)));
                if aside.contains_key(&(key, row.start_ms, row.number)) {
                    continue;
                }
                due.push(Candidate { row, held, due: since });
                if due.len() >= 2 * CANDIDATES_MAX {
                    order(&mut due);
                    due.truncate(CANDIDATES_MAX);
                }
            }
            cursors.done_to.insert(key, done_to.unwrap_or(now).min(now - limits::ARCHIVE_LOOK_BACK));
        }
        order(&mut due);
        due.truncate(limits::ARCHIVE_BATCH_MAX);
        let mut standing = self.standing.lock();
        (standing.backlog_segments, standing.backlog_bytes, standing.oldest_due) = (segments, bytes, oldest);
        due
    }

    /// Stores a batch, several at once; ends at the first failure of the archive.
    fn store_all(&self, batch: &[Candidate]) -> (Vec<(Candidate, Done)>, Option<ArchiveError>) {
        let waiting = Mutex::new(batch.iter());
        let (stored, failure, wrong) = (Mutex::new(Vec::new()), Mutex::new(None), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..self.options.config.uploads.min(batch.len()) {
                scope.spawn(|| {
                    while failure.lock().is_none() && !self.pace.stop.told() {
                        let Some(next) = waiting.lock().next() else { break };
                        match self.store_one(next) {
                            Ok(done) => {
                                if done.damaged {
                                    tracing::error!(segment = %next.row.path().display(),
                                        "archived a segment that does not hold, as it is");
                                }
                                stored.lock().push((next.clone(), done));
                            }
                            Err(ArchiveError::Local(error)) => {
                                // The file was deleted meanwhile, or its disk fails; the volumes' own watch says so.
                                tracing::warn!(error, "cannot archive a segment");
                                self.put_aside(&next.row, false);
                            }
                            Err(error @ ArchiveError::Wrong(_)) => {
                                self.counting.failures.fetch_add(1, Ordering::Relaxed);
                                self.put_aside(&next.row, true);
                                wrong.lock().get_or_insert(error);
                            }
                            Err(error) => {
                                self.counting.failures.fetch_add(1, Ordering::Relaxed);
                                failure.lock().get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        (stored.into_inner(), failure.into_inner().or(wrong.into_inner()))
    }

    fn put_aside(&self, row: &SegmentRow, wrong: bool) {
        let mut aside = self.aside.lock();
        if aside.len() >= limits::ARCHIVE_ASIDE_MAX {
            aside.clear();
        }
        aside.insert((row.key, row.start_ms, row.number), (self.options.clock.mono(), wrong));
    }

    fn store_one(&self, next: &Candidate) -> Result<Done, ArchiveError> {
        let o = &self.options;
        let key = object_key(&o.node, &next.row);
        let root = o.volumes.iter().find(|(id, _)| *id == next.row.volume).map(|(_, root)| root);
        let root = root.ok_or_else(|| ArchiveError::Local(format!("no volume {}", next.row.volume)))?;
        let retention = o.config.lock.map(|lock| Retention {
            compliance: lock.compliance,
            until: next.row.end() + Duration::from_secs(u64::from(lock.days) * 86_400),
        });
        let job = Job {
            fs: &*o.fs,
            store: &*o.store,
            pace: &self.pace,
            counting: &self.counting,
            path: &root.join(next.row.path()),
            key: &key,
            proof: proof_due(&key, o.config.verify_percent),
            retention: retention.filter(|r| r.until > o.clock.utc()),
        };
        job.run()
    }

    /// Makes it durable that segments are stored; only then do they count.
    fn acknowledge(&self, stored: &[(Candidate, Done)]) -> Result<(), ArchiveError> {
        if stored.is_empty() {
            return Ok(());
        }
        let now = self.options.clock.utc();
        let rows: Vec<Stored> = stored.iter().map(|(c, done)| row_of(c, done, now)).collect();
        self.index.write().append(&rows).map_err(|e| ArchiveError::Local(e.to_string()))?;
        let bytes: u64 = rows.iter().map(|r| r.bytes).sum();
        let proved = stored.iter().filter(|(_, d)| d.proved).count();
        self.counting.stored.fetch_add(rows.len() as u64, Ordering::Relaxed);
        self.counting.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
        if proved > 0 {
            self.standing.lock().verified = Some(now);
        }
        let cameras: BTreeSet<String> = rows.iter().map(|r| r.key.camera.to_string()).collect();
        self.options.note.note(
            kinds::ARCHIVE_STORED,
            json!({
                "archive": self.options.config.id, "segments": rows.len(), "bytes": bytes, "verified": proved,
                "held": stored.iter().filter(|(c, _)| c.held).count(), "cameras": cameras,
                "from_us": stored.iter().map(|(c, _)| c.row.start().0).min(),
                "to_us": stored.iter().map(|(c, _)| c.row.end().0).max(),
            }),
        );
        Ok(())
    }

    /// Takes in how the archive stands now; a change is logged and written down.
    fn stands(&self, failure: Option<&ArchiveError>) {
        let now = self.options.clock.utc();
        let (unreadable, wrong) = {
            let aside = self.aside.lock();
            let wrong = aside.values().filter(|(_, wrong)| *wrong).count() as u64;
            (aside.len() as u64 - wrong, wrong)
        };
        let mut standing = self.standing.lock();
        standing.unreadable = unreadable;
        let late = standing.oldest_due.is_some_and(|due| now > due + limits::ARCHIVE_BEHIND_AFTER);
        let (state, detail) = match failure {
            Some(ArchiveError::Unreachable(_)) => {
                (ArchiveState::Unreachable, failure.map(ToString::to_string))
            }
            Some(_) => (ArchiveState::Refused, failure.map(ToString::to_string)),
            None if wrong > 0 => (
                ArchiveState::Refused,
                Some(format!("{wrong} objects are not what was sent; they are sent again later")),
            ),
            None if late => {
                let lag = standing.oldest_due.map_or(0, |due| now.since(due) / 60_000_000);
                (ArchiveState::Behind, Some(format!("footage has been due for {lag} minutes")))
            }
            None => (ArchiveState::Ok, None),
        };
        if !standing.set(state, detail.clone(), now) {
            return;
        }
        let (segments, bytes) = (standing.backlog_segments, standing.backlog_bytes);
        drop(standing);
        let id = &self.options.config.id;
        let kind = match state {
            ArchiveState::Ok => kinds::ARCHIVE_RECOVERED,
            ArchiveState::Behind => kinds::ARCHIVE_BEHIND,
            ArchiveState::Unreachable => kinds::ARCHIVE_UNREACHABLE,
            ArchiveState::Refused => kinds::ARCHIVE_REFUSED,
        };
        if state == ArchiveState::Ok {
            tracing::info!(archive = %id, "the archive works again");
        } else {
            tracing::error!(archive = %id, ?state, detail, segments, bytes, "footage waits for the archive");
        }
        let body =
            json!({"archive": id, "detail": detail, "backlog_segments": segments, "backlog_bytes": bytes});
        self.options.note.note(kind, body);
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &VolumeId {
        &self.options.config.id
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> ArchiveStatus {
        let now = self.options.clock.utc();
        let (segments, bytes) = self.index.read().totals();
        let standing = self.standing.lock().clone();
        ArchiveStatus {
            id: self.id().clone(),
            state: standing.state,
            detail: standing.detail,
            since: standing.since,
            segments,
            bytes,
            backlog_segments: standing.backlog_segments,
            backlog_bytes: standing.backlog_bytes,
            lag_us: standing.oldest_due.map_or(0, |due| now.since(due).max(0)),
            unreadable: standing.unreadable,
            verified: standing.verified,
            lock: self.lock.lock().clone(),
            locked_segments: self.locked_segments(),
            upload_check: self.options.store.upload_check(),
            counters: self.counting.now(),
        }
    }

    /// Counters of reading.
    #[must_use]
    pub fn read_stats(&self) -> RemoteStats {
        self.remote.stats()
    }

    /// Whether a segment is there.
    #[must_use]
    pub fn has(&self, row: &SegmentRow) -> bool {
        self.index.read().has(row.key, row.start_ms, row.number)
    }

    /// Segments that hold any of a range, by start; their volume is the archive.
    #[must_use]
    pub fn segments(&self, key: StreamKey, from: UtcMicros, to: UtcMicros) -> Vec<SegmentRow> {
        self.index.read().segments(key, from, to)
    }

    /// Start of the oldest and end of the newest footage of a stream.
    #[must_use]
    pub fn extent(&self, key: StreamKey) -> Option<(UtcMicros, UtcMicros)> {
        self.index.read().extent(key)
    }

    /// Opens a segment by ranges: preamble and footer now, groups when they are asked for. An archive that does not
    /// answer is an I/O error of kind `HostUnreachable`.
    pub fn reader(&self, row: &SegmentRow) -> Result<SegmentReader, StoreError> {
        let known = self.known(row)?;
        let fs = RemoteFs { remote: self.remote.clone(), known: Some(known.bytes) };
        SegmentReader::open(&fs, Path::new(&object_key(&self.options.node, &known)), None)
    }

    /// Drops what is kept of a segment whose bytes did not hold, so that the next reading fetches them anew.
    pub fn forget(&self, row: &SegmentRow) {
        if let Ok(known) = self.known(row) {
            self.remote.forget(&object_key(&self.options.node, &known));
        }
    }

    /// The row as it was stored: its object has the name of that time, whatever was found out about the file since.
    fn known(&self, row: &SegmentRow) -> Result<SegmentRow, StoreError> {
        let known = self.segments(row.key, row.start(), row.start() + Duration::from_millis(1));
        let known = known.into_iter().find(|r| (r.start_ms, r.number) == (row.start_ms, row.number));
        known.ok_or_else(|| StoreError::NotFound(format!("segment {} of {}", row.number, row.key)))
    }
}

impl Replica for Archive {
    fn name(&self) -> String {
        format!("archive {}", self.id())
    }
    fn fetch(&self, row: &SegmentRow, to: &dyn FsFile) -> Result<bool, StoreError> {
        let Ok(known) = self.known(row) else { return Ok(false) };
        let key = object_key(&self.options.node, &known);
        super::verify::copy(&*self.options.store, &key, to).map(|_| true)
    }
}

fn row_of(c: &Candidate, done: &Done, now: UtcMicros) -> Stored {
    Stored {
        key: c.row.key,
        number: c.row.number,
        start_ms: c.row.start_ms,
        duration_ms: c.row.duration_ms,
        flags: c.row.flags,
        bytes: done.bytes,
        at: now,
        hash: done.hash,
    }
}
