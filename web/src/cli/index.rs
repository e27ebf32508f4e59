//! `fengsui index`: the index of footage.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use fengsui_config::clock::SystemClock;
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::fs::RealFs;

use super::UNREADABLE;
use super::check::{complain, say};
use crate::lock::DataLock;
use crate::paths;

/// Commands of `fengsui index`.
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// Makes the index anew from the names of the files; the old one is kept beside it. The node must not run.
    Rebuild,
}

/// Runs a command. Exit code 0: done; 1: the node runs, or the configuration is refused; 3: a volume cannot be read.
#[must_use]
pub fn run(config: &Path, command: &IndexCommand) -> ExitCode {
    let IndexCommand::Rebuild = command;
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
    let clock = Arc::new(SystemClock::new());
    match Catalogue::rebuild(Arc::new(RealFs), &paths::catalogue(&config.node.data), &volumes, clock) {
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
