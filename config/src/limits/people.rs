//! Bounds of accounts.

/// Accounts of a node, disabled ones included; the list is answered whole.
pub const ACCOUNTS_MAX: usize = 2_000;
