//! `fengsui fsck`: checks footage against itself.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use fengsui_config::ids::VolumeId;
use fengsui_storage::fs::RealFs;
use fengsui_storage::fsck::{self, FsckOptions, Report};

use super::UNREADABLE;
use super::check::{complain, say};

/// Options of `fengsui fsck`.
#[derive(Debug, Args)]
pub struct FsckArgs {
    /// Read every byte and check every hash; otherwise structure, signatures and chains alone.
    #[arg(long)]
    pub full: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Only this volume.
    #[arg(long, value_name = "ID")]
    pub volume: Option<VolumeId>,
}

/// Checks the volumes of a configuration. Exit code 0: all holds; 1: something does not; 3: a volume cannot be read.
#[must_use]
pub fn run(config: &Path, args: &FsckArgs) -> ExitCode {
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let volumes: Vec<_> = config
        .storage
        .volumes
        .iter()
        .filter(|v| args.volume.as_ref().is_none_or(|id| *id == v.id))
        .map(|v| (v.id.clone(), v.path.clone()))
        .collect();
    if volumes.is_empty() {
        complain("there is no volume of that name");
        return ExitCode::FAILURE;
    }
    let mut said = 0;
    let mut progress = |p: fsck::Progress| {
        if p.files >= said + 1000 {
            said = p.files;
            tracing::info!(files = p.files, bytes = p.bytes, "checking");
        }
    };
    let options = FsckOptions { full: args.full, key: None };
    match fsck::run(&RealFs, &volumes, options, &mut progress) {
        Ok(report) => {
            if args.json {
                say(&serde_json::to_string_pretty(&report).unwrap_or_default());
            } else {
                show(&report);
            }
            if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(&format!("cannot check: {error}"));
            ExitCode::from(UNREADABLE)
        }
    }
}

fn show(report: &Report) {
    for problem in &report.problems {
        say(&format!("{}: {}: {}", problem.kind, problem.path.display(), problem.detail));
    }
    if report.problems_unlisted > 0 {
        say(&format!("and {} more", report.problems_unlisted));
    }
    say(&format!(
        "{} segments, {} bytes: {} clean, {} open, {} torn, {} damaged; {} groups hashed, {} links hold, {} problems",
        report.files,
        report.bytes,
        report.clean,
        report.open,
        report.torn,
        report.damaged,
        report.groups_hashed,
        report.links,
        report.problems.len() as u64 + report.problems_unlisted
    ));
}
