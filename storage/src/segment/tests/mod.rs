//! Tests of the format as a whole; every invariant of `storage/FORMAT.md` names one of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests"
)]

mod faults;
mod golden;
pub(crate) mod kit;
pub(crate) mod media;
mod round_trip;
mod torn;
