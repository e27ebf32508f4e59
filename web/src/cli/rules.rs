//! `fengsui rules`: what makes alarms of events, on a stopped node or beside a running one. Writes nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use fengsui_config::Config;
use fengsui_config::clock::{Clock as _, SystemClock, UtcMicros};
use fengsui_duty::act::{MatterId, MatterKind};
use fengsui_duty::book::Book;
use fengsui_duty::define::RuleBody;
use fengsui_duty::rules::Places;
use fengsui_duty::rules::check::{Checked, check};
use fengsui_duty::rules::trial::{Outcome, Trial};
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::{Journal, Reducer as _};
use serde_json::json;

use super::UNREADABLE;
use super::check::{complain, say};
use super::journal::{moment, when};
use super::volume::Failed;
use crate::paths;

/// Commands of `fengsui rules`. Exit codes of all: 0 done; 1 refused, or warned of with `--strict`; 2 wrong usage; 3 something
/// cannot be read.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Shows every rule: id, state, what it looks for.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints a rule as JSON, as `check` and `try` read it.
    Show {
        /// Its id (`rule/node/name`), the end of it, or its name.
        rule: String,
    },
    /// Says what speaks against a rule in a file.
    Check {
        /// A rule as JSON.
        file: PathBuf,
        /// Exit with 1 for warnings too.
        #[arg(long)]
        strict: bool,
    },
    /// Shows what rules would have made of the events of a recorded time.
    ///
    /// Nobody deals with alarms here: one without an event for ten minutes counts as dealt with.
    Try(TryArgs),
}

/// Options of `fengsui rules try`.
#[derive(Debug, Args)]
pub struct TryArgs {
    /// Events noted not earlier than this moment (RFC 3339, for example 2026-05-01T00:00:00+08:00).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: i64,
    /// Earlier than this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: i64,
    /// A file with a rule as JSON, or a rule of this node; all rules in use when absent.
    #[arg(long, value_name = "FILE|ID")]
    pub rule: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// The journal's folder, instead of the configuration's; for copies.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// Runs a command.
#[must_use]
pub fn run(config: &Path, command: &RulesCommand) -> ExitCode {
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let done = match command {
        RulesCommand::List { json } => list(&config, *json),
        RulesCommand::Show { rule } => show(&config, rule),
        RulesCommand::Check { file, strict } => check_file(&config, file, *strict),
        RulesCommand::Try(args) => try_out(&config, args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            complain(&why);
            ExitCode::from(code)
        }
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Failed {
    (UNREADABLE, format!("cannot read the journal: {error}"))
}

/// The rules of a journal, read beside a running node.
fn rules(dir: &Path) -> Result<Vec<(MatterId, RuleBody)>, Failed> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let mut book = Book::default();
    for record in Journal::read_dir(&fs, dir, 0).map_err(|e| unreadable(&e))? {
        let record = record.map_err(|e| unreadable(&e))?;
        book.apply(&record).map_err(|e| unreadable(&e))?;
    }
    let rules = book.rules.iter().filter_map(|(id, l)| Some((id.clone(), l.state()?.body.clone()?)));
    Ok(rules.collect())
}

fn of_node(config: &Config) -> Result<Vec<(MatterId, RuleBody)>, Failed> {
    rules(&paths::journal(&config.node.data))
}

fn list(config: &Config, json: bool) -> Result<(), Failed> {
    let rules = of_node(config)?;
    if json {
        let all: Vec<_> = rules.iter().map(|(id, rule)| json!({"id": id, "rule": rule})).collect();
        say(&serde_json::to_string_pretty(&all).unwrap_or_default());
        return Ok(());
    }
    for (id, rule) in &rules {
        let state = if rule.enabled { "on " } else { "off" };
        let trigger = serde_json::to_string(&rule.trigger).unwrap_or_default();
        let kinds = if rule.kinds.is_empty() { "every kind".to_owned() } else { rule.kinds.join(",") };
        say(&format!("{state}  level {}  {id}  {}  {kinds}  {trigger}", rule.level.get(), rule.name));
    }
    if rules.is_empty() {
        say("there are no rules");
    }
    Ok(())
}

fn find(rules: Vec<(MatterId, RuleBody)>, wanted: &str) -> Result<(MatterId, RuleBody), Failed> {
    let is = |(id, rule): &&(MatterId, RuleBody)| {
        id.to_string() == wanted || id.name == wanted || rule.name == wanted
    };
    match rules.iter().filter(is).collect::<Vec<_>>().as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err((1, format!("there is no rule {wanted:?}; `fengsui rules list` shows all"))),
        _ => Err((1, format!("there are several rules {wanted:?}; give the whole id"))),
    }
}

fn show(config: &Config, wanted: &str) -> Result<(), Failed> {
    let (_, rule) = find(of_node(config)?, wanted)?;
    say(&serde_json::to_string_pretty(&rule).unwrap_or_default());
    Ok(())
}

fn read_file(file: &Path) -> Result<RuleBody, Failed> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| (UNREADABLE, format!("cannot read {}: {e}", file.display())))?;
    serde_json::from_str(&text).map_err(|e| {
        let like = "write it as `fengsui rules show` prints one";
        (1, format!("{} holds no rule: {e}; {like}", file.display()))
    })
}

