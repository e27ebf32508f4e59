//! State as a pure function of the journal.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::JournalRecord;
use crate::error::StoreError;

/// Why a record could not be taken into a state: its kind is known and its body has another shape.
#[derive(Debug, thiserror::Error)]
#[error("record {seq} of kind {kind} cannot be understood: {why}")]
pub struct ReduceError {
    /// The record.
    pub seq: u64,
    /// Its kind.
    pub kind: String,
    /// What is wrong with it.
    pub why: String,
}

impl ReduceError {
    /// The refusal of `record`.
    pub fn of(record: &JournalRecord, why: impl std::fmt::Display) -> Self {
        Self { seq: record.seq, kind: record.kind.clone(), why: why.to_string() }
    }
}

/// A state that the journal alone determines: `Default` is the state before the first record, [`Reducer::apply`] takes
/// the next one in. It may look at nothing but itself and the record: no clock, no file.
///
/// Records of other kinds change nothing. The kinds that do must be [`super::kinds::Keep::State`] in the table of kinds
/// (unknown ones are): only those outlive the term of the journal. The exception is what a later record of the term stands
/// for, as `retention.standing` does for deletions. The serialised form is what a snapshot holds; when it
/// changes, [`Reducer::VERSION`] grows, and older snapshots are thrown away.
pub trait Reducer: Default + Serialize + DeserializeOwned {
    /// Name of the state: 1 to 32 of `a-z` and `_`; also that of its snapshot.
    const NAME: &'static str;
    /// Version of the serialised form.
    const VERSION: u32;

    /// Takes the next record in.
    ///
    /// # Errors
    /// When a record of a known kind and version has another shape; the state is as before then.
    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError>;
}

impl From<ReduceError> for StoreError {
    fn from(error: ReduceError) -> Self {
        Self::Invalid(format!("the journal holds a record that cannot be used: {error}"))
    }
}
