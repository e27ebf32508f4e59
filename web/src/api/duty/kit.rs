//! What the tests of alarms and incidents share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use fengsui_config::clock::UtcMicros;
use fengsui_duty::act::{By, MatterId, Verb};
use fengsui_duty::alarm::{AlarmVerb, Level, Raise};
use fengsui_duty::define::{Net, PlanBody, PlanStep, PlanVerb, UnitBody, UnitVerb};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{Answer, CAMERA, NOW, Node, request};

/// The id of an alarm of this node.
pub fn alarm_id(name: &str) -> MatterId {
    format!("alarm/centre/{name}").parse().unwrap()
}

/// An alarm as a rule raises it.
pub fn raise(level: u8) -> Raise {
    Raise {
        rule: "rule/centre/door".parse().unwrap(),
        rule_name: "Doors".into(),
        kind: "device.input".into(),
        level: Level::try_from(level).unwrap(),
        camera: Some(CAMERA.parse().unwrap()),
        site: None,
        cause: "door-1".into(),
        row: Some("centre.1.7".into()),
        text: "door open".into(),
        first_us: NOW,
        count: 1,
        due_s: 60,
        hold_days: 30,
    }
}

/// Does something as a rule, whatever it is.
pub async fn system(node: &Node, id: &MatterId, verb: Verb) {
    node.app.duty.act(&node.app, id, verb, By::system("rule")).await.unwrap();
}

/// Raises an alarm; gives its id.
pub async fn raised(node: &Node, name: &str, raise: Raise) -> MatterId {
    let id = alarm_id(name);
    system(node, &id, Verb::Alarm(AlarmVerb::Raise(raise))).await;
    id
}

/// More events of an alarm.
pub async fn counted(node: &Node, id: &MatterId, count: u64, last: UtcMicros) {
    system(node, id, Verb::Alarm(AlarmVerb::Counted { count, last_us: last })).await;
}

/// A unit.
pub async fn unit(node: &Node, name: &str, post: Option<(f64, f64)>) -> MatterId {
    let id: MatterId = format!("unit/centre/{name}").parse().unwrap();
    let body = UnitBody {
        name: format!("Unit {name}"),
        net: Net::Street,
        members: vec!["Zhang".into()],
        contact: "channel 4".into(),
        area: Vec::new(),
        duty: Vec::new(),
        post,
    };
    system(node, &id, Verb::Unit(UnitVerb::Define(body))).await;
    id
}

/// A plan of two steps.
pub async fn plan(node: &Node) -> MatterId {
    let id: MatterId = "plan/centre/theft".parse().unwrap();
    let step = |id: &str| PlanStep { id: id.into(), text: format!("Do {id}"), answers: [].into() };
    let body = PlanBody {
        name: "Theft".into(),
        kinds: vec!["theft".into()],
        steps: vec![step("look"), step("call")],
    };
    system(node, &id, Verb::Plan(PlanVerb::Define(body))).await;
    id
}

/// Where a matter is in the API.
pub fn path(id: &str) -> String {
    let (kind, rest) = id.split_once('/').unwrap();
    format!("/api/v1/{kind}s/{rest}")
}

impl Node {
    /// Does something by the API.
    pub async fn do_it(&self, cookie: &str, id: &str, act: Value) -> Answer {
        self.send(request(Method::POST, &format!("{}/acts", path(id)), Some(cookie), Some(&act))).await
    }

    /// The same, which has to go well.
    pub async fn done(&self, cookie: &str, id: &str, act: Value) -> Value {
        let answer = self.do_it(cookie, id, act).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.json()
    }

    /// What an address shows.
    pub async fn shown(&self, cookie: &str, path: &str) -> Value {
        let answer = self.get(path, cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {:?}", answer.body);
        answer.json()
    }

    /// Opens an incident; gives its id.
    pub async fn open(&self, cookie: &str, body: Value) -> String {
        let answer = self.send(request(Method::POST, "/api/v1/incidents", Some(cookie), Some(&body))).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        answer.json()["incident"]["id"].as_str().unwrap().to_owned()
    }

    /// What browsers were told under a name, in order.
    pub fn told(&self, name: &str) -> Vec<Value> {
        self.app.events.all(name).iter().map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

/// A theft at a place in words.
pub fn theft() -> Value {
    json!({"kind": "theft", "title": "Bicycle stolen", "place": {"address": "East gate"}})
}
