//! The one integration binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "tests"
)]

mod archive;
mod backup;
mod bad_input;
mod bench;
mod faults;
mod kill;
mod others;
mod power;
mod record;
mod reload;
mod retention;
mod stop;
mod tidy;
mod volumes;
