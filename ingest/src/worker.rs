//! The worker of one stream: drives the session machine with real sockets and real time. One task; it touches neither
//! disk nor database. Whatever happens in it, a panic included, stays with this one stream.

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use fengsui_config::clock::{Clock, MonoMicros};
use fengsui_storage::board::{Board, FailureClass, SessionState};
use fengsui_storage::frame::GapReason;
use fengsui_storage::hub::{Hub, StreamHub};
use futures::FutureExt;
use tokio::sync::watch;

use crate::admission::{Admission, Permit};
use crate::assemble::{Assembler, Taken};
use crate::clockmap::Arrival;
use crate::failure::{Failure, gap_reason, timed};
use crate::runtime::Pace;
use crate::session::{Ask, Demand, Session};
use crate::show::{HubOutput, Show};
use crate::source::{Opener, Source};
use crate::spec::StreamSpec;

/// Items taken from one session before other sessions get their turn.
const ITEMS_PER_TURN_MAX: usize = 256;
/// How long an attempt is hurried for, and holds one of the node's places.
const OPENING_QUICK_MAX: Duration = Duration::from_secs(2);
/// Interval in which counters are carried to the board.
const SHOW_INTERVAL: Duration = Duration::from_secs(1);

/// What all workers share.
pub(crate) struct Shared {
    pub clock: Arc<dyn Clock>,
    pub hub: Arc<Hub>,
    pub board: Arc<Board>,
    pub opener: Arc<dyn Opener>,
    pub admission: Admission,
    pub pace: Arc<Pace>,
    pub panics: AtomicU64,
}

/// What the fleet tells a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Go on; the stream is due always, or only while somebody watches.
    Run { always: bool },
    /// End; the reason of the absence that follows.
    Leave(GapReason),
}

/// One stream's worker.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    spec: StreamSpec,
    control: Control,
    session: Session,
    demand: Demand,
    show: Show,
    stream: Arc<StreamHub>,
    /// Start of the last attempt in microseconds, 0 for none: outlives the worker, so that its successor keeps the floor.
    last_attempt: Arc<AtomicU64>,
    permit: Option<Permit>,
    /// Class of the failure last written to the log, until the stream plays.
    reported: Option<FailureClass>,
}

/// What can change from outside while a session runs.
struct Control {
    command: watch::Receiver<Command>,
    viewers: watch::Receiver<usize>,
}

impl Control {
    /// Waits for a change; false when the fleet is gone.
    async fn changed(&mut self) -> bool {
        tokio::select! {
            told = self.command.changed() => told.is_ok(),
            // The stream's hub is held by the worker, so this sender lives as long as we do.
            _ = self.viewers.changed() => true,
        }
    }
}

