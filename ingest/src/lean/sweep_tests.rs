#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

use fengsui_config::clock::{ManualClock, UtcMicros};

use super::*;

const SHORT: Duration = limits::LEAN_SWEEP_WATCHED;

struct Bench {
    clock: Arc<ManualClock>,
    tempo: Arc<Tempo>,
    sweeps: Arc<Sweeps>,
}

fn bench() -> Bench {
    let clock = Arc::new(ManualClock::at(UtcMicros(0)));
    clock.advance(Duration::from_secs(100));
    let tempo = Arc::<Tempo>::default();
    Bench { sweeps: Sweeps::new(clock.clone(), tempo.clone()), clock, tempo }
}

impl Bench {
    /// Lets `n` short periods pass; counts the calls of each seat.
    fn pass(&self, n: u64, seats: &[Seat]) -> Vec<usize> {
        let mut calls = vec![0; seats.len()];
        for _ in 0..n {
            self.clock.advance(SHORT);
            self.sweeps.turn(self.clock.mono());
            for (count, seat) in calls.iter_mut().zip(seats) {
                *count += usize::from(called(seat));
            }
        }
        calls
    }

    fn settled(&self, n: usize) -> Vec<Seat> {
        let seats: Vec<Seat> = (0..n).map(|_| self.sweeps.seat()).collect();
        self.pass(ticks(limits::LEAN_SETTLE) + 20, &seats);
        seats
    }
}

fn called(seat: &Seat) -> bool {
    seat.called(&Context::from_waker(std::task::Waker::noop()))
}

#[test]
fn watched_streams_are_called_in_every_short_period_and_others_in_every_long_one() {
    let b = bench();
    let seats = b.settled(20);
    assert_eq!(b.pass(50, &seats), [5; 20]);
    seats[3].hurry(true);
    assert!(called(&seats[3]), "at once");
    let calls = b.pass(50, &seats);
    assert_eq!(calls[3], 50);
    assert!(calls.iter().enumerate().all(|(n, c)| n == 3 || *c == 5), "nobody else is hurried: {calls:?}");
    seats[3].hurry(false);
    assert_eq!(b.pass(50, &seats), [5; 20]);
}

#[test]
fn streams_are_spread_evenly_over_the_long_period() {
    let b = bench();
    let seats = b.settled(1400);
    for _ in 0..PHASES {
        assert_eq!(b.pass(1, &seats).iter().sum::<usize>(), 140);
    }
}

#[test]
fn a_new_stream_is_read_often_at_first() {
    let b = bench();
    let seat = [b.sweeps.seat()];
    assert!(called(&seat[0]), "at once");
    assert_eq!(b.pass(ticks(limits::LEAN_SETTLE), &seat), [ticks(limits::LEAN_SETTLE) as usize]);
    assert!(b.pass(50, &seat)[0] <= 6);
}

#[test]
fn after_a_late_turn_everybody_is_called_once() {
    let b = bench();
    let seats = b.settled(40);
    b.clock.advance(Duration::from_secs(30));
    b.sweeps.turn(b.clock.mono());
    assert!(seats.iter().all(called) && !seats.iter().any(called));
    b.clock.advance(limits::LEAN_SWEEP + Duration::from_millis(300));
    b.sweeps.turn(b.clock.mono());
    assert!(seats.iter().all(called));
}

#[test]
fn the_next_turn_is_as_late_as_may_be_and_the_thread_may_rest_until_somebody_waits() {
    let b = bench();
    assert_eq!(b.sweeps.turn(b.clock.mono()), None, "nobody there");
    let seats = b.settled(1);
    let mut turns = 0;
    let end = b.clock.mono() + Duration::from_secs(2);
    while b.clock.mono() < end {
        let next = b.sweeps.turn(b.clock.mono()).unwrap();
        b.clock.advance(next.since(b.clock.mono()));
        turns += 1;
    }
    assert!(turns <= 11, "one stream that nobody watches: {turns} turns in two seconds");
    assert_eq!(b.tempo.next_sweep(), MonoMicros(u64::MAX));
    seats[0].hurry(true);
    let next = b.sweeps.turn(b.clock.mono()).unwrap();
    assert!(next.since(b.clock.mono()) <= SHORT);
    assert_eq!(b.tempo.next_sweep(), next);
}

#[test]
fn streams_that_are_gone_are_forgotten() {
    let b = bench();
    for _ in 0..100 {
        let seats = b.settled(10);
        seats[0].hurry(true);
        drop(seats);
        b.pass(20, &[]);
    }
    let table = b.sweeps.table.lock();
    assert_eq!((table.quick.len(), table.phases.iter().map(Vec::len).sum::<usize>()), (0, 0));
}

#[test]
fn a_goodbye_is_read_to_its_answer_and_not_for_ever() {
    use std::net::TcpListener;
    let b = bench();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = || {
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, listener.accept().unwrap().0)
    };
    let (ours, mut answers) = connect();
    let (silent, mut never) = connect();
    b.sweeps.goodbye(ours, (9, b"TEARDOWN".to_vec()));
    b.sweeps.goodbye(silent, (9, b"TEARDOWN".to_vec()));
    let mut words = [0; 8];
    for device in [&mut answers, &mut never] {
        device.read_exact(&mut words).unwrap();
        assert_eq!(&words, b"TEARDOWN");
    }
    let left = || b.sweeps.table.lock().goodbyes.len();
    answers.write_all(b"$\x00\x00\x04abcdRTSP/1.0 200 OK\r\nCSEQ: 9\r\n\r\n").unwrap();
    while left() == 2 {
        b.pass(1, &[]);
    }
    b.clock.advance(limits::TEARDOWN_TIMEOUT);
    b.pass(1, &[]);
    assert_eq!(left(), 0, "a device that does not answer is left all the same");
}
