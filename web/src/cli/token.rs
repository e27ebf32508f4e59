//! `fengsui token`: how devices and other systems are known, on a stopped node or by way of a running one.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use fengsui_config::clock::{Clock, SystemClock};
use fengsui_config::ids::{CameraId, NationalCode};
use fengsui_config::{Config, limits};
use fengsui_relay::event::{EventKind, NotKnown, Priority};
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{Journal, Reducer as _};
use fengsui_storage::segment::NodeKey;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::UNREADABLE;
use super::check::{complain, say};
use super::volume::{Failed, through_node};
use crate::api::tokens::created;
use crate::auth::register::kinds;
use crate::auth::tokens::{Scope, Token, TokenDraft, Tokens};
use crate::lock::{DataLock, LockError};
use crate::orders::Filed;
use crate::{paths, trail};

/// Commands of `fengsui token`. Exit codes of all: 0 done; 1 refused; 2 wrong usage; 3 something cannot be read or written.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Makes a token and prints it, once: it is stored nowhere.
    Create(CreateArgs),
    /// Shows every token: id, name, what it may send, whether it is good.
    List,
    /// Ends a token for good.
    Revoke {
        /// Its id or its name.
        token: String,
    },
}

/// What the token may do.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Its name; no other token has, or had, the same.
    pub name: String,
    /// A camera whose events it may send; may be given several times.
    #[arg(long = "camera", value_name = "CODE")]
    pub cameras: Vec<CameraId>,
    /// A site, station or sub-centre whose cameras' events it may send; may be given several times.
    #[arg(long = "place", value_name = "CODE")]
    pub places: Vec<NationalCode>,
    /// It may send events of every camera, and such that belong to none.
    #[arg(long)]
    pub everywhere: bool,
    /// A kind of event that it may send; may be given several times.
    #[arg(long = "kind", value_name = "KIND", default_value = "device.input", value_parser = kind)]
    pub kinds: Vec<EventKind>,
    /// The highest priority: low, normal or alarm.
    #[arg(long, default_value = "normal", value_parser = priority)]
    pub priority: Priority,
    /// It may read what happens to alarms and incidents; with this alone it may send nothing.
    #[arg(long)]
    pub read_duty: bool,
    /// Events a minute.
    #[arg(long, default_value_t = limits::TOKEN_RATE_DEFAULT, value_name = "COUNT")]
    pub rate: u32,
}

fn kind(text: &str) -> Result<EventKind, String> {
    text.parse().map_err(|NotKnown| format!("{text:?} is no kind of event"))
}

fn priority(text: &str) -> Result<Priority, String> {
    text.parse().map_err(|NotKnown| format!("{text:?} is no priority: write low, normal or alarm"))
}

/// Runs a command.
#[must_use]
pub fn run(config: &Path, command: &TokenCommand) -> ExitCode {
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let done = match command {
        TokenCommand::Create(args) => create(&config, args),
        TokenCommand::List => list(&config),
        TokenCommand::Revoke { token } => revoke(&config, token),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            complain(&why);
            ExitCode::from(code)
        }
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Failed {
    (UNREADABLE, error.to_string())
}

/// The tokens, read beside a running node.
fn tokens(config: &Config) -> Result<Tokens, StoreError> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let mut tokens = Tokens::default();
    for record in Journal::read_dir(&fs, &paths::journal(&config.node.data), 0)? {
        tokens.apply(&record?)?;
    }
    Ok(tokens)
}

/// Writes `kind` into the journal of a node that does not run, or leaves `order` to the one that does.
fn note(config: &Config, order: &Filed, kind: &str, body: serde_json::Value) -> Result<(), Failed> {
    let data = &config.node.data;
    let _lock = match DataLock::take(data) {
        Ok(lock) => lock,
        Err(LockError::InUse(_)) => return through_node(config, order),
        Err(error) => return Err(unreadable(&error)),
    };
    let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(RealFs), Arc::new(SystemClock::new()));
    let key = Arc::new(NodeKey::load_or_create(&paths::node_key(data)).map_err(|e| unreadable(&e))?);
    let journal = trail::open(config, &fs, &clock, &key).map_err(|e| unreadable(&e))?;
    journal.append_blocking(kind, body).map_err(|e| unreadable(&e))?;
    journal.close();
    Ok(())
}

fn create(config: &Config, args: &CreateArgs) -> Result<(), Failed> {
    // The usual kind is for tokens that send.
    let sends = args.everywhere || !args.cameras.is_empty() || !args.places.is_empty() || !args.read_duty;
    let scope = Scope {
        everywhere: args.everywhere,
        cameras: args.cameras.iter().copied().collect(),
        places: args.places.iter().copied().collect(),
        kinds: args.kinds.iter().copied().filter(|_| sends).collect(),
        priority: args.priority,
        read_duty: args.read_duty,
    };
    let made = TokenDraft::new(args.name.clone(), scope, args.rate);
    let (draft, secret) = made.map_err(|e| unreadable(&e))?;
    draft.check(&config.topology).map_err(|e| (1, e.to_string()))?;
    tokens(config).map_err(|e| unreadable(&e))?.room_for(&draft).map_err(|e| (1, e.to_string()))?;
    let at_us = SystemClock::new().utc();
    let token = Token { draft: draft.clone(), by: "console".into(), at_us, revoked: None };
    let order = Filed::CreateToken { create_token: draft };
    note(config, &order, kinds::TOKEN_CREATED, created(&token, None))?;
    say(&format!(
        "token {} ({}): keep what follows, it is not shown again",
        token.draft.name, token.draft.id
    ));
    say(&secret);
    Ok(())
}

fn list(config: &Config) -> Result<(), Failed> {
    let tokens = tokens(config).map_err(|e| unreadable(&e))?;
    for token in tokens.all() {
        let (draft, scope) = (&token.draft, &token.draft.scope);
        let kinds: Vec<&str> = scope.kinds.iter().map(|k| k.as_str()).collect();
        let reach = if scope.everywhere {
            "everywhere".to_owned()
        } else {
            format!("{} cameras, {} places", scope.cameras.len(), scope.places.len())
        };
        let state = token
            .revoked
            .as_ref()
            .map_or_else(|| "good".to_owned(), |r| format!("revoked by {} {}", r.by, written(r.at_us.0)));
        say(&format!(
            "{}  {}  {}  {}  up to {}  {} a minute  made by {} {}  {state}",
            draft.id,
            draft.name,
            kinds.join(","),
            reach,
            scope.priority.as_str(),
            draft.rate,
            token.by,
            written(token.at_us.0),
        ));
    }
    Ok(())
}

pub(super) fn written(us: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(us.div_euclid(1_000_000)).ok();
    time.and_then(|t| t.format(&Rfc3339).ok()).unwrap_or_else(|| us.to_string())
}

fn revoke(config: &Config, wanted: &str) -> Result<(), Failed> {
    let tokens = tokens(config).map_err(|e| unreadable(&e))?;
    let found = tokens.all().into_iter().find(|t| t.draft.id == wanted || t.draft.name == wanted);
    let token =
        found.ok_or_else(|| (1, format!("There is no token {wanted}; fengsui token list shows all.")))?;
    let id = token.draft.id.clone();
    if token.revoked.is_none() {
        let at_us = SystemClock::new().utc();
        let body = json!({"id": id, "by": "console", "at_us": at_us});
        note(config, &Filed::RevokeToken { revoke_token: id }, kinds::TOKEN_REVOKED, body)?;
    }
    say(&format!("token {}: revoked", token.draft.name));
    Ok(())
}
