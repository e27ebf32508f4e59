//! A running simulator, as a library.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use fengsui_config::clock::{Clock, MonoMicros, SystemClock};
use fengsui_config::ids::StreamKind;
use parking_lot::Mutex;

use super::clip::ClipError;
use super::control::{self, Control};
use super::faults::{ActiveFault, CameraChoice, FaultKind, FaultOrder, ScriptLine, read_script};
use super::ledger::SessionRecord;
use super::options::Options;
use super::reactor::{Command, Listener, Reactor};
use super::streams::{ClipStore, StreamFacts, index};
use super::world::{Device, Shared, Stats, World};

/// Commands that may wait for the media thread.
const COMMANDS_MAX: usize = 64;
/// Devices per block of 127.20.x.y (y from 1).
const ADDRESSES_PER_BLOCK: u16 = 250;

/// Why a simulator does not start or obey.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A clip cannot be made.
    #[error(transparent)]
    Clip(#[from] ClipError),
    /// An address cannot be had.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// The system refused something else.
    #[error("{context}: {source}")]
    System {
        /// What was being done.
        context: &'static str,
        /// The system's word.
        source: std::io::Error,
    },
    /// The fault script or an order is wrong.
    #[error("{0}")]
    Order(String),
    /// The simulator has stopped.
    #[error("the simulator has stopped")]
    Stopped,
}

/// What control requests and tests hold of a running simulator.
pub struct Handle {
    options: Arc<Options>,
    clips: ClipStore,
    shared: Arc<Shared>,
    commands: SyncSender<Command>,
    wake: Arc<OwnedFd>,
    clock: Arc<dyn Clock>,
    started: MonoMicros,
    rtsp: SocketAddr,
}

impl Handle {
    /// What the simulator was asked to be.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Number of cameras.
    #[must_use]
    pub fn cameras(&self) -> u16 {
        self.options.cameras
    }

    /// The address of a stream, without credentials.
    #[must_use]
    pub fn url(&self, camera: u16, stream: StreamKind) -> String {
        let host = match self.options.device_size() {
            Some(size) => {
                let device = camera.saturating_sub(1) / size + 1;
                SocketAddr::new(IpAddr::V4(device_address(device)), self.rtsp.port())
            }
            None => self.rtsp,
        };
        format!("rtsp://{host}/cam/{camera}/{stream}")
    }

    /// The facts of a stream.
    #[must_use]
    pub fn facts(&self, camera: u16, stream: StreamKind) -> Option<StreamFacts> {
        self.shared.facts.lock().get(index(camera, stream)).filter(|f| f.camera == camera).cloned()
    }

    /// The facts of all streams, main and sub in turn.
    #[must_use]
    pub fn all_facts(&self) -> Vec<StreamFacts> {
        self.shared.facts.lock().clone()
    }

    /// What the sessions of a stream were sent, oldest session first.
    #[must_use]
    pub fn ledger(&self, camera: u16, stream: StreamKind) -> Option<Vec<SessionRecord>> {
        let at = index(camera, stream);
        (camera > 0).then(|| self.shared.ledgers.get(at).map(|l| l.sessions())).flatten()
    }

