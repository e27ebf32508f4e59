//! Links by which units work: a reduction of the journal. Each is of one dispatch and opens that alone.
//!
//! A link has 256 random bits and is shown once, to the desk that sends it. The first device that opens it gets a secret of
//! its own, in a cookie; from then on the link opens nothing. Journal and memory hold hashes of both. A link ends with its
//! dispatch, after [`limits::UNIT_LINK_LIFE`], when the desk revokes it, and when the desk makes another for the same dispatch.

use std::collections::BTreeMap;
use std::fmt;

use axum::extract::FromRequestParts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;
use fengsui_duty::act::MatterId;
use fengsui_duty::incident::{Dispatch, Progress};
use fengsui_duty::ledger::Ledger;
use fengsui_storage::journal::{JournalRecord, ReduceError, Reducer};
use http::HeaderMap;
use http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::auth::random::{self, NoRandom};
use crate::auth::register::kinds;
use crate::http::accept::Peer;
use crate::http::cookies;
use crate::http::problem::{ApiError, Refusal};

/// A link; also the body of `duty.link_made`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The incident that it opens.
    pub incident: MatterId,
    /// Its dispatch.
    pub dispatch: String,
    /// The unit that was sent.
    pub unit: MatterId,
    /// BLAKE3 of the link's secret, hexadecimal.
    pub token_hash: String,
    /// When it ends at the latest.
    pub expires_us: UtcMicros,
    /// How the unit reaches the desk.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contact: String,
    /// Who made it.
    pub by: String,
    /// When.
    pub at_us: UtcMicros,
    /// BLAKE3 of the secret of the device that keeps it, hexadecimal; none: nobody has opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token_hash: Option<String>,
}

/// Body of `duty.link_used`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Used {
    /// The incident.
    pub incident: MatterId,
    /// Its dispatch.
    pub dispatch: String,
    /// Which link.
    pub token_hash: String,
    /// The device.
    pub device_token_hash: String,
    /// Where it is.
    pub address: String,
    /// When.
    pub at_us: UtcMicros,
}

/// Body of `duty.link_ended`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ended {
    /// The incident.
    pub incident: MatterId,
    /// Its dispatch.
    pub dispatch: String,
    /// Who.
    pub by: String,
    /// When.
    pub at_us: UtcMicros,
}

/// Every link that may be good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    by_hash: BTreeMap<String, Link>,
}

/// A secret that is in nobody else's hands. What prints it prints no secret.
#[derive(Clone)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Secret {
    /// 256 random bits.
    ///
    /// # Errors
    /// When the machine gives none.
    pub fn new() -> Result<Self, NoRandom> {
        Ok(Self(URL_SAFE_NO_PAD.encode(random::bytes::<32>()?)))
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What may be kept of it.
    #[must_use]
    pub fn hash(&self) -> String {
        hash(&self.0)
    }
}

/// The hash of a secret that somebody sent.
fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Longest text that can be a secret of ours.
const TEXT_BYTES_MAX: usize = 128;

impl Reducer for Links {
    const NAME: &'static str = "unit_links";
    const VERSION: u32 = 1;

    fn apply(&mut self, record: &JournalRecord) -> Result<(), ReduceError> {
        let of = |e: serde_json::Error| ReduceError::of(record, e);
        let is = |kind| kinds::is(&record.kind, &record.body, kind);
        if is(kinds::DUTY_LINK_MADE) {
            self.make(Link::deserialize(&record.body).map_err(of)?);
        } else if is(kinds::DUTY_LINK_USED) {
            let used = Used::deserialize(&record.body).map_err(of)?;
            self.keep(&used.token_hash, used.device_token_hash);
        } else if is(kinds::DUTY_LINK_ENDED) {
            let ended = Ended::deserialize(&record.body).map_err(of)?;
            self.end(&ended.incident, &ended.dispatch);
        }
        Ok(())
    }
}

