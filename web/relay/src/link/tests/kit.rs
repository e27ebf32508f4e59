//! A centre: its authority, its server, its register of nodes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fengsui_config::UpwardRole;
use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::NodeId;
use fengsui_storage::fs::RealFs;
use fengsui_storage::segment::NodeKey;

use super::nats::{NatsServer, free_port};
use crate::identity::server_config::{self, NodeUser, ServerPlan, USERS_FILE};
use crate::identity::{Authority, ConfigWriter, PublicNkey};
use crate::link::subjects::{self, Subjects};
use crate::link::{
    ConsumerSettings, Link as _, LinkOptions, NatsLink, Publication, Reloaded, StreamSettings, reload,
};

/// Longest that anything here may take; far more than it does.
pub const LONG: Duration = Duration::from_secs(60);
/// What the tests' stream may hold.
pub const SETTINGS: StreamSettings = StreamSettings { bytes_max: 64 << 20, replicas: 1 };

pub fn id(text: &str) -> NodeId {
    text.parse().unwrap()
}

/// The key of a node is made of its name.
pub fn key(name: &str) -> Arc<NodeKey> {
    let mut seed = [7; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    Arc::new(NodeKey::from_seed(seed))
}

pub struct Centre {
    pub server: NatsServer,
    pub folder: tempfile::TempDir,
}

/// The program, or a word that the test is skipped.
macro_rules! program {
    () => {
        match super::nats::NatsServer::program() {
            Some(program) => program,
            None => {
                println!("SKIPPED: nats-server is missing; tests/scripts/setup.sh test installs it");
                return;
            }
        }
    };
}
pub(super) use program;

pub fn users(nodes: &[&str]) -> String {
    let user = |name: &&str| NodeUser { node: id(name), nkey: PublicNkey::of(key(name).id()) };
    let nodes: Vec<NodeUser> = nodes.iter().map(user).collect();
    let public = |name| PublicNkey::of(key(name).id());
    server_config::users_file(&public("centre"), &public("system"), &nodes)
}

impl Centre {
    /// Starts a server that lets these nodes in.
    pub fn start(program: &std::path::Path, nodes: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemClock::new().utc();
        let authority = Authority::load_or_create(&RealFs, folder.path(), now).unwrap();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let identity = authority.server(&RealFs, &names, now).unwrap();
        let address: SocketAddr = format!("127.0.0.1:{}", free_port().unwrap()).parse().unwrap();
        let plan = ServerPlan {
            name: id("nats-test"),
            listen: address,
            identity: identity.path,
            authority: folder.path().join("authority.crt"),
            store: folder.path().join("store"),
            store_bytes: 1 << 30,
            cluster: None,
        };
        let config = folder.path().join("server.conf");
        ConfigWriter::new(config.clone()).write(&RealFs, &server_config::server_file(&plan)).unwrap();
        ConfigWriter::new(folder.path().join(USERS_FILE)).write(&RealFs, &users(nodes)).unwrap();
        let server = NatsServer::start(program, &config, "nats-test", address).unwrap();
        Self { server, folder }
    }

    pub fn url(&self) -> String {
        format!("tls://{}", self.server.address())
    }

    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.crt")
    }

    pub fn options(&self, name: &str) -> LinkOptions {
        options(vec![self.url()], self.authority(), name)
    }

    /// A link that is up.
    pub async fn link(&self, name: &str) -> NatsLink {
        open(self.options(name)).await
    }

    /// The centre's own link, with stream and consumer in place.
    pub async fn centre(&self) -> NatsLink {
        let link = self.link("centre").await;
        link.ensure_stream(SETTINGS, ConsumerSettings::default(), &senders()).await.unwrap();
        link
    }

    /// Writes who is let in, and has the running server read it.
    pub async fn let_in(&self, nodes: &[&str]) -> Vec<Reloaded> {
        ConfigWriter::new(self.folder.path().join(USERS_FILE)).write(&RealFs, &users(nodes)).unwrap();
        reload(self.options("system"), 1).await.unwrap()
    }
}

/// The options of the centre, the system account, or a node.
pub fn options(servers: Vec<String>, authority: PathBuf, name: &str) -> LinkOptions {
    if matches!(name, "centre" | "system") {
        return LinkOptions::centre(&servers, authority, key(name));
    }
    let role = UpwardRole { servers, ca: authority, node: id(name), backlog_records: 1, backlog_bytes: 1 };
    LinkOptions::upward(&role, key(name))
}

pub async fn open(options: LinkOptions) -> NatsLink {
    let link = NatsLink::open(options).await.unwrap();
    tokio::time::timeout(LONG, link.up()).await.expect("a connection").expect("not closed");
    link
}

/// Waits until the server has all that this link sent before, subscriptions too: a question that nobody answers comes back.
pub async fn settled(link: &NatsLink, subject: &str) {
    let answer = link.ask(subject, Bytes::new(), LONG).await;
    assert!(matches!(answer, Err(crate::link::LinkError::Nobody(_))), "{answer:?}");
}

/// Frame number `n` of a node.
pub fn frame(node: &str, n: u64) -> Publication {
    Publication {
        subject: Subjects::of(&id(node)).up(),
        id: format!("{node}/1/{n}"),
        payload: Bytes::from(format!("{node} {n}")),
    }
}

/// Sends one frame and waits for its acknowledgement.
pub async fn store(link: &NatsLink, publication: Publication) -> Result<u64, crate::link::LinkError> {
    link.publish(publication).await?.await.map(|stored| stored.sequence)
}

/// The senders that the centre reads.
pub fn senders() -> [NodeId; 2] {
    [id("east"), id("west")]
}

/// Reads frames of `east` until there are `count`, acknowledging each.
pub async fn take(link: &NatsLink, count: usize) -> Vec<String> {
    let mut frames = link.frames(&id("east")).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < count {
        let batch = frames.batch(LONG).await.unwrap();
        assert!(!batch.is_empty(), "{} of {count} came", seen.len());
        for delivery in batch {
            assert!(subjects::sender(&delivery.subject).is_some());
            delivery.acknowledge().await.unwrap();
            seen.push(String::from_utf8(delivery.payload.to_vec()).unwrap());
        }
    }
    seen
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"));
}
