//! A bad network between two programs: a proxy for TCP whose faults are ordered, or drawn from a seed.
//!
//! Bytes are never changed or left out within a connection: TCP does not do that. They are late, slow, held back, or the
//! connection ends.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Chunks on their way in one direction of one connection.
const CHUNKS_MAX: usize = 64;
const CHUNK_BYTES: usize = 16 << 10;
/// A slow line gives bytes in small pieces.
const SLOW_CHUNK_BYTES: usize = 1 << 10;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing bad.
    None,
    /// Connections end in good order, and none can be made.
    Cut,
    /// Connections end with a reset, and none can be made.
    Reset,
    /// The far end of each connection is gone and nobody told the near one; new ones work.
    HalfOpen,
    /// Nothing arrives, in either direction, and nobody is told.
    BlackHole,
    /// Only what goes to the target arrives.
    OnlyTo,
    /// Only what comes from the target arrives.
    OnlyFrom,
    /// Everything arrives later by about this much.
    Delay(Duration),
    /// So many bytes a second in each direction.
    Slow(u32),
}

#[derive(Debug, Clone, Copy)]
struct Weather {
    fault: Fault,
    /// Grows with each fault that ends connections.
    ended: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    To,
    From,
}

impl Fault {
    fn holds(self, direction: Direction) -> bool {
        match self {
            Self::BlackHole => true,
            Self::OnlyTo => direction == Direction::From,
            Self::OnlyFrom => direction == Direction::To,
            _ => false,
        }
    }

    /// Every fault once, in an order and for times that `seed` draws; between them the network is good for a moment, and
    /// so it is at the end. One of them lasts up to `long`, if that is given.
    #[must_use]
    pub fn shuffled(seed: u64, longest: Duration, long: Option<Duration>) -> Vec<(Self, Duration)> {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut all = [
            Self::Cut,
            Self::Reset,
            Self::HalfOpen,
            Self::BlackHole,
            Self::OnlyTo,
            Self::OnlyFrom,
            Self::Delay(Duration::from_millis(300)),
            Self::Slow(8000),
        ];
        all.shuffle(&mut dice);
        let chosen = dice.random_range(0..all.len());
        let mut plan = Vec::new();
        for (at, fault) in all.into_iter().enumerate() {
            let most = long.filter(|_| at == chosen).unwrap_or(longest);
            plan.push((fault, most.mul_f64(dice.random_range(0.2..1.0))));
            plan.push((Self::None, longest.mul_f64(dice.random_range(0.1..0.5))));
        }
        plan
    }

    /// Faults and how long each lasts, as `seed` has it; between them the network is good, and so it is at the end.
    #[must_use]
    pub fn drawn(seed: u64, count: usize, longest: Duration) -> Vec<(Self, Duration)> {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut plan = Vec::new();
        for _ in 0..count {
            let fault = match dice.random_range(0..8) {
                0 => Self::Cut,
                1 => Self::Reset,
                2 => Self::HalfOpen,
                3 => Self::BlackHole,
                4 => Self::OnlyTo,
                5 => Self::OnlyFrom,
                6 => Self::Delay(Duration::from_millis(300)),
                _ => Self::Slow(8000),
            };
            plan.push((fault, longest.mul_f64(dice.random_range(0.1..1.0))));
            plan.push((Self::None, longest.mul_f64(dice.random_range(0.1..0.5))));
        }
        plan
    }
}

/// The proxy. Everything ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    passed: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

struct Way {
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    passed: Arc<AtomicU64>,
    /// One line for all connections in each direction.
    lines: [Arc<Mutex<()>>; 2],
    seed: u64,
}

impl Proxy {
    /// A proxy before `target`, on a free port of loopback. `seed` draws the unevenness of delays.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (weather, seen) = watch::channel(Weather { fault: Fault::None, ended: 0 });
        let passed = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let lines = [Arc::default(), Arc::default()];
        tasks.spawn(accept(listener, Way { target, weather: seen, passed: passed.clone(), lines, seed }));
        Ok(Self { address, weather, passed, _tasks: tasks })
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that arrived, both directions together.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// Changes what the network does.
    pub fn set(&self, fault: Fault) {
        self.weather.send_modify(|weather| {
            weather.fault = fault;
            weather.ended += u64::from(matches!(fault, Fault::Cut | Fault::Reset | Fault::HalfOpen));
        });
    }

    /// Goes through faults one after another.
    pub async fn play(&self, plan: impl IntoIterator<Item = (Fault, Duration)>) {
        for (fault, lasts) in plan {
            self.set(fault);
            tokio::time::sleep(lasts).await;
        }
        self.set(Fault::None);
    }
}

async fn accept(listener: TcpListener, way: Way) {
    let way = Arc::new(way);
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let near = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((near, _)) = near else { continue };
        number += 1;
        match way.weather.borrow().fault {
            Fault::Cut => drop(near),
            Fault::Reset => reset(&near),
            _ => drop(connections.spawn(connection(near, way.clone(), number))),
        }
    }
}

/// The connection ends with a reset once it is dropped.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn connection(mut near: TcpStream, way: Arc<Way>, number: u64) {
    let mut weather = way.weather.clone();
    let born = weather.borrow().ended;
    // In a black hole not even the connection to the target is made.
    if weather.wait_for(|w| !w.fault.holds(Direction::To) || w.ended > born).await.is_err() {
        return;
    }
    let Ok(mut far) = TcpStream::connect(way.target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ending = async {
        let seen = weather.wait_for(|w| w.ended > born).await;
        seen.map_or(Fault::Cut, |w| w.fault)
    };
    let end = {
        let (near_read, near_write) = near.split();
        let (far_read, far_write) = far.split();
        tokio::select! {
            () = lane(near_read, far_write, Direction::To, &way, number) => Fault::Cut,
            () = lane(far_read, near_write, Direction::From, &way, number) => Fault::Cut,
            fault = ending => fault,
        }
    };
    match end {
        Fault::Reset => {
            reset(&near);
            reset(&far);
        }
        Fault::HalfOpen => {
            drop(far);
            // The near end talks to nobody until it gives up.
            let mut nobody = [0; 1024];
            while near.read(&mut nobody).await.is_ok_and(|n| n > 0) {}
        }
        _ => {}
    }
}

