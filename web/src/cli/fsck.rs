//! `fengsui fsck`: checks everything that a node keeps against itself.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use fengsui_config::Config;
use fengsui_config::clock::{Clock as _, MonoMicros, SystemClock};
use fengsui_config::ids::VolumeId;
use fengsui_storage::archive::{self, ArchiveIndex};
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::fsck::{self, Node, NodeProgress, NodeReport, Section, SectionReport};
use fengsui_storage::segment::NodeKey;

use super::check::{complain, say};
use crate::archive::place;
use crate::paths;

/// Something could not be looked at.
const UNCHECKED: u8 = 2;
/// How long a running node is given to write down what it did.
const SETTLE: Duration = Duration::from_secs(3);
/// Between two signs of progress, on a terminal and elsewhere.
const REDRAW: Duration = Duration::from_millis(200);
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Options of `fengsui fsck`.
#[derive(Debug, Args)]
pub struct FsckArgs {
    /// Read every byte of every segment and check every hash; otherwise their structure, signatures and chains alone.
    #[arg(long)]
    pub full: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Only this volume.
    #[arg(long, value_name = "ID")]
    pub volume: Option<VolumeId>,
    /// Only these parts; all of them when left out. Separated by commas, or given more than once.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub section: Vec<Part>,
    /// Ask the archives too: read every object to its last byte.
    #[arg(long)]
    pub archive: bool,
}

/// A part of what a node keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Identity of every volume.
    Volumes,
    /// The node's key.
    Key,
    /// The index of footage against the files.
    Catalogue,
    /// Every segment file.
    Segments,
    /// The journal, its head and the copies of it on the volumes.
    Journal,
    /// Indexes of archives.
    Archive,
    /// Holds and deletions, as the journal tells them.
    Retention,
    /// Files of incidents.
    Attachments,
}

impl Part {
    fn section(self) -> Section {
        match self {
            Self::Volumes => Section::Volumes,
            Self::Key => Section::Key,
            Self::Catalogue => Section::Catalogue,
            Self::Segments => Section::Segments,
            Self::Journal => Section::Journal,
            Self::Archive => Section::Archive,
            Self::Retention => Section::Retention,
            Self::Attachments => Section::Attachments,
        }
    }
}

/// What `--json` prints.
#[derive(Debug, serde::Serialize)]
struct Printed<'a> {
    /// `clean`, `problems` or `unchecked`.
    outcome: &'static str,
    problems: u64,
    #[serde(flatten)]
    report: &'a NodeReport,
}

/// Checks the node of a configuration. Exit code 0: all holds; 1: something does not, or the configuration is refused; 2:
/// something could not be looked at, and the rest holds.
#[must_use]
pub fn run(config: &Path, args: &FsckArgs) -> ExitCode {
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let node = node(&config, args);
    if node.volumes.is_empty() {
        complain("there is no volume of that name; fengsui volume list shows those there are");
        return ExitCode::FAILURE;
    }
    let mut sections: Vec<Section> = args.section.iter().map(|p| p.section()).collect();
    if sections.is_empty() {
        sections = Section::ALL.to_vec();
    }
    if args.archive && !sections.contains(&Section::Archive) {
        sections.push(Section::Archive);
    }
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let mut shown = Shown::new();
    let mut settle = || std::thread::sleep(SETTLE);
    let mut report = fsck::run_node(&fs, &node, &sections, &mut settle, &mut |p| shown.progress(p));
    shown.clear();
    for found in &mut report.sections {
        match found.section {
            Section::Key => permissions(&node, found),
            Section::Archive if args.archive => archives(&config, found),
            _ => {}
        }
    }
    let (outcome, code) = match (report.problems(), report.is_partial()) {
        (0, false) => ("clean", 0),
        (0, true) => ("unchecked", UNCHECKED),
        _ => ("problems", 1),
    };
    if args.json {
        let printed = Printed { outcome, problems: report.problems(), report: &report };
        say(&serde_json::to_string_pretty(&printed).unwrap_or_default());
    } else {
        show(&report);
    }
    ExitCode::from(code)
}

fn node(config: &Config, args: &FsckArgs) -> Node {
    let data = &config.node.data;
    let wanted = |id: &VolumeId| args.volume.as_ref().is_none_or(|only| only == id);
    let volumes = config.storage.volumes.iter().filter(|v| wanted(&v.id));
    Node {
        id: config.node.id.clone(),
        data: data.clone(),
        volumes: volumes.map(|v| (v.id.clone(), v.path.clone())).collect(),
        catalogue: paths::catalogue(data),
        journal: paths::journal(data),
        witness: paths::WITNESS_FILE,
        archive: paths::archive(data),
        archives: config.storage.archives.iter().map(|a| a.id.clone()).collect(),
        key: paths::node_key(data),
        full: args.full,
    }
}

