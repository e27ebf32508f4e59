//! Media tickets: for players that cannot send a cookie. A ticket names one stream, one range of time and its holder, is
//! signed with a key that lives as long as the process, and ends soon. It stands in an address, so logs hide it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::clock::{Clock, UtcMicros};
use fengsui_config::ids::StreamKey;
use serde::{Deserialize, Serialize};

use super::random::{self, NoRandom};

/// How long a ticket opens its stream.
pub const TICKET_LIFE: Duration = Duration::from_secs(4 * 3600);
/// Longest range of one ticket.
pub const TICKET_RANGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Longest text that can be a ticket.
const TEXT_BYTES_MAX: usize = 1024;

/// What a ticket says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Log-in name of who asked for it.
    pub by: String,
    /// The stream it opens.
    pub key: StreamKey,
    /// Start of the range it opens.
    pub from: UtcMicros,
    /// End of the range it opens.
    pub to: UtcMicros,
    /// When it ends.
    pub expires: UtcMicros,
}

/// Makes and reads tickets.
pub struct Tickets {
    clock: Arc<dyn Clock>,
    secret: [u8; 32],
}

impl Tickets {
    /// Tickets under a new key: those of an earlier process are void.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Self, NoRandom> {
        Ok(Self { clock, secret: random::bytes()? })
    }

    /// A ticket for `by`, and when it ends.
    #[must_use]
    pub fn issue(&self, by: &str, key: StreamKey, from: UtcMicros, to: UtcMicros) -> (String, UtcMicros) {
        let expires = self.clock.utc() + TICKET_LIFE;
        let claims = Claims { by: by.to_owned(), key, from, to, expires };
        let body = serde_json::to_vec(&claims).unwrap_or_default();
        let mark = blake3::keyed_hash(&self.secret, &body);
        (format!("{}.{}", URL_SAFE_NO_PAD.encode(&body), URL_SAFE_NO_PAD.encode(mark.as_bytes())), expires)
    }

    /// What a ticket says, when it is ours and has not ended.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Claims> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (body, mark) = text.split_once('.')?;
        let body = URL_SAFE_NO_PAD.decode(body).ok()?;
        let mark: [u8; 32] = URL_SAFE_NO_PAD.decode(mark).ok()?.try_into().ok()?;
        // blake3 compares hashes in constant time.
        if blake3::keyed_hash(&self.secret, &body) != blake3::Hash::from_bytes(mark) {
            return None;
        }
        let claims: Claims = serde_json::from_slice(&body).ok()?;
        (self.clock.utc() < claims.expires).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use fengsui_config::clock::ManualClock;
    use fengsui_config::ids::StreamKind;

    use super::*;

    fn key() -> StreamKey {
        StreamKey { camera: "33080200001320000001".parse().unwrap(), stream: StreamKind::Main }
    }

    #[test]
    fn a_ticket_opens_what_it_names_until_it_ends() {
        let clock = Arc::new(ManualClock::at(UtcMicros(1_000_000)));
        let tickets = Tickets::new(clock.clone()).unwrap();
        let (text, expires) = tickets.issue("li", key(), UtcMicros(5), UtcMicros(9));
        let claims = tickets.read(&text).unwrap();
        assert_eq!((claims.key, claims.from, claims.to), (key(), UtcMicros(5), UtcMicros(9)));
        assert_eq!(claims.expires, expires);
        clock.advance(TICKET_LIFE);
        assert!(tickets.read(&text).is_none());
    }

    #[test]
    fn a_changed_ticket_and_one_of_another_process_open_nothing() {
        let clock = Arc::new(ManualClock::at(UtcMicros(0)));
        let (ours, other) = (Tickets::new(clock.clone()).unwrap(), Tickets::new(clock).unwrap());
        let (text, _) = ours.issue("li", key(), UtcMicros(5), UtcMicros(9));
        assert!(other.read(&text).is_none());
        let (body, mark) = text.split_once('.').unwrap();
        let forged =
            String::from_utf8(URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap().replace("main", "subs");
        assert!(ours.read(&format!("{}.{mark}", URL_SAFE_NO_PAD.encode(forged))).is_none());
        for text in ["", ".", "a.b", &"x".repeat(5000)] {
            assert!(ours.read(text).is_none());
        }
    }
}
