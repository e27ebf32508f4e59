//! Words and bounds of Fengsui. This crate knows no socket and no disk beyond the configuration file.

pub mod clock;
pub mod ids;
pub mod limits;
