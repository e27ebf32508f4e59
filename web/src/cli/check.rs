//! `fengsui check`: says whether a configuration would be used, and everything that speaks against it.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use fengsui_config::env::ProcessEnv;
use fengsui_config::{Config, Refusals, Warning};

use crate::central::{self, Effective};

/// Options of `fengsui check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Treat warnings (unknown and renamed keys, for example) as refusals.
    #[arg(long)]
    pub strict: bool,
}

/// Checks the configuration file `config`, by itself and with the centre's places and cameras when a version of them is in
/// force. Exit code 0: good; 1: refused.
#[must_use]
pub fn run(config: &Path, args: &CheckArgs) -> ExitCode {
    let own = file(config, args);
    match central::load(config) {
        Ok(Effective { passed_over: Some(refusals), .. }) => {
            show_passed_over(&refusals);
            ExitCode::FAILURE
        }
        Ok(Effective { central: Some(in_force), .. }) => {
            let (version, by) = (in_force.received.version, &in_force.received.by);
            say(&format!(
                "version {version} of the centre, saved there by {by}, is in force: [[sub_centre]], [[station]], [[site]] and [[camera]] of this file are not used, but for user and password of cameras (fengsui node config show | release)"
            ));
            own
        }
        Ok(Effective { central: None, .. }) | Err(_) => own,
    }
}

/// Checks the file by itself.
fn file(config: &Path, args: &CheckArgs) -> ExitCode {
    match Config::load(config, &ProcessEnv) {
        Ok((checked, warnings)) => {
            show_warnings(&warnings);
            if args.strict && !warnings.is_empty() {
                complain(&format!("{}: refused: {} warnings and --strict", config.display(), warnings.len()));
                return ExitCode::FAILURE;
            }
            let topology = &checked.topology;
            let standby = match topology.cameras.values().filter(|c| c.standby_for.is_some()).count() {
                0 => String::new(),
                n => format!(", {n} of them of other nodes for which this one stands by"),
            };
            say(&format!(
                "{}: good: node {}, {} volumes, {} sub-centres, {} stations, {} sites, {} cameras ({} enabled{standby})",
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

/// Prints why a version of the centre that is in force cannot be used.
pub(super) fn show_passed_over(refusals: &Refusals) {
    for refusal in &refusals.refusals {
        complain(&format!("refused: {refusal}"));
    }
    complain(
        "a version of the centre is in force and does not go with this file: the node goes by this file alone until one of the two is put right",
    );
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
