//! The session machine: when to connect, when to give up, when to try again. Pure: it opens no socket, asks no clock
//! and sleeps nowhere; time and outcomes are arguments, and what the driver has to do comes back as an [`Ask`].
//!
//! ```text
//!          want(true)            admitted             unit
//!   Idle ------------> Waiting ------------> Opening -------> Playing <----+
//!    ^                    ^                     |              |  | unit   |
//!    | want(false)        | tick at retry_at    | failed, or   |  v        |
//!    +--- any state       +------ BackOff <-----+ time-out  ---+ Stalled --+
//! ```
//!
//! Invariants (held by `tests::machine_keeps_its_promises`):
//! - two attempts are never closer than `limits::RETRY_FLOOR`, whatever the order of events;
//! - a back-off ends, and within the bound of its class;
//! - every state but Idle, and Waiting while it queues for admission, has a deadline, so nothing stays stuck.

use std::time::Duration;

use fengsui_config::clock::MonoMicros;
use fengsui_config::limits;
use fengsui_storage::board::{FailureClass, SessionState};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// What the driver has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Nothing; wait for an event or for [`Session::deadline`].
    Nothing,
    /// Queue for admission, then call [`Session::admitted`].
    Admission,
    /// Open a connection, then report [`Session::connected`], units, or [`Session::failed`].
    Open,
    /// Drop the connection; the class says why, `None` that it is not wanted any more.
    Close(Option<FailureClass>),
}

/// State with what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not wanted.
    Idle,
    /// Wanted; before `not_before` the floor holds it, after that it queues for admission.
    Waiting { not_before: MonoMicros, queued: bool },
    /// From connect to the first access unit.
    Opening { until: MonoMicros, connected: bool },
    /// Access units arrive.
    Playing { since: MonoMicros, last_unit: MonoMicros },
    /// Connected, but nothing arrives.
    Stalled { since: MonoMicros, until: MonoMicros },
    /// Failed; the next attempt is due at `until`.
    BackOff { until: MonoMicros },
}

/// One stream's session, without its socket.
#[derive(Debug)]
pub struct Session {
    state: State,
    rng: SmallRng,
    failure: Option<FailureClass>,
    /// Failures in a row since the last stable play, by lane.
    ordinary_failures: u32,
    auth_failures: u32,
    /// The credentials were accepted at least once: a single refusal is then more likely a stale nonce than a wrong password.
    credentials_proven: bool,
    last_attempt: Option<MonoMicros>,
    /// When a session without any key frame is called so; `None` once a key frame came.
    key_due: Option<MonoMicros>,
}

impl Session {
    /// A machine that is not wanted yet. `seed` drives the jitter; `last_attempt` is the time of an attempt made by a
    /// predecessor on the same stream, so that the floor also holds across a reconfiguration.
    #[must_use]
    pub fn new(seed: u64, last_attempt: Option<MonoMicros>) -> Self {
        Self {
            state: State::Idle,
            rng: SmallRng::seed_from_u64(seed),
            failure: None,
            ordinary_failures: 0,
            auth_failures: 0,
            credentials_proven: false,
            last_attempt,
            key_due: None,
        }
    }

    /// State as shown on the board.
    #[must_use]
    pub fn state(&self) -> SessionState {
        match self.state {
            State::Idle => SessionState::Idle,
            State::Waiting { .. } => SessionState::Waiting,
            State::Opening { .. } => SessionState::Opening,
            State::Playing { .. } => SessionState::Playing,
            State::Stalled { .. } => SessionState::Stalled,
            State::BackOff { .. } => SessionState::BackOff,
        }
    }

    /// The last failure, kept until the next success.
    #[must_use]
    pub fn failure(&self) -> Option<FailureClass> {
        self.failure
    }

    /// When the last attempt was made.
    #[must_use]
    pub fn last_attempt(&self) -> Option<MonoMicros> {
        self.last_attempt
    }

