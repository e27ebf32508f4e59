//! From a camera's time stamps to the node's clock, one map per track. Pure: arrival times are arguments.
//!
//! A packet arrives after it was captured, never before, so the smallest `arrival - timestamp` of the last seconds is
//! the best guess of the offset between both clocks; what lies above it is network delay, buffering and our own sweep.
//! The map follows that minimum slowly (`limits::CLOCK_SLEW_PER_SECOND_MAX`), which keeps node times smooth and
//! absorbs drift. What cannot be drift is a step ([`Step`]):
//!
//! - the time stamp runs backward by more than `limits::CLOCK_STEP_MIN` (smaller: pictures out of display order);
//! - the time stamp runs ahead of the arrival by more than that: no picture arrives before it was taken;
//! - the node's wall clock moved against its monotonic clock by more than that;
//! - every packet of several seconds is late by more than that;
//! - sender reports show that the camera's own clock moved by more than that.
//!
//! A step does not disturb the running numbers: `pts` and `utc` go on as if nothing had happened until the caller begins
//! a new run ([`ClockMap::begin_run`]), which it does at the next key frame, so that no picture is lost to it.

use std::time::Duration;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::limits;

/// Length of one of the two halves of the window in which the smallest delay is looked for.
const HALF_WINDOW: Duration = Duration::from_secs(5);
/// An error above this is corrected fast: the first packets of a session often come late and in a burst.
const FAST_ABOVE_US: i64 = 250_000;
/// Fast correction, in microseconds a second of stream time.
const FAST_SLEW_PER_SECOND_US: i64 = 200_000;
/// How long the map may be wrong by more than a step before it is one.
const WRONG_MAX: Duration = Duration::from_secs(6);
/// Most time that corrections are made for in arrears.
const UNUSED_MAX_US: i64 = 1_000_000;
/// Sender reports from before 2000-01-01 come from cameras that were never told the time (1900, 1970).
const CAMERA_UTC_MIN: UtcMicros = UtcMicros(946_684_800_000_000);
/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_UNIX_SECONDS: i64 = 2_208_988_800;
/// Two sender reports that agree this well confirm a step of the camera's clock.
const REPORTS_AGREE_US: i64 = 250_000;

/// When a unit arrived, on both clocks of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Wall clock.
    pub utc: UtcMicros,
    /// Monotonic clock.
    pub mono: MonoMicros,
}

/// What kind of step was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The time stamps ran backward.
    Backward,
    /// The time stamps ran ahead.
    Forward,
    /// The node's wall clock was set.
    NodeClock,
    /// The time stamps fell behind and stayed behind.
    Late,
    /// The camera's wall clock was set.
    CameraClock,
}

/// Times of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Ticks of the track since the run's first unit.
    pub pts: i64,
    /// On the node's clock.
    pub utc: UtcMicros,
    /// On the camera's clock, when sender reports tell it.
    pub camera_utc: Option<UtcMicros>,
}

/// The map of one track of one session.
#[derive(Debug)]
pub struct ClockMap {
    rate: i64,
    track: Option<Track>,
    step: Option<Step>,
    reports: Reports,
}

/// State after the first unit. "Ticks" are the camera's, less the first one, plus the shifts of steps seen since.
#[derive(Debug)]
struct Track {
    /// Added to the camera's time stamp to get ticks.
    shift: i64,
    /// Ticks of the run's first unit; `None` until it comes.
    run_start: Option<i64>,
    /// Highest ticks so far, the last distance between two pictures, and the last arrival.
    highest: i64,
    interval: i64,
    last_mono: MonoMicros,
    /// Real time that went by and no picture has used for corrections yet: pictures come in bursts.
    unused_us: i64,
    /// Monotonic microseconds of tick 0, as applied.
    offset_us: i64,
    /// Wall clock less monotonic clock, as applied, and as last seen.
    wall_us: i64,
    wall_seen_us: i64,
    window: Window,
    /// Since when the applied offset is wrong by more than a step.
    wrong_since: Option<MonoMicros>,
}

/// Smallest value over the last one to two half windows.
#[derive(Debug)]
struct Window {
    began: MonoMicros,
    current: i64,
    before: i64,
}

