//! Accounts, roles and rights as a browser meets them, in process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use fengsui_config::limits;
use futures::StreamExt as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::auth::accounts::{Accounts, Role};
use crate::auth::rights::Right;
use crate::http::policy::{Entry, Policy};
use crate::testing::{Answer, CAMERA, NAME, NOW, Node, PASSWORD, node, request};

const WORD: &str = "battery staple";

async fn send(node: &Node, method: Method, path: &str, cookie: &str, body: &Value) -> Answer {
    node.send(request(method, path, Some(cookie), Some(body))).await
}

async fn make(node: &Node, cookie: &str, name: &str, roles: &[&str]) -> Answer {
    let body = json!({"name": name, "roles": roles, "password": WORD});
    send(node, Method::POST, "/api/v1/accounts", cookie, &body).await
}

async fn patch(node: &Node, cookie: &str, name: &str, body: &Value) -> Answer {
    send(node, Method::PATCH, &format!("/api/v1/accounts/{name}"), cookie, body).await
}

async fn log_in(node: &Node, name: &str, password: &str) -> Answer {
    let body = json!({"name": name, "password": password});
    node.send(request(Method::POST, "/api/v1/session", None, Some(&body))).await
}

/// A node with its administrator's cookie, and one of somebody with `role`.
async fn with(role: &str) -> (Node, String, String) {
    let node = node();
    let admin = node.set_up().await;
    assert_eq!(make(&node, &admin, "wang", &[role]).await.status, StatusCode::CREATED);
    let cookie = log_in(&node, "wang", WORD).await.cookie();
    (node, admin, cookie)
}

/// The accounts as a restarted node would have them.
fn reduced(node: &Node) -> Accounts {
    let mut accounts = Accounts::default();
    for (kind, body) in node.register.rows.lock().iter() {
        accounts.take(kind, body, NOW).unwrap();
    }
    accounts
}

#[tokio::test]
async fn an_account_is_made_logs_in_and_tells_its_rights() {
    let node = node();
    let admin = node.set_up().await;
    let made = make(&node, &admin, "王警官", &["operator", "supervisor"]).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!((&made.json()["by"], &made.json()["disabled"]), (&json!(NAME), &json!(false)));
    let row = &node.register.of("account.created")[1];
    assert_eq!((row["by"].as_str(), row["v"].as_u64()), (Some(NAME), Some(2)));
    assert!(row["password"].as_str().unwrap().starts_with("$argon2id$"));
    let inside = log_in(&node, "王警官", WORD).await;
    assert_eq!(inside.json()["rights"], json!(["act", "bulk"]));
    assert_eq!(node.get("/api/v1/session", &inside.cookie()).await.json(), inside.json());
    let list = node.get("/api/v1/accounts", &admin).await;
    assert_eq!(list.json()["items"].as_array().unwrap().len(), 2);
    assert!(!String::from_utf8_lossy(&list.body).contains("argon2id"), "no hash leaves the node");
    assert!(!node.register.rows.lock().iter().any(|(_, v)| v.to_string().contains(WORD)));
}

#[tokio::test]
async fn bad_accounts_are_refused_by_field_and_change_nothing() {
    let node = node();
    let admin = node.set_up().await;
    let good = json!({"name": "wang", "roles": ["operator"], "password": WORD});
    for (field, value, status) in [
        ("name", json!(""), StatusCode::BAD_REQUEST),
        ("name", json!("console"), StatusCode::BAD_REQUEST),
        ("name", json!("LI"), StatusCode::CONFLICT),
        ("roles", json!([]), StatusCode::BAD_REQUEST),
        ("roles", json!(["king"]), StatusCode::BAD_REQUEST),
        ("roles", json!(["operator", "operator"]), StatusCode::BAD_REQUEST),
        ("password", json!("short"), StatusCode::BAD_REQUEST),
        ("password", json!("wang wang wang"), StatusCode::BAD_REQUEST),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let answer = send(&node, Method::POST, "/api/v1/accounts", &admin, &body).await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (status, Some(field)), "{value}");
        assert!(answer.json()["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{field} {value}");
    }
    node.register.broken.store(true, Ordering::SeqCst);
    assert!(make(&node, &admin, "wang", &["operator"]).await.status.is_server_error());
    assert_eq!(node.app.auth.accounts.read().all().count(), 1, "what is not in the journal is not");
}

