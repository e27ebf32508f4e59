//! Faults: everything that cameras in the field have been seen to do wrong, switched on by script or by HTTP.

use std::path::Path;

use fengsui_config::ids::StreamKind;
use serde::{Deserialize, Serialize};

use super::clip::Codec;

/// One fault. In scripts and over HTTP: `kind` is the name in snake case, `args` the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// No media while the socket stays open; with `deaf`, no answers to requests either.
    Stall {
        /// Requests stay unanswered too.
        #[serde(default)]
        deaf: bool,
    },
    /// Closes the running sessions once; with `reset`, by a TCP reset.
    Close {
        /// Reset instead of an orderly end.
        #[serde(default)]
        reset: bool,
    },
    /// Refuses connections: by a closed port where the camera has its own address (or `all` are meant), else by a reset
    /// as soon as the request names the camera.
    Refuse {},
    /// Ends its sessions by reset, and every connection as soon as a request names the camera. Ports stay open, so that
    /// every attempt is counted.
    Cut {},
    /// Expects another password, so that the configured one is wrong.
    Password {
        /// What it expects now.
        #[serde(default = "other_password")]
        password: String,
    },
    /// Answers late, and sends the first picture late.
    SlowStart {
        /// Delay of each answer.
        #[serde(default)]
        answer_ms: u64,
        /// Delay of the first picture after PLAY.
        #[serde(default = "three_thousand")]
        media_ms: u64,
    },
    /// Ends all sessions by reset and is gone until the fault ends (default 10 s).
    Reboot {},
    /// Loses packets: UDP ones, and with `tcp` also interleaved ones.
    Loss {
        /// Of each hundred packets.
        #[serde(default = "one_percent")]
        percent: f64,
        /// Start of the random numbers.
        #[serde(default = "one")]
        seed: u64,
        /// Interleaved packets too.
        #[serde(default)]
        tcp: bool,
    },
    /// Another picture size from the next key frame on: SPS and PPS change in the running session.
    Resolution {
        /// Width in pixels; even.
        #[serde(default = "alternative_width")]
        width: u32,
        /// Height in pixels; even.
        #[serde(default = "alternative_height")]
        height: u32,
    },
    /// Another codec. By default the sessions are closed as real cameras do; `keep` goes on in the same session.
    Codec {
        /// What it sends now.
        codec: Codec,
        /// Do not close the sessions.
        #[serde(default)]
        keep: bool,
    },
    /// The camera's clock runs fast (or slow, when negative): timestamps and sender reports drift.
    Drift {
        /// Parts per million.
        ppm: f64,
    },
    /// Steps the camera's wall clock once: sender reports jump, timestamps do not.
    Step {
        /// Milliseconds; negative steps back.
        ms: i64,
    },
    /// Jumps the RTP timestamps once, forward or (negative) backward.
    TimestampJump {
        /// Milliseconds.
        ms: i64,
    },
    /// Lets the video timestamps wrap at 2^32 soon: in running sessions by a jump, in new ones by their start value.
    TimestampWrap {
        /// Time until the wrap.
        #[serde(default = "three_thousand")]
        after_ms: u64,
    },
    /// One key frame in this many seconds ("smart" GOPs).
    LongGop {
        /// Seconds from key frame to key frame.
        #[serde(default = "ten")]
        seconds: u32,
    },
    /// No key frames at all: they are left out.
    NoKeys {},
    /// No parameter sets, neither in SDP nor in the stream.
    NoParameters {},
    /// No parameter sets in SDP; the stream still has them.
    NoSprop {},
    /// Parameter sets in SDP that differ from DESCRIBE to DESCRIBE.
    SpropChange {},
    /// A stray space in the SSRC of the Transport header.
    SsrcSpace {},
    /// `Content-Base` missing or wrong.
    ContentBase {
        /// How.
        #[serde(default)]
        how: ContentBaseFault,
    },
    /// SDP says H.264 although the stream is H.265.
    H265AsH264 {},
    /// Sender reports of a camera whose clock started at 1970.
    Sr1970 {},
    /// No sender reports.
    NoSr {},
    /// A nonce is good for this many requests, then `stale`.
    StaleNonce {
        /// Requests for which a nonce holds.
        #[serde(default = "one")]
        requests: u64,
    },
    /// A second session is refused with 453.
    OneSession {},
    /// Every second request that carries credentials gets 401 all the same.
    AuthEverySecond {},
    /// Garbage between the interleaved frames, once.
    Garbage {
        /// How many bytes.
        #[serde(default = "hundred")]
        bytes: u32,
        /// Start of the random numbers.
        #[serde(default = "one")]
        seed: u64,
    },
    /// Floods: this many KiB of packets on a channel that nobody asked for, behind every picture; over TCP alone.
    Flood {
        /// KiB a picture, 1024 at most.
        #[serde(default = "hundred")]
        kib: u32,
    },
    /// DESCRIBE answers 404.
    NotFound {},
    /// Answers with something that is no RTSP.
    NotRtsp {},
    /// Every request is answered by this status.
    Status {
        /// The status, for example 503.
        status: u16,
    },
}