fn told(checked: &Checked) {
    for refusal in &checked.refusals {
        say(&format!(
            "refused: {} {:?} {}: {}",
            refusal.field, refusal.value, refusal.detail, refusal.remedy
        ));
    }
    for warning in &checked.warnings {
        say(&format!(
            "warning: {} ({}): {} To mend it, {}.",
            warning.field, warning.code, warning.detail, warning.remedy
        ));
    }
}

fn check_file(config: &Config, file: &Path, strict: bool) -> Result<(), Failed> {
    let rule = read_file(file)?;
    let checked = check(&rule, &Places::of(&config.topology), None, &of_node(config)?);
    told(&checked);
    if !checked.refusals.is_empty() {
        return Err((1, format!("{} cannot be saved", file.display())));
    }
    match checked.warnings.len() {
        0 => say("nothing speaks against it"),
        n if strict => return Err((1, format!("{n} warnings"))),
        _ => {}
    }
    Ok(())
}

fn try_out(config: &Config, args: &TryArgs) -> Result<(), Failed> {
    if args.to <= args.from {
        return Err((2, "the range ends before it begins: turn --from and --to round".to_owned()));
    }
    let dir = args.dir.clone().unwrap_or_else(|| paths::journal(&config.node.data));
    if !dir.is_dir() {
        return Err((UNREADABLE, format!("cannot read the journal: there is no folder {}", dir.display())));
    }
    let own = config.node.id.clone();
    let tried = match &args.rule {
        Some(file) if Path::new(file).is_file() => {
            let rule = read_file(Path::new(file))?;
            let checked = check(&rule, &Places::of(&config.topology), None, &[]);
            if !checked.refusals.is_empty() {
                told(&checked);
                return Err((1, format!("{file} cannot be tried")));
            }
            vec![(MatterId { kind: MatterKind::Rule, home: own.clone(), name: "draft".into() }, rule)]
        }
        Some(id) => vec![find(rules(&dir)?, id)?],
        None => rules(&dir)?.into_iter().filter(|(_, rule)| rule.enabled).collect(),
    };
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let places = Arc::new(Places::of(&config.topology));
    let mut trial = Trial::new(own, places, tried, (UtcMicros(args.from), UtcMicros(args.to)));
    for record in Journal::read_dir(&fs, &dir, 0).map_err(|e| unreadable(&e))? {
        if !trial.record(&record.map_err(|e| unreadable(&e))?) {
            break;
        }
    }
    let (outcome, stats) = trial.finish(SystemClock::new().utc());
    if args.json {
        say(&serde_json::to_string_pretty(&outcome).unwrap_or_default());
    } else {
        print(&outcome);
    }
    if stats.crowded > 0 {
        complain(&format!("{} events share alarms, because there are too many causes", stats.crowded));
    }
    Ok(())
}

fn print(outcome: &Outcome) {
    for fired in &outcome.fired {
        let place = fired.camera.map_or_else(|| "-".to_owned(), |camera| camera.to_string());
        say(&format!(
            "{}  level {}  {:<16} {:>6} events until {}  {place}  {}  {}",
            when(fired.first_us.0),
            fired.level,
            fired.kind,
            fired.count,
            when(fired.last_us.0),
            fired.rule_name,
            fired.row.as_deref().unwrap_or("-"),
        ));
    }
    let listed = u64::try_from(outcome.fired.len()).unwrap_or(u64::MAX);
    if listed < outcome.alarms {
        say(&format!("and {} more", outcome.alarms - listed));
    }
    say(&format!("{} events, {} alarms", outcome.events, outcome.alarms));
}
