//! Clips: what the cameras show. Made once by ffmpeg from pictures drawn here (or remuxed from any file), kept in a
//! cache directory, packetised in memory.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::nal;
use super::packetise::{self, Packed};
use super::scene::Scene;

/// Changes whenever the pictures or the encoder settings do, so that old cache entries are not taken.
const RECIPE: u32 = 1;

/// How pictures are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264 (AVC).
    H264,
    /// H.265 (HEVC).
    H265,
    /// Motion JPEG.
    Mjpeg,
}

impl Codec {
    /// `h264`, `h265` or `mjpeg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Mjpeg => "mjpeg",
        }
    }

    /// The RTP payload type that the simulator gives it.
    #[must_use]
    pub fn payload_type(self) -> u8 {
        if self == Self::Mjpeg { 26 } else { 96 }
    }
}

/// Pictures per second as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Rate {
    /// Pictures.
    pub num: u32,
    /// In this many seconds; never 0.
    pub den: u32,
}

impl Rate {
    /// `fps` pictures a second.
    #[must_use]
    pub fn whole(fps: u32) -> Self {
        Self { num: fps.max(1), den: 1 }
    }

    /// As a floating point number, for display.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// When picture `n` is due, in microseconds after picture 0.
    #[must_use]
    pub fn due_us(self, n: i64) -> i64 {
        let (num, den) = (i128::from(self.num), i128::from(self.den) * 1_000_000);
        // Rounded up, so that `at` of this time gives `n` back.
        (-((-i128::from(n) * den).div_euclid(num))) as i64
    }

    /// The last picture due at `us` microseconds after picture 0.
    #[must_use]
    pub fn at_us(self, us: i64) -> i64 {
        (i128::from(us) * i128::from(self.num)).div_euclid(i128::from(self.den) * 1_000_000) as i64
    }

    /// Ticks of a clock of `hertz` from picture 0 to picture `n`.
    #[must_use]
    pub fn samples(self, n: i64, hertz: u32) -> i64 {
        (i128::from(n) * i128::from(hertz) * i128::from(self.den)).div_euclid(i128::from(self.num)) as i64
    }
}

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClipSpec {
    /// Number shown in the pictures and the bar code.
    pub camera: u16,
    /// Clip id in the bar code: see [`super::streams`].
    pub id: u8,
    /// How it is coded.
    pub codec: Codec,
    /// Width in pixels; even.
    pub width: u32,
    /// Height in pixels; even.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// Pictures from key frame to key frame.
    pub gop_frames: u32,
    /// Pictures in the loop; a multiple of `gop_frames`.
    pub loop_frames: u32,
    /// Bit rate in kbit/s, held closely. Ignored for MJPEG.
    pub kbits: u32,
}

impl ClipSpec {
    fn file_name(&self) -> String {
        format!(
            "r{RECIPE}-{}-{}x{}-{}fps-gop{}-loop{}-{}k-cam{}-id{}.bin",
            self.codec.as_str(),
            self.width,
            self.height,
            self.fps,
            self.gop_frames,
            self.loop_frames,
            self.kbits,
            self.camera,
            self.id
        )
    }
}

/// A clip ready to be sent.
#[derive(Debug)]
pub struct Clip {
    /// How it is coded.
    pub codec: Codec,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Pictures per second.
    pub rate: Rate,
    /// Pictures between the first two key frames.
    pub gop_frames: u32,
    /// Camera number and clip id of the bar code; `None` for foreign files.
    pub barcode: Option<(u16, u8)>,
    /// VPS, SPS, PPS as the stream has them first.
    pub parameters: Vec<Vec<u8>>,
    /// The packets.
    pub packed: Packed,
}

/// Why a clip could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// A file or pipe failed.
    #[error("{context}: {source}")]
    Io {
        /// What was being done.
        context: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// ffmpeg or ffprobe refused.
    #[error("{program} failed: {message}")]
    Program {
        /// Which one.
        program: &'static str,
        /// Its last words.
        message: String,
    },
    /// The stream is not what the simulator can send.
    #[error("{0}")]
    Content(String),
}

