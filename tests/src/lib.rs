//! The city in a box: the camera simulator, the bar code in its pictures, and the harness of the integration suite.
#![forbid(unsafe_code)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "pixel, packet and RTP arithmetic on values that are bounded or wrap by definition"
)]

pub mod barcode;
pub mod bench;
pub mod camsim;
pub mod disk;
pub mod figure;
pub mod fuzz;
#[cfg(feature = "gst")]
pub mod gst_server;
pub mod harness;
pub mod nats;
pub mod procstat;
pub mod proxy;
pub mod scenario;
