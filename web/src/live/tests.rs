//! The wall socket over a hub that is fed by hand: the wall alone, and the whole way over a loopback connection.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_wrap,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Message;
use fengsui_config::clock::{Clock as _, UtcMicros};
use fengsui_config::ids::StreamKind;
use fengsui_config::limits;
use fengsui_storage::board::{FailureClass, SessionState};
use fengsui_storage::frame::GapReason;
use futures::{SinkExt as _, StreamExt as _};
use http::Method;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite};

use super::protocol::{FLAG_FIRST, FLAG_KEY, FLAG_WARM, HEADER_BYTES};
use super::wall::Wall;
use crate::auth::access::Principal;
use crate::http::accept::{self, Door};
use crate::testing::{CAMERA, NOW, Node, info, key, node, picture, request};

async fn wall(node: &Node) -> Wall {
    let cookie = node.set_up().await;
    let id = cookie.split_once('=').unwrap().1;
    let principal = Principal::by_session(&node.app.auth, id, [10, 1, 2, 3].into()).unwrap();
    Wall::new(node.app.clone(), principal)
}

fn subscribe(sub: u32, stream: &str, priority: i32) -> String {
    json!({"op": "subscribe", "sub": sub, "camera": CAMERA, "stream": stream, "priority": priority})
        .to_string()
}

/// What one message says: a notice, or flags, tile and sequence number of a picture.
#[derive(Debug, PartialEq)]
enum Said {
    Notice(Value),
    Picture { flags: u8, sub: u32, utc_us: i64, seq: u32, server_us: u32 },
}

fn said_of_bytes(b: &[u8]) -> Said {
    assert!(b.len() > HEADER_BYTES && b[0] == 1 && b[2..4] == [0, 0]);
    assert_eq!(&b[HEADER_BYTES + 4..HEADER_BYTES + 8], b"moof");
    let word = |at: usize| u32::from_be_bytes(b[at..at + 4].try_into().unwrap());
    Said::Picture {
        flags: b[1],
        sub: word(4),
        utc_us: i64::from_be_bytes(b[8..16].try_into().unwrap()),
        seq: word(16),
        server_us: word(20),
    }
}

fn said(message: Message) -> Said {
    match message {
        Message::Text(text) => Said::Notice(serde_json::from_str(&text).unwrap()),
        Message::Binary(bytes) => said_of_bytes(&bytes),
        other => panic!("unexpected {other:?}"),
    }
}

/// Everything that is ready.
fn drain(wall: &mut Wall) -> Vec<Said> {
    std::iter::from_fn(|| wall.take()).flatten().map(said).collect()
}

