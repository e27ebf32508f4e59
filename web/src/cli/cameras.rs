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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const CONFIG: &str = include_str!("../../../config/src/load/good.toml");

    /// The good configuration, its cameras in `cameras.toml`.
    fn house(folder: &Path) -> PathBuf {
        let text = CONFIG.replacen("env:CAMERA", "file:password", 1);
        let (head, cameras) = text.split_once("[[camera]]").unwrap();
        std::fs::write(folder.join("password"), "p4ss\n").unwrap();
        std::fs::write(folder.join("cameras.toml"), format!("[[camera]]{cameras}")).unwrap();
        let path = folder.join("fengsui.toml");
        std::fs::write(&path, format!("include = [\"cameras.toml\"]\n{head}")).unwrap();
        path
    }

    fn importing(table: &Path, dry_run: bool) -> ImportArgs {
        ImportArgs { table: table.to_owned(), out: PathBuf::from("cameras.toml"), dry_run, strict: true }
    }

    #[test]
    fn an_export_that_is_imported_again_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let config = house(folder.path());
        let table = folder.path().join("t.csv");
        let (before, _) = Config::load(&config, &ProcessEnv).unwrap();
        export(&config, &ExportArgs { out: Some(table.clone()) }).unwrap();
        import(&config, &importing(&table, false)).unwrap();
        assert_eq!(Config::load(&config, &ProcessEnv).unwrap().0, before);
    }

    #[test]
    fn a_refused_table_and_a_dry_run_leave_the_cameras_alone() {
        let folder = tempfile::tempdir().unwrap();
        let config = house(folder.path());
        let table = folder.path().join("t.csv");
        let before = std::fs::read(folder.path().join("cameras.toml")).unwrap();
        let good = "code,name,site,main\n33080200001320000009,n,33080200002160000001,rtsp://192.0.2.9/m\n";
        std::fs::write(&table, good).unwrap();
        import(&config, &importing(&table, true)).unwrap();
        std::fs::write(&table, good.replace("rtsp:", "http:")).unwrap();
        import(&config, &importing(&table, false)).unwrap_err();
        assert_eq!(std::fs::read(folder.path().join("cameras.toml")).unwrap(), before);
    }
}