impl Window {
    fn new(now: MonoMicros, value: i64) -> Self {
        Self { began: now, current: value, before: value }
    }
    fn push(&mut self, now: MonoMicros, value: i64) {
        if now.since(self.began) >= HALF_WINDOW {
            self.before = self.current;
            self.current = value;
            self.began = now;
        } else {
            self.current = self.current.min(value);
        }
    }
    fn min(&self) -> i64 {
        self.current.min(self.before)
    }
}

fn step_min_us() -> i64 {
    micros(limits::CLOCK_STEP_MIN)
}

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

fn mono_us(m: MonoMicros) -> i64 {
    i64::try_from(m.0).unwrap_or(i64::MAX)
}

impl ClockMap {
    /// A map for a track of `rate` ticks a second (at least 1).
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self { rate: i64::from(rate.max(1)), track: None, step: None, reports: Reports::default() }
    }

    /// The step found since the last call of [`ClockMap::begin_run`], if any.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        self.step
    }

    /// The next unit is the first of a new run: its `pts` is 0, and a pending step takes effect.
    pub fn begin_run(&mut self) {
        if let Some(t) = &mut self.track {
            t.run_start = None;
            if self.step.is_some() {
                t.offset_us = t.window.min();
                t.wall_us = t.wall_seen_us;
                t.wrong_since = None;
            }
        }
        self.step = None;
    }

    /// Times of a unit with the camera's unwrapped time stamp `raw`.
    pub fn stamp(&mut self, raw: i64, arrival: Arrival) -> Stamp {
        let rate = self.rate;
        let mono = mono_us(arrival.mono);
        let wall = arrival.utc.0.saturating_sub(mono);
        let t = self.track.get_or_insert_with(|| Track {
            shift: raw.saturating_neg(),
            run_start: None,
            highest: 0,
            interval: 1,
            last_mono: arrival.mono,
            unused_us: 0,
            offset_us: mono,
            wall_us: wall,
            wall_seen_us: wall,
            window: Window::new(arrival.mono, mono),
            wrong_since: None,
        });
        let mut ticks = raw.saturating_add(t.shift);
        if let Some(step) = t.jump(ticks, rate, mono) {
            // Go on in the same rhythm, or by arrival time after a pause; reports of before no longer fit.
            let passed = mono.saturating_sub(mono_us(t.last_mono)).max(0);
            let rhythm = to_us(t.interval, rate);
            let further =
                if (passed - rhythm).abs() > step_min_us() { to_ticks(passed, rate) } else { t.interval };
            let next = t.highest.saturating_add(further.max(1));
            t.shift = next.saturating_sub(raw);
            ticks = next;
            t.window.push(arrival.mono, mono.saturating_sub(to_us(ticks, rate)));
            self.step = Some(step);
            self.reports = Reports::default();
        }
        let found = t.follow(ticks, rate, arrival.mono, wall);
        self.step = self.step.or(found);
        let at_us = to_us(ticks, rate);
        let start = *t.run_start.get_or_insert(ticks);
        Stamp {
            pts: ticks.saturating_sub(start),
            utc: UtcMicros(t.wall_us.saturating_add(t.offset_us).saturating_add(at_us)),
            camera_utc: self.reports.at(raw, rate),
        }
    }

    /// An RTCP sender report: the camera's NTP time (32.32 fixed point, RFC 3550 section 6.4.1) at time stamp `raw`.
    pub fn sender_report(&mut self, ntp: u64, raw: i64) {
        if let Some(utc) = ntp_to_utc(ntp)
            && self.reports.push(Report { utc, raw, coarse: ntp.trailing_zeros() >= 32 }, self.rate)
        {
            self.step = self.step.or(Some(Step::CameraClock));
        }
    }
}

impl Track {
    fn jump(&self, ticks: i64, rate: i64, mono: i64) -> Option<Step> {
        if to_us(self.highest.saturating_sub(ticks), rate) > step_min_us() {
            return Some(Step::Backward);
        }
        let tick_zero = mono.saturating_sub(to_us(ticks, rate));
        (self.window.min().saturating_sub(tick_zero) > step_min_us()).then_some(Step::Forward)
    }

