//! `fengsui report`: how long alarms and incidents took, from the journal of this node. The node may run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use fengsui_config::clock::{Clock as _, SystemClock, UtcMicros};
use fengsui_duty::book::Book;
use fengsui_duty::report::facts::{self, Facts};
use fengsui_duty::report::recount::Recount;
use fengsui_duty::report::{Ask, Compared, Grouping, Places, Report, compare, table};
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::Journal;

use super::UNREADABLE;
use super::check::{complain, say};
use super::journal::moment;
use crate::duty::reports::places;
use crate::paths;

/// Options of `fengsui report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Alarms raised and incidents opened then or later (RFC 3339, for example 2026-05-01T00:00:00+08:00).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: i64,
    /// And before then.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: i64,
    /// A row for each: all (totals alone), area, station, site, day, rule, camera or node.
    #[arg(long, default_value = "all", value_name = "WHAT", value_parser = grouping)]
    pub by: Grouping,
    /// Minutes by which local days begin before those of UTC.
    #[arg(long, default_value_t = 480, value_name = "MINUTES", allow_negative_numbers = true)]
    pub utc_offset: i32,
    /// How it is written.
    #[arg(long, default_value = "text", value_name = "FORM")]
    pub format: Format,
    /// Count the records of the journal one by one, by code of its own, instead of what the book makes of them.
    #[arg(long)]
    pub from_journal: bool,
    /// Make it both ways and say every field that differs. Exit code 1 when one does.
    #[arg(long, conflicts_with = "from_journal")]
    pub compare: bool,
    /// The journal's folder, instead of the configuration's; for copies. Places and cameras have no names then.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For spreadsheets.
    Csv,
    /// For programs.
    Json,
}

fn grouping(text: &str) -> Result<Grouping, String> {
    Grouping::read(text).map_err(|refused| refused.to_string())
}

/// Makes a report. Exit code 0: made, and both ways agree where both were wanted; 1: they do not, or something is refused;
/// 3: the journal cannot be read.
#[must_use]
pub fn run(config: &Path, args: &ReportArgs) -> ExitCode {
    let now = SystemClock::new().utc();
    let (from, to) = (UtcMicros(args.from), UtcMicros(args.to));
    let ask = Ask { from, to, by: args.by, utc_offset_min: args.utc_offset, now };
    if let Err(refused) = ask.check() {
        complain(&format!("{}: {refused}", refused.field));
        return ExitCode::FAILURE;
    }
    let (dir, places) = match &args.dir {
        Some(dir) => (dir.clone(), Places::default()),
        None => match super::load(config) {
            Ok(config) => (paths::journal(&config.node.data), places(&config.topology)),
            Err(code) => return code,
        },
    };
    let made = match (args.compare, args.from_journal) {
        (true, _) => both(&dir, &ask, &places).map(|(one, other)| (one, Some(other))),
        (false, true) => recounted(&dir, &ask, &places).map(|report| (report, None)),
        (false, false) => reduced(&dir, &ask, &places).map(|report| (report, None)),
    };
    match made {
        Ok((report, None)) => {
            print(&report, args.format);
            ExitCode::SUCCESS
        }
        Ok((report, Some(other))) => compared(&compare(&report, &other), args.format),
        Err(error) => {
            complain(&format!("cannot read the journal: {error}"));
            ExitCode::from(UNREADABLE)
        }
    }
}

fn both(dir: &Path, ask: &Ask, places: &Places) -> Result<(Report, Report), StoreError> {
    Ok((reduced(dir, ask, places)?, recounted(dir, ask, places)?))
}

/// From the book, as the running node does it.
fn reduced(dir: &Path, ask: &Ask, places: &Places) -> Result<Report, StoreError> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let mut book = Book::default();
    for record in Journal::read_dir(&fs, dir, 0)? {
        book.take_record(&record?)?;
    }
    let facts = Facts::of(&book);
    if let Some(since) = facts.whole_since.filter(|since| ask.from < *since) {
        let at = table::moment(since.0, ask.utc_offset_min);
        complain(&format!("the book is whole from {at} on; --from-journal counts everything"));
    }
    Ok(facts::report(ask, &facts, places))
}

/// From the records alone.
fn recounted(dir: &Path, ask: &Ask, places: &Places) -> Result<Report, StoreError> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let mut recount = Recount::default();
    for record in Journal::read_dir(&fs, dir, 0)? {
        recount.take(&record?);
    }
    Ok(recount.report(ask, places))
}

fn print(report: &Report, format: Format) {
    match format {
        Format::Text => say(table::plain(report).trim_end()),
        Format::Csv => say(table::csv(report).trim_end()),
        Format::Json => say(&serde_json::to_string_pretty(report).unwrap_or_default()),
    }
}

fn compared(compared: &Compared, format: Format) -> ExitCode {
    if format == Format::Json {
        say(&serde_json::to_string_pretty(compared).unwrap_or_default());
    } else {
        for one in &compared.different {
            say(&format!("{}: {} by the book, {} by the journal", one.field, one.one, one.other));
        }
        say(&format!("{} fields compared, {} differ", compared.fields, compared.different.len()));
    }
    if compared.different.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