fn io(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> ClipError {
    let context = context.into();
    move |source| ClipError::Io { context, source }
}

impl Clip {
    /// Pictures in the loop.
    #[must_use]
    pub fn loop_frames(&self) -> u32 {
        self.packed.frames.len() as u32
    }

    /// Position in the loop of the global picture `n` of a camera with this offset.
    #[must_use]
    pub fn position(&self, n: i64, offset: u32) -> u32 {
        (n + i64::from(offset)).rem_euclid(i64::from(self.loop_frames().max(1))) as u32
    }

    /// The first global picture from `n` on that is a key frame.
    #[must_use]
    pub fn next_key(&self, n: i64, offset: u32) -> i64 {
        (n..n + i64::from(self.loop_frames()))
            .find(|&i| self.packed.frames.get(self.position(i, offset) as usize).is_some_and(|f| f.key))
            .unwrap_or(n)
    }

    /// Mean bit rate in bit/s.
    #[must_use]
    pub fn bits_per_second(&self) -> f64 {
        self.packed.data.len() as f64 * 8.0 * self.rate.per_second() / f64::from(self.loop_frames().max(1))
    }

    /// Takes the clip from the cache, or draws, encodes and caches it first.
    ///
    /// # Errors
    /// When ffmpeg is missing or refuses, or the cache directory cannot be written.
    pub fn generate(spec: &ClipSpec, cache: &Path) -> Result<Self, ClipError> {
        let path = cache.join(spec.file_name());
        if !path.exists() {
            std::fs::create_dir_all(cache).map_err(io(format!("create {}", cache.display())))?;
            // Two processes may make the same clip at once: each writes its own file, the last rename wins.
            let unique =
                format!("{}.{}.{:?}.tmp", spec.file_name(), std::process::id(), std::thread::current().id());
            let temporary = cache.join(unique.replace(['(', ')'], ""));
            encode(spec, &temporary)?;
            std::fs::rename(&temporary, &path).map_err(io(format!("rename to {}", path.display())))?;
        }
        let bytes = std::fs::read(&path).map_err(io(format!("read {}", path.display())))?;
        let clip = Self::from_bytes(
            spec.codec,
            (spec.width, spec.height),
            Rate::whole(spec.fps),
            &bytes,
            &[],
            Some((spec.camera, spec.id)),
        )?;
        if clip.loop_frames() == spec.loop_frames {
            Ok(clip)
        } else {
            Err(ClipError::Content(format!(
                "{} has {} pictures instead of {}; delete it",
                path.display(),
                clip.loop_frames(),
                spec.loop_frames
            )))
        }
    }

    /// A clip from any file that ffmpeg can read: H.264 and H.265 are taken as they are, anything else is refused.
    ///
    /// # Errors
    /// When the file has no such video, or ffmpeg or ffprobe fails.
    pub fn from_file(file: &Path, cache: &Path) -> Result<Self, ClipError> {
        let facts = probe(file)?;
        std::fs::create_dir_all(cache).map_err(io(format!("create {}", cache.display())))?;
        let temporary = cache.join(format!("clip.{}.tmp", std::process::id()));
        let (format, filter) = match facts.codec {
            Codec::H265 => ("hevc", "hevc_mp4toannexb"),
            _ => ("h264", "h264_mp4toannexb"),
        };
        let output = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error", "-y", "-i"])
            .arg(absolute(file)?)
            .args(["-map", "0:v:0", "-c:v", "copy", "-bsf:v", filter, "-f", format])
            .arg(&temporary)
            .stdin(Stdio::null())
            .output()
            .map_err(io("start ffmpeg"))?;
        succeeded("ffmpeg", &output)?;
        let bytes = std::fs::read(&temporary).map_err(io(format!("read {}", temporary.display())))?;
        std::fs::remove_file(&temporary).map_err(io(format!("remove {}", temporary.display())))?;
        Self::from_bytes(facts.codec, facts.size, facts.rate, &bytes, &facts.composition, None)
    }

    fn from_bytes(
        codec: Codec,
        size: (u32, u32),
        rate: Rate,
        bytes: &[u8],
        composition: &[i32],
        barcode: Option<(u16, u8)>,
    ) -> Result<Self, ClipError> {
        let (packed, parameters) = if codec == Codec::Mjpeg {
            (packetise::pack_jpeg(&split_jpegs(bytes)), Vec::new())
        } else {
            let nals = nal::split_annex_b(bytes);
            let units = nal::access_units(codec, &nals);
            let first_key = units.iter().position(|u| u.key).unwrap_or(units.len());
            let units = units.get(first_key..).unwrap_or_default();
            let composition = composition.get(first_key..).unwrap_or_default();
            let packed = packetise::pack_video(codec, codec.payload_type(), units, composition);
            (packed, nal::parameter_sets(codec, &nals))
        };
        if packed.frames.is_empty() {
            return Err(ClipError::Content("the clip has no key frame to start with".to_owned()));
        }
        let gop = packed.frames.iter().skip(1).position(|f| f.key).map_or(packed.frames.len(), |i| i + 1);
        Ok(Self { codec, size, rate, gop_frames: gop as u32, barcode, parameters, packed })
    }
}

/// A path that no media program can take for an option or an address.
fn absolute(file: &Path) -> Result<PathBuf, ClipError> {
    std::fs::canonicalize(file).map_err(io(format!("open {}", file.display())))
}

fn succeeded(program: &'static str, output: &std::process::Output) -> Result<(), ClipError> {
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let message = words.lines().rev().take(3).collect::<Vec<_>>().join(" | ");
    Err(ClipError::Program { program, message })
}

/// Cuts a row of JPEG files apart at their start-of-image markers.
fn split_jpegs(bytes: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> =
        bytes.windows(3).enumerate().filter(|(_, w)| *w == [0xff, 0xd8, 0xff]).map(|(i, _)| i).collect();
    let ends = starts.iter().skip(1).copied().chain(std::iter::once(bytes.len()));
    starts.iter().zip(ends).filter_map(|(&from, to)| bytes.get(from..to)).collect()
}

fn encode(spec: &ClipSpec, to: &Path) -> Result<(), ClipError> {
    let (fps, gop) = (spec.fps.to_string(), spec.gop_frames.to_string());
    let (rate, buffer) = (format!("{}k", spec.kbits), format!("{}k", spec.kbits / 2));
    let size = format!("{}x{}", spec.width, spec.height);
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"]);
    command.args(["-s", &size, "-r", &fps, "-i", "pipe:0", "-an", "-threads", "1"]);
    let bounds =
        ["-g", &gop, "-keyint_min", &gop, "-bf", "0", "-b:v", &rate, "-maxrate", &rate, "-bufsize", &buffer];
    match spec.codec {
        Codec::H264 => {
            command.args([
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-profile:v",
                "main",
                "-sc_threshold",
                "0",
            ]);
            command.args(bounds).args(["-f", "h264"]);
        }
        Codec::H265 => {
            let own = "log-level=error:scenecut=0:open-gop=0:repeat-headers=1:pools=1:frame-threads=1";
            command.args(["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", own]);
            command.args(bounds).args(["-f", "hevc"]);
        }
        Codec::Mjpeg => {
            command.args(["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-huffman", "default", "-q:v", "8"]);
            command.args(["-f", "mjpeg"]);
        }
    }
    let mut child = command
        .arg(to)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io("start ffmpeg (is it installed?)"))?;
    let mut written = Ok(());
    if let Some(mut pipe) = child.stdin.take() {
        let mut scene = Scene::new(spec.width as usize, spec.height as usize, spec.camera, spec.id);
        written = (0..spec.loop_frames).try_for_each(|k| pipe.write_all(scene.draw(k, spec.loop_frames)));
    }
    let output = child.wait_with_output().map_err(io("wait for ffmpeg"))?;
    succeeded("ffmpeg", &output)?;
    written.map_err(io("write pictures to ffmpeg"))
}

