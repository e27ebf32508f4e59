#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use std::time::Duration;

use serde_json::Value;

use super::*;

const NOW: UtcMicros = UtcMicros(1_800_000_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn id(text: &str) -> NodeId {
    text.parse().unwrap()
}

fn cameras(numbers: std::ops::Range<u32>) -> BTreeSet<CameraId> {
    numbers.map(|n| format!("330802010013200{n:05}").parse().unwrap()).collect()
}

/// A register and the journal that makes it.
#[derive(Default)]
struct Centre {
    nodes: Nodes,
    records: Vec<JournalRecord>,
}

impl Centre {
    fn note(&mut self, kind: &str, body: &impl Serialize) {
        let seq = self.records.len() as u64 + 1;
        let record = JournalRecord {
            node: "centre".into(),
            epoch: 1,
            seq,
            at: NOW,
            kind: kind.to_owned(),
            body: serde_json::to_value(body).unwrap(),
            previous: [0; 32],
            hash: [0; 32],
        };
        self.nodes.apply(&record).unwrap();
        self.records.push(record);
    }

    fn invite(&mut self, node: &str) -> Token {
        let token = Token::make(id(node), [7; 32]).unwrap();
        let invitation = self
            .nodes
            .invite(&id("centre"), (&token.node, token.hash()), cameras(1..3), (NOW, DAY), "li")
            .unwrap();
        self.note(kinds::NODE_INVITED, &invitation);
        token
    }

    fn enrol(&mut self, token: &Token, key: &NodeKey) -> Result<(), EnrolRefusal> {
        let enrolment = self.nodes.admit(&EnrolRequest::sign(token, key), NOW, "10.0.0.9")?;
        self.note(kinds::NODE_ENROLLED, &enrolment);
        Ok(())
    }
}

#[test]
fn a_token_enrols_once_and_only_its_node() {
    let mut centre = Centre::default();
    let (east, west) = (NodeKey::from_seed([1; 32]), NodeKey::from_seed([2; 32]));
    let token = centre.invite("east");
    assert_eq!(centre.nodes.users(), []);
    let request = EnrolRequest::sign(&token, &east);
    let first = centre.nodes.admit(&request, NOW, "10.0.0.9").unwrap();
    let second = centre.nodes.admit(&EnrolRequest::sign(&token, &west), NOW, "10.0.0.66").unwrap();
    centre.note(kinds::NODE_ENROLLED, &first);
    // Even a second record, which a race could have made, changes nothing.
    centre.note(kinds::NODE_ENROLLED, &second);
    assert_eq!(centre.nodes.get(&id("east")).unwrap().key, east.id());
    assert_eq!(centre.nodes.admit(&request, NOW, "10.0.0.9"), Err(EnrolRefusal::Unknown));
    assert_eq!(centre.nodes.users().len(), 1);
    assert!(centre.nodes.may_speak_of(&id("east"), *cameras(1..2).first().unwrap()));
    assert!(!centre.nodes.may_speak_of(&id("east"), *cameras(5..6).first().unwrap()));
}

#[test]
fn wrong_expired_replaced_and_unsigned_requests_are_refused() {
    let mut centre = Centre::default();
    let key = NodeKey::from_seed([1; 32]);
    let old = centre.invite("east");
    let token = centre.invite("east");
    let refused = |request: &EnrolRequest, now| centre.nodes.admit(request, now, "").unwrap_err();
    assert_eq!(refused(&EnrolRequest::sign(&old, &key), NOW), EnrolRefusal::Unknown, "replaced");
    let never = Token::make(id("east"), [7; 32]).unwrap();
    assert_eq!(refused(&EnrolRequest::sign(&never, &key), NOW), EnrolRefusal::Unknown);
    let other: Token = token.expose().replacen("east", "west", 1).parse().unwrap();
    assert_eq!(refused(&EnrolRequest::sign(&other, &key), NOW), EnrolRefusal::Unknown, "for another node");
    let good = EnrolRequest::sign(&token, &key);
    assert_eq!(refused(&good, NOW + DAY), EnrolRefusal::Expired);
    let thief = NodeKey::from_seed([3; 32]);
    let stolen_key = EnrolRequest { key: key.id(), ..EnrolRequest::sign(&token, &thief) };
    assert_eq!(refused(&stolen_key, NOW), EnrolRefusal::Proof);
    assert!(centre.nodes.admit(&good, NOW + DAY - Duration::from_micros(1), "").is_ok());
    assert_eq!(EnrolRefusal::Unknown.told(), EnrolRefusal::Expired.told(), "a guess learns nothing");
    centre.enrol(&token, &key).unwrap();
    let west = centre.invite("west");
    assert_eq!(centre.enrol(&west, &key), Err(EnrolRefusal::KeyTaken));
}

#[test]
fn a_retired_node_is_out_and_comes_back_only_by_a_new_token() {
    let mut centre = Centre::default();
    let (first, second) = (NodeKey::from_seed([1; 32]), NodeKey::from_seed([2; 32]));
    let token = centre.invite("east");
    centre.enrol(&token, &first).unwrap();
    centre.note(kinds::NODE_DRAINED, &centre.nodes.dismiss(&id("east"), "li", "old disk").unwrap());
    assert_eq!(
        (centre.nodes.get(&id("east")).unwrap().state, centre.nodes.users().len()),
        (NodeState::Drained, 1)
    );
    let open = centre.invite("east");
    centre.note(kinds::NODE_RETIRED, &centre.nodes.dismiss(&id("east"), "li", "gone").unwrap());
    assert_eq!(centre.nodes.users(), []);
    assert_eq!(centre.enrol(&open, &second), Err(EnrolRefusal::Unknown), "its open token went with it");
    assert_eq!(centre.nodes.dismiss(&id("east"), "li", ""), Err(NodeRefusal::Retired(id("east"))));
    assert!(!centre.nodes.may_speak_of(&id("east"), *cameras(1..2).first().unwrap()));
    let again = centre.invite("east");
    centre.enrol(&again, &second).unwrap();
    let node = centre.nodes.get(&id("east")).unwrap();
    assert_eq!(
        (node.state, node.key, node.keys_before.clone()),
        (NodeState::Active, second.id(), vec![first.id().to_string()])
    );
}

#[test]
fn bounds_of_invitations_and_cameras_hold() {
    let mut centre = Centre::default();
    let token = Token::make(id("east"), [7; 32]).unwrap();
    let most = u32::try_from(limits::RELAY_NODE_CAMERAS_MAX).unwrap();
    let many = cameras(0..most + 1);
    let invite = |c: BTreeSet<CameraId>, life| {
        centre.nodes.invite(&id("centre"), (&token.node, token.hash()), c, (NOW, life), "li").map(drop)
    };
    assert_eq!(invite(many.clone(), DAY), Err(NodeRefusal::TooManyCameras));
    assert_eq!(invite(cameras(0..1), Duration::from_secs(59)), Err(NodeRefusal::Time));
    assert_eq!(invite(cameras(0..1), DAY * 31), Err(NodeRefusal::Time));
    let own = centre.nodes.invite(&id("east"), (&token.node, token.hash()), cameras(0..1), (NOW, DAY), "li");
    assert_eq!(own, Err(NodeRefusal::Own(id("east"))));
    let whole = centre
        .nodes
        .invite(&id("centre"), (&token.node, token.hash()), cameras(0..most), (NOW, DAY), "li")
        .unwrap();
    let bytes = serde_json::to_vec(&whole).unwrap().len();
    assert!(bytes < limits::JOURNAL_RECORD_BYTES_MAX / 2, "{bytes} bytes fit into a record");
    assert_eq!(
        centre.nodes.assign(&id("east"), cameras(0..1), None, "li"),
        Err(NodeRefusal::Unknown(id("east")))
    );
    for n in 0..limits::RELAY_NODES_MAX {
        centre.invite(&format!("n{n}"));
    }
    assert_eq!(
        centre
            .nodes
            .invite(&id("centre"), (&token.node, token.hash()), cameras(0..1), (NOW, DAY), "li")
            .map(drop),
        Err(NodeRefusal::TooMany)
    );
}

#[test]
fn the_register_is_the_reduction_of_the_journal_and_no_secret_is_in_it() {
    let mut centre = Centre::default();
    let token = centre.invite("east");
    centre.enrol(&token, &NodeKey::from_seed([1; 32])).unwrap();
    centre.note(kinds::NODE_ASSIGNED, &centre.nodes.assign(&id("east"), cameras(4..9), None, "li").unwrap());
    let mut again = Nodes::default();
    for record in &centre.records {
        again.apply(record).unwrap();
        let secret = token.expose().split('.').nth(2).unwrap().to_owned();
        assert!(!record.body.to_string().contains(&secret));
        assert_eq!(kinds::shown(&record.body).get("token_hash").unwrap_or(&Value::from("***")), "***");
    }
    assert_eq!(again, centre.nodes);
    let kept: Nodes = serde_json::from_value(serde_json::to_value(&again).unwrap()).unwrap();
    assert_eq!((kept.get(&id("east")).unwrap().cameras.len(), kept == again), (5, true));
}

#[test]
fn a_node_speaks_of_cameras_for_which_it_stands_by_and_their_owner_comes_first() {
    let mut centre = Centre::default();
    for (node, seed) in [("east", 1), ("north", 2), ("west", 3)] {
        let token = centre.invite(node);
        centre.enrol(&token, &NodeKey::from_seed([seed; 32])).unwrap();
    }
    let own = |n: u32| (cameras(n..n + 2), format!("330802010013200{n:05}").parse::<CameraId>().unwrap());
    let ((east, camera), (west, _)) = (own(10), own(20));
    centre.note(kinds::NODE_ASSIGNED, &centre.nodes.assign(&id("east"), east.clone(), None, "li").unwrap());
    let both = Some(east.clone());
    centre.note(kinds::NODE_ASSIGNED, &centre.nodes.assign(&id("west"), west.clone(), both, "li").unwrap());
    let first = Some(BTreeSet::from([camera]));
    centre
        .note(kinds::NODE_ASSIGNED, &centre.nodes.assign(&id("north"), cameras(1..2), first, "li").unwrap());
    assert!(centre.nodes.may_speak_of(&id("west"), camera) && centre.nodes.may_speak_of(&id("east"), camera));
    assert_eq!(centre.nodes.holders(camera), [id("east"), id("north"), id("west")]);
    let by = BTreeMap::from([(id("north"), BTreeSet::from([camera])), (id("west"), east.clone())]);
    assert_eq!(centre.nodes.duty(), BTreeMap::from([(id("east"), by)]));
    // Other cameras of its own leave those as they are; only who says so takes them away.
    centre.note(kinds::NODE_ASSIGNED, &centre.nodes.assign(&id("west"), cameras(5..6), None, "li").unwrap());
    assert_eq!(centre.nodes.get(&id("west")).unwrap().standby, east);
    centre.note(
        kinds::NODE_ASSIGNED,
        &centre.nodes.assign(&id("west"), cameras(5..6), Some(BTreeSet::new()), "li").unwrap(),
    );
    assert!(!centre.nodes.may_speak_of(&id("west"), camera));
    let twice = centre.nodes.assign(&id("west"), east.clone(), Some(east), "li");
    assert_eq!(twice, Err(NodeRefusal::OwnStandby(camera)));
}

#[test]
fn records_from_before_there_was_standby_are_read_and_written_as_they_were() {
    let mut centre = Centre::default();
    let token = centre.invite("east");
    assert!(centre.records[0].body.get("standby").is_none(), "{}", centre.records[0].body);
    centre.enrol(&token, &NodeKey::from_seed([1; 32])).unwrap();
    let old = serde_json::json!({"node": "east", "cameras": ["33080201001320000007"], "by": "li"});
    centre.note(kinds::NODE_ASSIGNED, &old);
    let east = centre.nodes.get(&id("east")).unwrap();
    assert_eq!((east.cameras.len(), east.standby.len()), (1, 0));
}
