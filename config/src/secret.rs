//! Secrets in memory.

use std::fmt;

use zeroize::Zeroizing;

/// A text that is never shown: `Debug` and `Display` print `***`, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<String>,
    reference: Option<Box<str>>,
}

impl Secret {
    /// Takes a text into keeping.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { text: Zeroizing::new(text), reference: None }
    }

    /// Takes a text into keeping, with what the configuration says in its place.
    pub(crate) fn referred(text: String, reference: &str) -> Self {
        Self { text: Zeroizing::new(text), reference: Some(reference.into()) }
    }

    /// The text itself, for the one place that must send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What the configuration says in its place: `env:NAME`, `file:PATH` or `enc:...`, none of which gives it away.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }
}

impl PartialEq for Secret {
    /// Used to find out whether a camera's configuration changed, never to check a password.
    fn eq(&self, other: &Self) -> bool {
        *self.text == *other.text
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a camera lets us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Password.
    pub password: Secret,
}
