//! `fengsui node config`: what a node has of its centre, and the way back to its own file.

use std::path::Path;
use std::sync::Arc;

use clap::{Args, Subcommand};
use fengsui_config::clock::{Clock, SystemClock};
use fengsui_config::env::ProcessEnv;
use fengsui_config::{Config, limits};
use fengsui_relay::central::{Kept, Standing};
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{Journal, Reducer as _, kinds};
use fengsui_storage::segment::NodeKey;

use super::check::{complain, say, show_refusals};
use super::node::{refused, unreadable};
use super::token::written;
use super::volume::{Failed, through_node};
use crate::lock::{DataLock, LockError};
use crate::orders::Filed;
use crate::{paths, relay, trail};

/// Commands of `fengsui node config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Says which version is in force, and prints its places and cameras.
    Show,
    /// Goes back to the places and cameras of this node's own file. The centre is told; it may send a newer version.
    Release(ReleaseArgs),
}

/// Why the centre's version is put out of force.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// Why, for those who read the journal and for the people at the centre.
    #[arg(long)]
    pub reason: String,
}

/// Runs a command; `path` is the node's own file.
pub(super) fn run(path: &Path, config: &Config, command: &ConfigCommand) -> Result<(), Failed> {
    match command {
        ConfigCommand::Show => show(config),
        ConfigCommand::Release(args) => release(path, config, args),
    }
}

/// What the journal says, read beside a running node.
fn standing(config: &Config) -> Result<Standing, StoreError> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let mut standing = Standing::default();
    for record in Journal::read_dir(&fs, &paths::journal(&config.node.data), 0)? {
        standing.apply(&record?)?;
    }
    Ok(standing)
}

fn show(config: &Config) -> Result<(), Failed> {
    match standing(config).map_err(|e| unreadable(&e))? {
        Standing::Own => say("this node goes by its own file; no centre sent another configuration"),
        Standing::Released(released) => say(&format!(
            "this node goes by its own file: {} put version {} of the centre out of force: {}",
            released.by, released.version, released.reason
        )),
        Standing::Central(now) => {
            let (received, at) = (&now.received, written(now.at.0));
            complain(&format!(
                "version {} of the centre is in force, saved there by {}, here since {at}",
                received.version, received.by
            ));
            say(received.text.trim_end());
        }
    }
    Ok(())
}

fn release(path: &Path, config: &Config, args: &ReleaseArgs) -> Result<(), Failed> {
    let reason = args.reason.trim();
    let most = limits::HOLD_REASON_CHARS_MAX;
    if reason.is_empty() || reason.chars().count() > most {
        return Err(refused(&format!("--reason: write 1 to {most} characters")));
    }
    let data = &config.node.data;
    let _lock = match DataLock::take(data) {
        Ok(lock) => lock,
        Err(LockError::InUse(_)) => {
            through_node(config, &Filed::ReleaseConfig { release_config: reason.to_owned() })?;
            say("this node goes by its own file");
            return Ok(());
        }
        Err(error) => return Err(unreadable(&error)),
    };
    if let Err(refusals) = Config::load(path, &ProcessEnv) {
        show_refusals(&refusals);
        return Err(refused(&"the node's own file is refused, so the centre's version stays in force"));
    }
    let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(RealFs), Arc::new(SystemClock::new()));
    let key = Arc::new(NodeKey::load_or_create(&paths::node_key(data)).map_err(|e| unreadable(&e))?);
    let journal = trail::open(config, &fs, &clock, &key).map_err(|e| unreadable(&e))?;
    let standing: Standing = journal.state().map_err(|e| unreadable(&e))?;
    let Some(released) = standing.release("console", reason) else {
        return Err(refused(&"no version of a centre is in force; this node goes by its own file already"));
    };
    let body = serde_json::to_value(&released).map_err(|e| unreadable(&e))?;
    journal.append_blocking(kinds::CONFIG_RELEASED, body).map_err(|e| unreadable(&e))?;
    journal.close();
    Kept::new(relay::folder(data)).set(&*fs, None).map_err(|e| unreadable(&e))?;
    say(&format!(
        "version {} of the centre is out of force; this node goes by its own file",
        released.version
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use fengsui_config::write;
    use fengsui_relay::central::{Offer, sum};
    use serde_json::json;

    use super::*;
    use crate::central;
    use crate::testing;

    #[test]
    fn a_node_that_does_not_run_goes_back_to_its_own_file_when_that_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fengsui.toml");
        let topology = testing::config().topology;
        let head =
            "[node]\nid = \"east\"\ndata = \"data\"\n[[storage.volume]]\nid = \"v1\"\npath = \"footage\"\n";
        let own = format!("{head}{}{}", write::places(&topology), write::cameras(topology.cameras.values()));
        std::fs::write(&path, &own).unwrap();
        let config = central::load(&path).unwrap().config;
        let args = ReleaseArgs { reason: "wrong street".to_owned() };
        assert_eq!(release(&path, &config, &args).unwrap_err().0, 1, "nothing is in force");

        let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(RealFs), Arc::new(SystemClock::new()));
        let key = Arc::new(NodeKey::load_or_create(&paths::node_key(&config.node.data)).unwrap());
        let text = write::central(&topology);
        let offer = Offer { version: 4, hash: sum(&text), text, by: "li".to_owned() };
        let journal = trail::open(&config, &fs, &clock, &key).unwrap();
        journal.append_blocking(kinds::CONFIG_RECEIVED, json!(offer)).unwrap();
        let (config, _) = central::settle(config, &path, &fs, &journal).unwrap();
        journal.close();
        assert!(central::load(&path).unwrap().central.is_some());

        std::fs::write(&path, own.replace("kind = \"square\"", "kind = \"moon\"")).unwrap();
        let (code, why) = release(&path, &config, &args).unwrap_err();
        assert!(code == 1 && why.contains("own file is refused"), "{why}");
        assert!(matches!(standing(&config).unwrap(), Standing::Central(_)), "the centre's stays in force");
        std::fs::write(&path, &own).unwrap();
        let none = ReleaseArgs { reason: " ".to_owned() };
        assert_eq!(release(&path, &config, &none).unwrap_err().0, 1, "a release needs a reason");
        release(&path, &config, &args).unwrap();
        let released = match standing(&config).unwrap() {
            Standing::Released(released) => Some(released),
            _ => None,
        }
        .unwrap();
        assert_eq!((released.version, released.reason.as_str()), (4, "wrong street"));
        assert!(central::load(&path).unwrap().central.is_none());
    }
}