fn notice<'a>(said: &'a [Said], op: &str) -> &'a Value {
    let found = said.iter().find_map(|s| match s {
        Said::Notice(v) if v["op"] == op => Some(v),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no {op} in {said:?}"))
}

fn flags(said: &[Said]) -> Vec<u8> {
    let flag = |s: &Said| if let Said::Picture { flags, .. } = s { Some(*flags) } else { None };
    said.iter().filter_map(flag).collect()
}

/// Pictures `from..to`, each arriving at its own moment.
fn feed(node: &Node, stream: StreamKind, numbers: std::ops::Range<i64>) {
    let hub = node.hub.stream(key(stream));
    for n in numbers {
        node.clock.advance(Duration::from_millis(40));
        hub.push(picture(n, node.clock.utc()));
    }
}

#[tokio::test]
async fn a_warm_start_begins_at_the_cached_key_frame() {
    let node = node();
    let mut wall = wall(&node).await;
    node.hub.stream(key(StreamKind::Main)).begin(info());
    feed(&node, StreamKind::Main, 0..13);
    assert_eq!(wall.request(&subscribe(7, "main", 0)), None);
    feed(&node, StreamKind::Main, 13..14);
    node.clock.advance(Duration::from_millis(3));
    let all = drain(&mut wall);
    let init = notice(&all, "init");
    assert_eq!((init["sub"].as_u64(), init["codec"].as_str()), (Some(7), Some("avc1.42C01E")));
    assert_eq!((init["width"].as_u64(), init["height"].as_u64()), (Some(640), Some(360)));
    assert_eq!(notice(&all, "state")["state"], "playing");
    assert_eq!(flags(&all), [FLAG_KEY | FLAG_FIRST | FLAG_WARM, FLAG_WARM, FLAG_WARM, 0]);
    let last = all.last().unwrap();
    let expected = Said::Picture { flags: 0, sub: 7, utc_us: NOW.0 + 13 * 40_000, seq: 13, server_us: 3000 };
    assert_eq!(last, &expected);
}

#[tokio::test]
async fn a_slow_wall_is_told_of_the_drop_and_goes_on_at_a_key_frame() {
    let node = node();
    let mut wall = wall(&node).await;
    node.hub.stream(key(StreamKind::Main)).begin(info());
    wall.request(&subscribe(1, "main", 0));
    feed(&node, StreamKind::Main, 0..5);
    assert_eq!(flags(&drain(&mut wall)).len(), 5);
    // Nobody reads for four seconds: four times what a viewer may fall behind.
    feed(&node, StreamKind::Main, 5..105);
    let all = drain(&mut wall);
    let units = notice(&all, "drop")["units"].as_u64().unwrap();
    let shown = flags(&all);
    // One picture may have been in hand already; after it the drop, then a key frame marked as first.
    let resumed = shown.iter().position(|f| f & FLAG_FIRST != 0).unwrap();
    assert!(resumed <= 1, "{shown:?}");
    assert_eq!(shown[resumed] & FLAG_KEY, FLAG_KEY);
    assert_eq!(usize::try_from(units).unwrap() + shown.len(), 100);
    assert!(shown.len() <= 37, "at most a second and the rest of a group: {}", shown.len());
    let viewers = node.app.live.viewers();
    let read = |n: &std::sync::atomic::AtomicU64| n.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((viewers.len(), read(&viewers[0].dropped)), (1, units));
    assert_eq!(read(&viewers[0].units), 5 + shown.len() as u64);
    let quick = node.app.live.viewer();
    assert_eq!((read(&quick.dropped), quick.number), (0, viewers[0].number + 1), "nobody else's");
    drop((wall, viewers, quick));
    assert!(node.app.live.viewers().is_empty());
}

#[tokio::test]
async fn the_tile_with_the_highest_priority_is_served_first() {
    let node = node();
    let mut wall = wall(&node).await;
    for stream in [StreamKind::Main, StreamKind::Sub] {
        node.hub.stream(key(stream)).begin(info());
    }
    wall.request(&subscribe(1, "sub", 0));
    wall.request(&subscribe(2, "main", 5));
    feed(&node, StreamKind::Sub, 0..3);
    feed(&node, StreamKind::Main, 0..3);
    let order = |all: &[Said]| -> Vec<u32> {
        let sub = |s: &Said| if let Said::Picture { sub, .. } = s { Some(*sub) } else { None };
        all.iter().filter_map(sub).collect()
    };
    assert_eq!(order(&drain(&mut wall)), [2, 2, 2, 1, 1, 1]);
    wall.request(&json!({"op": "priority", "sub": 1, "priority": 9}).to_string());
    feed(&node, StreamKind::Sub, 3..5);
    feed(&node, StreamKind::Main, 3..5);
    assert_eq!(order(&drain(&mut wall)), [1, 1, 2, 2]);
}

#[tokio::test]
async fn viewers_are_counted_while_they_watch_and_no_longer() {
    let node = node();
    let mut wall = wall(&node).await;
    let hub = node.hub.stream(key(StreamKind::Sub));
    wall.request(&subscribe(1, "sub", 0));
    wall.request(&subscribe(2, "sub", 0));
    assert_eq!((hub.viewers(), node.app.live.subscriptions()), (2, 2));
    wall.request(&json!({"op": "unsubscribe", "sub": 1}).to_string());
    drain(&mut wall);
    assert_eq!((hub.viewers(), node.app.live.subscriptions()), (1, 1));
    wall.request(&subscribe(2, "sub", 0));
    drain(&mut wall);
    assert_eq!((hub.viewers(), node.app.live.subscriptions()), (1, 1));
    drop(wall);
    assert_eq!((hub.viewers(), node.app.live.subscriptions()), (0, 0));
}

#[tokio::test]
async fn waiting_tiles_are_told_the_state_of_their_stream_when_it_changes() {
    let node = node();
    let mut wall = wall(&node).await;
    wall.request(&subscribe(1, "sub", 0));
    let states = |wall: &mut Wall| wall.states().into_iter().map(said).collect::<Vec<_>>();
    assert_eq!(notice(&states(&mut wall), "state")["state"], "waiting");
    assert!(states(&mut wall).is_empty(), "said once");
    let place = node.app.board.place(key(StreamKind::Sub), NOW);
    place.lock().state = SessionState::BackOff;
    place.lock().failure = Some(FailureClass::Auth);
    place.lock().detail = Some("The camera refused the password.".into());
    let told = states(&mut wall);
    let told = notice(&told, "state");
    assert_eq!((told["state"].as_str(), told["reason"].as_str()), (Some("offline"), Some("auth")));
    assert_eq!(told["detail"], "The camera refused the password.");
}

#[tokio::test]
async fn a_stream_that_ends_says_so_and_starts_again_with_a_key_frame() {
    let node = node();
    let mut wall = wall(&node).await;
    let hub = node.hub.stream(key(StreamKind::Main));
    hub.begin(info());
    wall.request(&subscribe(1, "main", 0));
    feed(&node, StreamKind::Main, 0..2);
    drain(&mut wall);
    node.app.board.place(key(StreamKind::Main), NOW).lock().state = SessionState::Stalled;
    hub.end(GapReason::Network);
    assert_eq!(notice(&drain(&mut wall), "state")["state"], "stalled");
    hub.begin(info());
    feed(&node, StreamKind::Main, 9..11);
    let all = drain(&mut wall);
    assert_eq!(notice(&all, "state")["state"], "playing");
    assert_eq!(flags(&all), [FLAG_KEY | FLAG_FIRST]);
}

#[tokio::test]
async fn what_cannot_be_shown_is_refused_with_a_word() {
    let node = node();
    let mut wall = wall(&node).await;
    let mut refused = |text: &str| {
        let answer = wall.request(text).map(|n| serde_json::from_str::<Value>(&n.text()).unwrap());
        answer.map(|v| v["code"].as_str().unwrap().to_owned())
    };
    let of = |camera: &str, stream: &str| {
        json!({"op": "subscribe", "sub": 1, "camera": camera, "stream": stream}).to_string()
    };
    assert_eq!(refused("hello").as_deref(), Some("bad_request"));
    assert_eq!(refused(&of("12", "sub")).as_deref(), Some("bad_request"));
    assert_eq!(refused(&of(CAMERA, "third")).as_deref(), Some("bad_request"));
    assert_eq!(refused(&of("33080200001320000099", "sub")).as_deref(), Some("not_found"));
    assert_eq!(refused(&of("33080200001320000002", "sub")).as_deref(), Some("not_found"));
    for sub in 0..limits::LIVE_SUBSCRIPTIONS_PER_SOCKET_MAX {
        assert_eq!(refused(&subscribe(u32::try_from(sub).unwrap(), "sub", 0)), None);
    }
    assert_eq!(refused(&subscribe(99_999, "sub", 0)).as_deref(), Some("too_many"));
    assert_eq!(node.app.live.subscriptions(), limits::LIVE_SUBSCRIPTIONS_PER_SOCKET_MAX);
}

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Serves the node on a loopback port and opens its wall socket.
async fn connect(node: &Node, cookie: &str) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slots = Arc::new(tokio::sync::Semaphore::new(8));
    let (router, tasks, stop) = (node.router.clone(), node.app.tasks.clone(), node.app.stop.clone());
    let door = Door { listener, tls: None };
    node.app.tasks.spawn(accept::serve(door, router, tasks, slots, stop));
    let mut request = format!("ws://{address}/api/v1/live/ws").into_client_request().unwrap();
    // Of the door that the test's requests come to, for this one.
    let cookie = cookie.replace("-8080=", &format!("-{}=", address.port()));
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    request.headers_mut().insert("origin", format!("http://{address}").parse().unwrap());
    tokio_tungstenite::connect_async(request).await.expect("the wall socket opens").0
}

