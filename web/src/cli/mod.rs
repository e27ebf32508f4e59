//! The command line. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 something could not be read
//! (`fsck` says 2 for that, as checkers of file systems do not tell it from wrong usage).

pub mod account;
pub mod archive;
pub mod backup;
pub mod cameras;
pub mod check;
pub mod city;
mod enrol;
pub mod fsck;
pub mod index;
pub mod journal;
pub mod node;
mod node_config;
pub mod report;
pub mod retention;
pub mod rules;
pub mod run;
pub mod secret;
pub mod status;
pub mod token;
pub mod volume;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fengsui_config::Config;

use crate::central::{self, Effective};
use crate::logs::{self, LogFormat};

/// 烽燧 Fengsui: ingests, records and shows the cameras of a city.
#[derive(Debug, Parser)]
#[command(name = "fengsui", version, max_term_width = 100)]
struct Cli {
    /// Configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = "FENGSUI_CONFIG",
        default_value = "fengsui.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    /// Form of the log on standard error.
    #[arg(long, global = true, env = "FENGSUI_LOG_FORMAT", default_value = "text", value_name = "FORM")]
    log_format: LogFormat,
    /// What to log: a level, or a list such as `info,fengsui_ingest=debug`.
    #[arg(
        long,
        global = true,
        env = "FENGSUI_LOG",
        default_value = "info,retina=warn,async_nats=warn",
        value_name = "FILTER"
    )]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the node: records, serves live pictures, playback and the browser UI.
    ///
    /// Prints `LISTENING <url>` for every address and, while there is no administrator, `SETUP TOKEN <token>`. Reads the
    /// cameras again on SIGHUP and when the file changes; stops in good order on SIGINT and SIGTERM.
    Run(run::RunArgs),
    /// Tells how the node that runs stands: cameras online, recorded, connecting, in the queue; volumes.
    Status,
    /// Checks the configuration and prints everything that speaks against it.
    Check(check::CheckArgs),
    /// Writes sample cities.
    #[command(subcommand)]
    City(city::CityCommand),
    /// Takes cameras from tables and writes tables of them.
    #[command(subcommand)]
    Cameras(cameras::CamerasCommand),
    /// Keeps camera passwords encrypted.
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Checks all that a node keeps: volumes, key, index, footage, journal, archive indexes, holds. Changes nothing.
    ///
    /// The node may run. Exit code 0: all holds; 1: something does not; 2: something could not be looked at.
    Fsck(fsck::FsckArgs),
    /// The index of footage; it can be made anew from the names of the files.
    #[command(subcommand)]
    Index(index::IndexCommand),
    /// Volumes: which disk is which, and what it is used for.
    #[command(subcommand)]
    Volume(volume::VolumeCommand),
    /// Holds: footage that is kept for a case. While the node runs, its page and API do this.
    #[command(subcommand)]
    Hold(retention::HoldCommand),
    /// How long footage is kept, and what would be deleted. While the node runs, its page and API tell.
    #[command(subcommand)]
    Retention(retention::RetentionCommand),
    /// Accounts: who may log in, and with which roles. The node may run.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Tokens with which devices and other systems send events. The node may run.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Nodes: at a centre, who they are; at a node, how it is enrolled. The centre may run.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Archives: places beside the volumes that keep whole segments.
    #[command(subcommand)]
    Archive(archive::ArchiveCommand),
    /// Rules that make alarms of events: what they are, and what they would have made of a recorded time. Changes nothing.
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// The journal: accounts, viewings, and what was done by whom.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// How long alarms and incidents took, how many were closed, overdue or false. The node may run.
    Report(report::ReportArgs),
    /// Backs up everything of this node but its footage: configuration, keys, journal, index. The node may run.
    ///
    /// The journal is cut at one record. A backup with keys is encrypted with a passphrase; without it nobody opens it
    /// again. Exit code 0: made; 1: refused; 3: something could not be read or written.
    Backup(backup::BackupArgs),
    /// Restores a node from a backup into a place where there is none; --config names the configuration file to be.
    ///
    /// Every file is checked, nothing is written over, and a restore that fails leaves no node that would start. Exit code
    /// 0: restored; 1: refused, or the backup does not hold; 3: something could not be read or written.
    Restore(backup::RestoreArgs),
}

/// Exit code of commands that could not read what they were to look at.
pub const UNREADABLE: u8 = 3;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logs::start(cli.log_format, &cli.log);
    match &cli.command {
        Command::Run(args) => run::run(&cli.config, args),
        Command::Status => status::run(&cli.config),
        Command::Check(args) => check::run(&cli.config, args),
        Command::City(command) => city::run(command),
        Command::Cameras(command) => cameras::run(&cli.config, command),
        Command::Secret(command) => secret::run(&cli.config, command),
        Command::Fsck(args) => fsck::run(&cli.config, args),
        Command::Index(command) => index::run(&cli.config, command),
        Command::Volume(command) => volume::run(&cli.config, command),
        Command::Hold(command) => retention::hold(&cli.config, command),
        Command::Retention(command) => retention::run(&cli.config, *command),
        Command::Account(command) => account::run(&cli.config, command),
        Command::Token(command) => token::run(&cli.config, command),
        Command::Node(command) => node::run(&cli.config, command),
        Command::Archive(command) => archive::run(&cli.config, command),
        Command::Rules(command) => rules::run(&cli.config, command),
        Command::Journal(command) => journal::run(&cli.config, command),
        Command::Report(args) => report::run(&cli.config, args),
        Command::Backup(args) => backup::run(&cli.config, args),
        Command::Restore(args) => backup::restore(&cli.config, args),
    }
}

/// The checked configuration as the node goes by it, or every refusal printed and an exit code.
fn load(path: &Path) -> Result<Config, ExitCode> {
    match central::load(path) {
        Ok(Effective { config, warnings, passed_over, .. }) => {
            check::show_warnings(&warnings);
            if let Some(refusals) = passed_over {
                check::show_passed_over(&refusals);
            }
            Ok(config)
        }
        Err(refusals) => {
            check::show_refusals(&refusals);
            Err(ExitCode::FAILURE)
        }
    }
}
