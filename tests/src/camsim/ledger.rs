//! The ledger: what each session was sent, so that a test can say exactly what was lost.

use std::collections::VecDeque;
use std::sync::Arc;

use fengsui_config::ids::StreamKind;
use parking_lot::Mutex;
use serde::Serialize;

/// Sessions of one stream that are remembered: as many as the longest campaign of kills has lives.
pub const SESSIONS_PER_STREAM_MAX: usize = 4096;
/// Ranges of dropped pictures that one session remembers; later ones are only counted.
pub const DROP_RANGES_MAX: usize = 1024;

/// First requests of connections that one stream remembers.
pub const ATTEMPTS_PER_STREAM_MAX: usize = 256;

/// Why a picture was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The peer read too slowly.
    Backpressure,
    /// The connection ended before the picture had wholly left.
    Unsent,
    /// A stall fault.
    Stall,
    /// A fault leaves out key frames.
    NoKeys,
    /// The simulator itself was too late (the machine slept or was overloaded).
    Late,
    /// Waiting for a key frame after another drop.
    AwaitKey,
}

/// A run of pictures that were not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct DropRange {
    /// First global picture number.
    pub from: i64,
    /// Last global picture number.
    pub to: i64,
    /// Why.
    pub reason: DropReason,
}

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Note {
    /// When.
    pub at_us: i64,
    /// What: a fault's name, `clip <codec> <width>x<height>`, and so on.
    pub what: String,
}

/// One session from PLAY to its end.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct SessionRecord {
    /// Number of the session within the simulator.
    pub session: u64,
    /// Camera number.
    pub camera: u16,
    /// Main or sub.
    pub stream: StreamKind,
    /// `tcp` or `udp`.
    pub transport: String,
    /// Address of the client.
    pub peer: String,
    /// When PLAY was answered.
    pub opened_us: i64,
    /// First global picture sent.
    pub first_frame: Option<i64>,
    /// Last global picture sent.
    pub last_frame: Option<i64>,
    /// Pictures sent: those from first to last that no drop names.
    pub frames: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Video packets sent.
    pub packets: u64,
    /// Bytes given to the sockets, sound included.
    pub bytes: u64,
    /// Video packets that a loss fault swallowed.
    pub packets_lost: u64,
    /// Pictures with at least one swallowed packet, as ranges.
    pub damaged: Vec<(i64, i64)>,
    /// When the first picture was sent.
    pub first_utc_us: Option<i64>,
    /// When the last picture was sent.
    pub last_utc_us: Option<i64>,
    /// Pictures that were not sent.
    pub drops: Vec<DropRange>,
    /// How many pictures `drops` stands for (also those it has no room for).
    pub dropped_frames: u64,
    /// What happened.
    pub notes: Vec<Note>,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// Why it ended.
    pub end_reason: Option<String>,
}

/// A session's record as the sender and its readers share it.
pub type SharedRecord = Arc<Mutex<SessionRecord>>;

impl SessionRecord {
    /// A record of a session that begins.
    #[must_use]
    pub fn new(
        session: u64,
        camera: u16,
        stream: StreamKind,
        transport: &str,
        peer: String,
        opened_us: i64,
    ) -> Self {
        Self {
            session,
            camera,
            stream,
            transport: transport.to_owned(),
            peer,
            opened_us,
            first_frame: None,
            last_frame: None,
            frames: 0,
            key_frames: 0,
            packets: 0,
            bytes: 0,
            packets_lost: 0,
            damaged: Vec::new(),
            first_utc_us: None,
            last_utc_us: None,
            drops: Vec::new(),
            dropped_frames: 0,
            notes: Vec::new(),
            ended_us: None,
            end_reason: None,
        }
    }

    /// Picture `n` was given to the socket.
    pub fn sent(&mut self, n: i64, key: bool, packets: u64, bytes: u64, now_us: i64) {
        self.first_frame.get_or_insert(n);
        self.last_frame = Some(n);
        self.first_utc_us.get_or_insert(now_us);
        self.last_utc_us = Some(now_us);
        self.frames += 1;
        self.key_frames += u64::from(key);
        self.packets += packets;
        self.bytes += bytes;
    }

    /// Picture `n` was not sent.
    pub fn dropped(&mut self, n: i64, reason: DropReason) {
        self.dropped_frames += 1;
        let room = self.drops.len() < DROP_RANGES_MAX;
        match self.drops.last_mut() {
            Some(last) if last.reason == reason && last.to + 1 == n => last.to = n,
            _ if room => self.drops.push(DropRange { from: n, to: n, reason }),
            _ => {}
        }
    }

    /// Picture `n`, counted as sent before, never wholly left.
    pub fn unsent(&mut self, n: i64, key: bool) {
        self.frames = self.frames.saturating_sub(1);
        self.key_frames = self.key_frames.saturating_sub(u64::from(key));
        self.dropped(n, DropReason::Unsent);
    }