async fn lane(
    mut from: tokio::net::tcp::ReadHalf<'_>,
    mut to: tokio::net::tcp::WriteHalf<'_>,
    direction: Direction,
    way: &Way,
    number: u64,
) {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let mut dice = StdRng::seed_from_u64(way.seed ^ (number << 1) ^ u64::from(direction == Direction::To));
    let read = async {
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Ok(length) = from.read(&mut buffer).await {
            let Some(bytes) = buffer.get(..length).filter(|b| !b.is_empty()) else { break };
            let late = match way.weather.borrow().fault {
                Fault::Delay(about) => about.mul_f64(dice.random_range(0.8..1.2)),
                _ => Duration::ZERO,
            };
            if sender.send((Instant::now() + late, bytes.to_vec())).await.is_err() {
                break;
            }
        }
        drop(sender);
    };
    let write = async {
        let mut weather = way.weather.clone();
        while let Some((at, bytes)) = chunks.recv().await {
            tokio::time::sleep_until(at).await;
            let mut rest: VecDeque<u8> = bytes.into();
            while !rest.is_empty() {
                let Ok(now) = weather.wait_for(|w| !w.fault.holds(direction)).await.map(|w| *w) else {
                    return;
                };
                let piece: Vec<u8> = match now.fault {
                    Fault::Slow(_) => rest.drain(..SLOW_CHUNK_BYTES.min(rest.len())).collect(),
                    _ => rest.drain(..).collect(),
                };
                if let Fault::Slow(rate) = now.fault {
                    let [to_line, from_line] = &way.lines;
                    let line = if direction == Direction::To { to_line } else { from_line };
                    let _mine = line.lock().await;
                    let seconds =
                        f64::from(u32::try_from(piece.len()).unwrap_or(u32::MAX)) / f64::from(rate.max(1));
                    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                }
                if to.write_all(&piece).await.is_err() {
                    return;
                }
                way.passed.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        }
    };
    // The rest is delivered before the connection ends.
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    async fn echo() -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                sessions.spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(n) = stream.read(&mut buffer).await {
                        if n == 0 || stream.write_all(buffer.get(..n).unwrap_or(&[])).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        (address, tasks)
    }

    async fn round(stream: &mut TcpStream, within: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        let talk = async {
            stream.write_all(b"a word").await?;
            let mut word = [0; 6];
            stream.read_exact(&mut word).await
        };
        match tokio::time::timeout(within, talk).await {
            Ok(done) => done.map(|_| began.elapsed()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    #[tokio::test]
    async fn each_fault_does_what_it_says_and_is_over_when_it_is_over() {
        const SHORT: Duration = Duration::from_millis(150);
        const LONG: Duration = Duration::from_secs(10);
        let (target, _echo) = echo().await;
        let proxy = Proxy::start(target, 7).await.unwrap();
        let connect = || TcpStream::connect(proxy.address());
        let mut stream = connect().await.unwrap();
        round(&mut stream, LONG).await.unwrap();
        proxy.set(Fault::Delay(Duration::from_millis(200)));
        assert!(round(&mut stream, LONG).await.unwrap() >= Duration::from_millis(320), "both ways");
        proxy.set(Fault::Slow(60));
        assert!(round(&mut stream, LONG).await.unwrap() >= Duration::from_millis(200), "six bytes, twice");
        for fault in [Fault::BlackHole, Fault::OnlyTo, Fault::OnlyFrom] {
            proxy.set(fault);
            assert_eq!(
                round(&mut stream, SHORT).await.unwrap_err().kind(),
                io::ErrorKind::TimedOut,
                "{fault:?}"
            );
            proxy.set(Fault::None);
            let mut late = [0; 6];
            tokio::time::timeout(LONG, stream.read_exact(&mut late)).await.unwrap().unwrap();
            assert_eq!(&late, b"a word", "held, not lost");
        }
        proxy.set(Fault::HalfOpen);
        assert_eq!(round(&mut stream, SHORT).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let mut fresh = connect().await.unwrap();
        round(&mut fresh, LONG).await.unwrap();
        proxy.set(Fault::Reset);
        assert_eq!(round(&mut fresh, LONG).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        proxy.set(Fault::None);
        let mut again = connect().await.unwrap();
        round(&mut again, LONG).await.unwrap();
        proxy.set(Fault::Cut);
        assert_eq!(again.read(&mut [0; 1]).await.unwrap(), 0, "ended in good order");
        assert_eq!(Fault::drawn(3, 9, LONG), Fault::drawn(3, 9, LONG));
        assert_ne!(Fault::drawn(3, 9, LONG), Fault::drawn(4, 9, LONG));
        let plan = Fault::shuffled(3, SHORT, Some(LONG));
        assert_eq!(plan, Fault::shuffled(3, SHORT, Some(LONG)));
        assert_ne!(plan, Fault::shuffled(4, SHORT, Some(LONG)));
        let bad: Vec<_> = plan.iter().filter(|(fault, _)| *fault != Fault::None).collect();
        assert_eq!((bad.len(), bad.iter().filter(|(_, lasts)| *lasts > SHORT).count()), (8, 1));
    }
}
