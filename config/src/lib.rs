//! Words and bounds of Fengsui. This crate knows no socket and no disk beyond the configuration file.

pub mod archive;
pub mod central;
mod checked;
pub mod city;
pub mod clock;
pub mod env;
pub mod finding;
pub mod ids;
pub mod limits;
pub mod listing;
mod load;
pub mod outward;
pub mod relay;
pub mod retention;
pub mod sealed;
pub mod secret;
pub mod table;
pub mod topology;
pub mod write;

pub use archive::{ArchiveConfig, ArchivePlace};
pub use checked::{Config, JournalConfig, NodeConfig, StorageConfig, VolumeConfig, VolumeKind, WebConfig};
pub use finding::{Finding, Refusal, Refusals, Warning};
pub use load::{data_folder, secret_key_path};
pub use outward::WebhookConfig;
pub use relay::{CentreRole, ClusterConfig, LinkBudgets, RelayConfig, UpwardRole};
pub use secret::{Credentials, Secret};
pub use topology::{Camera, StreamSource, Topology};
