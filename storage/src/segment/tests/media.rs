//! Real media: clips made by ffmpeg go through the writer, and ffprobe and ffmpeg judge what comes out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use fengsui_config::clock::UtcMicros;

use super::kit;
use crate::frame::{
    AccessUnit, AudioCodec, AudioParams, StartReason, StreamInfo, Track, VideoCodec, VideoParams,
};
use crate::fs::{PageBuf, RealFs};
use crate::segment::{EndReason, SegmentReader, SegmentWriter};

/// A clip as a camera would have sent it.
pub(crate) struct Clip {
    pub(crate) info: Arc<StreamInfo>,
    pub(crate) units: Vec<AccessUnit>,
    file: PathBuf,
}

fn run(program: &str, args: &[&str]) -> (bool, String, String) {
    let out = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (out.status.success(), text(&out.stdout), text(&out.stderr))
}

/// The codec's parameter box out of a file.
fn config(bytes: &[u8], kind: &[u8; 4]) -> Bytes {
    let at = bytes.windows(4).position(|w| w == kind).expect("parameter box");
    let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
    Bytes::copy_from_slice(&bytes[at + 4..at - 4 + size])
}

fn packets(file: &Path, bytes: &[u8], track: Track, rate: i64) -> Vec<AccessUnit> {
    let which = if track == Track::Video { "v" } else { "a" };
    let path = file.to_str().unwrap();
    let args = [
        "-v",
        "error",
        "-select_streams",
        which,
        "-show_entries",
        "packet=pts,pos,size,flags",
        "-of",
        "json",
        path,
    ];
    let (ok, text, err) = run("ffprobe", &args);
    assert!(ok, "{err}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let list = json["packets"].as_array().unwrap();
    let mut decode = 0;
    list.iter()
        .enumerate()
        .map(|(i, p)| {
            let pts = p["pts"].as_i64().unwrap();
            let number = |k: &str| p[k].as_str().unwrap().parse::<usize>().unwrap();
            let (pos, size) = (number("pos"), number("size"));
            let utc = UtcMicros(kit::START.0 + pts * 1_000_000 / rate);
            decode = decode.max(utc.0);
            AccessUnit {
                track,
                key: track == Track::Audio || p["flags"].as_str().unwrap().starts_with('K'),
                pts,
                utc,
                camera_utc: None,
                arrived: UtcMicros(kit::START.0 + i as i64 * 40_000),
                lost_before: 0,
                data: Bytes::copy_from_slice(&bytes[pos..pos + size]),
            }
        })
        .collect()
}

/// A clip of 5 s, 25 pictures a second, 320x240.
pub(crate) fn clip(dir: &Path, codec: VideoCodec, audio: Option<AudioCodec>, extra: &[&str]) -> Clip {
    let file = dir.join("clip.mov");
    let mut args = vec!["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=5"];
    if audio.is_some() {
        args.extend(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=16000:duration=5"]);
    }
    let encoder = match codec {
        VideoCodec::H264 => ["-c:v", "libx264", "-g", "50"],
        VideoCodec::H265 => ["-c:v", "libx265", "-x265-params", "log-level=error:keyint=50:bframes=0"],
        VideoCodec::Mjpeg => ["-c:v", "mjpeg", "-q:v", "6"],
    };
    args.extend(encoder);
    args.extend(match audio {
        Some(AudioCodec::Aac) => vec!["-c:a", "aac"],
        Some(AudioCodec::Pcma) => vec!["-c:a", "pcm_alaw"],
        Some(AudioCodec::Pcmu) => vec!["-c:a", "pcm_mulaw"],
        None => vec![],
    });
    args.extend(["-pix_fmt", if codec == VideoCodec::Mjpeg { "yuvj420p" } else { "yuv420p" }]);
    args.extend(["-video_track_timescale", "90000"]);
    args.extend(extra);
    args.push(file.to_str().unwrap());
    let (ok, _, err) = run("ffmpeg", &args);
    assert!(ok, "{err}");
    let bytes = std::fs::read(&file).unwrap();
    let (params, rfc6381) = match codec {
        VideoCodec::H264 => (config(&bytes, b"avcC"), "avc1.64000D"),
        VideoCodec::H265 => (config(&bytes, b"hvcC"), "hvc1.1.6.L60.90"),
        VideoCodec::Mjpeg => (Bytes::new(), "mp4v.6c"),
    };
    let mut units = packets(&file, &bytes, Track::Video, 90_000);
    let audio = audio.map(|codec| {
        let sound = packets(&file, &bytes, Track::Audio, 16_000);
        units.extend(sound);
        // AAC LC, 16 kHz, one channel (ISO/IEC 14496-3, 1.6.2.1).
        let extra = if codec == AudioCodec::Aac { Bytes::from_static(&[0x14, 0x08]) } else { Bytes::new() };
        AudioParams { codec, sample_rate: 16_000, channels: 1, extra }
    });
    // By arrival: pictures keep their decode order, sound goes between them.
    let arrival = |u: &AccessUnit| if u.track == Track::Video { u.arrived } else { u.utc };
    units.sort_by_key(|u| (arrival(u), u.track));
    let video = VideoParams { codec, width: 320, height: 240, extra: params, rfc6381: rfc6381.into() };
    let info = StreamInfo { video: Some(video), audio, start: StartReason::Connected };
    Clip { info: Arc::new(info), units, file }
}

/// MD5 of every decoded picture.
fn decoded(file: &Path) -> Vec<String> {
    let args = ["-v", "error", "-i", file.to_str().unwrap(), "-map", "0:v", "-fps_mode", "passthrough"];
    let (ok, text, err) = run("ffmpeg", &[args.as_slice(), &["-f", "framemd5", "-"]].concat());
    assert!(ok && err.is_empty(), "{}: {err}", file.display());
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines.map(|l| l.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

fn passes(codec: VideoCodec, audio: Option<AudioCodec>, extra: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let clip = clip(dir.path(), codec, audio, extra);
    let root = dir.path().join("v1");
    let mut w =
        SegmentWriter::create(&RealFs, &root, kit::head(1, &clip.info), 8 << 20, kit::signer()).unwrap();
    let mut buf = PageBuf::new();
    let mut torn = None;
    for u in &clip.units {
        w.push(u.clone());
        while w.due(if u.track == Track::Video { u.arrived } else { u.utc }) {
            w.flush(&mut buf).unwrap();
        }
        if torn.is_none() && w.fragments().len() >= 2 {
            // A copy of the file as a crash could leave it: half of a group that was never committed.
            let mut bytes = std::fs::read(w.path()).unwrap();
            let frames: u32 = w.fragments().iter().map(|f| f.frames).sum();
            let last = w.fragments().last().unwrap();
            let half = bytes[last.offset as usize..][..last.length as usize / 2].to_vec();
            bytes.extend(half);
            torn = Some((bytes, frames));
        }
    }
    let made = w.close(&RealFs, EndReason::Rotation, &mut buf).unwrap();
    let want = decoded(&clip.file);
    assert_eq!(decoded(&made.path), want, "every picture decodes to what was encoded");
    assert_eq!(want.len(), 125);
    let (bytes, committed) = torn.expect("a group before the end");
    let torn = dir.path().join("torn.mp4");
    std::fs::write(&torn, bytes).unwrap();
    let args = ["-v", "quiet", "-i", torn.to_str().unwrap(), "-map", "0:v", "-fps_mode", "passthrough"];
    let (_, text, _) = run("ffmpeg", &[args.as_slice(), &["-f", "framemd5", "-"]].concat());
    let count = text.lines().filter(|l| !l.starts_with('#')).count();
    assert!(count >= committed as usize, "{count} of {committed} committed pictures decode");
    let probe =
        ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", made.path.to_str().unwrap()];
    let (ok, text, err) = run("ffprobe", &probe);
    assert!(ok && err.is_empty(), "{err}");
    let duration: f64 = text.trim().parse().unwrap();
    assert!((4.9..5.3).contains(&duration), "{duration} s");
    // Our own reader gives back the same bytes.
    let r = SegmentReader::open(&RealFs, &made.path, None).unwrap();
    let got = (0..r.fragments().len() as u32).flat_map(|i| r.samples(i).unwrap());
    let video = |u: &AccessUnit| u.track == Track::Video;
    let got: Vec<_> = got.filter(video).map(|u| (u.pts, u.data)).collect();
    let sent: Vec<_> = clip.units.iter().filter(|u| video(u)).map(|u| (u.pts, u.data.clone())).collect();
    assert_eq!(got, sent);
    browser_copy_plays(dir.path(), &r, &want);
}

/// The browser copies, put behind their init segment, decode to the same pictures.
fn browser_copy_plays(dir: &Path, r: &SegmentReader, want: &[String]) {
    use crate::segment::mux::{Audience, browser_fragment, init_segment};
    let mut bytes = init_segment(r.info(), Audience::Browser).unwrap().to_vec();
    for f in r.fragments().iter().filter(|f| f.frames > 0) {
        bytes.extend(browser_fragment(&r.read_fragment(f.index).unwrap(), f.utc, f.index + 1).unwrap());
    }
    let file = dir.join("browser.mp4");
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(decoded(&file), want);
}

#[test]
fn h264_with_g711_plays_whole_and_torn() {
    passes(VideoCodec::H264, Some(AudioCodec::Pcma), &["-bf", "0"]);
}

#[test]
fn h264_with_pictures_out_of_order_and_aac_plays_whole_and_torn() {
    passes(VideoCodec::H264, Some(AudioCodec::Aac), &["-bf", "3"]);
}

#[test]
fn h265_plays_whole_and_torn() {
    passes(VideoCodec::H265, None, &["-tag:v", "hvc1"]);
}

#[test]
fn motion_jpeg_with_mu_law_plays_whole_and_torn() {
    passes(VideoCodec::Mjpeg, Some(AudioCodec::Pcmu), &[]);
}

#[test]
fn browser_copies_say_the_order_of_pictures_and_decode_the_same() {
    use crate::segment::sps::tests::without_vui;
    let dir = tempfile::tempdir().unwrap();
    let mut clip = clip(dir.path(), VideoCodec::H264, None, &["-bf", "0"]);
    let want = decoded(&clip.file);
    // As many cameras do: a parameter set that says nothing, in the description and before every key frame.
    let mut info = (*clip.info).clone();
    let video = info.video.as_mut().unwrap();
    let (extra, old) =
        (video.extra.to_vec(), usize::from(u16::from_be_bytes([video.extra[6], video.extra[7]])));
    let bare = without_vui(&extra[8..8 + old]);
    video.extra = [&extra[..6], &(bare.len() as u16).to_be_bytes(), &bare, &extra[8 + old..]].concat().into();
    for u in clip.units.iter_mut().filter(|u| u.key) {
        u.data = [&(bare.len() as u32).to_be_bytes(), bare.as_slice(), &u.data].concat().into();
    }
    clip.info = Arc::new(info);
    let root = dir.path().join("v1");
    let made = kit::closed(&RealFs, &root, &clip.info, &clip.units);
    let r = SegmentReader::open(&RealFs, &made.path, None).unwrap();
    assert!(r.samples(0).unwrap()[0].data == clip.units[0].data, "stored bytes are as sent");
    browser_copy_plays(dir.path(), &r, &want);
    let copy = std::fs::read(dir.path().join("browser.mp4")).unwrap();
    let stored = std::fs::read(&made.path).unwrap();
    let count = |bytes: &[u8]| bytes.windows(bare.len()).filter(|w| *w == bare).count();
    assert_eq!((count(&stored) > 3, count(&copy)), (true, 0), "no copy is left that says nothing");
    let mut last = i64::MIN;
    let at = crate::segment::mux::next_decode_time(&mut last, &clip.units[0]);
    assert_eq!(count(&crate::segment::mux::live_fragment(&clip.units[0], 1, at, 3600)), 0);
}

#[cfg(feature = "ffmpeg")]
#[test]
fn stills_of_every_coding_and_refusals_of_garbage() {
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Mjpeg] {
        let dir = tempfile::tempdir().unwrap();
        let clip =
            clip(dir.path(), codec, None, if codec == VideoCodec::H265 { &["-tag:v", "hvc1"] } else { &[] });
        let params = clip.info.video.clone().unwrap();
        let unit = &clip.units[0].data;
        let jpeg = crate::picture::jpeg(&params, unit, 160).unwrap();
        assert_eq!(jpeg[..2], [0xff, 0xd8], "{codec:?}");
        let file = dir.path().join("still.jpg");
        std::fs::write(&file, &jpeg).unwrap();
        let args =
            ["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", file.to_str().unwrap()];
        assert_eq!(run("ffprobe", &args).1.trim(), "160,120", "{codec:?}");
        for n in 0..200u64 {
            let mut bad = unit.to_vec();
            let at = (n as usize * 7919) % bad.len();
            bad[at] ^= 0x55;
            bad.truncate(bad.len() - (n as usize * 31) % bad.len());
            let _ = crate::picture::jpeg(&params, &bad, 160);
        }
        assert!(crate::picture::jpeg(&params, &kit::data(1, 400), 160).is_err(), "{codec:?}");
        assert!(crate::picture::jpeg(&params, &[], 160).is_err(), "{codec:?}");
    }
}
