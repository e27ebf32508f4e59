//! Accounts: a pure reduction of the journal. No default account, no default password.
//!
//! [`Accounts::decide`] says what an order writes into the journal, [`Accounts::take`] what a record makes of the
//! accounts; at a start and at work it is the same function, so memory and journal cannot disagree.

use std::collections::BTreeMap;

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::register::kinds;
use super::rights::Right;

/// What a person is on this node; what that allows says [`Right`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything on this node.
    Administrator,
    /// Leads those on duty: acts on many alarms at once and on behalf of others, defines rules, plans and units.
    Supervisor,
    /// On duty: acts on alarms and incidents, sees all cameras.
    Operator,
}

impl Role {
    /// Every role, the one with the most rights first.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Supervisor, Self::Operator];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Supervisor => "supervisor",
            Self::Operator => "operator",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
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
    /// Nobody logs in with it.
    #[serde(default)]
    pub disabled: bool,
    /// Who made it; absent for the first administrator.
    #[serde(default)]
    pub by: Option<String>,
    /// When it was made.
    #[serde(default)]
    pub at_us: Option<UtcMicros>,
}

impl Account {
    /// True when its holder may log in and may do that.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        !self.disabled && right.is_had(&self.roles)
    }
}

/// What is to happen with an account. Serialised, it lies in the folder of orders: it never holds a password, only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountOrder {
    /// It is to be.
    Create {
        /// Its roles.
        roles: Vec<Role>,
        /// argon2id hash as PHC text.
        password: String,
    },
    /// It is to have these roles and no others.
    SetRoles(Vec<Role>),
    /// Nobody is to log in with it any more.
    Disable,
    /// It is to be good again.
    Enable,
    /// It is to have another password: an argon2id hash as PHC text.
    SetPassword(String),
}

/// Why an order about an account is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefused {
    /// There is no such account.
    #[error("There is no account {0}.")]
    Unknown(String),
    /// There is one already, perhaps in other letter case.
    #[error("There is an account {0}.")]
    Exists(String),
    /// The name cannot be one.
    #[error("{0}")]
    Name(String),
    /// An account has a role.
    #[error("An account has at least one role.")]
    NoRole,
    /// A role stands twice.
    #[error("The role {} stands twice.", .0.as_str())]
    RoleTwice(Role),
    /// Nobody could administer the node any more.
    #[error("{0} is the last administrator who can log in.")]
    LastAdministrator(String),
    /// There are too many.
    #[error("There are {} accounts, which is the most.", limits::ACCOUNTS_MAX)]
    TooMany,
}

impl AccountRefused {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Unknown(_) => "Choose one of the list of accounts.".into(),
            Self::Exists(_) => {
                "Choose another name; an account that is disabled can be enabled again.".into()
            }
            Self::Name(_) => "Choose another name.".into(),
            Self::NoRole | Self::RoleTwice(_) => {
                format!("Choose of {}.", Role::ALL.map(Role::as_str).join(", "))
            }
            Self::LastAdministrator(_) => "Make another person an administrator first.".into(),
            Self::TooMany => {
                "Enable the account that the person had before, instead of making another.".into()
            }
        }
    }

    /// The member of a request that is at fault.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Exists(_) | Self::Name(_) => Some("name"),
            Self::NoRole | Self::RoleTwice(_) => Some("roles"),
            Self::Unknown(_) | Self::LastAdministrator(_) | Self::TooMany => None,
        }
    }
}

/// Who gives an order, from where, and when.
#[derive(Debug, Clone, Copy)]
pub struct Orderer<'a> {
    /// Log-in name, or `console`.
    pub by: &'a str,
    /// Address; absent on the machine itself.
    pub address: Option<&'a str>,
    /// Now.
    pub at: UtcMicros,
}

/// A record that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Kind.
    pub kind: &'static str,
    /// Body.
    pub body: Value,
}

/// All accounts of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    by_name: BTreeMap<String, Account>,
}

impl Reducer for Accounts {
    const NAME: &'static str = "accounts";
    const VERSION: u32 = 2;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        self.take(&record.kind, &record.body, record.at).map_err(|e| ReduceError::of(record, e))
    }
}

