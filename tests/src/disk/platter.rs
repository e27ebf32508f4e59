//! The disk itself: pages that are safe, and a write cache that is not.

use std::collections::HashMap;

use crate::camsim::faults::Random;

/// What the cache keeps apart, in bytes.
pub const PAGE: usize = 4096;
/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

type Pages = HashMap<u64, Box<[u8; PAGE]>>;

/// Counters since the disk was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlatterStats {
    /// Writes taken.
    pub writes: u64,
    /// Flushes.
    pub flushes: u64,
    /// Writes that were in the cache when the power went.
    pub unsynced: u64,
    /// Of these, writes of which not every byte survived.
    pub hurt: u64,
}

/// A disk with a volatile write cache: what was not flushed is kept, torn between sectors or lost when the power goes,
/// each write by itself.
#[derive(Debug, Default)]
pub struct Platter {
    safe: Pages,
    /// What reads see of pages written since the last flush.
    cache: Pages,
    /// The writes since the last flush, in order.
    log: Vec<(u64, Vec<u8>)>,
    /// The power is off: what a dead machine still sends changes nothing. Holds what will be found.
    survivors: Option<Pages>,
    stats: PlatterStats,
}

impl Platter {
    /// Counters.
    #[must_use]
    pub fn stats(&self) -> PlatterStats {
        self.stats
    }

    /// Fills `out` from `at` on.
    pub fn read(&self, at: u64, out: &mut [u8]) {
        each_page(at, out.len(), |page, within, part| {
            let Some(to) = out.get_mut(part) else { return };
            match self.cache.get(&page).or_else(|| self.safe.get(&page)) {
                Some(bytes) => to.copy_from_slice(bytes.get(within).unwrap_or_default()),
                None => to.fill(0),
            }
        });
    }

    /// Takes a write into the cache.
    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        self.stats.writes += 1;
        each_page(at, bytes.len(), |page, within, part| {
            let safe = &self.safe;
            let fresh = || safe.get(&page).cloned().unwrap_or_else(|| Box::new([0; PAGE]));
            let room = self.cache.entry(page).or_insert_with(fresh);
            if let (Some(to), Some(from)) = (room.get_mut(within), bytes.get(part)) {
                to.copy_from_slice(from);
            }
        });
        if self.survivors.is_none() {
            self.log.push((at, bytes.to_vec()));
        }
    }

    /// Makes everything in the cache safe.
    pub fn flush(&mut self) {
        self.stats.flushes += 1;
        if self.survivors.is_none() {
            self.safe.extend(self.cache.drain());
            self.log.clear();
        }
    }

    /// The power goes. Until [`Self::power_on`] reads see what the machine last saw, and nothing is kept.
    pub fn power_off(&mut self, random: &mut Random) {
        let mut left = self.safe.clone();
        for (at, bytes) in std::mem::take(&mut self.log) {
            self.stats.unsynced += 1;
            let sectors = bytes.len().div_ceil(SECTOR);
            let fate = random.bits() % 4;
            let until = usize::try_from(random.bits() % (sectors as u64 + 1)).unwrap_or(0);
            let mut hurt = false;
            for (i, sector) in bytes.chunks(SECTOR).enumerate() {
                let kept = match fate {
                    0 => false,
                    1 => random.bits().is_multiple_of(2),
                    2 => i < until,
                    _ => true,
                };
                hurt |= !kept;
                if kept {
                    put(&mut left, at + (i * SECTOR) as u64, sector);
                }
            }
            self.stats.hurt += u64::from(hurt);
        }
        self.survivors = Some(left);
    }

    /// The disk is there again, with what survived.
    pub fn power_on(&mut self) {
        if let Some(left) = self.survivors.take() {
            self.safe = left;
            self.cache.clear();
        }
    }
}

fn put(pages: &mut Pages, at: u64, bytes: &[u8]) {
    each_page(at, bytes.len(), |page, within, part| {
        let room = pages.entry(page).or_insert_with(|| Box::new([0; PAGE]));
        if let (Some(to), Some(from)) = (room.get_mut(within), bytes.get(part)) {
            to.copy_from_slice(from);
        }
    });
}

/// The pages that `len` bytes from `at` on lie in: number, place within the page, place within the bytes.
fn each_page(at: u64, len: usize, mut f: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < len {
        let here = at + done as u64;
        let within = usize::try_from(here % PAGE as u64).unwrap_or(0);
        let n = (PAGE - within).min(len - done);
        f(here / PAGE as u64, within..within + n, done..done + n);
        done += n;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn bytes(p: &Platter, at: u64, n: usize) -> Vec<u8> {
        let mut out = vec![9; n];
        p.read(at, &mut out);
        out
    }

    #[test]
    fn flushed_bytes_survive_and_others_by_whole_sectors_or_not() {
        let (mut lost, mut torn, mut kept) = (0, 0, 0);
        for seed in 0..200 {
            let mut p = Platter::default();
            p.write(4000, &[1; 2000]);
            p.flush();
            p.write(8192, &[2; 4096]);
            assert_eq!(bytes(&p, 8192, 4096), [2; 4096]);
            p.power_off(&mut Random::new(seed));
            p.write(4000, &[3; 2000]);
            p.flush();
            assert_eq!(bytes(&p, 4000, 2000), [3; 2000], "a dead machine sees what it wrote");
            p.power_on();
            assert_eq!(bytes(&p, 4000, 2000), [1; 2000], "seed {seed}");
            assert_eq!(bytes(&p, 100, 3), [0; 3]);
            let after = bytes(&p, 8192, 4096);
            assert!(after.chunks(SECTOR).all(|s| s == [2; SECTOR] || s == [0; SECTOR]), "seed {seed}");
            match after.iter().filter(|b| **b == 2).count() {
                0 => lost += 1,
                4096 => kept += 1,
                _ => torn += 1,
            }
        }
        assert!(lost > 20 && torn > 20 && kept > 20, "{lost} {torn} {kept}");
    }
}
