//! Random histories: what a listing says never depends on facets. `FENGSUI_SEED` replays one, `FENGSUI_SEEDS` sets how
//! many.

use fengsui_config::env::{Env as _, ProcessEnv};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::frame::GapReason;

struct History {
    random: StdRng,
    bench: Bench,
    open: Option<SegmentWriter>,
    /// Segments whose file is as it was.
    whole: Vec<usize>,
}

impl History {
    fn new(seed: u64) -> Self {
        let bench = Bench::new(3);
        let whole = (0..bench.rows.len()).collect();
        Self { random: StdRng::seed_from_u64(seed), bench, open: None, whole }
    }

    fn take(&mut self) -> Option<usize> {
        let n = self.whole.len();
        (n > 0).then(|| self.whole.swap_remove(self.random.random_range(0..n)))
    }

    fn close(&mut self) {
        match self.open.take() {
            Some(w) => {
                let closed = w.close(&self.bench.fs, EndReason::Rotation, &mut PageBuf::new()).unwrap();
                self.bench.catalogue.closed(&closed.row, closed.hash);
                self.bench.rows.push(closed.row);
            }
            None => self.bench.close(),
        }
        self.whole.push(self.bench.rows.len() - 1);
    }

    fn begin(&mut self) {
        if self.open.is_some() {
            return;
        }
        let number = self.bench.rows.len() as u64 + 1;
        let w = self.bench.begin(number);
        let head = w.head();
        self.bench.catalogue.opened(head.key, &head.volume, number, head.start);
        let to = w.fragments().last().map_or(head.start, |f| f.utc_end);
        self.bench.catalogue.progress(head.key, number, to, w.committed());
        self.open = Some(w);
    }

    /// One event, and its name.
    fn event(&mut self, home: &Home, filler: &mut Filler) -> &'static str {
        match self.random.random_range(0..12) {
            0 | 1 => {
                self.close();
                "closed"
            }
            2 => {
                self.begin();
                "open"
            }
            3 => {
                // In order: file, then row.
                if let Some(n) = self.take() {
                    self.bench.fs.remove(&self.bench.path(n)).unwrap();
                    self.bench.catalogue.expired(&self.bench.rows[n..=n], GapReason::Expired);
                }
                "deleted"
            }
            4 => {
                if let Some(n) = self.take() {
                    self.bench.fs.remove(&self.bench.path(n)).unwrap();
                }
                "gone"
            }
            5 => {
                if let Some(n) = self.take() {
                    let bytes = self.bench.fs.get(&self.bench.path(n)).unwrap();
                    let end = self.random.random_range(0..bytes.len());
                    self.bench.fs.put(&self.bench.path(n), bytes[..end].to_vec());
                }
                "torn"
            }
            6 => {
                if let Some(n) = self.take() {
                    let reader = SegmentReader::open(&self.bench.fs, &self.bench.path(n), None).unwrap();
                    let f = reader.fragments()[self.random.random_range(0..reader.fragments().len())];
                    let within = self.random.random_range(f.length / 2..f.length);
                    self.bench.flip(n, f.offset as usize + within as usize);
                }
                "damaged"
            }
            7 => {
                self.bench.scrub(2);
                "scrubbed"
            }
            8 => {
                let mode = [BROKEN, FULL, PANICS, FLIPS][self.random.random_range(0..4)];
                home.mode.store(mode, Ordering::SeqCst);
                "the store fails"
            }
            _ => {
                let seconds = self.random.random_range(1..40);
                self.bench.run(filler, seconds);
                "filled"
            }
        }
    }

    fn range(&mut self) -> (UtcMicros, UtcMicros) {
        let (from, to) = self.bench.all();
        let at = |r: &mut StdRng| UtcMicros(r.random_range(from.0..to.0));
        match self.random.random_range(0..3) {
            0 => (from, to),
            1 => {
                let (a, b) = (at(&mut self.random), at(&mut self.random));
                (a.min(b), a.max(b))
            }
            // Within one segment.
            _ => {
                let start = shift(self.random.random_range(1..=self.bench.rows.len() as u64));
                let a = kit::START + start + Duration::from_millis(self.random.random_range(0..4000));
                (a, a + Duration::from_millis(self.random.random_range(1..3000)))
            }
        }
    }
}

#[test]
fn listings_are_the_same_with_and_without_facets_in_any_history() {
    let number = |name| ProcessEnv.get(name).and_then(|n| n.parse::<u64>().ok());
    let seeds = match number("FENGSUI_SEED").filter(|_| number("FENGSUI_SEEDS").is_none()) {
        Some(one) => one..one + 1,
        None => 0..number("FENGSUI_SEEDS").unwrap_or(24),
    };
    let (mut hits, mut misses) = (0, 0);
    for seed in seeds {
        let mut h = History::new(seed);
        let home = Arc::new(Home::default());
        let (facets, mut filler) = h.bench.filler(Box::new(home.clone()));
        for step in 0..40 {
            let what = h.event(&home, &mut filler);
            let range = h.range();
            h.bench.same(&facets, range, &format!("step {step}: {what}; FENGSUI_SEED={seed} replays it"));
        }
        (hits, misses) = (hits + facets.status().hits, misses + facets.status().misses);
    }
    assert!(hits > 50 && misses > 50, "{hits} hits and {misses} misses say little");
}
