#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn packet() -> Packet {
    let body = json!({"what": "camera.offline", "camera": "33080201001320000001", "z": [1.25e-7, -0.0, 0.1], "a": "红\n"});
    let before = Mark { key: Key::new(2, 7), chain: Chain([7; 32]) };
    let at = UtcMicros(1_790_000_000_000_000);
    let frame = Frame::behind(before, &node("s01"), Key::new(3, 9), at, "event.noted", body);
    Packet { base: Key::new(2, 5), walk: 17, frame }
}

#[test]
fn the_wire_form_is_what_it_always_was() {
    let text = String::from_utf8(packet().encode()).unwrap();
    expect_test::expect![[r#"{"base":{"epoch":2,"seq":5},"walk":17,"frame":{"v":1,"origin":"s01","epoch":3,"seq":9,"prev":{"epoch":2,"seq":7},"at_us":1790000000000000,"kind":"event.noted","body":{"a":"红\n","camera":"33080201001320000001","what":"camera.offline","z":[1.25e-7,-0.0,0.1]},"chain":"571ce73bd4835788b1ebf51d54ee619cfe4fb38870ed13ed172f18f3d0bc4c22"}}"#]].assert_eq(&text);
}

#[test]
fn any_changed_byte_is_noticed() {
    let good = packet();
    let bytes = good.encode();
    let frame_at = bytes.windows(7).position(|w| w == b"\"frame\"").unwrap();
    for at in frame_at..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if let Ok(packet) = Packet::decode(&changed) {
                let frame = packet.frame;
                assert_ne!(frame.chain_behind(Chain([7; 32])), frame.chain, "byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_newer_version_is_told_apart_from_garbage() {
    let text = String::from_utf8(packet().encode()).unwrap();
    let newer = text.replace("\"v\":1", "\"v\":2,\"more\":[1]").replace("\"body\"", "\"content\"");
    match Packet::decode(newer.as_bytes()) {
        Err(DecodeError::Newer(head)) => {
            assert_eq!((head.v, head.key, head.prev), (2, Key::new(3, 9), Key::new(2, 7)));
            assert_eq!((head.origin, head.walk, head.base), (node("s01"), 17, Key::new(2, 5)));
        }
        other => panic!("{other:?}"),
    }
    for garbage in [
        text.replace("\"v\":1", "\"v\":0"),
        text.replace("\"v\":1", "\"v\":2").replace("\"seq\":9", "\"seq\":\"9\""),
        text.replace("\"v\":1", "\"v\":2").replace("\"epoch\":3", "\"epoch\":1"),
        text.replace("\"walk\"", " \"walk\""),
        text.replace("\"walk\":17", "\"walk\":17,\"extra\":1"),
        text.replace("event.noted", "event noted"),
        text.replace("\"a\":\"红", "\"a\":\"\\u7ea2"),
        String::new(),
    ] {
        assert!(matches!(Packet::decode(garbage.as_bytes()), Err(DecodeError::Malformed(_))), "{garbage}");
    }
}

#[test]
fn what_is_too_large_is_refused_with_its_head() {
    let mut large = packet();
    large.frame.body = Value::from("x".repeat(limits::RELAY_FRAME_BYTES_MAX + 1000));
    match Packet::decode(&large.encode()) {
        Err(DecodeError::Oversized { head: Some(head), .. }) => assert_eq!(head.key, Key::new(3, 9)),
        other => panic!("{other:?}"),
    }
    let huge = vec![b'['; limits::RELAY_PACKET_BYTES_READ_MAX + 1];
    assert!(matches!(Packet::decode(&huge), Err(DecodeError::Oversized { head: None, .. })));
}

#[test]
fn numbers_that_nobody_counts_to_are_refused() {
    let text = String::from_utf8(packet().encode()).unwrap();
    let large = text.replace("\"seq\":9", &format!("\"seq\":{}", u64::MAX));
    assert!(matches!(Packet::decode(large.as_bytes()), Err(DecodeError::Malformed(_))));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_frame_is_the_same_bytes_at_every_level(body in value(), epoch in 1..9u64, seq in 1..99u64, at: i64) {
        let frame = Frame::behind(Mark::default(), &node("s01"), Key::new(epoch, seq), UtcMicros(at), "event.noted", body);
        let packet = Packet { base: Key::default(), walk: 1, frame };
        let bytes = packet.encode();
        let read = Packet::decode(&bytes).unwrap();
        prop_assert_eq!(read.frame.chain_behind(Chain::default()), read.frame.chain);
        // As a county keeps it: within a record of its journal.
        let kept = serde_json::to_vec(&json!({"parts": [{"frames": [read.frame]}]})).unwrap();
        let mut kept: Value = serde_json::from_slice(&kept).unwrap();
        let frame: Frame = serde_json::from_value(kept["parts"][0]["frames"][0].take()).unwrap();
        prop_assert_eq!(Packet { base: Key::default(), walk: 1, frame }.encode(), bytes);
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0..500usize, cut in 0..500usize) {
        let _ = Packet::decode(&bytes);
        let _ = Preview::decode(&bytes);
        let mut mixed = packet().encode();
        let at = at.min(mixed.len());
        mixed.splice(at..(at + bytes.len() / 8).min(mixed.len()), bytes.iter().copied().take(8));
        mixed.truncate(cut.max(1));
        let _ = Packet::decode(&mixed);
        let _ = Preview::decode(&mixed);
    }
}
