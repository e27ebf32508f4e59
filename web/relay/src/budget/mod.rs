//! Which live pictures may come over the line to one node. Pure: it is told what is wanted and what was measured, and when, and
//! says what to open, what loses its place, and what is refused.
//!
//! What must hold
//! - What is open is never reckoned to more than the line may carry: `the_line_is_never_reckoned_fuller_than_it_may_be`.
//! - A stream loses its place to one of higher rank, or because what is open was measured to be too much and it is of the lowest
//!   rank there: `nobody_loses_a_place_to_a_lower_rank`.
//! - A stream that lost its place does not get one for `limits::RELAY_LIVE_HOLD`, unless somebody raises its rank:
//!   `a_stream_that_lost_its_place_waits_before_it_gets_one_again`.
//! - Whatever is wanted and not open was told so: `everybody_without_a_place_was_told`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use fengsui_config::clock::MonoMicros;
use fengsui_config::limits;

/// How much a stream matters: the highest of those who look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Nobody looks any more; it goes on for a moment. It gets no place, and loses one to anybody.
    Idle,
    /// A small picture among others on a wall.
    Wall,
    /// A small picture that somebody chose.
    Chosen,
    /// A full picture among others.
    Full,
    /// A full picture that somebody looks at.
    Watched,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<K> {
    /// There is a place for it.
    Open(K),
    /// It has none any more.
    Lost(K),
    /// There is none for it; it gets one when there is.
    Refused(K),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Asked for and not decided.
    New,
    Open,
    /// Told that there is none.
    Refused,
    /// It had one until then; the lowest rank that it had since.
    Lost(MonoMicros, Rank),
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    rank: Rank,
    /// What it is reckoned with before it was measured, in bits a second.
    nominal: u64,
    /// Order in which they were asked for, or opened.
    turn: u64,
    place: Place,
}

/// The line to one node.
#[derive(Debug)]
pub struct LinkBudget<K> {
    capacity: u64,
    wanted: BTreeMap<K, Wanted>,
    /// What was measured last, also of streams that are not open now.
    rates: BTreeMap<K, u64>,
    turns: u64,
}

