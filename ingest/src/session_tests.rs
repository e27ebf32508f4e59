#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000;

fn at(s: u64) -> MonoMicros {
    MonoMicros(s * SECOND)
}

fn opened(seed: u64) -> Session {
    let mut s = Session::new(seed, None);
    assert_eq!(s.want(at(0), true), Ask::Admission);
    assert_eq!(s.admitted(at(0)), Ask::Open);
    s
}

fn playing(seed: u64) -> Session {
    let mut s = opened(seed);
    s.connected();
    s.unit(at(1), true);
    assert_eq!(s.state(), SessionState::Playing);
    s
}

/// Earliest second attempt of what was opened at 0.
fn floor() -> MonoMicros {
    at(0) + limits::RETRY_FLOOR
}

#[test]
fn first_attempt_is_made_at_once() {
    assert_eq!(opened(1).state(), SessionState::Opening);
}

#[test]
fn a_new_worker_keeps_the_floor_of_its_predecessor() {
    let mut s = Session::new(1, Some(at(10)));
    assert_eq!(s.want(MonoMicros(10 * SECOND + 1), true), Ask::Nothing);
    assert_eq!(s.state(), SessionState::Waiting);
    assert_eq!(s.retry_at(), Some(at(10) + limits::RETRY_FLOOR));
    assert_eq!(s.tick(at(10) + limits::RETRY_FLOOR), Ask::Admission);
}

#[test]
fn a_device_that_never_answers_is_unreachable() {
    let mut s = opened(1);
    assert_eq!(s.tick(at(9)), Ask::Nothing);
    assert_eq!(s.tick(at(10)), Ask::Close(Some(FailureClass::Unreachable)));
    assert_eq!((s.state(), s.failure()), (SessionState::BackOff, Some(FailureClass::Unreachable)));
}

#[test]
fn a_device_that_agrees_but_sends_nothing_is_stalled() {
    let mut s = opened(1);
    s.connected();
    assert_eq!(s.tick(at(10)), Ask::Close(Some(FailureClass::Stalled)));
}

#[test]
fn silence_stalls_then_closes() {
    let mut s = playing(1);
    assert_eq!(s.deadline(), Some(at(6)));
    assert_eq!(s.tick(at(6)), Ask::Nothing);
    assert_eq!((s.state(), s.failure()), (SessionState::Stalled, Some(FailureClass::Stalled)));
    assert_eq!(s.tick(at(1) + limits::STALL_CLOSE_AFTER), Ask::Close(Some(FailureClass::Stalled)));
    assert_eq!(s.state(), SessionState::BackOff);
}

#[test]
fn a_stalled_session_that_speaks_again_plays_on() {
    let mut s = playing(1);
    s.tick(at(6));
    s.unit(at(7), true);
    assert_eq!((s.state(), s.failure()), (SessionState::Playing, None));
}

#[test]
fn no_key_frame_is_said_and_the_session_kept() {
    let mut s = opened(1);
    s.unit(at(1), false);
    let due = at(1) + limits::KEY_FRAME_WAIT_MAX;
    let mut t = at(2);
    while t < due {
        s.unit(t, false);
        assert_eq!(s.failure(), None);
        t = t + Duration::from_secs(1);
    }
    s.unit(due, false);
    assert_eq!(s.tick(due), Ask::Nothing);
    assert_eq!((s.state(), s.failure()), (SessionState::Playing, Some(FailureClass::NoKeyFrame)));
    s.unit(due, true);
    assert_eq!(s.failure(), None);
}

