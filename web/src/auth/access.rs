//! The proofs. A [`Principal`] says who asks; a [`CameraAccess`] says that they may see one stream. Neither can be made
//! outside this module, and [`crate::media::Media`] gives nothing without them, so a handler that forgot the check does
//! not compile.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::StreamKey;
use fengsui_relay::call::OnBehalf;
use http::request::Parts;

use super::Auth;
use super::accounts::Role;
use super::rights::Right;
use super::sessions::{SessionKey, User};
use super::tickets::Claims;
use super::tokens::Token;
use crate::http::problem::{ApiError, Refusal};

/// By what somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// A log-in session.
    Session(SessionKey),
    /// A media ticket, by the hash of its text.
    Ticket([u8; 32]),
    /// This node's centre, by the hash of who asks there.
    Centre([u8; 32]),
}

/// The centre asks, on behalf of somebody there. Only the end of the link to the centre puts this into a request.
#[derive(Debug, Clone)]
pub(crate) struct FromCentre(User);

impl FromCentre {
    /// As the centre says. The person is shown as one of the centre's, whatever accounts are here.
    pub(crate) fn new(by: &OnBehalf) -> Self {
        let name: String = by.user.chars().filter(|c| !c.is_control()).take(CENTRE_NAME_CHARS_MAX).collect();
        // A role that this program does not know allows nothing.
        let roles: Vec<Role> = by.roles.iter().filter_map(|word| Role::named(word)).collect();
        Self(User { name: format!("centre:{name}").into(), roles: roles.into() })
    }
}

/// Characters of the name of a person at the centre.
const CENTRE_NAME_CHARS_MAX: usize = 128;

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

    /// The holder of a media ticket; they may see what the ticket names and nothing else, as long as the account of who asked
    /// for it may.
    pub(crate) fn by_ticket(auth: &Auth, text: &str, address: IpAddr) -> Option<Self> {
        let claims = auth.tickets.read(text)?;
        auth.accounts.read().get(&claims.by).filter(|account| account.may(Right::Act))?;
        let user = User { name: claims.by.as_str().into(), roles: [].into() };
        let via = Via::Ticket(*blake3::hash(text.as_bytes()).as_bytes());
        Some(Self { user, via, address, claims: Some(claims) })
    }

    /// Somebody at this node's centre.
    pub(crate) fn by_centre(from: FromCentre, address: IpAddr) -> Self {
        let via = Via::Centre(*blake3::hash(from.0.name.as_bytes()).as_bytes());
        Self { user: from.0, via, address, claims: None }
    }

    /// As whom a centre asks a node for this person.
    #[must_use]
    pub fn on_behalf(&self) -> OnBehalf {
        let roles = self.user.roles.iter().map(|role| role.as_str().to_owned()).collect();
        OnBehalf { user: self.user.name.to_string(), roles }
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

    /// Checks that this person may see `key`, live and played back: whoever may act sees every camera. Rights by area are
    /// not there yet.
    ///
    /// # Errors
    /// `forbidden` when neither a role nor a ticket allows it.
    pub fn camera(&self, key: StreamKey) -> Result<CameraAccess, ApiError> {
        let window = match &self.claims {
            Some(claims) if claims.key == key => Some((claims.from, claims.to)),
            None if self.user.may(Right::Act) => None,
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
    /// As whom a centre asks a node for this stream. Whoever holds a ticket has no role; this node has checked that the ticket
    /// names the stream, and stands for its maker.
    #[must_use]
    pub fn on_behalf(&self) -> OnBehalf {
        let mut by = self.principal.on_behalf();
        if self.window.is_some() {
            // Every version of a node knows this one; over the link it gives no more than a look.
            by.roles = vec![Role::Administrator.as_str().to_owned()];
        }
        by
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

/// Who may send events: somebody who is logged in, or the holder of a token.
#[derive(Debug, Clone)]
pub enum EventSender {
    /// Somebody logged in.
    Person(Principal),
    /// A device or another system, by its token.
    Token(Box<Token>),
}

impl<S: Sync> FromRequestParts<S> for EventSender {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            ApiError::new(
                Refusal::NotLoggedIn,
                "This address is for people who are logged in and for tokens.",
            )
        })
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
