//! The link against a real server, with the files that the centre writes for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod bounds;
mod cluster;
mod flow;
mod kit;
mod network;
mod rights;

#[path = "../../../../../tests/src/nats.rs"]
#[expect(dead_code, reason = "the test kit's own; not everything of it is needed here")]
mod nats;
#[path = "../../../../../tests/src/proxy.rs"]
mod proxy;
