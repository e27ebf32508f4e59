//! Judges stored pictures: decodes files with ffmpeg, reads the bar codes, and compares with the ledger.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fengsui_config::ids::StreamKind;
use serde_json::Value;

use super::config::camera_code;
use super::{Doing as _, HarnessError, Outcome};
use crate::barcode::{self, Barcode};
use crate::camsim::ledger::SessionRecord;
use crate::camsim::streams::StreamFacts;

/// What a file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// One entry per picture, in presentation order; `None` where no bar code could be read.
    pub pictures: Vec<Option<Barcode>>,
    /// What ffmpeg complained about; empty for a flawless file.
    pub complaints: String,
}

/// Width, height and codec of a file's video, by ffprobe.
///
/// # Errors
/// When ffprobe finds no video.
pub fn probe(file: &Path) -> Outcome<(usize, usize, String)> {
    let output = Command::new("ffprobe")
        .args(["-loglevel", "error", "-of", "json", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=width,height,codec_name"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .doing("run ffprobe")?;
    let answer: Value = serde_json::from_slice(&output.stdout).doing("read the answer of ffprobe")?;
    let stream = answer.pointer("/streams/0");
    let number = |name| stream.and_then(|s| s.get(name)).and_then(Value::as_u64).map(|n| n as usize);
    let codec = stream.and_then(|s| s.get("codec_name")).and_then(Value::as_str);
    match (number("width"), number("height"), codec) {
        (Some(w), Some(h), Some(codec)) => Ok((w, h, codec.to_owned())),
        _ => Err(HarnessError(format!(
            "{} has no video: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}

/// Decodes a whole file and reads the bar code of every picture.
///
/// # Errors
/// When ffmpeg cannot be run or the file has no video; flaws of the file are in [`Decoded::complaints`].
pub fn decode(file: &Path) -> Outcome<Decoded> {
    let (width, height, _) = probe(file)?;
    // The strip alone leaves ffmpeg: a ninth of the picture.
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-i"])
        .arg(file)
        .args([
            "-map",
            "0:v:0",
            "-vf",
            "crop=iw:ih/9:0:0:exact=1,extractplanes=y",
            "-fps_mode",
            "passthrough",
        ])
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"])
        .stdin(Stdio::null())
        .output()
        .doing("run ffmpeg")?;
    let strip = width * (height / 9);
    let pictures = output
        .stdout
        .chunks_exact(strip.max(1))
        .map(|luma| barcode::read(luma, width, height, width))
        .collect();
    Ok(Decoded { pictures, complaints: String::from_utf8_lossy(&output.stderr).into_owned() })
}

/// Track and MD5 of the coded bytes of everything in a file, as ffmpeg reads it without decoding.
///
/// # Errors
/// When ffmpeg cannot be run or does not read the file.
pub fn coded(file: &Path) -> Outcome<Vec<(u32, String)>> {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-i"])
        .arg(file)
        .args(["-map", "0", "-c", "copy", "-f", "framemd5", "pipe:1"])
        .stdin(Stdio::null())
        .output()
        .doing("run ffmpeg")?;
    let unreadable = || HarnessError(format!("{}: no list of packets", file.display()));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let read = |line: &str| {
        let mut fields = line.split(',').map(str::trim);
        Some((fields.next()?.parse().ok()?, fields.next_back()?.to_owned()))
    };
    let all: Option<Vec<_>> = lines.map(read).collect();
    all.filter(|found| !found.is_empty()).ok_or_else(unreadable)
}

/// Decodes bytes that are a file.
///
/// # Errors
/// As [`decode`].
pub fn decode_bytes(bytes: &[u8]) -> Outcome<Decoded> {
    let file = tempfile::NamedTempFile::new().doing("make a temporary file")?;
    std::fs::write(file.path(), bytes).doing("write a temporary file")?;
    decode(file.path())
}

/// How stored pictures compare with what was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Pictures found in the order in which they were sent.
    pub matched: u64,
    /// Global numbers of pictures that were sent and not found.
    pub missing: Vec<i64>,
    /// Pictures found that were not sent, or not in this place.
    pub extra: u64,
}

impl Comparison {
    /// Missing pictures that are not at the very end (the end of a running stream is still on its way).
    #[must_use]
    pub fn missing_before(&self, n: i64) -> Vec<i64> {
        self.missing.iter().copied().filter(|&m| m < n).collect()
    }
}

/// Compares stored pictures with the ledger of the sessions they came from (oldest first, all of one stream).
#[must_use]
pub fn compare(facts: &StreamFacts, sessions: &[SessionRecord], stored: &[Option<Barcode>]) -> Comparison {
    let mut result = Comparison::default();
    let mut stored = stored.iter().flatten().peekable();
    let unreadable = |c: &Barcode| facts.barcode_camera != Some(c.camera);
    for n in sessions.iter().flat_map(SessionRecord::sent_frames) {
        let k = (n + i64::from(facts.offset)).rem_euclid(i64::from(facts.loop_frames.max(1)));
        while stored.next_if(|c| unreadable(c)).is_some() {
            result.extra += 1;
        }
        if stored.next_if(|c| i64::from(c.frame) == k).is_some() {
            result.matched += 1;
        } else {
            result.missing.push(n);
        }
    }
    result.extra += stored.count() as u64;
    result
}

/// The segment files of camera `n`'s stream below a volume directory, in order of time; open ones too.
///
/// # Errors
/// When a directory cannot be read.
pub fn segment_files(volume: &Path, n: u16, stream: StreamKind) -> Outcome<Vec<PathBuf>> {
    let directory = volume.join(camera_code(n)).join(stream.as_str());
    let mut files = Vec::new();
    if !directory.exists() {
        return Ok(files);
    }
    for day in std::fs::read_dir(&directory).doing(format!("read {}", directory.display()))? {
        let day = day.doing("read a directory entry")?.path();
        for file in std::fs::read_dir(&day).doing(format!("read {}", day.display()))? {
            let file = file.doing("read a directory entry")?.path();
            if file.extension().is_some_and(|e| e == "mp4") {
                files.push(file);
            }
        }
    }
    // Names begin with the start in milliseconds, of equal length for two centuries.
    files.sort_by_key(|f| f.file_name().map(std::ffi::OsStr::to_owned));
    Ok(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::camsim::clip::{Clip, ClipSpec, Codec};
    use crate::camsim::ledger::DropReason;

    fn facts() -> StreamFacts {
        StreamFacts {
            camera: 1,
            stream: StreamKind::Main,
            codec: Codec::H264,
            width: 640,
            height: 360,
            fps: 25.0,
            fps_num: 25,
            fps_den: 1,
            gop_frames: 50,
            loop_frames: 100,
            phase_us: 0,
            offset: 7,
            barcode_camera: Some(1),
            clip: Some(0),
            bits_per_second: 1.0,
        }
    }

    #[test]
    fn a_hole_and_a_stranger_are_told_from_what_was_sent() {
        let mut session = SessionRecord::new(1, 1, StreamKind::Main, "tcp", String::new(), 0);
        for n in 90..100 {
            if n == 95 {
                session.dropped(n, DropReason::Stall);
            } else {
                session.sent(n, false, 1, 1, 0);
            }
        }
        let code = |n: u32| Some(Barcode { camera: 1, frame: (n + 7) % 100, clip: 0 });
        let stored: Vec<_> = [90, 91, 93, 94, 96, 97, 98, 99, 42].map(code).to_vec();
        let result = compare(&facts(), &[session], &stored);
        assert_eq!(result, Comparison { matched: 8, missing: vec![92], extra: 1 });
        assert_eq!(result.missing_before(92), Vec::<i64>::new());
    }

    #[test]
    fn every_bar_code_survives_encoding_and_decoding() {
        let directory = tempfile::tempdir().unwrap();
        for codec in [Codec::H264, Codec::H265] {
            let spec = ClipSpec {
                camera: 513,
                id: 3,
                codec,
                width: 640,
                height: 360,
                fps: 15,
                gop_frames: 30,
                loop_frames: 60,
                kbits: 300,
            };
            let clip = Clip::generate(&spec, directory.path()).unwrap();
            assert_eq!((clip.loop_frames(), clip.gop_frames), (60, 30));
            let file = std::fs::read_dir(directory.path())
                .unwrap()
                .map(|e| e.unwrap().path())
                .find(|p| p.to_string_lossy().contains(codec.as_str()))
                .unwrap();
            let decoded = decode(&file).unwrap();
            assert_eq!(decoded.complaints, "");
            let wanted: Vec<_> = (0..60).map(|frame| Some(Barcode { camera: 513, frame, clip: 3 })).collect();
            assert_eq!(decoded.pictures, wanted, "{codec:?}");
        }
    }
}
