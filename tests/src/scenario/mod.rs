//! Long scenarios: a real node records simulated cameras, is disturbed, and what it stored is judged by bar code and
//! ledger. The integration suite runs them in short form, `figures` in full.

pub mod city;
pub mod judge;
pub mod kill;
pub mod outpost;
pub mod power;
pub mod prefix;
pub mod record;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fengsui_config::ids::StreamKind;
use serde_json::Value;

use crate::camsim::faults::{CameraChoice, FaultKind, FaultOrder};
use crate::camsim::options::{Options, Profile};
use crate::camsim::{CamSim, SimError};
use crate::harness::config::ConfigOptions;
use crate::harness::{Api, Fengsui, HarnessError, Outcome, config, wait_for};

/// Time within which a state that has to come must have come.
pub const STATE_WITHIN: Duration = Duration::from_secs(30);

/// Time that a picture takes at most from the simulator to the node's count of units.
const ARRIVAL_MAX: Duration = Duration::from_millis(150);

/// Streams small enough for many cameras, a node and decoders on two cores.
pub const SMALL: Profile = Profile { width: 320, height: 180, fps: 10, kbits: 200 };
/// A sub-stream of the same kind.
pub const SMALL_SUB: Profile = Profile { width: 320, height: 180, fps: 5, kbits: 80 };

/// Where clips are kept between runs, for all tests together.
#[must_use]
pub fn clip_cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/camsim")
}

/// A simulator of small cameras with one key frame a second, on free ports.
#[must_use]
pub fn small(cameras: u16) -> Options {
    Options {
        cameras,
        clips: Some(cameras.min(2)),
        main: SMALL,
        sub: SMALL_SUB,
        gop_s: 1,
        loop_s: 20,
        cache: clip_cache(),
        ..Options::default()
    }
}

impl From<SimError> for HarnessError {
    fn from(e: SimError) -> Self {
        Self(format!("camera simulator: {e}"))
    }
}

/// A simulator, and a directory with the configuration of a node that records its cameras.
pub struct Scene {
    /// The cameras.
    pub sim: CamSim,
    /// What the configuration says beyond the cameras.
    pub options: ConfigOptions,
    /// The configuration file.
    pub config: PathBuf,
    directory: tempfile::TempDir,
}

impl Scene {
    /// Starts the cameras and writes the configuration; no node runs yet.
    ///
    /// # Errors
    /// When clips, ports or files cannot be had.
    pub fn new(sim: Options, options: ConfigOptions) -> Outcome<Self> {
        Self::new_in(&std::env::temp_dir(), sim, options)
    }

    /// As [`Scene::new`], with everything the node keeps below `parent`.
    ///
    /// # Errors
    /// As there.
    pub fn new_in(parent: &Path, sim: Options, options: ConfigOptions) -> Outcome<Self> {
        let directory = tempfile::Builder::new()
            .prefix("fengsui-")
            .tempdir_in(parent)
            .map_err(|e| HarnessError(format!("make a directory: {e}")))?;
        let sim = CamSim::start(sim)?;
        let config = config::write(directory.path(), &sim, &options)?;
        Ok(Self { sim, options, config, directory })
    }

    /// The directory of configuration, data and volumes.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The first volume.
    #[must_use]
    pub fn volume(&self) -> PathBuf {
        self.directory.path().join(self.options.volumes.first().map_or("v1", String::as_str))
    }

