//! `fengsui account`: who may log in, on a stopped node or by way of a running one.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use fengsui_config::Config;
use fengsui_config::clock::{Clock, SystemClock};
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{Journal, Reducer as _};
use fengsui_storage::segment::NodeKey;

use super::check::{complain, say};
use super::node::{refused, unreadable};
use super::secret::read_hidden;
use super::token::written;
use super::volume::{Failed, through_node};
use crate::auth::accounts::{AccountOrder, AccountRefused, Accounts, Orderer, Role, check_name};
use crate::auth::password;
use crate::lock::{DataLock, LockError};
use crate::orders::Filed;
use crate::{paths, trail};

/// Commands of `fengsui account`. Exit codes of all: 0 done; 1 refused; 2 wrong usage; 3 something cannot be read or written.
///
/// Passwords are read from standard input, not shown at a terminal; they never stand on the command line.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Shows every account: name, roles, whether it is disabled, who made it.
    List,
    /// Makes an account; its password is read from standard input.
    Create(RolesArgs),
    /// Gives an account these roles and no others; its holder is logged out.
    SetRoles(RolesArgs),
    /// Nobody logs in with an account any more; its holder is logged out. What was done with it stays in the journal.
    Disable {
        /// Its log-in name.
        name: String,
    },
    /// An account is good again.
    Enable {
        /// Its log-in name.
        name: String,
    },
    /// Sets the password of an account, read from standard input; its holder is logged out.
    Password {
        /// Its log-in name.
        name: String,
    },
}

/// An account and roles.
#[derive(Debug, Args)]
pub struct RolesArgs {
    /// Its log-in name, 1 to 64 characters.
    pub name: String,
    /// administrator, supervisor or operator; may be given several times.
    #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role)]
    pub roles: Vec<Role>,
}

fn role(word: &str) -> Result<Role, String> {
    let all = Role::ALL.map(Role::as_str).join(", ");
    Role::named(word).ok_or_else(|| format!("{word:?} is no role: choose of {all}"))
}

/// Runs a command.
#[must_use]
pub fn run(config: &Path, command: &AccountCommand) -> ExitCode {
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let done = match command {
        AccountCommand::List => list(&config),
        AccountCommand::Create(args) => create(&config, args),
        AccountCommand::SetRoles(args) => {
            order(&config, &args.name, &AccountOrder::SetRoles(args.roles.clone()))
        }
        AccountCommand::Disable { name } => order(&config, name, &AccountOrder::Disable),
        AccountCommand::Enable { name } => order(&config, name, &AccountOrder::Enable),
        AccountCommand::Password { name } => new_password(&config, name),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            complain(&why);
            ExitCode::from(code)
        }
    }
}

/// The accounts, read beside a running node.
fn accounts(config: &Config) -> Result<Accounts, StoreError> {
    let (fs, folder): (Arc<dyn Fs>, _) = (Arc::new(RealFs), paths::journal(&config.node.data));
    let mut accounts = Accounts::default();
    // A node that never ran has no journal.
    if folder.is_dir() {
        for record in Journal::read_dir(&fs, &folder, 0)? {
            accounts.apply(&record?)?;
        }
    }
    Ok(accounts)
}

fn list(config: &Config) -> Result<(), Failed> {
    for account in accounts(config).map_err(|e| unreadable(&e))?.all() {
        let roles: Vec<&str> = account.roles.iter().map(|role| role.as_str()).collect();
        let by = account.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let made = account.at_us.map(|at| format!("  made {}{by}", written(at.0))).unwrap_or_default();
        let state = if account.disabled { "disabled" } else { "good" };
        say(&format!("{}  {}  {state}{made}", account.name, roles.join(",")));
    }
    Ok(())
}

fn create(config: &Config, args: &RolesArgs) -> Result<(), Failed> {
    let known = accounts(config).map_err(|e| unreadable(&e))?;
    known.room_for(&args.name, &args.roles).map_err(|e| told(&e))?;
    let password = read_password(&args.name)?;
    order(config, &args.name, &AccountOrder::Create { roles: args.roles.clone(), password })
}

