#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
//! Pages over nodes that are functions.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const NODES: [&str; 4] = ["centre", "east", "west", "west-1"];
const REASONS: Reasons<&str> = Reasons { silent: "silent", disorder: "disorder", before: "before" };

fn node(n: usize) -> NodeId {
    NODES[n % NODES.len()].parse().unwrap()
}

/// A hit of a node. Many begin at the same time.
fn key((of, what, n): (usize, bool, u64)) -> Key {
    if what {
        let id = RecordId { node: node(of).to_string(), epoch: 1, seq: n };
        return Key::event(UtcMicros(1_790_000_000_000_000 + i64::try_from(n % 7).unwrap()), id);
    }
    let camera = format!("330802000013200{n:05}").parse().unwrap();
    Key::Camera { camera, node: node(of) }
}

fn hits() -> impl Strategy<Value = BTreeSet<Key>> {
    prop::collection::btree_set((0..4_usize, any::<bool>(), 0..40_u64), 0..80)
        .prop_map(|all| all.into_iter().map(key).collect())
}

fn owner(key: &Key) -> NodeId {
    match key {
        Key::Event { id, .. } => id.node.parse().unwrap(),
        Key::Camera { node, .. } => node.clone(),
    }
}

/// What a node answers that gives `most` hits at once, or looks no further than its `looks`-th.
fn answer(own: &[Key], after: Option<&Key>, most: usize) -> Part<()> {
    let behind: Vec<_> = own.iter().filter(|key| after.is_none_or(|after| *key > after)).collect();
    let items: Vec<(Key, ())> = behind.iter().take(most).map(|key| ((*key).clone(), ())).collect();
    let reach = (behind.len() > most).then(|| items.last().unwrap().0.clone());
    Part { items, reach }
}

/// Reads all pages. `most` says how many hits a node gives at the n-th page; nothing means that it does not answer.
fn read(
    of: &BTreeMap<NodeId, Vec<Key>>,
    limit: usize,
    most: &dyn Fn(&NodeId, usize) -> Option<usize>,
) -> (Vec<Key>, Vec<BTreeMap<NodeId, &'static str>>) {
    let asked: BTreeSet<NodeId> = of.keys().cloned().collect();
    let (mut cursor, mut found, mut missing) = (None::<Cursor>, Vec::new(), Vec::new());
    for n in 0..10_000 {
        let after = cursor.as_ref().map(|c| &c.after);
        let answers = of.iter().filter_map(|(node, own)| {
            let part = answer(own, after, most(node, n)?);
            Some((node.clone(), Answered::Part(part, Vec::new())))
        });
        let page = gather(&asked, answers.collect(), cursor.as_ref(), limit, &REASONS);
        assert!(page.items.len() <= limit);
        found.extend(page.items.into_iter().map(|(key, ())| key));
        missing.push(page.missing);
        let Some(next) = page.next else { return (found, missing) };
        assert!(after.is_none_or(|after| next.after > *after), "every page goes on");
        cursor = Some(next.to_string().parse().unwrap());
        assert_eq!(cursor.as_ref(), Some(&next), "a cursor reads as it was written");
    }
    panic!("pages without end");
}

fn split(all: &BTreeSet<Key>) -> BTreeMap<NodeId, Vec<Key>> {
    let mut of: BTreeMap<NodeId, Vec<Key>> = (0..NODES.len()).map(|n| (node(n), Vec::new())).collect();
    for key in all {
        of.get_mut(&owner(key)).unwrap().push(key.clone());
    }
    of
}

proptest! {
    #[test]
    fn the_pages_of_any_split_are_those_of_one_big_node(
        all in hits(), limit in 1..20_usize, short in prop::collection::vec(1..20_usize, 8)
    ) {
        let big = BTreeMap::from([(node(0), all.iter().cloned().collect::<Vec<_>>())]);
        let whole = read(&big, limit, &|_, _| Some(limit)).0;
        prop_assert_eq!(&whole, &all.iter().cloned().collect::<Vec<_>>());
        // Whatever each of them gives at once, nothing is lost, doubled or out of order.
        let (found, missing) = read(&split(&all), limit, &|node, n| {
            Some(short[(n + node.as_str().len()) % short.len()].min(limit))
        });
        prop_assert_eq!(found, whole);
        prop_assert!(missing.iter().all(BTreeMap::is_empty));
    }

    #[test]
    fn whoever_gave_no_whole_answer_is_named_on_this_page_and_on_all_that_follow(
        all in hits(), limit in 1..20_usize, away in prop::collection::vec((0..4_usize, 0..6_usize), 1..6)
    ) {
        let gone = |of: &NodeId, n: usize| away.iter().any(|(who, page)| node(*who) == *of && *page == n);
        let (found, missing) = read(&split(&all), limit, &|node, n| (!gone(node, n)).then_some(limit));
        for (n, named) in missing.iter().enumerate() {
            for who in (0..NODES.len()).map(node) {
                let why = named.get(&who).copied();
                let before = (0..n).any(|n| gone(&who, n)).then_some("before");
                prop_assert_eq!(why, gone(&who, n).then_some("silent").or(before));
            }
        }
        prop_assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "none is doubled");
        let last = missing.last().unwrap();
        let whole: Vec<_> = all.iter().filter(|key| !last.contains_key(&owner(key))).collect();
        let shown: Vec<_> = found.iter().filter(|key| !last.contains_key(&owner(key))).collect();
        prop_assert_eq!(shown, whole, "those that are not named lack nothing");
    }

    #[test]
    fn any_text_is_a_cursor_that_reads_back_or_none(text in "[ec]\\.[0-9-]{0,21}\\.[a-z0-9. -]{0,30}|.*") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }
    }
}

#[test]
fn an_answer_out_of_order_or_from_before_is_not_believed_and_its_node_is_named() {
    let at = |n| key((1, true, n));
    let (first, second) = (at(6), at(5));
    let after = Cursor { after: first.clone(), missed: BTreeSet::new() };
    let asked: BTreeSet<NodeId> = [node(1)].into();
    let ask = |items: Vec<Key>, reach: Option<Key>| {
        let items = items.into_iter().map(|key| (key, ())).collect();
        let answers = vec![(node(1), Answered::Part(Part { items, reach }, Vec::new()))];
        gather(&asked, answers, Some(&after), 9, &REASONS)
    };
    let disorder = BTreeMap::from([(node(1), "disorder")]);
    assert!(first < second);
    for (items, reach) in [
        (vec![first.clone()], None),
        (vec![second.clone(), second.clone()], None),
        (vec![at(4), second.clone()], None),
        (vec![at(4)], Some(second.clone())),
        (vec![], Some(first.clone())),
    ] {
        let page = ask(items, reach);
        assert_eq!((page.items.len(), &page.missing), (0, &disorder));
        assert_eq!(page.next, None, "and it holds nobody up");
    }
    assert!(ask(vec![second], None).missing.is_empty());
}

#[test]
fn what_a_county_lacks_is_named_beside_what_it_found() {
    let asked: BTreeSet<NodeId> = [node(2)].into();
    let part = Part { items: vec![(key((2, true, 1)), ())], reach: None };
    let answers = vec![(node(2), Answered::Part(part, vec![(node(3), "gone")]))];
    let page = gather(&asked, answers, None, 9, &REASONS);
    assert_eq!((page.items.len(), page.missing), (1, BTreeMap::from([(node(3), "gone")])));
}
