//! `fengsui hold` and `fengsui retention`: for a node that does not run. One that runs is asked through its page or API,
//! since holds and deletions share one lock within it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use fengsui_config::Config;
use fengsui_config::clock::{Clock, SystemClock, UtcMicros};
use fengsui_config::ids::{CameraId, NationalCode, StreamKind};
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::Journal;
use fengsui_storage::retention::hold::Hold;
use fengsui_storage::retention::{HoldRequest, NoArchive, Placed, Retention, VolumeNow, Volumes};
use fengsui_storage::segment::NodeKey;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::UNREADABLE;
use super::check::{complain, say};
use crate::lock::{DataLock, LockError};
use crate::{paths, retention, trail};

/// Commands of `fengsui hold`.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Lists holds as JSON.
    List {
        /// Those released too.
        #[arg(long)]
        all: bool,
    },
    /// Places a hold and prints what it keeps, and what it came too late for.
    Place(PlaceArgs),
    /// Releases a hold.
    Release {
        /// Its number.
        id: u64,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Who releases it.
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

/// Options of `fengsui hold place`.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Code of a camera; may be given many times.
    #[arg(long = "camera", value_name = "CODE")]
    pub cameras: Vec<CameraId>,
    /// Code of a site, station or sub-centre; may be given many times.
    #[arg(long = "place", value_name = "CODE", value_parser = code)]
    pub places: Vec<NationalCode>,
    /// `main` or `sub`; both when left out.
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<StreamKind>,
    /// Start of the footage, for example 2026-05-01T08:00:00+08:00.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: UtcMicros,
    /// End of the footage, which may lie in the future; until the release when left out.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Option<UtcMicros>,
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// Number of the case.
    #[arg(long, value_name = "NUMBER")]
    pub case_number: Option<String>,
    /// Who places it.
    #[arg(long, value_name = "NAME")]
    pub by: String,
}

/// Commands of `fengsui retention`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum RetentionCommand {
    /// Prints classes, volumes, forecast and alarms as JSON.
    Show,
    /// Prints all that would be deleted now, and why. Changes nothing.
    Plan,
}

fn code(text: &str) -> Result<NationalCode, String> {
    text.parse().map_err(|e| format!("the code {e}"))
}

fn moment(text: &str) -> Result<UtcMicros, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "write a time with its zone, for example 2026-05-01T08:00:00+08:00".to_owned())?;
    i64::try_from(time.unix_timestamp_nanos() / 1000).map(UtcMicros).map_err(|_| "is out of range".to_owned())
}

/// Volumes that somebody may look at while the node does not run.
struct AtRest(Vec<VolumeNow>);

impl Volumes for AtRest {
    fn volumes(&self) -> Vec<VolumeNow> {
        self.0.clone()
    }
}

/// Retention of a node that does not run; the lock keeps it from starting meanwhile.
struct Resting {
    retention: Arc<Retention>,
    journal: Arc<Journal>,
    _lock: DataLock,
}

fn open(config: &Config) -> Result<Resting, ExitCode> {
    let data = &config.node.data;
    let lock = DataLock::take(data).map_err(|error| {
        complain(&error.to_string());
        if matches!(error, LockError::InUse(_)) {
            complain("while the node runs, use its page, or /api/v1/holds and /api/v1/retention of its API");
        }
        ExitCode::FAILURE
    })?;
    let opened = || -> Result<_, StoreError> {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let key = Arc::new(NodeKey::load_or_create(&paths::node_key(data))?);
        let journal = trail::open(config, &fs, &clock, &key)?;
        let catalogue = Catalogue::open(fs.clone(), &paths::catalogue(data), clock.clone())?;
        let retention =
            retention::open(config, (fs, clock), catalogue, &journal, (Arc::new(NoArchive), None))?;
        Ok((retention, journal))
    };
    let (retention, journal) = opened().map_err(|error| {
        complain(&format!("cannot open journal and catalogue: {error}"));
        ExitCode::from(UNREADABLE)
    })?;
    retention.attach(Arc::new(AtRest(retention::volumes(config))));
    Ok(Resting { retention, journal, _lock: lock })
}

/// Runs `fengsui hold`. Exit code 0: done; 1: refused, or the node runs; 3: journal or catalogue cannot be read.
#[must_use]
pub fn hold(config: &Path, command: &HoldCommand) -> ExitCode {
    let node = match super::load(config).and_then(|config| open(&config)) {
        Ok(node) => node,
        Err(code) => return code,
    };
    let done = match command {
        HoldCommand::List { all } => {
            let holds: Vec<Hold> =
                node.retention.holds().into_iter().filter(|h| *all || h.is_in_force()).collect();
            print(&holds);
            Ok(())
        }
        HoldCommand::Place(args) => {
            node.retention.place_hold(request(args)).map(|placed| show_placed(&placed))
        }
        HoldCommand::Release { id, reason, by } => {
            node.retention.release_hold(*id, reason, by).map(|hold| print(&hold))
        }
    };
    node.journal.close();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            if let fengsui_storage::retention::HoldRefused::Bad(_, _, remedy) = error {
                complain(remedy);
            }
            ExitCode::FAILURE
        }
    }
}

fn request(args: &PlaceArgs) -> HoldRequest {
    HoldRequest {
        cameras: args.cameras.iter().copied().collect(),
        places: args.places.iter().copied().collect(),
        stream: args.stream,
        from: args.from,
        to: args.to,
        reason: args.reason.clone(),
        case_number: args.case_number.clone(),
        by: args.by.clone(),
    }
}

fn show_placed(placed: &Placed) {
    print(&placed.hold);
    say(&format!(
        "keeps {} segments, {} bytes of what is stored now",
        placed.kept.segments, placed.kept.bytes
    ));
    for gone in &placed.gone {
        say(&format!("gone already: {} from {} to {} us", gone.key, gone.from_us.0, gone.to_us.0));
    }
}

/// Runs `fengsui retention`. Exit codes as [`hold`].
#[must_use]
pub fn run(config: &Path, command: RetentionCommand) -> ExitCode {
    let node = match super::load(config).and_then(|config| open(&config)) {
        Ok(node) => node,
        Err(code) => return code,
    };
    match command {
        RetentionCommand::Show => print(&node.retention.view()),
        RetentionCommand::Plan => print(&node.retention.dry_run()),
    }
    node.journal.close();
    ExitCode::SUCCESS
}

fn print(value: &impl serde::Serialize) {
    say(&serde_json::to_string_pretty(value).unwrap_or_default());
}
