//! `fengsui journal`: the journal, on a stopped node or beside a running one. Writes nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{HeadFound, Journal, VerifyOptions, VerifyReport, Witness};
use fengsui_storage::segment::{KeyId, NodeKey};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::UNREADABLE;
use super::check::{complain, say};
use crate::api::journal::{JournalFilter, RecordView};
use crate::paths;

/// Commands of `fengsui journal`. Exit codes of all: 0 done, and the journal holds; 1 it does not hold, or the
/// configuration is refused; 2 wrong usage; 3 it cannot be read.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Checks every record, the chain from the first to the last, and the end against the signed head.
    ///
    /// Finds any changed, removed, exchanged or cut record, as far as something outside the files vouches for it: the head
    /// (at most a second behind), its copies on the volumes (a minute), and what --expect says. The node may run. Exit code
    /// 0: it holds; 1: it does not; 3: it cannot be read.
    Verify(VerifyArgs),
    /// Prints the newest records, secrets left out.
    Show(ShowArgs),
    /// Writes records as JSON lines to standard output, oldest first, secrets left out.
    Export(ExportArgs),
}

/// Options of `fengsui journal verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Known from elsewhere (a backup, a note of an auditor): record SEQ has this hash.
    #[arg(long, value_name = "SEQ:HASH", value_parser = expectation)]
    pub expect: Vec<Witness>,
    /// The journal's folder, instead of the configuration's; for copies. Any key is then believed.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// Which records to print.
#[derive(Debug, Args)]
pub struct Selection {
    /// Kinds, separated by commas; `session.` stands for all that begin so.
    #[arg(long, default_value = "", value_name = "KINDS")]
    pub kind: String,
    /// Who did it: the name of an account.
    #[arg(long, default_value = "", value_name = "NAME")]
    pub by: String,
    /// Not earlier than this moment (RFC 3339, for example 2026-05-01T00:00:00+08:00).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Option<i64>,
    /// Earlier than this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Option<i64>,
    /// The journal's folder, instead of the configuration's; for copies.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// Options of `fengsui journal show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    selection: Selection,
    /// So many records at most.
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    pub limit: usize,
    /// Print JSON lines instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `fengsui journal export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    selection: Selection,
    /// First record.
    #[arg(long, default_value_t = 1, value_name = "SEQ")]
    pub from_seq: u64,
}

fn expectation(text: &str) -> Result<Witness, String> {
    let (seq, hash) = text.split_once(':').unwrap_or((text, ""));
    let seq =
        seq.parse().map_err(|_| "write SEQ:HASH, for example 120:9f86d0..., or SEQ alone".to_owned())?;
    if !hash.is_empty() && (hash.len() != 64 || !hash.chars().all(|c| c.is_ascii_hexdigit())) {
        return Err("a hash has 64 hexadecimal digits".to_owned());
    }
    Ok(Witness { name: "--expect".into(), seq, hash: hash.to_ascii_lowercase() })
}

/// A moment in microseconds, for options.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|e| format!("write a moment such as 2026-05-01T00:00:00+08:00: {e}"))?;
    i64::try_from(time.unix_timestamp_nanos() / 1000).map_err(|_| "it is too far away".to_owned())
}

/// Runs a command.
#[must_use]
pub fn run(config: &Path, command: &JournalCommand) -> ExitCode {
    match command {
        JournalCommand::Verify(args) => verify(config, args),
        JournalCommand::Show(args) => show(config, args),
        JournalCommand::Export(args) => export(config, args),
    }
}

/// The journal's folder by the options or the configuration.
fn folder(config: &Path, dir: Option<&PathBuf>) -> Result<PathBuf, ExitCode> {
    match dir {
        Some(dir) => Ok(dir.clone()),
        None => super::load(config).map(|config| paths::journal(&config.node.data)),
    }
}

fn unreadable(error: &StoreError) -> ExitCode {
    complain(&format!("cannot read the journal: {error}"));
    ExitCode::from(UNREADABLE)
}

