//! Tokens of devices and other systems: a reduction of the journal. A token has a name, says which events of which cameras
//! it may send, and is shown once; the journal and memory hold its hash alone.
//!
//! A token has 256 random bits, so its hash is a plain one: there is nothing to guess that stretching would slow down.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::{CameraId, NationalCode};
use fengsui_config::{Topology, limits};
use fengsui_relay::event::{EventKind, Priority};
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer};
use serde::{Deserialize, Serialize};

use super::accounts::check_name;
use super::random::{self, NoRandom};
use super::register::kinds;

/// What a token may send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Of every camera, those of later configurations included, and of none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everywhere: bool,
    /// Of these cameras.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cameras: BTreeSet<CameraId>,
    /// Of the cameras of these sites, stations or sub-centres, as they are configured when the event comes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub places: BTreeSet<NationalCode>,
    /// Kinds of events.
    pub kinds: BTreeSet<EventKind>,
    /// The highest priority.
    #[serde(default)]
    pub priority: Priority,
    /// It may read what happens to alarms and incidents (`GET /api/v1/duty/stream`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_duty: bool,
}

impl Scope {
    /// Whether it lets nothing be sent, and something be read.
    #[must_use]
    pub fn reads_only(&self) -> bool {
        let sends =
            self.everywhere || !(self.cameras.is_empty() && self.places.is_empty() && self.kinds.is_empty());
        self.read_duty && !sends
    }

    /// Whether it covers a camera, or what belongs to none.
    #[must_use]
    pub fn covers(&self, topology: &Topology, camera: Option<CameraId>) -> bool {
        let Some(camera) = camera else { return self.everywhere };
        if self.everywhere || self.cameras.contains(&camera) {
            return true;
        }
        let site = topology.cameras.get(&camera).and_then(|c| topology.sites.get(&c.site));
        let station = site.and_then(|s| topology.stations.get(&s.station));
        let above = [site.map(|s| s.code), station.map(|s| s.code), station.map(|s| s.sub_centre)];
        above.into_iter().flatten().any(|place| self.places.contains(&place))
    }
}

/// The end of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Who.
    pub by: String,
    /// When.
    pub at_us: UtcMicros,
}

/// A token that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDraft {
    /// What it is known by; part of the secret.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it may send.
    pub scope: Scope,
    /// Events a minute.
    pub rate: u32,
    /// BLAKE3 of the secret, hexadecimal.
    pub secret_hash: String,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is.
    #[serde(flatten)]
    pub draft: TokenDraft,
    /// Who made it.
    pub by: String,
    /// When.
    pub at_us: UtcMicros,
    /// How it ended.
    #[serde(default)]
    pub revoked: Option<Revoked>,
}

/// Why a token is not made or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {remedy}")]
pub struct TokenRefused {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

fn refused(field: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> TokenRefused {
    TokenRefused { field, what: what.into(), remedy: remedy.into() }
}

impl TokenDraft {
    /// A token with a fresh secret; the secret is in nobody else's hands.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn new(name: String, scope: Scope, rate: u32) -> Result<(Self, String), NoRandom> {
        let id = hex::encode(random::bytes::<6>()?);
        let secret = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(random::bytes::<32>()?));
        Ok((Self { id, name, scope, rate, secret_hash: hash(&secret).to_hex().to_string() }, secret))
    }

    /// Says what speaks against it.
    ///
    /// # Errors
    /// The first thing, with its field and a remedy.
    pub fn check(&self, topology: &Topology) -> Result<(), TokenRefused> {
        check_name(&self.name).map_err(|why| refused("name", why, "Choose another name."))?;
        let well_formed =
            |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !well_formed(&self.id, 12) || !well_formed(&self.secret_hash, 64) {
            return Err(refused("id", "The token was not made by this program.", "Make it anew."));
        }
        let scope = &self.scope;
        if scope.cameras.len() + scope.places.len() > limits::TOKEN_SCOPE_MAX {
            let what = format!("A token names at most {} cameras and places.", limits::TOKEN_SCOPE_MAX);
            return Err(refused("cameras", what, "Name sites, stations or sub-centres instead."));
        }
        // What only reads sends nothing.
        if scope.reads_only() {
            return self.check_rate();
        }
        if !scope.everywhere && scope.cameras.is_empty() && scope.places.is_empty() {
            let remedy = "Name cameras or places, or say everywhere.";
            return Err(refused("cameras", "The token would reach no camera.", remedy));
        }
        if let Some(camera) = scope.cameras.iter().find(|c| !topology.cameras.contains_key(c)) {
            let what = format!("{camera} is no camera of this node.");
            return Err(refused("cameras", what, "Name cameras in the configuration."));
        }
        if let Some(place) = scope.places.iter().find(|p| !is_place(topology, p)) {
            let what = format!("{place} is no site, station or sub-centre of this node.");
            return Err(refused("places", what, "Name places in the configuration."));
        }
        let known = EventKind::FROM_OUTSIDE.map(EventKind::as_str).join(", ");
        let wrong = scope.kinds.iter().find(|kind| !EventKind::FROM_OUTSIDE.contains(kind));
        if let Some(kind) = wrong {
            return Err(refused(
                "kinds",
                format!("{kind} is for nodes to tell."),
                format!("Choose of {known}."),
            ));
        }
        if scope.kinds.is_empty() {
            return Err(refused("kinds", "The token could send nothing.", format!("Choose of {known}.")));
        }
        self.check_rate()
    }

