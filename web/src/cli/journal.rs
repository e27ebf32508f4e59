//! `fengsui journal`: the journal.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::Journal;

use super::UNREADABLE;
use super::check::{complain, say};
use crate::paths;

/// Commands of `fengsui journal`.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Checks every record and the chain from the first to the last. The node may run.
    Verify,
}

/// Runs a command. Exit code 0: the journal holds; 1: it does not; 3: it cannot be read.
#[must_use]
pub fn run(config: &Path, command: &JournalCommand) -> ExitCode {
    let JournalCommand::Verify = command;
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    match Journal::verify_dir(&fs, &paths::journal(&config.node.data)) {
        Ok(report) => {
            for damage in &report.damages {
                say(&format!("damaged: {} at byte {}: {}", damage.file.display(), damage.at, damage.detail));
            }
            say(&format!(
                "{} files, {} records, last {} with hash {}: {}",
                report.files,
                report.records,
                report.last_seq,
                report.last_hash,
                if report.is_sound() { "sound" } else { "NOT SOUND" }
            ));
            if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(&format!("cannot read the journal: {error}"));
            ExitCode::from(UNREADABLE)
        }
    }
}