    /// What each address saw; the largest numbers are since the last look.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        let mut devices = self.shared.devices.lock();
        let now = devices.clone();
        devices.iter_mut().for_each(|d| d.opening_max = d.opening);
        now
    }

    /// When connections asked for a stream for the first time, the last of them.
    #[must_use]
    pub fn attempts(&self, camera: u16, stream: StreamKind) -> Vec<i64> {
        self.shared.ledgers.get(index(camera, stream)).map(|l| l.attempts()).unwrap_or_default()
    }

    /// When the last pictures of a stream were sent: global number and time (`--sent-times`).
    #[must_use]
    pub fn sent_times(&self, camera: u16, stream: StreamKind) -> Vec<(i64, i64)> {
        self.shared.ledgers.get(index(camera, stream)).map(|l| l.sent_times()).unwrap_or_default()
    }

    /// The faults of a stream that are on.
    #[must_use]
    pub fn faults(&self, camera: u16, stream: StreamKind) -> Vec<ActiveFault> {
        self.shared.faults.lock().get(index(camera, stream)).cloned().unwrap_or_default()
    }

    /// Totals and own cost.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let c = &self.shared.counters;
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            uptime_s: self.clock.mono().since(self.started).as_secs_f64(),
            cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            media_cpu_s: get(&self.shared.media_cpu_us) as f64 / 1e6,
            bytes: get(&c.bytes),
            frames: get(&c.frames),
            drops: self.shared.ledgers.iter().flat_map(|l| l.sessions()).map(|s| s.dropped_frames).sum(),
            connections: get(&c.connections),
            playing: get(&c.playing),
            sweeps: get(&c.sweeps),
            lateness_us_max: c.lateness_us_max.swap(0, Ordering::Relaxed),
        }
    }

    fn targets(
        &self,
        camera: CameraChoice,
        stream: Option<StreamKind>,
    ) -> Result<Vec<(u16, StreamKind)>, SimError> {
        let cameras = match camera {
            CameraChoice::All => 1..=self.options.cameras,
            CameraChoice::One(n) if (1..=self.options.cameras).contains(&n) => n..=n,
            CameraChoice::One(n) => {
                return Err(SimError::Order(format!(
                    "there is no camera {n}; there are {}",
                    self.options.cameras
                )));
            }
        };
        let kinds: &[StreamKind] = match stream {
            None => &[StreamKind::Main, StreamKind::Sub],
            Some(StreamKind::Main) => &[StreamKind::Main],
            Some(StreamKind::Sub) => &[StreamKind::Sub],
        };
        Ok(cameras.flat_map(|n| kinds.iter().map(move |k| (n, *k))).collect())
    }

    /// Switches a fault on; returns when it is in force. Makes the clip that it needs first.
    ///
    /// # Errors
    /// When there is no such camera, the clip cannot be made, or the simulator has stopped.
    pub fn fault(&self, order: FaultOrder) -> Result<(), SimError> {
        let streams = self
            .targets(order.camera, order.stream)?
            .into_iter()
            .map(|(n, k)| Ok((index(n, k), self.clips.under_fault(n, k, &order.kind)?)))
            .collect::<Result<_, ClipError>>()?;
        self.command(|done| Command::Fault { streams, kind: order.kind, for_ms: order.for_ms, done })
    }

    /// Switches all faults of a camera off, or those of one name.
    ///
    /// # Errors
    /// When there is no such camera, or the simulator has stopped.
    pub fn clear(
        &self,
        camera: CameraChoice,
        stream: Option<StreamKind>,
        name: Option<&str>,
    ) -> Result<(), SimError> {
        let streams = self.targets(camera, stream)?.into_iter().map(|(n, k)| index(n, k)).collect();
        let name = name.map(str::to_owned);
        self.command(|done| Command::Clear { streams, name, done })
    }

    fn command(&self, make: impl FnOnce(SyncSender<()>) -> Command) -> Result<(), SimError> {
        let (done, wait) = sync_channel(1);
        self.commands.send(make(done)).map_err(|_| SimError::Stopped)?;
        self.wake()?;
        wait.recv().map_err(|_| SimError::Stopped)
    }

    fn wake(&self) -> Result<(), SimError> {
        rustix::io::write(&self.wake, &1u64.to_ne_bytes())
            .map(|_| ())
            .map_err(|e| SimError::System { context: "wake the media thread", source: e.into() })
    }
}

/// A running simulator; it stops when dropped.
pub struct CamSim {
    handle: Arc<Handle>,
    control: Option<Control>,
    media: Option<JoinHandle<()>>,
    script: Option<(Arc<Mutex<bool>>, JoinHandle<()>)>,
}

