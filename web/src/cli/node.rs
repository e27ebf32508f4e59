//! `fengsui node`: at a centre, who its nodes are; at a node, how it comes to be one.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use fengsui_config::Config;
use fengsui_config::clock::{Clock, SystemClock};
use fengsui_config::ids::{CameraId, NodeId};
use fengsui_relay::identity::registry::Share;
use fengsui_relay::identity::{NodeState, Nodes, Token};
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{Journal, Reducer as _, kinds};
use fengsui_storage::segment::NodeKey;
use serde_json::Value;

use super::UNREADABLE;
use super::check::{complain, say};
use super::enrol;
use super::node_config::{self, ConfigCommand};
use super::volume::{Failed, through_node};
use crate::api::nodes::HOURS_DEFAULT;
use crate::lock::{DataLock, LockError};
use crate::node::https_pin;
use crate::orders::{Filed, NodeInvitation};
use crate::relay::centre::register::{NodeOrder, below_nobody};
use crate::{paths, trail};

/// Commands of `fengsui node`. Exit codes of all: 0 done; 1 refused; 2 wrong usage; 3 something cannot be read or written.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// At the centre: makes a one-time token for a node and prints it, once: it is stored nowhere.
    Invite(InviteArgs),
    /// At the centre: shows every node: name, state, cameras, when and from where it was enrolled.
    List,
    /// At the centre: says which cameras a node may speak of; what it says of others is not taken in.
    Assign(AssignArgs),
    /// At the centre: a node works on and is to get nothing new.
    Drain(DismissArgs),
    /// At the centre: a node is one no more; its connection is cut. Its events and footage stay.
    Retire(DismissArgs),
    /// At the node: brings its token to the centre, once, and keeps the certificate by which it believes the centre.
    ///
    /// The token is read from a file, or from standard input (not shown at a terminal); it never stands on the command
    /// line. The centre is believed by the certificate that the token names and by no other.
    Enrol(EnrolArgs),
    /// At the node: places and cameras that its centre sent.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// A node that is to be.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// Its name: 1 to 32 of a-z, 0-9 and '-'.
    pub node: NodeId,
    /// A camera that it may speak of; may be given several times.
    #[arg(long = "camera", value_name = "CODE")]
    pub cameras: Vec<CameraId>,
    /// A file with more of them, one code a line.
    #[arg(long, value_name = "FILE")]
    pub cameras_from: Option<PathBuf>,
    /// A camera of another node that it records while that node is gone; may be given several times.
    #[arg(long = "standby", value_name = "CODE")]
    pub standby: Vec<CameraId>,
    /// A file with more of those, one code a line.
    #[arg(long, value_name = "FILE")]
    pub standby_from: Option<PathBuf>,
    /// How long the token is good.
    #[arg(long, default_value_t = HOURS_DEFAULT, value_name = "HOURS")]
    pub hours: u64,
}

/// Other cameras for a node.
#[derive(Debug, Args)]
pub struct AssignArgs {
    /// Its name.
    pub node: NodeId,
    /// A camera that it may speak of; may be given several times. Those not named it may not speak of any more.
    #[arg(long = "camera", value_name = "CODE")]
    pub cameras: Vec<CameraId>,
    /// A file with more of them, one code a line.
    #[arg(long, value_name = "FILE")]
    pub cameras_from: Option<PathBuf>,
    /// A camera of another node that it records while that node is gone; may be given several times. Those not named it does
    /// not any more; when none is named, they stay as they are.
    #[arg(long = "standby", value_name = "CODE")]
    pub standby: Vec<CameraId>,
    /// A file with more of those, one code a line.
    #[arg(long, value_name = "FILE")]
    pub standby_from: Option<PathBuf>,
    /// It stands by for no camera any more.
    #[arg(long, conflicts_with_all = ["standby", "standby_from"])]
    pub no_standby: bool,
}

