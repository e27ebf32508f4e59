//! Sessions as the journal says, so that a node that is killed lets everybody go on when it is back. The journal has the hash of a
//! session's id, which opens nothing; the id itself is in the cookie alone.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer};
use serde::{Deserialize, Serialize};

use super::register::kinds;
use super::sessions::{LIFE_MAX, SESSIONS_MAX};

/// Sessions that may be open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    by_hash: BTreeMap<String, Since>,
}

/// Whose a session is, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Log-in name.
    pub name: String,
    /// When it was opened.
    pub at_us: UtcMicros,
}

/// What counts here of `session.opened`. Those of older programs have no hash, and ended with their process.
#[derive(Deserialize)]
struct Opened {
    by: String,
    session: Option<String>,
    replaces: Option<String>,
}

/// The same of `session.closed`.
#[derive(Deserialize)]
struct Closed {
    session: Option<String>,
}

/// The same of what is done to an account; `session` is the one that goes on.
#[derive(Deserialize)]
struct OfAccount {
    name: String,
    session: Option<String>,
}

impl Reducer for Kept {
    const NAME: &'static str = "sessions";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        let of = |e: serde_json::Error| ReduceError::of(record, e);
        let is = |kind| kinds::is(&record.kind, &record.body, kind);
        if is(kinds::SESSION_OPENED) {
            self.open(Opened::deserialize(&record.body).map_err(of)?, record.at);
        } else if is(kinds::SESSION_CLOSED) {
            if let Some(hash) = Closed::deserialize(&record.body).map_err(of)?.session {
                self.by_hash.remove(&hash);
            }
        } else if [kinds::ACCOUNT_CHANGED, kinds::ACCOUNT_DISABLED, kinds::ACCOUNT_PASSWORD_SET]
            .into_iter()
            .any(is)
        {
            let OfAccount { name, session } = OfAccount::deserialize(&record.body).map_err(of)?;
            self.by_hash.retain(|hash, since| since.name != name || session.as_ref() == Some(hash));
        } else if is(kinds::JOURNAL_RESTORED) {
            // What was closed after the backup is not known.
            self.by_hash.clear();
        }
        Ok(())
    }
}

impl Kept {
    fn open(&mut self, opened: Opened, at_us: UtcMicros) {
        self.by_hash
            .retain(|hash, since| at_us < since.at_us + LIFE_MAX && opened.replaces.as_ref() != Some(hash));
        let Some(hash) = opened.session else { return };
        if self.by_hash.len() >= SESSIONS_MAX {
            let oldest =
                self.by_hash.iter().min_by_key(|(_, since)| since.at_us).map(|(hash, _)| hash.clone());
            if let Some(oldest) = oldest {
                self.by_hash.remove(&oldest);
            }
        }
        self.by_hash.insert(hash, Since { name: opened.by, at_us });
    }

    /// All of them, by the hash of their ids, hexadecimal.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Since)> {
        self.by_hash.iter().map(|(hash, since)| (hash.as_str(), since))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;
    use std::time::Duration;

    use fengsui_config::clock::ManualClock;
    use fengsui_config::limits;
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::accounts::Accounts;
    use crate::auth::sessions::{NewSession, Sessions};

    const START: UtcMicros = UtcMicros(1_790_000_000_000_000);

    fn record(kind: &str, at: UtcMicros, body: Value) -> JournalRecord {
        JournalRecord {
            node: "centre".to_owned(),
            epoch: 1,
            seq: 1,
            at,
            kind: kind.to_owned(),
            body,
            previous: Default::default(),
            hash: Default::default(),
        }
    }

    /// A node that ended: what its journal says, and whom it knows.
    struct Ended {
        kept: Kept,
        accounts: Accounts,
    }

    impl Ended {
        fn new() -> Self {
            let mut accounts = Accounts::default();
            for name in ["li", "wang"] {
                let body = json!({"name": name, "roles": ["operator"], "password": "x"});
                accounts.take(kinds::ACCOUNT_CREATED, &body, START).unwrap();
            }
            Self { kept: Kept::default(), accounts }
        }

        fn note(&mut self, kind: &str, at: UtcMicros, body: Value) {
            self.accounts.take(kind, &body, at).unwrap();
            self.kept.apply(&record(kind, at, body)).unwrap();
        }

