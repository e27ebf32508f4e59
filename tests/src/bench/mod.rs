//! Benchmarks: our recorder beside its peers on the same streams, in one run. Speeds and costs are compared within
//! the run, since the machine's own speed drifts between runs.

pub mod archive;
pub mod camsim;
pub mod catalogue;
pub mod child;
pub mod facets;
pub mod fan_out;
pub mod floor;
pub mod http;
pub mod latency;
pub mod memory;
pub mod node;
pub mod recorder;
pub mod relay;
pub mod room;
pub mod search;
pub mod simulator;
pub mod stall;
pub mod start;
pub mod viewers;
pub mod wire;
pub mod write_path;
