#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use fengsui_config::clock::UtcMicros;
use fengsui_config::ids::NodeId;
use fengsui_storage::journal::{JournalRecord, Reducer, kinds};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;

const NOW: UtcMicros = UtcMicros(1_800_000_000_000_000);

fn east() -> NodeId {
    "east".parse().unwrap()
}

/// A state and the journal that makes it.
#[derive(Default)]
struct Kept<S> {
    state: S,
    records: Vec<JournalRecord>,
}

impl<S: Reducer + std::fmt::Debug + PartialEq> Kept<S> {
    fn note(&mut self, kind: &str, body: &impl Serialize) {
        let seq = self.records.len() as u64 + 1;
        let record = JournalRecord {
            node: "centre".into(),
            epoch: 1,
            seq,
            at: UtcMicros(NOW.0 + i64::try_from(seq).unwrap()),
            kind: kind.to_owned(),
            body: serde_json::to_value(body).unwrap(),
            previous: [0; 32],
            hash: [0; 32],
        };
        self.state.apply(&record).unwrap();
        self.records.push(record);
    }

    /// What the next start makes of the journal.
    fn again(&self) {
        let mut state = S::default();
        for record in &self.records {
            state.apply(record).unwrap();
        }
        assert_eq!(state, self.state);
        let kept = serde_json::to_vec(&state).unwrap();
        assert_eq!(serde_json::from_slice::<S>(&kept).unwrap(), state, "a snapshot holds all of it");
    }
}

fn draft(base: u64, text: &str) -> Draft {
    Draft { base, text: text.to_owned(), by: "li".to_owned(), reason: "moved".to_owned() }
}

impl Kept<Versions> {
    fn save(&mut self, base: u64, text: &str, known: u64) -> Result<u64, SaveRefused> {
        let saved = self.state.save(&east(), draft(base, text), known)?;
        self.note(kinds::CONFIG_SAVED, &saved);
        Ok(saved.version)
    }

    fn settle(&mut self, version: u64, outcome: Outcome) -> bool {
        let settled = self.state.settle(&east(), version, outcome, Vec::new());
        let new = settled.is_some();
        settled.into_iter().for_each(|settled| self.note(kinds::CONFIG_SETTLED, &settled));
        new
    }

    fn states(&self) -> Vec<State> {
        self.state.of(&east()).iter().map(|e| self.state.state(&east(), e)).collect()
    }
}

#[test]
fn versions_are_numbered_and_each_has_its_state() {
    let mut all = Kept::<Versions>::default();
    assert_eq!(all.save(0, "a", 0), Ok(1));
    assert_eq!((all.states(), all.state.in_force(&east())), (vec![State::Pending], None));
    assert!(all.settle(1, Outcome::InForce) && !all.settle(1, Outcome::InForce), "noted once");
    assert_eq!(all.save(1, "b", 1), Ok(2));
    assert_eq!(all.save(2, "c", 1), Ok(3));
    assert_eq!(all.states(), [State::InForce, State::Skipped, State::Pending]);
    all.settle(3, Outcome::Refused);
    assert_eq!(all.states(), [State::InForce, State::Skipped, State::Refused]);
    assert_eq!(all.state.in_force(&east()), Some(1), "a refused version leaves the one before in force");
    assert_eq!(all.save(3, "a", 1), Ok(4), "back to an earlier text is a version of its own");
    all.settle(4, Outcome::InForce);
    assert_eq!(all.states(), [State::Replaced, State::Skipped, State::Refused, State::InForce]);
    all.settle(4, Outcome::Released);
    assert_eq!((all.states()[3], all.state.in_force(&east())), (State::Released, None));
    let seqs: Vec<u64> = all.state.of(&east()).iter().map(|e| e.seq).collect();
    for (seq, text) in seqs.iter().zip(["a", "b", "c", "a"]) {
        assert_eq!(all.records[usize::try_from(*seq).unwrap() - 1].body["text"], text);
    }
    assert!(!all.settle(9, Outcome::InForce), "of a version that is none nothing is noted");
    all.again();
}

#[test]
fn of_two_who_edit_at_once_the_second_is_told_who_won() {
    let mut all = Kept::<Versions>::default();
    all.save(0, "a", 0).unwrap();
    let behind = SaveRefused::Behind { newest: 1, by: "li".to_owned(), base: 0 };
    assert_eq!(all.save(0, "b", 0), Err(behind));
    assert_eq!(all.save(1, "a", 0), Err(SaveRefused::Same(1)));
    all.settle(1, Outcome::Refused);
    assert_eq!(all.save(1, "a", 0), Ok(2), "what was refused may be tried again");
    assert!(matches!(all.save(3, "b", 0), Err(SaveRefused::Behind { .. })), "of a version that is not there");
    let nobody = Kept::<Versions>::default().save(2, "a", 0);
    assert!(matches!(nobody, Err(SaveRefused::Behind { newest: 0, .. })), "{nobody:?}");
}

