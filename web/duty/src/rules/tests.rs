#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod bounds;
mod checks;
mod day;
mod feeds;
mod kit;
mod naive;
