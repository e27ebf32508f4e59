//! The way down, step by step.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;

use fengsui_config::clock::UtcMicros;
use serde_json::json;

use super::*;
use crate::act::{By, Verb};
use crate::alarm::Level;
use crate::incident::{Channel, IncidentVerb, Open, Where};

struct Centre {
    book: Book,
    seq: u64,
}

impl Centre {
    fn act(&mut self, on: &MatterId, verb: IncidentVerb) -> Option<Noted> {
        let at = UtcMicros(1_790_000_000_000_000);
        let act = self.book.propose(on, Verb::Incident(verb), By::person("wang"), at).ok()?;
        self.seq += 1;
        let id = ActId { node: "centre".parse().unwrap(), epoch: 1, seq: self.seq };
        let noted = Noted { id, act };
        assert!(self.book.take(noted.clone()));
        Some(noted)
    }

    fn open(&mut self, name: &str, nodes: &[&str]) -> MatterId {
        let on: MatterId = format!("incident/centre/{name}").parse().unwrap();
        let open = Open {
            number: "1".to_owned(),
            kind: "fight".to_owned(),
            title: "Fight".to_owned(),
            text: String::new(),
            level: Level::USUAL,
            place: Where { address: "Bridge".to_owned(), ..Where::default() },
            channel: Channel::Desk,
            reference: String::new(),
            alarms: BTreeSet::new(),
            cameras: BTreeSet::new(),
            nodes: nodes.iter().map(|n| n.parse().unwrap()).collect(),
        };
        self.act(&on, IncidentVerb::Open(open)).unwrap();
        on
    }
}

fn centre() -> Centre {
    Centre { book: Book::default(), seq: 0 }
}

fn down() -> Down {
    let set = |id: &str| BTreeSet::from([id.parse().unwrap()]);
    Down::new("centre".parse().unwrap(), Concern { own: set("north"), others: set("south") })
}

fn note(text: &str) -> IncidentVerb {
    IncidentVerb::Note { text: text.to_owned() }
}

/// Says everything there is to say; `on_the_way` may change it. Gives how many messages that took.
fn say_all(down: &mut Down, centre: &Book, node: &mut Book, mut on_the_way: impl FnMut(&mut Say)) -> usize {
    let mut said = 0;
    while let Some((ticket, mut say)) = down.next(centre) {
        assert!(serde_json::to_vec(&say).unwrap().len() <= limits::RELAY_CALL_BYTES_MAX);
        on_the_way(&mut say);
        let new = lacking(node, &say);
        let received = serde_json::to_vec(&new).unwrap().len();
        assert!(received < limits::JOURNAL_RECORD_BYTES_MAX, "one record of {received} bytes");
        for carried in &new {
            assert!(node.take(carried.read().unwrap()));
        }
        let answer = answer(node, &say, new.len());
        assert!(serde_json::to_vec(&answer).unwrap().len() <= limits::RELAY_CALL_BYTES_MAX);
        down.answered(ticket, answer);
        said += 1;
        assert!(said < 1_000, "it says the same for ever");
    }
    assert!(down.is_in_step());
    said
}

#[test]
fn a_large_matter_goes_down_in_bounded_parts() {
    let (mut centre, mut node, mut down) = (centre(), Book::default(), down());
    let on = centre.open("i1", &["north"]);
    while centre.act(&on, note(&"字".repeat(limits::DUTY_TEXT_CHARS_MAX))).is_some() {}
    let said = say_all(&mut down, &centre.book, &mut node, |_| ());
    assert!(said > 5 && centre.book.bytes() > limits::DUTY_MATTER_BYTES_MAX, "{said} messages");
    assert!(node.incidents == centre.book.incidents);
    assert_eq!(down.counters.stuck, 0);
}