    /// Takes one arrival into account; says whether the node's clock or the delay stepped.
    fn follow(&mut self, ticks: i64, rate: i64, mono: MonoMicros, wall: i64) -> Option<Step> {
        let tick_zero = mono_us(mono).saturating_sub(to_us(ticks, rate));
        self.window.push(mono, tick_zero);
        // Bounded by stream time as well as by real time, so that a burst after a pause cannot turn times around.
        let stream_us = to_us(ticks.saturating_sub(self.highest).max(0), rate);
        let real_us = mono_us(mono).saturating_sub(mono_us(self.last_mono)).max(0);
        self.unused_us = self.unused_us.saturating_add(real_us).min(UNUSED_MAX_US);
        let passed_us = stream_us.min(self.unused_us);
        self.unused_us -= passed_us;
        if ticks > self.highest {
            self.interval = ticks.saturating_sub(self.highest).min(rate);
            self.highest = ticks;
        }
        self.last_mono = mono;
        self.wall_seen_us = wall;

        let error = self.window.min().saturating_sub(self.offset_us);
        let slew = if error.abs() > FAST_ABOVE_US {
            FAST_SLEW_PER_SECOND_US
        } else {
            micros(limits::CLOCK_SLEW_PER_SECOND_MAX)
        };
        let bound = passed_us.saturating_mul(slew) / 1_000_000;
        self.offset_us = self.offset_us.saturating_add(error.clamp(-bound, bound));

        let wall_error = wall.saturating_sub(self.wall_us);
        if wall_error.abs() > step_min_us() {
            return Some(Step::NodeClock);
        }
        let bound = passed_us.saturating_mul(micros(limits::CLOCK_SLEW_PER_SECOND_MAX)) / 1_000_000;
        self.wall_us = self.wall_us.saturating_add(wall_error.clamp(-bound, bound));

        if error.abs() <= step_min_us() {
            self.wrong_since = None;
            return None;
        }
        let since = *self.wrong_since.get_or_insert(mono);
        (mono.since(since) > WRONG_MAX).then_some(Step::Late)
    }
}

fn to_us(ticks: i64, rate: i64) -> i64 {
    // Whole seconds first: no overflow, whatever a camera sends.
    let (whole, rest) = (ticks.div_euclid(rate), ticks.rem_euclid(rate));
    whole.saturating_mul(1_000_000).saturating_add(rest.saturating_mul(1_000_000) / rate)
}

fn to_ticks(us: i64, rate: i64) -> i64 {
    let (whole, rest) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    whole.saturating_mul(rate).saturating_add(rest.saturating_mul(rate) / 1_000_000)
}

/// `None` for times of before 2000, which come from cameras that were never told the time.
fn ntp_to_utc(ntp: u64) -> Option<UtcMicros> {
    let seconds = i64::try_from(ntp >> 32).ok()?.checked_sub(NTP_UNIX_SECONDS)?;
    let fraction = i64::try_from(((ntp & 0xFFFF_FFFF) * 1_000_000) >> 32).ok()?;
    let utc = UtcMicros(seconds.checked_mul(1_000_000)?.checked_add(fraction)?);
    (utc >= CAMERA_UTC_MIN).then_some(utc)
}

/// What sender reports say of the camera's own clock.
#[derive(Debug, Default)]
struct Reports {
    accepted: Option<Report>,
    /// A report that contradicts the accepted one; a second one like it makes a step.
    doubted: Option<Report>,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    utc: UtcMicros,
    raw: i64,
    /// Without a fraction of a second: some cameras report whole seconds only.
    coarse: bool,
}

impl Report {
    fn at(&self, raw: i64, rate: i64) -> UtcMicros {
        UtcMicros(self.utc.0.saturating_add(to_us(raw.saturating_sub(self.raw), rate)))
    }
}

impl Reports {
    fn at(&self, raw: i64, rate: i64) -> Option<UtcMicros> {
        self.accepted.map(|r| r.at(raw, rate))
    }

    /// True when the camera's clock stepped.
    fn push(&mut self, new: Report, rate: i64) -> bool {
        let Some(accepted) = self.accepted else {
            self.accepted = Some(new);
            return false;
        };
        let tolerance = step_min_us() + if new.coarse { 1_000_000 } else { 0 };
        if new.utc.since(accepted.at(new.raw, rate)).abs() <= tolerance {
            self.accepted = Some(new);
            self.doubted = None;
            return false;
        }
        let confirmed =
            self.doubted.is_some_and(|d| new.utc.since(d.at(new.raw, rate)).abs() <= REPORTS_AGREE_US);
        if confirmed {
            self.accepted = Some(new);
            self.doubted = None;
        } else {
            self.doubted = Some(new);
        }
        confirmed
    }
}

#[cfg(test)]
#[path = "clockmap_tests.rs"]
mod tests;
