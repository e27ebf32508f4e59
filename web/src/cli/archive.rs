//! `fengsui archive`: proving an archive, and making its index anew.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use fengsui_config::Config;
use fengsui_config::archive::ArchiveConfig;
use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::VolumeId;
use fengsui_storage::archive::{self, ArchiveIndex, ArchiveStore, RebuildError, VerifyReport};
use fengsui_storage::fs::{Fs, RealFs};

use super::UNREADABLE;
use super::check::{complain, say};
use crate::archive::place;
use crate::lock::DataLock;
use crate::paths;

/// Commands of `fengsui archive`.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Reads every object to its last byte and holds it against its own hashes, its signature, its name and the index.
    ///
    /// Changes nothing. The node may run; what it stores meanwhile may be listed as not indexed.
    Verify(Which),
    /// Makes the index anew from the keys of the objects; the old one is kept beside it. The node must not run.
    Rebuild(Which),
    /// Tries object lock: whether a locked object can be deleted with the node's own key.
    ProbeLock(Which),
}

/// Which archives.
#[derive(Debug, Args)]
pub struct Which {
    /// Only this archive.
    #[arg(long, value_name = "ID")]
    pub archive: Option<VolumeId>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Objects between two lines of progress.
const SAY_EVERY: u64 = 100;

/// Runs a command. Exit code 0: all holds; 1: something does not, or the node runs; 3: an archive cannot be read.
#[must_use]
pub fn run(config: &Path, command: &ArchiveCommand) -> ExitCode {
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let (ArchiveCommand::Verify(which) | ArchiveCommand::Rebuild(which) | ArchiveCommand::ProbeLock(which)) =
        command;
    let chosen = |a: &&ArchiveConfig| which.archive.as_ref().is_none_or(|id| *id == a.id);
    let archives: Vec<&ArchiveConfig> = config.storage.archives.iter().filter(chosen).collect();
    if archives.is_empty() {
        complain(
            "there is no archive of that name; the configuration says which there are: [[storage.archive]]",
        );
        return ExitCode::FAILURE;
    }
    let _lock = match command {
        ArchiveCommand::Rebuild(_) => match DataLock::take(&config.node.data) {
            Ok(lock) => Some(lock),
            Err(error) => {
                complain(&error.to_string());
                return ExitCode::FAILURE;
            }
        },
        _ => None,
    };
    let mut worst = 0;
    for one in archives {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let code = match place(one, fs) {
            Ok(store) => match command {
                ArchiveCommand::Verify(which) => verify(&config, one, &*store, which),
                ArchiveCommand::Rebuild(_) => rebuild(&config, one, &*store),
                ArchiveCommand::ProbeLock(which) => probe(one, &*store, which),
            },
            Err(error) => {
                complain(&error.to_string());
                UNREADABLE
            }
        };
        worst = worst.max(code);
    }
    ExitCode::from(worst)
}

fn verify(config: &Config, one: &ArchiveConfig, store: &dyn ArchiveStore, which: &Which) -> u8 {
    let dir = paths::archive(&config.node.data);
    let now = SystemClock::new().utc();
    let index = match ArchiveIndex::open(&RealFs, &dir, one.id.clone(), now) {
        Ok((index, _)) => index,
        Err(error) => {
            complain(&format!("cannot read the index of {}: {error}", one.id));
            return UNREADABLE;
        }
    };
    let (total, _) = index.totals();
    let mut said = 0;
    let mut progress = |report: &VerifyReport| {
        if report.objects >= said + SAY_EVERY {
            said = report.objects;
            tracing::info!(archive = %one.id, objects = report.objects, of = total, bytes = report.bytes, "verifying");
        }
    };
    let scratch = archive::scratch(&dir, &one.id);
    match archive::verify(store, &config.node.id, &index, (&RealFs, &scratch), &mut progress) {
        Ok(report) => {
            if which.json {
                say(&serde_json::to_string_pretty(&report).unwrap_or_default());
            } else {
                for found in &report.problems {
                    say(&format!("{}: {}: {}", found.kind, found.key, found.detail));
                }
                say(&format!(
                    "archive {}: {} objects, {} bytes read, {} sound, {} problems: {}",
                    one.id,
                    report.objects,
                    report.bytes,
                    report.sound,
                    report.problems.len() as u64 + report.problems_unlisted,
                    if report.is_sound() { "sound" } else { "NOT SOUND" }
                ));
            }
            u8::from(!report.is_sound())
        }
        Err(error) => {
            complain(&format!("cannot read archive {}: {error}", one.id));
            UNREADABLE
        }
    }
}

fn rebuild(config: &Config, one: &ArchiveConfig, store: &dyn ArchiveStore) -> u8 {
    let (dir, now) = (paths::archive(&config.node.data), SystemClock::new().utc());
    match archive::rebuild(store, &config.node.id, &one.id, (&RealFs, &dir), now) {
        Ok((segments, unknown)) => {
            say(&format!("archive {}: {segments} segments, {unknown} objects that are none", one.id));
            0
        }
        Err(RebuildError::Archive(error)) => {
            complain(&format!("cannot list archive {}: {error}", one.id));
            UNREADABLE
        }
        Err(RebuildError::Store(error)) => {
            complain(&format!("cannot write the index of {}: {error}", one.id));
            1
        }
    }
}

fn probe(one: &ArchiveConfig, store: &dyn ArchiveStore, which: &Which) -> u8 {
    let found = store.probe_lock();
    if which.json {
        say(&serde_json::to_string(&found).unwrap_or_default());
    } else {
        let state = serde_json::to_value(found.state).unwrap_or_default();
        say(&format!("archive {}: {}: {}", one.id, state.as_str().unwrap_or_default(), found.reason));
    }
    0
}