/// What each role may, by what each policy asks, for every route there is.
#[tokio::test]
async fn every_route_is_open_to_those_with_its_right_and_closed_to_the_others() {
    let concrete = |entry: &Entry| {
        let path =
            entry.path.replace("{camera}", CAMERA).replace("{code}", CAMERA).replace("{stream}", "main");
        path.replace(['{', '}'], "x")
    };
    for role in Role::ALL {
        let (node, _, cookie) = with(role.as_str()).await;
        for entry in &node.table {
            if matches!(
                entry.policy,
                Policy::Public | Policy::SetupOnly | Policy::Centre | Policy::CentreCamera | Policy::UnitLink
            ) || (entry.method == Method::DELETE && entry.path == "/api/v1/session")
                || ["/api/v1/events", "/api/v1/duty/stream"].contains(&entry.path)
            {
                continue;
            }
            let answer = send(&node, entry.method.clone(), &concrete(entry), &cookie, &json!({})).await;
            let may = entry.policy.right().is_none_or(|right| right.is_had(&[role]));
            let (method, path, role) = (&entry.method, entry.path, role.as_str());
            assert_eq!(
                answer.status == StatusCode::FORBIDDEN,
                !may,
                "{role} {method} {path}: {:?}",
                answer.body
            );
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{role} {method} {path}");
        }
    }
}

/// A new one has to be thought about here, or to ask for a right.
#[tokio::test]
async fn a_route_that_changes_something_asks_for_a_right_or_is_named_here() {
    let node = node();
    let looks = |e: &&Entry| !matches!(e.method, Method::GET | Method::HEAD);
    let all = node.table.iter().filter(looks);
    let open: Vec<_> = all
        .filter(|e| !matches!(e.policy, Policy::Centre | Policy::CentreCamera))
        .filter(|e| e.policy.right().is_none() || e.policy == Policy::LoggedInOrToken)
        .map(|e| format!("{} {}", e.method, e.path))
        .collect();
    let expected = [
        "POST /api/v1/nodes/enrolment",
        "POST /api/v1/incidents",
        "POST /api/v1/rules/check",
        "POST /api/v1/rules/try",
        "POST /api/v1/units/{node}/{name}/position",
        "POST /api/v1/unit/session",
        "POST /api/v1/unit/progress",
        "POST /api/v1/unit/position",
        "POST /api/v1/setup",
        "POST /api/v1/session",
        "DELETE /api/v1/session",
        "POST /api/v1/session/password",
        "POST /api/v1/events",
        "POST /api/v1/tickets",
    ];
    assert_eq!(open, expected);
}

#[test]
fn each_policy_asks_the_right_that_it_names() {
    let asks = [
        (Policy::Operator, Some(Right::Act)),
        (Policy::Supervisor, Some(Right::Bulk)),
        (Policy::Administrator, Some(Right::Administer)),
        (Policy::Auditor, Some(Right::Administer)),
        (Policy::LoggedInOrToken, Some(Right::Act)),
        (Policy::LoggedIn, None),
    ];
    for (policy, right) in asks {
        assert_eq!(policy.right(), right, "{policy:?}");
    }
}

#[tokio::test]
async fn operators_see_every_camera_and_administer_nothing() {
    let (node, _, cookie) = with("operator").await;
    node.app.tasks.spawn(crate::desk::run(node.app.clone()));
    let timeline = format!("/api/v1/footage/{CAMERA}/main/timeline?from_us=0&to_us=60000000");
    assert_eq!(node.get(&timeline, &cookie).await.status, StatusCode::OK);
    assert_eq!(node.get("/api/v1/cameras", &cookie).await.json()["total"], 2);
    let mark = json!({"events": [{"kind": "operator.mark", "camera": CAMERA, "text": "black car"}]});
    let marked = send(&node, Method::POST, "/api/v1/events", &cookie, &mark).await;
    assert_eq!(marked.status, StatusCode::CREATED, "{:?}", marked.body);
    for path in ["/api/v1/accounts", "/api/v1/journal", "/api/v1/tokens"] {
        let refused = node.get(path, &cookie).await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "forbidden"), "{path}");
        if path != "/api/v1/journal" {
            assert_eq!(refused.json()["remedy"], "Ask an administrator.");
        }
    }
    let order = send(&node, Method::POST, "/api/v1/volumes/v1/drain", &cookie, &json!({})).await;
    assert_eq!(order.status, StatusCode::FORBIDDEN);
    assert!(node.recordings.orders.lock().is_empty());
}

