//! Log-in sessions. Memory and journal hold the hash of a session's id, so that a dump of either opens nothing; after a restart
//! they go on as the journal says ([`Kept`]).

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::Duration;

use fengsui_config::clock::{Clock, MonoMicros, UtcMicros};
use fengsui_config::limits;
use parking_lot::Mutex;
use serde_json::Value;

use super::accounts::{Account, Accounts, Role};
use super::kept::Kept;
use super::random::{self, NoRandom};
use super::rights::Right;

/// A session's place in memory: the hash of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    fn of(id: &str) -> Self {
        Self(*blake3::hash(id.as_bytes()).as_bytes())
    }

    /// As the journal writes it: BLAKE3 of the id, hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(self.0)
    }

    /// Writes it into the body of a record.
    pub fn write(&self, body: &mut Value, member: &str) {
        if let Some(body) = body.as_object_mut() {
            body.insert(member.to_owned(), self.hash().into());
        }
    }
}

/// Who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Log-in name.
    pub name: Arc<str>,
    /// Roles.
    pub roles: Arc<[Role]>,
}

impl User {
    /// The holder of an account.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self { name: account.name.as_str().into(), roles: account.roles.as_slice().into() }
    }

    /// True when their roles allow it.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        right.is_had(&self.roles)
    }
}

/// A session that is not open yet. Nothing prints it: its id opens everything.
pub struct NewSession {
    /// Its id, which only the cookie keeps.
    pub id: String,
    /// Its place.
    pub key: SessionKey,
}

impl NewSession {
    /// One of 256 random bits.
    ///
    /// # Errors
    /// When the machine gives none.
    pub fn new() -> Result<Self, NoRandom> {
        let id = URL_SAFE_NO_PAD.encode(random::bytes::<32>()?);
        let key = SessionKey::of(&id);
        Ok(Self { id, key })
    }
}

struct Session {
    user: User,
    /// When it ends, however much it is used.
    until: MonoMicros,
    used: MonoMicros,
}

/// All sessions of a node.
pub struct Sessions {
    clock: Arc<dyn Clock>,
    open: Mutex<HashMap<SessionKey, Session>>,
}

/// Sessions open at once; the least used one ends when there are more.
pub(super) const SESSIONS_MAX: usize = 4096;
/// How long one lives at most: twice the time it may lie unused.
pub(super) const LIFE_MAX: Duration = limits::SESSION_IDLE_MAX.saturating_mul(2);

impl Sessions {
    /// No session yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, open: Mutex::new(HashMap::new()) }
    }

    /// Opens a session.
    pub fn open(&self, key: SessionKey, user: User) {
        let now = self.clock.mono();
        self.put(key, Session { user, until: now + LIFE_MAX, used: now });
    }

    /// Goes on with the sessions that were open when the node ended, of accounts that may still log in. How long one lay unused
    /// before is not known; its whole life is bounded all the same.
    pub fn resume(&self, kept: &Kept, accounts: &Accounts) {
        let (now, utc) = (self.clock.mono(), self.clock.utc());
        for (hash, since) in kept.all() {
            let mut key = SessionKey([0; 32]);
            let account = accounts.get(&since.name).filter(|account| !account.disabled);
            let (Some(account), Ok(())) = (account, hex::decode_to_slice(hash, &mut key.0)) else { continue };
            let until = now + LIFE_MAX.saturating_sub(age(since.at_us, utc));
            self.put(key, Session { user: User::of(account), until, used: now });
        }
    }

    fn put(&self, key: SessionKey, session: Session) {
        let now = session.used;
        let mut open = self.open.lock();
        if open.len() >= SESSIONS_MAX {
            open.retain(|_, s| alive(s, now));
            if open.len() >= SESSIONS_MAX
                && let Some(oldest) = open.iter().min_by_key(|(_, s)| s.used).map(|(k, _)| *k)
            {
                open.remove(&oldest);
            }
        }
        if alive(&session, now) {
            open.insert(key, session);
        }
    }

    /// Who holds the session `id`; notes that it was used.
    pub fn find(&self, id: &str) -> Option<(SessionKey, User)> {
        let (now, key) = (self.clock.mono(), SessionKey::of(id));
        let mut open = self.open.lock();
        let session = open.get_mut(&key)?;
        if !alive(session, now) {
            open.remove(&key);
            return None;
        }
        session.used = now;
        Some((key, session.user.clone()))
    }

    /// True while the session is open; does not count as use.
    #[must_use]
    pub fn is_open(&self, key: &SessionKey) -> bool {
        self.open.lock().get(key).is_some_and(|s| alive(s, self.clock.mono()))
    }

    /// Ends a session.
    pub fn close(&self, key: &SessionKey) {
        self.open.lock().remove(key);
    }

    /// Ends every session of the account `name` but `except`; says how many.
    pub fn close_all_of(&self, name: &str, except: Option<SessionKey>) -> usize {
        let mut open = self.open.lock();
        let before = open.len();
        open.retain(|key, session| session.user.name.as_ref() != name || Some(*key) == except);
        before - open.len()
    }
}