fn new_password(config: &Config, name: &str) -> Result<(), Failed> {
    check_name(name).map_err(|e| refused(&e))?;
    let known = accounts(config).map_err(|e| unreadable(&e))?;
    if known.get(name).is_none() {
        return Err(told(&AccountRefused::Unknown(name.to_owned())));
    }
    order(config, name, &AccountOrder::SetPassword(read_password(name)?))
}

/// The hash of a password from standard input; at a terminal it is asked for twice.
fn read_password(name: &str) -> Result<String, Failed> {
    let read = |prompt| read_hidden(prompt).map_err(|e| unreadable(&e));
    let typed = read("password (not shown):")?;
    password::check(name, &typed).map_err(|e| refused(&e))?;
    if std::io::stdin().is_terminal() && *read("once more (not shown):")? != *typed {
        return Err(refused(&"The passwords differ. Nothing was changed."));
    }
    password::hash(&typed).map_err(|e| unreadable(&e))
}

fn told(why: &AccountRefused) -> Failed {
    refused(&format!("{why} {}", why.remedy()))
}

/// Writes an order into the journal of a node that does not run, or leaves it to the one that does.
fn order(config: &Config, name: &str, order: &AccountOrder) -> Result<(), Failed> {
    let data = &config.node.data;
    match DataLock::take(data) {
        Ok(_lock) => directly(config, name, order)?,
        Err(LockError::InUse(_)) => {
            let filed = Filed::Account { account: name.to_owned(), account_order: order.clone() };
            through_node(config, &filed)?;
        }
        Err(error) => return Err(unreadable(&error)),
    }
    say(&format!("account {name}: done"));
    Ok(())
}

fn directly(config: &Config, name: &str, order: &AccountOrder) -> Result<(), Failed> {
    let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(RealFs), Arc::new(SystemClock::new()));
    let key = NodeKey::load_or_create(&paths::node_key(&config.node.data)).map_err(|e| unreadable(&e))?;
    let journal = trail::open(config, &fs, &clock, &Arc::new(key)).map_err(|e| unreadable(&e))?;
    let accounts: Accounts = journal.state().map_err(|e| unreadable(&e))?;
    let orderer = Orderer { by: "console", address: None, at: clock.utc() };
    let done =
        accounts.decide(name, order, orderer).map_err(|e| told(&e)).and_then(|decided| match decided {
            Some(record) => {
                journal.append_blocking(record.kind, record.body).map(drop).map_err(|e| unreadable(&e))
            }
            None => Ok(()),
        });
    journal.close();
    done
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use super::*;

    const CONFIG: &str = "[node]\nid = \"centre\"\ndata = \"data\"\n[[storage.volume]]\nid = \"v1\"\npath = \"v1\"\n\
        [city]\ncode = \"33080000002000000001\"\nname = \"衢州市\"\n";

    #[test]
    fn a_stopped_node_takes_orders_about_accounts_into_its_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fengsui.toml");
        std::fs::write(&path, CONFIG).unwrap();
        std::fs::create_dir_all(folder.path().join("data")).unwrap();
        let (config, _) = Config::load(&path, &BTreeMap::<String, String>::new()).unwrap();
        assert_eq!(accounts(&config).unwrap(), Accounts::default(), "a node that never ran has none");
        let create = |role| AccountOrder::Create { roles: vec![role], password: "hash".into() };
        order(&config, "li", &create(Role::Administrator)).unwrap();
        order(&config, "wang", &create(Role::Operator)).unwrap();
        let (code, why) = order(&config, "li", &AccountOrder::Disable).unwrap_err();
        assert_eq!(code, 1);
        assert!(why.contains("the last administrator"), "{why}");
        order(&config, "wang", &AccountOrder::Disable).unwrap();
        order(&config, "wang", &AccountOrder::Disable).unwrap();
        let known = accounts(&config).unwrap();
        assert!(known.has_administrator() && known.get("wang").unwrap().disabled);
        assert_eq!(known.get("wang").unwrap().by.as_deref(), Some("console"));
    }
}
