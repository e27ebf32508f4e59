//! Who may do what, seen by trying.

use std::time::Duration;

use bytes::Bytes;
use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_storage::fs::RealFs;

use super::kit::{Centre, LONG, frame, id, key, open, program, settled, store, take, until};
use crate::identity::Authority;
use crate::link::subjects::{STREAM, Subjects};
use crate::link::{Link as _, LinkError, LinkOptions, LinkState, NatsLink};

/// Long enough for a message to arrive that is let through; the centre's own arrive at once.
const A_WHILE: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_node_speaks_on_its_own_subjects_and_on_no_others() {
    let program = program!();
    let centre = Centre::start(&program, &["east", "west"]);
    let city = centre.centre().await;
    let east = centre.link("east").await;
    let mut all = city.subscribe("fengsui.>").await.unwrap();
    settled(&city, "nobody.here").await;
    let own = Subjects::of(&id("east"));
    store(&east, frame("east", 1)).await.unwrap();
    for subject in [own.now(), own.position(), own.presence()] {
        east.tell(&subject, Bytes::from_static(b"mine")).await.unwrap();
    }
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(tokio::time::timeout(LONG, all.next()).await.unwrap().unwrap().subject);
    }
    assert_eq!(heard, [own.up(), own.now(), own.position(), own.presence()]);
    let west = Subjects::of(&id("west"));
    let foreign = [
        west.up(),
        west.now(),
        west.position(),
        west.presence(),
        west.confirm(),
        west.command("ptz"),
        own.confirm(),
        own.command("ptz"),
        "fengsui.up".to_owned(),
        "fengsui.anything".to_owned(),
        "_INBOX_west.x".to_owned(),
        "_INBOX.centre.x".to_owned(),
        format!("$JS.API.STREAM.DELETE.{STREAM}"),
        format!("$JS.API.STREAM.PURGE.{STREAM}"),
        "$KV.leases.x".to_owned(),
        "$SYS.REQ.SERVER.PING".to_owned(),
    ];
    for (refusals, subject) in foreign.iter().enumerate() {
        east.tell(subject, Bytes::from_static(b"not mine")).await.unwrap();
        let what = format!("{subject} is refused");
        until(&what, async || east.counters().server_errors > refusals as u64).await;
    }
    assert!(tokio::time::timeout(A_WHILE, all.next()).await.is_err(), "none of it arrived");
    assert_eq!(take(&city, 1).await, ["east 1"]);
}

#[tokio::test]
async fn a_node_hears_its_own_subjects_and_no_others_and_cannot_read_the_stream() {
    let program = program!();
    let centre = Centre::start(&program, &["east", "west"]);
    let city = centre.centre().await;
    let (east, west) = (centre.link("east").await, centre.link("west").await);
    let (own, other) = (Subjects::of(&id("east")), Subjects::of(&id("west")));
    let mut confirmations = east.subscribe(&own.confirm()).await.unwrap();
    let mut commands = east.subscribe(&own.commands()).await.unwrap();
    let foreign = [
        other.confirm(),
        other.commands(),
        other.up(),
        own.up(),
        "fengsui.up.*".to_owned(),
        "fengsui.>".to_owned(),
        ">".to_owned(),
        "_INBOX_west.>".to_owned(),
        "_INBOX.>".to_owned(),
        "$JS.>".to_owned(),
    ];
    let mut strangers = Vec::new();
    for (refusals, subject) in foreign.iter().enumerate() {
        strangers.push(east.subscribe(subject).await.unwrap());
        let what = format!("{subject} is refused");
        until(&what, async || east.counters().server_errors > refusals as u64).await;
    }
    store(&west, frame("west", 1)).await.unwrap();
    city.tell(&other.confirm(), Bytes::from_static(b"for west")).await.unwrap();
    city.tell(&own.confirm(), Bytes::from_static(b"for east")).await.unwrap();
    city.tell(&own.command("ptz"), Bytes::from_static(b"left")).await.unwrap();
    let heard = tokio::time::timeout(LONG, confirmations.next()).await.unwrap().unwrap();
    assert_eq!(heard.payload, "for east");
    assert_eq!(tokio::time::timeout(LONG, commands.next()).await.unwrap().unwrap().payload, "left");
    for (stranger, subject) in strangers.iter_mut().zip(&foreign) {
        assert!(tokio::time::timeout(Duration::from_millis(50), stranger.next()).await.is_err(), "{subject}");
    }
    // Neither stream nor buckets answer a node.
    let requests =
        ["STREAM.INFO.FENGSUI_UP", "STREAM.MSG.GET.FENGSUI_UP", "DIRECT.GET.FENGSUI_UP.fengsui.up.west"];
    let consumers =
        ["CONSUMER.MSG.NEXT.FENGSUI_UP.centre-west", "CONSUMER.CREATE.FENGSUI_UP.mine", "STREAM.NAMES"];
    for request in requests.into_iter().chain(consumers) {
        let answered = east.ask(&format!("$JS.API.{request}"), Bytes::from_static(b"{}"), A_WHILE).await;
        assert!(matches!(answered, Err(LinkError::Timeout(_))), "{request}: {answered:?}");
    }
}