    /// A packet of picture `n` was swallowed.
    pub fn lost_packet(&mut self, n: i64) {
        self.packets_lost += 1;
        let room = self.damaged.len() < DROP_RANGES_MAX;
        match self.damaged.last_mut() {
            Some((_, to)) if *to == n || *to + 1 == n => *to = n,
            _ if room => self.damaged.push((n, n)),
            _ => {}
        }
    }

    /// Writes down an event; at most as many as drop ranges.
    pub fn note(&mut self, at_us: i64, what: impl Into<String>) {
        if self.notes.len() < DROP_RANGES_MAX {
            self.notes.push(Note { at_us, what: what.into() });
        }
    }

    /// Whether picture `n` was sent whole.
    #[must_use]
    pub fn has(&self, n: i64) -> bool {
        self.first_frame.is_some_and(|f| f <= n)
            && self.last_frame.is_some_and(|l| n <= l)
            && !self.drops.iter().any(|d| d.from <= n && n <= d.to)
    }

    /// The global numbers of all pictures sent whole, in order.
    pub fn sent_frames(&self) -> impl Iterator<Item = i64> + '_ {
        let range = self.first_frame.zip(self.last_frame).map_or(0..0, |(f, l)| f..l + 1);
        range.filter(|&n| self.has(n))
    }
}

/// The records of one stream.
#[derive(Debug, Default)]
pub struct StreamLedger {
    sessions: Mutex<VecDeque<SharedRecord>>,
    attempts: Mutex<VecDeque<i64>>,
    sent: Mutex<VecDeque<(i64, i64)>>,
}

impl StreamLedger {
    /// Adds a session, forgetting the oldest when there are too many.
    pub fn open(&self, record: SessionRecord) -> SharedRecord {
        let record = Arc::new(Mutex::new(record));
        let mut sessions = self.sessions.lock();
        if sessions.len() >= SESSIONS_PER_STREAM_MAX {
            sessions.pop_front();
        }
        sessions.push_back(Arc::clone(&record));
        record
    }

    /// A connection asked for this stream for the first time.
    pub fn attempted(&self, now_us: i64) {
        let mut attempts = self.attempts.lock();
        if attempts.len() >= ATTEMPTS_PER_STREAM_MAX {
            attempts.pop_front();
        }
        attempts.push_back(now_us);
    }

    /// When connections asked for this stream for the first time, oldest first.
    #[must_use]
    pub fn attempts(&self) -> Vec<i64> {
        self.attempts.lock().iter().copied().collect()
    }

    /// Picture `n` was given to the socket; the last `keep` are remembered.
    pub fn sent_at(&self, n: i64, now_us: i64, keep: u16) {
        let mut sent = self.sent.lock();
        while sent.len() >= usize::from(keep) {
            sent.pop_front();
        }
        sent.push_back((n, now_us));
    }

    /// Global number and time of the last pictures.
    #[must_use]
    pub fn sent_times(&self) -> Vec<(i64, i64)> {
        self.sent.lock().iter().copied().collect()
    }

    /// Copies of all records, oldest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionRecord> {
        self.sessions.lock().iter().map(|r| r.lock().clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> SessionRecord {
        SessionRecord::new(1, 1, StreamKind::Main, "tcp", "127.0.0.1:9".to_owned(), 0)
    }

    #[test]
    fn sent_and_dropped_pictures_add_up() {
        let mut r = record();
        for n in 10..20 {
            if (13..=15).contains(&n) {
                r.dropped(n, DropReason::Backpressure);
            } else {
                r.sent(n, n == 10, 8, 1000, n * 40_000);
            }
        }
        assert_eq!(r.sent_frames().collect::<Vec<_>>(), [10, 11, 12, 16, 17, 18, 19]);
        assert_eq!((r.frames, r.key_frames, r.dropped_frames, r.drops.len()), (7, 1, 3, 1));
    }

    #[test]
    fn a_picture_cut_off_by_the_end_counts_as_unsent() {
        let mut r = record();
        r.sent(5, true, 1, 1, 0);
        r.sent(6, false, 1, 1, 0);
        r.unsent(6, false);
        assert_eq!(r.sent_frames().collect::<Vec<_>>(), [5]);
        assert_eq!(r.frames, 1);
    }

    #[test]
    fn records_and_ranges_are_bounded() {
        let ledger = StreamLedger::default();
        for i in 0..SESSIONS_PER_STREAM_MAX as u64 + 10 {
            ledger.open(SessionRecord { session: i, ..record() });
        }
        assert_eq!(ledger.sessions().len(), SESSIONS_PER_STREAM_MAX);
        let mut r = record();
        for n in 0..10_000 {
            r.dropped(n * 2, DropReason::Late);
            r.lost_packet(n * 2);
        }
        assert_eq!(
            (r.drops.len(), r.dropped_frames, r.damaged.len()),
            (DROP_RANGES_MAX, 10_000, DROP_RANGES_MAX)
        );
    }
}