async fn next(client: &mut Client) -> tungstenite::Message {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(10), client.next()).await;
        match message.expect("a message in time").expect("an open socket").expect("a whole message") {
            tungstenite::Message::Ping(_) => {}
            other => return other,
        }
    }
}

fn closed(message: &tungstenite::Message) -> Option<CloseCode> {
    match message {
        tungstenite::Message::Close(frame) => Some(frame.as_ref().map_or(CloseCode::Normal, |f| f.code)),
        _ => None,
    }
}

#[tokio::test]
async fn pictures_come_over_a_real_connection_until_log_out() {
    let node = node();
    let cookie = node.set_up().await;
    let mut client = connect(&node, &cookie).await;
    node.hub.stream(key(StreamKind::Main)).begin(info());
    feed(&node, StreamKind::Main, 0..3);
    client.send(tungstenite::Message::text(subscribe(4, "main", 0))).await.unwrap();
    let mut pictures = 0;
    while pictures < 3 {
        if let tungstenite::Message::Binary(bytes) = next(&mut client).await {
            let Said::Picture { sub, utc_us, .. } = said_of_bytes(&bytes) else { unreachable!() };
            assert_eq!((sub, utc_us), (4, NOW.0 + pictures * 40_000));
            pictures += 1;
        }
    }
    assert_eq!(node.app.live.sockets(), 1);
    node.send(request(Method::DELETE, "/api/v1/session", Some(&cookie), None)).await;
    let code = loop {
        if let Some(code) = closed(&next(&mut client).await) {
            break code;
        }
    };
    assert_eq!(code, CloseCode::Policy);
}