impl std::ops::Deref for CamSim {
    type Target = Handle;
    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl CamSim {
    /// Makes the clips and begins to serve; returns when both addresses accept connections.
    ///
    /// # Errors
    /// When a clip cannot be made, an address is taken, or the fault script is wrong.
    pub fn start(options: Options) -> Result<Self, SimError> {
        let options = Arc::new(options);
        let script = options.faults.as_deref().map(read_script).transpose().map_err(SimError::Order)?;
        raise_file_limit();
        // First, because an address that is taken should not cost a minute of encoding.
        let listeners = listeners(&options)?;
        let clips = ClipStore::new(&options)?;
        let streams = clips.streams()?;
        let rtsp = listeners.first().map_or(options.rtsp, |l| l.address);
        let system = |context| move |e: rustix::io::Errno| SimError::System { context, source: e.into() };
        let flags = rustix::event::EventfdFlags::NONBLOCK | rustix::event::EventfdFlags::CLOEXEC;
        let wake = Arc::new(rustix::event::eventfd(0, flags).map_err(system("make an event counter"))?);
        let shared = Arc::new(Shared {
            devices: Mutex::new(listeners.iter().map(Device::of).collect()),
            ledgers: streams.iter().map(|s| Arc::clone(&s.ledger)).collect(),
            ..Shared::default()
        });
        let seed = options
            .seed
            .map_or_else(random_seed, Ok)
            .map_err(|source| SimError::System { context: "draw a seed", source })?;
        let world = World::new(Arc::clone(&options), streams, Arc::clone(&shared), seed);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (commands, orders) = sync_channel(COMMANDS_MAX);
        let reactor = Reactor::new(world, listeners, Arc::clone(&wake), orders, Arc::clone(&clock))
            .map_err(|source| SimError::System { context: "prepare the media thread", source })?;
        let media = std::thread::Builder::new()
            .name("camsim-media".to_owned())
            .spawn(move || reactor.run())
            .map_err(|source| SimError::System { context: "start the media thread", source })?;
        let started = clock.mono();
        let handle = Arc::new(Handle { options, clips, shared, commands, wake, clock, started, rtsp });
        let mut sim = Self { handle, control: None, media: Some(media), script: None };
        sim.control = Some(control::start(Arc::clone(&sim.handle), sim.options.control)?);
        if let Some(lines) = script {
            sim.script = Some(run_script(Arc::clone(&sim.handle), lines)?);
        }
        Ok(sim)
    }

    /// Where RTSP is served.
    #[must_use]
    pub fn rtsp_address(&self) -> SocketAddr {
        self.rtsp
    }

    /// Where the control API is served.
    #[must_use]
    pub fn control_address(&self) -> SocketAddr {
        self.control.as_ref().map_or(self.options.control, Control::address)
    }

    /// Shorthand for [`Handle::fault`] on one stream of one camera, until cleared.
    ///
    /// # Errors
    /// As [`Handle::fault`].
    pub fn break_stream(&self, camera: u16, stream: StreamKind, kind: FaultKind) -> Result<(), SimError> {
        self.fault(FaultOrder { camera: CameraChoice::One(camera), stream: Some(stream), kind, for_ms: None })
    }

    /// Ends all sessions and threads. The ledger can be read before, or from the value this returns.
    pub fn stop(mut self) -> Arc<Handle> {
        self.halt();
        Arc::clone(&self.handle)
    }

    fn halt(&mut self) {
        if let Some((stop, thread)) = self.script.take() {
            *stop.lock() = true;
            thread.thread().unpark();
            let _ = thread.join();
        }
        if let Some(control) = self.control.take() {
            control.stop();
        }
        if let Some(media) = self.media.take() {
            // When the channel is gone the thread has ended already.
            let _ = self.handle.commands.send(Command::Stop);
            let _ = self.handle.wake();
            let _ = media.join();
        }
    }
}

impl Drop for CamSim {
    fn drop(&mut self) {
        self.halt();
    }
}

/// The loopback address of a device under `--per-address` and `--per-device`, from 1.
#[must_use]
fn device_address(device: u16) -> Ipv4Addr {
    let n = device.saturating_sub(1);
    Ipv4Addr::new(127, 20, (n / ADDRESSES_PER_BLOCK) as u8, (n % ADDRESSES_PER_BLOCK) as u8 + 1)
}

fn listeners(options: &Options) -> Result<Vec<Listener>, SimError> {
    let bind = |address: SocketAddr, cameras| {
        let socket =
            super::reactor::listen(address).map_err(|source| SimError::Listen { address, source })?;
        let address = socket.local_addr().map_err(|source| SimError::Listen { address, source })?;
        Ok::<_, SimError>(Listener { address, cameras, socket: Some(socket) })
    };
    let mut listeners = vec![bind(options.rtsp, None)?];
    if let Some(size) = options.device_size() {
        let port = listeners.first().map_or(0, |l| l.address.port());
        for (device, first) in (1..).zip((1..=options.cameras).step_by(usize::from(size))) {
            let last = first.saturating_add(size - 1).min(options.cameras);
            listeners.push(bind(SocketAddr::from((device_address(device), port)), Some((first, last)))?);
        }
    }
    Ok(listeners)
}

/// Thousands of cameras need thousands of sockets: takes all that the system allows.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A refusal shows itself later as a refused connection.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn random_seed() -> std::io::Result<u64> {
    getrandom::u64().map_err(|e| std::io::Error::other(e.to_string()))
}

/// Plays a fault script; the flag stops it.
fn run_script(
    handle: Arc<Handle>,
    lines: Vec<ScriptLine>,
) -> Result<(Arc<Mutex<bool>>, JoinHandle<()>), SimError> {
    // Clips that faults will need are made now, so that the script keeps its times.
    for line in lines.iter().filter(|l| l.order.kind.needs_clip()) {
        for (n, k) in handle.targets(line.order.camera, line.order.stream)? {
            handle.clips.under_fault(n, k, &line.order.kind)?;
        }
    }
    let stop = Arc::new(Mutex::new(false));
    let stopped = Arc::clone(&stop);
    let start = handle.clock.mono();
    let thread = std::thread::Builder::new()
        .name("camsim-script".to_owned())
        .spawn(move || {
            for line in lines {
                let due = std::time::Duration::from_millis(line.at_ms);
                loop {
                    if *stopped.lock() {
                        return;
                    }
                    let passed = handle.clock.mono().since(start);
                    if passed >= due {
                        break;
                    }
                    std::thread::park_timeout(due - passed);
                }
                if let Err(e) = handle.fault(line.order) {
                    tracing::error!("fault script at {} ms: {e}", line.at_ms);
                }
            }
        })
        .map_err(|source| SimError::System { context: "start the script thread", source })?;
    Ok((stop, thread))
}
