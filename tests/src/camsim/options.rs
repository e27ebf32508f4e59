//! What a simulator is to be: one structure for the command line, for tests, and for the manual.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::audio::AudioCodec;
use super::auth::AuthScheme;
use super::clip::Codec;

/// Camera simulator: thousands of RTSP cameras in one process, with faults on demand and a ledger of what was sent.
///
/// Each camera has a main and a sub stream at rtsp://ADDRESS/cam/N/main and rtsp://ADDRESS/cam/N/sub (N from 1).
/// Pictures carry a bar code of camera, picture number and clip. Faults are switched on by a script (--faults) or over
/// HTTP (--control); see CAMSIM.md for the API and the table of faults. Needs ffmpeg once per clip; clips are cached.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "camsim", version)]
pub struct Options {
    /// Number of cameras
    #[arg(short = 'n', long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub cameras: u16,
    /// Address to serve RTSP on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8554")]
    pub rtsp: SocketAddr,
    /// Address of the HTTP control API; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8555")]
    pub control: SocketAddr,
    /// Give each camera its own loopback address (127.20.x.y, same port) as well as its path
    #[arg(long)]
    pub per_address: bool,
    /// Let K cameras in turn share such an address, as the channels of one recorder do (0: none has one)
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub per_device: u16,
    /// Remember when each of the last COUNT pictures of a stream was sent
    #[arg(long, default_value_t = 0, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(0..=4096))]
    pub sent_times: u16,
    /// Codec of the cameras
    #[arg(long, value_enum, default_value = "h264")]
    pub codec: Codec,
    /// Make every K-th camera an H.265 one (0: none)
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub h265_every: u16,
    /// Main stream: WIDTHxHEIGHT@FPS:KBIT
    #[arg(long, default_value = "1280x720@25:2000", value_name = "PROFILE")]
    pub main: Profile,
    /// Sub stream: WIDTHxHEIGHT@FPS:KBIT
    #[arg(long, default_value = "640x360@15:500", value_name = "PROFILE")]
    pub sub: Profile,
    /// Seconds from key frame to key frame
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub gop_s: u32,
    /// Seconds in the picture loop; rounded up to whole GOPs
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub loop_s: u32,
    /// Different clips to make; cameras share them in turn. Default: one per camera up to 16, else 4
    #[arg(long, value_name = "COUNT")]
    pub clips: Option<u16>,
    /// Send this file's video (H.264 or H.265) as every main stream, without a bar code
    #[arg(long, value_name = "FILE")]
    pub clip: Option<PathBuf>,
    /// Sound of the main streams
    #[arg(long, value_enum)]
    pub audio: Option<AudioCodec>,
    /// What cameras ask for
    #[arg(long, value_enum, default_value = "none")]
    pub auth: AuthScheme,
    /// User name that cameras expect
    #[arg(long, default_value = "admin")]
    pub user: String,
    /// Password that cameras expect
    #[arg(long, default_value = "camsim")]
    pub password: String,
    /// Start sessions at any picture instead of the next key frame
    #[arg(long)]
    pub start_anywhere: bool,
    /// Seconds without any request or receiver report after which a session ends (0: never)
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub session_timeout: u32,
    /// Bytes a session may hold back for a slow peer before whole pictures are dropped
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    pub backlog_max: usize,
    /// Close a session that falls behind instead of dropping pictures
    #[arg(long)]
    pub close_slow: bool,
    /// Longest time a due picture waits for the next sweep, in microseconds
    #[arg(long, default_value_t = 2000, value_name = "US", value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub sweep_us: u32,
    /// Fault script (TOML)
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// Directory of made clips
    #[arg(long, default_value = ".cache/camsim", value_name = "DIR")]
    pub cache: PathBuf,
    /// Start of all random numbers (nonces, SSRC, first sequence numbers); default: from the system
    #[arg(long)]
    pub seed: Option<u64>,
    /// Print own CPU time and totals every so many seconds (0: only at the end)
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub print_stats: u32,
}

impl Options {
    /// Cameras that share one address of their own, when they have one.
    #[must_use]
    pub fn device_size(&self) -> Option<u16> {
        if self.per_device > 0 { Some(self.per_device) } else { self.per_address.then_some(1) }
    }

    /// Small pictures, short GOPs and a short loop: for tests that judge sessions and not pictures.
    #[must_use]
    pub fn small(cameras: u16) -> Self {
        let main = Profile { width: 320, height: 180, fps: 25, kbits: 300 };
        let sub = Profile { width: 256, height: 144, fps: 15, kbits: 100 };
        Self { cameras, main, sub, gop_s: 1, loop_s: 4, clips: Some(1), ..Self::default() }
    }
}

impl Default for Options {
    /// One camera on free ports with the clone's own cache, as tests want it; everything else as on the command line.
    fn default() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let cache = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.cache/camsim"));
        let defaults: Self = clap::Parser::parse_from(["camsim"]);
        Self { cameras: 1, rtsp: free, control: free, cache, ..defaults }
    }
}

/// Size, rate and bit rate of a generated stream, written `1280x720@25:2000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Width in pixels; even.
    pub width: u32,
    /// Height in pixels; even.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// kbit/s.
    pub kbits: u32,
}

impl std::str::FromStr for Profile {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("'{s}': write WIDTHxHEIGHT@FPS:KBIT, for example 1280x720@25:2000");
        let (size, rest) = s.split_once('@').ok_or_else(wrong)?;
        let (fps, kbits) = rest.split_once(':').ok_or_else(wrong)?;
        let (width, height) = size.split_once('x').ok_or_else(wrong)?;
        let number = |t: &str| t.parse::<u32>().map_err(|_| wrong());
        let profile =
            Self { width: number(width)?, height: number(height)?, fps: number(fps)?, kbits: number(kbits)? };
        let sane = (128..=3840).contains(&profile.width)
            && (96..=2160).contains(&profile.height)
            && profile.width.is_multiple_of(2)
            && profile.height.is_multiple_of(2)
            && (1..=60).contains(&profile.fps)
            && (50..=50_000).contains(&profile.kbits);
        if sane {
            Ok(profile)
        } else {
            Err(format!("'{s}': even sizes 128x96 to 3840x2160, 1-60 fps, 50-50000 kbit/s"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_and_bounded() {
        assert_eq!("640x360@15:500".parse(), Ok(Profile { width: 640, height: 360, fps: 15, kbits: 500 }));
        for bad in ["640x360", "641x360@15:500", "640x360@0:500", "axb@1:1", "9999x9999@25:1"] {
            assert!(bad.parse::<Profile>().is_err(), "{bad}");
        }
    }
}