    /// When the next attempt is due, while one is.
    #[must_use]
    pub fn retry_at(&self) -> Option<MonoMicros> {
        match self.state {
            State::BackOff { until } => Some(until),
            State::Waiting { not_before, queued: false } => Some(not_before),
            _ => None,
        }
    }

    /// When [`Session::tick`] has something to do; `None` when only an event can change the state.
    #[must_use]
    pub fn deadline(&self) -> Option<MonoMicros> {
        match self.state {
            State::Idle | State::Waiting { queued: true, .. } => None,
            State::Waiting { not_before, queued: false } => Some(not_before),
            State::Opening { until, .. } | State::BackOff { until } => Some(until),
            State::Stalled { until, .. } => Some(until),
            State::Playing { last_unit, .. } => {
                let stall = last_unit + limits::STALL_AFTER;
                Some(self.key_due.map_or(stall, |k| k.min(stall)))
            }
        }
    }

    /// The stream is wanted, or not any more.
    pub fn want(&mut self, now: MonoMicros, wanted: bool) -> Ask {
        match (wanted, self.state) {
            (true, State::Idle) => {
                let not_before = self.last_attempt.map_or(now, |at| (at + limits::RETRY_FLOOR).max(now));
                self.state = State::Waiting { not_before, queued: false };
                self.tick(now)
            }
            (false, State::Opening { .. } | State::Playing { .. } | State::Stalled { .. }) => {
                self.rest();
                Ask::Close(None)
            }
            (false, State::Waiting { .. } | State::BackOff { .. }) => {
                self.rest();
                Ask::Nothing
            }
            _ => Ask::Nothing,
        }
    }

    /// The admission asked for is granted. Outside of Waiting (the wish may have gone meanwhile) it is ignored.
    pub fn admitted(&mut self, now: MonoMicros) -> Ask {
        match self.state {
            State::Waiting { queued: true, .. } => {
                self.last_attempt = Some(now);
                self.state = State::Opening { until: now + limits::OPEN_TIMEOUT, connected: false };
                Ask::Open
            }
            _ => Ask::Nothing,
        }
    }

    /// The device answered and agreed to play; access units should follow.
    pub fn connected(&mut self) {
        if let State::Opening { connected, .. } = &mut self.state {
            *connected = true;
        }
    }

    /// A video access unit arrived; `key` when a decoder can start at it.
    pub fn unit(&mut self, now: MonoMicros, key: bool) {
        match self.state {
            State::Opening { .. } => {
                self.credentials_proven = true;
                self.auth_failures = 0;
                self.key_due = Some(now + limits::KEY_FRAME_WAIT_MAX);
                self.state = State::Playing { since: now, last_unit: now };
            }
            State::Stalled { since, .. } => self.state = State::Playing { since, last_unit: now },
            State::Playing { since, .. } => {
                self.state = State::Playing { since, last_unit: now };
                if self.ordinary_failures > 0 && now.since(since) >= limits::SESSION_STABLE_AFTER {
                    self.ordinary_failures = 0;
                }
            }
            State::Idle | State::Waiting { .. } | State::BackOff { .. } => return,
        }
        if key {
            self.key_due = None;
            self.failure = None;
        } else if self.failure == Some(FailureClass::Stalled) && self.key_due.is_none() {
            // It speaks again, in the middle of a group of pictures whose key frame was there before.
            self.failure = None;
        }
    }

    /// The attempt or the session ended by itself.
    pub fn failed(&mut self, now: MonoMicros, class: FailureClass) {
        if matches!(self.state, State::Opening { .. } | State::Playing { .. } | State::Stalled { .. }) {
            self.back_off(now, class);
        }
    }

