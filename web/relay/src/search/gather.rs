//! One page out of the answers of many nodes.

use std::collections::{BTreeMap, BTreeSet};

use fengsui_config::ids::NodeId;

use super::{Cursor, Key};

/// What one node found behind a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<T> {
    /// In order.
    pub items: Vec<(Key, T)>,
    /// How far it looked; none when to the end. There may be more behind it.
    pub reach: Option<Key>,
}

/// What became of asking a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered<T, W> {
    /// It answered. Perhaps not for all nodes below it, or not as it should: those are named with why.
    Part(Part<T>, Vec<(NodeId, W)>),
    /// It did not, and why.
    Missing(W),
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered<T, W> {
    /// In order. May be fewer than asked for although there are more: see `next`.
    pub items: Vec<(Key, T)>,
    /// Where the next page goes on; none when all nodes came to their end.
    pub next: Option<Cursor>,
    /// Who gave no whole answer, and why.
    pub missing: BTreeMap<NodeId, W>,
}

/// Why a node counts as missing when nobody else says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasons<W> {
    /// Nothing came of it.
    pub silent: W,
    /// Its hits are not in order, or not behind the place that it was asked for.
    pub disorder: W,
    /// It was missing on a page before.
    pub before: W,
}

/// Whether a part is in order and behind `after`: else nothing of it is believed, and it brings nobody further.
#[must_use]
pub fn is_in_order<T>(part: &Part<T>, after: Option<&Key>) -> bool {
    let mut last = after;
    for (key, _) in &part.items {
        if last.is_some_and(|last| key <= last) {
            return false;
        }
        last = Some(key);
    }
    match (&part.reach, part.items.last()) {
        (None, _) => true,
        (Some(reach), Some((newest, _))) => reach >= newest,
        (Some(reach), None) => after.is_none_or(|after| reach > after),
    }
}

/// Puts a page together: hits behind `cursor` of all who were `asked`, at most `limit`, as far as all of them looked.
#[must_use]
pub fn gather<T, W: Clone>(
    asked: &BTreeSet<NodeId>,
    answers: Vec<(NodeId, Answered<T, W>)>,
    cursor: Option<&Cursor>,
    limit: usize,
    reasons: &Reasons<W>,
) -> Gathered<T, W> {
    let after = cursor.map(|c| &c.after);
    let mut missing = BTreeMap::new();
    let mut parts = Vec::new();
    let heard: BTreeSet<NodeId> = answers.iter().map(|(node, _)| node.clone()).collect();
    for node in asked.difference(&heard) {
        missing.insert(node.clone(), reasons.silent.clone());
    }
    for (node, answer) in answers {
        match answer {
            Answered::Missing(why) => drop(missing.insert(node, why)),
            Answered::Part(part, _) if !is_in_order(&part, after) => {
                missing.insert(node, reasons.disorder.clone());
            }
            Answered::Part(part, below) => {
                missing.extend(below);
                parts.push(part);
            }
        }
    }
    for node in cursor.into_iter().flat_map(|c| &c.missed) {
        missing.entry(node.clone()).or_insert_with(|| reasons.before.clone());
    }
    let (items, reach) = merge(parts, limit);
    let missed = missing.keys().cloned().collect();
    Gathered { items, next: reach.map(|after| Cursor { after, missed }), missing }
}

/// The first hits of all parts, and how far that looks.
fn merge<T>(parts: Vec<Part<T>>, limit: usize) -> (Vec<(Key, T)>, Option<Key>) {
    // Behind where one of them stopped, it may have what comes first.
    let reach = parts.iter().filter_map(|part| part.reach.clone()).min();
    let mut items: Vec<(Key, T)> = parts.into_iter().flat_map(|part| part.items).collect();
    items.sort_by(|a, b| a.0.cmp(&b.0));
    items.dedup_by(|a, b| a.0 == b.0);
    if let Some(reach) = &reach {
        items.truncate(items.partition_point(|(key, _)| key <= reach));
    }
    if items.len() > limit {
        items.truncate(limit);
        let last = items.last().map(|(key, _)| key.clone());
        return (items, last.or(reach));
    }
    (items, reach)
}