impl Links {
    /// Adds a link that is in the journal, in place of others of its dispatch and of those whose time was over when it was made.
    pub fn make(&mut self, link: Link) {
        self.end(&link.incident, &link.dispatch);
        self.by_hash.retain(|_, old| old.expires_us > link.at_us);
        if self.by_hash.len() >= limits::UNIT_LINKS_MAX {
            let oldest = self.by_hash.values().min_by_key(|old| old.at_us).map(|old| old.token_hash.clone());
            if let Some(hash) = oldest {
                self.by_hash.remove(&hash);
            }
        }
        self.by_hash.insert(link.token_hash.clone(), link);
    }

    /// A device keeps a link; the first one stands.
    pub fn keep(&mut self, token_hash: &str, device_token_hash: String) {
        if let Some(link) = self.by_hash.get_mut(token_hash) {
            link.device_token_hash.get_or_insert(device_token_hash);
        }
    }

    /// Ends the links of a dispatch.
    pub fn end(&mut self, incident: &MatterId, dispatch: &str) {
        self.by_hash.retain(|_, link| link.incident != *incident || link.dispatch != dispatch);
    }

    /// The link whose secret somebody sent, until its time is over.
    #[must_use]
    pub fn opened_by(&self, secret: &str, now: UtcMicros) -> Option<&Link> {
        let known = (secret.len() <= TEXT_BYTES_MAX).then(|| self.by_hash.get(&hash(secret)))?;
        known.filter(|link| now < link.expires_us)
    }

    /// The link that the device with this secret keeps, also when its time is over.
    #[must_use]
    pub fn kept_by(&self, device: &str) -> Option<&Link> {
        let hash = (device.len() <= TEXT_BYTES_MAX).then(|| hash(device))?;
        self.by_hash.values().find(|link| link.device_token_hash.as_ref() == Some(&hash))
    }

    /// The link of a dispatch.
    #[must_use]
    pub fn of(&self, incident: &MatterId, dispatch: &str) -> Option<&Link> {
        self.by_hash.values().find(|link| link.incident == *incident && link.dispatch == dispatch)
    }
}

/// The holder of a link that is good: proof that this device may see and do what belongs to one dispatch.
#[derive(Debug, Clone)]
pub struct UnitHolder {
    link: Link,
}

impl UnitHolder {
    /// The link.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Who asks, by the cookie of their device.
    ///
    /// # Errors
    /// `not_logged_in` without a cookie that is known; `link_over` when link or dispatch have ended.
    pub(crate) fn of(app: &App, headers: &HeaderMap, peer: &Peer) -> Result<Self, ApiError> {
        let kept = device(headers, peer).and_then(|id| app.units.links.read().kept_by(id).cloned());
        let link = kept.ok_or_else(|| {
            let open = !app.auth.accounts.read().has_administrator();
            ApiError::new(Refusal::NotLoggedIn, "This device has no order, or its link was revoked.")
                .remedy("Open the link that the desk sent; if it was opened before, call the desk.")
                .setup_required(open)
        })?;
        still_good(app, &link)?;
        Ok(Self { link })
    }
}

impl<S: Sync> FromRequestParts<S> for UnitHolder {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let none = || ApiError::new(Refusal::NotLoggedIn, "This address is for units by their links.");
        parts.extensions.get::<Self>().cloned().ok_or_else(none)
    }
}

/// Checks that a link has not ended.
///
/// # Errors
/// `link_over`, with how it ended and whom to call.
pub fn still_good(app: &App, link: &Link) -> Result<(), ApiError> {
    let over = |detail: &str| {
        let desk =
            if link.contact.is_empty() { link.by.clone() } else { format!("{}, {}", link.by, link.contact) };
        Err(ApiError::new(Refusal::LinkOver, detail)
            .remedy(format!("Call the desk if there is more to tell: {desk}.")))
    };
    if app.clock.utc() >= link.expires_us {
        return over("The time of this link is over.");
    }
    let progress = app.duty.read(|book| {
        let incident = book.incidents.get(&link.incident).and_then(Ledger::state);
        incident.and_then(|i| i.dispatches.get(&link.dispatch)).map(|sent: &Dispatch| sent.progress)
    });
    match progress {
        Some(progress) if progress.is_open() => Ok(()),
        Some(Progress::Recalled) => over("The desk has called the unit back."),
        Some(Progress::Declined) => over("The unit has declined this order."),
        Some(_) => over("This order is done."),
        None => over("This order is not known here any more."),
    }
}