/// Why the reading of a session was left.
enum Pause {
    /// Command or viewers changed; false: the fleet is gone.
    Control(bool),
    /// The machine's deadline has come.
    Deadline,
    /// The session ended.
    Ended(Failure),
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        spec: StreamSpec,
        command: watch::Receiver<Command>,
        seed: u64,
        last_attempt: Arc<AtomicU64>,
    ) -> Self {
        let now = shared.clock.utc();
        let stream = shared.hub.stream(spec.key);
        let show = Show::new(shared.board.place(spec.key, now), shared.clock.clone());
        let viewers = stream.watch_viewers();
        let before = Some(last_attempt.load(Ordering::Relaxed)).filter(|at| *at > 0).map(MonoMicros);
        Self {
            control: Control { command, viewers },
            session: Session::new(seed, before),
            demand: Demand::new(spec.always),
            show,
            stream,
            last_attempt,
            permit: None,
            reported: None,
            shared,
            spec,
        }
    }

    /// Runs until told to leave; returns the reason of the absence that follows.
    pub(crate) async fn run(mut self) -> GapReason {
        let mut ask = Ask::Nothing;
        loop {
            if let Some(asked) = self.obey() {
                ask = asked;
            }
            if let Some(reason) = self.leaving() {
                self.show.idle();
                self.stream.end(reason);
                return reason;
            }
            self.show.session(&self.session);
            ask = match ask {
                Ask::Admission => self.queue().await,
                Ask::Open => self.guarded_attempt().await,
                Ask::Nothing | Ask::Close(_) => self.rest().await,
            };
        }
    }

    fn now(&self) -> MonoMicros {
        self.shared.clock.mono()
    }

    fn leaving(&self) -> Option<GapReason> {
        match *self.control.command.borrow() {
            Command::Leave(reason) => Some(reason),
            // The fleet was dropped without a stop: the node goes down.
            Command::Run { .. } if self.control.command.has_changed().is_err() => Some(GapReason::NodeDown),
            Command::Run { .. } => None,
        }
    }

    /// Takes commands and viewers into account. `Some` when the machine asks for something else than before.
    fn obey(&mut self) -> Option<Ask> {
        let now = self.now();
        let command = *self.control.command.borrow_and_update();
        if let Command::Run { always } = command {
            self.demand.set_always(always);
        }
        let viewers = *self.control.viewers.borrow_and_update();
        self.demand.set_viewers(now, viewers);
        let wanted = self.demand.wanted(now) && !matches!(command, Command::Leave(_));
        let before = self.session.state();
        let ask = self.session.want(now, wanted);
        if self.session.state() == before {
            return None;
        }
        if !wanted {
            self.permit = None;
            self.show.idle();
            if !matches!(command, Command::Leave(_)) {
                self.stream.end(GapReason::Policy);
            }
        }
        Some(ask)
    }

    fn until_deadline(&self) -> Duration {
        let now = self.now();
        let next = [self.session.deadline(), self.demand.deadline(now)].into_iter().flatten().min();
        next.map_or(Duration::from_secs(3600), |at| at.since(now))
    }

    /// Waits for a command, a viewer or a deadline.
    async fn rest(&mut self) -> Ask {
        let wait = self.until_deadline();
        tokio::select! {
            _ = self.control.changed() => Ask::Nothing,
            () = tokio::time::sleep(wait) => {
                let now = self.now();
                self.session.tick(now)
            }
        }
    }

    /// Waits for admission.
    async fn queue(&mut self) -> Ask {
        let device = self.spec.target.device();
        let shared = self.shared.clone();
        let wait = self.demand.deadline(self.now()).map(|at| at.since(self.now()));
        tokio::select! {
            permit = shared.admission.enter(&device) => {
                self.permit = permit;
                let now = self.now();
                self.last_attempt.store(now.0.max(1), Ordering::Relaxed);
                self.session.admitted(now)
            }
            // Still queued afterwards, unless the wish is gone.
            _ = self.control.changed() => Ask::Admission,
            () = tokio::time::sleep(wait.unwrap_or(Duration::from_secs(3600))) => Ask::Admission,
        }
    }

    /// One attempt; a panic in it counts as a failure of this stream and of nothing else.
    async fn guarded_attempt(&mut self) -> Ask {
        let ended = AssertUnwindSafe(self.attempt()).catch_unwind().await;
        self.permit = None;
        match ended {
            Ok(ask) => ask,
            Err(_panic) => {
                self.shared.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(stream = %self.spec.key, "the worker of a stream ended by a panic; it is started again");
                self.fail(Failure::new(FailureClass::Internal, "A fault of this program ended the session."));
                Ask::Nothing
            }
        }
    }

    /// Opens a session and reads it to its end.
    async fn attempt(&mut self) -> Ask {
        // A device that does not answer within a moment is not worth hurrying for, nor a place that others wait for.
        let quick_until = self.now() + OPENING_QUICK_MAX;
        let mut hurry = Some(self.shared.pace.open());
        let mut opening = self.shared.opener.open(self.spec.target.clone());
        let mut source = loop {
            let mut wait = self.until_deadline();
            if hurry.is_some() {
                wait = wait.min(quick_until.since(self.now()));
            }
            let pause = tokio::select! {
                opened = &mut opening => match opened {
                    Ok(source) => break source,
                    Err(failure) => Pause::Ended(failure),
                },
                alive = self.control.changed() => Pause::Control(alive),
                () = tokio::time::sleep(wait) => Pause::Deadline,
            };
            if self.now() >= quick_until {
                hurry = None;
                self.permit.iter_mut().for_each(Permit::leave_node);
            }
            if let Some(ask) = self.resolve(pause) {
                return ask;
            }
        };
        self.session.connected();
        self.show.opened();
        self.permit = None;
        drop(hurry);
        let mut assembler = Assembler::default();
        loop {
            source.hurry(self.demand.watched());
            let pause = self.read(source.as_mut(), &mut assembler).await;
            if let Some(ask) = self.resolve(pause) {
                self.show.counters(&assembler, self.shared.clock.mono());
                return ask;
            }
        }
    }

    /// `Some` when the attempt is over.
    fn resolve(&mut self, pause: Pause) -> Option<Ask> {
        let ask = match pause {
            Pause::Ended(failure) => {
                self.fail(failure);
                return Some(Ask::Nothing);
            }
            Pause::Control(false) => return Some(Ask::Nothing),
            Pause::Control(true) => self.obey().unwrap_or(Ask::Nothing),
            Pause::Deadline => {
                let now = self.now();
                let failure = self.session.failure();
                let ask = self.session.tick(now);
                if self.session.failure() != failure
                    && let Some(class) = self.session.failure()
                {
                    self.report(timed(class));
                    // A stalled session may speak again and lose nothing; its gap begins when it is closed.
                    if class == FailureClass::NoKeyFrame {
                        self.stream.end(gap_reason(class));
                    }
                }
                // A sub-stream's lingering may have run out at the same time.
                if ask == Ask::Nothing { self.obey().unwrap_or(Ask::Nothing) } else { ask }
            }
        };
        self.show.session(&self.session);
        match ask {
            Ask::Close(Some(class)) => {
                self.report(timed(class));
                self.stream.end(gap_reason(class));
                Some(Ask::Nothing)
            }
            Ask::Close(None) => Some(Ask::Nothing),
            Ask::Nothing | Ask::Admission | Ask::Open => None,
        }
    }

    fn fail(&mut self, failure: Failure) {
        let now = self.now();
        self.session.failed(now, failure.class);
        self.stream.end(gap_reason(failure.class));
        self.report(failure);
    }

    fn report(&mut self, failure: Failure) {
        let (stream, class, detail) = (self.spec.key, failure.class, &failure.detail);
        // Said once: a camera that stays away for a day must not fill the log.
        if self.reported.replace(class) == Some(class) {
            tracing::debug!(%stream, ?class, %detail, "camera stream failed again");
        } else {
            tracing::warn!(%stream, ?class, %detail, "camera stream failed");
        }
        self.show.failure(failure, &self.session);
    }

    /// Reads until something else has to be done. The session is polled first and drained, so that in steady state a
    /// wake-up costs one look at the other two sources of events, not one per access unit.
    async fn read(&mut self, source: &mut dyn Source, assembler: &mut Assembler) -> Pause {
        let wait = self.until_deadline();
        let Self { control, session, show, stream, shared, reported, .. } = self;
        let mut reader = Reader {
            source,
            assembler,
            session,
            show,
            stream,
            clock: &*shared.clock,
            spec: &self.spec,
            reported,
        };
        let mut changed = pin!(control.changed());
        let mut deadline = pin!(tokio::time::sleep(wait));
        std::future::poll_fn(move |cx| {
            if let Poll::Ready(failure) = reader.drain(cx) {
                return Poll::Ready(Pause::Ended(failure));
            }
            if let Poll::Ready(alive) = changed.as_mut().poll(cx) {
                return Poll::Ready(Pause::Control(alive));
            }
            deadline.as_mut().poll(cx).map(|()| Pause::Deadline)
        })
        .await
    }
}