fn age(at_us: UtcMicros, now: UtcMicros) -> Duration {
    Duration::from_micros(u64::try_from(now.since(at_us)).unwrap_or_default())
}

fn alive(session: &Session, now: MonoMicros) -> bool {
    now.since(session.used) < limits::SESSION_IDLE_MAX && now < session.until
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use fengsui_config::clock::{ManualClock, UtcMicros};

    use super::*;

    fn sessions() -> (Arc<ManualClock>, Sessions, User) {
        let clock = Arc::new(ManualClock::at(UtcMicros(0)));
        let user = User { name: "li".into(), roles: [Role::Administrator].into() };
        (clock.clone(), Sessions::new(clock), user)
    }

    fn open(sessions: &Sessions, user: &User) -> String {
        let NewSession { id, key } = NewSession::new().unwrap();
        sessions.open(key, user.clone());
        id
    }

    #[test]
    fn a_session_ends_when_unused_and_lives_on_when_used() {
        let (clock, sessions, user) = sessions();
        let id = open(&sessions, &user);
        clock.advance(limits::SESSION_IDLE_MAX / 2);
        assert_eq!(sessions.find(&id).unwrap().1, user);
        clock.advance(limits::SESSION_IDLE_MAX * 3 / 4);
        assert!(sessions.find(&id).is_some());
        clock.advance(limits::SESSION_IDLE_MAX);
        assert!(sessions.find(&id).is_none());
    }

    #[test]
    fn a_session_in_use_ends_all_the_same_some_day() {
        let (clock, sessions, user) = sessions();
        let id = open(&sessions, &user);
        for _ in 0..3 {
            clock.advance(limits::SESSION_IDLE_MAX / 2);
            assert!(sessions.find(&id).is_some());
        }
        clock.advance(limits::SESSION_IDLE_MAX / 2);
        assert!(sessions.find(&id).is_none());
    }

    #[test]
    fn a_closed_session_and_a_guessed_one_are_nobody() {
        let (_, sessions, user) = sessions();
        let id = open(&sessions, &user);
        let (key, _) = sessions.find(&id).unwrap();
        sessions.close(&key);
        assert!(sessions.find(&id).is_none());
        assert!(!sessions.is_open(&key));
        assert!(sessions.find("").is_none());
    }

    #[test]
    fn all_sessions_of_one_person_end_and_those_of_others_stay() {
        let (_, sessions, li) = sessions();
        let wang = User { name: "wang".into(), roles: [Role::Operator].into() };
        let ids: Vec<_> = [&li, &li, &wang].map(|user| open(&sessions, user)).into();
        let still = |sessions: &Sessions| ids.iter().filter(|id| sessions.find(id).is_some()).count();
        let (kept, _) = sessions.find(ids.first().unwrap()).unwrap();
        assert_eq!((sessions.close_all_of("li", Some(kept)), still(&sessions)), (1, 2));
        assert_eq!((sessions.close_all_of("li", None), still(&sessions)), (1, 1));
        assert!(sessions.find(ids.last().unwrap()).is_some());
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_the_least_used_goes_first() {
        let (clock, sessions, user) = sessions();
        let first = open(&sessions, &user);
        clock.advance(std::time::Duration::from_secs(1));
        for _ in 0..SESSIONS_MAX {
            open(&sessions, &user);
        }
        assert!(sessions.find(&first).is_none());
        assert_eq!(sessions.open.lock().len(), SESSIONS_MAX);
    }
}
