//! Sound of the simulated cameras: a tone in G.711 (made here) or AAC (made once by ffmpeg).

use std::path::Path;
use std::process::{Command, Stdio};

use super::clip::{ClipError, Rate};

/// How sound is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum AudioCodec {
    /// G.711 A-law, 8 kHz (RTP payload type 8).
    Pcma,
    /// G.711 mu-law, 8 kHz (RTP payload type 0).
    Pcmu,
    /// AAC-LC, 16 kHz mono (RFC 3640, mode AAC-hbr).
    Aac,
}

/// Samples in one AAC frame.
const AAC_FRAME: i64 = 1024;

/// A loop of coded sound.
#[derive(Debug)]
pub struct Audio {
    /// How it is coded.
    pub codec: AudioCodec,
    /// Samples per second; also the RTP clock.
    pub hertz: u32,
    /// G.711: one item with a second of samples. AAC: one item per frame, RFC 3640 headers included.
    frames: Vec<Vec<u8>>,
    /// AAC: the AudioSpecificConfig.
    config: [u8; 2],
}

impl Audio {
    /// Makes the sound.
    ///
    /// # Errors
    /// When AAC is asked for and ffmpeg is missing or refuses.
    pub fn generate(codec: AudioCodec, cache: &Path) -> Result<Self, ClipError> {
        match codec {
            AudioCodec::Pcma => Ok(Self::g711(codec, a_law)),
            AudioCodec::Pcmu => Ok(Self::g711(codec, mu_law)),
            AudioCodec::Aac => aac(cache),
        }
    }

    fn g711(codec: AudioCodec, encode: fn(i16) -> u8) -> Self {
        // 440 Hz fits a second without a click at the seam; half of each second is silent so that one hears it live.
        let second = (0..8000).map(|i| {
            let wave = (f64::from(i) * 440.0 * std::f64::consts::TAU / 8000.0).sin() * 6000.0;
            encode(if i < 4000 { wave as i16 } else { 0 })
        });
        Self { codec, hertz: 8000, frames: vec![second.collect()], config: [0; 2] }
    }

    /// RTP payload type.
    #[must_use]
    pub fn payload_type(&self) -> u8 {
        match self.codec {
            AudioCodec::Pcma => 8,
            AudioCodec::Pcmu => 0,
            AudioCodec::Aac => 97,
        }
    }

    /// The `a=` lines of its SDP media section.
    #[must_use]
    pub fn sdp(&self) -> String {
        match self.codec {
            AudioCodec::Pcma => "a=rtpmap:8 PCMA/8000\r\n".to_owned(),
            AudioCodec::Pcmu => "a=rtpmap:0 PCMU/8000\r\n".to_owned(),
            AudioCodec::Aac => format!(
                "a=rtpmap:97 mpeg4-generic/{}/1\r\na=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;\
                 sizelength=13;indexlength=3;indexdeltalength=3;config={}\r\n",
                self.hertz,
                hex::encode(self.config)
            ),
        }
    }

    /// The packets that go out with global picture `n`: each one's first sample (of the global count) and payload.
    pub fn packets(&self, rate: Rate, n: i64, mut each: impl FnMut(i64, &[u8])) {
        let (from, to) = (rate.samples(n, self.hertz), rate.samples(n + 1, self.hertz));
        if self.codec == AudioCodec::Aac {
            let first = (from + AAC_FRAME - 1).div_euclid(AAC_FRAME);
            for j in (first..).take_while(|j| j * AAC_FRAME < to) {
                let k = j.rem_euclid(self.frames.len().max(1) as i64) as usize;
                if let Some(frame) = self.frames.get(k) {
                    each(j * AAC_FRAME, frame);
                }
            }
        } else if let Some(second) = self.frames.first() {
            // A low frame rate makes long packets; nothing over 100 ms ever goes out in one.
            let mut at = from;
            while at < to {
                let start = at.rem_euclid(second.len() as i64) as usize;
                let end = second.len().min(start + (to - at).min(800) as usize);
                each(at, second.get(start..end).unwrap_or_default());
                at += (end - start).max(1) as i64;
            }
        }
    }
}

/// G.711 A-law of a 16-bit sample (ITU-T G.711, table 1a).
fn a_law(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs().min(32_635)) >> 4;
    let coded = if magnitude < 16 {
        magnitude
    } else {
        let exponent = 31 - magnitude.leading_zeros() as i32 - 3;
        exponent << 4 | magnitude >> (exponent - 1) & 0x0f
    };
    (coded as u8 | sign) ^ 0x55
}

/// G.711 mu-law of a 16-bit sample (ITU-T G.711, table 2a).
fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let exponent = 31 - magnitude.leading_zeros() as i32 - 7;
    !(sign | (exponent << 4) as u8 | (magnitude >> (exponent + 3) & 0x0f) as u8)
}

fn aac(cache: &Path) -> Result<Audio, ClipError> {
    std::fs::create_dir_all(cache)
        .map_err(|source| ClipError::Io { context: format!("create {}", cache.display()), source })?;
    let output = Command::new("ffmpeg")
        .args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:sample_rate=16000",
        ])
        .args(["-t", "8.192", "-c:a", "aac", "-b:a", "32k", "-ac", "1", "-f", "adts", "pipe:1"])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ClipError::Io { context: "start ffmpeg (is it installed?)".to_owned(), source })?;
    parse_adts(&output.stdout).ok_or(ClipError::Program {
        program: "ffmpeg",
        message: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Cuts ADTS frames (ISO/IEC 14496-3, 1.A.2) into RFC 3640 payloads.
fn parse_adts(mut bytes: &[u8]) -> Option<Audio> {
    let mut audio = Audio { codec: AudioCodec::Aac, hertz: 16_000, frames: Vec::new(), config: [0; 2] };
    while let [0xff, b1, b2, b3, b4, b5, ..] = *bytes {
        let header = if b1 & 1 == 1 { 7 } else { 9 };
        let length = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5) >> 5;
        let raw = bytes.get(header..length)?;
        let (object, frequency, channels) = ((b2 >> 6) + 1, b2 >> 2 & 0x0f, (b2 & 1) << 2 | b3 >> 6);
        audio.config = [object << 3 | frequency >> 1, frequency << 7 | channels << 3];
        let size = (raw.len() as u16) << 3;
        let [hi, lo] = size.to_be_bytes();
        audio.frames.push([&[0, 16, hi, lo], raw].concat());
        bytes = bytes.get(length..)?;
    }
    (!audio.frames.is_empty()).then_some(audio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_agrees_with_the_tables_of_the_standard() {
        assert_eq!([a_law(0), a_law(8), a_law(32_767), a_law(-32_768)], [0xd5, 0xd5, 0xaa, 0x2a]);
        assert_eq!([mu_law(0), mu_law(32_767), mu_law(-32_768)], [0xff, 0x80, 0x00]);
    }

    #[test]
    fn a_laws_steps_never_go_down_as_the_sample_grows() {
        let mut last = -1;
        for sample in 0..=i16::MAX {
            let step = i32::from((a_law(sample) ^ 0x55) & 0x7f);
            assert!(step == last || step == last + 1, "{sample}: {last} -> {step}");
            last = step;
        }
        assert_eq!(last, 127);
    }

    #[test]
    fn packets_of_successive_pictures_join_without_gap_or_overlap() {
        let audio = Audio::g711(AudioCodec::Pcma, a_law);
        let mut next = None;
        for n in 1_000_000..1_000_100 {
            audio.packets(Rate::whole(15), n, |at, payload| {
                assert_eq!(at, next.unwrap_or(at));
                next = Some(at + payload.len() as i64);
            });
        }
    }
}
