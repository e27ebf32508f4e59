//! `fengsui volume`: what volumes are used for, and which disk is which.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use fengsui_config::clock::{Clock, SystemClock};
use fengsui_config::{Config, VolumeConfig, VolumeKind};
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::segment::NodeKey;
use fengsui_storage::volume::{self, KnownVolumes, Volume, VolumeMode};
use serde_json::json;

use super::UNREADABLE;
use super::check::{complain, say};
use crate::auth::register::kinds;
use crate::lock::{DataLock, LockError};
use crate::orders::{self, Answer, Filed, Order};
use crate::paths;
use crate::recordings::{VolumeOrder, own_file_system};
use crate::trail;

/// How long a running node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Commands of `fengsui volume`. Orders reach a running node within a second; the journal notes them.
#[derive(Debug, Subcommand)]
pub enum VolumeCommand {
    /// Shows every volume: disk, state, use, room.
    List,
    /// Lets a volume take footage (again).
    Use {
        /// Its id.
        volume: String,
    },
    /// Gives a volume no new segments while another volume takes them; what it holds stays.
    Drain {
        /// Its id.
        volume: String,
    },
    /// As `drain`, and moves what the volume holds to the others.
    Evacuate {
        /// Its id.
        volume: String,
    },
    /// Takes the disk mounted in the place of a volume as that volume, with the footage on it.
    Adopt {
        /// Its id.
        volume: String,
    },
    /// Puts the empty disk mounted in the place of a volume into use as that volume.
    Replace {
        /// Its id.
        volume: String,
        /// The folder is meant to lie on the same file system as the folder above it.
        #[arg(long)]
        plain_folder: bool,
    },
}

/// Runs a command. Exit code 0: done; 1: refused; 3: something cannot be read or written.
#[must_use]
pub fn run(config: &Path, command: &VolumeCommand) -> ExitCode {
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let (volume, order) = match command {
        VolumeCommand::List => return list(&config),
        VolumeCommand::Use { volume } => (volume, VolumeOrder::Use),
        VolumeCommand::Drain { volume } => (volume, VolumeOrder::Drain),
        VolumeCommand::Evacuate { volume } => (volume, VolumeOrder::Evacuate),
        VolumeCommand::Adopt { volume } => (volume, VolumeOrder::Adopt),
        VolumeCommand::Replace { volume, plain_folder: false } => (volume, VolumeOrder::Replace),
        VolumeCommand::Replace { volume, plain_folder: true } => (volume, VolumeOrder::ReplaceFolder),
    };
    let Some(known) = config.storage.volumes.iter().find(|v| v.id.as_str() == volume) else {
        let ids: Vec<&str> = config.storage.volumes.iter().map(|v| v.id.as_str()).collect();
        complain(&format!("volume {volume}: is none of this configuration; there are: {}", ids.join(", ")));
        return ExitCode::FAILURE;
    };
    let done = match DataLock::take(&config.node.data) {
        Ok(_lock) => directly(&config, known, order),
        Err(LockError::InUse(_)) => {
            through_node(&config, &Filed::Volume(Order { volume: volume.clone(), order }))
        }
        Err(error) => Err((UNREADABLE, error.to_string())),
    };
    match done {
        Ok(()) => {
            say(&format!("volume {volume}: done"));
            ExitCode::SUCCESS
        }
        Err((code, why)) => {
            complain(&format!("volume {volume}: {why}"));
            ExitCode::from(code)
        }
    }
}

/// Exit code, and why.
pub(super) type Failed = (u8, String);