    fn check_rate(&self) -> Result<(), TokenRefused> {
        let (least, most) = limits::TOKEN_RATE;
        if !(least..=most).contains(&self.rate) {
            let what = format!("A token sends {least} to {most} events a minute, not {}.", self.rate);
            return Err(refused("rate", what, "Choose a number between."));
        }
        Ok(())
    }
}

fn is_place(topology: &Topology, code: &NationalCode) -> bool {
    topology.sites.contains_key(code)
        || topology.stations.contains_key(code)
        || topology.sub_centres.contains_key(code)
}

/// How a token begins: what finds one in a file knows what it is.
const PREFIX: &str = "fst_";
/// Longest text that can be a token.
const TEXT_BYTES_MAX: usize = 128;

fn hash(secret: &str) -> blake3::Hash {
    blake3::hash(secret.as_bytes())
}

/// All tokens of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    by_id: BTreeMap<String, Token>,
}

/// Body of `token.revoked`.
#[derive(Deserialize)]
struct RevokedBody {
    id: String,
    by: String,
    at_us: UtcMicros,
}

impl Reducer for Tokens {
    const NAME: &'static str = "tokens";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        let of = |e: serde_json::Error| ReduceError::of(record, e);
        if kinds::is(&record.kind, &record.body, kinds::TOKEN_CREATED) {
            self.add(Token::deserialize(&record.body).map_err(of)?);
        } else if kinds::is(&record.kind, &record.body, kinds::TOKEN_REVOKED) {
            let body = RevokedBody::deserialize(&record.body).map_err(of)?;
            self.end(&body.id, Revoked { by: body.by, at_us: body.at_us });
        }
        Ok(())
    }
}

impl Tokens {
    /// Adds a token that is in the journal. The first of an id stands.
    pub fn add(&mut self, token: Token) {
        self.by_id.entry(token.draft.id.clone()).or_insert(token);
    }

    /// Ends a token; the first end stands.
    pub fn end(&mut self, id: &str, revoked: Revoked) {
        if let Some(token) = self.by_id.get_mut(id) {
            token.revoked.get_or_insert(revoked);
        }
    }

