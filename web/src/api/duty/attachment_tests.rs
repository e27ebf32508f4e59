//! Files of incidents, in process.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::atomic::Ordering;

use axum::body::Body;
use fengsui_config::limits;
use http::{Method, StatusCode};
use serde_json::json;

use super::kit::{path, theft};
use crate::testing::{Answer, Node, node, request};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a picture";

struct Desk {
    node: Node,
    cookie: String,
    id: String,
    folder: tempfile::TempDir,
}

async fn desk() -> Desk {
    let (node, folder) = (node(), tempfile::tempdir().unwrap());
    node.app.duty.keep_files(&folder.path().join("attachments"));
    let cookie = node.set_up().await;
    let id = node.open(&cookie, theft()).await;
    Desk { node, cookie, id, folder }
}

impl Desk {
    async fn add(&self, name: &str, declared: Option<&str>, bytes: impl Into<Body>) -> Answer {
        let path = format!("{}/attachments?name={name}", path(&self.id));
        let mut sent = request(Method::POST, &path, Some(&self.cookie), None);
        if let Some(declared) = declared {
            sent.headers_mut().insert("content-type", declared.parse().unwrap());
        }
        *sent.body_mut() = bytes.into();
        self.node.send(sent).await
    }

    async fn get(&self, hash: &str) -> Answer {
        self.node.get(&format!("{}/attachments/{hash}", path(&self.id)), &self.cookie).await
    }
}

#[tokio::test]
async fn a_file_is_on_the_disk_before_the_journal_and_served_as_what_its_bytes_are() {
    let desk = desk().await;
    let added = desk.add("photo.jpg", Some("image/jpeg"), JPEG).await;
    assert_eq!(added.status, StatusCode::CREATED, "{:?}", added.body);
    let hash = added.json()["attachment"]["hash"].as_str().unwrap().to_owned();
    assert_eq!(std::fs::read(desk.folder.path().join("attachments").join(&hash)).unwrap(), JPEG);
    let shown = desk.get(&hash).await;
    assert_eq!((shown.status, &shown.body[..]), (StatusCode::OK, JPEG));
    let header = |answer: &Answer, name: &str| answer.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header(&shown, "content-type"), "image/jpeg");
    assert_eq!(header(&shown, "content-disposition"), "inline; filename*=UTF-8''photo.jpg");
    assert_eq!(header(&shown, "x-content-type-options"), "nosniff");
    assert_eq!(header(&shown, "content-security-policy"), "default-src 'none'; sandbox");
    // A name is words, never a path, and a text is saved and not shown.
    let added = desk.add("..%2F..%2F%E7%AC%94%E5%BD%95.txt", None, "门是开着的").await;
    assert_eq!(added.json()["attachment"]["name"], "笔录.txt");
    let shown = desk.get(added.json()["attachment"]["hash"].as_str().unwrap()).await;
    assert_eq!(header(&shown, "content-type"), "text/plain; charset=utf-8");
    assert_eq!(header(&shown, "content-disposition"), "attachment; filename*=UTF-8''%E7%AC%94%E5%BD%95.txt");
    let page = desk.node.shown(&desk.cookie, &path(&desk.id)).await;
    assert_eq!(page["incident"]["attachments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_too_large_of_a_false_type_or_of_no_type_is_refused_and_not_kept() {
    let desk = desk().await;
    let mut large = JPEG.to_vec();
    large.resize(limits::ATTACHMENT_BYTES_MAX + 1, 0);
    let before = desk.node.register.of("duty.acted").len();
    for (name, declared, bytes, status, field) in [
        ("a.jpg", None, large, 413, "body"),
        ("a.jpg", Some("image/png"), JPEG.to_vec(), 400, "Content-Type"),
        ("a.txt", Some("text/html"), b"words".to_vec(), 400, "Content-Type"),
        ("a.jpg", None, b"<html><script>alert(1)</script>".to_vec(), 400, "body"),
        ("a.svg", Some("image/svg+xml"), b"<svg onload='alert(1)'/>".to_vec(), 400, "body"),
        ("a.sh", None, b"#!/bin/sh\nrm".to_vec(), 400, "body"),
        ("a.exe", None, b"MZ\x90\0\x03".to_vec(), 400, "body"),
        ("a.txt", None, Vec::new(), 400, "body"),
        ("", None, JPEG.to_vec(), 400, "name"),
        ("..%2F", None, JPEG.to_vec(), 400, "name"),
    ] {
        let answer = desk.add(name, declared, bytes).await;
        let problem = answer.json();
        assert_eq!(
            (answer.status.as_u16(), problem["field"].as_str()),
            (status, Some(field)),
            "{name}: {problem}"
        );
        assert!(problem["remedy"].is_string(), "{name}");
    }
    assert_eq!(desk.node.register.of("duty.acted").len(), before);
    assert!(!desk.folder.path().join("attachments").exists(), "nothing is kept");
    let none = desk.node.send(request(
        Method::POST,
        "/api/v1/incidents/centre/none/attachments?name=a",
        Some(&desk.cookie),
        None,
    ));
    assert_eq!(none.await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_file_is_given_by_its_own_incident_alone() {
    let desk = desk().await;
    let added = desk.add("photo.jpg", None, JPEG).await;
    let hash = added.json()["attachment"]["hash"].as_str().unwrap().to_owned();
    let other =
        desk.node.open(&desk.cookie, json!({"kind": "fire", "title": "x", "place": {"address": "y"}})).await;
    let there = desk.node.get(&format!("{}/attachments/{hash}", path(&other)), &desk.cookie).await;
    assert_eq!(there.status, StatusCode::NOT_FOUND);
    std::fs::write(desk.folder.path().join("attachments").join(&hash), "changed").unwrap();
    let damaged = desk.get(&hash).await;
    assert_eq!((damaged.status, damaged.code()), (StatusCode::INTERNAL_SERVER_ERROR, "damaged".into()));
    std::fs::remove_file(desk.folder.path().join("attachments").join(&hash)).unwrap();
    assert_eq!(desk.get(&hash).await.status, StatusCode::NOT_FOUND);
    desk.node.register.broken.store(true, Ordering::SeqCst);
    assert_eq!(desk.add("photo.jpg", None, JPEG).await.status, StatusCode::INTERNAL_SERVER_ERROR);
}
