//! The proofs. A [`Principal`] says who asks; a [`CameraAccess`] says that they may see one stream. Neither can be made
//! outside this module, and [`crate::media::Media`] gives nothing without them, so a handler that forgot the check does
//! not compile.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use http::request::Parts;

use super::Auth;
use super::accounts::Role;
use super::sessions::{SessionKey, User};
use super::tickets::Claims;
use crate::http::problem::{ApiError, Refusal};

/// By what somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// A log-in session.
    Session(SessionKey),
    /// A media ticket, by the hash of its text.
    Ticket([u8; 32]),
}

/// Somebody known, and where they are.
#[derive(Debug, Clone)]
pub struct Principal {
    user: User,
    via: Via,
    address: IpAddr,
    claims: Option<Claims>,
}

impl Principal {
    /// The holder of the session `id`.
    pub(crate) fn by_session(auth: &Auth, id: &str, address: IpAddr) -> Option<Self> {
        let (key, user) = auth.sessions.find(id)?;
        Some(Self { user, via: Via::Session(key), address, claims: None })
    }

    /// The holder of a media ticket; they may see what the ticket names and nothing else.
    pub(crate) fn by_ticket(auth: &Auth, text: &str, address: IpAddr) -> Option<Self> {
        let claims = auth.tickets.read(text)?;
        let user = User { name: claims.by.as_str().into(), roles: [].into() };
        let via = Via::Ticket(*blake3::hash(text.as_bytes()).as_bytes());
        Some(Self { user, via, address, claims: Some(claims) })
    }

    /// Who it is.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.user
    }
    /// By what they are known.
    #[must_use]
    pub fn via(&self) -> Via {
        self.via
    }
    /// Where they are.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Checks that this person may see `key`.
    ///
    /// # Errors
    /// `forbidden` when neither a role nor a ticket allows it.
    pub fn camera(&self, key: StreamKey) -> Result<CameraAccess, ApiError> {
        let window = match &self.claims {
            Some(claims) if claims.key == key => Some((claims.from, claims.to)),
            None if self.user.roles.contains(&Role::Administrator) => None,
            _ => {
                return Err(ApiError::new(
                    Refusal::Forbidden,
                    format!("{} may not see {key}.", self.user.name),
                ));
            }
        };
        Ok(CameraAccess { principal: self.clone(), key, window })
    }
}

/// Proof that somebody may see one stream, perhaps within a range of time only.
#[derive(Debug, Clone)]
pub struct CameraAccess {
    principal: Principal,
    key: StreamKey,
    window: Option<(UtcMicros, UtcMicros)>,
}

impl CameraAccess {
    /// Who may see it.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
    /// The stream.
    #[must_use]
    pub fn key(&self) -> StreamKey {
        self.key
    }
    /// The part of `from..to` that may be seen.
    ///
    /// # Errors
    /// `forbidden` when none of it may.
    pub fn clip(&self, from: UtcMicros, to: UtcMicros) -> Result<(UtcMicros, UtcMicros), ApiError> {
        let Some((start, end)) = self.window else { return Ok((from, to)) };
        let (from, to) = (from.max(start), to.min(end));
        if from >= to {
            return Err(ApiError::new(Refusal::Forbidden, "The ticket is for another time."));
        }
        Ok((from, to))
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            ApiError::new(Refusal::NotLoggedIn, "This address is for people who are logged in.")
        })
    }
}

impl<S: Sync> FromRequestParts<S> for CameraAccess {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::new(Refusal::Forbidden, "No camera scope was checked for this address."))
    }
}
