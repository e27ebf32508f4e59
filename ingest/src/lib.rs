//! Cameras in: one session per camera stream, from RTSP packets to access units in the hub, and the state of each on
//! the board. Knows nothing of disks and HTTP.

pub mod clockmap;
pub mod fleet;
pub mod nal;
pub mod session;
pub mod spec;

pub use fleet::{Fleet, FleetOptions, FleetStats, RuntimeOptions};
pub use spec::CameraSpec;
