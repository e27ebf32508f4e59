//! Unsynced changes, and what a crash leaves of them.

const SECTOR: usize = 512;

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
                let mut kept = Vec::new();
                for (i, sector) in bytes.chunks(SECTOR).enumerate() {
                    if dice.below(2) == 0 {
                        kept.push(Self::Write { at: at + i * SECTOR, bytes: sector.to_vec() });
                    }
                }
                kept
            }
            (2, Self::Write { at, bytes }) => {
                let sectors = bytes.len().div_ceil(SECTOR);
                let keep = dice.below(sectors as u64 + 1);
                let keep = usize::try_from(keep).unwrap_or(0) * SECTOR;
                let bytes = bytes.get(..keep.min(bytes.len())).unwrap_or_default().to_vec();
                vec![Self::Write { at, bytes }]
            }
            (_, whole) => vec![whole],
        }
    }
}