    /// Time passed: runs whatever is due.
    pub fn tick(&mut self, now: MonoMicros) -> Ask {
        match self.state {
            State::Waiting { not_before, queued: false } if now >= not_before => {
                self.state = State::Waiting { not_before, queued: true };
                Ask::Admission
            }
            State::BackOff { until } if now >= until => {
                self.state = State::Waiting { not_before: until, queued: true };
                Ask::Admission
            }
            State::Opening { until, connected } if now >= until => {
                let class = if connected { FailureClass::Stalled } else { FailureClass::Unreachable };
                self.back_off(now, class);
                Ask::Close(Some(class))
            }
            State::Playing { since, last_unit } => {
                if now.since(last_unit) >= limits::STALL_AFTER {
                    self.failure = Some(FailureClass::Stalled);
                    self.state = State::Stalled { since, until: last_unit + limits::STALL_CLOSE_AFTER };
                } else if self.key_due.is_some_and(|due| now >= due) {
                    self.key_due = None;
                    self.failure = Some(FailureClass::NoKeyFrame);
                }
                Ask::Nothing
            }
            State::Stalled { until, .. } if now >= until => {
                self.back_off(now, FailureClass::Stalled);
                Ask::Close(Some(FailureClass::Stalled))
            }
            _ => Ask::Nothing,
        }
    }

    fn rest(&mut self) {
        self.state = State::Idle;
        self.failure = None;
        self.key_due = None;
    }

    fn back_off(&mut self, now: MonoMicros, class: FailureClass) {
        let delay = self.delay(class);
        // The jitter comes on top of the floor: below it, all that failed at once would come back in step.
        let floor = self.last_attempt.map_or(now, |at| at + limits::RETRY_FLOOR);
        self.failure = Some(class);
        self.key_due = None;
        self.state = State::BackOff { until: now.max(floor) + delay };
    }

    /// Ordinary lane: full jitter, anything from nothing to the ceiling, so that a district whose power returns does not
    /// come back in step. Slow lane: at least half the ceiling, because devices lock an account after a few refusals.
    fn delay(&mut self, class: FailureClass) -> Duration {
        if class == FailureClass::Auth && !std::mem::take(&mut self.credentials_proven) {
            let ceiling = ceiling(limits::BACKOFF_AUTH, self.auth_failures);
            self.auth_failures = self.auth_failures.saturating_add(1);
            return self.rng.random_range(ceiling / 2..=ceiling);
        }
        let ceiling = ceiling(limits::BACKOFF_ORDINARY, self.ordinary_failures);
        self.ordinary_failures = self.ordinary_failures.saturating_add(1);
        self.rng.random_range(Duration::ZERO..=ceiling)
    }
}

/// `first * 2^failures`, at most `max`.
fn ceiling((first, max): (Duration, Duration), failures: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(max)
}

/// Whether a stream is wanted: always (recorded), or while somebody watches and a little longer.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    always: bool,
    viewers: usize,
    linger_until: Option<MonoMicros>,
}

impl Demand {
    /// A demand without viewers.
    #[must_use]
    pub fn new(always: bool) -> Self {
        Self { always, viewers: 0, linger_until: None }
    }

    /// The recording policy changed.
    pub fn set_always(&mut self, always: bool) {
        self.always = always;
    }

    /// The number of viewers changed. When the last one leaves, the stream lingers for `limits::SUB_STREAM_LINGER`.
    pub fn set_viewers(&mut self, now: MonoMicros, viewers: usize) {
        self.linger_until = match (self.viewers, viewers) {
            (1.., 0) => Some(now + limits::SUB_STREAM_LINGER),
            (_, 1..) => None,
            _ => self.linger_until,
        };
        self.viewers = viewers;
    }

    /// Somebody watches right now.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.viewers > 0
    }

    /// Whether the stream is wanted at `now`.
    #[must_use]
    pub fn wanted(&self, now: MonoMicros) -> bool {
        self.always || self.viewers > 0 || self.linger_until.is_some_and(|until| now < until)
    }

    /// When [`Demand::wanted`] may change by time alone.
    #[must_use]
    pub fn deadline(&self, now: MonoMicros) -> Option<MonoMicros> {
        self.linger_until.filter(|until| !self.always && self.viewers == 0 && now < *until)
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