#[test]
fn a_refused_password_waits_in_the_slow_lane() {
    for seed in 0..200 {
        let mut s = opened(seed);
        let mut now = at(0);
        let mut longest = Duration::ZERO;
        for _ in 0..12 {
            s.failed(now, FailureClass::Auth);
            let wait = s.retry_at().unwrap().since(now);
            assert!(
                wait >= limits::BACKOFF_AUTH.0 / 2 && wait <= limits::BACKOFF_AUTH.1 + limits::RETRY_FLOOR,
                "seed {seed}: {wait:?}"
            );
            longest = longest.max(wait);
            now = s.retry_at().unwrap();
            assert_eq!(s.tick(now), Ask::Admission);
            assert_eq!(s.admitted(now), Ask::Open);
        }
        assert!(longest >= limits::BACKOFF_AUTH.1 / 2, "seed {seed}");
    }
}

#[test]
fn one_refusal_after_a_success_is_taken_for_a_stale_nonce() {
    let mut s = playing(3);
    s.failed(at(2), FailureClass::Auth);
    let first = s.retry_at().unwrap();
    assert!(first.since(floor()) <= limits::BACKOFF_ORDINARY.0);
    s.tick(first);
    s.admitted(first);
    s.failed(first, FailureClass::Auth);
    assert!(s.retry_at().unwrap().since(first) >= limits::BACKOFF_AUTH.0 / 2);
}

#[test]
fn back_off_grows_and_is_forgotten_after_stable_play() {
    let widest = |failures: u32| {
        (0..400)
            .map(|seed| {
                let mut s = playing(seed);
                s.ordinary_failures = failures;
                s.failed(at(2), FailureClass::Closed);
                s.retry_at().unwrap().since(floor())
            })
            .max()
            .unwrap()
    };
    assert!(widest(0) > Duration::from_millis(1800) && widest(0) <= Duration::from_secs(2));
    assert!(widest(2) > Duration::from_secs(7) && widest(2) <= Duration::from_secs(8));
    let most = limits::BACKOFF_ORDINARY.1;
    assert!(widest(30) > most * 9 / 10 && widest(30) <= most);
    let mut s = playing(1);
    s.ordinary_failures = 5;
    s.unit(at(1) + limits::SESSION_STABLE_AFTER, true);
    assert_eq!(s.ordinary_failures, 0);
}

#[test]
fn jitter_spreads_a_returning_district() {
    // 1,000 cameras that were opened together fail at the same moment: no tenth of the first ceiling holds more than a
    // fifth of the retries, although all of them have to wait for the floor.
    let mut tenths = [0_u32; 11];
    for seed in 0..1000 {
        let mut s = playing(seed);
        s.failed(at(2), FailureClass::Closed);
        let wait = s.retry_at().unwrap().since(floor()).as_micros();
        tenths[usize::try_from(wait * 10 / limits::BACKOFF_ORDINARY.0.as_micros()).unwrap()] += 1;
    }
    assert!(tenths.iter().all(|n| *n <= 200), "{tenths:?}");
}

#[test]
fn demand_lingers_after_the_last_viewer() {
    let mut d = Demand::new(false);
    assert!(!d.wanted(at(0)));
    d.set_viewers(at(1), 2);
    d.set_viewers(at(2), 0);
    let end = at(2) + limits::SUB_STREAM_LINGER;
    assert!(d.wanted(at(3)) && !d.watched());
    assert_eq!(d.deadline(at(3)), Some(end));
    assert!(!d.wanted(end));
    assert_eq!(d.deadline(end), None);
    d.set_viewers(end, 0);
    assert!(!d.wanted(end));
    d.set_always(true);
    assert!(d.wanted(end));
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Want(bool),
    Admitted,
    Connected,
    Unit(bool),
    Failed(FailureClass),
    Pass(u64),
    ToDeadline,
}

fn moves() -> impl Strategy<Value = Move> {
    let class = prop::sample::select(vec![
        FailureClass::Unreachable,
        FailureClass::Auth,
        FailureClass::WrongPath,
        FailureClass::NotRtsp,
        FailureClass::Busy,
        FailureClass::Unsupported,
        FailureClass::BadData,
        FailureClass::Closed,
        FailureClass::Internal,
    ]);
    prop_oneof![
        1 => any::<bool>().prop_map(Move::Want),
        4 => Just(Move::Admitted),
        2 => Just(Move::Connected),
        4 => any::<bool>().prop_map(Move::Unit),
        3 => class.prop_map(Move::Failed),
        2 => (0_u64..3_000_000).prop_map(Move::Pass),
        5 => Just(Move::ToDeadline),
    ]
}