/// The node does not run: notes the order in its journal and carries it out here.
fn directly(config: &Config, known: &VolumeConfig, order: VolumeOrder) -> Result<(), Failed> {
    let data = &config.node.data;
    let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(RealFs), Arc::new(SystemClock::new()));
    let wrap = |e: &dyn std::fmt::Display| (UNREADABLE, e.to_string());
    let key = Arc::new(NodeKey::load_or_create(&paths::node_key(data)).map_err(|e| wrap(&e))?);
    let journal = trail::open(config, &fs, &clock, &key).map_err(|e| wrap(&e))?;
    let volume = known.id.as_str();
    let note = |kind: &str, body| journal.append_blocking(kind, body).map_err(|e| wrap(&e));
    note(orders::kind(order), json!({"by": "console", "volume": volume}))?;
    let mode = |mode| volume::set_mode(&*fs, data, &known.id, mode).map(drop).map_err(|e| e.to_string());
    let (root, node, now) = (&known.path, &config.node.id, clock.utc());
    let done = match order {
        VolumeOrder::Use => mode(VolumeMode::Use),
        VolumeOrder::Drain => mode(VolumeMode::Drain),
        VolumeOrder::Evacuate => mode(VolumeMode::Evacuate),
        VolumeOrder::Adopt => {
            volume::adopt(&*fs, data, root, &known.id, node, now).map(drop).map_err(|e| e.to_string())
        }
        VolumeOrder::Replace | VolumeOrder::ReplaceFolder => own_file_system(root, order).and_then(|()| {
            volume::replace(&*fs, data, root, &known.id, node, now).map(drop).map_err(|e| e.to_string())
        }),
    };
    if let Err(why) = &done {
        note(
            kinds::VOLUME_ORDER_REFUSED,
            json!({"by": "console", "volume": volume, "order": order, "why": why}),
        )?;
    }
    journal.close();
    done.map_err(|why| (1, why))
}

/// The node runs: leaves the order in its folder and waits for the answer.
pub(super) fn through_node(config: &Config, order: &Filed) -> Result<(), Failed> {
    let folder = paths::orders(&config.node.data);
    let wrap = |e: std::io::Error| {
        (UNREADABLE, format!("cannot reach the running node through {}: {e}", folder.display()))
    };
    std::fs::create_dir_all(&folder).map_err(wrap)?;
    let name = format!("{}-{}", SystemClock::new().utc().0, std::process::id());
    let (aside, path) = (folder.join(format!("{name}.new")), folder.join(format!("{name}.json")));
    let text = serde_json::to_vec(order).map_err(|e| wrap(e.into()))?;
    // Hashes of passwords may stand in it.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(wrap)?;
    file.write_all(&text).map_err(wrap)?;
    drop(file);
    std::fs::rename(&aside, &path).map_err(wrap)?;
    let answer = folder.join(format!("{name}.answer"));
    for _ in 0..ANSWER_WITHIN.as_millis() / 100 {
        if let Ok(bytes) = std::fs::read(&answer) {
            let _ = std::fs::remove_file(&answer);
            let answer: Answer = serde_json::from_slice(&bytes).map_err(|e| wrap(e.into()))?;
            return if answer.done { Ok(()) } else { Err((1, answer.why.unwrap_or_default())) };
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = std::fs::remove_file(&path);
    Err((UNREADABLE, format!("the running node does not answer within {} s", ANSWER_WITHIN.as_secs())))
}

fn list(config: &Config) -> ExitCode {
    let (data, clock) = (&config.node.data, SystemClock::new());
    let known = match KnownVolumes::load(&RealFs, data) {
        Ok(known) => known,
        Err(error) => {
            complain(&format!("cannot read what is known of the volumes: {error}"));
            return ExitCode::from(UNREADABLE);
        }
    };
    for volume in &config.storage.volumes {
        let is_stage = config.storage.is_stage(&volume.id);
        let mut look = Volume::new(volume, is_stage, config.node.id.clone(), data.clone(), clock.utc());
        // A look makes the identity of a disk never seen; a list must not.
        if known.uuid(&volume.id).is_some() {
            look.probe(&RealFs, clock.utc(), clock.mono());
        }
        let status = look.status();
        let kind = match &volume.kind {
            VolumeKind::Direct if is_stage => "stage".to_owned(),
            VolumeKind::Direct => "direct".to_owned(),
            VolumeKind::Staged { stage } => format!("staged on {stage}"),
        };
        say(&format!(
            "{}  {}  {}  {}  weight {} %  {} of {} MiB free  {}{}",
            volume.id,
            format!("{:?}", status.state).to_lowercase(),
            format!("{:?}", known.mode(&volume.id)).to_lowercase(),
            kind,
            volume.weight,
            status.free_bytes >> 20,
            status.total_bytes >> 20,
            volume.path.display(),
            status.detail.as_ref().map(|d| format!("\n    {d}")).unwrap_or_default()
        ));
    }
    ExitCode::SUCCESS
}