#[tokio::test]
async fn whoever_is_disabled_or_gets_other_roles_is_logged_out_at_once() {
    let (node, admin, cookie) = with("operator").await;
    let inside = async |cookie: &str| node.get("/api/v1/session", cookie).await.status == StatusCode::OK;
    assert!(inside(&cookie).await);
    let changed = patch(&node, &admin, "wang", &json!({"roles": ["supervisor"]})).await;
    assert_eq!((changed.status, &changed.json()["roles"]), (StatusCode::OK, &json!(["supervisor"])));
    assert!(!inside(&cookie).await, "other roles begin with another session");
    let again = log_in(&node, "wang", WORD).await;
    assert_eq!(again.json()["rights"], json!(["act", "bulk"]));
    let cookie = again.cookie();
    assert_eq!(patch(&node, &admin, "wang", &json!({"roles": ["supervisor"]})).await.status, StatusCode::OK);
    assert!(inside(&cookie).await, "what changes nothing ends nothing");
    assert_eq!(patch(&node, &admin, "wang", &json!({"disabled": true})).await.json()["disabled"], true);
    assert!(!inside(&cookie).await);
    let refused = log_in(&node, "wang", WORD).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, "wrong_credentials"));
    assert_eq!(node.register.of("session.refused")[0]["why"], "disabled");
    assert_eq!(patch(&node, &admin, "wang", &json!({"disabled": false})).await.status, StatusCode::OK);
    assert_eq!(log_in(&node, "wang", WORD).await.status, StatusCode::OK);
    assert!(inside(&admin).await, "the sessions of others go on");
    assert_eq!(reduced(&node), *node.app.auth.accounts.read(), "memory is what the journal says");
    assert_eq!(node.register.of("account.changed").len(), 1);
}

#[tokio::test]
async fn who_is_disabled_while_logging_in_is_not_logged_in() {
    let (node, admin, _) = with("operator").await;
    // The password is checked on another thread; meanwhile the account is disabled.
    let off = json!({"disabled": true});
    let (inside, off) = futures::join!(log_in(&node, "wang", WORD), patch(&node, &admin, "wang", &off));
    assert_eq!((off.status, inside.status), (StatusCode::OK, StatusCode::UNAUTHORIZED));
    assert_eq!(node.register.of("session.refused")[0]["why"], "changed_meanwhile");
}

#[tokio::test]
async fn a_stream_of_events_ends_with_the_session() {
    let (node, admin, cookie) = with("operator").await;
    let opened = node.send_streaming(request(Method::GET, "/api/v1/events", Some(&cookie), None)).await;
    let mut body = opened.into_body().into_data_stream();
    let place = body.next().await.unwrap().unwrap();
    let place = std::str::from_utf8(&place).unwrap().to_owned();
    assert!(place.contains("id: ") && place.contains("retry: 1000") && !place.contains("data"), "{place}");
    assert!(futures::FutureExt::now_or_never(body.next()).is_none(), "nothing has happened yet");
    assert_eq!(patch(&node, &admin, "wang", &json!({"disabled": true})).await.status, StatusCode::OK);
    let end = tokio::time::timeout(Duration::from_secs(10), body.next()).await;
    assert!(end.expect("it ends without another event").is_none());
}

#[tokio::test]
async fn a_ticket_ends_with_the_account_of_who_asked_for_it() {
    let (node, admin, cookie) = with("operator").await;
    let range = json!({"camera": CAMERA, "stream": "main", "from_us": NOW.0, "to_us": NOW.0 + 60_000_000});
    let made = send(&node, Method::POST, "/api/v1/tickets", &cookie, &range).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let url = made.json()["hls_url"].as_str().unwrap().to_owned();
    let code = async || node.send(request(Method::GET, &url, None, None)).await.code();
    assert_eq!(code().await, "not_found", "nothing is stored, but it may be asked for");
    patch(&node, &admin, "wang", &json!({"disabled": true})).await;
    assert_eq!(code().await, "not_logged_in");
}