/// What is wrong with `Content-Base`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentBaseFault {
    /// There is none.
    #[default]
    Missing,
    /// It names a host that does not exist.
    Wrong,
    /// It lacks its final slash.
    NoSlash,
}

fn other_password() -> String {
    "changed-by-fault".to_owned()
}
fn three_thousand() -> u64 {
    3000
}
fn one_percent() -> f64 {
    1.0
}
fn one() -> u64 {
    1
}
fn ten() -> u32 {
    10
}
fn hundred() -> u32 {
    100
}
fn alternative_width() -> u32 {
    704
}
fn alternative_height() -> u32 {
    576
}

impl FaultKind {
    /// The fault of this name with these arguments (`null` for none).
    ///
    /// # Errors
    /// A sentence that says what is wrong with name or arguments.
    pub fn from_parts(kind: &str, args: &serde_json::Value) -> Result<Self, String> {
        let args = if args.is_null() { serde_json::json!({}) } else { args.clone() };
        serde_json::from_value(serde_json::json!({ kind: args })).map_err(|e| format!("fault '{kind}': {e}"))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(map)) => map.keys().next().cloned().unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// Whether it happens once and leaves no state behind.
    #[must_use]
    pub fn once(&self) -> bool {
        matches!(
            self,
            Self::Close { .. } | Self::Step { .. } | Self::TimestampJump { .. } | Self::Garbage { .. }
        )
    }

    /// Whether it needs a clip of its own.
    #[must_use]
    pub fn needs_clip(&self) -> bool {
        matches!(self, Self::Resolution { .. } | Self::Codec { .. } | Self::LongGop { .. })
    }
}

/// Which cameras are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CameraChoice {
    /// Every one.
    All,
    /// This number, from 1.
    One(u16),
}

impl std::str::FromStr for CameraChoice {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "all" => Ok(Self::All),
            n => n.parse().map(Self::One).map_err(|_| format!("'{n}' is no camera; write a number or all")),
        }
    }
}

/// A fault to be switched on.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultOrder {
    /// Which cameras.
    pub camera: CameraChoice,
    /// Which of their streams; both when `None`.
    pub stream: Option<StreamKind>,
    /// What.
    pub kind: FaultKind,
    /// How long; until cleared when `None`.
    pub for_ms: Option<u64>,
}

/// A fault that is on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActiveFault {
    /// What.
    pub kind: FaultKind,
    /// Since when.
    pub since_us: i64,
    /// Until when; `None` until cleared.
    pub until_us: Option<i64>,
}

/// The faults of one stream.
#[derive(Debug, Default)]
pub struct FaultSet {
    active: Vec<ActiveFault>,
}

impl FaultSet {
    /// Switches a fault on; one of the same kind is replaced.
    pub fn add(&mut self, fault: ActiveFault) {
        let same = std::mem::discriminant(&fault.kind);
        self.active.retain(|a| std::mem::discriminant(&a.kind) != same);
        self.active.push(fault);
    }

    /// Takes out what ended by `now_us`.
    pub fn expire(&mut self, now_us: i64) -> Vec<ActiveFault> {
        if self.active.iter().all(|a| a.until_us.is_none_or(|u| u > now_us)) {
            return Vec::new();
        }
        let (ended, kept) = self.active.drain(..).partition(|a| a.until_us.is_some_and(|u| u <= now_us));
        self.active = kept;
        ended
    }

    /// Takes out all, or all of one name.
    pub fn clear(&mut self, name: Option<&str>) -> Vec<ActiveFault> {
        let (ended, kept) = self.active.drain(..).partition(|a| name.is_none_or(|n| a.kind.name() == n));
        self.active = kept;
        ended
    }

    /// Those that are on.
    #[must_use]
    pub fn all(&self) -> &[ActiveFault] {
        &self.active
    }

    /// The first for which `f` gives something.
    pub fn find<'a, T>(&'a self, f: impl Fn(&'a FaultKind) -> Option<T>) -> Option<T> {
        self.active.iter().find_map(|a| f(&a.kind))
    }