        fn opened(&mut self, name: &str, at: UtcMicros) -> NewSession {
            let new = NewSession::new().unwrap();
            self.note(
                kinds::SESSION_OPENED,
                at,
                json!({"by": name, "address": "::1", "session": new.key.hash()}),
            );
            new
        }

        /// Who goes on when the node starts at `at`.
        fn go_on(&self, at: UtcMicros, of: &[&NewSession]) -> Vec<bool> {
            let sessions = Sessions::new(Arc::new(ManualClock::at(at)));
            sessions.resume(&self.kept, &self.accounts);
            of.iter().map(|new| sessions.find(&new.id).is_some()).collect()
        }
    }

    #[test]
    fn who_was_logged_in_goes_on_and_who_logged_out_does_not() {
        let mut node = Ended::new();
        let (li, out, old) = (node.opened("li", START), node.opened("li", START), node.opened("wang", START));
        node.note(
            kinds::SESSION_CLOSED,
            START,
            json!({"by": "li", "address": "::1", "session": out.key.hash()}),
        );
        let new = NewSession::new().unwrap();
        let body =
            json!({"by": "wang", "address": "::1", "session": new.key.hash(), "replaces": old.key.hash()});
        node.note(kinds::SESSION_OPENED, START, body);
        assert_eq!(
            node.go_on(START + Duration::from_secs(9), &[&li, &out, &old, &new]),
            [true, false, false, true]
        );
        assert!(!serde_json::to_string(&node.kept).unwrap().contains(&li.id), "the id itself is nowhere");
        // Of older programs, whose sessions ended with their process.
        node.note(kinds::SESSION_OPENED, START, json!({"by": "li", "address": "::1"}));
        assert_eq!(node.kept.all().count(), 2);
        node.note(kinds::JOURNAL_RESTORED, START, json!({}));
        assert_eq!(node.go_on(START, &[&li, &new]), [false, false], "a backup may be older than a log-out");
    }

    #[test]
    fn a_session_does_not_outlive_its_time_for_a_restart() {
        let mut node = Ended::new();
        let li = node.opened("li", START);
        assert_eq!(node.go_on(START + (LIFE_MAX - Duration::from_secs(1)), &[&li]), [true]);
        assert_eq!(node.go_on(START + LIFE_MAX, &[&li]), [false]);
        let clock = Arc::new(ManualClock::at(START + (LIFE_MAX - Duration::from_secs(60))));
        let sessions = Sessions::new(clock.clone());
        sessions.resume(&node.kept, &node.accounts);
        clock.advance(Duration::from_secs(59));
        assert!(sessions.find(&li.id).is_some());
        clock.advance(Duration::from_secs(1));
        assert!(sessions.find(&li.id).is_none(), "a minute is what was left");
        assert!(limits::SESSION_IDLE_MAX < LIFE_MAX);
        node.opened("wang", START + LIFE_MAX);
        assert_eq!(node.kept.all().count(), 1, "those that are over make room");
    }

    #[test]
    fn what_ends_the_sessions_of_an_account_ends_them_after_a_restart_too() {
        let mut node = Ended::new();
        let (li, other, wang) =
            (node.opened("li", START), node.opened("li", START), node.opened("wang", START));
        let body =
            json!({"name": "li", "password": "y", "by": "li", "at_us": START, "session": li.key.hash()});
        node.note(kinds::ACCOUNT_PASSWORD_SET, START, body);
        assert_eq!(node.go_on(START, &[&li, &other, &wang]), [true, false, true]);
        node.note(
            kinds::ACCOUNT_CHANGED,
            START,
            json!({"name": "wang", "roles": ["supervisor"], "by": "li"}),
        );
        assert_eq!(node.go_on(START, &[&li, &wang]), [true, false]);
        let wang = node.opened("wang", START);
        node.note(kinds::ACCOUNT_DISABLED, START, json!({"name": "wang", "by": "li"}));
        node.note(kinds::ACCOUNT_ENABLED, START, json!({"name": "wang", "by": "li"}));
        assert_eq!(node.go_on(START, &[&wang]), [false]);
    }
}
