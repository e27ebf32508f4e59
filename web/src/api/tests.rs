//! The API as a browser meets it, in process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_config::ids::StreamKind;
use fengsui_config::limits;
use fengsui_storage::board::{FailureClass, SessionState};
use http::{Method, StatusCode};
use serde_json::json;

use crate::http::policy::Policy;
use crate::media::Stretch;
use crate::recordings::RecordingNow;
use crate::testing::{CAMERA, NAME, NOW, OFFLINE, PASSWORD, key, node, request};

/// A path with its parameters filled in.
fn concrete(path: &str) -> String {
    path.replace("{camera}", CAMERA)
        .replace("{code}", CAMERA)
        .replace("{stream}", "main")
        .replace("{init}", "1790000000000_1_i")
        .replace("{id}", "1790000000000_1_0")
        .replace("{name}", "1790000000000_1_300000_vk.mp4")
        .replace("{segment}", "1790000000000_1_300000_vk.mp4")
        .replace("{part}", "0.m4s")
        .replace("{volume}", "v1")
        .replace("{order}", "drain")
        .replace("{row}", "centre.1.1")
        .replace("{token}", "0123456789ab")
}

#[tokio::test]
async fn every_route_but_the_public_ones_asks_who_it_is() {
    let node = node();
    assert!(node.table.len() > 20);
    for entry in &node.table {
        let answer =
            node.send(request(entry.method.clone(), &concrete(entry.path), None, Some(&json!({})))).await;
        let centre = matches!(entry.policy, Policy::Centre | Policy::CentreCamera);
        let (status, code) = match centre {
            // Nobody becomes the centre by logging in.
            true => (StatusCode::FORBIDDEN, "forbidden"),
            false => (StatusCode::UNAUTHORIZED, "not_logged_in"),
        };
        let refused = answer.status == status && answer.code() == code;
        let open = matches!(entry.policy, Policy::Public | Policy::SetupOnly);
        assert_eq!(
            refused,
            !open,
            "{} {} gave {} {}",
            entry.method,
            entry.path,
            answer.status,
            answer.code()
        );
        if refused && !centre {
            assert_eq!(answer.json()["setup_required"], true, "{}", entry.path);
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
}

#[tokio::test]
async fn the_description_and_the_table_of_routes_are_the_same_set() {
    let node = node();
    let described: serde_json::Value = serde_json::from_str(&super::openapi::text()).unwrap();
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut spec: Vec<String> = described["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let mut routes: Vec<String> = node.table.iter().map(|e| format!("{} {}", e.method, e.path)).collect();
    spec.sort();
    routes.sort();
    assert_eq!(spec, routes);
}

#[test]
fn the_committed_description_is_the_present_one() {
    expect_test::expect_file!["../../openapi.json"].assert_eq(&super::openapi::text());
}

#[tokio::test]
async fn the_first_administrator_is_made_once_and_only_with_the_token() {
    let node = node();
    let body = json!({"token": "00000-00000-00000-00000", "name": NAME, "password": PASSWORD});
    let wrong = node.send(request(Method::POST, "/api/v1/setup", None, Some(&body))).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (StatusCode::FORBIDDEN, "wrong_token"));
    assert_eq!(wrong.json()["field"], "token");
    let cookie = node.set_up().await;
    let who = node.get("/api/v1/session", &cookie).await;
    let rights = ["act", "bulk", "administer"];
    assert_eq!(who.json(), json!({"user": {"name": NAME, "roles": ["administrator"]}, "rights": rights}));
    let again = node.send(request(Method::POST, "/api/v1/setup", None, Some(&body))).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::CONFLICT, "setup_done"));
    let row = &node.register.of("account.created")[0];
    assert!(row["password"].as_str().unwrap().starts_with("$argon2id$"));
    assert!(!node.register.rows.lock().iter().any(|(_, v)| v.to_string().contains(PASSWORD)));
}

