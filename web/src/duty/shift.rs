//! The change of shifts: a note to those who come, with what is open, signed by the node's key.

use std::collections::BTreeMap;

use fengsui_config::ids::NodeId;
use fengsui_config::limits;
use fengsui_duty::act::{By, MatterId, MatterKind, Verb};
use fengsui_duty::alarm::AlarmState;
use fengsui_duty::book::Book;
use fengsui_duty::define::{Shift, ShiftVerb};
use fengsui_duty::incident::IncidentState;
use fengsui_storage::segment::KeyId;
use serde_json::json;

use crate::app::App;
use crate::auth::accounts::check_name;
use crate::auth::rights::Right;
use crate::duty::ActError;

/// What stands before the text that is signed, so that a signature of something else is none of a hand-over.
const DOMAIN: &str = "fengsui shift hand-over v1\n";

/// Why a shift is not handed or taken over.
#[derive(Debug, thiserror::Error)]
pub enum ShiftError {
    /// A field is not good: its name, what is wrong, what to do.
    #[error("{1} {2}")]
    Field(&'static str, String, String),
    /// The node cannot sign now.
    #[error("the node has no key to sign with")]
    NoKey,
    /// It is not possible, or could not be noted.
    #[error(transparent)]
    Act(#[from] ActError),
}

/// The shift of a node.
#[must_use]
pub fn matter(node: &NodeId) -> MatterId {
    MatterId { kind: MatterKind::Shift, home: node.clone(), name: "desk".to_owned() }
}

/// What is open: alarms by their state, incidents, units under way.
#[must_use]
pub fn open_counts(book: &Book) -> BTreeMap<String, u64> {
    let mut open: BTreeMap<String, u64> =
        ["new", "acknowledged", "in_progress", "incidents", "units"].map(|k| (k.to_owned(), 0)).into();
    let mut add = |name: &str, n: u64| *open.entry(name.to_owned()).or_default() += n;
    for alarm in book.alarms.values().filter_map(|ledger| ledger.state()) {
        match alarm.state {
            AlarmState::New => add("new", 1),
            AlarmState::Acknowledged => add("acknowledged", 1),
            AlarmState::InProgress => add("in_progress", 1),
            AlarmState::Resolved | AlarmState::False | AlarmState::Closed => {}
        }
    }
    for incident in book.incidents.values().filter_map(|ledger| ledger.state()) {
        if matches!(incident.state, IncidentState::Open | IncidentState::Handling) {
            add("incidents", 1);
        }
        add("units", incident.dispatches.values().filter(|d| d.progress.is_open()).count() as u64);
    }
    open
}

/// The text that is signed: the names, note, numbers and time as JSON with its members in the order of their names.
fn signed_text(
    node: &NodeId,
    from: &str,
    to: &str,
    note: &str,
    open: &BTreeMap<String, u64>,
    key: &str,
) -> String {
    // serde_json keeps the members of an object in the order of their names.
    let body = json!({"from": from, "key": key, "node": node, "note": note, "open": open, "to": to});
    format!("{DOMAIN}{body}")
}

/// What a look at a signature came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// It is of this text and of the key that stands with it, which is this node's.
    Good,
    /// It is of this text, and of a key that is not this node's: it came from elsewhere, or the key was changed.
    OtherKey,
    /// The text is not the one that was signed.
    Bad,
}

/// Checks the signature of a hand-over.
#[must_use]
pub fn check(app: &App, node: &NodeId, shift: &Shift) -> Signature {
    let ShiftVerb::HandOver { to, note, open, signature, key } = &shift.handed else { return Signature::Bad };
    let text = signed_text(node, &shift.from.name, to, note, open, key);
    let bytes = |text: &str| hex::decode(text).unwrap_or_default();
    let (Ok(key), Ok(signature)) = (<[u8; 32]>::try_from(bytes(key)), <[u8; 64]>::try_from(bytes(signature)))
    else {
        return Signature::Bad;
    };
    if !KeyId(key).verifies(text.as_bytes(), &signature) {
        return Signature::Bad;
    }
    let own = app.outward.signer().is_some_and(|signer| signer.id() == KeyId(key));
    if own { Signature::Good } else { Signature::OtherKey }
}

/// Hands the shift of this node over.
///
/// # Errors
/// When a field is not good, or it cannot be noted; then nothing changed.
pub async fn hand_over(app: &App, from: &str, to: &str, note: &str) -> Result<(), ShiftError> {
    let wrong = |field, what: String, remedy: &str| ShiftError::Field(field, what, remedy.to_owned());
    check_name(to).map_err(|why| wrong("to", why.to_string(), "Name the account of who comes."))?;
    if to == from {
        return Err(wrong("to", format!("{to} is who leaves."), "Name who comes."));
    }
    if !app.auth.accounts.read().get(to).is_some_and(|account| account.may(Right::Act)) {
        let what = format!("{to} is no account with which somebody may act.");
        return Err(wrong("to", what, "Name the account of who comes."));
    }
    let length = note.chars().count();
    if length > limits::SHIFT_NOTE_CHARS_MAX {
        let what = format!(
            "The note has {length} characters, and at most {} are kept.",
            limits::SHIFT_NOTE_CHARS_MAX
        );
        return Err(wrong("note", what, "Shorten it; details belong to the alarms and incidents."));
    }
    if note.trim().is_empty() {
        return Err(wrong(
            "note",
            "The note is empty.".to_owned(),
            "Say what the next shift has to know, or that there is nothing.",
        ));
    }
    let signer = app.outward.signer().ok_or(ShiftError::NoKey)?;
    let (node, key) = (app.duty.node().clone(), signer.id().to_string());
    let open = app.duty.read(open_counts);
    let text = signed_text(&node, from, to, note, &open, &key);
    let signature = hex::encode(signer.sign(text.as_bytes()));
    let verb = ShiftVerb::HandOver { to: to.to_owned(), note: note.to_owned(), open, signature, key };
    app.duty.act(app, &matter(&node), Verb::Shift(verb), By::person(from)).await?;
    Ok(())
}

/// Takes the shift over.
///
/// # Errors
/// When it was handed to somebody else, or is taken; then nothing changed.
pub async fn take_over(app: &App, by: &str, note: &str) -> Result<(), ShiftError> {
    if note.chars().count() > limits::SHIFT_NOTE_CHARS_MAX {
        let what = format!("The note has more than {} characters.", limits::SHIFT_NOTE_CHARS_MAX);
        return Err(ShiftError::Field("note", what, "Shorten it.".to_owned()));
    }
    let node = app.duty.node().clone();
    let verb = ShiftVerb::TakeOver { note: note.to_owned() };
    app.duty.act(app, &matter(&node), Verb::Shift(verb), By::person(by)).await?;
    Ok(())
}

/// The newest hand-over of this node.
#[must_use]
pub fn newest(app: &App) -> Option<Shift> {
    app.duty.read(|book| book.shifts.get(&matter(app.duty.node())).and_then(|ledger| ledger.state()).cloned())
}

/// The members of a hand-over, for views.
#[must_use]
pub fn handed(shift: &Shift) -> Option<(String, String, BTreeMap<String, u64>, String)> {
    match &shift.handed {
        ShiftVerb::HandOver { to, note, open, key, .. } => {
            Some((to.clone(), note.clone(), open.clone(), key.clone()))
        }
        ShiftVerb::TakeOver { .. } => None,
    }
}