/// The secret of the device in the cookies of a request.
#[must_use]
pub fn device<'a>(headers: &'a HeaderMap, peer: &Peer) -> Option<&'a str> {
    cookies::value(headers, &cookies::of_unit(peer))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::Value;

    use super::*;

    fn link(dispatch: &str, secret: &Secret, at_us: i64) -> Link {
        Link {
            incident: "incident/centre/a".parse().unwrap(),
            dispatch: dispatch.into(),
            unit: "unit/centre/b".parse().unwrap(),
            token_hash: secret.hash(),
            expires_us: UtcMicros(at_us + 100),
            contact: "110".into(),
            by: "li".into(),
            at_us: UtcMicros(at_us),
            device_token_hash: None,
        }
    }

    fn record(kind: &str, body: Value) -> JournalRecord {
        let (at, kind) = (UtcMicros(0), kind.to_owned());
        JournalRecord { node: "n".into(), epoch: 1, seq: 1, at, kind, body, previous: [0; 32], hash: [0; 32] }
    }

    #[test]
    fn a_link_goes_from_its_secret_to_the_first_device_and_ends() {
        let (secret, device, second) =
            (Secret::new().unwrap(), Secret::new().unwrap(), Secret::new().unwrap());
        let (mut links, made) = (Links::default(), link("d1", &secret, 0));
        links.apply(&record(kinds::DUTY_LINK_MADE, serde_json::to_value(&made).unwrap())).unwrap();
        assert_eq!(links.opened_by(secret.reveal(), UtcMicros(99)), Some(&made));
        assert!(links.opened_by(secret.reveal(), UtcMicros(100)).is_none(), "its time is over");
        assert!(links.opened_by(&made.token_hash, UtcMicros(0)).is_none(), "the hash opens nothing");
        let used = |device: &Secret| Used {
            incident: made.incident.clone(),
            dispatch: "d1".into(),
            token_hash: secret.hash(),
            device_token_hash: device.hash(),
            address: "::1".into(),
            at_us: UtcMicros(1),
        };
        for device in [&device, &second] {
            let body = serde_json::to_value(used(device)).unwrap();
            links.apply(&record(kinds::DUTY_LINK_USED, body)).unwrap();
        }
        assert_eq!(links.kept_by(device.reveal()).unwrap().dispatch, "d1");
        assert!(links.kept_by(second.reveal()).is_none() && links.kept_by(secret.reveal()).is_none());
        let ended =
            Ended { incident: made.incident, dispatch: "d1".into(), by: "li".into(), at_us: UtcMicros(2) };
        links.apply(&record(kinds::DUTY_LINK_ENDED, serde_json::to_value(ended).unwrap())).unwrap();
        assert_eq!(links, Links::default());
    }

    #[test]
    fn a_new_link_takes_the_place_of_the_old_one_and_old_ones_make_room() {
        let (one, two) = (Secret::new().unwrap(), Secret::new().unwrap());
        let mut links = Links::default();
        links.make(link("d1", &one, 0));
        links.make(link("d1", &two, 1));
        assert!(links.opened_by(one.reveal(), UtcMicros(2)).is_none());
        assert!(links.opened_by(two.reveal(), UtcMicros(2)).is_some());
        for n in 0..=limits::UNIT_LINKS_MAX {
            links.make(link(&format!("x{n}"), &Secret::new().unwrap(), 2));
        }
        assert_eq!(links.by_hash.len(), limits::UNIT_LINKS_MAX);
        links.make(link("d9", &one, 1000));
        assert_eq!(links.by_hash.len(), 1, "those whose time is over are forgotten");
    }

    #[test]
    fn nothing_that_is_kept_or_printed_holds_a_secret() {
        let secret = Secret::new().unwrap();
        let body = serde_json::to_value(link("d1", &secret, 0)).unwrap();
        assert!(
            !body.to_string().contains(secret.reveal()) && !format!("{secret:?}").contains(secret.reveal())
        );
        assert!(!kinds::shown(&body).to_string().contains(&secret.hash()));
    }
}
