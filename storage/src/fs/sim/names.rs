//! Names: which file stands where, what of it is durable, and what a crash leaves of what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Shared;

/// A table of names.
pub(super) type Names = BTreeMap<PathBuf, Shared>;

/// A change of names that is not durable yet. Each is done whole or not at all.
#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Link { path: PathBuf, node: Shared },
    Rename { from: PathBuf, to: PathBuf },
    Unlink { path: PathBuf },
}

impl NameChange {
    /// Does it, where what it starts from is there.
    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            Self::Link { path, node } => drop(names.insert(path.clone(), node.clone())),
            Self::Rename { from, to } => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
            Self::Unlink { path } => drop(names.remove(path)),
        }
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let (a, b) = match self {
            Self::Link { path, .. } | Self::Unlink { path } => (path, None),
            Self::Rename { from, to } => (from, Some(to)),
        };
        std::iter::once(a).chain(b)
    }
}

/// Makes those changes durable that touch a path chosen by `is`, and all before them that they build on.
pub(super) fn settle(durable: &mut Names, pending: &mut Vec<NameChange>, is: impl Fn(&Path) -> bool) {
    let mut needed: BTreeSet<PathBuf> = BTreeSet::new();
    let mut chosen = Vec::with_capacity(pending.len());
    for change in pending.iter().rev() {
        let take = change.paths().any(|p| is(p) || needed.contains(p));
        if take {
            needed.extend(change.paths().cloned());
        }
        chosen.push(take);
    }
    let mut chosen = chosen.into_iter().rev();
    pending.retain(|change| {
        let take = chosen.next().unwrap_or(false);
        if take {
            change.apply(durable);
        }
        !take
    });
}
