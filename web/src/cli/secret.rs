//! `fengsui secret seal`: encrypts a camera password for the configuration.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use fengsui_config::Secret;
use fengsui_config::ids::CameraId;
use fengsui_config::sealed::SecretKey;
use zeroize::Zeroizing;

use super::check::{complain, say, show_refusals};

/// `fengsui secret ...`
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Read a password from standard input and print what goes into the configuration instead of it.
    Seal(SealArgs),
}

/// Options of `fengsui secret seal`.
#[derive(Debug, Args)]
pub struct SealArgs {
    /// Seal for this camera alone: the password then opens for no other.
    #[arg(long)]
    pub camera: Option<CameraId>,
    /// The key file; by default the one that the configuration names. It is made (mode 0600) when it is missing.
    #[arg(long)]
    pub key: Option<PathBuf>,
}

/// Runs a `secret` command. Exit code 0: sealed; 1: failed.
#[must_use]
pub fn run(config: &Path, command: &SecretCommand) -> ExitCode {
    let SecretCommand::Seal(args) = command;
    match seal(config, args) {
        Ok(sealed) => {
            say(&sealed);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            complain(&format!("secret seal: {problem}"));
            ExitCode::FAILURE
        }
    }
}

fn seal(config: &Path, args: &SealArgs) -> Result<String, String> {
    let path = match &args.key {
        Some(path) => path.clone(),
        None => fengsui_config::secret_key_path(config).map_err(|refusals| {
            show_refusals(&refusals);
            "the configuration names no key file; use --key FILE".to_owned()
        })?,
    };
    let password = read_password()?;
    let (key, made) = SecretKey::load_or_create(&path).map_err(|error| error.to_string())?;
    if made {
        complain(&format!(
            "made the key file {}: keep a copy of it apart from the configuration",
            path.display()
        ));
    }
    key.seal(password.expose(), args.camera).map_err(|error| error.to_string())
}

/// The first line of standard input. A password never stands on the command line, where others can read it; at a
/// terminal it is not shown while it is typed.
fn read_password() -> Result<Secret, String> {
    let password = Secret::new(read_hidden("password (not shown):")?.as_str().to_owned());
    if password.expose().is_empty() { Err("the password is empty".to_owned()) } else { Ok(password) }
}

/// The first line of standard input, not shown at a terminal; `prompt` is.
pub(super) fn read_hidden(prompt: &str) -> Result<Zeroizing<String>, String> {
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal();
    let hidden = if terminal {
        complain(prompt);
        Some(Hidden::start()?)
    } else {
        None
    };
    let mut line = Zeroizing::new(String::new());
    stdin.lock().read_line(&mut line).map_err(|error| error.to_string())?;
    drop(hidden);
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Turns the terminal's echo off until it is dropped.
struct Hidden(rustix::termios::Termios);

impl Hidden {
    fn start() -> Result<Self, String> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(std::io::stdin()).map_err(|error| error.to_string())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Now, &silent).map_err(|error| error.to_string())?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let now = rustix::termios::OptionalActions::Now;
        // Nothing can be done about a terminal that has gone away.
        let _ = rustix::termios::tcsetattr(std::io::stdin(), now, &self.0);
    }
}