#[test]
fn a_version_that_does_not_fit_into_a_record_is_refused_with_the_bound() {
    let mut all = Kept::<Versions>::default();
    // Each quotation mark takes two bytes in the journal.
    let text = "\"".repeat(limits::RELAY_CONFIG_BYTES_MAX);
    let refused = all.save(0, &text, 0).unwrap_err();
    assert!(matches!(refused, SaveRefused::TooLarge { max: limits::RELAY_CONFIG_RECORD_BYTES_MAX, .. }));
    assert!(refused.to_string().contains("253952 bytes"), "{refused}");
    let most = "名 = \"一二三四五六七\"\n".repeat(limits::RELAY_CONFIG_BYTES_MAX / 31);
    all.save(0, &most, 0).unwrap();
    assert!(all.records[0].body.to_string().len() < limits::JOURNAL_RECORD_BYTES_MAX);
}

#[test]
fn a_version_is_due_until_the_node_has_said_what_became_of_it() {
    let mut all = Kept::<Versions>::default();
    let word = |in_force, released| Some(ConfigWord { in_force, released });
    assert_eq!(all.state.due(&east(), word(None, None)), None);
    all.save(0, "a", 0).unwrap();
    for said in [None, word(None, None), word(Some(7), None)] {
        assert_eq!(all.state.due(&east(), said), Some(Due::Send), "{said:?}");
    }
    all.settle(1, Outcome::InForce);
    assert_eq!(all.state.due(&east(), word(Some(1), None)), None);
    assert_eq!(all.state.due(&east(), None), None, "an older program says nothing of it");
    assert_eq!(all.state.due(&east(), word(None, None)), Some(Due::Send), "the node came from nothing");
    assert_eq!(all.state.due(&east(), word(None, Some(1))), Some(Due::Released));
    all.settle(1, Outcome::Released);
    assert_eq!(all.state.due(&east(), word(None, Some(1))), None, "it is not forced on the node again");
    assert_eq!(all.save(1, "a", 1), Ok(2), "a person may");
    assert_eq!(all.state.due(&east(), word(None, Some(1))), Some(Due::Send));
    all.settle(2, Outcome::Refused);
    assert_eq!(all.state.due(&east(), word(None, Some(1))), None);
    assert_eq!(all.state.due(&"west".parse().unwrap(), word(None, None)), None);
}

#[test]
fn a_centre_that_was_restored_goes_on_above_what_the_node_knows() {
    let mut all = Kept::<Versions>::default();
    all.save(0, "a", 0).unwrap();
    all.settle(1, Outcome::InForce);
    let word = ConfigWord { in_force: Some(7), released: None };
    assert_eq!(all.save(1, "a", word.newest()), Ok(8), "the same text, since another one is in force there");
}

fn offer(version: u64, text: &str) -> Offer {
    Offer { version, hash: sum(text), text: text.to_owned(), by: "li".to_owned() }
}

#[test]
fn a_node_takes_newer_versions_and_nothing_else() {
    let mut node = Kept::<Standing>::default();
    assert_eq!(node.state.word(), ConfigWord::default());
    assert_eq!(node.state.judge(&offer(0, "a")), Err(OfferRefused::Zero));
    assert_eq!(node.state.judge(&offer(3, "a")), Ok(Verdict::New));
    let wrong = Offer { hash: sum("b"), ..offer(3, "a") };
    assert_eq!(node.state.judge(&wrong), Err(OfferRefused::Damaged));
    node.note(kinds::CONFIG_RECEIVED, &offer(3, "a"));
    assert_eq!(node.state.word().in_force, Some(3));
    assert_eq!(node.state.judge(&offer(3, "a")), Ok(Verdict::Same));
    assert_eq!(node.state.judge(&offer(3, "b")), Err(OfferRefused::Other(3)));
    assert_eq!(node.state.judge(&offer(2, "b")), Err(OfferRefused::Older { in_force: 3, offered: 2 }));
    assert_eq!(node.state.judge(&offer(4, "a")), Ok(Verdict::New));
    let released = node.state.release("wang", "the centre has the wrong street").unwrap();
    node.note(kinds::CONFIG_RELEASED, &released);
    assert_eq!((node.state.in_force(), node.state.release("wang", "")), (None, None));
    assert_eq!(node.state.word(), ConfigWord { in_force: None, released: Some(3) });
    assert_eq!(node.state.judge(&offer(3, "a")), Err(OfferRefused::Released(released)));
    assert_eq!(node.state.judge(&offer(4, "a")), Ok(Verdict::New));
    node.again();
}

#[test]
fn the_file_beside_the_journal_is_believed_whole_or_not_at_all() {
    let kept = InForce { received: offer(3, "# 一\n[[camera]]\n"), at: NOW };
    let file = kept.to_file();
    assert_eq!(InForce::of_file(file.as_bytes()), Some(kept.clone()));
    assert_eq!(kept.topology().text, "# 一\n[[camera]]\n", "lines are counted as the centre counts them");
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bytes = file.clone().into_bytes();
        let at = random.random_range(0..bytes.len());
        if random.random_bool(0.5) {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << random.random_range(0..7);
        }
        assert_eq!(InForce::of_file(&bytes), None, "seed {seed}, byte {at}");
    }
}
