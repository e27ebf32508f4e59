//! The camera simulator as a child process of a benchmark, with its CPU time apart.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fengsui_config::ids::StreamKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::child::{Running, sister};
use super::http::Http;
use crate::camsim::ledger::{DropReason, SessionRecord};
use crate::camsim::world::Stats;

/// Time that the clips may take to make.
const START_WITHIN: Duration = Duration::from_secs(300);

/// Which cameras.
#[derive(Debug, Clone)]
pub struct SimulatorOptions {
    /// How many.
    pub cameras: u32,
    /// Directory of the clips.
    pub cache: PathBuf,
    /// More of the simulator's own options.
    pub extra: Vec<String>,
}

impl SimulatorOptions {
    /// Cameras of 2 Mbit/s and 25 pictures a second, or small ones.
    #[must_use]
    pub fn new(cameras: u32, cache: &Path, small: bool) -> Self {
        let extra = ["--main", "320x180@10:200", "--sub", "320x180@5:80", "--gop-s", "1", "--loop-s", "20"];
        let extra = if small { extra.map(str::to_owned).to_vec() } else { Vec::new() };
        Self { cameras, cache: cache.to_owned(), extra }
    }

    /// The same with more options of the simulator.
    #[must_use]
    pub fn with(mut self, more: &[&str]) -> Self {
        self.extra.extend(more.iter().map(|&m| m.to_owned()));
        self
    }
}

/// A running simulator.
#[derive(Debug)]
pub struct Simulator {
    /// The process.
    pub process: Running,
    /// Where RTSP is served.
    pub rtsp: SocketAddr,
    control: String,
    http: Http,
}

/// Addresses of one camera.
#[derive(Debug, Clone)]
pub struct Urls {
    /// Main stream.
    pub main: String,
    /// Sub stream.
    pub sub: String,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Place {
    camera: u16,
    stream: StreamKind,
    url: String,
}

#[derive(Deserialize)]
struct Sessions {
    sessions: Vec<SessionRecord>,
}

impl Simulator {
    /// Starts it on free ports; its log goes to `logs`.
    ///
    /// # Errors
    /// The program is missing or does not start.
    pub fn start(options: &SimulatorOptions, logs: &Path) -> io::Result<Self> {
        let (cameras, cache) = (options.cameras.to_string(), options.cache.to_string_lossy().into_owned());
        let fixed =
            ["--cameras", &cameras, "--clips", "2", "--rtsp", "127.0.0.1:0", "--control", "127.0.0.1:0"];
        // The floor asks nothing any more once it plays, so sessions must not end for want of a sign of life.
        let rest = ["--cache", &cache, "--session-timeout", "0"];
        let arguments = fixed.into_iter().chain(rest).map(str::to_owned).chain(options.extra.clone());
        let arguments: Vec<String> = arguments.collect();
        let process = Running::start(&sister("camsim")?, &arguments, &logs.join("camsim.log"))?;
        let rtsp = process.line_after("LISTENING rtsp://", START_WITHIN)?;
        let rtsp = rtsp.parse().map_err(|e| io::Error::other(format!("'{rtsp}': {e}")))?;
        let control = process.line_after("CONTROL ", Duration::from_secs(10))?;
        Ok(Self { process, rtsp, control, http: Http::new()? })
    }

    /// Totals and own cost.
    ///
    /// # Errors
    /// It does not answer.
    pub fn stats(&self) -> io::Result<Stats> {
        self.http.json(&format!("{}/stats", self.control))
    }

    /// The addresses of all cameras, camera 1 first.
    ///
    /// # Errors
    /// It does not answer.
    pub fn urls(&self) -> io::Result<Vec<Urls>> {
        let places: Items<Place> = self.http.json(&format!("{}/cameras", self.control))?;
        let mut urls = Vec::new();
        for place in places.items {
            let at = usize::from(place.camera).saturating_sub(1);
            if urls.len() <= at {
                urls.resize(at + 1, Urls { main: String::new(), sub: String::new() });
            }
            if let Some(urls) = urls.get_mut(at) {
                match place.stream {
                    StreamKind::Main => urls.main = place.url,
                    StreamKind::Sub => urls.sub = place.url,
                }
            }
        }
        Ok(urls)
    }

