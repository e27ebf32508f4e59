//! The media thread: one epoll loop that accepts, answers, and sends every picture when it is due.
//!
//! No runtime and no lock on the way of a picture: 1,400 streams of 25 pictures a second are 35,000 sends, and a
//! send costs more than all else together.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};

use fengsui_config::clock::Clock;
use rustix::event::{Timespec, epoll};

use super::clip::Clip;
use super::conn::{Conn, End, Outbox, Way};
use super::faults::{ActiveFault, FaultKind, Random};
use super::handlers::{self, Flow};
use super::rtsp::{self, Incoming};
use super::session::{Path, SlowPolicy, Swept};
use super::streams::Stream;
use super::world::{Counters, UdpPair, World};

const TOKEN_WAKE: u64 = 0;
const TOKEN_LISTENERS: u64 = 1;
const TOKEN_UDP: u64 = 1 << 32;
const TOKEN_CONNS: u64 = 1 << 33;
/// Time between looks at time-outs and ends of faults.
const HOUSEKEEPING_US: i64 = 20_000;
/// Bytes of answers (and of garbage faults) that may wait beside the pictures.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Events taken at a time.
const EVENTS_MAX: usize = 1024;

/// What other threads ask of the media thread.
pub enum Command {
    /// Switch a fault on for these streams, each with the clip it needs.
    Fault {
        /// Positions of the streams, with clips.
        streams: Vec<(usize, Option<Arc<Clip>>)>,
        /// What.
        kind: FaultKind,
        /// How long.
        for_ms: Option<u64>,
        /// Told when it is on.
        done: SyncSender<()>,
    },
    /// Switch faults off.
    Clear {
        /// Positions of the streams.
        streams: Vec<usize>,
        /// One kind alone.
        name: Option<String>,
        /// Told when they are off.
        done: SyncSender<()>,
    },
    /// End.
    Stop,
}

/// A listening socket, or the place of one that is closed by a fault.
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// First and last camera that has this address for its own.
    pub cameras: Option<(u16, u16)>,
    /// Open unless a fault closed it.
    pub socket: Option<TcpListener>,
}

/// The media thread's state.
pub struct Reactor {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    commands: Receiver<Command>,
    clock: Arc<dyn Clock>,
    listeners: Vec<Listener>,
    udp: Vec<UdpPair>,
    conns: HashMap<u64, Conn>,
    due: BinaryHeap<Reverse<(i64, u64)>>,
    next_token: u64,
    next_housekeeping_us: i64,
    world: World,
}

