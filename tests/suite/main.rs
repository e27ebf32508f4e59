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
mod duty;
mod faults;
mod kill;
mod others;
mod power;
mod record;
mod relay;
mod relay_bad;
mod relay_config;
mod relay_failover;
mod relay_faults;
mod relay_live;
mod relay_playback;
mod relay_search;
mod relay_versions;
mod reload;
mod retention;
mod stop;
mod tidy;
mod volumes;