fn verify(config: &Path, args: &VerifyArgs) -> ExitCode {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let mut options = VerifyOptions { key: None, witnesses: args.expect.clone() };
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => {
            let config = match super::load(config) {
                Ok(config) => config,
                Err(code) => return code,
            };
            match NodeKey::load(&paths::node_key(&config.node.data)) {
                Ok(key) => options.key = key.map(|k| k.id()),
                Err(error) => return unreadable(&error),
            }
            let dir = paths::journal(&config.node.data);
            let epoch = match Journal::head_of(&fs, &dir) {
                Ok(HeadFound::Good(_, head)) => head.epoch,
                _ => 0,
            };
            for volume in &config.storage.volumes {
                let path = volume.path.join(paths::WITNESS_FILE);
                options.witnesses.extend(witness(&fs, &path, options.key, epoch));
            }
            dir
        }
    };
    if !dir.is_dir() {
        complain(&format!("cannot read the journal: there is no folder {}", dir.display()));
        return ExitCode::from(UNREADABLE);
    }
    let report = match Journal::verify_dir(&fs, &dir, &options) {
        Ok(report) => report,
        Err(error) => return unreadable(&error),
    };
    if args.json {
        say(&serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        print(&report, &options.witnesses);
    }
    if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the copy of the head on a volume knows; one of another node, of nobody, or of a life before a restore is not asked.
fn witness(fs: &Arc<dyn Fs>, path: &Path, key: Option<KeyId>, epoch: u64) -> Option<Witness> {
    match Journal::head_at(fs, path) {
        Ok(HeadFound::Good(signer, head)) if key.is_none_or(|key| key == signer) && head.speaks_in(epoch) => {
            Some(Witness { name: path.display().to_string(), seq: head.seq, hash: head.hash })
        }
        _ => None,
    }
}

fn print(report: &VerifyReport, witnesses: &[Witness]) {
    for damage in &report.damages {
        say(&format!("damaged: {} at byte {}: {}", damage.file.display(), damage.at, damage.detail));
    }
    for note in &report.notes {
        say(&format!("note: {note}"));
    }
    if report.checkpoint_seq > 0 {
        say(&format!("records up to {} were dropped when their term was over", report.checkpoint_seq));
    }
    match &report.head {
        Some(head) => say(&format!(
            "the head vouches for record {}; {} came after it; {} other witnesses",
            head.seq,
            report.beyond_head(),
            witnesses.len()
        )),
        None => say("no head vouches for the end"),
    }
    let sound = if report.is_sound() { "sound" } else { "NOT SOUND" };
    say(&format!(
        "{} files, {} records, last {} with hash {}: {sound}",
        report.files, report.records, report.last_seq, report.last_hash
    ));
}

impl Selection {
    fn filter(&self) -> JournalFilter {
        let kinds = JournalFilter::kinds_of(&self.kind);
        JournalFilter { kinds, by: self.by.clone(), from_us: self.from, to_us: self.to }
    }
}

fn show(config: &Path, args: &ShowArgs) -> ExitCode {
    let dir = match folder(config, args.selection.dir.as_ref()) {
        Ok(dir) => dir,
        Err(code) => return code,
    };
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let filter = args.selection.filter();
    let (mut found, mut before) = (Vec::new(), u64::MAX);
    while found.len() < args.limit {
        let left = args.limit - found.len();
        match Journal::page_dir(&fs, &dir, before, left, &|record| filter.wants(record)) {
            Ok(page) => {
                found.extend(page.records);
                match page.next_before {
                    Some(next) => before = next,
                    None => break,
                }
            }
            Err(error) => return unreadable(&error),
        }
    }
    for record in found.iter().rev() {
        let view = RecordView::of(record);
        if args.json {
            say(&serde_json::to_string(&view).unwrap_or_default());
        } else {
            say(&format!("{:>8}  {}  {:<24} {}", view.seq, when(view.at_us), view.kind, view.body));
        }
    }
    ExitCode::SUCCESS
}

pub(super) fn when(at_us: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_us) * 1000);
    time.ok().and_then(|t| t.format(&Rfc3339).ok()).unwrap_or_else(|| at_us.to_string())
}

fn export(config: &Path, args: &ExportArgs) -> ExitCode {
    let dir = match folder(config, args.selection.dir.as_ref()) {
        Ok(dir) => dir,
        Err(code) => return code,
    };
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let filter = args.selection.filter();
    let records = match Journal::read_dir(&fs, &dir, args.from_seq) {
        Ok(records) => records,
        Err(error) => return unreadable(&error),
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(error) => return unreadable(&error),
        };
        if filter.wants(&record) {
            let line = serde_json::to_string(&RecordView::of(&record)).unwrap_or_default();
            if writeln!(out, "{line}").is_err() {
                // The reader has gone away.
                return ExitCode::SUCCESS;
            }
        }
    }
    match out.flush() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("cannot write: {error}"));
            ExitCode::FAILURE
        }
    }
}
