//! Accounts: a pure reduction of the journal. No default account, no default password.

use std::collections::BTreeMap;

use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::register::kinds;

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything on this node.
    Administrator,
}

/// One person's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Log-in name.
    pub name: String,
    /// Roles.
    pub roles: Vec<Role>,
    /// argon2id hash as PHC text.
    pub password: String,
}

/// All accounts of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    by_name: BTreeMap<String, Account>,
}

impl Reducer for Accounts {
    const NAME: &'static str = "accounts";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        if kinds::is(&record.kind, &record.body, kinds::ACCOUNT_CREATED) {
            let account = Account::deserialize(&record.body).map_err(|e| ReduceError::of(record, e))?;
            self.add(account);
        }
        Ok(())
    }
}

impl Accounts {
    /// Adds an account that is in the journal. The first of a name stands: a second one can only be a replay.
    pub fn add(&mut self, account: Account) {
        self.by_name.entry(account.name.clone()).or_insert(account);
    }

    /// The account of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Account> {
        self.by_name.get(name)
    }

    /// True when somebody can administer the node.
    #[must_use]
    pub fn has_administrator(&self) -> bool {
        self.by_name.values().any(|a| a.roles.contains(&Role::Administrator))
    }
}

/// Longest log-in name in characters.
const NAME_CHARS_MAX: usize = 64;

/// Says why a text cannot be a log-in name.
///
/// # Errors
/// One sentence for the person who typed it.
pub fn check_name(name: &str) -> Result<(), String> {
    let count = name.chars().count();
    if count == 0 || count > NAME_CHARS_MAX {
        return Err(format!("A name has 1 to {NAME_CHARS_MAX} characters."));
    }
    if name.trim() != name || name.chars().any(char::is_control) {
        return Err("A name has no control characters and no space at its ends.".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use fengsui_config::clock::UtcMicros;
    use serde_json::{Value, json};

    use super::*;

    fn record(kind: &str, body: Value) -> JournalRecord {
        let (at, kind) = (UtcMicros(0), kind.to_owned());
        JournalRecord { node: "n".into(), epoch: 1, seq: 1, at, kind, body, previous: [0; 32], hash: [0; 32] }
    }

    fn row(name: &str, password: &str) -> Value {
        json!({"name": name, "roles": ["administrator"], "password": password})
    }

    #[test]
    fn state_is_the_reduction_of_the_journal() {
        let mut accounts = Accounts::default();
        assert!(!accounts.has_administrator());
        accounts.apply(&record("session.opened", json!({"by": "li"}))).unwrap();
        accounts.apply(&record(kinds::ACCOUNT_CREATED, row("li", "one"))).unwrap();
        assert!(accounts.has_administrator());
        accounts.apply(&record("account_created", row("wang", "three"))).unwrap();
        assert_eq!(accounts.get("li").unwrap().password, "one");
        assert_eq!(accounts.get("wang").unwrap().password, "three", "the name that the kind once had");
    }

    #[test]
    fn a_second_row_of_one_name_does_not_replace_the_password() {
        let mut accounts = Accounts::default();
        accounts.apply(&record(kinds::ACCOUNT_CREATED, row("li", "one"))).unwrap();
        accounts.apply(&record(kinds::ACCOUNT_CREATED, row("li", "two"))).unwrap();
        assert_eq!(accounts.get("li").unwrap().password, "one");
    }

    #[test]
    fn a_malformed_row_is_an_error_and_not_an_account() {
        let mut accounts = Accounts::default();
        assert!(accounts.apply(&record(kinds::ACCOUNT_CREATED, json!({"name": 3}))).is_err());
        assert_eq!(accounts, Accounts::default());
    }

    #[test]
    fn names_are_checked() {
        for good in ["li", "王警官", "a b"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", " li", "li\n", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
