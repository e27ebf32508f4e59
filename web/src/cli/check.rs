//! `fengsui check`: says whether a configuration would be used, and everything that speaks against it.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use fengsui_config::env::ProcessEnv;
use fengsui_config::{Config, Refusals, Warning};

/// Options of `fengsui check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Treat warnings (unknown and renamed keys, for example) as refusals.
    #[arg(long)]
    pub strict: bool,
}

/// Checks the configuration file `config`. Exit code 0: good; 1: refused.
#[must_use]
pub fn run(config: &Path, args: &CheckArgs) -> ExitCode {
    match Config::load(config, &ProcessEnv) {
        Ok((checked, warnings)) => {
            show_warnings(&warnings);
            if args.strict && !warnings.is_empty() {
                complain(&format!("{}: refused: {} warnings and --strict", config.display(), warnings.len()));
                return ExitCode::FAILURE;
            }
            let topology = &checked.topology;
            say(&format!(
                "{}: good: node {}, {} volumes, {} sub-centres, {} stations, {} sites, {} cameras ({} enabled)",
                config.display(),
                checked.node.id,
                checked.storage.volumes.len(),
                topology.sub_centres.len(),
                topology.stations.len(),
                topology.sites.len(),
                topology.cameras.len(),
                topology.cameras.values().filter(|camera| camera.enabled).count(),
            ));
            ExitCode::SUCCESS
        }
        Err(refusals) => {
            show_refusals(&refusals);
            ExitCode::FAILURE
        }
    }
}

/// Prints every refusal and warning, and how many there are.
pub fn show_refusals(refusals: &Refusals) {
    show_warnings(&refusals.warnings);
    for refusal in &refusals.refusals {
        complain(&format!("refused: {refusal}"));
    }
    complain(&format!("{} refusals, {} warnings", refusals.refusals.len(), refusals.warnings.len()));
}

/// Prints warnings, loudly.
pub fn show_warnings(warnings: &[Warning]) {
    for warning in warnings {
        complain(&format!("WARNING: {warning}"));
    }
}

/// One line on stdout. A reader that has gone away is no error of ours.
pub(super) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// One line on stderr.
pub(super) fn complain(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
