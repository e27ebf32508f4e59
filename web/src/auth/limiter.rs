//! Slows down guessing: at most `limits::LOGIN_ATTEMPTS_PER_MINUTE_MAX` failed attempts an address and minute.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock, MonoMicros};
use fengsui_config::limits;
use parking_lot::Mutex;

const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered; when more guess at once, the oldest windows are forgotten first.
const ADDRESSES_MAX: usize = 10_000;

/// Attempts by address.
pub struct Limiter {
    clock: Arc<dyn Clock>,
    windows: Mutex<HashMap<IpAddr, Window>>,
}

struct Window {
    started: MonoMicros,
    attempts: u32,
}

impl Limiter {
    /// A limiter that has seen nobody.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, windows: Mutex::new(HashMap::new()) }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// The time to wait, when the address has used up its attempts.
    pub fn attempt(&self, address: IpAddr) -> Result<(), Duration> {
        let now = self.clock.mono();
        let address = canonical(address);
        let mut windows = self.windows.lock();
        if windows.len() >= ADDRESSES_MAX && !windows.contains_key(&address) {
            windows.retain(|_, w| now.since(w.started) < WINDOW);
            if windows.len() >= ADDRESSES_MAX
                && let Some(oldest) = windows.iter().min_by_key(|(_, w)| w.started).map(|(a, _)| *a)
            {
                windows.remove(&oldest);
            }
        }
        let window = windows.entry(address).or_insert(Window { started: now, attempts: 0 });
        let age = now.since(window.started);
        if age >= WINDOW {
            *window = Window { started: now, attempts: 0 };
        } else if window.attempts >= limits::LOGIN_ATTEMPTS_PER_MINUTE_MAX {
            return Err(WINDOW.saturating_sub(age));
        }
        window.attempts += 1;
        Ok(())
    }

    /// Gives an attempt back: it was right.
    pub fn forgive(&self, address: IpAddr) {
        if let Some(window) = self.windows.lock().get_mut(&canonical(address)) {
            window.attempts = window.attempts.saturating_sub(1);
        }
    }
}

/// One window for an IPv4 address however it arrives, and one for each IPv6 /64, which is what one person gets.
fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use fengsui_config::clock::{ManualClock, UtcMicros};

    use super::*;

    #[test]
    fn an_address_waits_for_its_next_minute_and_disturbs_no_other() {
        let clock = Arc::new(ManualClock::at(UtcMicros(0)));
        let limiter = Limiter::new(clock.clone());
        let (bad, good): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..limits::LOGIN_ATTEMPTS_PER_MINUTE_MAX {
            limiter.attempt(bad).unwrap();
        }
        clock.advance(Duration::from_secs(20));
        assert_eq!(limiter.attempt(bad), Err(Duration::from_secs(40)));
        limiter.attempt(good).unwrap();
        clock.advance(Duration::from_secs(40));
        limiter.attempt(bad).unwrap();
    }

    #[test]
    fn right_attempts_do_not_count() {
        let limiter = Limiter::new(Arc::new(ManualClock::at(UtcMicros(0))));
        let address: IpAddr = "::1".parse().unwrap();
        for _ in 0..100 {
            limiter.attempt(address).unwrap();
            limiter.forgive(address);
        }
    }

    #[test]
    fn neighbours_of_one_ipv6_network_share_a_window() {
        let limiter = Limiter::new(Arc::new(ManualClock::at(UtcMicros(0))));
        for i in 0..limits::LOGIN_ATTEMPTS_PER_MINUTE_MAX {
            limiter.attempt(format!("2001:db8::{i:x}").parse().unwrap()).unwrap();
        }
        assert!(limiter.attempt("2001:db8::ffff".parse().unwrap()).is_err());
        assert!(limiter.attempt("2001:db8:0:1::1".parse().unwrap()).is_ok());
    }
}
