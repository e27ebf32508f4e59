//! Filling, a step at a time: opens the store, wipes it when it is in doubt, makes rows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_config::clock::{MonoMicros, UtcMicros};
use fengsui_config::ids::StreamKey;
use fengsui_config::limits;
use serde_json::json;

use super::row::{Facet, period, place, seal};
use super::store::{FacetStore, Fault};
use super::{FacetState, Facets, FillOptions, discard, guarded};
use crate::error::StoreError;
use crate::journal::kinds;
use crate::playback::content_id;
use crate::segment::{SegmentReader, SegmentRow};

const DAY_US: i64 = 86_400_000_000;

/// A pass through all closed segments, newest day first.
#[derive(Debug, Default)]
struct Pass {
    /// Days to come, in order.
    days: Vec<i64>,
    day: i64,
    keys: Vec<StreamKey>,
    /// Streams of the day that are done or under way.
    at: usize,
    /// Rest of the stream under way, the newest last.
    rows: Vec<SegmentRow>,
    /// Rows that the pass found or made, in all and in this day.
    kept: u64,
    kept_of_day: u64,
}

/// See the module.
pub(super) struct Filler {
    facets: Arc<Facets>,
    options: FillOptions,
    /// Rows by period, as passes and new segments made them.
    known: BTreeMap<i64, u64>,
    pass: Option<Pass>,
    /// When the next pass begins.
    pass_at: Option<MonoMicros>,
    credit: i64,
    stepped: Option<MonoMicros>,
    looked: Option<MonoMicros>,
    room: bool,
    retry_at: Option<MonoMicros>,
    backoff: Duration,
    /// When the store was opened: one that holds for long earns a short pause again.
    opened: Option<MonoMicros>,
}

/// What became of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// There was a row of it.
    Had,
    /// Its file was read.
    New,
    /// There is none, and its file was looked at.
    Not,
    /// There is none now.
    Skipped,
}

impl Filler {
    pub(super) fn new(facets: Arc<Facets>, options: FillOptions) -> Self {
        Self {
            facets,
            options,
            known: BTreeMap::new(),
            pass: None,
            pass_at: None,
            credit: 0,
            stepped: None,
            looked: None,
            room: true,
            retry_at: None,
            backoff: limits::BACKOFF_FACETS.0,
            opened: None,
        }
    }

    /// Does what the time since the last step allows.
    pub(super) fn step(&mut self) {
        let mono = self.options.clock.mono();
        self.earn(mono);
        self.settle_doubt(mono);
        self.look_at_room(mono);
        let store = self.facets.store.read().clone();
        let Some(store) = store.or_else(|| self.open(mono)) else { return self.show(FacetState::Off) };
        let state = if self.options.surroundings.busy() {
            FacetState::Paused
        } else if !self.room {
            FacetState::NoRoom
        } else {
            match self.fill(&*store, mono) {
                Ok(state) => state,
                Err(fault) => {
                    self.facets.doubt(fault);
                    FacetState::Off
                }
            }
        };
        self.show(state);
    }

    /// At most a second's worth at once, however long the pause was.
    fn earn(&mut self, mono: MonoMicros) {
        let passed = self.stepped.map_or(0, |s| mono.since(s).as_micros().min(1_000_000));
        self.stepped = Some(mono);
        let rate = i64::from(limits::FACET_CHECKS_PER_SECOND);
        let earned = rate.saturating_mul(i64::try_from(passed).unwrap_or(0)) / 1_000_000;
        self.credit = self.credit.saturating_add(earned).min(rate);
    }

    /// Wipes what is in doubt, and says so.
    fn settle_doubt(&mut self, mono: MonoMicros) {
        let Some(fault) = self.facets.doubt.lock().take() else { return };
        let reason = fault.to_string();
        tracing::warn!(reason, "derived facets are wiped and made anew; footage is not touched");
        (self.pass, self.pass_at) = (None, None);
        self.known.clear();
        self.room &= fault != Fault::Full;
        {
            let mut status = self.facets.status.lock();
            status.rebuilds += 1;
            (status.rows, status.bytes, status.checked) = (0, 0, 0);
            status.reason = Some(reason.clone());
        }
        if let Err(error) = guarded(|| self.facets.home.wipe()) {
            tracing::warn!(%error, "cannot wipe the derived facets; they stay off");
        }
        let held = self.opened.take().is_some_and(|o| mono.since(o) > limits::FACET_PASS_INTERVAL);
        self.wait(mono, held);
        if let Err(error) = self.options.reporter.report(kinds::FACETS_WIPED, json!({ "reason": reason })) {
            tracing::warn!(error, "cannot note in the journal that facets were wiped");
        }
    }

