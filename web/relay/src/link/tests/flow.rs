//! What was acknowledged is there, whatever happens to the server; what was read goes on where it stood.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::kit::{Centre, LONG, SETTINGS, frame, id, open, program, senders, store, take, until};
use crate::link::{
    BucketSettings, ConsumerSettings, Link as _, LinkError, Plan, Publication, StreamSettings,
};

#[tokio::test]
async fn an_acknowledgement_comes_only_once_the_server_has_the_message() {
    let program = program!();
    let mut centre = Centre::start(&program, &["east"]);
    let east = centre.link("east").await;
    // Without a stream nobody acknowledges.
    assert_eq!(store(&east, frame("east", 1)).await, Err(LinkError::Nobody("fengsui.up.east".into())));
    let city = centre.centre().await;
    let first = store(&east, frame("east", 1)).await.unwrap();
    let again = east.publish(frame("east", 1)).await.unwrap().await.unwrap();
    assert_eq!((again.sequence, again.duplicate), (first, true), "known by its Msg-Id");
    let next = store(&east, frame("east", 2)).await.unwrap();
    assert_eq!(city.backlog().await.unwrap().0, 2);
    // A server that is gone acknowledges nothing, and nobody waits for the time-out.
    centre.server.kill().unwrap();
    let began = tokio::time::Instant::now();
    let lost = store(&east, frame("east", 3)).await.unwrap_err();
    assert!(matches!(lost, LinkError::Lost | LinkError::Down), "{lost:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
    centre.server.start_again().unwrap();
    tokio::time::timeout(LONG, east.up()).await.unwrap().unwrap();
    until("the stream is back", async || store(&east, frame("east", 3)).await.is_ok_and(|n| n > next)).await;
    assert_eq!(take(&city, 3).await, ["east 1", "east 2", "east 3"]);
    let counters = east.counters();
    assert_eq!(counters.published, counters.acknowledged + counters.unacknowledged);
}

/// The server is killed again and again while frames flow. Whatever was acknowledged comes out, each sender's frames in
/// order, after repeats are left out as the centre leaves them out.
#[tokio::test]
async fn a_killed_server_loses_no_acknowledged_message() {
    const FRAMES: u64 = 400;
    let program = program!();
    let mut centre = Centre::start(&program, &["east"]);
    let city = centre.centre().await;
    let east = centre.link("east").await;
    let mut acknowledged = BTreeSet::new();
    let mut n = 1;
    let mut kills = 0;
    while n <= FRAMES {
        if n == FRAMES / 4 * (kills + 1) && kills < 3 {
            // Several are under way when it dies.
            let mut under_way = Vec::new();
            for ahead in 0..20 {
                under_way
                    .extend(east.publish(frame("east", n + ahead)).await.ok().map(|ack| (n + ahead, ack)));
            }
            centre.server.kill().unwrap();
            for (number, ack) in under_way {
                if ack.await.is_ok() {
                    acknowledged.insert(number);
                }
            }
            centre.server.start_again().unwrap();
            kills += 1;
        }
        if store(&east, frame("east", n)).await.is_ok() {
            acknowledged.insert(n);
            n += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!((acknowledged.len() as u64 >= FRAMES, kills), (true, 3));
    let mut seen = BTreeSet::new();
    let mut frames = city.frames(&id("east")).await.unwrap();
    while seen.len() < acknowledged.len() {
        let batch = frames.batch(LONG).await.unwrap();
        assert!(!batch.is_empty(), "{} of {} came", seen.len(), acknowledged.len());
        for delivery in batch {
            delivery.acknowledge().await.unwrap();
            let text = String::from_utf8(delivery.payload.to_vec()).unwrap();
            seen.insert(text.strip_prefix("east ").unwrap().parse::<u64>().unwrap());
        }
    }
    assert!(acknowledged.is_subset(&seen));
}

#[tokio::test]
async fn reading_goes_on_where_it_stood_after_a_restart_and_after_a_crash_of_the_centre() {
    let program = program!();
    let mut centre = Centre::start(&program, &["east"]);
    let city = centre.centre().await;
    let east = centre.link("east").await;
    for n in 1..=10 {
        store(&east, frame("east", n)).await.unwrap();
    }
    let mut frames = city.frames(&id("east")).await.unwrap();
    let mut batch = Vec::new();
    while batch.len() < 10 {
        batch.extend(frames.batch(LONG).await.unwrap());
    }
    for delivery in &batch[..4] {
        delivery.acknowledge().await.unwrap();
    }
    city.client.flush().await.unwrap();
    until("four are done with", async || {
        (city.backlog().await.unwrap().0, city.unacknowledged(&id("east")).await.unwrap()) == (6, 6)
    })
    .await;
    // The centre dies with six frames in hand; the next one gets them at once and in order, not after the ack wait.
    drop((frames, batch));
    city.close().await;
    let city = centre.centre().await;
    let began = tokio::time::Instant::now();
    let rest: Vec<String> = (5..=10).map(|n| format!("east {n}")).collect();
    assert_eq!(take(&city, 6).await, rest, "all that was not acknowledged, in order");
    assert!(began.elapsed() < ConsumerSettings::default().ack_wait / 2, "{:?}", began.elapsed());
    // The server dies; the reader that is open goes on. What the server had not yet noted as acknowledged may come again.
    until("all are done with", async || city.backlog().await.unwrap().0 == 0).await;
    let mut frames = city.frames(&id("east")).await.unwrap();
    centre.server.kill().unwrap();
    centre.server.start_again().unwrap();
    tokio::time::timeout(LONG, east.up()).await.unwrap().unwrap();
    until("the stream is back", async || store(&east, frame("east", 11)).await.is_ok()).await;
    let mut seen = Vec::new();
    until("the reader goes on", async || {
        match frames.batch(Duration::from_secs(1)).await {
            Ok(batch) => seen.extend(batch.into_iter().map(|d| d.payload)),
            Err(_) => {
                if let Ok(again) = city.frames(&id("east")).await {
                    frames = again;
                }
            }
        }
        seen.iter().any(|payload| payload == "east 11")
    })
    .await;
}

#[tokio::test]
async fn changed_settings_are_taken_over_without_losing_a_message() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let city = centre.link("centre").await;
    let east = centre.link("east").await;
    let sender = [id("east")];
    let ensure = async |settings, consumer| {
        let second = city.ensure_consumer(&sender[0], consumer).await.unwrap_or(Plan::Create);
        Ok::<_, LinkError>((city.ensure_stream(settings, consumer, &sender).await?, second))
    };
    let usual = ConsumerSettings::default();
    assert_eq!(ensure(SETTINGS, usual).await.unwrap(), (Plan::Create, Plan::Create));
    assert_eq!(ensure(SETTINGS, usual).await.unwrap(), (Plan::Keep, Plan::Keep));
    for n in 1..=5 {
        let large = Publication { payload: Bytes::from(vec![b'x'; 100_000]), ..frame("east", n) };
        store(&east, large).await.unwrap();
    }
    // Smaller than what is in it: it takes nothing more in, and forgets nothing.
    let small = StreamSettings { bytes_max: 300_000, ..SETTINGS };
    let patient = ConsumerSettings { ack_wait: Duration::from_secs(33), acks_pending_max: 17 };
    let (stream, consumer) = ensure(small, patient).await.unwrap();
    let (Plan::Update(stream), Plan::Update(consumer)) = (stream, consumer) else { panic!("changed") };
    assert_eq!((stream[0].what, consumer.len()), ("max_bytes", 2));
    assert_eq!(ensure(small, patient).await.unwrap(), (Plan::Keep, Plan::Keep));
    let full = store(&east, frame("east", 6)).await.unwrap_err();
    assert!(matches!(full, LinkError::Full(_)), "{full:?}");
    let seen = take(&city, 5).await;
    assert!(seen.len() == 5 && seen.iter().all(|text| text.len() == 100_000));
    assert_eq!(ensure(small, patient).await.unwrap(), (Plan::Keep, Plan::Keep), "reading changes no setting");
    until("what was taken makes room", async || store(&east, frame("east", 6)).await.is_ok()).await;
}

#[tokio::test]
async fn what_is_acknowledged_while_the_stream_is_made_is_not_swallowed() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let (city, east) = (centre.link("centre").await, centre.link("east").await);
    let made = std::sync::atomic::AtomicBool::new(false);
    let sending = async {
        let mut acknowledged = Vec::new();
        for n in 1.. {
            if store(&east, frame("east", n)).await.is_ok() {
                acknowledged.push(format!("east {n}"));
            }
            if made.load(std::sync::atomic::Ordering::SeqCst) && !acknowledged.is_empty() {
                return acknowledged;
            }
        }
        unreachable!()
    };
    let making = async {
        city.ensure_stream(SETTINGS, ConsumerSettings::default(), &senders()).await.unwrap();
        made.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    let (acknowledged, ()) = tokio::join!(sending, making);
    assert_eq!(city.backlog().await.unwrap().0, acknowledged.len() as u64);
    assert_eq!(take(&city, acknowledged.len()).await, acknowledged);
}

#[tokio::test]
async fn a_frame_put_off_comes_again_and_one_not_taken_too() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let city = centre.link("centre").await;
    let quick = ConsumerSettings { ack_wait: Duration::from_millis(500), ..ConsumerSettings::default() };
    city.ensure_stream(SETTINGS, quick, &senders()).await.unwrap();
    let east = centre.link("east").await;
    store(&east, frame("east", 1)).await.unwrap();
    let mut frames = city.frames(&id("east")).await.unwrap();
    let first = frames.batch(LONG).await.unwrap();
    assert_eq!((first.len(), first[0].delivery), (1, 1));
    first[0].later(Duration::from_millis(50)).await.unwrap();
    let second = frames.batch(LONG).await.unwrap();
    assert_eq!((second[0].delivery, second[0].sequence), (2, first[0].sequence));
    let third = frames.batch(LONG).await.unwrap();
    assert_eq!(third[0].delivery, 3, "nobody acknowledged the second in time");
    third[0].acknowledge().await.unwrap();
    until("done with", async || city.backlog().await.unwrap().0 == 0).await;
    assert!(frames.batch(Duration::from_millis(700)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lease_has_one_winner_at_each_revision() {
    let program = program!();
    let centre = Centre::start(&program, &[]);
    let (one, two) = (centre.link("centre").await, open(centre.options("centre")).await);
    let settings = BucketSettings { name: "leases".into(), max_age: Duration::from_secs(1), replicas: 1 };
    let (mine, yours) = (one.bucket(settings.clone()).await.unwrap(), two.bucket(settings).await.unwrap());
    assert_eq!(mine.get("east").await.unwrap(), None);
    let made = tokio::join!(mine.create("east", "west".into()), yours.create("east", "south".into()));
    let revision = match made {
        (Ok(revision), Err(LinkError::Changed)) | (Err(LinkError::Changed), Ok(revision)) => revision,
        other => panic!("one winner: {other:?}"),
    };
    let entry = yours.get("east").await.unwrap().unwrap();
    assert_eq!(entry.revision, revision);
    let next = mine.update("east", "north".into(), revision).await.unwrap();
    assert_eq!(yours.update("east", "south".into(), revision).await, Err(LinkError::Changed));
    assert_eq!(yours.remove("east", revision).await, Err(LinkError::Changed));
    assert_eq!(yours.get("east").await.unwrap().unwrap().value, "north");
    mine.remove("east", next).await.unwrap();
    assert_eq!(yours.get("east").await.unwrap(), None);
    mine.create("east", "west".into()).await.unwrap();
    until("a lease that nobody renews ends", async || yours.get("east").await.unwrap().is_none()).await;
}

#[tokio::test]
async fn many_frames_of_the_largest_size_are_read_within_the_bounds_of_a_batch() {
    use fengsui_config::limits;
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let city = centre.centre().await;
    let east = centre.link("east").await;
    let bytes = limits::RELAY_PAYLOAD_BYTES_MAX - 1024;
    for n in 1..=40 {
        let large = Publication { payload: Bytes::from(vec![b'x'; bytes]), ..frame("east", n) };
        store(&east, large).await.unwrap();
    }
    let mut frames = city.frames(&id("east")).await.unwrap();
    let mut batch = frames.batch(LONG).await.unwrap();
    if batch.len() == 1 {
        // An answer of the server comes behind the frames that it has sent by then.
        until("more are on their way", async || city.unacknowledged(&id("east")).await.unwrap() >= 3).await;
        batch.extend(frames.batch(LONG).await.unwrap());
        assert!(batch.len() >= 3, "what came together is given together: {}", batch.len());
    }
    let mut next = 1;
    while next <= 40 {
        let size: usize = batch.iter().map(|d| d.payload.len()).sum();
        assert!(!batch.is_empty() && size < limits::RELAY_FETCH_BYTES_MAX + bytes, "{size}");
        for delivery in batch {
            assert_eq!((delivery.sequence, delivery.subject.as_str()), (next, "fengsui.up.east"));
            delivery.acknowledge().await.unwrap();
            next += 1;
        }
        batch = if next <= 40 { frames.batch(LONG).await.unwrap() } else { Vec::new() };
    }
}
