//! A node behind a bad network.

use std::time::Duration;

use bytes::Bytes;

use super::kit::{Centre, LONG, frame, id, open, program, settled, store, take, until};
use super::proxy::{Fault, Proxy};
use crate::link::subjects::Subjects;
use crate::link::{Link as _, LinkOptions, NatsLink};

async fn behind(centre: &Centre, proxy: &Proxy, name: &str) -> NatsLink {
    open(LinkOptions { servers: vec![format!("tls://{}", proxy.address())], ..centre.options(name) }).await
}

/// Sends frames in order, each until it is acknowledged, as an outbox with a window of one does.
async fn send_all(east: &NatsLink, frames: u64) {
    for n in 1..=frames {
        while store(east, frame("east", n)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_died_in_silence_is_noticed_and_made_anew() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let city = centre.centre().await;
    let proxy = Proxy::start(centre.server.address(), 1).await.unwrap();
    let east = behind(&centre, &proxy, "east").await;
    store(&east, frame("east", 1)).await.unwrap();
    for (session, fault) in [(2, Fault::HalfOpen), (3, Fault::BlackHole)] {
        proxy.set(fault);
        let mut state = east.state();
        // Nothing is sent: signs of life alone find it.
        let noticed = state.wait_for(|s| s.session() != Some(session - 1));
        tokio::time::timeout(Duration::from_secs(20), noticed).await.expect("noticed in time").unwrap();
        proxy.set(Fault::None);
        assert_eq!(tokio::time::timeout(LONG, east.up()).await.unwrap(), Some(session), "{fault:?}");
        until("it works again", async || store(&east, frame("east", session)).await.is_ok()).await;
    }
    assert_eq!(take(&city, 3).await, ["east 1", "east 2", "east 3"]);
}

#[tokio::test]
async fn a_slow_and_late_line_carries_alarms_and_frames_all_the_same() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let city = centre.centre().await;
    let proxy = Proxy::start(centre.server.address(), 2).await.unwrap();
    let east = behind(&centre, &proxy, "east").await;
    let mut asked = city.subscribe("fengsui.now.*").await.unwrap();
    settled(&city, "nobody.here").await;
    for fault in [Fault::Delay(Duration::from_millis(300)), Fault::Slow(8000)] {
        proxy.set(fault);
        let subject = Subjects::of(&id("east")).now();
        let answering = async {
            let question = asked.next().await.unwrap();
            city.answer(&question, Bytes::from_static(b"seen")).await.unwrap();
        };
        let asking = east.ask(&subject, Bytes::from_static(b"alarm"), LONG);
        let ((), answer) = tokio::join!(answering, asking);
        assert_eq!(answer.unwrap(), "seen", "{fault:?}");
    }
    for n in 1..=5 {
        store(&east, frame("east", n)).await.unwrap();
    }
    assert_eq!(take(&city, 5).await.len(), 5);
    assert_eq!(east.state().borrow().session(), Some(1), "a slow line is no dead one");
}

#[tokio::test]
async fn faults_of_a_seed_lose_nothing_and_keep_the_order_of_a_sender() {
    let program = program!();
    let seed = rand::random::<u64>();
    let centre = Centre::start(&program, &["east"]);
    let city = centre.centre().await;
    let proxy = Proxy::start(centre.server.address(), seed).await.unwrap();
    let east = behind(&centre, &proxy, "east").await;
    let plan = Fault::drawn(seed, 6, Duration::from_millis(700));
    let sending = async {
        let going = tokio::time::timeout(LONG, send_all(&east, 300)).await;
        going.unwrap_or_else(|_| panic!("seed {seed}: {:?} {:?}", east.state().borrow(), east.counters()));
    };
    tokio::join!(sending, proxy.play(plan));
    assert!(proxy.passed() > 300, "it went through the proxy");
    let seen = take(&city, 300).await;
    let wanted: Vec<String> = (1..=300).map(|n| format!("east {n}")).collect();
    assert_eq!(seen, wanted, "seed {seed}");
}