/// A node answers what it was asked, once, though it may speak in nobody's inbox unasked.
#[tokio::test]
async fn a_node_answers_once_where_it_was_asked() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let (city, east) = (centre.link("centre").await, centre.link("east").await);
    let own = Subjects::of(&id("east"));
    let mut commands = east.subscribe(&own.commands()).await.unwrap();
    settled(&east, &own.position()).await;
    let answering = async {
        let asked = commands.next().await.unwrap();
        east.answer(&asked, Bytes::from_static(b"turned")).await.unwrap();
        asked
    };
    let subject = own.command("ptz");
    let asking = city.ask(&subject, Bytes::from_static(b"left"), LONG);
    let (asked, answer) = tokio::join!(answering, asking);
    assert_eq!(answer.unwrap(), "turned");
    let before = east.counters().server_errors;
    east.answer(&asked, Bytes::from_static(b"again")).await.unwrap();
    until("a second answer is refused", async || east.counters().server_errors > before).await;
}

/// A reply subject is chosen by the sender. It must not make the server or the centre speak where the sender may not.
#[tokio::test]
async fn a_reply_subject_moves_nothing_that_is_not_the_senders() {
    let program = program!();
    let centre = Centre::start(&program, &["east", "west"]);
    let city = centre.centre().await;
    let east = centre.link("east").await;
    let own = Subjects::of(&id("east"));
    for n in 1..=3 {
        store(&east, frame("east", n)).await.unwrap();
    }
    // The acknowledgement has a field `seq`, as an order to purge has.
    for api in ["PURGE", "DELETE", "MSG.DELETE"] {
        let reply = format!("$JS.API.STREAM.{api}.{STREAM}");
        east.client.publish_with_reply(own.up(), reply, "evil".into()).await.unwrap();
    }
    east.client.flush().await.unwrap();
    store(&east, frame("east", 4)).await.unwrap();
    let mut seen = take(&city, 7).await;
    seen.retain(|text| text != "evil");
    assert_eq!(seen, ["east 1", "east 2", "east 3", "east 4"]);
    // What the stream itself says can be sent to anybody: it is an acknowledgement, and nothing that the sender chose.
    let west = centre.link("west").await;
    let mut confirmations = west.subscribe(&Subjects::of(&id("west")).confirm()).await.unwrap();
    settled(&west, &Subjects::of(&id("west")).position()).await;
    east.client.publish_with_reply(own.up(), "fengsui.confirm.west", "evil".into()).await.unwrap();
    let heard = tokio::time::timeout(LONG, confirmations.next()).await.unwrap().unwrap();
    let heard: serde_json::Value = serde_json::from_slice(&heard.payload).unwrap();
    assert_eq!((heard["stream"].as_str(), heard["seq"].as_u64()), (Some(STREAM), Some(8)));
    // The centre's own answers go to the asker's inbox alone.
    let mut asked = city.subscribe("fengsui.now.*").await.unwrap();
    settled(&city, "nobody.here").await;
    east.client.publish_with_reply(own.now(), "fengsui.confirm.west", "alarm".into()).await.unwrap();
    let question = tokio::time::timeout(LONG, asked.next()).await.unwrap().unwrap();
    let refused = city.answer(&question, Bytes::from_static(b"seen")).await;
    assert_eq!(refused, Err(LinkError::ForeignInbox("fengsui.confirm.west".to_owned())));
    assert_eq!(city.counters().foreign_inboxes, 1);
}

