//! Footage around alarms is held for the days of their rules, over a real journal and catalogue.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use fengsui_config::clock::UtcMicros;
use fengsui_storage::retention::hold::Hold;
use serde_json::json;

use super::kit::{counted, path, raise, raised};
use crate::api::retention_tests::keeping;
use crate::duty::{Duty, holds};
use crate::testing::{CAMERA, NOW, Node};

const DAY: Duration = Duration::from_secs(86_400);

fn at(seconds: i64) -> UtcMicros {
    UtcMicros(NOW.0 + seconds * 1_000_000)
}

async fn look(node: &Node) -> Vec<Hold> {
    holds::look(&node.app).await;
    let retained = node.app.retention.read().clone().unwrap();
    retained.retention.holds()
}

#[tokio::test]
async fn footage_around_an_alarm_is_held_once_made_longer_and_released_in_its_time() {
    let (node, retained, _folder) = keeping();
    let cookie = node.set_up().await;
    let id = raised(&node, "a", raise(2)).await;
    let held = look(&node).await;
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].by.as_str(), held[0].from_us, held[0].to_us), ("rule:Doors", at(-60), Some(at(300))));
    assert_eq!(held[0].reason, "alarm/centre/a 30 days: Doors");
    assert!(held[0].cameras.contains(&CAMERA.parse().unwrap()));
    assert_eq!(look(&node).await.len(), 1, "once");
    let shown = node.shown(&cookie, &path(&id.to_string())).await;
    let until = at(0) + DAY * 30;
    assert_eq!(
        shown["hold"],
        json!({"id": 1, "from_us": at(-60).0, "to_us": at(300).0, "until_us": until.0})
    );

    // A moment later is not worth a line; when it goes on, or is silent, all of it is held.
    counted(&node, &id, 2, at(100)).await;
    assert!(look(&node).await[0].extensions.is_empty());
    counted(&node, &id, 3, at(200)).await;
    assert_eq!(look(&node).await[0].to_us, Some(at(520)), "a tenth more than it has gone on");
    counted(&node, &id, 4, at(230)).await;
    assert_eq!(look(&node).await[0].extensions.len(), 1);
    node.clock.advance(Duration::from_secs(600));
    assert_eq!(look(&node).await[0].to_us, Some(at(530)), "five minutes behind the last event");

    // The book is lost, or the alarm is too old to be in it: the hold still ends in its time, and not before.
    node.clock.advance(DAY * 30 - Duration::from_secs(380));
    assert!(look(&node).await[0].is_in_force());
    node.clock.advance(Duration::from_secs(20));
    let none = Duty::new("centre".parse().unwrap(), 2, fengsui_duty::book::Book::default());
    let now = fengsui_config::clock::Clock::utc(&*node.clock);
    let due = none.read(|book| holds::due(book, &retained.retention.holds(), &|_| true, now));
    assert_eq!(due, [holds::Work::Release(1)]);
    let released = look(&node).await;
    assert_eq!(released[0].released.as_ref().unwrap().by, "rule:Doors");
    assert_eq!(look(&node).await.len(), 1, "and is not held again");
}

#[tokio::test]
async fn what_a_person_released_is_not_held_again_and_other_holds_are_left_alone() {
    let (node, retained, _folder) = keeping();
    let id = raised(&node, "a", raise(2)).await;
    let mut none = raise(2);
    none.hold_days = 0;
    raised(&node, "b", none).await;
    let mut elsewhere = raise(2);
    elsewhere.camera = Some("33080200001320000002".parse().unwrap());
    raised(&node, "c", elsewhere).await;
    let held = look(&node).await;
    assert_eq!(held.len(), 1, "neither without days, nor of a camera that is not recorded here");
    retained.retention.release_hold(held[0].id, "not needed", "li").unwrap();
    counted(&node, &id, 2, at(400)).await;
    let held = look(&node).await;
    assert!(held.len() == 1 && !held[0].is_in_force(), "{held:?}");
}
