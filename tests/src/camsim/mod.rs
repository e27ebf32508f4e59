//! The camera simulator: thousands of RTSP cameras in one process, with faults on demand and a ledger of what was sent.
//!
//! One media thread ([`reactor`]) does all RTSP and RTP; a control thread serves HTTP ([`control`]). In a test:
//! `CamSim::start(Options { cameras: 4, ..Options::default() })`, then [`CamSim::url`], [`CamSim::fault`],
//! [`CamSim::ledger`].

pub mod audio;
pub mod auth;
pub mod client;
pub mod clip;
pub mod conn;
pub mod control;
pub mod faults;
pub mod handlers;
pub mod ledger;
pub mod nal;
pub mod options;
pub mod packetise;
pub mod reactor;
pub mod rtsp;
pub mod scene;
#[cfg(test)]
mod selftest;
pub mod session;
mod sim;
pub mod streams;
pub mod world;

pub use options::{Options, Profile};
pub use sim::{CamSim, SimError};