#[tokio::test]
async fn the_last_administrator_keeps_the_role_and_the_account() {
    let (node, admin, _) = with("operator").await;
    for body in [
        json!({"disabled": true}),
        json!({"roles": ["supervisor"]}),
        json!({"roles": ["operator"], "disabled": true}),
    ] {
        let refused = patch(&node, &admin, NAME, &body).await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "conflict"), "{body}");
        assert_eq!(refused.json()["remedy"], "Make another person an administrator first.");
    }
    assert_eq!(node.get("/api/v1/accounts", &admin).await.status, StatusCode::OK, "nothing happened");
    let both = json!({"roles": ["administrator"], "disabled": true});
    assert_eq!(patch(&node, &admin, "wang", &both).await.status, StatusCode::OK);
    assert_eq!(patch(&node, &admin, NAME, &json!({"disabled": true})).await.status, StatusCode::CONFLICT);
    patch(&node, &admin, "wang", &json!({"disabled": false})).await;
    assert_eq!(patch(&node, &admin, NAME, &json!({"disabled": true})).await.status, StatusCode::OK);
    assert_eq!(node.get("/api/v1/accounts", &admin).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(patch(&node, "", "nobody", &json!({})).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_change_that_the_journal_does_not_take_does_not_happen() {
    let (node, admin, cookie) = with("operator").await;
    node.register.broken.store(true, Ordering::SeqCst);
    assert!(patch(&node, &admin, "wang", &json!({"disabled": true})).await.status.is_server_error());
    assert_eq!(node.get("/api/v1/session", &cookie).await.status, StatusCode::OK);
    node.register.broken.store(false, Ordering::SeqCst);
    assert_eq!(
        patch(&node, &admin, "nobody", &json!({"disabled": true})).await.status,
        StatusCode::NOT_FOUND
    );
    let typed = patch(&node, &admin, "wang", &json!({"disabeld": true})).await;
    assert_eq!(typed.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_administrator_sets_a_password_and_its_holder_logs_in_anew() {
    let (node, admin, cookie) = with("operator").await;
    let set = async |name: &str, password: &str| {
        let body = json!({"password": password});
        send(&node, Method::POST, &format!("/api/v1/accounts/{name}/password"), &admin, &body).await
    };
    assert_eq!(set("wang", "short").await.json()["field"], "password");
    assert_eq!(set("nobody", "another staple").await.status, StatusCode::NOT_FOUND);
    assert_eq!(set(NAME, "another staple").await.status, StatusCode::CONFLICT, "one's own is asked for");
    assert_eq!(set("wang", "another staple").await.status, StatusCode::NO_CONTENT);
    assert_eq!(node.get("/api/v1/session", &cookie).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(log_in(&node, "wang", WORD).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(log_in(&node, "wang", "another staple").await.status, StatusCode::OK);
    let row = &node.register.of("account.password_set")[0];
    assert!(row["password"].as_str().unwrap().starts_with("$argon2id$") && row["by"] == NAME);
    assert!(!node.register.rows.lock().iter().any(|(_, v)| v.to_string().contains("another staple")));
    assert_eq!(reduced(&node), *node.app.auth.accounts.read());
}

#[tokio::test]
async fn ones_own_password_is_changed_with_the_old_one_and_other_sessions_end() {
    let (node, _, cookie) = with("operator").await;
    let other = log_in(&node, "wang", WORD).await.cookie();
    let set = async |old: &str, new: &str| {
        let body = json!({"old": old, "password": new});
        send(&node, Method::POST, "/api/v1/session/password", &cookie, &body).await
    };
    let wrong = set("no idea at all", "another staple").await;
    assert_eq!((wrong.status, wrong.json()["field"].as_str()), (StatusCode::FORBIDDEN, Some("old")));
    assert_eq!(node.register.of("session.refused")[0]["why"], "wrong_old_password");
    assert_eq!(set(WORD, "short").await.json()["field"], "password");
    assert_eq!(set(WORD, WORD).await.json()["field"], "password");
    assert_eq!(log_in(&node, "wang", WORD).await.status, StatusCode::OK, "nothing was changed");
    assert_eq!(set(WORD, "another staple").await.status, StatusCode::NO_CONTENT);
    assert_eq!(node.get("/api/v1/session", &cookie).await.status, StatusCode::OK, "who changed it stays");
    assert_eq!(node.get("/api/v1/session", &other).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(log_in(&node, "wang", "another staple").await.status, StatusCode::OK);
    for _ in 0..limits::LOGIN_ATTEMPTS_PER_MINUTE_MAX {
        set("no idea at all", "third staple of all").await;
    }
    assert_eq!(set("no idea at all", "third staple of all").await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn people_are_names_and_roles_of_those_who_can_log_in() {
    let (node, admin, cookie) = with("operator").await;
    make(&node, &admin, "zhao", &["supervisor"]).await;
    patch(&node, &admin, "zhao", &json!({"disabled": true})).await;
    let people = node.get("/api/v1/people", &cookie).await.json();
    let expected =
        json!([{"name": NAME, "roles": ["administrator"]}, {"name": "wang", "roles": ["operator"]}]);
    assert_eq!(people["items"], expected);
}

#[tokio::test]
async fn two_who_make_the_same_account_at_once_make_one() {
    let node = node();
    let admin = node.set_up().await;
    let (one, two) = futures::join!(
        make(&node, &admin, "wang", &["operator"]),
        make(&node, &admin, "wang", &["supervisor"])
    );
    let mut statuses = [one.status, two.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT]);
    assert_eq!(node.register.of("account.created").len(), 2);
}

#[tokio::test]
async fn the_password_of_set_up_is_the_one_that_logs_in() {
    let node = node();
    node.set_up().await;
    assert_eq!(log_in(&node, NAME, PASSWORD).await.status, StatusCode::OK);
    assert_eq!(reduced(&node), *node.app.auth.accounts.read());
}
