//! Log-in sessions, in memory alone: a restart logs everybody out. Memory holds the hash of a session's id, so that a
//! dump of it opens nothing.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::clock::{Clock, MonoMicros};
use fengsui_config::limits;
use parking_lot::Mutex;

use super::accounts::{Account, Role};
use super::random::{self, NoRandom};
use super::rights::Right;

/// A session's place in memory: the hash of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    fn of(id: &str) -> Self {
        Self(*blake3::hash(id.as_bytes()).as_bytes())
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

struct Session {
    user: User,
    opened: MonoMicros,
    used: MonoMicros,
}

/// All sessions of a node.
pub struct Sessions {
    clock: Arc<dyn Clock>,
    open: Mutex<HashMap<SessionKey, Session>>,
}

/// Sessions open at once; the least used one ends when there are more.
const SESSIONS_MAX: usize = 4096;

impl Sessions {
    /// No session yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, open: Mutex::new(HashMap::new()) }
    }

    /// Opens a session and gives its id, which only the cookie keeps.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn open(&self, user: User) -> Result<String, NoRandom> {
        let id = URL_SAFE_NO_PAD.encode(random::bytes::<32>()?);
        let now = self.clock.mono();
        let mut open = self.open.lock();
        if open.len() >= SESSIONS_MAX {
            open.retain(|_, s| alive(s, now));
            if open.len() >= SESSIONS_MAX
                && let Some(oldest) = open.iter().min_by_key(|(_, s)| s.used).map(|(k, _)| *k)
            {
                open.remove(&oldest);
            }
        }
        open.insert(SessionKey::of(&id), Session { user, opened: now, used: now });
        Ok(id)
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

/// In all, a session lives for twice the time it may lie unused.
fn alive(session: &Session, now: MonoMicros) -> bool {
    now.since(session.used) < limits::SESSION_IDLE_MAX
        && now.since(session.opened) < limits::SESSION_IDLE_MAX * 2
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

    #[test]
    fn a_session_ends_when_unused_and_lives_on_when_used() {
        let (clock, sessions, user) = sessions();
        let id = sessions.open(user.clone()).unwrap();
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
        let id = sessions.open(user).unwrap();
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
        let id = sessions.open(user).unwrap();
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
        let ids: Vec<_> = [&li, &li, &wang].map(|user| sessions.open(user.clone()).unwrap()).into();
        let open = |sessions: &Sessions| ids.iter().filter(|id| sessions.find(id).is_some()).count();
        let (kept, _) = sessions.find(ids.first().unwrap()).unwrap();
        assert_eq!((sessions.close_all_of("li", Some(kept)), open(&sessions)), (1, 2));
        assert_eq!((sessions.close_all_of("li", None), open(&sessions)), (1, 1));
        assert!(sessions.find(ids.last().unwrap()).is_some());
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_the_least_used_goes_first() {
        let (clock, sessions, user) = sessions();
        let first = sessions.open(user.clone()).unwrap();
        clock.advance(std::time::Duration::from_secs(1));
        for _ in 0..SESSIONS_MAX {
            sessions.open(user.clone()).unwrap();
        }
        assert!(sessions.find(&first).is_none());
        assert_eq!(sessions.open.lock().len(), SESSIONS_MAX);
    }
}
