#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
//! What other nodes tell, as a centre shows it.

use fengsui_config::ids::NodeId;
use fengsui_relay::event::{Event, EventKind, Phase, Priority, Source};
use fengsui_relay::frame::{Frame, Key, Mark, Preview};
use fengsui_relay::inbox::{Applied, AppliedPart};
use serde_json::Value;

use crate::auth::register::kinds;
use crate::desk::remote;
use crate::testing::{NOW, node};

/// Frames of `east` about one door, which say that the centre told them.
fn frames(count: u64) -> (NodeId, Vec<Frame>) {
    let (east, own): (NodeId, NodeId) = ("east".parse().unwrap(), "centre".parse().unwrap());
    let source = Source::node(own);
    let event = Event::new(EventKind::DeviceInput, Priority::Alarm, "door", Phase::Point, NOW, source);
    let mut mark = Mark::default();
    let frames = (1..=count).map(|n| {
        let frame = Frame::behind(mark, &east, Key::new(2, n), NOW, kinds::EVENT_NOTED, event.body());
        mark = frame.mark();
        frame
    });
    let frames = frames.collect();
    (east, frames)
}

fn preview(frame: &Frame) -> Preview {
    let Frame { v, origin, epoch, seq, at_us, kind, body, .. } = frame.clone();
    Preview { v, origin, epoch, seq, at_us, kind, body }
}

#[tokio::test]
async fn a_live_alarm_is_shown_in_the_row_of_its_record_until_that_comes() {
    let node = node();
    let cookie = node.set_up().await;
    let (east, frames) = frames(2);
    let rows = async || node.get("/api/v1/events/rows", &cookie).await.json()["items"].clone();
    let seen = |rows: &Value| {
        let row = |r: &Value| (r["id"].clone(), r["node"].clone(), r["ahead"].clone(), r["count"].clone());
        rows.as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let row = |ahead: bool, count: u64| vec![("east.2.1".into(), "east".into(), ahead.into(), count.into())];
    remote::show(&node.app, &preview(&frames[0]));
    assert_eq!(seen(&rows().await), row(true, 1), "it is the origin's, whatever it says");
    remote::applied(&node.app, NOW, &frames[..1]);
    remote::hide(&node.app, &east, (2, 1), true);
    assert_eq!(seen(&rows().await), row(false, 1));
    remote::show(&node.app, &preview(&frames[1]));
    assert_eq!(seen(&rows().await), row(true, 2), "the same cause is the same row");
    remote::hide(&node.app, &east, (2, 2), false);
    assert_eq!(seen(&rows().await), row(false, 1), "what never came is not counted");
}

#[tokio::test]
async fn records_of_other_nodes_are_listed_one_by_one_however_they_came() {
    let node = node();
    let cookie = node.set_up().await;
    let (from, all) = frames(7);
    for part in [&all[..5], &all[5..]] {
        let part = AppliedPart { from: from.clone(), base: Some(Key::default()), frames: part.to_vec() };
        let body = serde_json::to_value(Applied { parts: vec![part] }).unwrap();
        node.register.rows.lock().push((kinds::RELAY_APPLIED.to_owned(), body));
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = node.get(&format!("/api/v1/events/records?limit=2&cursor={cursor}"), &cookie).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    let wanted: Vec<String> = (1..=7).rev().map(|n| format!("east.2.{n}")).collect();
    assert_eq!(seen, wanted);
}