impl AssignArgs {
    fn order(&self) -> Result<NodeOrder, Failed> {
        let cameras = codes(&self.cameras, self.cameras_from.as_deref())?;
        let standby = codes(&self.standby, self.standby_from.as_deref())?;
        let said = self.no_standby || self.standby_from.is_some() || !standby.is_empty();
        Ok(NodeOrder::Assign { cameras, standby: said.then_some(standby) })
    }
}

/// A node that is to be drained or retired.
#[derive(Debug, Args)]
pub struct DismissArgs {
    /// Its name.
    pub node: NodeId,
    /// Why, for those who read the journal.
    #[arg(long)]
    pub reason: String,
}

/// Where to bring the token.
#[derive(Debug, Args)]
pub struct EnrolArgs {
    /// HTTPS address of the centre.
    #[arg(long, value_name = "https://HOST[:PORT]")]
    pub centre: String,
    /// A file that holds the token; without it the token is read from standard input.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Runs a command.
#[must_use]
pub fn run(config: &Path, command: &NodeCommand) -> ExitCode {
    let path = config;
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let done = match command {
        NodeCommand::Invite(args) => invite(&config, args),
        NodeCommand::List => list(&config),
        NodeCommand::Assign(args) => args.order().and_then(|new| order(&config, &args.node, new)),
        NodeCommand::Drain(args) => {
            order(&config, &args.node, NodeOrder::Drain { reason: args.reason.clone() })
        }
        NodeCommand::Retire(args) => {
            order(&config, &args.node, NodeOrder::Retire { reason: args.reason.clone() })
        }
        NodeCommand::Enrol(args) => enrol::run(&config, args),
        NodeCommand::Config(command) => node_config::run(path, &config, command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            complain(&why);
            ExitCode::from(code)
        }
    }
}

pub(super) fn unreadable(error: &dyn std::fmt::Display) -> Failed {
    (UNREADABLE, error.to_string())
}

pub(super) fn refused(error: &dyn std::fmt::Display) -> Failed {
    (1, error.to_string())
}

fn codes(given: &[CameraId], file: Option<&Path>) -> Result<BTreeSet<CameraId>, Failed> {
    let mut cameras: BTreeSet<CameraId> = given.iter().copied().collect();
    let Some(file) = file else { return Ok(cameras) };
    let text = std::fs::read_to_string(file)
        .map_err(|e| unreadable(&format!("cannot read {}: {e}", file.display())))?;
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let code = line.trim().parse::<CameraId>();
        let code = code.map_err(|e| refused(&format!("{} line {number}: the code {e}", file.display())))?;
        cameras.insert(code);
    }
    Ok(cameras)
}

fn is_centre(config: &Config) -> Result<(), Failed> {
    let centre = config.relay.as_ref().is_some_and(|relay| relay.centre.is_some());
    let why = "this node is no centre: write listen under [relay], or run the command at the centre";
    if centre { Ok(()) } else { Err(refused(&why)) }
}

/// The register, read beside a running node.
fn nodes(config: &Config) -> Result<Nodes, StoreError> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let mut nodes = Nodes::default();
    for record in Journal::read_dir(&fs, &paths::journal(&config.node.data), 0)? {
        nodes.apply(&record?)?;
    }
    Ok(nodes)
}

/// Leaves `order` to the node that runs; writes what `record` makes into the journal of one that does not.
fn note(
    config: &Config,
    order: &Filed,
    record: impl FnOnce(&Nodes) -> Result<(&'static str, Value), Failed>,
) -> Result<(), Failed> {
    let data = &config.node.data;
    let _lock = match DataLock::take(data) {
        Ok(lock) => lock,
        Err(LockError::InUse(_)) => return through_node(config, order),
        Err(error) => return Err(unreadable(&error)),
    };
    let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(RealFs), Arc::new(SystemClock::new()));
    let key = Arc::new(NodeKey::load_or_create(&paths::node_key(data)).map_err(|e| unreadable(&e))?);
    let journal = trail::open(config, &fs, &clock, &key).map_err(|e| unreadable(&e))?;
    let (kind, body) = record(&journal.state().map_err(|e| unreadable(&e))?)?;
    journal.append_blocking(kind, body).map_err(|e| unreadable(&e))?;
    journal.close();
    Ok(())
}

