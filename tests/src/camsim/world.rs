//! What all connections share: the streams, the UDP sockets, random numbers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::faults::{ActiveFault, FaultKind, Random};
use super::ledger::StreamLedger;
use super::options::Options;
use super::streams::{Stream, StreamFacts};

/// Tries to find two neighbouring free ports.
const PORT_PAIR_TRIES: u32 = 64;

/// Totals since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes given to TCP sockets.
    pub bytes: AtomicU64,
    /// Pictures sent.
    pub frames: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Sessions that play now.
    pub playing: AtomicU64,
    /// Sweeps of the media thread.
    pub sweeps: AtomicU64,
    /// Latest a picture went out after it was due, in microseconds, since the last look.
    pub lateness_us_max: AtomicU64,
}

/// Totals and own cost, as `/stats` tells them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Seconds since the start.
    pub uptime_s: f64,
    /// CPU seconds of this process, all threads, user and system.
    pub cpu_s: f64,
    /// CPU seconds of the media thread alone.
    pub media_cpu_s: f64,
    /// Bytes given to TCP sockets.
    pub bytes: u64,
    /// Pictures sent.
    pub frames: u64,
    /// Pictures dropped.
    pub drops: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Sessions that play now.
    pub playing: u64,
    /// Sweeps of the media thread.
    pub sweeps: u64,
    /// Latest a picture went out after it was due, in microseconds, since the last look.
    pub lateness_us_max: u64,
}

/// What one address saw. Of connections that have not come to PLAY yet it is said that they are opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Where it listens.
    pub address: SocketAddr,
    /// First and last camera that has this address for its own; all cameras without.
    pub cameras: Option<(u16, u16)>,
    /// Connections accepted.
    pub connections: u64,
    /// Connections that are opening now.
    pub opening: u32,
    /// Most of them at once since the last look.
    pub opening_max: u32,
}

impl Device {
    /// Of a listener that has seen nothing yet.
    #[must_use]
    pub fn of(listener: &super::reactor::Listener) -> Self {
        let (address, cameras) = (listener.address, listener.cameras);
        Self { address, cameras, connections: 0, opening: 0, opening_max: 0 }
    }

    /// A connection was accepted.
    pub fn accepted(&mut self) {
        self.connections += 1;
        self.opening += 1;
        self.opening_max = self.opening_max.max(self.opening);
    }

    /// A connection plays, or ended before it did.
    pub fn opened(&mut self) {
        self.opening = self.opening.saturating_sub(1);
    }
}

/// What the media thread lets others read.
#[derive(Debug, Default)]
pub struct Shared {
    /// Totals.
    pub counters: Counters,
    /// CPU time of the media thread in microseconds.
    pub media_cpu_us: AtomicU64,
    /// Facts of all streams.
    pub facts: Mutex<Vec<StreamFacts>>,
    /// What each address saw.
    pub devices: Mutex<Vec<Device>>,
    /// Ledgers of all streams.
    pub ledgers: Vec<Arc<StreamLedger>>,
    /// Faults of all streams.
    pub faults: Mutex<Vec<Vec<ActiveFault>>>,
}

impl Counters {
    /// Adds up.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// A pair of UDP sockets for RTP and RTCP.
pub type UdpPair = Arc<(UdpSocket, UdpSocket)>;

/// What all connections share.
pub struct World {
    /// What the simulator is to be.
    pub options: Arc<Options>,
    /// All streams; see [`super::streams::index`].
    pub streams: Vec<Stream>,
    /// Nonces, SSRC, sequence numbers.
    pub random: Random,
    /// Sessions so far.
    pub session_count: u64,
    /// For other threads.
    pub shared: Arc<Shared>,
    /// Working room for one picture.
    pub scratch: Vec<u8>,
    udp: HashMap<IpAddr, UdpPair>,
    /// RTCP sockets that epoll does not watch yet.
    pub new_udp: Vec<UdpPair>,
}

impl World {
    /// A world of these streams.
    #[must_use]
    pub fn new(options: Arc<Options>, streams: Vec<Stream>, shared: Arc<Shared>, seed: u64) -> Self {
        Self {
            options,
            streams,
            random: Random::new(seed),
            session_count: 0,
            shared,
            scratch: Vec::new(),
            udp: HashMap::new(),
            new_udp: Vec::new(),
        }
    }

    /// The sockets that send from this address.
    pub fn udp(&mut self, local: IpAddr) -> Option<UdpPair> {
        if let Some(pair) = self.udp.get(&local) {
            return Some(Arc::clone(pair));
        }
        let pair = Arc::new(bind_pair(local)?);
        self.udp.insert(local, Arc::clone(&pair));
        self.new_udp.push(Arc::clone(&pair));
        Some(pair)
    }

    /// Whether a camera is to look switched off from outside.
    #[must_use]
    pub fn is_down(&self, camera: u16) -> bool {
        let main = super::streams::index(camera, fengsui_config::ids::StreamKind::Main);
        self.streams
            .get(main)
            .is_some_and(|s| s.faults.any(|f| matches!(f, FaultKind::Refuse {} | FaultKind::Reboot {})))
    }

    /// Shows the present facts and faults to other threads.
    pub fn publish(&self) {
        *self.shared.facts.lock() = self.streams.iter().map(Stream::facts).collect();
        *self.shared.faults.lock() = self.streams.iter().map(|s| s.faults.all().to_vec()).collect();
    }
}

/// An even port for RTP and the next for RTCP (RFC 3550 section 11).
fn bind_pair(local: IpAddr) -> Option<(UdpSocket, UdpSocket)> {
    (0..PORT_PAIR_TRIES).find_map(|_| {
        let rtp = UdpSocket::bind(SocketAddr::new(local, 0)).ok()?;
        let port = rtp.local_addr().ok()?.port();
        if port % 2 != 0 {
            return None;
        }
        let rtcp = UdpSocket::bind(SocketAddr::new(local, port.checked_add(1)?)).ok()?;
        rtp.set_nonblocking(true).ok()?;
        rtcp.set_nonblocking(true).ok()?;
        Some((rtp, rtcp))
    })
}