    /// Sets when the store is opened again.
    fn wait(&mut self, mono: MonoMicros, held: bool) {
        let (first, most) = limits::BACKOFF_FACETS;
        self.backoff = if held { first } else { self.backoff.max(first) };
        self.retry_at = Some(mono + self.backoff);
        self.backoff = self.backoff.saturating_mul(2).min(most);
    }

    fn open(&mut self, mono: MonoMicros) -> Option<Arc<dyn FacetStore>> {
        let early = self.retry_at.is_some_and(|at| mono < at);
        if early || !self.room || self.facets.doubt.lock().is_some() {
            return None;
        }
        match guarded(|| self.facets.home.open()) {
            Ok(store) => {
                (self.retry_at, self.opened, self.looked) = (None, Some(mono), None);
                self.facets.status.lock().reason = None;
                *self.facets.store.write() = Some(store.clone());
                Some(store)
            }
            Err(fault) => {
                // The next step wipes it; the one after the pause begins anew.
                self.facets.doubt(fault);
                None
            }
        }
    }

    /// Room on the disk, and what the store takes of it.
    fn look_at_room(&mut self, mono: MonoMicros) {
        if self.looked.is_some_and(|at| mono.since(at) < limits::FACET_ROOM_INTERVAL) {
            return;
        }
        self.looked = Some(mono);
        let free = self.options.fs.space(&self.options.data).map_or(0, |s| s.free);
        // Room that comes and goes around the bound is none.
        let least = if self.room { limits::FACET_ROOM_MIN } else { limits::FACET_ROOM_MIN * 2 };
        self.room = free >= least;
        let Some(store) = self.facets.store.read().clone() else { return };
        match guarded(|| store.size()) {
            Ok(bytes) if bytes > limits::FACET_DISK_BYTES_MAX => {
                self.facets.doubt(Fault::Broken(format!("the store has grown to {bytes} bytes")));
            }
            Ok(bytes) => self.facets.status.lock().bytes = bytes,
            Err(fault) => self.facets.doubt(fault),
        }
    }

    /// New segments first, then the pass.
    fn fill(&mut self, store: &dyn FacetStore, mono: MonoMicros) -> Result<FacetState, Fault> {
        while self.credit > 0 && !self.is_stopping() {
            let Some(row) = self.facets.queue.lock().pop_front() else { break };
            if self.make(store, &row)? == Made::New {
                *self.known.entry(period(row.start_ms)).or_default() += 1;
            }
        }
        if self.pass.is_none() {
            if self.pass_at.is_some_and(|at| mono < at) {
                return Ok(FacetState::Ready);
            }
            self.begin();
        }
        while self.credit > 0 && !self.is_stopping() {
            if !self.advance(store)? {
                self.pass_at = Some(mono + limits::FACET_PASS_INTERVAL);
                return Ok(FacetState::Ready);
            }
        }
        Ok(FacetState::Filling)
    }

    fn is_stopping(&self) -> bool {
        self.facets.stopping.load(Ordering::Acquire)
    }

    /// Days of which there is closed footage.
    fn days(&self) -> BTreeSet<i64> {
        let mut days = BTreeSet::new();
        let mut last = None;
        for key in self.options.catalogue.keys() {
            self.options.catalogue.visit_closed(key, &mut |s| {
                let day = period(s.start_ms);
                if last != Some(day) {
                    days.insert(day);
                    last = Some(day);
                }
                ControlFlow::Continue(())
            });
        }
        days
    }

    fn begin(&mut self) {
        let keys = self.options.catalogue.keys();
        // Begins behind the last stream of no day: the first advance takes the newest day.
        let at = keys.len();
        self.pass = Some(Pass { days: self.days().into_iter().collect(), keys, at, ..Pass::default() });
        let total = self.options.catalogue.stats().segments as u64;
        let mut status = self.facets.status.lock();
        (status.checked, status.total) = (0, total);
    }

