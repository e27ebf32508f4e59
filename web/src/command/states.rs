//! States of the cameras of other nodes, as these tell them: a pure core, and the form in which they are told.
//!
//! A node tells all its cameras when its centre begins to listen, and each that changed after that: lines of JSON, without end
//! (`GET /api/v1/cameras/states`). What one look found may take several lines; it is taken in whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf as _, Bytes, BytesMut};
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_config::limits;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::view::{CameraView, FarView, RecordingView, StreamsView};

/// Version of the lines.
const VERSION: u64 = 1;

/// The state of one camera, as its node tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraRow {
    /// The camera.
    pub code: CameraId,
    /// False: neither opened nor recorded.
    pub enabled: bool,
    /// States of its streams.
    pub streams: StreamsView,
    /// Recording of its main stream.
    pub recording: RecordingView,
    /// Where the node has it from another one itself.
    #[serde(default)]
    pub node: Option<FarView>,
}

impl CameraRow {
    /// What a node tells of a camera that it shows like this.
    #[must_use]
    pub fn of(code: CameraId, shown: &CameraView) -> Self {
        let CameraView { enabled, streams, recording, node, .. } = shown.clone();
        Self { code, enabled, streams, recording, node }
    }

    /// The row that `told` is, with texts of bounded length; none when it cannot be read.
    fn read(told: Value) -> Option<Self> {
        let mut row: Self = serde_json::from_value(told).ok()?;
        let streams = std::iter::once(&mut row.streams.main).chain(&mut row.streams.sub);
        for text in streams.flat_map(|s| [&mut s.detail, &mut s.codec]) {
            *text = text.take().map(|t| t.chars().take(limits::STATES_TEXT_CHARS_MAX).collect());
        }
        Some(row)
    }
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line<Row> {
    v: u64,
    /// What one look found is told to its end.
    end: bool,
    cameras: Vec<Row>,
}

/// The lines that tell `rows`, which one look found; one line when there are none.
#[must_use]
pub fn write(rows: &[CameraRow]) -> Bytes {
    let mut out = Vec::new();
    let mut chunks = rows.chunks(limits::STATES_ROWS_MAX).peekable();
    loop {
        let cameras = chunks.next().unwrap_or_default();
        let end = chunks.peek().is_none();
        let line = Line { v: VERSION, end, cameras: cameras.iter().collect() };
        out.extend(serde_json::to_vec(&line).unwrap_or_default());
        out.push(b'\n');
        if end {
            return out.into();
        }
    }
}

/// Why what a node tells of its cameras cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatesError {
    /// A line is longer than one may be.
    #[error("a line has more than {max} bytes", max = limits::STATES_LINE_BYTES_MAX)]
    TooLong,
    /// It is none.
    #[error("a line cannot be read")]
    Malformed,
    /// One look found more cameras than a node may have.
    #[error("more than {max} cameras", max = limits::RELAY_NODE_CAMERAS_MAX)]
    TooMany,
}

/// Puts bytes together again to what each look found.
#[derive(Debug, Default)]
pub struct Reader {
    bytes: BytesMut,
    /// How much of `bytes` has no line feed.
    seen: usize,
    rows: Vec<CameraRow>,
    /// Rows that could not be read: a newer node may have words that are not known here.
    pub unread: u64,
}

impl Reader {
    /// Takes bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next that a look found, when all of it came.
    ///
    /// # Errors
    /// When it cannot be read; what follows cannot, either.
    pub fn read(&mut self) -> Result<Option<Vec<CameraRow>>, StatesError> {
        loop {
            let end = self.bytes.iter().skip(self.seen).position(|b| *b == b'\n').map(|n| n + self.seen);
            if end.unwrap_or(self.bytes.len()) > limits::STATES_LINE_BYTES_MAX {
                return Err(StatesError::TooLong);
            }
            let Some(end) = end else {
                self.seen = self.bytes.len();
                return Ok(None);
            };
            let line = self.bytes.split_to(end);
            self.bytes.advance(1);
            self.seen = 0;
            let line: Line<Value> = serde_json::from_slice(&line).map_err(|_| StatesError::Malformed)?;
            if self.rows.len() + line.cameras.len() > limits::RELAY_NODE_CAMERAS_MAX {
                return Err(StatesError::TooMany);
            }
            for told in line.cameras {
                match CameraRow::read(told) {
                    Some(row) => self.rows.push(row),
                    None => self.unread += 1,
                }
            }
            if line.end {
                return Ok(Some(std::mem::take(&mut self.rows)));
            }
        }
    }
}

