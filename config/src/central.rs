//! The part of a sub-centre's configuration that its centre may change: places and cameras, as TOML in the words of the
//! node's own file. Everything else of that file stays the node's own, so that no centre can lock a node out or move its
//! footage; users and passwords of cameras stay there too.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::finding::{Refusals, Warning};
use crate::ids::CameraId;

/// Places and cameras of a node, as its centre wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CentralTopology {
    /// Which version this is, from 1.
    pub version: u64,
    /// `[[sub_centre]]`, `[[station]]`, `[[site]]` and `[[camera]]`, at most `limits::RELAY_CONFIG_BYTES_MAX` bytes.
    pub text: String,
}

impl CentralTopology {
    /// How findings name it where a file is named.
    #[must_use]
    pub fn name(&self) -> PathBuf {
        PathBuf::from(format!("version {} of the centre", self.version))
    }

    /// Checks it as far as that can be done without the node's own file. Gives the line of each camera's code.
    ///
    /// # Errors
    /// Every refusal at once, each with line, key, value and remedy.
    pub fn check(&self) -> Result<(BTreeMap<CameraId, u32>, Vec<Warning>), Refusals> {
        crate::load::central::check(self)
    }
}