/// What reading touches.
struct Reader<'a> {
    source: &'a mut dyn Source,
    assembler: &'a mut Assembler,
    session: &'a mut Session,
    show: &'a mut Show,
    stream: &'a StreamHub,
    clock: &'a dyn Clock,
    spec: &'a StreamSpec,
    reported: &'a mut Option<FailureClass>,
}

impl Reader<'_> {
    /// Takes what is there; ready when the session ended.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        for _ in 0..ITEMS_PER_TURN_MAX {
            let item = match self.source.poll_next(cx) {
                Poll::Ready(Ok(item)) => item,
                Poll::Ready(Err(failure)) => return Poll::Ready(failure),
                Poll::Pending => return Poll::Pending,
            };
            let arrival = Arrival { utc: self.clock.utc(), mono: self.clock.mono() };
            match self.assembler.take(item, arrival, &mut HubOutput(self.stream)) {
                Ok(Taken::Video { key }) => self.picture(arrival, key),
                Ok(Taken::Other) => {}
                Err(failure) => return Poll::Ready(failure),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn picture(&mut self, arrival: Arrival, key: bool) {
        let before = (self.session.state(), self.session.failure());
        self.session.unit(arrival.mono, key);
        if before != (self.session.state(), self.session.failure()) {
            if before.0 == SessionState::Opening {
                tracing::info!(stream = %self.spec.key, "camera stream plays");
            }
            if self.session.failure().is_none() {
                *self.reported = None;
            }
            self.show.session(self.session);
        }
        if let Some(step) = self.assembler.take_step() {
            tracing::warn!(stream = %self.spec.key, ?step, "clock step: a new run begins");
        }
        if self.show.due(arrival.mono, SHOW_INTERVAL) {
            self.show.counters(self.assembler, arrival.mono);
        }
    }
}

/// Only so that the type's size stays out of every future that holds one.
pub(crate) fn boxed(worker: Worker) -> Pin<Box<dyn Future<Output = GapReason> + Send>> {
    Box::pin(worker.run())
}
