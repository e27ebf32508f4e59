//! Judges footage: which of the pictures that were sent are stored, once, in order, and playable by other programs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fengsui_config::ids::StreamKind;
use parking_lot::Mutex;

use crate::camsim::ledger::SessionRecord;
use crate::camsim::streams::StreamFacts;
use crate::harness::api::Span;
use crate::harness::{HarnessError, Outcome, media};

/// Files that are decoded at once.
const DECODERS: usize = 2;
/// Longest stretch between two spans of a timeline that is no hole: rounding at the edges of segments.
const SEAM_US: i64 = 250_000;

/// A stored picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Global number by its bar code; `None` when that cannot be read.
    pub number: Option<i64>,
    /// When it was taken, by the file's own times.
    pub utc_us: i64,
}

/// One segment file, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Start by its name.
    pub start_us: i64,
    /// Pictures in order of time.
    pub pictures: Vec<Picture>,
    /// What ffmpeg and ffprobe complained about; empty for a flawless file.
    pub complaints: String,
}

/// Decodes every segment file of camera `n`'s main stream below `volume`.
///
/// # Errors
/// When a program cannot be run or a name not be read.
pub fn read_stream(volume: &Path, n: u16, facts: &StreamFacts) -> Outcome<Vec<StoredFile>> {
    read_files(media::segment_files(volume, n, StreamKind::Main)?, facts)
}

/// Decodes these segment files.
///
/// # Errors
/// As [`read_stream`].
pub fn read_files(paths: Vec<PathBuf>, facts: &StreamFacts) -> Outcome<Vec<StoredFile>> {
    let work = Mutex::new(paths.into_iter());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..DECODERS {
            scope.spawn(|| {
                loop {
                    let Some(path) = work.lock().next() else { break };
                    let file = read_file(&path, facts);
                    done.lock().push(file);
                }
            });
        }
    });
    let mut files = done.into_inner().into_iter().collect::<Outcome<Vec<_>>>()?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn read_file(path: &Path, facts: &StreamFacts) -> Outcome<StoredFile> {
    let start_ms: i64 = path
        .file_name()
        .and_then(|n| n.to_str())
        .and_then(|n| n.split('_').next())
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| HarnessError(format!("{} has no start time", path.display())))?;
    let start_us = start_ms * 1000;
    let (times, mut complaints) = packet_times(path)?;
    let decoded = media::decode(path)?;
    complaints += &decoded.complaints;
    if decoded.pictures.len() != times.len() {
        complaints += &format!("{} packets but {} pictures\n", times.len(), decoded.pictures.len());
    }
    let pictures = decoded
        .pictures
        .iter()
        .zip(times)
        .map(|(code, time_us)| {
            let utc_us = start_us + time_us;
            let number = code
                .filter(|c| facts.barcode_camera == Some(c.camera))
                .map(|c| global_number(facts, i64::from(c.frame), utc_us));
            Picture { number, utc_us }
        })
        .collect();
    Ok(StoredFile { path: path.to_owned(), start_us, pictures, complaints })
}

/// Presentation times of the video in microseconds, in order, and what ffprobe complained about.
fn packet_times(path: &Path) -> Outcome<(Vec<i64>, String)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| HarnessError(format!("run ffprobe: {e}")))?;
    let mut times: Vec<i64> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|l| l.trim().trim_end_matches(',').parse::<f64>().ok())
        .map(|s| (s * 1e6).round() as i64)
        .collect();
    times.sort_unstable();
    Ok((times, String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The global number of the picture with loop position `k` that is nearest to `utc_us`.
#[must_use]
pub fn global_number(facts: &StreamFacts, k: i64, utc_us: i64) -> i64 {
    let length = i64::from(facts.loop_frames.max(1));
    let near = number_at(facts, utc_us);
    let ahead = (k - near - i64::from(facts.offset)).rem_euclid(length);
    near + if ahead > length / 2 { ahead - length } else { ahead }
}

/// The last global picture due at `utc_us`.
#[must_use]
pub fn number_at(facts: &StreamFacts, utc_us: i64) -> i64 {
    let (num, den) = (i128::from(facts.fps_num), i128::from(facts.fps_den.max(1)) * 1_000_000);
    (i128::from(utc_us - facts.phase_us) * num).div_euclid(den) as i64
}

/// When global picture `n` is due.
#[must_use]
pub fn due_us(facts: &StreamFacts, n: i64) -> i64 {
    let (num, den) = (i128::from(facts.fps_num.max(1)), i128::from(facts.fps_den) * 1_000_000);
    facts.phase_us + (i128::from(n) * den).div_euclid(num) as i64
}

/// How stored pictures compare with those that were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Pictures sent.
    pub sent: u64,
    /// Of these, pictures stored.
    pub stored: u64,
    /// Global numbers of pictures sent but not stored, in order.
    pub missing: Vec<i64>,
    /// Pictures stored that were never sent.
    pub strange: u64,
    /// Pictures stored more than once.
    pub repeated: u64,
    /// Pictures stored before an earlier one.
    pub disordered: u64,
    /// Stored pictures without a readable bar code.
    pub unreadable: u64,
}

impl Account {
    /// Every picture sent is stored once, in order, and no other.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.missing.is_empty() && self.is_true()
    }

    /// What is stored was sent, is stored once, in order, and readable; something may be missing.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.strange + self.repeated + self.disordered + self.unreadable == 0
    }
}

