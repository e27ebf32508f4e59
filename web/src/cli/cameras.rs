//! `fengsui cameras import` and `fengsui cameras export`: cameras from and to a table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use fengsui_config::env::ProcessEnv;
use fengsui_config::{Config, table, write};

use super::check::{complain, say, show_refusals, show_warnings};
use super::city::put;

/// `fengsui cameras ...`
#[derive(Debug, Subcommand)]
pub enum CamerasCommand {
    /// Check a CSV table against the configuration and write its cameras as TOML.
    Import(ImportArgs),
    /// Write all cameras as a CSV table (UTF-8 with byte order mark). Passwords stand as references.
    Export(ExportArgs),
}

/// Options of `fengsui cameras import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The table. Its first line names the columns: the keys of [[camera]].
    pub table: PathBuf,
    /// File to write, relative to the configuration; it is replaced whole.
    #[arg(long, default_value = "cameras.toml")]
    pub out: PathBuf,
    /// Check only; write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Treat warnings as refusals.
    #[arg(long)]
    pub strict: bool,
}

/// Options of `fengsui cameras export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// File to write; standard output when absent.
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Runs a `cameras` command on the configuration file `config`. Exit code 0: done; 1: refused or failed.
#[must_use]
pub fn run(config: &Path, command: &CamerasCommand) -> ExitCode {
    let done = match command {
        CamerasCommand::Import(args) => import(config, args),
        CamerasCommand::Export(args) => export(config, args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            if !problem.is_empty() {
                complain(&format!("cameras: {problem}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn import(config: &Path, args: &ImportArgs) -> Result<(), String> {
    let target = config.parent().unwrap_or(Path::new("")).join(&args.out);
    let import = table::import(config, &args.table, &target, &ProcessEnv).map_err(|refusals| {
        show_refusals(&refusals);
        String::new()
    })?;
    show_warnings(&import.warnings);
    if args.strict && !import.warnings.is_empty() {
        return Err(format!("refused: {} warnings and --strict", import.warnings.len()));
    }
    let count = import.cameras.len();
    if args.dry_run {
        say(&format!("{}: {count} cameras are good; nothing was written", args.table.display()));
        return Ok(());
    }
    put(&target, &write::cameras(&import.cameras))?;
    say(&format!("{}: {count} cameras from {}", target.display(), args.table.display()));
    let codes: Vec<_> = import.cameras.iter().map(|camera| camera.id).collect();
    let included = Config::load(config, &ProcessEnv)
        .is_ok_and(|(now, _)| codes.iter().all(|code| now.topology.cameras.contains_key(code)));
    if !included {
        say(&format!("add {:?} to include in {}", args.out, config.display()));
    }
    Ok(())
}

fn export(config: &Path, args: &ExportArgs) -> Result<(), String> {
    let (checked, warnings) = Config::load(config, &ProcessEnv).map_err(|refusals| {
        show_refusals(&refusals);
        String::new()
    })?;
    show_warnings(&warnings);
    let table = table::export(&checked.topology).map_err(|error| error.to_string())?;
    match &args.out {
        Some(path) => {
            std::fs::write(path, table).map_err(|error| format!("{}: {error}", path.display()))?;
            say(&format!("{}: {} cameras", path.display(), checked.topology.cameras.len()));
        }
        None => {
            use std::io::Write;
            std::io::stdout().lock().write_all(&table).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
