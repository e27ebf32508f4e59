//! `fengsui backup` and `fengsui restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use zeroize::Zeroizing;

use super::UNREADABLE;
use super::check::{complain, say};
use super::secret::read_hidden;
use crate::backup::{self, BackupError, BackupOptions, RestoreOptions};

/// Bytes of a passphrase file.
const PASSPHRASE_BYTES_MAX: u64 = 4096;

/// Options of `fengsui backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// A new folder, or a file that ends in `.tar`.
    #[arg(long, value_name = "FOLDER|FILE.tar")]
    pub to: PathBuf,
    /// File whose first line is the passphrase; without it the passphrase is read from standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "without_keys")]
    pub passphrase_file: Option<PathBuf>,
    /// Leave out keys and camera passwords; the backup is then not encrypted, and a restored node has a new identity.
    #[arg(long)]
    pub without_keys: bool,
    /// Leave out the index of footage. Footage is found again by its files; the reasons of gaps are not.
    #[arg(long)]
    pub without_catalogue: bool,
}

/// Options of `fengsui restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup: a folder or a tar file.
    #[arg(long, value_name = "FOLDER|FILE.tar")]
    pub from: PathBuf,
    /// File whose first line is the passphrase; without it an encrypted backup asks on standard input.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// The first line of a file or of standard input.
fn passphrase(file: Option<&PathBuf>) -> Result<Zeroizing<String>, String> {
    use std::io::Read as _;
    let Some(path) = file else { return read_hidden("passphrase (not shown):") };
    let mut text = Zeroizing::new(String::new());
    let read = std::fs::File::open(path).and_then(|f| f.take(PASSPHRASE_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|e| format!("cannot read the passphrase from {}: {e}", path.display()))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn failed(what: &str, error: &BackupError) -> ExitCode {
    complain(&format!("{what}: {error}"));
    match error {
        BackupError::File(..) | BackupError::Io(_) | BackupError::Store(_) => ExitCode::from(UNREADABLE),
        _ => ExitCode::FAILURE,
    }
}

/// Makes a backup. Exit code 0: made; 1: refused; 3: something could not be read or written.
#[must_use]
pub fn run(config: &Path, args: &BackupArgs) -> ExitCode {
    let checked = match super::load(config) {
        Ok(checked) => checked,
        Err(code) => return code,
    };
    let words = match args.without_keys {
        true => None,
        false => match passphrase(args.passphrase_file.as_ref()) {
            Ok(words) => Some(words),
            Err(problem) => {
                complain(&format!("backup: {problem}"));
                return ExitCode::FAILURE;
            }
        },
    };
    let options = BackupOptions {
        config,
        checked: &checked,
        to: &args.to,
        passphrase: words.as_ref().map(|w| w.as_str()),
        without_keys: args.without_keys,
        without_catalogue: args.without_catalogue,
    };
    match backup::make(&options) {
        Ok(report) => {
            for line in &report.left_out {
                complain(&format!("left out: {line}"));
            }
            say(&format!(
                "{}: {} files, {} bytes, journal up to record {} with hash {}",
                args.to.display(),
                report.files,
                report.bytes,
                report.cut_seq,
                report.cut_hash
            ));
            ExitCode::SUCCESS
        }
        Err(error) => failed("backup", &error),
    }
}

/// Restores a node. Exit code 0: restored; 1: refused, or the backup does not hold; 3: something could not be read or
/// written.
#[must_use]
pub fn restore(config: &Path, args: &RestoreArgs) -> ExitCode {
    let mut ask = || passphrase(args.passphrase_file.as_ref()).map(|words| words.as_str().to_owned());
    let options = RestoreOptions { from: &args.from, config, passphrase: &mut ask };
    let report = match backup::restore(options) {
        Ok(report) => report,
        Err(error) => return failed("restore", &error),
    };
    for line in &report.left_out {
        complain(&format!("was left out of the backup: {line}"));
    }
    if !report.keys {
        complain(
            "the backup has no keys: the node gets a new identity, and passwords of cameras must be given anew",
        );
    }
    for volume in &report.volumes {
        let uuid = volume.identity.as_ref().and_then(|i| i.get("uuid")?.as_str()).unwrap_or("unknown");
        say(&format!("volume {}: attach the disk with identity {uuid} at {}", volume.id, volume.path));
    }
    say(&format!(
        "restored node {}: {} files, journal up to record {}, data in {}",
        report.node,
        report.files,
        report.cut_seq,
        report.data.display()
    ));
    ExitCode::SUCCESS
}