#[tokio::test]
async fn enrolling_opens_the_door_at_once_and_retiring_cuts_a_live_connection() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let city = centre.centre().await;
    let east = centre.link("east").await;
    let west = NatsLink::open(centre.options("west")).await.unwrap();
    let why = why_not(&west).await;
    assert!(why.contains("authorization"), "{why}");
    assert_eq!(store(&west, frame("west", 1)).await, Err(LinkError::Down));
    // West is enrolled: it comes in by itself. East notices nothing.
    let told = centre.let_in(&["east", "west"]).await;
    assert_eq!(told.iter().map(|r| r.refusal.clone()).collect::<Vec<_>>(), [None]);
    tokio::time::timeout(LONG, west.up()).await.unwrap().unwrap();
    store(&west, frame("west", 1)).await.unwrap();
    assert_eq!(east.state().borrow().session(), Some(1));
    // East is retired: its live connection is cut, and it does not come back. West notices nothing.
    centre.let_in(&["west"]).await;
    let mut state = east.state();
    let gone = state.wait_for(|s| matches!(s, LinkState::Down { .. }));
    tokio::time::timeout(LONG, gone).await.unwrap().unwrap();
    until(
        "attempts to come back",
        async || matches!(&*east.state().borrow(), LinkState::Down { why } if why.contains("authorization")),
    )
    .await;
    assert_eq!(store(&east, frame("east", 1)).await, Err(LinkError::Down));
    store(&west, frame("west", 2)).await.unwrap();
    assert_eq!((west.counters().connects, city.counters().connects), (1, 1));
}

#[tokio::test]
async fn a_server_with_a_certificate_of_another_authority_is_not_believed() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let now = SystemClock::new().utc();
    Authority::load_or_create(&RealFs, elsewhere.path(), now).unwrap();
    let other = elsewhere.path().join("authority.crt");
    let east = NatsLink::open(LinkOptions { authority: other, ..centre.options("east") }).await.unwrap();
    let why = why_not(&east).await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    // An address that does not ask for TLS gets it all the same.
    let other = elsewhere.path().join("authority.crt");
    let plain = vec![centre.url().replace("tls", "nats")];
    let plain = LinkOptions { servers: plain, authority: other, ..centre.options("east") };
    let why = why_not(&NatsLink::open(plain).await.unwrap()).await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    // And a key that nobody enrolled is let in by no certificate.
    let stranger =
        NatsLink::open(LinkOptions { key: key("stranger"), ..centre.options("east") }).await.unwrap();
    let why = why_not(&stranger).await;
    assert!(why.contains("authorization"), "{why}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_after_a_reload_and_connections_stay() {
    let program = program!();
    let centre = Centre::start(&program, &["east"]);
    let east = centre.link("east").await;
    let now = SystemClock::new().utc();
    let authority = Authority::load_or_create(&RealFs, centre.folder.path(), now).unwrap();
    assert!(authority.server(&RealFs, &["localhost".to_owned()], now).unwrap().made);
    centre.let_in(&["east"]).await;
    let port = centre.server.address().port();
    let renamed =
        LinkOptions { servers: vec![format!("tls://localhost:{port}")], ..centre.options("centre") };
    let city = open(renamed).await;
    let why = why_not(&NatsLink::open(centre.options("centre")).await.unwrap()).await;
    assert!(why.contains("certificate"), "the old name is in it no more: {why}");
    settled(&east, &Subjects::of(&id("east")).position()).await;
    assert_eq!((east.counters().connects, city.counters().connects), (1, 1));
}

/// What a link met that does not come up.
async fn why_not(link: &NatsLink) -> String {
    let mut state = link.state();
    let seen = state.wait_for(|s| matches!(s, LinkState::Connecting { why: Some(_) } | LinkState::Up { .. }));
    match tokio::time::timeout(LONG, seen).await.unwrap().unwrap().clone() {
        LinkState::Connecting { why: Some(why) } => why,
        other => panic!("{other:?}"),
    }
}
