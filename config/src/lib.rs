//! Words and bounds of Fengsui. This crate knows no socket and no disk beyond the configuration file.

mod checked;
pub mod city;
pub mod clock;
pub mod env;
pub mod finding;
pub mod ids;
pub mod limits;
pub mod listing;
mod load;
pub mod sealed;
pub mod secret;
pub mod table;
pub mod topology;
pub mod write;

pub use checked::{Config, JournalConfig, NodeConfig, StorageConfig, VolumeConfig, VolumeKind, WebConfig};
pub use finding::{Finding, Refusal, Refusals, Warning};
pub use load::secret_key_path;
pub use secret::{Credentials, Secret};
pub use topology::{Camera, StreamSource, Topology};
