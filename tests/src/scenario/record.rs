//! Records a number of cameras for some time and shows that nothing is missing.

use std::time::Duration;

use fengsui_config::ids::StreamKind;

use super::{Scene, clip_cache, judge, small};
use crate::camsim::options::Options;
use crate::figure::{Figure, Target};
use crate::harness::config::ConfigOptions;
use crate::harness::{HarnessError, Outcome};

/// What to record.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// The cameras.
    pub sim: Options,
    /// How long.
    pub time: Duration,
    /// `tcp` or `udp`.
    pub transport: &'static str,
}

impl RecordOptions {
    /// Small streams for a short time.
    #[must_use]
    pub fn short(cameras: u16, time: Duration) -> Self {
        Self { sim: small(cameras), time, transport: "tcp" }
    }

    /// Streams as cameras have them: 1280x720, 25 pictures a second, 2 Mbit/s.
    #[must_use]
    pub fn full(cameras: u16, time: Duration) -> Self {
        let sim = Options { cameras, cache: clip_cache(), ..Options::default() };
        Self { sim, time, transport: "tcp" }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct RecordReport {
    /// Pictures that the ledger says were sent.
    pub sent: u64,
    /// Of these, pictures found in the files.
    pub stored: u64,
    /// Pictures in the files that are strange, repeated, out of order or without a bar code.
    pub wrong: u64,
    /// Gaps in the timelines from the first picture to the last.
    pub gaps: u64,
    /// Stretches that the timelines do not explain.
    pub unexplained: u64,
    /// Segment files.
    pub files: u64,
    /// Segment files about which ffmpeg or ffprobe complained.
    pub flawed: u64,
    /// Sessions more than one per camera.
    pub reconnects: u64,
    /// Up to some of what is wrong, in words.
    pub details: Vec<String>,
}

impl RecordReport {
    /// The figures.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let figure = |name: &str, value: u64, unit, target| {
            Figure::new(format!("record_{name}"), value as f64, unit, target)
        };
        let none = Target::Exactly(0.0);
        vec![
            figure("frames_sent", self.sent, "frames", Target::AtLeast(1.0)),
            figure("frames_stored", self.stored, "frames", Target::Exactly(self.sent as f64)),
            figure("frames_wrong", self.wrong, "frames", none),
            figure("gaps", self.gaps, "gaps", none),
            figure("unexplained", self.unexplained, "stretches", none),
            figure("files", self.files, "files", Target::AtLeast(1.0)),
            figure("files_flawed_in_ffmpeg", self.flawed, "files", none),
            figure("reconnects", self.reconnects, "sessions", none),
        ]
    }

    /// Notes something that is wrong; a hundred of them are enough.
    fn say(&mut self, detail: String) {
        if self.details.len() < 100 {
            self.details.push(detail);
        }
    }
}

/// Records, stops the cameras, stops the node, and judges every file.
///
/// # Errors
/// When a step cannot be done; what was recorded wrongly is in the report.
pub async fn run(options: &RecordOptions) -> Outcome<RecordReport> {
    let config = ConfigOptions { transport: options.transport, sub: false, ..ConfigOptions::default() };
    let scene = Scene::new(options.sim.clone(), config)?;
    let (node, api) = scene.run_recording().await?;
    tokio::time::sleep(options.time).await;
    scene.quiet(&api).await?;
    let mut report = RecordReport::default();
    for n in 1..=scene.sim.cameras() {
        let ledger = scene.ledger(n);
        report.reconnects += (ledger.len() as u64).saturating_sub(1);
        let first = ledger.iter().find_map(|s| s.first_utc_us);
        let last = ledger.iter().rev().find_map(|s| s.last_utc_us);
        let (Some(first), Some(last)) = (first, last) else {
            return Err(HarnessError(format!("camera {n} sent nothing")));
        };
        // The node stamps pictures a little later than they were sent.
        let (from, to) = (first + 500_000, last - 500_000);
        let timeline = api.timeline(n, StreamKind::Main, from, to).await?;
        for gap in timeline.gaps() {
            report.gaps += 1;
            report.say(format!("camera {n}: {gap:?}"));
        }
        for hole in judge::unexplained(&timeline.spans, from, to) {
            report.unexplained += 1;
            report.say(format!("camera {n}: {hole:?} is not explained"));
        }
    }
    let status = node.stop().await?;
    if !status.success() {
        return Err(HarnessError(format!("the node ended with {status}")));
    }
    for n in 1..=scene.sim.cameras() {
        judge_camera(&scene, n, &mut report)?;
    }
    Ok(report)
}

fn judge_camera(scene: &Scene, n: u16, report: &mut RecordReport) -> Outcome<()> {
    let files = scene.stored(n)?;
    let account = judge::account(&judge::sent(&scene.ledger(n)), &files);
    report.sent += account.sent;
    report.stored += account.stored;
    report.wrong += account.strange + account.repeated + account.disordered + account.unreadable;
    if !account.is_exact() {
        report.say(format!("camera {n}: {account:?}"));
    }
    for file in files {
        report.files += 1;
        if !file.complaints.is_empty() {
            report.flawed += 1;
            report.say(format!("{}: {}", file.path.display(), file.complaints.trim()));
        }
    }
    Ok(())
}