    /// Something that the control API tells.
    ///
    /// # Errors
    /// It does not answer, or with something else.
    pub fn ask<T: serde::de::DeserializeOwned>(&self, path: &str) -> io::Result<T> {
        self.http.json(&format!("{}{path}", self.control))
    }

    /// Puts a fault on all cameras.
    ///
    /// # Errors
    /// It refuses.
    pub fn fault(&self, kind: &str) -> io::Result<()> {
        self.http.post(
            &format!("{}/cameras/all/faults", self.control),
            &json!({ "kind": kind, "args": Value::Null }),
        )
    }

    /// Takes all faults away.
    ///
    /// # Errors
    /// It refuses.
    pub fn clear(&self) -> io::Result<()> {
        self.http.delete(&format!("{}/cameras/all/faults", self.control))
    }

    /// The sessions of main streams, those alone that are younger than session `after`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn main_sessions(&self, after: u64) -> io::Result<Vec<SessionRecord>> {
        let all: Sessions = self.ask("/ledger")?;
        let wanted = |s: &SessionRecord| s.stream == StreamKind::Main && s.session > after;
        Ok(all.sessions.into_iter().filter(wanted).collect())
    }

    /// Number of the youngest session so far.
    ///
    /// # Errors
    /// It does not answer.
    pub fn last_session(&self) -> io::Result<u64> {
        let all: Sessions = self.ask("/ledger")?;
        Ok(all.sessions.iter().map(|s| s.session).max().unwrap_or(0))
    }

    /// CPU seconds so far.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_seconds(&self) -> io::Result<f64> {
        Ok(self.process.usage()?.cpu_seconds)
    }
}

/// What the simulator's ledger says of some sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Pictures sent of each camera, camera 1 first.
    pub frames: Vec<u64>,
    /// Sessions.
    pub sessions: u64,
    /// Pictures that found no room with a peer that read too slowly, and those after them up to a key frame.
    pub not_taken: u64,
    /// Pictures that the simulator itself came too late for.
    pub late: u64,
}

impl Sent {
    /// Adds up the ledger entries of `cameras` cameras.
    #[must_use]
    pub fn of(sessions: &[SessionRecord], cameras: u32) -> Self {
        let mut sent = Self { frames: vec![0; cameras as usize], ..Self::default() };
        for s in sessions {
            let Some(frames) = sent.frames.get_mut(usize::from(s.camera).wrapping_sub(1)) else { continue };
            *frames += s.frames;
            sent.sessions += 1;
            // A wait for a key frame belongs to what went before it.
            let mut cause = DropReason::Late;
            for d in &s.drops {
                cause = if d.reason == DropReason::AwaitKey { cause } else { d.reason };
                let count = u64::try_from(d.to - d.from + 1).unwrap_or(0);
                match cause {
                    DropReason::Backpressure => sent.not_taken += count,
                    DropReason::Late => sent.late += count,
                    _ => {}
                }
            }
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_is_told_from_what_came_late() {
        let mut one = SessionRecord::new(7, 2, StreamKind::Main, "tcp", String::new(), 0);
        for n in 0..10 {
            match n {
                3 => one.dropped(n, DropReason::Backpressure),
                4..=5 => one.dropped(n, DropReason::AwaitKey),
                8 => one.dropped(n, DropReason::Late),
                9 => one.dropped(n, DropReason::Stall),
                _ => one.sent(n, n == 0, 1, 100, 0),
            }
        }
        let sent = Sent::of(&[one.clone(), one], 3);
        assert_eq!(sent, Sent { frames: vec![0, 10, 0], sessions: 2, not_taken: 6, late: 2 });
    }
}