/// What the records that change an account have in common.
#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Changed {
    name: String,
    roles: Vec<Role>,
}

#[derive(Deserialize)]
struct PasswordSet {
    name: String,
    password: String,
}

impl Accounts {
    /// Takes in a record that is in the journal. Of those who never were, nothing is taken; the first account of a name
    /// stands, a second one can only be a replay.
    ///
    /// # Errors
    /// When a record of a known kind and version has another shape; nothing has changed then.
    pub fn take(&mut self, kind: &str, body: &Value, at: UtcMicros) -> Result<(), serde_json::Error> {
        let is = |wanted| kinds::is(kind, body, wanted);
        if is(kinds::ACCOUNT_CREATED) {
            let mut account = Account::deserialize(body)?;
            account.at_us.get_or_insert(at);
            self.by_name.entry(account.name.clone()).or_insert(account);
        } else if is(kinds::ACCOUNT_CHANGED) {
            let Changed { name, roles } = Changed::deserialize(body)?;
            self.change(&name, |account| account.roles = roles);
        } else if is(kinds::ACCOUNT_DISABLED) {
            self.change(&Named::deserialize(body)?.name, |account| account.disabled = true);
        } else if is(kinds::ACCOUNT_ENABLED) {
            self.change(&Named::deserialize(body)?.name, |account| account.disabled = false);
        } else if is(kinds::ACCOUNT_PASSWORD_SET) {
            let PasswordSet { name, password } = PasswordSet::deserialize(body)?;
            self.change(&name, |account| account.password = password);
        }
        Ok(())
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.by_name.get_mut(name) {
            change(account);
        }
    }

    /// What `order` writes into the journal; nothing when the account is so already.
    ///
    /// # Errors
    /// When it cannot be; then nothing is to be written.
    pub fn decide(
        &self,
        name: &str,
        order: &AccountOrder,
        orderer: Orderer<'_>,
    ) -> Result<Option<Written>, AccountRefused> {
        let (by, address, at_us) = (orderer.by, orderer.address, orderer.at);
        if let AccountOrder::Create { roles, password } = order {
            self.room_for(name, roles)?;
            let mut body =
                json!({"name": name, "roles": roles, "password": password, "by": by, "at_us": at_us});
            put(&mut body, "address", address.map(Value::from));
            put(&mut body, "v", version_of(roles).map(Value::from));
            return Ok(Some(Written { kind: kinds::ACCOUNT_CREATED, body }));
        }
        let account = self.by_name.get(name).ok_or_else(|| AccountRefused::Unknown(name.to_owned()))?;
        let mut body = json!({"name": name, "by": by, "at_us": at_us});
        put(&mut body, "address", address.map(Value::from));
        let kind = match order {
            AccountOrder::SetRoles(roles) => {
                check_roles(roles)?;
                let (mut new, mut old) = (roles.clone(), account.roles.clone());
                new.sort_unstable();
                old.sort_unstable();
                if new == old {
                    return Ok(None);
                }
                if !new.contains(&Role::Administrator) {
                    self.not_the_last(account)?;
                }
                put(&mut body, "roles", Some(json!(new)));
                kinds::ACCOUNT_CHANGED
            }
            AccountOrder::Disable if account.disabled => return Ok(None),
            AccountOrder::Enable if !account.disabled => return Ok(None),
            AccountOrder::Disable => {
                self.not_the_last(account)?;
                kinds::ACCOUNT_DISABLED
            }
            AccountOrder::Enable => kinds::ACCOUNT_ENABLED,
            AccountOrder::SetPassword(password) => {
                put(&mut body, "password", Some(password.as_str().into()));
                kinds::ACCOUNT_PASSWORD_SET
            }
            AccountOrder::Create { .. } => return Ok(None),
        };
        Ok(Some(Written { kind, body }))
    }

    /// Whether an account of that name and with these roles can be made.
    ///
    /// # Errors
    /// Why not.
    pub fn room_for(&self, name: &str, roles: &[Role]) -> Result<(), AccountRefused> {
        check_name(name).map_err(AccountRefused::Name)?;
        check_roles(roles)?;
        // Two names that people take for one would be two in the journal.
        let small = name.to_lowercase();
        if let Some(known) = self.by_name.keys().find(|known| known.to_lowercase() == small) {
            return Err(AccountRefused::Exists(known.clone()));
        }
        if self.by_name.len() >= limits::ACCOUNTS_MAX {
            return Err(AccountRefused::TooMany);
        }
        Ok(())
    }

