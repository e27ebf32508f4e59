//! The configuration that a node has from its centre, at the node: places and cameras in place of those of its own file.
//!
//! A version that the centre offers is checked together with the own file, as `fengsui check` does it. One that is refused
//! changes nothing. One that is taken goes into the journal with its text (`config.received`), then into a file beside it
//! ([`Kept`]), then into use. A start takes the last one into use whether there is a centre or not.
//!
//! The journal is the truth. The file is for commands that do not open it, and for a start before its journal is open; when
//! they differ the file is written again.

use std::path::Path;
use std::sync::Arc;

use fengsui_config::central::CentralTopology;
use fengsui_config::clock::UtcMicros;
use fengsui_config::env::{Env, ProcessEnv};
use fengsui_config::{Config, Refusals, Warning, data_folder};
use fengsui_relay::central::{
    ConfigWord, Fault, InForce, Kept, Offer, OfferRefused, Received, Standing, Verdict,
};
use fengsui_storage::error::StoreError;
use fengsui_storage::fs::{Fs, RealFs};
use fengsui_storage::journal::Journal;
use parking_lot::RwLock;
use serde_json::json;

use crate::app::{App, ConfigNote};
use crate::auth::register::{Register, RegisterError, kinds};
use crate::relay;

/// Why an offer was not taken.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// What is in force does not allow it.
    #[error(transparent)]
    Standing(#[from] OfferRefused),
    /// Its text, or its text together with the node's own file.
    #[error("{} refusals", .0.len())]
    Text(Vec<Fault>),
    /// It could not be noted.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// This node reads no configuration file.
    #[error("this node has no configuration file")]
    NoFile,
    /// A defect of ours.
    #[error("the configuration could not be read: {0}")]
    Defect(String),
}

impl OfferError {
    /// As the centre shows it.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        match self {
            Self::Text(faults) => faults.clone(),
            Self::Standing(refused) => vec![Fault::whole(&refused.to_string(), refused.remedy())],
            other => vec![Fault::whole(&other.to_string(), "look at the node's log")],
        }
    }
}

/// Why a version in force stays so.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// There is none.
    #[error("no version of a centre is in force; this node goes by its own file already")]
    Nothing,
    /// The node's own file is not good.
    #[error("the node's own file is refused, so the centre's version stays in force:\n{}", .0.join("\n"))]
    Own(Vec<String>),
    /// It could not be noted.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

/// What a node has of its centre.
pub struct Central {
    fs: Arc<dyn Fs>,
    kept: Kept,
    standing: RwLock<Standing>,
    /// Refusals of the version that was in force at the start and could not be used.
    unusable: Vec<String>,
}

impl Central {
    /// What the journal says, in a node whose data are in this folder.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>, data: &Path, standing: Standing) -> Self {
        let (kept, standing) = (Kept::new(relay::folder(data)), RwLock::new(standing));
        Self { fs, kept, standing, unusable: Vec::new() }
    }

    /// What a node says of it.
    #[must_use]
    pub fn word(&self) -> ConfigWord {
        self.standing.read().word()
    }

    /// The version in force.
    #[must_use]
    pub fn in_force(&self) -> Option<InForce> {
        self.standing.read().in_force().cloned()
    }

    /// Its number, who saved it, and when it came.
    #[must_use]
    pub fn told(&self) -> Option<(u64, String, UtcMicros)> {
        let standing = self.standing.read();
        standing.in_force().map(|now| (now.received.version, now.received.by.clone(), now.at))
    }

    /// Its places and cameras.
    #[must_use]
    pub fn topology(&self) -> Option<CentralTopology> {
        self.standing.read().in_force().map(InForce::topology)
    }

    /// Whether the text of an offer is to be looked at.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, offer: &Offer) -> Result<Verdict, OfferRefused> {
        self.standing.read().judge(offer)
    }

    /// Notes that an offer was not taken. A failure to note it is logged: the offer is refused all the same.
    pub async fn refused(&self, register: &dyn Register, offer: &Offer, error: &OfferError) {
        let faults = error.faults();
        tracing::warn!(
            version = offer.version,
            by = offer.by,
            faults = faults.len(),
            "did not take a configuration of the centre: {error}"
        );
        let row = json!({"version": offer.version, "hash": offer.hash, "by": offer.by, "faults": faults});
        if let Err(error) = register.append(kinds::CONFIG_OFFER_REFUSED, row).await {
            tracing::error!(%error, "cannot write a refused configuration to the journal");
        }
    }

    /// Puts a version into force whose text is good: into the journal, then into the file.
    ///
    /// # Errors
    /// When the journal does not take it; then all is as it was.
    pub async fn receive(
        self: &Arc<Self>,
        register: &dyn Register,
        received: Received,
        at: UtcMicros,
    ) -> Result<(), RegisterError> {
        let body = serde_json::to_value(&received).unwrap_or_default();
        register.append(kinds::CONFIG_RECEIVED, body).await?;
        tracing::info!(
            version = received.version,
            by = received.by,
            "a configuration of the centre is in force"
        );
        *self.standing.write() = Standing::Central(InForce { received, at });
        self.keep().await;
        Ok(())
    }

    /// Puts the version in force out of force. Gives its number; none when none was.
    ///
    /// # Errors
    /// When the journal does not take it; then all is as it was.
    pub async fn release(
        self: &Arc<Self>,
        register: &dyn Register,
        by: &str,
        reason: &str,
    ) -> Result<Option<u64>, RegisterError> {
        let Some(released) = self.standing.read().release(by, reason) else { return Ok(None) };
        let (version, body) = (released.version, serde_json::to_value(&released).unwrap_or_default());
        register.append(kinds::CONFIG_RELEASED, body).await?;
        tracing::warn!(
            version,
            by,
            "the centre's configuration is out of force; the node goes by its own file"
        );
        *self.standing.write() = Standing::Released(released);
        self.keep().await;
        Ok(Some(version))
    }

    async fn keep(self: &Arc<Self>) {
        let central = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || central.keep_now()).await {
            tracing::error!(%error, "keeping the centre's configuration ended early");
        }
    }

    /// Brings the file to what is in force.
    fn keep_now(&self) {
        let in_force = self.in_force();
        if let Err(error) = self.kept.set(&*self.fs, in_force.as_ref()) {
            // The journal has it; the next start writes the file again.
            tracing::error!(%error, "cannot keep the centre's configuration beside the journal");
        }
    }
}