/// What ffprobe says about a foreign file.
struct Facts {
    codec: Codec,
    size: (u32, u32),
    rate: Rate,
    composition: Vec<i32>,
}

#[derive(Deserialize)]
struct Probe {
    streams: Vec<ProbeStream>,
    packets: Vec<ProbePacket>,
}

#[derive(Deserialize)]
struct ProbeStream {
    codec_name: String,
    width: u32,
    height: u32,
    avg_frame_rate: String,
}

#[derive(Deserialize)]
struct ProbePacket {
    pts_time: Option<String>,
    dts_time: Option<String>,
}

fn probe(file: &Path) -> Result<Facts, ClipError> {
    let output = Command::new("ffprobe")
        .args(["-loglevel", "error", "-of", "json", "-select_streams", "v:0"])
        .args(["-show_entries", "stream=codec_name,width,height,avg_frame_rate:packet=pts_time,dts_time"])
        .arg(absolute(file)?)
        .stdin(Stdio::null())
        .output()
        .map_err(io("start ffprobe"))?;
    succeeded("ffprobe", &output)?;
    let probe: Probe = serde_json::from_slice(&output.stdout)
        .map_err(|e| ClipError::Content(format!("ffprobe's answer: {e}")))?;
    let Some(stream) = probe.streams.first() else {
        return Err(ClipError::Content(format!("{} has no video", file.display())));
    };
    let codec = match stream.codec_name.as_str() {
        "h264" => Codec::H264,
        "hevc" => Codec::H265,
        other => {
            return Err(ClipError::Content(format!("{} is {other}; write H.264 or H.265", file.display())));
        }
    };
    let rate = stream
        .avg_frame_rate
        .split_once('/')
        .and_then(|(n, d)| Some(Rate { num: n.parse().ok()?, den: d.parse().ok()? }))
        .filter(|r| r.num > 0 && r.den > 0)
        .unwrap_or(Rate::whole(25));
    let seconds = |t: &Option<String>| t.as_deref().and_then(|t| t.parse::<f64>().ok());
    let composition = probe
        .packets
        .iter()
        .map(|p| match (seconds(&p.pts_time), seconds(&p.dts_time)) {
            (Some(pts), Some(dts)) => ((pts - dts) * 90_000.0).round() as i32,
            _ => 0,
        })
        .collect();
    Ok(Facts { codec, size: (stream.width, stream.height), rate, composition })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_times_and_numbers_are_each_others_inverse() {
        for rate in [Rate::whole(25), Rate::whole(15), Rate { num: 30_000, den: 1001 }] {
            for n in [0, 1, 2, 3, 7, 1_000_003, 44_000_000_001, -5] {
                assert_eq!(rate.at_us(rate.due_us(n)), n, "{rate:?} {n}");
                assert_eq!(rate.at_us(rate.due_us(n) - 1), n - 1, "{rate:?} {n}");
            }
        }
        assert_eq!(Rate::whole(25).samples(3, 90_000), 10_800);
    }
}
