//! `fengsui index`: the index of footage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Subcommand;
use fengsui_config::clock::SystemClock;
use fengsui_config::ids::VolumeId;
use fengsui_storage::catalogue::{AuditReport, Catalogue, CheckReport, Hole, Opening};
use fengsui_storage::error::StoreError;
use fengsui_storage::facets;
use fengsui_storage::fs::RealFs;

use super::UNREADABLE;
use super::check::{complain, say};
use crate::lock::DataLock;
use crate::paths;

/// Commands of `fengsui index`.
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// Makes the index anew from the names of the files; the old one is kept beside it. What else is derived of footage (the
    /// facets that long listings use) is deleted and comes back by itself. The node must not run.
    Rebuild,
    /// Compares the index with the names of the files, mends it, and looks for time that is neither footage nor a gap with a
    /// reason. The node must not run; a running one does so by itself (`fengsui_footage_unexplained_seconds` in its
    /// metrics).
    Check,
}

/// What `fengsui index check` prints.
#[derive(Debug, serde::Serialize)]
struct Checked {
    /// How the log was found.
    log: Opening,
    /// Differences by volume; they are mended.
    volumes: BTreeMap<String, CheckReport>,
    /// Segments without a footer; the next start of the node closes them.
    unfinished: usize,
    /// Streams, and time that nothing explains.
    audit: AuditReport,
    /// That time, stream by stream.
    unexplained: Vec<String>,
}

/// Runs a command. Exit code 0: done; 1: the node runs, the configuration is refused, or a check found something; 3: a
/// volume cannot be read.
#[must_use]
pub fn run(config: &Path, command: &IndexCommand) -> ExitCode {
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let _lock = match DataLock::take(&config.node.data) {
        Ok(lock) => lock,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let volumes: Vec<_> = config.storage.volumes.iter().map(|v| (v.id.clone(), v.path.clone())).collect();
    let dir = paths::catalogue(&config.node.data);
    match command {
        IndexCommand::Rebuild => {
            if let Err(error) = facets::erase(&RealFs, &paths::facets(&config.node.data)) {
                complain(&format!("cannot delete the facets, which the node will do without: {error}"));
            }
            rebuild(&dir, &volumes)
        }
        IndexCommand::Check => match check(&dir, &volumes) {
            Ok((checked, code)) => {
                say(&serde_json::to_string_pretty(&checked).unwrap_or_default());
                code
            }
            Err(error) => {
                complain(&format!("cannot check the index: {error}"));
                ExitCode::from(UNREADABLE)
            }
        },
    }
}

fn rebuild(dir: &Path, volumes: &[(VolumeId, PathBuf)]) -> ExitCode {
    match Catalogue::rebuild(Arc::new(RealFs), dir, volumes, Arc::new(SystemClock::new())) {
        Ok(report) => {
            say(&serde_json::to_string_pretty(&report).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("cannot rebuild the index: {error}"));
            ExitCode::from(UNREADABLE)
        }
    }
}

fn check(dir: &Path, volumes: &[(VolumeId, PathBuf)]) -> Result<(Checked, ExitCode), StoreError> {
    let catalogue = Catalogue::open(Arc::new(RealFs), dir, Arc::new(SystemClock::new()))?;
    let mut found = BTreeMap::new();
    for (id, root) in volumes {
        found.insert(id.to_string(), catalogue.check_volume(id, root, &AtomicBool::new(false))?);
    }
    catalogue.flush(true)?;
    let audit = catalogue.audit();
    let hole = |h: &Hole| {
        let (from, to) = (h.interval.from.0, h.interval.to.0);
        format!("{} from_us={from} to_us={to}", h.key)
    };
    let unexplained = audit.holes.iter().map(hole).collect();
    let mended = |r: &CheckReport| r.added + r.unfinished + r.missing + r.shortened > 0;
    let clean =
        *catalogue.opening() == Opening::Clean && audit.unexplained_us == 0 && !found.values().any(mended);
    let code = if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let (log, unfinished) = (catalogue.opening().clone(), catalogue.unfinished().len());
    Ok((Checked { log, volumes: found, unfinished, audit, unexplained }, code))
}