/// Global numbers of all pictures that these sessions were sent.
#[must_use]
pub fn sent(sessions: &[SessionRecord]) -> BTreeSet<i64> {
    sessions.iter().flat_map(SessionRecord::sent_frames).collect()
}

/// Compares what is stored with what was sent.
#[must_use]
pub fn account(sent: &BTreeSet<i64>, files: &[StoredFile]) -> Account {
    let mut account = Account { sent: sent.len() as u64, ..Account::default() };
    let mut seen = BTreeSet::new();
    for picture in files.iter().flat_map(|f| &f.pictures) {
        let Some(n) = picture.number else {
            account.unreadable += 1;
            continue;
        };
        account.strange += u64::from(!sent.contains(&n));
        account.disordered += u64::from(seen.last().is_some_and(|&last| n < last));
        account.repeated += u64::from(!seen.insert(n));
    }
    account.missing = sent.difference(&seen).copied().collect();
    account.stored = account.sent - account.missing.len() as u64;
    account
}

/// Stretches between `from_us` and `to_us` that a timeline names neither footage nor gap.
#[must_use]
pub fn unexplained(spans: &[Span], from_us: i64, to_us: i64) -> Vec<(i64, i64)> {
    let mut holes = Vec::new();
    let mut reached = from_us;
    for span in spans.iter().filter(|s| s.to_us > from_us && s.from_us < to_us) {
        if span.from_us - reached > SEAM_US {
            holes.push((reached, span.from_us));
        }
        reached = reached.max(span.to_us);
    }
    if to_us - reached > SEAM_US {
        holes.push((reached, to_us));
    }
    holes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::camsim::clip::Codec;

    fn facts() -> StreamFacts {
        StreamFacts {
            camera: 1,
            stream: StreamKind::Main,
            codec: Codec::H264,
            width: 320,
            height: 180,
            fps: 10.0,
            fps_num: 10,
            fps_den: 1,
            gop_frames: 10,
            loop_frames: 200,
            phase_us: 40_000,
            offset: 7,
            barcode_camera: Some(1),
            clip: Some(0),
            bits_per_second: 1.0,
        }
    }

    #[test]
    fn a_loop_position_is_found_on_either_side_of_its_time() {
        let facts = facts();
        for n in [17_000_000_123, 17_000_000_199, 17_000_000_200] {
            let k = (n + 7) % 200;
            for off_us in [-9_000_000, -1, 0, 1, 9_000_000] {
                assert_eq!(global_number(&facts, k, due_us(&facts, n) + off_us), n, "{off_us}");
            }
        }
    }

    #[test]
    fn every_kind_of_difference_is_counted() {
        let picture = |number| Picture { number, utc_us: 0 };
        let file = StoredFile {
            path: PathBuf::new(),
            start_us: 0,
            pictures: [Some(1), Some(2), Some(2), Some(5), Some(4), None, Some(9)].map(picture).to_vec(),
            complaints: String::new(),
        };
        let account = account(&(1..=6).collect(), &[file]);
        let wanted = Account {
            sent: 6,
            stored: 4,
            missing: vec![3, 6],
            strange: 1,
            repeated: 1,
            disordered: 1,
            unreadable: 1,
        };
        assert_eq!(account, wanted);
        assert!(!account.is_true() && !account.is_exact());
    }

    #[test]
    fn what_no_span_names_is_unexplained() {
        let span = |from_us: i64, to_us: i64| Span {
            kind: "gap".to_owned(),
            from_us: from_us * 1_000_000,
            to_us: to_us * 1_000_000,
            open: false,
            reason: None,
        };
        let spans = [span(0, 4), span(4, 6), span(8, 9)];
        let s = 1_000_000;
        assert_eq!(unexplained(&spans, s, 9 * s), [(6 * s, 8 * s)]);
        assert_eq!(unexplained(&spans, s, 12 * s), [(6 * s, 8 * s), (9 * s, 12 * s)]);
        assert!(unexplained(&spans, s, 6 * s).is_empty());
    }
}
