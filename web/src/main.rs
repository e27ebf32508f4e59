//! The `fengsui` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    fengsui_web::cli::main()
}