/// A key that others may read is no secret.
fn permissions(node: &Node, found: &mut SectionReport) {
    if found.problems.is_empty()
        && let Err(error) = NodeKey::load(&node.key)
    {
        found.add(
            &node.key,
            "readable",
            error.to_string(),
            "run chmod 600 on it, and give the node a new key if others may have read it",
        );
    }
}

/// Reads what the archives hold.
fn archives(config: &Config, found: &mut SectionReport) {
    let dir = paths::archive(&config.node.data);
    for one in &config.storage.archives {
        let unchecked = |why: String| format!("archive {}: {why}", one.id);
        let index = match ArchiveIndex::look(&RealFs, &dir, one.id.clone()) {
            Ok(Some((index, _))) => index,
            Ok(None) => continue,
            Err(error) => {
                found.unchecked.push(unchecked(error.to_string()));
                continue;
            }
        };
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let store = match place(one, fs) {
            Ok(store) => store,
            Err(error) => {
                found.unchecked.push(unchecked(error.to_string()));
                continue;
            }
        };
        let scratch = archive::scratch(&dir, &one.id);
        match archive::verify(&*store, &config.node.id, &index, (&RealFs, &scratch), &mut |_| ()) {
            Ok(report) => {
                found.files += report.objects;
                found.bytes += report.bytes;
                for p in &report.problems {
                    let remedy =
                        "what the volumes still hold is stored again; see fengsui archive verify and rebuild";
                    found.add(Path::new(&p.key), p.kind, p.detail.as_str(), remedy);
                }
                found.problems_unlisted += report.problems_unlisted;
            }
            Err(error) => found.unchecked.push(unchecked(error.to_string())),
        }
    }
}

/// Progress: one line that is drawn again on a terminal, a line every few seconds elsewhere.
struct Shown {
    clock: SystemClock,
    terminal: bool,
    last: Option<(Section, MonoMicros)>,
}

impl Shown {
    fn new() -> Self {
        Self { clock: SystemClock::new(), terminal: std::io::stderr().is_terminal(), last: None }
    }

    fn progress(&mut self, p: NodeProgress) {
        let now = self.clock.mono();
        let every = if self.terminal { REDRAW } else { SAY_EVERY };
        // Elsewhere than on a terminal short sections are not worth a line.
        let due = match self.last {
            Some((section, at)) if section == p.section || !self.terminal => now.since(at) >= every,
            Some(_) => true,
            None => self.terminal || p.files > 0,
        };
        if self.last.is_none() && !self.terminal {
            self.last = Some((p.section, now));
            return;
        }
        if !due {
            return;
        }
        self.last = Some((p.section, now));
        let mib = p.bytes >> 20;
        let percent = p.total.filter(|t| *t > 0).map(|t| p.bytes.saturating_mul(100) / t).map(|n| n.min(100));
        let percent = percent.map_or_else(String::new, |n| format!(", {n} %"));
        let line = format!("checking {}: {} files, {mib} MiB{percent}", p.section.as_str(), p.files);
        if self.terminal {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\r\x1b[K{line}").and_then(|()| err.flush());
        } else {
            complain(&line);
        }
    }

    fn clear(&self) {
        if self.terminal {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "\r\x1b[K").and_then(|()| err.flush());
        }
    }
}

fn show(report: &NodeReport) {
    for section in &report.sections {
        for p in &section.problems {
            say(&format!("{} {}: {}: {}", section.section.as_str(), p.kind, p.path.display(), p.detail));
            say(&format!("  what to do: {}", p.remedy));
        }
        if section.problems_unlisted > 0 {
            say(&format!("{}: and {} more", section.section.as_str(), section.problems_unlisted));
        }
        for why in &section.unchecked {
            say(&format!("{}: not checked: {why}", section.section.as_str()));
        }
    }
    for section in &report.sections {
        let problems = section.problems.len() as u64 + section.problems_unlisted;
        let verdict = match (problems, section.unchecked.is_empty()) {
            (0, true) => "clean".to_owned(),
            (0, false) => "NOT CHECKED in full".to_owned(),
            (n, _) => format!("{n} PROBLEMS"),
        };
        let name = section.section.as_str();
        say(&format!("{name:<10} {} files, {} bytes: {verdict}", section.files, section.bytes));
    }
    if let Some(s) = &report.segments {
        say(&format!(
            "segments: {} clean, {} open, {} torn, {} damaged; {} groups hashed, {} links hold",
            s.clean, s.open, s.torn, s.damaged, s.groups_hashed, s.links
        ));
    }
}