#[tokio::test]
async fn a_node_that_stops_says_goodbye_and_waits_for_nobody() {
    let node = node();
    let cookie = node.set_up().await;
    let mut client = connect(&node, &cookie).await;
    client.send(tungstenite::Message::text(subscribe(1, "sub", 0))).await.unwrap();
    while !matches!(next(&mut client).await, tungstenite::Message::Text(_)) {}
    node.app.stop.cancel();
    node.app.tasks.close();
    let code = loop {
        if let Some(code) = closed(&next(&mut client).await) {
            break code;
        }
    };
    assert_eq!(code, CloseCode::Away);
    drop(client);
    let ended = tokio::time::timeout(Duration::from_secs(10), node.app.tasks.wait()).await;
    assert!(ended.is_ok(), "every task ends");
    assert_eq!(node.app.live.sockets(), 0);
}

#[tokio::test]
async fn the_wall_needs_a_log_in() {
    let node = node();
    let _cookie = node.set_up().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slots = Arc::new(tokio::sync::Semaphore::new(8));
    let door = Door { listener, tls: None };
    let (router, tasks, stop) = (node.router.clone(), node.app.tasks.clone(), node.app.stop.clone());
    node.app.tasks.spawn(accept::serve(door, router, tasks, slots, stop));
    let refused = tokio_tungstenite::connect_async(format!("ws://{address}/api/v1/live/ws")).await;
    let Err(tungstenite::Error::Http(response)) = refused else { panic!("opened without a log-in") };
    assert_eq!(response.status(), 401);
    assert_eq!(node.clock.utc(), UtcMicros(NOW.0));
}
