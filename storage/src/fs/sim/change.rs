//! Unsynced changes of one file, and what a crash leaves of them.

/// What a disk writes whole or not at all.
pub(super) const SECTOR: usize = 512;

/// Splitmix64: small, seeded, the same everywhere.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

/// One unsynced change of a file.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Bytes at a place.
    Write { at: usize, bytes: Vec<u8> },
    /// A new length.
    Len(usize),
}

impl Change {
    pub(super) fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                if let Some(room) = to.get_mut(*at..end) {
                    room.copy_from_slice(bytes);
                }
            }
            Self::Len(n) => to.resize(*n, 0),
        }
    }

    /// What a crash leaves of this change.
    pub(super) fn torn(self, dice: &mut Dice) -> Vec<Self> {
        match (dice.below(4), self) {
            (0, _) => Vec::new(),
            (1, Self::Write { at, bytes }) => {
                sectors(at, &bytes).filter(|_| dice.below(2) == 0).map(|(at, s)| Self::write(at, s)).collect()
            }
            (2, Self::Write { at, bytes }) => {
                let keep = dice.below(sectors(at, &bytes).count() as u64 + 1);
                let keep = usize::try_from(keep).unwrap_or(0);
                sectors(at, &bytes).take(keep).map(|(at, s)| Self::write(at, s)).collect()
            }
            (_, whole) => vec![whole],
        }
    }

    /// Every outcome of this change that the enumeration tells apart: of a write any of its first sector, its last one
    /// and what lies between, or its length alone; of a length, done or not.
    pub(super) fn outcomes(&self) -> Vec<Vec<Self>> {
        match self {
            Self::Len(_) => vec![Vec::new(), vec![self.clone()]],
            Self::Write { at, bytes } => {
                let parts = parts(*at, bytes);
                let mut out: Vec<Vec<Self>> = (0..1u32 << parts.len())
                    .map(|set| {
                        let kept = parts.iter().enumerate().filter(|(i, _)| (set >> i) & 1 == 1);
                        kept.map(|(_, (at, part))| Self::write(*at, part)).collect()
                    })
                    .collect();
                // The length grew, the bytes did not arrive: zeros.
                out.push(vec![Self::write(at + bytes.len(), &[])]);
                out
            }
        }
    }

    fn write(at: usize, bytes: &[u8]) -> Self {
        Self::Write { at, bytes: bytes.to_vec() }
    }
}

/// The bytes cut where sectors of the file end.
fn sectors(at: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(done..).filter(|r| !r.is_empty())?;
        let here = at + done;
        let part = rest.get(..(SECTOR - here % SECTOR).min(rest.len()))?;
        done += part.len();
        Some((here, part))
    })
}

/// First sector, middle, last sector.
fn parts(at: usize, bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let all: Vec<_> = sectors(at, bytes).collect();
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return Vec::new() };
    let mut out = vec![*first];
    let (from, to) = (first.1.len(), bytes.len() - last.1.len());
    if let Some(middle) = bytes.get(from..to).filter(|m| !m.is_empty()) {
        out.push((at + from, middle));
    }
    if all.len() > 1 {
        out.push(*last);
    }
    out
}
