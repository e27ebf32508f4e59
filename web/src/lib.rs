//! People and nodes: the HTTP API, live pictures, playback, the browser UI, and the `fengsui` binary.
//!
//! Only [`node`] knows the ingest side; everything else works on config and storage.

pub mod api;
pub mod app;
pub mod archive;
pub mod auth;
pub mod backup;
pub mod central;
pub mod cli;
pub mod command;
pub mod desk;
pub mod duty;
pub mod http;
pub mod integrity;
pub mod live;
pub mod lock;
pub mod logs;
pub mod media;
pub mod node;
pub mod orders;
pub mod paths;
pub mod recordings;
pub mod relay;
pub mod reload;
pub mod retention;
pub mod search;
pub mod standby;
#[cfg(test)]
mod testing;
pub mod trail;
pub mod ui;