    /// The token that a secret is of, while it is good.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<&Token> {
        if secret.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (id, _) = secret.strip_prefix(PREFIX)?.split_once('_')?;
        let token = self.by_id.get(id)?;
        let known = blake3::Hash::from_hex(&token.draft.secret_hash).ok()?;
        // blake3 compares hashes in constant time.
        (known == hash(secret) && token.revoked.is_none()).then_some(token)
    }

    /// Says what else speaks against a token: its name is taken, or there are too many.
    ///
    /// # Errors
    /// With field and remedy.
    pub fn room_for(&self, draft: &TokenDraft) -> Result<(), TokenRefused> {
        if self.by_id.len() >= limits::TOKENS_MAX {
            let what = format!("There are {} tokens, revoked ones included.", limits::TOKENS_MAX);
            return Err(refused("name", what, "Let devices of one kind share a token."));
        }
        let taken = self.by_id.values().any(|t| t.draft.name == draft.name || t.draft.id == draft.id);
        if taken {
            let what = format!("There is, or was, a token {:?}.", draft.name);
            return Err(refused("name", what, "Choose another name: events of both would look the same."));
        }
        Ok(())
    }

    /// One token.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Token> {
        self.by_id.get(id)
    }

    /// Every token, the newest first.
    #[must_use]
    pub fn all(&self) -> Vec<&Token> {
        let mut all: Vec<&Token> = self.by_id.values().collect();
        all.sort_by_key(|t| std::cmp::Reverse((t.at_us, t.draft.id.clone())));
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{CAMERA, config};

    fn scope() -> Scope {
        let cameras = [CAMERA.parse().unwrap()].into();
        Scope { cameras, kinds: [EventKind::DeviceInput].into(), ..Scope::default() }
    }

    fn record(kind: &str, body: Value) -> JournalRecord {
        let (at, kind) = (UtcMicros(0), kind.to_owned());
        JournalRecord { node: "n".into(), epoch: 1, seq: 1, at, kind, body, previous: [0; 32], hash: [0; 32] }
    }

    fn created(draft: &TokenDraft) -> JournalRecord {
        let mut body = serde_json::to_value(draft).unwrap();
        (body["by"], body["at_us"]) = (json!("li"), json!(5));
        record(kinds::TOKEN_CREATED, body)
    }

    #[test]
    fn a_token_is_good_from_its_record_to_the_record_of_its_end() {
        let (draft, secret) = TokenDraft::new("gate".into(), scope(), 60).unwrap();
        let mut tokens = Tokens::default();
        assert!(tokens.find(&secret).is_none());
        tokens.apply(&created(&draft)).unwrap();
        assert_eq!(tokens.find(&secret).unwrap().draft.name, "gate");
        let (_, other) = TokenDraft::new("gate".into(), scope(), 60).unwrap();
        let forged = format!("{PREFIX}{}_{}", draft.id, other.rsplit_once('_').unwrap().1);
        for wrong in ["", "fst_", &other, &forged, &secret.to_uppercase(), &"x".repeat(500)] {
            assert!(tokens.find(wrong).is_none(), "{wrong}");
        }
        let end = json!({"id": draft.id, "by": "li", "at_us": 9});
        tokens.apply(&record(kinds::TOKEN_REVOKED, end)).unwrap();
        assert!(tokens.find(&secret).is_none());
        assert_eq!(tokens.get(&draft.id).unwrap().revoked.as_ref().unwrap().by, "li");
        assert!(tokens.room_for(&TokenDraft::new("gate".into(), scope(), 60).unwrap().0).is_err());
    }

    #[test]
    fn neither_journal_nor_view_holds_a_secret() {
        let (draft, secret) = TokenDraft::new("gate".into(), scope(), 60).unwrap();
        let body = created(&draft).body;
        assert!(!body.to_string().contains(&secret));
        assert!(!kinds::shown(&body).to_string().contains(&draft.secret_hash));
    }

    #[test]
    fn a_scope_covers_its_cameras_and_those_of_its_places() {
        let topology = config().topology;
        let camera = |code: &str| Some(code.parse().unwrap());
        let covers = |scope: &Scope, code: &str| scope.covers(&topology, camera(code));
        assert!(covers(&scope(), CAMERA) && !covers(&scope(), "33080200001320000002"));
        assert!(!scope().covers(&topology, None));
        for place in ["33080200002160000001", "33080200002150000001", "33080200002000000001"] {
            let scope = Scope { places: [place.parse().unwrap()].into(), ..Scope::default() };
            assert!(covers(&scope, "33080200001320000002"), "{place}");
            assert!(!covers(&scope, "33080200001320000009"), "what is not configured is in no place");
        }
        let all = Scope { everywhere: true, ..Scope::default() };
        assert!(covers(&all, CAMERA) && all.covers(&topology, None));
    }

    #[test]
    fn a_token_that_only_reads_names_no_cameras() {
        let topology = config().topology;
        let reads = Scope { read_duty: true, ..Scope::default() };
        let made = |scope| TokenDraft::new("desk".into(), scope, 60).unwrap().0;
        made(reads.clone()).check(&topology).unwrap();
        assert_eq!(made(Scope::default()).check(&topology).unwrap_err().field, "cameras");
        let half = Scope { everywhere: true, ..reads };
        assert_eq!(made(half).check(&topology).unwrap_err().field, "kinds");
    }

    #[test]
    fn what_speaks_against_a_token_is_told_with_its_field() {
        let topology = config().topology;
        let made = |name: &str, scope, rate| TokenDraft::new(name.into(), scope, rate).unwrap().0;
        made("gate", scope(), 60).check(&topology).unwrap();
        let without = Scope { cameras: BTreeSet::new(), ..scope() };
        let bad = [
            (made("", scope(), 60), "name"),
            (made("gate", without, 60), "cameras"),
            (
                made(
                    "gate",
                    Scope { cameras: ["33080200001320000009".parse().unwrap()].into(), ..scope() },
                    60,
                ),
                "cameras",
            ),
            (
                made(
                    "gate",
                    Scope { places: ["33080200002160000009".parse().unwrap()].into(), ..scope() },
                    60,
                ),
                "places",
            ),
            (made("gate", Scope { kinds: BTreeSet::new(), ..scope() }, 60), "kinds"),
            (made("gate", Scope { kinds: [EventKind::CameraOffline].into(), ..scope() }, 60), "kinds"),
            (made("gate", scope(), 0), "rate"),
            (TokenDraft { id: "../x".into(), ..made("gate", scope(), 60) }, "id"),
        ];
        for (draft, field) in bad {
            assert_eq!(draft.check(&topology).unwrap_err().field, field, "{draft:?}");
        }
    }
}