impl Reactor {
    /// A reactor that is ready to run.
    ///
    /// # Errors
    /// When epoll is refused.
    pub fn new(
        world: World,
        listeners: Vec<Listener>,
        wake: Arc<OwnedFd>,
        commands: Receiver<Command>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(TOKEN_WAKE), epoll::EventFlags::IN)?;
        for (i, listener) in listeners.iter().enumerate() {
            watch_listener(&epoll, i, listener)?;
        }
        world.publish();
        Ok(Self {
            epoll,
            wake,
            commands,
            clock,
            listeners,
            udp: Vec::new(),
            conns: HashMap::new(),
            due: BinaryHeap::new(),
            next_token: TOKEN_CONNS,
            next_housekeeping_us: 0,
            world,
        })
    }

    fn now_us(&self) -> i64 {
        self.clock.utc().0
    }

    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_MAX);
        loop {
            self.sweep();
            let timeout = self.timeout();
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // Nothing can be served without epoll; the sessions end with their sockets.
                Err(_) => break,
            }
            let mut stop = false;
            for event in &events {
                match event.data.u64() {
                    TOKEN_WAKE => stop |= self.obey(),
                    token if token >= TOKEN_CONNS => self.converse(token, event.flags),
                    token if token >= TOKEN_UDP => self.hear_reports((token - TOKEN_UDP) as usize),
                    token => self.accept((token - TOKEN_LISTENERS) as usize),
                }
            }
            if stop {
                break;
            }
        }
        let tokens: Vec<u64> = self.conns.keys().copied().collect();
        for token in tokens {
            self.end(token, &End::orderly("simulator stopped"));
        }
    }

    /// Until the next due picture, moved up to the next whole sweep.
    fn timeout(&self) -> Timespec {
        let now = self.now_us();
        let due = self.due.peek().map_or(i64::MAX, |Reverse((due, _))| *due).min(self.next_housekeeping_us);
        let sweep = i64::from(self.world.options.sweep_us);
        let wait = if due <= now { 0 } else { (due + sweep - 1).div_euclid(sweep) * sweep - now };
        Timespec { tv_sec: wait / 1_000_000, tv_nsec: (wait % 1_000_000) * 1000 }
    }

    fn sweep(&mut self) {
        let now = self.now_us();
        Counters::add(&self.world.shared.counters.sweeps, 1);
        while let Some(Reverse((due, token))) = self.due.peek().copied().filter(|Reverse((d, _))| *d <= now) {
            self.due.pop();
            self.serve(token, due, now);
        }
        if now >= self.next_housekeeping_us {
            self.next_housekeeping_us = now + HOUSEKEEPING_US;
            self.housekeeping(now);
        }
    }

    /// Sends what is due on one connection.
    fn serve(&mut self, token: u64, due: i64, now: i64) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        while conn.delayed.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, bytes)) = conn.delayed.pop_front() {
                conn.outbox.push(&conn.socket, &bytes);
            }
        }
        let world = &mut self.world;
        let Some(session) = &mut conn.session else { return self.settle(token) };
        let Some(playing) = &session.playing else { return self.settle(token) };
        let Some(stream) = world.streams.get(session.stream) else { return };
        if stream.due_us(playing.next) > due {
            return;
        }
        let policy = SlowPolicy {
            backlog_max: world.options.backlog_max,
            close: world.options.close_slow,
            sent_times: world.options.sent_times,
        };
        let mut way = Way { outbox: &mut conn.outbox, socket: &conn.socket, pictures: 0 };
        let swept = session.sweep(stream, &mut way, policy, now, &mut world.scratch);
        let counters = &world.shared.counters;
        Counters::add(&counters.frames, way.pictures);
        counters.lateness_us_max.fetch_max((now - due).unsigned_abs(), Ordering::Relaxed);
        match swept {
            Swept::Next(at) => {
                self.due.push(Reverse((at, token)));
                self.settle(token);
            }
            Swept::TooSlow => self.end(token, &End::orderly("peer too slow")),
        }
    }

    /// After output: collects statistics, watches for room, ends what failed.
    fn settle(&mut self, token: u64) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        Counters::add(&self.world.shared.counters.bytes, std::mem::take(&mut conn.outbox.fresh));
        if conn.outbox.failed {
            return self.end(token, &End::orderly("write failed: peer has gone"));
        }
        if conn.outbox.waiting() > self.world.options.backlog_max + ANSWER_BYTES_MAX {
            return self.end(token, &End::reset("peer reads nothing"));
        }
        let waits = conn.outbox.waiting() > 0;
        if waits != conn.watches_write {
            conn.watches_write = waits;
            let mut flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
            if waits {
                flags |= epoll::EventFlags::OUT;
            }
            // Cannot fail for a socket that is watched already; if it did, the next picture flushes all the same.
            let _ = epoll::modify(&self.epoll, &conn.socket, epoll::EventData::new_u64(token), flags);
        }
    }

    fn accept(&mut self, at: usize) {
        let now = self.now_us();
        while let Some((Ok((socket, peer)), cameras)) =
            self.listeners.get(at).and_then(|l| Some((l.socket.as_ref()?.accept(), l.cameras)))
        {
            // A camera alone at its address needs no path.
            let camera = cameras.filter(|(first, last)| first == last).map(|(n, _)| n);
            let Ok(local) = socket.local_addr() else { continue };
            let token = self.next_token;
            let ready = socket.set_nonblocking(true).is_ok() && socket.set_nodelay(true).is_ok();
            let data = epoll::EventData::new_u64(token);
            let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
            if !ready || epoll::add(&self.epoll, &socket, data, flags).is_err() {
                continue;
            }
            self.next_token += 1;
            Counters::add(&self.world.shared.counters.connections, 1);
            if let Some(device) = self.world.shared.devices.lock().get_mut(at) {
                device.accepted();
            }
            let conn = Conn {
                token,
                socket,
                peer,
                local,
                camera,
                device: at,
                opening: true,
                named: false,
                input: Vec::new(),
                outbox: Outbox::default(),
                watches_write: false,
                nonce: format!("{:032x}", u128::from(self.world.random.bits())),
                nonce_uses: 0,
                authorised: 0,
                session: None,
                heard_us: now,
                delayed: std::collections::VecDeque::new(),
            };
            self.conns.insert(token, conn);
        }
    }

    /// Reads, answers, and writes what waits.
    fn converse(&mut self, token: u64, flags: epoll::EventFlags) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        if flags.contains(epoll::EventFlags::OUT) {
            conn.outbox.flush(&conn.socket);
        }
        let ended = if flags.intersects(!epoll::EventFlags::OUT) { conn.fill().err() } else { None };
        loop {
            let Some(conn) = self.conns.get_mut(&token) else { return };
            match rtsp::parse(&conn.input) {
                Ok(None) => break,
                Ok(Some((message, length))) => {
                    conn.input.drain(..length);
                    conn.heard_us = self.clock.utc().0;
                    if let Incoming::Request(request) = message {
                        self.answer(token, &request);
                    }
                }
                Err(e) => {
                    let text = rtsp::Response::new(400).to_bytes(None);
                    conn.send(&text);
                    return self.end(token, &End::orderly(e.to_string()));
                }
            }
        }
        match ended {
            Some(end) => self.end(token, &end),
            None => self.settle(token),
        }
    }

    fn answer(&mut self, token: u64, request: &rtsp::Request) {
        let now = self.now_us();
        let Some(conn) = self.conns.get_mut(&token) else { return };
        handlers::count_attempt(&self.world, conn, request, now);
        let flow = handlers::handle(conn, &mut self.world, request, now);
        if conn.session.as_ref().is_some_and(|s| s.playing.is_some()) {
            handlers::has_opened(&self.world, conn);
        }
        match flow {
            Flow::Answer(response) => {
                let bytes = response.to_bytes(request.header("CSeq"));
                let delay_us = answer_delay_us(&self.world, conn, request);
                if delay_us > 0 || !conn.delayed.is_empty() {
                    conn.delayed.push_back((now + delay_us, bytes));
                    self.due.push(Reverse((now + delay_us, token)));
                } else {
                    conn.send(&bytes);
                }
                if let Some((next, at)) =
                    conn.session.as_ref().and_then(|s| Some((s.playing.as_ref()?.next, s.stream)))
                    && request.method == "PLAY"
                    && let Some(stream) = self.world.streams.get(at)
                {
                    self.due.push(Reverse((stream.due_us(next), token)));
                }
            }
            Flow::Raw(bytes, end) => {
                conn.send(bytes);
                self.end(token, &end);
            }
            Flow::Silence => {}
            Flow::End(end) => self.end(token, &end),
        }
        for pair in std::mem::take(&mut self.world.new_udp) {
            let data = epoll::EventData::new_u64(TOKEN_UDP + self.udp.len() as u64);
            // Without it receiver reports go unheard, and the session lives by its requests alone.
            let _ = epoll::add(&self.epoll, &pair.1, data, epoll::EventFlags::IN);
            self.udp.push(pair);
        }
    }

    /// Receiver reports over UDP keep their session alive.
    fn hear_reports(&mut self, at: usize) {
        let now = self.now_us();
        let mut bytes = [0u8; 2048];
        let Some(pair) = self.udp.get(at).map(Arc::clone) else { return };
        while let Ok((_, from)) = pair.1.recv_from(&mut bytes) {
            for conn in self.conns.values_mut() {
                let tracks = conn.session.iter().flat_map(|s| [&s.video, &s.audio]).flatten();
                let heard =
                    tracks.into_iter().any(|t| matches!(&t.path, Path::Udp { rtcp, .. } if *rtcp == from));
                if heard {
                    conn.heard_us = now;
                }
            }
        }
    }

    /// Ends a connection and closes its ledger entry.
    fn end(&mut self, token: u64, end: &End) {
        let now = self.now_us();
        let Some(mut conn) = self.conns.remove(&token) else { return };
        handlers::has_opened(&self.world, &mut conn);
        conn.outbox.flush(&conn.socket);
        Counters::add(&self.world.shared.counters.bytes, conn.outbox.fresh);
        if let Some(session) = conn.session.take() {
            if let Some(stream) = self.world.streams.get_mut(session.stream) {
                stream.sessions = stream.sessions.saturating_sub(1);
            }
            if let Some(playing) = session.playing {
                let mut record = playing.record.lock();
                for (n, key) in conn.outbox.unsent() {
                    record.unsent(n, key);
                }
                record.ended_us = Some(now);
                record.end_reason = Some(end.reason.clone());
            }
        }
        let _ = epoll::delete(&self.epoll, &conn.socket);
        if end.reset {
            // A linger time of zero makes close() send a reset.
            let _ = socket2::SockRef::from(&conn.socket).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    fn housekeeping(&mut self, now: i64) {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let cpu_us = (cpu.tv_sec * 1_000_000 + cpu.tv_nsec / 1000).unsigned_abs();
        self.world.shared.media_cpu_us.store(cpu_us, Ordering::Relaxed);
        let mut changed = false;
        for stream in &mut self.world.streams {
            let ended = stream.faults.expire(now);
            changed |= !ended.is_empty();
            for fault in ended {
                undo(stream, &fault.kind, now);
            }
        }
        if changed {
            self.faults_changed();
        }
        let timeout_us = i64::from(self.world.options.session_timeout) * 1_000_000;
        let (mut playing, mut silent) = (0, Vec::new());
        for conn in self.conns.values() {
            playing += u64::from(conn.session.as_ref().is_some_and(|s| s.playing.is_some()));
            // Ten seconds of grace, as cameras have.
            if timeout_us > 0 && now - conn.heard_us > timeout_us + 10_000_000 {
                silent.push(conn.token);
            }
        }
        self.world.shared.counters.playing.store(playing, Ordering::Relaxed);
        for token in silent {
            self.end(token, &End::orderly("no keep-alive"));
        }
    }

    /// Does what other threads ask; `true` to stop.
    fn obey(&mut self) -> bool {
        let mut counter = [0u8; 8];
        // Only resets the counter; the commands themselves come by the channel.
        let _ = rustix::io::read(&self.wake, &mut counter);
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Stop => return true,
                Command::Fault { streams, kind, for_ms, done } => {
                    let now = self.now_us();
                    for (at, clip) in streams {
                        self.begin_fault(at, clip, &kind, for_ms, now);
                    }
                    self.faults_changed();
                    let _ = done.try_send(());
                }
                Command::Clear { streams, name, done } => {
                    let now = self.now_us();
                    for at in streams {
                        let Some(stream) = self.world.streams.get_mut(at) else { continue };
                        for fault in stream.faults.clear(name.as_deref()) {
                            undo(stream, &fault.kind, now);
                        }
                    }
                    self.faults_changed();
                    let _ = done.try_send(());
                }
            }
        }
        false
    }

    fn begin_fault(
        &mut self,
        at: usize,
        clip: Option<Arc<Clip>>,
        kind: &FaultKind,
        for_ms: Option<u64>,
        now: i64,
    ) {
        let Some(stream) = self.world.streams.get_mut(at) else { return };
        let for_ms =
            if matches!(kind, FaultKind::Reboot {}) { Some(for_ms.unwrap_or(10_000)) } else { for_ms };
        if !kind.once() {
            let until_us = for_ms.map(|ms| now + ms as i64 * 1000);
            stream.faults.add(ActiveFault { kind: kind.clone(), since_us: now, until_us });
        }
        if let Some(clip) = clip {
            stream.clip = clip;
        }
        match kind {
            FaultKind::Drift { ppm } => stream.clock.set_drift(now, *ppm),
            FaultKind::Step { ms } => stream.clock.step_us += ms * 1000,
            FaultKind::TimestampJump { ms } => stream.clock.jump_us += ms * 1000,
            _ => {}
        }
        let tokens: Vec<u64> = self
            .conns
            .values()
            .filter(|c| c.session.as_ref().is_some_and(|s| s.stream == at))
            .map(|c| c.token)
            .collect();
        for token in tokens {
            self.strike(token, at, kind, now);
        }
    }

    /// What a fault does at once to a session that is set up.
    fn strike(&mut self, token: u64, at: usize, kind: &FaultKind, now: i64) {
        let (Some(conn), Some(stream)) = (self.conns.get_mut(&token), self.world.streams.get(at)) else {
            return;
        };
        if let Some(playing) = conn.session.as_ref().and_then(|s| s.playing.as_ref()) {
            playing.record.lock().note(now, format!("fault {}", kind.name()));
        }
        let end = match kind {
            FaultKind::Close { reset } => End { reason: "fault close".to_owned(), reset: *reset },
            FaultKind::Codec { keep: false, .. } => End::orderly("fault codec"),
            FaultKind::Reboot {} => End::reset("fault reboot"),
            FaultKind::Cut {} => End::reset("fault cut"),
            FaultKind::Garbage { bytes, seed } => {
                let mut random = Random::new(*seed);
                let garbage: Vec<u8> = (0..(*bytes).min(1 << 20)).map(|_| random.bits() as u8).collect();
                conn.send(&garbage);
                return self.settle(token);
            }
            FaultKind::TimestampWrap { after_ms } => {
                if let Some(session) = &mut conn.session
                    && let Some(next) = session.playing.as_ref().map(|p| p.next)
                {
                    session.wrap_after(stream, next, *after_ms);
                }
                return;
            }
            _ => return,
        };
        self.end(token, &end);
    }

    /// Opens and closes listeners as faults want, and tells other threads.
    fn faults_changed(&mut self) {
        let cameras = self.world.options.cameras;
        let all_down = (1..=cameras).all(|n| self.world.is_down(n));
        for (i, listener) in self.listeners.iter_mut().enumerate() {
            let down = listener.cameras.map_or(all_down, |(a, b)| (a..=b).all(|n| self.world.is_down(n)));
            if down {
                // Dropping it also takes it out of epoll.
                listener.socket = None;
            } else if listener.socket.is_none() {
                listener.socket = listen(listener.address).ok();
                if watch_listener(&self.epoll, i, listener).is_err() {
                    listener.socket = None;
                }
            }
        }
        self.world.publish();
    }
}