    /// One segment of the pass, or the next stream or day. False when the pass is through.
    fn advance(&mut self, store: &dyn FacetStore) -> Result<bool, Fault> {
        let Some(pass) = &mut self.pass else { return Ok(false) };
        if let Some(row) = pass.rows.pop() {
            let made = self.make(store, &row)?;
            self.facets.status.lock().checked += 1;
            if let Some(pass) = self.pass.as_mut().filter(|_| matches!(made, Made::Had | Made::New)) {
                pass.kept += 1;
                pass.kept_of_day += 1;
            }
            return Ok(true);
        }
        self.credit -= 1;
        if let Some(key) = pass.keys.get(pass.at).copied() {
            pass.at += 1;
            let from = UtcMicros(pass.day.saturating_mul(DAY_US));
            let rows = self.options.catalogue.segments(key, from, UtcMicros(from.0.saturating_add(DAY_US)));
            let day = pass.day;
            pass.rows = rows.into_iter().filter(|r| r.closed && period(r.start_ms) == day).collect();
            return Ok(true);
        }
        if pass.kept_of_day > 0 {
            self.known.insert(pass.day, pass.kept_of_day);
        }
        let full = pass.kept >= limits::FACET_ROWS_MAX;
        match pass.days.pop().filter(|_| !full) {
            Some(day) => {
                (pass.day, pass.at, pass.kept_of_day) = (day, 0, 0);
                Ok(true)
            }
            None => {
                let oldest = full.then_some(pass.day);
                self.pass = None;
                self.let_go(store, oldest)?;
                Ok(false)
            }
        }
    }

    /// Drops days of which nothing is stored any more, and those older than `oldest`.
    fn let_go(&mut self, store: &dyn FacetStore, oldest: Option<i64>) -> Result<(), Fault> {
        // In this order: a day that begins meanwhile is not among the periods.
        let periods = guarded(|| store.periods())?;
        let days = self.days();
        for gone in periods.into_iter().filter(|p| !days.contains(p) || oldest.is_some_and(|o| *p < o)) {
            guarded(|| store.drop_period(gone))?;
            self.known.remove(&gone);
        }
        Ok(())
    }

    /// Sees to the row of one segment. Fails only when the store does.
    fn make(&mut self, store: &dyn FacetStore, row: &SegmentRow) -> Result<Made, Fault> {
        self.credit -= 1;
        if self.facets.read(store, row)?.is_some() {
            return Ok(Made::Had);
        }
        let roots = self.options.volumes.iter();
        let root = roots.filter(|(id, _)| *id == row.volume).map(|(_, root)| root).next();
        let Some(root) = root.filter(|_| self.options.surroundings.readable(&row.volume)) else {
            return Ok(Made::Skipped);
        };
        self.credit -= i64::from(limits::FACET_FILE_COST);
        let facet = match read(&self.options, row, &root.join(row.path())) {
            Ok(facet) => facet,
            // Moved or deleted meanwhile, or damaged: listings read the file, the scrubber reports it.
            Err(error) => {
                tracing::debug!(stream = %row.key, segment = row.number, %error, "no facet of a segment");
                None
            }
        };
        let Some(sealed) = facet.and_then(|f| seal(row, &f)) else { return Ok(Made::Not) };
        guarded(|| store.put(period(row.start_ms), &place(row), &sealed))?;
        self.facets.status.lock().filled += 1;
        Ok(Made::New)
    }

    fn show(&self, state: FacetState) {
        let mut status = self.facets.status.lock();
        status.state = state;
        // Of the day under way, what is known from before counts until the pass has found more.
        let (day, kept) = self.pass.as_ref().map_or((i64::MIN, 0), |p| (p.day, p.kept_of_day));
        let others = self.known.iter().filter(|(d, _)| **d != day).map(|(_, n)| *n).sum::<u64>();
        status.rows = others + self.known.get(&day).copied().unwrap_or(0).max(kept);
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        if let Some(store) = self.facets.store.write().take().filter(|_| !self.is_stopping()) {
            discard(store);
        }
    }
}

/// What a file says of itself. None when anything in it does not hold, or it is not the segment of the row.
fn read(
    options: &FillOptions,
    row: &SegmentRow,
    path: &std::path::Path,
) -> Result<Option<Facet>, StoreError> {
    let length = options.fs.metadata(path).map_err(StoreError::io("look at segment", path))?.len;
    let reader = SegmentReader::open(&*options.fs, path, None)?;
    let head = reader.head();
    let same = (head.key, head.number, head.start.millis()) == (row.key, row.number, row.start_ms);
    if !same || length != row.bytes || reader.is_suspect() {
        return Ok(None);
    }
    let init = content_id(&reader.init()?);
    Ok(Some(Facet { info: reader.info().clone(), init, fragments: reader.fragments().to_vec() }))
}
