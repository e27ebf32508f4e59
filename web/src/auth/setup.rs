//! The way to the first administrator: a one-time token, printed on the console while there is none. Memory holds its
//! hash alone; a new start makes a new token.

use super::random::{self, NoRandom};

/// Digits of the token: base 32 without letters that look like digits (Crockford).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Digits of the token: 100 bits.
const DIGITS: usize = 20;

/// The one-time set-up of a node.
pub struct Setup {
    hash: Option<blake3::Hash>,
    /// Given to whoever prints it, once.
    printed: parking_lot::Mutex<Option<String>>,
}

impl Setup {
    /// A new token, unless there is an administrator already.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn new(has_administrator: bool) -> Result<Self, NoRandom> {
        let token = if has_administrator { None } else { Some(generate(random::bytes()?)) };
        Ok(Self { hash: token.as_deref().map(hash), printed: parking_lot::Mutex::new(token) })
    }

    /// The token for the console; later calls give nothing.
    pub fn take_for_console(&self) -> Option<String> {
        self.printed.lock().take()
    }

    /// True when `typed` is the token, whatever its letter case and hyphens; compared in constant time.
    #[must_use]
    pub fn accepts(&self, typed: &str) -> bool {
        self.hash.is_some_and(|known| known == hash(typed))
    }
}

fn generate(random: [u8; DIGITS]) -> String {
    let mut token = String::with_capacity(DIGITS + 4);
    for (i, byte) in random.iter().enumerate() {
        if i > 0 && i % 5 == 0 {
            token.push('-');
        }
        token.push(char::from(ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'0')));
    }
    token
}

fn hash(typed: &str) -> blake3::Hash {
    let digits: String = typed.chars().filter(char::is_ascii_alphanumeric).collect();
    blake3::hash(digits.to_ascii_uppercase().as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_token_is_shown_once_and_accepted_as_people_type_it() {
        let setup = Setup::new(false).unwrap();
        let token = setup.take_for_console().unwrap();
        assert!(setup.take_for_console().is_none());
        assert_eq!(token.len(), 23);
        assert!(setup.accepts(&token));
        assert!(setup.accepts(&format!(" {} ", token.to_lowercase().replace('-', ""))));
        assert!(!setup.accepts(""));
        assert!(!setup.accepts("00000-00000-00000-00000"));
    }

    #[test]
    fn with_an_administrator_there_is_no_token() {
        let setup = Setup::new(true).unwrap();
        assert!(setup.take_for_console().is_none());
        assert!(!setup.accepts(""));
    }

    #[test]
    fn two_starts_have_two_tokens() {
        let (a, b) = (Setup::new(false).unwrap(), Setup::new(false).unwrap());
        assert!(!b.accepts(&a.take_for_console().unwrap()));
    }
}
