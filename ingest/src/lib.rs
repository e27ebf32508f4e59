//! Cameras in: one session per camera stream, from RTSP packets to access units in the hub, and the state of each on
//! the board. Knows nothing of disks and HTTP.

mod admission;
pub mod assemble;
pub mod clockmap;
pub mod failure;
pub mod fleet;
pub mod lean;
mod meter;
pub mod nal;
mod runtime;
pub mod session;
mod show;
pub mod source;
pub mod spec;
mod worker;

pub use fleet::{Fleet, FleetOptions, FleetStats, RuntimeOptions};
pub use source::Sessions;
pub use spec::CameraSpec;