    /// Refuses when nobody but `account` administers the node.
    fn not_the_last(&self, account: &Account) -> Result<(), AccountRefused> {
        let mut others = self.by_name.values().filter(|other| other.name != account.name);
        if !account.may(Right::Administer) || others.any(|other| other.may(Right::Administer)) {
            return Ok(());
        }
        Err(AccountRefused::LastAdministrator(account.name.clone()))
    }

    /// The account of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Account> {
        self.by_name.get(name)
    }

    /// Every account, disabled ones included, by name.
    pub fn all(&self) -> impl Iterator<Item = &Account> {
        self.by_name.values()
    }

    /// True when somebody can administer the node.
    #[must_use]
    pub fn has_administrator(&self) -> bool {
        self.by_name.values().any(|account| account.may(Right::Administer))
    }
}

fn put(body: &mut Value, field: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (body.as_object_mut(), value) {
        fields.insert(field.to_owned(), value);
    }
}

/// The version of `account.created` with these roles. Programs that know the administrator alone stop at other roles in
/// version 1, and pass over version 2: to them the account is not there.
fn version_of(roles: &[Role]) -> Option<u64> {
    roles.iter().any(|role| *role != Role::Administrator).then_some(2)
}

fn check_roles(roles: &[Role]) -> Result<(), AccountRefused> {
    if roles.is_empty() {
        return Err(AccountRefused::NoRole);
    }
    let twice = roles.iter().enumerate().find(|(n, role)| roles.iter().take(*n).any(|other| other == *role));
    twice.map_or(Ok(()), |(_, role)| Err(AccountRefused::RoleTwice(*role)))
}