/// What one node told.
#[derive(Debug, Default)]
struct Told {
    /// It is so now.
    current: bool,
    /// When it was so, where it is not known to be so now.
    at: UtcMicros,
    rows: BTreeMap<CameraId, Arc<CameraRow>>,
}

/// A camera's last row.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// It.
    pub row: Arc<CameraRow>,
    /// When it was so, where it is not known to be so now.
    pub at: Option<UtcMicros>,
}

/// What all nodes told; as much as the register says that there are cameras.
#[derive(Debug, Default)]
pub struct States {
    nodes: RwLock<BTreeMap<NodeId, Told>>,
    unread: AtomicU64,
}

impl States {
    /// Takes in what `node` found with one look: all its cameras when it is the `first` that it tells. Gives the cameras of
    /// which something else is to be shown.
    pub fn take(
        &self,
        node: &NodeId,
        rows: Vec<CameraRow>,
        first: bool,
        owns: &dyn Fn(&CameraId) -> bool,
    ) -> BTreeSet<CameraId> {
        let mut nodes = self.nodes.write();
        let told = nodes.entry(node.clone()).or_default();
        let mut changed = BTreeSet::new();
        if first {
            changed.extend(std::mem::take(&mut told.rows).into_keys());
            told.current = true;
        }
        for row in rows.into_iter().filter(|row| owns(&row.code)) {
            changed.insert(row.code);
            told.rows.insert(row.code, Arc::new(row));
        }
        changed
    }

    /// `node` tells nothing any more; it was heard last at `at`. Gives its cameras, when that is news.
    pub fn lose(&self, node: &NodeId, at: UtcMicros) -> BTreeSet<CameraId> {
        let mut nodes = self.nodes.write();
        let Some(told) = nodes.get_mut(node).filter(|told| told.current) else { return BTreeSet::new() };
        (told.current, told.at) = (false, at);
        told.rows.keys().copied().collect()
    }

    /// Forgets nodes and cameras that the register has no more.
    pub fn keep(&self, owns: &dyn Fn(&NodeId, &CameraId) -> bool, works: &dyn Fn(&NodeId) -> bool) {
        let mut nodes = self.nodes.write();
        nodes.retain(|node, _| works(node));
        for (node, told) in nodes.iter_mut() {
            told.rows.retain(|camera, _| owns(node, camera));
        }
    }

    /// The last that `node` told of `camera`.
    #[must_use]
    pub fn of(&self, node: &NodeId, camera: &CameraId) -> Option<Known> {
        let nodes = self.nodes.read();
        let told = nodes.get(node)?;
        let row = told.rows.get(camera)?.clone();
        Some(Known { row, at: (!told.current).then_some(told.at) })
    }