impl<K: Ord + Copy> LinkBudget<K> {
    /// A line that live pictures may fill with `capacity` bits a second.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self { capacity, wanted: BTreeMap::new(), rates: BTreeMap::new(), turns: 0 }
    }

    /// Somebody wants a stream, or wants it with another rank. `nominal` is what it is reckoned with until it was measured.
    pub fn want(&mut self, key: K, rank: Rank, nominal: u64) {
        self.turns += 1;
        let turn = self.turns;
        let wanted = self.wanted.entry(key).or_insert(Wanted { rank, nominal, turn, place: Place::New });
        if let Place::Lost(_, lowest) = &mut wanted.place {
            *lowest = rank.min(*lowest);
        }
        wanted.rank = rank;
    }

    /// Nobody wants it any more.
    pub fn leave(&mut self, key: &K) {
        self.wanted.remove(key);
    }

    /// A stream that is open was measured.
    pub fn measured(&mut self, key: K, bits: u64) {
        if self.rates.len() >= limits::RELAY_LIVE_RATES_MAX && !self.rates.contains_key(&key) {
            self.rates.clear();
        }
        self.rates.insert(key, bits);
    }

    /// What the streams that are open are reckoned to, in bits a second.
    #[must_use]
    pub fn open_bits(&self) -> u64 {
        self.open().map(|(key, wanted)| self.bits(key, wanted)).sum()
    }

    /// How many streams have a place.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.open().count()
    }

    /// What the line may carry, in bits a second.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Streams that are wanted.
    pub fn keys(&self) -> impl Iterator<Item = K> + '_ {
        self.wanted.keys().copied()
    }

    /// Decides; what is to be done comes in this order.
    pub fn settle(&mut self, now: MonoMicros) -> Vec<Change<K>> {
        let mut changes = Vec::new();
        while self.open_bits() > self.capacity {
            let Some(victim) = self.cheapest(None).first().copied() else { break };
            self.lose(victim, now);
            changes.push(Change::Lost(victim));
        }
        for key in self.candidates(now) {
            self.decide(key, now, &mut changes);
        }
        changes
    }

    fn open(&self) -> impl Iterator<Item = (&K, &Wanted)> {
        self.wanted.iter().filter(|(_, wanted)| wanted.place == Place::Open)
    }

    fn bits(&self, key: &K, wanted: &Wanted) -> u64 {
        let floor = wanted.nominal / limits::RELAY_LIVE_BITS_FLOOR_DIVISOR;
        self.rates.get(key).map_or(wanted.nominal, |rate| (*rate).max(floor))
    }

    fn put(&mut self, key: K, place: Place) {
        self.turns += 1;
        if let Some(wanted) = self.wanted.get_mut(&key) {
            if place == Place::Open {
                wanted.turn = self.turns;
            }
            wanted.place = place;
        }
    }

    fn lose(&mut self, key: K, now: MonoMicros) {
        if let Some(wanted) = self.wanted.get_mut(&key) {
            wanted.place = Place::Lost(now, wanted.rank);
        }
    }

    /// Open streams below a rank, or all: those that matter least first, of equals the one that came last.
    fn cheapest(&self, below: Option<Rank>) -> Vec<K> {
        let of_these = |wanted: &Wanted| below.is_none_or(|rank| wanted.rank < rank);
        let mut found: Vec<_> = self.open().filter(|(_, wanted)| of_these(wanted)).collect();
        found.sort_by_key(|(_, wanted)| (wanted.rank, std::cmp::Reverse(wanted.turn)));
        found.into_iter().map(|(key, _)| *key).collect()
    }

    /// Streams that wait for a place: those that matter most first, of equals the one that waits longest.
    fn candidates(&self, now: MonoMicros) -> Vec<K> {
        let waits = |wanted: &Wanted| match wanted.place {
            _ if wanted.rank == Rank::Idle => false,
            Place::Open => false,
            Place::New | Place::Refused => true,
            Place::Lost(at, lowest) => wanted.rank > lowest || now.since(at) >= limits::RELAY_LIVE_HOLD,
        };
        let mut found: Vec<_> = self.wanted.iter().filter(|(_, wanted)| waits(wanted)).collect();
        found.sort_by_key(|(_, wanted)| (std::cmp::Reverse(wanted.rank), wanted.turn));
        found.into_iter().map(|(key, _)| *key).collect()
    }

    fn decide(&mut self, key: K, now: MonoMicros, changes: &mut Vec<Change<K>>) {
        let Some(wanted) = self.wanted.get(&key).copied() else { return };
        let needed = (self.open_bits() + self.bits(&key, &wanted)).saturating_sub(self.capacity);
        match self.victims(wanted.rank, needed) {
            Some(victims) => {
                for victim in victims {
                    self.lose(victim, now);
                    changes.push(Change::Lost(victim));
                }
                self.put(key, Place::Open);
                changes.push(Change::Open(key));
            }
            None if wanted.place == Place::New => {
                self.put(key, Place::Refused);
                changes.push(Change::Refused(key));
            }
            None => {}
        }
    }

    /// Streams of lower rank that together make room for `needed` bits a second, no more of them than needed; none when
    /// there are not enough.
    fn victims(&self, rank: Rank, needed: u64) -> Option<Vec<K>> {
        let of = |key: &K| self.wanted.get(key).map_or(0, |wanted| self.bits(key, wanted));
        let (mut chosen, mut freed) = (Vec::new(), 0);
        for key in self.cheapest(Some(rank)) {
            if freed >= needed {
                break;
            }
            freed += of(&key);
            chosen.push(key);
        }
        if freed < needed {
            return None;
        }
        // The last one may be so large that some before it need not go.
        let mut spared = freed;
        let mut at = chosen.len();
        while let Some(before) = at.checked_sub(1) {
            at = before;
            if let Some(bits) = chosen.get(at).map(of)
                && spared.saturating_sub(bits) >= needed
            {
                spared -= bits;
                chosen.remove(at);
            }
        }
        Some(chosen)
    }
}
