//! Units, plans and checkpoint plans through the API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{Answer, NOW, Node, config, node, request};

pub const SITE: &str = "33080200002160000001";
const STATION: &str = "33080200002150000001";

pub async fn send(
    node: &Node,
    method: Method,
    path: &str,
    cookie: &str,
    body: Option<&Value>,
    version: Option<u64>,
) -> Answer {
    let mut sent = request(method, path, Some(cookie), body);
    if let Some(version) = version {
        sent.headers_mut().insert("if-match", format!("\"{version}\"").parse().unwrap());
    }
    node.send(sent).await
}

pub async fn post(node: &Node, path: &str, cookie: &str, body: Value) -> Answer {
    send(node, Method::POST, path, cookie, Some(&body), None).await
}

pub fn unit(name: &str) -> Value {
    json!({"name": name, "net": "street", "members": ["王强"], "contact": "806", "area": [STATION], "post": [28.97, 118.861]})
}

/// Makes a unit; gives its path.
pub async fn made(node: &Node, cookie: &str, body: Value) -> String {
    let answer = post(node, "/api/v1/units", cookie, body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    format!("/api/v1/units/{}", id.strip_prefix("unit/").unwrap())
}

#[tokio::test]
async fn a_unit_is_made_changed_by_its_version_and_removed() {
    let node = node();
    let cookie = node.set_up().await;
    let path = made(&node, &cookie, unit("Patrol No. 1")).await;
    assert!(path.starts_with("/api/v1/units/centre/patrol-no-1-"), "{path}");
    let list = node.get("/api/v1/units", &cookie).await.json();
    assert_eq!(list["items"][0]["version"], 1);
    assert_eq!((&list["items"][0]["on_duty"], &list["items"][0]["busy"]), (&json!(true), &json!([])));
    let mut other = unit("Patrol No. 1");
    other["contact"] = json!("807");
    let put = async |version| send(&node, Method::PUT, &path, &cookie, Some(&other), version).await;
    let without = put(None).await;
    assert_eq!(
        (without.status, without.json()["field"].as_str()),
        (StatusCode::BAD_REQUEST, Some("If-Match"))
    );
    let changed = put(Some(1)).await;
    assert_eq!(
        (changed.status, &changed.json()["version"], changed.headers["etag"].as_bytes()),
        (StatusCode::OK, &json!(2), b"\"2\"".as_slice())
    );
    let late = put(Some(1)).await;
    assert_eq!((late.status, late.code().as_str()), (StatusCode::CONFLICT, "conflict"));
    assert!(late.json()["detail"].as_str().unwrap().contains("li"), "it says who: {}", late.json());
    let gone = send(&node, Method::DELETE, &path, &cookie, None, Some(2)).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(node.get(&path, &cookie).await.status, StatusCode::NOT_FOUND);
    assert_eq!(node.get("/api/v1/units", &cookie).await.json()["items"], json!([]));
    assert_eq!(node.register.of("duty.defined").len(), 3);
}

#[tokio::test]
async fn a_unit_that_can_be_none_is_refused_with_field_value_and_remedy() {
    let node = node();
    let cookie = node.set_up().await;
    made(&node, &cookie, unit("一号巡逻车")).await;
    let with = |name: &str, value: Value| {
        let mut body = unit("二号巡逻车");
        body[name] = value;
        body
    };
    let cases = [
        (with("members", json!([])), "members"),
        (with("members", json!(["王强", " "])), "members[1]"),
        (with("members", json!(["王强", "王强"])), "members"),
        (with("name", json!("")), "name"),
        (with("name", json!("一号巡逻车")), "name"),
        (with("name", json!("<b>一号</b>")), "name"),
        (with("name", json!("长".repeat(65))), "name"),
        (with("net", json!("navy")), "net"),
        (with("area", json!([STATION, "33080200002150000009"])), "area[1]"),
        (with("post", json!([118.86, 28.97])), "post"),
        (with("post", json!("here")), "post"),
        (with("duty", json!([{"from_min": 480, "to_min": 1441}])), "duty[0].to_min"),
        (with("duty", json!([{"from_min": 1440, "to_min": 0}])), "duty[0].from_min"),
        (with("duty", json!([{"days": [0], "from_min": 0, "to_min": 0}])), "duty[0].days"),
        (with("duty", json!([{"from_min": 480}])), "duty"),
        (with("member", json!(["x"])), "member"),
        (json!({"name": "三号卡点", "net": "checkpoint", "members": ["x"], "contact": "1"}), "post"),
    ];
    for (body, field) in cases {
        let answer = post(&node, "/api/v1/units", &cookie, body.clone()).await;
        let told = answer.json();
        assert_eq!(
            (answer.status, told["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field)),
            "{body} {told}"
        );
        assert!(told["remedy"].as_str().is_some_and(|r| r.len() > 5), "{told}");
    }
    assert_eq!(node.register.of("duty.defined").len(), 1, "nothing was changed");
}

#[tokio::test]
async fn a_plan_goes_forward_and_one_that_does_not_is_refused() {
    let node = node();
    let cookie = node.set_up().await;
    let good = json!({"name": "持刀伤人", "kinds": ["治安"], "steps": [
        {"id": "see", "text": "核实画面", "answers": {"属实": "", "不属实": "close"}},
        {"id": "send", "text": "派警"}, {"id": "close", "text": "反馈"}]});
    let answer = post(&node, "/api/v1/plans", &cookie, good.clone()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
    assert_eq!(answer.json()["body"]["steps"][0]["answers"]["不属实"], "close");
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        body["name"] = json!("另一预案");
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let cases = [
        (with("/steps", json!([])), "steps"),
        (with("/steps/0/answers/不属实", json!("nowhere")), "steps[0].answers.不属实"),
        (with("/steps/0/answers/不属实", json!("see")), "steps[0].answers.不属实"),
        (
            with("/steps/1", json!({"id": "send", "text": "派警", "answers": {"否": "see"}})),
            "steps[1].answers.否",
        ),
        (with("/steps/1/id", json!("see")), "steps[1].id"),
        (with("/steps/1/id", json!("Send!")), "steps[1].id"),
        (with("/steps/1/text", json!("  ")), "steps[1].text"),
        (with("/name", json!("持刀伤人")), "name"),
        (with("/kinds", json!(["<i>"])), "kinds[0]"),
    ];
    for (body, field) in cases {
        let answer = post(&node, "/api/v1/plans", &cookie, body.clone()).await;
        let told = answer.json();
        assert_eq!(
            (answer.status, told["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field)),
            "{body} {told}"
        );
    }
    assert_eq!(node.register.of("duty.defined").len(), 1);
}

#[tokio::test]
async fn the_nearest_unit_on_duty_comes_first_and_its_position_counts_while_it_is_fresh() {
    let node = node();
    let cookie = node.set_up().await;
    let mut far = unit("远");
    far["post"] = json!([28.99, 118.86]);
    let far = made(&node, &cookie, far).await;
    made(&node, &cookie, unit("近")).await;
    // Noon of that day in UTC is evening here.
    let mut off = unit("休");
    off["duty"] = json!([{"from_min": 0, "to_min": 1}]);
    made(&node, &cookie, off).await;
    let near = async || {
        let list = node.get(&format!("/api/v1/units/near?site={SITE}"), &cookie).await.json();
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|u| u["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(near().await, ["近", "远", "休"]);
    let at = post(&node, &format!("{far}/position"), &cookie, json!({"lat": 28.9701, "lon": 118.86})).await;
    assert_eq!((at.status, at.json()), (StatusCode::OK, json!({"newest": true})));
    assert_eq!(near().await, ["远", "近", "休"]);
    let list = node.get("/api/v1/units/near?lat=28.97&lon=118.86", &cookie).await.json();
    let first = &list["items"][0];
    assert_eq!(
        (&first["known"], &first["metres"], &first["cover"], &first["position_us"]),
        (&json!("position"), &json!(11.0), &json!("area"), &json!(NOW.0))
    );
    node.clock.advance(std::time::Duration::from_secs(16 * 60));
    assert_eq!(near().await, ["近", "远", "休"]);
    assert!(
        node.register.rows.lock().iter().all(|(_, body)| !body.to_string().contains("28.9701")),
        "positions are not journalled"
    );
    for (query, field) in [
        ("", "site"),
        ("site=1", "site"),
        ("lat=1", "site"),
        ("lat=91&lon=0", "lat"),
        ("site=1&lat=1&lon=1", "site"),
    ] {
        let answer = node.get(&format!("/api/v1/units/near?{query}"), &cookie).await;
        assert_eq!(
            (answer.status, answer.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_token_tells_positions_of_units_that_it_reaches_and_of_no_other() {
    let node = node();
    let cookie = node.set_up().await;
    let path = made(&node, &cookie, unit("一号")).await;
    let mut everywhere = unit("二号");
    everywhere["area"] = json!([]);
    let other = made(&node, &cookie, everywhere).await;
    let token = json!({"name": "gps", "places": [STATION], "kinds": ["device.input"]});
    let secret =
        post(&node, "/api/v1/tokens", &cookie, token).await.json()["secret"].as_str().unwrap().to_owned();
    let tell = async |path: &str, secret: &str, body: Value| {
        let mut sent = request(Method::POST, &format!("{path}/position"), None, Some(&body));
        sent.headers_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
        node.send(sent).await
    };
    let here = json!({"lat": 28.97, "lon": 118.86, "at_us": NOW.0 - 1});
    assert_eq!(tell(&path, &secret, here.clone()).await.status, StatusCode::OK);
    assert_eq!(tell(&other, &secret, here.clone()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(tell(&path, "fst_x", here.clone()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(tell("/api/v1/units/centre/none", &secret, here).await.status, StatusCode::NOT_FOUND);
    for (body, field) in [
        (json!({"lat": 99.0, "lon": 0.0}), "lat"),
        (json!({"lat": 1.0, "lon": 0.0, "at_us": NOW.0 + 120_000_000}), "at_us"),
        (json!({"lat": 1.0, "lon": 0.0, "at_us": 5}), "at_us"),
    ] {
        let answer = tell(&path, &secret, body).await;
        assert_eq!((answer.status, answer.json()["field"].as_str()), (StatusCode::BAD_REQUEST, Some(field)));
    }
    let older = tell(&path, &secret, json!({"lat": 28.9, "lon": 118.8, "at_us": NOW.0 - 5})).await;
    assert_eq!(older.json(), json!({"newest": false}));
}

#[tokio::test]
async fn the_duty_list_of_a_day_has_each_unit_with_its_hours() {
    let node = node();
    let cookie = node.set_up().await;
    let mut night = unit("夜班");
    night["duty"] = json!([{"from_min": 1320, "to_min": 360}]);
    made(&node, &cookie, night).await;
    let (from, _) = fengsui_duty::near::hours::day_of(NOW, 480);
    let list = node.get(&format!("/api/v1/units/duty?at_us={}", from.0 + 60_000_000), &cookie).await.json();
    let hour = 3_600_000_000_i64;
    assert_eq!(list["from_us"], from.0);
    assert_eq!(
        list["items"][0]["spans"],
        json!([[from.0, from.0 + 6 * hour], [from.0 + 22 * hour, from.0 + 24 * hour]])
    );
    assert_eq!(list["items"][0]["on_duty"], true);
    let noon = node.get(&format!("/api/v1/units?at_us={}", from.0 + 12 * hour), &cookie).await.json();
    assert_eq!(
        (&noon["items"][0]["on_duty"], &noon["items"][0]["until_us"]),
        (&json!(false), &json!(from.0 + 22 * hour))
    );
}

#[tokio::test]
async fn a_checkpoint_plan_has_checkpoints_and_cameras_in_order_or_by_site() {
    let node = node();
    let cookie = node.set_up().await;
    for (name, lon) in [("东二", 118.90), ("东一", 118.88), ("西", 118.84)] {
        let mut body = unit(name);
        (body["net"], body["post"]) = (json!("checkpoint"), json!([28.97, lon]));
        made(&node, &cookie, body).await;
    }
    let show = async |query: &str| node.get(&format!("/api/v1/checkpoints?{query}"), &cookie).await;
    let plan = show(&format!("site={SITE}&bearing=90&speed_kmh=60")).await.json();
    let names: Vec<&str> =
        plan["items"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["水亭门东", "水亭门西", "东一", "东二"],
        "the cameras at the place, then those that are met"
    );
    let first = &plan["items"][2];
    assert!((first["along_m"].as_f64().unwrap() - 1945.0).abs() < 5.0 && first["minutes"] == 1.9, "{first}");
    for (query, field) in [
        ("bearing=90", "site"),
        (&*format!("site={SITE}"), "bearing"),
        (&*format!("site={SITE}&bearing=400"), "bearing"),
        (&*format!("site={SITE}&bearing=4&reach_m=1"), "reach_m"),
        (&*format!("site={SITE}&bearing=4&speed_kmh=0"), "speed_kmh"),
    ] {
        let answer = show(query).await;
        assert_eq!(
            (answer.status, answer.json()["field"].as_str()),
            (StatusCode::BAD_REQUEST, Some(field)),
            "{query}"
        );
    }
    let mut topology = config().topology;
    topology.sites.values_mut().for_each(|site| site.position = None);
    node.app.set_topology(std::sync::Arc::new(topology));
    let plan = show(&format!("site={SITE}&bearing=90")).await.json();
    assert_eq!(plan["lat"], Value::Null);
    let how: Vec<&str> =
        plan["items"].as_array().unwrap().iter().map(|i| i["nearness"].as_str().unwrap()).collect();
    assert_eq!(how, ["same_site", "same_site", "same_station", "same_station", "same_station"]);
}