    /// Nodes whose cameras are known as they are now, and cameras of which something is known.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        let nodes = self.nodes.read();
        (nodes.values().filter(|t| t.current).count(), nodes.values().map(|t| t.rows.len()).sum())
    }

    /// Adds to the rows that could not be read.
    pub fn count_unread(&self, rows: u64) {
        self.unread.fetch_add(rows, Ordering::Relaxed);
    }

    /// Rows that could not be read since the start.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use fengsui_config::clock::UtcMicros;
    use fengsui_storage::board::{FailureClass, SessionState, StreamStatus};

    use super::*;
    use crate::api::view::{RecordingState, StreamView};

    fn camera(n: usize) -> CameraId {
        format!("33080200001320{n:06}").parse().unwrap()
    }

    fn row(n: usize, state: SessionState) -> CameraRow {
        let mut main = StreamView::from(StreamStatus::idle(UtcMicros(7)));
        (main.state, main.failure, main.detail) = (state, Some(FailureClass::Auth), Some("no".to_owned()));
        let recording = RecordingState::Recording;
        CameraRow {
            code: camera(n),
            enabled: true,
            streams: StreamsView { main, sub: None },
            recording: RecordingView { state: recording, reason: None, since_us: None, last_us: None },
            node: None,
        }
    }

    fn rows(count: usize) -> Vec<CameraRow> {
        (0..count).map(|n| row(n, SessionState::Playing)).collect()
    }

    fn east() -> NodeId {
        "east".parse().unwrap()
    }

    #[test]
    fn a_node_speaks_of_its_own_cameras_only() {
        let states = States::default();
        let owns = |c: &CameraId| *c != camera(1);
        let changed = states.take(&east(), rows(3), true, &owns);
        assert_eq!(changed, [camera(0), camera(2)].into());
        assert_eq!(states.of(&east(), &camera(1)), None);
        assert_eq!(states.of(&"west".parse().unwrap(), &camera(0)), None);
        assert_eq!(states.sizes(), (1, 2));
        states.keep(&|_, c| *c == camera(2), &|_| true);
        assert_eq!((states.of(&east(), &camera(0)), states.sizes()), (None, (1, 1)));
        states.keep(&|_, _| true, &|_| false);
        assert_eq!(states.sizes(), (0, 0));
    }

    #[test]
    fn a_lost_node_leaves_what_was_known_last() {
        let (states, everything) = (States::default(), |_: &CameraId| true);
        assert!(states.lose(&east(), UtcMicros(1)).is_empty(), "nothing was known");
        states.take(&east(), rows(2), true, &everything);
        assert_eq!(states.of(&east(), &camera(0)).unwrap().at, None);
        assert_eq!(states.lose(&east(), UtcMicros(5)).len(), 2);
        assert!(states.lose(&east(), UtcMicros(9)).is_empty(), "it is told once");
        let known = states.of(&east(), &camera(0)).unwrap();
        assert_eq!((known.at, known.row.streams.main.state), (Some(UtcMicros(5)), SessionState::Playing));
        // It comes back without one camera, whose last state is nobody's any more.
        let changed = states.take(&east(), vec![row(0, SessionState::BackOff)], true, &everything);
        assert_eq!(changed, [camera(0), camera(1)].into());
        assert_eq!(states.of(&east(), &camera(1)), None);
        let changed = states.take(&east(), vec![row(1, SessionState::Opening)], false, &everything);
        assert_eq!((changed.len(), states.sizes()), (1, (1, 2)));
    }

    fn told(line: &str) -> Result<Option<Vec<CameraRow>>, StatesError> {
        let mut reader = Reader::default();
        reader.push(line.as_bytes());
        reader.read()
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_what_is_not_known_costs_its_row_alone() {
        assert_eq!(told("{}\n"), Err(StatesError::Malformed));
        assert_eq!(told(&"x".repeat(limits::STATES_LINE_BYTES_MAX + 1)), Err(StatesError::TooLong));
        let many = rows(limits::RELAY_NODE_CAMERAS_MAX + 1);
        let text = String::from_utf8(write(&many).to_vec()).unwrap();
        assert_eq!(told(&text), Err(StatesError::TooMany));
        let mut told = rows(3);
        told[2].streams.main.detail = Some("é".repeat(9_000));
        let text = String::from_utf8(write(&told).to_vec()).unwrap();
        let text = text.replacen("\"playing\"", "\"dreaming\"", 1).replacen("\"auth\"", "\"tired\"", 2);
        let mut reader = Reader::default();
        reader.push(text.as_bytes());
        let read = reader.read().unwrap().unwrap();
        assert_eq!((read.len(), reader.unread), (2, 1));
        assert_eq!((read[0].code, read[0].streams.main.failure), (camera(1), None));
        let detail = read[1].streams.main.detail.as_ref().unwrap();
        assert_eq!(detail.chars().count(), limits::STATES_TEXT_CHARS_MAX);
    }

    #[test]
    fn what_is_told_is_read_however_it_is_cut() {
        let looks: Vec<Vec<CameraRow>> = [300, 0, 1, limits::STATES_ROWS_MAX, 2].map(rows).into();
        let bytes: Vec<u8> = looks.iter().flat_map(|look| write(look).to_vec()).collect();
        for cut in [1, 2, 3, 17, 1_000, 65_536, bytes.len()] {
            let (mut reader, mut read) = (Reader::default(), Vec::new());
            for part in bytes.chunks(cut) {
                reader.push(part);
                while let Some(look) = reader.read().unwrap() {
                    read.push(look);
                }
            }
            assert!(read == looks, "cut into pieces of {cut}: {} of {}", read.len(), looks.len());
        }
    }
}
