//! The `fengsui` program.

use std::process::ExitCode;

/// Pictures are made by one thread and let go of by another, tens of thousands a second; the reason stands in
/// ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fengsui_web::cli::main()
}