fn step(s: &mut Session, now: &mut MonoMicros, m: Move) -> Ask {
    match m {
        Move::Want(w) => s.want(*now, w),
        Move::Admitted => s.admitted(*now),
        Move::Connected => {
            s.connected();
            Ask::Nothing
        }
        Move::Unit(key) => {
            s.unit(*now, key);
            Ask::Nothing
        }
        Move::Failed(class) => {
            s.failed(*now, class);
            Ask::Nothing
        }
        Move::Pass(us) => {
            now.0 += us;
            s.tick(*now)
        }
        Move::ToDeadline => {
            *now = s.deadline().unwrap_or(*now).max(*now);
            s.tick(*now)
        }
    }
}

proptest! {
    #[test]
    fn machine_keeps_its_promises(seed in any::<u64>(), script in prop::collection::vec(moves(), 1..300)) {
        let mut s = Session::new(seed, None);
        let mut now = at(1);
        let mut attempts: Vec<MonoMicros> = Vec::new();
        for m in script {
            let before = s.state();
            let ask = step(&mut s, &mut now, m);
            if ask == Ask::Open {
                if let Some(last) = attempts.last() {
                    prop_assert!(now.since(*last) >= limits::RETRY_FLOOR, "{last:?} then {now:?}");
                }
                attempts.push(now);
            }
            if let Ask::Close(_) = ask {
                prop_assert!(matches!(before, SessionState::Opening | SessionState::Playing | SessionState::Stalled));
            }
            if s.state() == SessionState::BackOff && before != SessionState::BackOff {
                let wait = s.retry_at().unwrap().since(now);
                let bound = if s.failure() == Some(FailureClass::Auth) { limits::BACKOFF_AUTH.1 } else { limits::BACKOFF_ORDINARY.1 };
                prop_assert!(wait <= bound + limits::RETRY_FLOOR, "{wait:?}");
            }
            let free = matches!(s.state, State::Idle | State::Waiting { queued: true, .. });
            prop_assert_eq!(s.deadline().is_none(), free, "{:?} must have a deadline", s.state());
        }
    }

    #[test]
    fn ticking_alone_never_sticks(seed in any::<u64>(), script in prop::collection::vec(moves(), 1..60)) {
        // From wherever the script leaves it, a wanted machine reaches another attempt by time and admission alone.
        let mut s = Session::new(seed, None);
        let mut now = at(1);
        for m in script {
            step(&mut s, &mut now, m);
        }
        s.want(now, true);
        let mut opens = 0;
        for _ in 0..12 {
            if let Some(d) = s.deadline() {
                now = d.max(now);
            }
            let _ = s.tick(now);
            if s.admitted(now) == Ask::Open {
                opens += 1;
            }
        }
        prop_assert!(opens >= 1);
    }
}

#[test]
fn every_state_can_be_reached() {
    let mut seen = BTreeSet::new();
    let mut s = Session::new(9, None);
    seen.insert(format!("{:?}", s.state()));
    s.want(at(0), true);
    seen.insert(format!("{:?}", s.state()));
    s.admitted(at(0));
    seen.insert(format!("{:?}", s.state()));
    s.unit(at(1), true);
    seen.insert(format!("{:?}", s.state()));
    s.tick(at(6));
    seen.insert(format!("{:?}", s.state()));
    s.tick(at(60));
    seen.insert(format!("{:?}", s.state()));
    assert_eq!(seen.len(), 6, "{seen:?}");
    assert_eq!(s.want(at(61), false), Ask::Nothing);
    assert_eq!(s.state(), SessionState::Idle);
}