    /// Whether one is on for which `f` holds.
    pub fn any(&self, f: impl Fn(&FaultKind) -> bool) -> bool {
        self.active.iter().any(|a| f(&a.kind))
    }
}

/// A line of a fault script.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptLine {
    /// When, after the start of the simulator.
    pub at_ms: u64,
    /// What.
    pub order: FaultOrder,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptFile {
    fault: Vec<RawLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLine {
    at_ms: u64,
    camera: serde_json::Value,
    stream: Option<StreamKind>,
    kind: String,
    #[serde(default)]
    args: serde_json::Value,
    for_ms: Option<u64>,
    #[serde(default)]
    every_ms: Option<u64>,
    #[serde(default)]
    times: Option<u32>,
}

/// Reads a fault script (TOML, `[[fault]]` tables; see `CAMSIM.md`), ordered by time.
///
/// # Errors
/// A sentence that names the file and what is wrong.
pub fn read_script(path: &Path) -> Result<Vec<ScriptLine>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse_script(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn parse_script(text: &str) -> Result<Vec<ScriptLine>, String> {
    let file: ScriptFile = toml::from_str(text).map_err(|e| e.to_string())?;
    let mut lines = Vec::new();
    for raw in file.fault {
        let camera = match &raw.camera {
            serde_json::Value::String(s) => s.parse()?,
            other => other.to_string().parse()?,
        };
        let kind = FaultKind::from_parts(&raw.kind, &raw.args)?;
        let order = FaultOrder { camera, stream: raw.stream, kind, for_ms: raw.for_ms };
        let repeats = if raw.every_ms.is_some() { raw.times.unwrap_or(1).min(10_000) } else { 1 };
        for i in 0..u64::from(repeats) {
            lines.push(ScriptLine { at_ms: raw.at_ms + i * raw.every_ms.unwrap_or(0), order: order.clone() });
        }
    }
    lines.sort_by_key(|l| l.at_ms);
    Ok(lines)
}

/// Small seeded random numbers (SplitMix64), the same on every machine.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence that depends on nothing but `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// True in `percent` of a hundred calls.
    pub fn chance(&mut self, percent: f64) -> bool {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64 * 100.0 < percent
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_in_snake_case_and_their_arguments_have_defaults() {
        let kind = FaultKind::from_parts("slow_start", &serde_json::json!({"media_ms": 7})).unwrap();
        assert_eq!(kind, FaultKind::SlowStart { answer_ms: 0, media_ms: 7 });
        assert_eq!(kind.name(), "slow_start");
        assert_eq!(FaultKind::from_parts("refuse", &serde_json::Value::Null), Ok(FaultKind::Refuse {}));
        assert!(FaultKind::from_parts("drift", &serde_json::Value::Null).unwrap_err().contains("ppm"));
        assert!(FaultKind::from_parts("stall", &serde_json::json!({"deff": 1})).is_err());
        assert!(FaultKind::from_parts("melt", &serde_json::Value::Null).is_err());
    }

    #[test]
    fn a_script_is_ordered_by_time_and_repeats() {
        let lines = parse_script(
            r#"
            [[fault]]
            at_ms = 5000
            camera = "all"
            kind = "close"
            every_ms = 1000
            times = 2
            [[fault]]
            at_ms = 10
            camera = 3
            stream = "main"
            kind = "loss"
            args = { percent = 2.5, seed = 9 }
            for_ms = 100
            "#,
        )
        .unwrap();
        assert_eq!(lines.iter().map(|l| l.at_ms).collect::<Vec<_>>(), [10, 5000, 6000]);
        assert_eq!(lines[0].order.kind, FaultKind::Loss { percent: 2.5, seed: 9, tcp: false });
        assert!(parse_script("[[fault]]\nat_ms=1\ncamera=\"x\"\nkind=\"close\"").is_err());
    }

    #[test]
    fn a_fault_ends_at_its_time_and_a_second_of_a_kind_replaces_the_first() {
        let mut set = FaultSet::default();
        let fault = |until_us| ActiveFault { kind: FaultKind::Stall { deaf: false }, since_us: 0, until_us };
        set.add(fault(Some(5)));
        set.add(fault(Some(9)));
        assert!(set.expire(8).is_empty());
        assert_eq!(set.expire(9).len(), 1);
        assert!(set.all().is_empty());
    }

    #[test]
    fn chance_keeps_to_its_percentage() {
        let mut random = Random::new(42);
        let hits = (0..100_000).filter(|_| random.chance(3.0)).count();
        assert!((2800..3200).contains(&hits), "{hits}");
    }
}