fn body(value: impl serde::Serialize) -> Result<Value, Failed> {
    serde_json::to_value(value).map_err(|e| unreadable(&e))
}

fn invite(config: &Config, args: &InviteArgs) -> Result<(), Failed> {
    is_centre(config)?;
    let cameras = codes(&args.cameras, args.cameras_from.as_deref())?;
    let standby = codes(&args.standby, args.standby_from.as_deref())?;
    let share = Share { cameras: cameras.clone(), standby: standby.clone() };
    let no_https = "this centre has no HTTPS address to which a node could bring its token; write tls_listen under [web]";
    let pin = https_pin(config).ok_or_else(|| refused(&no_https))?;
    let token = Token::make(args.node.clone(), pin).map_err(|e| unreadable(&e))?;
    let (hash, hours) = (token.hash(), args.hours);
    let order = NodeInvitation { node: args.node.clone(), token_hash: hash, cameras, standby, hours };
    note(config, &Filed::InviteNode { invite_node: order }, |nodes| {
        below_nobody(nodes, &args.node).map_err(|e| refused(&e))?;
        let life = (SystemClock::new().utc(), std::time::Duration::from_secs(hours.saturating_mul(3600)));
        let made = nodes.invite(&config.node.id, (&args.node, hash), share, life, "console");
        Ok((kinds::NODE_INVITED, body(made.map_err(|e| refused(&e))?)?))
    })?;
    say(&format!(
        "node {}: its token follows, good once and for {hours} hours; it is not shown again. At the node: fengsui node enrol --centre https://HOST:PORT",
        args.node
    ));
    say(&token.expose());
    Ok(())
}

fn order(config: &Config, node: &NodeId, order: NodeOrder) -> Result<(), Failed> {
    is_centre(config)?;
    note(config, &Filed::Node { node: node.clone(), node_order: order.clone() }, |nodes| {
        let by = "console";
        Ok(match order {
            NodeOrder::Assign { cameras, standby } => {
                let made = nodes.assign(node, cameras, standby, by).map_err(|e| refused(&e))?;
                (kinds::NODE_ASSIGNED, body(made)?)
            }
            NodeOrder::Drain { reason } => {
                (kinds::NODE_DRAINED, body(nodes.dismiss(node, by, &reason).map_err(|e| refused(&e))?)?)
            }
            NodeOrder::Retire { reason } => {
                (kinds::NODE_RETIRED, body(nodes.dismiss(node, by, &reason).map_err(|e| refused(&e))?)?)
            }
        })
    })?;
    say(&format!("node {node}: done"));
    Ok(())
}

fn list(config: &Config) -> Result<(), Failed> {
    is_centre(config)?;
    let nodes = nodes(config).map_err(|e| unreadable(&e))?;
    for (id, node) in nodes.iter() {
        let state = match node.state {
            NodeState::Active => "active",
            NodeState::Drained => "drained",
            NodeState::Retired => "retired",
        };
        let (at, cameras) = (super::token::written(node.enrolled_us.0), node.cameras.len());
        let standby = match node.standby.len() {
            0 => String::new(),
            n => format!(", {n} standing by"),
        };
        say(&format!("{id}  {state}  {cameras} cameras{standby}  enrolled {at} from {}", node.address));
    }
    for open in nodes.invitations() {
        let until = super::token::written(open.expires_us.0);
        say(&format!("{}  invited  {} cameras  by {} until {until}", open.node, open.cameras.len(), open.by));
    }
    Ok(())
}

/// Writes a file aside and renames it.
pub(super) fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let aside = path.with_extension("new");
    let mut file = std::fs::File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)
}