/// A configuration as a node goes by it.
pub struct Effective {
    /// The configuration.
    pub config: Config,
    /// Warnings about it.
    pub warnings: Vec<Warning>,
    /// The centre's version in it; none: places and cameras are those of the own file.
    pub central: Option<InForce>,
    /// Why a version of the centre is not in it although it is in force.
    pub passed_over: Option<Refusals>,
}

/// Reads the node's own file, with places and cameras of `central`. When that version does not go with the own file any more,
/// and the own file is good alone, the own file is taken alone: a node that records by an older plan is better than none.
///
/// # Errors
/// What is wrong with the own file.
pub fn effective(path: &Path, env: &dyn Env, central: Option<InForce>) -> Result<Effective, Refusals> {
    let own = |passed_over| {
        let (config, warnings) = Config::load(path, env)?;
        Ok(Effective { config, warnings, central: None, passed_over })
    };
    let Some(central) = central else { return own(None) };
    match Config::load_central(path, env, &central.topology()) {
        Ok((config, warnings)) => {
            Ok(Effective { config, warnings, central: Some(central), passed_over: None })
        }
        Err(refusals) => own(Some(refusals)),
    }
}

/// As [`effective`], with the version that is kept beside the journal.
///
/// # Errors
/// What is wrong with the own file.
pub fn load(path: &Path) -> Result<Effective, Refusals> {
    let kept = Kept::new(relay::folder(&data_folder(path)?));
    let central = kept.read(&RealFs).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot read the centre's configuration; the node's own file is taken");
        None
    });
    effective(path, &ProcessEnv, central)
}

/// At a start: what the journal says, the file brought to it, and the configuration that goes with it.
///
/// # Errors
/// When the journal cannot be read.
pub fn settle(
    given: Config,
    path: &Path,
    fs: &Arc<dyn Fs>,
    journal: &Journal,
) -> Result<(Config, Arc<Central>), StoreError> {
    let mut central = Central::new(fs.clone(), &given.node.data, journal.state()?);
    let kept = central.kept.read(&**fs).ok().flatten();
    if kept != central.in_force() {
        central.keep_now();
    } else if kept.is_none() {
        return Ok((given, Arc::new(central)));
    }
    let (config, refused) = match effective(path, &ProcessEnv, central.in_force()) {
        Ok(now) => (now.config, now.passed_over),
        // What was given was good a moment ago.
        Err(refusals) => (given, Some(refusals)),
    };
    central.unusable = refused.iter().flat_map(|r| &r.refusals).map(ToString::to_string).collect();
    for line in &central.unusable {
        tracing::error!("the centre's configuration is in force and cannot be used: {line}");
    }
    Ok((config, Arc::new(central)))
}

/// Gives a node what it has of its centre. What could not be used is shown as a refused configuration.
pub fn attach(app: &App, central: Arc<Central>) {
    if !central.unusable.is_empty() {
        let refusals = central.unusable.clone();
        *app.config_note.write() = Some(ConfigNote { at: app.clock.utc(), refusals });
    }
    *app.central.write() = Some(central);
}

/// Refusals of a version as faults; `text` is how the version is named in them.
#[must_use]
pub fn faults(refusals: &Refusals, text: &Path) -> Vec<Fault> {
    let most = fengsui_config::limits::RELAY_CONFIG_FAULTS_MAX;
    refusals.refusals.iter().take(most).map(|finding| Fault::of(finding, text)).collect()
}

#[cfg(test)]
#[path = "central_tests.rs"]
mod tests;
