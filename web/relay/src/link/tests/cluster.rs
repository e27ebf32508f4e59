//! Three servers that keep the stream together, as `LINK.md` describes them.

use std::net::SocketAddr;
use std::path::Path;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_storage::fs::RealFs;

use super::kit::{LONG, frame, id, open, options, program, senders, store, take, until, users};
use super::nats::{NatsServer, free_port};
use crate::identity::server_config::{self, ClusterPlan, ServerPlan, USERS_FILE};
use crate::identity::{Authority, ConfigWriter};
use crate::link::{ConsumerSettings, Link as _, LinkOptions, NatsLink, StreamSettings, reload};

struct Cluster {
    servers: Vec<NatsServer>,
    folder: tempfile::TempDir,
}

impl Cluster {
    fn start(program: &Path, nodes: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemClock::new().utc();
        let authority = Authority::load_or_create(&RealFs, folder.path(), now).unwrap();
        let identity = authority.server(&RealFs, &["127.0.0.1".to_owned()], now).unwrap();
        let address = || -> SocketAddr { format!("127.0.0.1:{}", free_port().unwrap()).parse().unwrap() };
        let inner = [address(), address(), address()];
        let mut servers = Vec::new();
        // A server alone does not come up with JetStream, but it answers: each is started without waiting for the others.
        for (n, listen) in inner.iter().enumerate() {
            let others = inner.iter().filter(|a| *a != listen).map(|a| format!("tls://{a}"));
            let cluster = ClusterPlan { listen: *listen, routes: others.collect() };
            let (name, outer) = (format!("nats-{n}"), address());
            let home = folder.path().join(&name);
            let plan = ServerPlan {
                name: id(&name),
                listen: outer,
                identity: identity.path.clone(),
                authority: folder.path().join("authority.crt"),
                store: home.join("store"),
                store_bytes: 1 << 30,
                cluster: Some(cluster),
            };
            let config = home.join("server.conf");
            ConfigWriter::new(home.join(USERS_FILE)).write(&RealFs, &users(nodes)).unwrap();
            ConfigWriter::new(config.clone()).write(&RealFs, &server_config::server_file(&plan)).unwrap();
            servers.push(NatsServer::start(program, &config, &name, outer).unwrap());
        }
        Self { servers, folder }
    }

    fn options(&self, name: &str) -> LinkOptions {
        let servers = self.servers.iter().map(|s| format!("tls://{}", s.address())).collect();
        options(servers, self.folder.path().join("authority.crt"), name)
    }
}

#[tokio::test]
async fn with_three_servers_any_one_may_die_and_a_retired_node_is_out_of_all() {
    let program = program!();
    let mut cluster = Cluster::start(&program, &["east", "west"]);
    let city = open(cluster.options("centre")).await;
    let settings = StreamSettings { bytes_max: 64 << 20, replicas: 3 };
    // The three first have to find each other and choose.
    until("the stream is there", async || {
        city.ensure_stream(settings, ConsumerSettings::default(), &senders()).await.is_ok()
    })
    .await;
    let east = open(cluster.options("east")).await;
    let west: NatsLink = open(cluster.options("west")).await;
    let mut n = 0;
    for round in 0..3 {
        cluster.servers[round].kill().unwrap();
        for _ in 0..20 {
            n += 1;
            until("two of three go on", async || store(&east, frame("east", n)).await.is_ok()).await;
        }
        cluster.servers[round].start_again().unwrap();
        // The next may die when this one has caught up.
        until("three are well", async || {
            let info = city.jetstream.get_stream(crate::link::subjects::STREAM).await;
            info.is_ok_and(|s| {
                let cluster = s.cached_info().cluster.clone().unwrap();
                cluster.leader.is_some() && cluster.replicas.iter().filter(|r| r.current).count() == 2
            })
        })
        .await;
    }
    let mut seen = take(&city, 60).await;
    seen.dedup();
    assert_eq!(seen, (1..=60).map(|n| format!("east {n}")).collect::<Vec<_>>());
    for server in 0..3 {
        let home = cluster.folder.path().join(format!("nats-{server}"));
        ConfigWriter::new(home.join(USERS_FILE)).write(&RealFs, &users(&["east"])).unwrap();
    }
    let told = reload(cluster.options("system"), 3).await.unwrap();
    assert_eq!(told.iter().filter(|r| r.refusal.is_none()).count(), 3, "{told:?}");
    let mut state = west.state();
    let out = state.wait_for(|s| s.session().is_none());
    tokio::time::timeout(LONG, out).await.unwrap().unwrap();
    store(&east, frame("east", 61)).await.unwrap();
}