#[test]
fn only_what_concerns_a_node_goes_down_and_a_shared_incident_whole() {
    let (mut centre, mut node, mut down) = (centre(), Book::default(), down());
    let (own, other) = (centre.open("i1", &["north"]), centre.open("i2", &["south"]));
    centre.act(&other, note("one"));
    say_all(&mut down, &centre.book, &mut node, |_| ());
    assert_eq!(node.incidents.keys().collect::<Vec<_>>(), [&own]);
    let hidden = centre.act(&other, note("two")).unwrap();
    down.news(&centre.book, &hidden);
    assert!(down.next(&centre.book).is_none(), "it is none of its business");

    let share = centre.act(&other, IncidentVerb::Share { node: "north".parse().unwrap() }).unwrap();
    down.news(&centre.book, &share);
    say_all(&mut down, &centre.book, &mut node, |_| ());
    assert!(node.incidents == centre.book.incidents, "with all that was before it was shared");
    let new = centre.act(&other, note("three")).unwrap();
    down.news(&centre.book, &new);
    assert_eq!(
        say_all(&mut down, &centre.book, &mut node, |_| ()),
        1,
        "one message for one act when in step"
    );
    assert!(node.incidents == centre.book.incidents);
}

#[test]
fn what_a_node_cannot_take_is_not_said_for_ever() {
    let (mut centre, mut node, mut down) = (centre(), Book::default(), down());
    let on = centre.open("i1", &["north"]);
    let strange = centre.act(&on, note("from tomorrow")).unwrap();
    centre.act(&on, note("more"));
    let newer = |say: &mut Say| {
        for carried in say.acts.iter_mut().filter(|carried| carried.id == strange.id) {
            carried.body["v"] = json!(99);
        }
    };
    say_all(&mut down, &centre.book, &mut node, newer);
    assert_eq!((node.acts_of(&on).count(), down.counters.stuck), (2, 1));
    assert!(down.counters.unreadable > 0);
    let later = centre.act(&on, note("and more")).unwrap();
    down.news(&centre.book, &later);
    say_all(&mut down, &centre.book, &mut node, newer);
    assert_eq!(node.acts_of(&on).count(), 3);
    // The node has the newer program.
    down.restart();
    say_all(&mut down, &centre.book, &mut node, |_| ());
    assert!(node.incidents == centre.book.incidents);
}

#[test]
fn what_was_not_answered_is_said_again_and_old_answers_count_for_nothing() {
    let (mut centre, mut node, mut down) = (centre(), Book::default(), down());
    let on = centre.open("i1", &["north"]);
    let (first, say) = down.next(&centre.book).unwrap();
    assert!(down.next(&centre.book).is_none(), "one at a time");
    let late = answer(&node, &say, 0);
    down.failed(first);
    let (second, again) = down.next(&centre.book).unwrap();
    assert!(second > first && again == say);
    down.answered(first, late.clone());
    assert!(down.next(&centre.book).is_none() && !down.is_in_step());
    down.answered(second, late);
    say_all(&mut down, &centre.book, &mut node, |_| ());
    assert!(node.incidents[&on] == centre.book.incidents[&on]);
}

#[test]
fn more_news_than_wait_are_found_by_comparing() {
    let (mut centre, mut node, mut down) = (centre(), Book::default(), down());
    let many: Vec<MatterId> = (0..4).map(|n| centre.open(&format!("i{n}"), &["north"])).collect();
    say_all(&mut down, &centre.book, &mut node, |_| ());
    for n in 0..=limits::DUTY_NEWS_MAX {
        let new = centre.act(&many[n % 4], note("x")).unwrap();
        down.news(&centre.book, &new);
    }
    say_all(&mut down, &centre.book, &mut node, |_| ());
    assert!(node.incidents == centre.book.incidents);
    assert_eq!(down.counters.compared, 2);
}

#[test]
fn a_node_that_comes_to_stand_for_another_one_gets_what_concerns_that() {
    let (mut centre, mut node, mut down) = (centre(), Book::default(), down());
    let (own, other) = (centre.open("i1", &["north"]), centre.open("i2", &["south"]));
    say_all(&mut down, &centre.book, &mut node, |_| ());
    assert_eq!(node.incidents.keys().collect::<Vec<_>>(), [&own]);
    let (acts, took) = (down.counters.acts, down.counters.took);
    assert!(acts >= 1 && took == 1, "{:?}", down.counters);

    let same = down.concern().clone();
    down.concerns(same.clone());
    assert!(down.is_in_step(), "nothing changed");
    let both = same.own.iter().chain(&same.others).cloned().collect();
    down.concerns(Concern { own: both, others: BTreeSet::new() });
    assert!(!down.is_in_step());
    say_all(&mut down, &centre.book, &mut node, |_| ());
    assert_eq!(node.incidents.keys().collect::<Vec<_>>(), [&own, &other]);
    assert!(down.counters.acts > acts && down.counters.took == 2, "{:?}", down.counters);
}
