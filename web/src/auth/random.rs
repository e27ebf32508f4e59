//! Random bytes from the machine.

/// The machine gives no random bytes; nothing secret can be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot get random bytes from the machine: {0}")]
pub struct NoRandom(getrandom::Error);

/// `N` random bytes.
///
/// # Errors
/// When the machine gives none.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut out = [0; N];
    getrandom::fill(&mut out).map_err(NoRandom)?;
    Ok(out)
}