/// Connections that may wait to be accepted: a whole city that comes back at once.
const LISTEN_BACKLOG: i32 = 4096;

/// A listening socket with room for a rush.
///
/// # Errors
/// When the address cannot be had.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

fn watch_listener(epoll: &OwnedFd, at: usize, listener: &Listener) -> std::io::Result<()> {
    if let Some(socket) = &listener.socket {
        socket.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(TOKEN_LISTENERS + at as u64);
        epoll::add(epoll, socket, data, epoll::EventFlags::IN)?;
    }
    Ok(())
}

fn undo(stream: &mut Stream, kind: &FaultKind, now: i64) {
    if kind.needs_clip() {
        stream.clip = Arc::clone(&stream.base);
    }
    if matches!(kind, FaultKind::Drift { .. }) {
        stream.clock.set_drift(now, 0.0);
    }
}

fn answer_delay_us(world: &World, conn: &Conn, request: &rtsp::Request) -> i64 {
    let at =
        handlers::resolve(request.path(), conn.camera).map(|(n, kind, _)| super::streams::index(n, kind));
    let delay = at.and_then(|at| world.streams.get(at)).and_then(|s| {
        s.faults
            .find(|f| if let FaultKind::SlowStart { answer_ms, .. } = f { Some(*answer_ms) } else { None })
    });
    delay.unwrap_or(0) as i64 * 1000
}