#[tokio::test]
async fn a_weak_password_is_refused_and_the_token_stays_good() {
    let node = node();
    let token = node.app.auth.setup.take_for_console().unwrap();
    let weak = json!({"token": token, "name": NAME, "password": "short"});
    let answer = node.send(request(Method::POST, "/api/v1/setup", None, Some(&weak))).await;
    assert_eq!((answer.status, answer.json()["field"].as_str()), (StatusCode::BAD_REQUEST, Some("password")));
    let good = json!({"token": token, "name": NAME, "password": PASSWORD});
    let answer = node.send(request(Method::POST, "/api/v1/setup", None, Some(&good))).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn no_account_is_made_that_is_not_in_the_journal() {
    let node = node();
    let token = node.app.auth.setup.take_for_console().unwrap();
    node.register.broken.store(true, Ordering::SeqCst);
    let body = json!({"token": token, "name": NAME, "password": PASSWORD});
    let answer = node.send(request(Method::POST, "/api/v1/setup", None, Some(&body))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!node.app.auth.accounts.read().has_administrator());
}

#[tokio::test]
async fn log_in_gives_a_strict_cookie_and_log_out_ends_it() {
    let node = node();
    node.set_up().await;
    let body = json!({"name": NAME, "password": PASSWORD});
    let answer = node.send(request(Method::POST, "/api/v1/session", None, Some(&body))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let header = answer.headers["set-cookie"].to_str().unwrap();
    assert!(
        header.starts_with("fengsui-8080=")
            && header.contains("HttpOnly")
            && header.contains("SameSite=Strict")
    );
    assert!(!header.contains("Secure"), "plain HTTP cannot send a secure cookie back");
    let cookie = answer.cookie();
    let out = node.send(request(Method::DELETE, "/api/v1/session", Some(&cookie), None)).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(node.get("/api/v1/session", &cookie).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(node.register.of("session.closed").len(), 1);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_next_minute_is_free_again() {
    let node = node();
    node.set_up().await;
    let wrong = json!({"name": NAME, "password": "wrong password"});
    let right = json!({"name": NAME, "password": PASSWORD});
    for _ in 0..limits::LOGIN_ATTEMPTS_PER_MINUTE_MAX {
        let answer = node.send(request(Method::POST, "/api/v1/session", None, Some(&wrong))).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "wrong_credentials"));
    }
    let answer = node.send(request(Method::POST, "/api/v1/session", None, Some(&right))).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"));
    assert!(answer.headers.contains_key("retry-after"));
    node.clock.advance(Duration::from_secs(60));
    let answer = node.send(request(Method::POST, "/api/v1/session", None, Some(&right))).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(node.register.of("session.refused").len(), limits::LOGIN_ATTEMPTS_PER_MINUTE_MAX as usize);
}

#[tokio::test]
async fn other_origins_may_not_change_anything_nor_open_the_wall() {
    let node = node();
    let cookie = node.set_up().await;
    for (method, path) in [
        (Method::POST, "/api/v1/session"),
        (Method::DELETE, "/api/v1/session"),
        (Method::POST, "/api/v1/tickets"),
    ] {
        let mut foreign = request(method, path, Some(&cookie), Some(&json!({})));
        foreign.headers_mut().insert("origin", "http://evil.test".parse().unwrap());
        let answer = node.send(foreign).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::FORBIDDEN, "wrong_origin"),
            "{path}"
        );
    }
    let mut socket = request(Method::GET, "/api/v1/live/ws", Some(&cookie), None);
    socket.headers_mut().insert("origin", "http://evil.test".parse().unwrap());
    socket.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    assert_eq!(node.send(socket).await.code(), "wrong_origin");
    assert_eq!(node.get("/api/v1/session", &cookie).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let node = node();
    for path in ["/", "/healthz", "/api/v1/session", "/api/v1/nothing"] {
        let answer = node.send(request(Method::GET, path, None, None)).await;
        for header in
            ["content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy"]
        {
            assert!(answer.headers.contains_key(header), "{path} lacks {header}");
        }
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
}

#[tokio::test]
async fn problems_have_one_shape() {
    let node = node();
    let cookie = node.set_up().await;
    let cases = [
        ("/api/v1/nothing", StatusCode::NOT_FOUND, "not_found"),
        ("/api/v1/cameras?limit=many", StatusCode::BAD_REQUEST, "bad_request"),
        ("/api/v1/cameras?state=asleep", StatusCode::BAD_REQUEST, "bad_request"),
        ("/api/v1/cameras?cursor=!!", StatusCode::BAD_REQUEST, "bad_request"),
        ("/api/v1/cameras/33080200001320000009", StatusCode::NOT_FOUND, "not_found"),
        ("/api/v1/cameras/12", StatusCode::BAD_REQUEST, "bad_request"),
        ("/api/v1/footage/12/main/timeline?from_us=0&to_us=1", StatusCode::BAD_REQUEST, "bad_request"),
        (
            "/api/v1/footage/33080200001320000001/third/timeline?from_us=0&to_us=1",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        (
            "/api/v1/footage/33080200001320000001/main/timeline?from_us=5&to_us=1",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        (
            "/api/v1/footage/33080200001320000001/main/gops?from_us=0&to_us=99000000000",
            StatusCode::BAD_REQUEST,
            "bad_request",
        ),
        ("/api/v1/footage/33080200001320000001/main/segments/x.mp4", StatusCode::NOT_FOUND, "not_found"),
    ];
    for (path, status, code) in cases {
        let answer = node.get(path, &cookie).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
        let body = answer.json();
        for member in ["type", "title", "detail"] {
            assert!(body[member].as_str().is_some_and(|t| !t.is_empty()), "{path} lacks {member}");
        }
        assert_eq!(body["status"], status.as_u16());
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let put = node.send(request(Method::PUT, "/api/v1/session", Some(&cookie), None)).await;
    assert_eq!((put.status, put.code().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"));
    let big = json!({"name": "x".repeat(limits::HTTP_BODY_BYTES_MAX), "password": ""});
    let big = node.send(request(Method::POST, "/api/v1/session", None, Some(&big))).await;
    assert_eq!((big.status, big.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
}

#[tokio::test]
async fn cameras_are_listed_with_places_and_states_and_without_secrets() {
    let node = node();
    let cookie = node.set_up().await;
    node.app.board.place(key(StreamKind::Main), NOW).lock().state = SessionState::Playing;
    let sub = node.app.board.place(key(StreamKind::Sub), NOW);
    sub.lock().failure = Some(FailureClass::Auth);
    let now = RecordingNow { recording: false, reason: Some(OFFLINE), since: Some(NOW), last: None };
    node.recordings.now.lock().insert(key(StreamKind::Main), now);
    let page = node.get("/api/v1/cameras", &cookie).await.json();
    assert_eq!((page["total"].as_u64(), &page["next"]), (Some(2), &serde_json::Value::Null));
    let camera = &page["items"][0];
    assert_eq!(camera["sub_centre_name"], "柯城分中心");
    assert_eq!(camera["host"], "127.0.0.1:8554");
    assert_eq!(camera["position"]["lat"], 28.97);
    assert_eq!(camera["streams"]["main"]["state"], "playing");
    assert_eq!(camera["streams"]["sub"]["failure"], "auth");
    assert_eq!(camera["recording"]["state"], "not_recording");
    assert_eq!(camera["recording"]["reason"], "camera_offline");
    assert_eq!(page["items"][1]["recording"]["state"], "off");
    assert!(page["items"][1]["streams"]["sub"].is_null());
    let system = node.get("/api/v1/system", &cookie).await.json();
    assert_eq!(
        system["counts"],
        json!({"cameras": 2, "enabled": 1, "online": 1, "recording": 0, "not_recording": 1, "opening": 0, "waiting": 0,
               "back_off": 0, "remote": 0, "unknown": 0})
    );
    let csv = node.get("/api/v1/cameras.csv", &cookie).await;
    assert!(String::from_utf8_lossy(&csv.body).contains("水亭门东"));
    let one = node.get(&format!("/api/v1/cameras/{CAMERA}"), &cookie).await.json();
    assert_eq!(one["main_url"], "rtsp://127.0.0.1:8554/cam/1/main");
    assert_eq!(one["name"], "水亭门东");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let node = node();
    let cookie = node.set_up().await;
    let total = async |query: &str| {
        node.get(&format!("/api/v1/cameras?{query}"), &cookie).await.json()["total"].clone()
    };
    assert_eq!(total("q=%E4%B8%9C").await, 1);
    assert_eq!(total("q=8554+320000002").await, 1);
    assert_eq!(total("q=nowhere").await, 0);
    assert_eq!(total("state=disabled").await, 1);
    assert_eq!(total("state=offline").await, 1);
    assert_eq!(total("site=33080200002150000001").await, 2);
    assert_eq!(total("site=33080200002150000009").await, 0);
    let first = node.get("/api/v1/cameras?limit=1", &cookie).await.json();
    let cursor = first["next"].as_str().unwrap();
    let second = node.get(&format!("/api/v1/cameras?limit=1&cursor={cursor}"), &cookie).await.json();
    assert_eq!(second["items"][0]["code"], "33080200001320000002");
    assert_eq!((second["total"].as_u64(), second["next"].is_null()), (Some(2), true));
}

#[tokio::test]
async fn the_tree_holds_every_camera_at_its_site() {
    let node = node();
    let cookie = node.set_up().await;
    let tree = node.get("/api/v1/topology", &cookie).await.json();
    let site = &tree["sub_centres"][0]["stations"][0]["sites"][0];
    assert_eq!((site["name"].as_str(), site["kind"].as_str()), (Some("水亭门"), Some("square")));
    assert_eq!(site["cameras"], json!([CAMERA, "33080200001320000002"]));
}

#[tokio::test]
async fn a_timeline_shows_footage_and_gaps_with_reasons() {
    let node = node();
    let cookie = node.set_up().await;
    let at = |s: i64| fengsui_config::clock::UtcMicros(NOW.0 + s * 1_000_000);
    *node.index.spans.lock() = vec![
        (at(0), at(10), Stretch::Footage { open: false, archived: false }),
        (at(10), at(14), Stretch::Gap(OFFLINE)),
        (at(14), at(20), Stretch::Footage { open: true, archived: false }),
    ];
    let path = format!("/api/v1/footage/{CAMERA}/main/timeline?from_us={}&to_us={}", at(0).0, at(60).0);
    let answer = node.get(&path, &cookie).await.json();
    let gap = json!({"kind": "gap", "from_us": at(10).0, "to_us": at(14).0, "reason": "camera_offline"});
    assert_eq!(answer["spans"][1], gap);
    assert_eq!(answer["spans"][2]["open"], true);
    assert_eq!((answer["first_us"].as_i64(), answer["last_us"].as_i64()), (Some(at(0).0), Some(at(20).0)));
    assert!(node.register.of("viewing.footage").is_empty(), "a timeline shows no picture");
}

#[tokio::test]
async fn days_show_minutes_of_many_cameras_and_no_picture() {
    let node = node();
    let cookie = node.set_up().await;
    let at = |s: i64| fengsui_config::clock::UtcMicros(NOW.0 + s * 1_000_000);
    *node.index.spans.lock() = vec![
        (at(0), at(600), Stretch::Footage { open: false, archived: false }),
        (at(600), at(661), Stretch::Gap(OFFLINE)),
        (at(86_400), at(86_401), Stretch::Footage { open: true, archived: false }),
    ];
    let days =
        |rest: &str, to: i64| format!("/api/v1/footage/days?from_us={}&to_us={}{rest}", at(0).0, at(to).0);
    let answer = node.get(&days("", 86_460), &cookie).await.json();
    let items = answer["items"].as_array().unwrap();
    assert!(items.len() > 1 && items.iter().any(|i| i["camera"] == CAMERA), "all cameras: {answer}");
    let one = node.get(&days(&format!("&cameras={CAMERA}"), 86_460), &cookie).await.json();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let first = &one["items"][0]["days"][0];
    assert_eq!(
        (first["footage_us"].as_i64(), first["gap_us"].as_i64()),
        (Some(600_000_000), Some(61_000_000))
    );
    assert_eq!(first["reason"], "camera_offline");
    assert_eq!(first["footage"].as_str().map(|b| (b.len(), &b[..6])), Some((240, "/wMAAA")));
    assert_eq!(first["gaps"].as_str().map(|b| &b[..6]), Some("AAwAAA"));
    let second = json!({"from_us": at(86_400).0, "to_us": at(86_460).0, "footage_us": 1_000_000, "gap_us": 0,
        "footage": "AQ=="});
    assert_eq!(one["items"][0]["days"][1], second);
    assert!(node.register.of("viewing.footage").is_empty(), "days show no picture");
    for (rest, field) in [("&cameras=12", "cameras"), ("&stream=third", "stream")] {
        let refused = node.get(&days(rest, 60), &cookie).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.json().to_string().contains(field), "{rest}");
    }
    let many = vec![CAMERA; 200].join(",");
    let refused = node.get(&days(&format!("&cameras={many}"), 30 * 86_400), &cookie).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(node.get(&days("", 60), "").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_viewing_is_in_the_register_once_before_anything_is_shown() {
    let node = node();
    let cookie = node.set_up().await;
    let path = format!("/api/v1/footage/{CAMERA}/main/gops?from_us={}&to_us={}", NOW.0, NOW.0 + 30_000_000);
    node.register.broken.store(true, Ordering::SeqCst);
    assert_eq!(node.get(&path, &cookie).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    node.register.broken.store(false, Ordering::SeqCst);
    assert_eq!(node.get(&path, &cookie).await.status, StatusCode::OK);
    assert_eq!(node.get(&path, &cookie).await.status, StatusCode::OK);
    let rows = node.register.of("viewing.footage");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0]["by"].as_str(), rows[0]["address"].as_str()), (Some(NAME), Some("10.1.2.3")));
    assert!(rows[0]["from_us"].as_i64().unwrap() <= NOW.0);
    node.clock.advance(Duration::from_secs(3600));
    assert_eq!(node.get(&path, &cookie).await.status, StatusCode::OK);
    assert_eq!(node.register.of("viewing.footage").len(), 2, "a row stands for an hour");
}

#[tokio::test]
async fn a_ticket_opens_its_stream_and_time_and_nothing_else() {
    let node = node();
    let cookie = node.set_up().await;
    let (from, to) = (NOW.0, NOW.0 + 60_000_000);
    let body = json!({"camera": CAMERA, "stream": "main", "from_us": from, "to_us": to});
    let made = node.send(request(Method::POST, "/api/v1/tickets", Some(&cookie), Some(&body))).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    let ticket = made["ticket"].as_str().unwrap();
    let get = async |path: String| node.send(request(Method::GET, &path, None, None)).await;
    let hls = get(made["hls_url"].as_str().unwrap().to_owned()).await;
    assert_eq!(
        (hls.status, hls.code().as_str()),
        (StatusCode::NOT_FOUND, "not_found"),
        "nothing is stored yet"
    );
    let other =
        get(format!("/api/v1/footage/{CAMERA}/sub/hls.m3u8?from_us={from}&to_us={to}&ticket={ticket}")).await;
    assert_eq!(other.code(), "forbidden");
    let late = to + 60_000_000;
    let other =
        get(format!("/api/v1/footage/{CAMERA}/main/hls.m3u8?from_us={to}&to_us={late}&ticket={ticket}"))
            .await;
    assert_eq!(other.code(), "forbidden");
    let other =
        get(format!("/api/v1/footage/{CAMERA}/main/gops?from_us={from}&to_us={to}&ticket={ticket}")).await;
    assert_eq!(other.code(), "not_logged_in", "our own player has a cookie");
    let other = get(format!("/api/v1/cameras?ticket={ticket}")).await;
    assert_eq!(other.code(), "not_logged_in");
    assert_eq!(node.register.of("ticket.issued").len(), 1);
}

#[tokio::test]
async fn metrics_name_every_stream() {
    let node = node();
    let cookie = node.set_up().await;
    node.app.board.place(key(StreamKind::Main), NOW).lock().state = SessionState::Playing;
    let text = String::from_utf8(node.get("/metrics", &cookie).await.body.to_vec()).unwrap();
    assert!(text.contains(&format!("fengsui_stream_up{{camera=\"{CAMERA}\",stream=\"main\"}} 1")), "{text}");
    assert!(text.contains("fengsui_cameras 2"));
    assert!(text.contains("fengsui_volume_free_bytes{volume=\"v1\"} 400"));
}

#[tokio::test]
async fn the_stub_page_says_how_to_build_the_ui_or_the_ui_is_there() {
    let node = node();
    let page = node.send(request(Method::GET, "/wall", None, None)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    let missing = node.send(request(Method::GET, "/assets/none.js", None, None)).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_order_for_a_volume_is_in_the_journal_before_it_is_carried_out() {
    let node = node();
    let cookie = node.set_up().await;
    let list = node.get("/api/v1/volumes", &cookie).await.json();
    assert_eq!(list["volumes"][0]["mode"], "use");
    assert_eq!(list["volumes"][0]["segments"], 3);
    let post = |path: &str| node.send(request(Method::POST, path, Some(&cookie), None));
    assert_eq!(post("/api/v1/volumes/v1/drain").await.status, StatusCode::OK);
    assert_eq!(node.register.of("volume.drained")[0]["volume"], "v1");
    assert_eq!(node.recordings.orders.lock().len(), 1);
    assert_eq!(post("/api/v1/volumes/v9/drain").await.status, StatusCode::NOT_FOUND);
    assert_eq!(post("/api/v1/volumes/v1/explode").await.status, StatusCode::BAD_REQUEST);
    node.register.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(post("/api/v1/volumes/v1/evacuate").await.status.is_server_error());
    assert_eq!(node.recordings.orders.lock().len(), 1, "what is not noted is not done");
    node.register.broken.store(false, std::sync::atomic::Ordering::SeqCst);
    node.recordings.refuse_orders.store(true, std::sync::atomic::Ordering::SeqCst);
    let refused = post("/api/v1/volumes/v1/replace").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.json()["detail"].as_str().unwrap().contains("fengsui volume adopt v1"));
    assert_eq!(node.register.of("volume.order_refused").len(), 1);
}

#[tokio::test]
async fn the_journal_is_read_by_administrators_without_secrets_and_that_is_written_down() {
    let node = node();
    let cookie = node.set_up().await;
    assert_eq!(node.get("/api/v1/journal", "").await.status, StatusCode::UNAUTHORIZED);
    let page = node.get("/api/v1/journal?limit=1000", &cookie).await.json();
    let items = page["items"].as_array().unwrap();
    let kinds: Vec<&str> = items.iter().map(|i| i["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["journal.viewed", "session.opened", "account.created"], "newest first");
    assert_eq!(items[2]["body"]["password"], "***");
    assert_eq!(page["next_before"], serde_json::Value::Null);
    let sessions = node.get("/api/v1/journal?kind=session.,node.started&limit=1&by=li", &cookie).await.json();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1);
    let next = sessions["next_before"].as_u64().unwrap();
    let rest = node.get(&format!("/api/v1/journal?kind=session.&before={next}"), &cookie).await.json();
    assert_eq!(rest["items"], json!([]));
    assert_eq!(node.register.of("journal.viewed").len(), 2, "a later page is no other viewing");
    for (query, field) in [("limit=0", "limit"), ("limit=1001", "limit"), ("kind=session", "kind")] {
        let refused = node.get(&format!("/api/v1/journal?{query}"), &cookie).await;
        assert_eq!(
            (refused.status, refused.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field))
        );
    }
    node.register.broken.store(true, Ordering::SeqCst);
    let unwritten = node.get("/api/v1/journal", &cookie).await;
    assert_eq!(unwritten.status, StatusCode::INTERNAL_SERVER_ERROR, "nobody reads unseen");
}
