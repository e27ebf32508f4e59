//! All states that a crash may leave, one by one, for protocols of few operations.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::change::Change;
use super::names::Names;
use super::{Shared, SimFs};

/// How many states there are to look at, at most, before the enumeration refuses.
const STATES_MAX: usize = 1 << 20;

impl SimFs {
    /// Shows every state that a power cut at this moment may leave, each as a world of its own, and returns how many
    /// there were. Any subset of the unsynced changes of names may have happened, each whole; of each unsynced write any
    /// of its first sector, its middle and its last sector; directories made and never synced may be there or not.
    ///
    /// # Errors
    /// With the number of states when there are more than a million: such a protocol is not for enumeration.
    pub fn each_crash_state(&self, mut look: impl FnMut(Self)) -> Result<usize, usize> {
        let world = self.world.lock();
        let nodes = self.changed_nodes(&world.files, &world.durable_files);
        let outcomes: Vec<Vec<Vec<Vec<Change>>>> =
            nodes.iter().map(|n| n.lock().unsynced.iter().map(Change::outcomes).collect()).collect();
        let mut radix: Vec<usize> = vec![2; world.pending.len()];
        let young_dirs: BTreeSet<PathBuf> = world.dirs.difference(&world.durable_dirs).cloned().collect();
        radix.push(if young_dirs.is_empty() { 1 } else { 2 });
        radix.extend(outcomes.iter().flatten().map(Vec::len));
        let count = radix.iter().try_fold(1usize, |n, r| n.checked_mul(*r)).unwrap_or(usize::MAX);
        if count > STATES_MAX {
            return Err(count);
        }
        for number in 0..count {
            let mut rest = number;
            let mut digits = radix.iter().map(|r| {
                let digit = rest % r;
                rest /= r;
                digit
            });
            let mut names = world.durable_files.clone();
            for change in &world.pending {
                if digits.next() == Some(1) {
                    change.apply(&mut names);
                }
            }
            let keep_dirs = digits.next() == Some(1);
            let state = Self::new(number as u64);
            let bytes: Vec<Vec<u8>> = nodes
                .iter()
                .zip(&outcomes)
                .map(|(node, changes)| {
                    let mut bytes = node.lock().durable.clone();
                    for outcome in changes.iter().filter_map(|all| all.get(digits.next()?)) {
                        outcome.iter().for_each(|c| c.apply(&mut bytes));
                    }
                    bytes
                })
                .collect();
            for (path, node) in names {
                let changed = nodes.iter().position(|n| Arc::ptr_eq(n, &node));
                let bytes = changed.and_then(|i| bytes.get(i).cloned());
                state.put(&path, bytes.unwrap_or_else(|| node.lock().durable.clone()));
            }
            let dirs = world.dirs.iter().filter(|d| keep_dirs || !young_dirs.contains(*d));
            state.add_durable_dirs(dirs);
            look(state);
        }
        Ok(count)
    }

    fn changed_nodes(&self, now: &Names, durable: &Names) -> Vec<Shared> {
        let mut out: Vec<Shared> = Vec::new();
        for node in now.values().chain(durable.values()) {
            if !node.lock().unsynced.is_empty() && !out.iter().any(|n| Arc::ptr_eq(n, node)) {
                out.push(node.clone());
            }
        }
        out
    }
}
