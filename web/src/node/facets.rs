//! The derived facets of a node: where they are, and what filling them needs.

use std::sync::Arc;

use fengsui_config::Config;
use fengsui_config::clock::Clock;
use fengsui_storage::catalogue::Catalogue;
use fengsui_storage::facets::{Facets, FillOptions, SledHome};
use fengsui_storage::fs::Fs;
use fengsui_storage::journal::Journal;

use crate::integrity::{Beside, JournalReporter};
use crate::paths;

/// Facets under the data folder; nothing is opened yet.
pub(super) fn closed(config: &Config, fs: &Arc<dyn Fs>) -> Arc<Facets> {
    Facets::new(Box::new(SledHome::new(fs.clone(), paths::facets(&config.node.data))))
}

/// Starts to open and fill them. A node without is slower at long listings and lacks nothing, so no failure stops it.
pub(super) fn start(
    facets: &Arc<Facets>,
    config: &Config,
    (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>),
    catalogue: &Arc<Catalogue>,
    journal: &Arc<Journal>,
    beside: Beside,
) {
    let started = facets.start(FillOptions {
        fs,
        clock,
        catalogue: catalogue.clone(),
        volumes: config.storage.volumes.iter().map(|v| (v.id.clone(), v.path.clone())).collect(),
        data: config.node.data.clone(),
        surroundings: Arc::new(beside),
        reporter: Arc::new(JournalReporter(journal.clone())),
    });
    if let Err(error) = started {
        tracing::error!(%error, "listings are made without facets");
    }
}
