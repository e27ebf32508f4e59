//! Who may do what: accounts (reduced from the journal), passwords, sessions, the one-time set-up, tickets, and the
//! proofs without which no handler reaches a picture.

pub mod access;
pub mod accounts;
pub mod kept;
pub mod limiter;
pub mod password;
pub mod random;
pub mod register;
pub mod rights;
pub mod sessions;
pub mod setup;
pub mod tickets;
pub mod tokens;
pub mod viewing;

use std::sync::Arc;

use fengsui_config::clock::Clock;
use parking_lot::RwLock;

use accounts::Accounts;
use limiter::Limiter;
use password::Passwords;
use register::Register;
use sessions::Sessions;
use setup::Setup;
use tickets::Tickets;
use tokens::Tokens;
use viewing::Viewing;

/// Everything that decides on access, for one node.
pub struct Auth {
    /// Accounts, as the journal says.
    pub accounts: RwLock<Accounts>,
    /// Log-in sessions.
    pub sessions: Sessions,
    /// The way to the first administrator.
    pub setup: Setup,
    /// Slows down guessing.
    pub limiter: Limiter,
    /// Password hashing.
    pub passwords: Passwords,
    /// Short-lived tickets for players.
    pub tickets: Tickets,
    /// Tokens of devices and other systems, as the journal says.
    pub tokens: RwLock<Tokens>,
    /// Held while an account is being made or changed, so that what was decided still fits when it is written.
    pub account_turn: tokio::sync::Mutex<()>,
    /// Held while a token is being made, so that two of one name do not come in between.
    pub token_turn: tokio::sync::Mutex<()>,
    /// The register of viewings.
    pub viewing: Viewing,
    /// Where all of it is written down before it takes effect.
    pub register: Arc<dyn Register>,
}

impl Auth {
    /// Access control over `accounts`, writing to `register`.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn new(
        accounts: Accounts,
        register: Arc<dyn Register>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, random::NoRandom> {
        Ok(Self {
            setup: Setup::new(accounts.has_administrator())?,
            accounts: RwLock::new(accounts),
            sessions: Sessions::new(clock.clone()),
            limiter: Limiter::new(clock.clone()),
            passwords: Passwords::new(),
            tickets: Tickets::new(clock.clone())?,
            tokens: RwLock::new(Tokens::default()),
            account_turn: tokio::sync::Mutex::new(()),
            token_turn: tokio::sync::Mutex::new(()),
            viewing: Viewing::new(register.clone(), clock.clone()),
            register,
        })
    }
}
