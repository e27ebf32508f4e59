//! Nothing grows without a bound, and nobody pays for another.

use std::time::Duration;

use bytes::Bytes;
use fengsui_config::limits;

use super::kit::{Centre, LONG, SETTINGS, frame, id, program, senders, settled, store, until};
use crate::link::subjects::Subjects;
use crate::link::{ConsumerSettings, Link as _, LinkError, Publication, settings};

#[tokio::test]
async fn a_subscriber_that_does_not_read_costs_a_bounded_queue_and_counted_drops() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let city = centre.link("centre").await;
    let east = centre.link("east").await;
    let mut slow = city.subscribe("fengsui.now.*").await.unwrap();
    let mut quick = city.subscribe("fengsui.presence.*").await.unwrap();
    settled(&city, "nobody.here").await;
    let own = Subjects::of(&id("east"));
    let sent = limits::RELAY_SUBSCRIPTION_MESSAGES_MAX as u64 + 300;
    for n in 0..sent {
        east.tell(&own.now(), Bytes::from(n.to_string())).await.unwrap();
    }
    east.tell(&own.presence(), Bytes::from_static(b"here")).await.unwrap();
    // Another subscription of the same link is not held up.
    assert_eq!(tokio::time::timeout(LONG, quick.next()).await.unwrap().unwrap().payload, "here");
    until("all arrived", async || {
        let c = city.counters();
        c.received + c.dropped_below > sent
    })
    .await;
    let counters = city.counters();
    assert_eq!(counters.dropped + counters.dropped_below, 300);
    for n in 0..limits::RELAY_SUBSCRIPTION_MESSAGES_MAX {
        let message = tokio::time::timeout(LONG, slow.next()).await.unwrap().unwrap();
        if counters.dropped_below == 0 {
            assert_eq!(message.payload, n.to_string(), "the oldest stay");
        }
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), slow.next()).await.is_err());
    east.tell(&own.now(), Bytes::from_static(b"after")).await.unwrap();
    assert_eq!(tokio::time::timeout(LONG, slow.next()).await.unwrap().unwrap().payload, "after");
}

#[tokio::test]
async fn what_is_under_way_without_an_acknowledgement_is_bounded() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let _city = centre.centre().await;
    let east = centre.link("east").await;
    let mut under_way = Vec::new();
    let most = limits::RELAY_PUBLISHES_UNDER_WAY_MAX as u64;
    for n in 1..=most {
        under_way.push(east.publish(frame("east", n)).await.unwrap());
    }
    // Nobody took an acknowledgement: there is no room for one more.
    assert!(matches!(east.publish(frame("east", most + 1)).await, Err(LinkError::Busy)));
    assert_eq!(east.counters().refused, 1);
    assert!(under_way.swap_remove(0).await.is_ok());
    assert!(east.publish(frame("east", most + 1)).await.unwrap().await.is_ok());
    let large = Publication {
        payload: Bytes::from(vec![0; limits::RELAY_PAYLOAD_BYTES_MAX + 1]),
        ..frame("east", 999)
    };
    assert!(matches!(east.publish(large).await, Err(LinkError::TooLarge(..))));
}

#[tokio::test]
async fn a_sender_that_fills_its_share_of_the_stream_holds_up_nobody_else() {
    let program = program!();
    let centre = Centre::start(&program, &["east", "west"]);
    let city = centre.centre().await;
    let (east, west) = (centre.link("east").await, centre.link("west").await);
    // A share of the tests' size in the place of the real one, which `settings` has in the same field.
    let wanted = settings::stream(SETTINGS);
    assert!(wanted.discard_new_per_subject && wanted.max_messages_per_subject > 0);
    let small = async_nats::jetstream::stream::Config { max_messages_per_subject: 5, ..wanted };
    city.jetstream.update_stream(small).await.unwrap();
    for n in 1..=5 {
        store(&east, frame("east", n)).await.unwrap();
    }
    let refused = store(&east, frame("east", 6)).await.unwrap_err();
    assert!(matches!(refused, LinkError::Full(_)), "{refused:?}");
    store(&west, frame("west", 1)).await.unwrap();
    // The centre puts it right at its next start, and nothing was forgotten.
    city.ensure_stream(SETTINGS, ConsumerSettings::default(), &senders()).await.unwrap();
    store(&east, frame("east", 6)).await.unwrap();
    assert_eq!(city.backlog().await.unwrap().0, 7);
}

#[tokio::test]
async fn without_a_connection_nothing_is_queued_and_closing_ends_everything() {
    let program = program!();
    let mut centre = Centre::start(&program, &["east"]);
    let east = centre.link("east").await;
    let mut confirmations = east.subscribe(&Subjects::of(&id("east")).confirm()).await.unwrap();
    centre.server.kill().unwrap();
    let mut state = east.state();
    let down = state.wait_for(|s| s.session().is_none());
    tokio::time::timeout(LONG, down).await.unwrap().unwrap();
    let own = Subjects::of(&id("east"));
    for _ in 0..10_000 {
        assert_eq!(east.tell(&own.now(), Bytes::from_static(b"x")).await, Err(LinkError::Down));
    }
    assert_eq!(east.ask(&own.position(), Bytes::new(), LONG).await, Err(LinkError::Down));
    assert_eq!(east.counters().refused, 10_001);
    centre.server.start_again().unwrap();
    assert_eq!(tokio::time::timeout(LONG, east.up()).await.unwrap(), Some(2));
    // The subscription came along.
    settled(&east, &own.position()).await;
    let city = centre.link("centre").await;
    city.tell(&own.confirm(), Bytes::from_static(b"still")).await.unwrap();
    assert_eq!(tokio::time::timeout(LONG, confirmations.next()).await.unwrap().unwrap().payload, "still");
    east.close().await;
    assert_eq!(tokio::time::timeout(LONG, confirmations.next()).await.unwrap(), None);
    assert_eq!(east.tell(&own.now(), Bytes::new()).await, Err(LinkError::Down));
}