/// Longest log-in name in characters.
const NAME_CHARS_MAX: usize = 64;
/// Words that stand in the journal in the place of a person: the command line of the node.
const NAMES_RESERVED: [&str; 1] = ["console"];
/// How people of this node's centre are told from its own.
const CENTRE_PREFIX: &str = "centre:";

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
    let small = name.to_lowercase();
    if NAMES_RESERVED.contains(&small.as_str()) || small.starts_with(CENTRE_PREFIX) {
        return Err(format!("The name {name} would be taken for another in the journal."));
    }
    if matches!(name, "." | "..") {
        return Err("A name is more than dots: it stands in addresses.".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn record(kind: &str, body: Value) -> JournalRecord {
        let (at, kind) = (UtcMicros(0), kind.to_owned());
        JournalRecord { node: "n".into(), epoch: 1, seq: 1, at, kind, body, previous: [0; 32], hash: [0; 32] }
    }

    fn row(name: &str, password: &str) -> Value {
        json!({"name": name, "roles": ["administrator"], "password": password})
    }

    const NOW: Orderer<'static> = Orderer { by: "li", address: Some("10.1.2.3"), at: UtcMicros(7) };

    fn create(roles: &[Role]) -> AccountOrder {
        AccountOrder::Create { roles: roles.to_vec(), password: "hash".into() }
    }

    /// Carries `order` out as a node does.
    fn done(accounts: &mut Accounts, name: &str, order: &AccountOrder) -> Result<bool, AccountRefused> {
        let Some(written) = accounts.decide(name, order, NOW)? else { return Ok(false) };
        accounts.apply(&record(written.kind, written.body)).unwrap();
        Ok(true)
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
        for (kind, body) in [
            (kinds::ACCOUNT_CHANGED, json!({"name": "wang", "roles": ["operator", "supervisor"]})),
            (kinds::ACCOUNT_PASSWORD_SET, json!({"name": "wang", "password": "four"})),
            (kinds::ACCOUNT_DISABLED, json!({"name": "wang"})),
            (kinds::ACCOUNT_DISABLED, json!({"name": "nobody"})),
        ] {
            accounts.apply(&record(kind, body)).unwrap();
        }
        let wang = accounts.get("wang").unwrap().clone();
        assert_eq!(
            (wang.roles.as_slice(), wang.password.as_str()),
            ([Role::Operator, Role::Supervisor].as_slice(), "four")
        );
        assert!(wang.disabled && !wang.may(Right::Act));
        accounts.apply(&record(kinds::ACCOUNT_ENABLED, json!({"name": "wang"}))).unwrap();
        assert!(accounts.get("wang").unwrap().may(Right::Bulk));
        assert_eq!(accounts.all().count(), 2, "nobody comes to be but by being made");
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
        assert!(
            accounts
                .apply(&record(kinds::ACCOUNT_CHANGED, json!({"name": "li", "roles": ["king"]})))
                .is_err()
        );
        assert_eq!(accounts, Accounts::default());
    }

    #[test]
    fn the_last_administrator_stays_one_and_stays_enabled() {
        let mut accounts = Accounts::default();
        done(&mut accounts, "li", &create(&[Role::Administrator])).unwrap();
        done(&mut accounts, "wang", &create(&[Role::Administrator])).unwrap();
        assert!(done(&mut accounts, "wang", &AccountOrder::Disable).unwrap());
        let last = AccountRefused::LastAdministrator("li".into());
        let demoted = AccountOrder::SetRoles(vec![Role::Operator]);
        assert_eq!(done(&mut accounts, "li", &AccountOrder::Disable), Err(last.clone()));
        assert_eq!(done(&mut accounts, "li", &demoted), Err(last), "a disabled one does not count");
        let both = AccountOrder::SetRoles(vec![Role::Supervisor, Role::Administrator]);
        assert!(done(&mut accounts, "li", &both).unwrap(), "whoever keeps the role may get another");
        done(&mut accounts, "wang", &AccountOrder::Enable).unwrap();
        assert!(done(&mut accounts, "li", &demoted).unwrap());
        assert!(done(&mut accounts, "li", &AccountOrder::Disable).unwrap(), "an operator may be disabled");
        assert!(accounts.has_administrator());
    }

    #[test]
    fn an_order_that_changes_nothing_writes_nothing() {
        let mut accounts = Accounts::default();
        done(&mut accounts, "li", &create(&[Role::Operator, Role::Supervisor])).unwrap();
        for order in [AccountOrder::Enable, AccountOrder::SetRoles(vec![Role::Supervisor, Role::Operator])] {
            assert!(!done(&mut accounts, "li", &order).unwrap(), "{order:?}");
        }
        assert_eq!(
            done(&mut accounts, "wang", &AccountOrder::Disable),
            Err(AccountRefused::Unknown("wang".into()))
        );
    }

    #[test]
    fn accounts_need_a_role_and_a_name_of_their_own() {
        let mut accounts = Accounts::default();
        done(&mut accounts, "Li", &create(&[Role::Operator])).unwrap();
        assert_eq!(
            done(&mut accounts, "lI", &create(&[Role::Operator])),
            Err(AccountRefused::Exists("Li".into()))
        );
        assert_eq!(done(&mut accounts, "wang", &create(&[])), Err(AccountRefused::NoRole));
        let twice = create(&[Role::Operator, Role::Operator]);
        assert_eq!(done(&mut accounts, "wang", &twice), Err(AccountRefused::RoleTwice(Role::Operator)));
        assert!(matches!(
            done(&mut accounts, " wang", &create(&[Role::Operator])),
            Err(AccountRefused::Name(_))
        ));
        assert_eq!(accounts.all().count(), 1);
    }

    #[test]
    fn a_program_that_knows_administrators_alone_reads_what_it_can_and_passes_over_the_rest() {
        let accounts = Accounts::default();
        let body = |roles: &[Role]| accounts.decide("li", &create(roles), NOW).unwrap().unwrap().body;
        assert_eq!(kinds::version(&body(&[Role::Administrator])), 1);
        assert_eq!(kinds::version(&body(&[Role::Administrator, Role::Operator])), 2);
        assert_eq!(kinds::version(&body(&[Role::Operator])), 2);
    }

    #[test]
    fn names_are_checked() {
        for good in ["li", "王警官", "a b", "centre", "li.wang"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", " li", "li\n", &"x".repeat(65), "console", "Centre:li", "."] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