    /// Replaces the configuration by the cameras of `text` (see [`config::camera_text`]) below the same node.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_cameras(&self, text: &str) -> Outcome<()> {
        self.write_cameras_of(text, None)
    }

    /// As [`Scene::write_cameras`], for cameras that want this user and password.
    ///
    /// # Errors
    /// As there.
    pub fn write_cameras_of(&self, text: &str, login: Option<(&str, &str)>) -> Outcome<()> {
        let whole = config::node_text(&self.options) + text;
        config::write_text(self.directory.path(), &whole, &self.options, login).map(drop)
    }

    /// Starts a node and logs in.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn run(&self) -> Outcome<(Fengsui, Api)> {
        let mut node = Fengsui::start(&self.config)?;
        let api = node.log_in().await?;
        Ok((node, api))
    }

    /// Starts a node and waits until every camera is recorded.
    ///
    /// # Errors
    /// When one is not within [`STATE_WITHIN`].
    pub async fn run_recording(&self) -> Outcome<(Fengsui, Api)> {
        let (node, api) = self.run().await?;
        for n in 1..=self.sim.cameras() {
            api.wait_recording(n, STATE_WITHIN).await?;
        }
        Ok((node, api))
    }

    /// Puts a fault on a camera's main stream until it is cleared.
    ///
    /// # Errors
    /// As the simulator's.
    pub fn fault(&self, camera: u16, kind: &str, args: &Value) -> Outcome<()> {
        let kind = FaultKind::from_parts(kind, args).map_err(HarnessError)?;
        Ok(self.sim.break_stream(camera, StreamKind::Main, kind)?)
    }

    /// Ends every session in good order and lets nobody in again, so that everything sent has also been received.
    ///
    /// # Errors
    /// When a simulator or node does not follow.
    pub async fn quiet(&self, api: &Api) -> Outcome<()> {
        let all: Vec<u16> = (1..=self.sim.cameras()).collect();
        self.quiet_of(api, &all).await
    }

    /// As [`Scene::quiet`], when the node has only these cameras.
    ///
    /// # Errors
    /// As [`Scene::quiet`].
    pub async fn quiet_of(&self, api: &Api, cameras: &[u16]) -> Outcome<()> {
        let all = |kind| FaultOrder { camera: CameraChoice::All, stream: None, kind, for_ms: None };
        self.sim.fault(all(FaultKind::Stall { deaf: false }))?;
        // Datagrams do not wait for the end of the connection: what was sent is let arrive first.
        for &n in cameras {
            let before = parking_lot::Mutex::new(None);
            wait_for(&format!("camera {n} is silent"), STATE_WITHIN, || async {
                tokio::time::sleep(ARRIVAL_MAX).await;
                let camera = api.camera(n).await?;
                let units = camera.pointer("/streams/main/units").and_then(Value::as_u64);
                Ok((before.lock().replace(units) == Some(units)).then_some(()))
            })
            .await?;
        }
        for kind in [FaultKind::Refuse {}, FaultKind::Close { reset: false }] {
            self.sim.fault(all(kind))?;
        }
        for &n in cameras {
            wait_for(&format!("camera {n} is gone and its file closed"), STATE_WITHIN, || async {
                let camera = api.camera(n).await?;
                let gone = camera.pointer("/recording/state").and_then(Value::as_str) != Some("recording")
                    && camera.pointer("/streams/main/state").and_then(Value::as_str) != Some("playing");
                Ok((gone && self.open_files(n)? == 0).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Files of camera `n` that are still written.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn open_files(&self, n: u16) -> Outcome<usize> {
        let files = crate::harness::media::segment_files(&self.volume(), n, StreamKind::Main)?;
        Ok(files.iter().filter(|f| f.to_string_lossy().ends_with(".open.mp4")).count())
    }

    /// The stored pictures of camera `n`'s main stream, file by file.
    ///
    /// # Errors
    /// When a file cannot be probed or decoded.
    pub fn stored(&self, n: u16) -> Outcome<Vec<judge::StoredFile>> {
        let facts = self
            .sim
            .facts(n, StreamKind::Main)
            .ok_or_else(|| HarnessError(format!("the simulator has no camera {n}")))?;
        let mut files = Vec::new();
        for volume in &self.options.volumes {
            files.extend(judge::read_stream(&self.directory().join(volume), n, &facts)?);
        }
        files.sort_by_key(|f| f.start_us);
        Ok(files)
    }

    /// What the sessions of camera `n`'s main stream were sent.
    #[must_use]
    pub fn ledger(&self, n: u16) -> Vec<crate::camsim::ledger::SessionRecord> {
        self.sim.ledger(n, StreamKind::Main).unwrap_or_default()
    }
}
