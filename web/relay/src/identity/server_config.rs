//! The configuration files of the NATS server, as pure functions of what the centre knows. Two files: one of the server
//! (addresses, TLS, store), one of who may do what, the same for every server of a cluster, which the first includes.
//! `web/relay/LINK.md` says what each line is for.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fengsui_config::ids::NodeId;
use fengsui_config::limits;

use super::nkey::PublicNkey;
use crate::link::subjects::Subjects;

/// Name of the file of users, beside the server's own.
pub const USERS_FILE: &str = "users.conf";
/// Account of nodes and centre.
pub const ACCOUNT: &str = "FENGSUI";
/// Account of the server's own matters; the centre reloads servers through it.
pub const SYSTEM_ACCOUNT: &str = "SYS";

/// One node that the servers let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUser {
    /// Its name: the last part of its subjects.
    pub node: NodeId,
    /// Its key.
    pub nkey: PublicNkey,
}

/// Servers that keep one stream together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPlan {
    /// Address for the other servers.
    pub listen: SocketAddr,
    /// Addresses of the other servers, `tls://HOST:PORT`.
    pub routes: Vec<String>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPlan {
    /// Its name, unique in a cluster.
    pub name: NodeId,
    /// Address for nodes and centre.
    pub listen: SocketAddr,
    /// PEM file of its certificate and key.
    pub identity: PathBuf,
    /// PEM file of the authority's certificate.
    pub authority: PathBuf,
    /// Folder of its streams.
    pub store: PathBuf,
    /// Bytes that streams may take there.
    pub store_bytes: u64,
    /// The other servers, if any.
    pub cluster: Option<ClusterPlan>,
}

/// The server's own file.
#[must_use]
pub fn server_file(plan: &ServerPlan) -> String {
    let mut out =
        String::from("# Written by fengsui, and again whenever it differs: changes here do not stay.\n");
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    line(format_args!("server_name: {}", quoted(plan.name.as_str())));
    line(format_args!("listen: {}", quoted(&plan.listen.to_string())));
    line(format_args!("max_payload: {}", limits::RELAY_PAYLOAD_BYTES_MAX));
    line(format_args!("max_pending: {}", limits::RELAY_SERVER_PENDING_BYTES_MAX));
    line(format_args!("max_connections: {}", limits::RELAY_SERVER_CONNECTIONS_MAX));
    line(format_args!("max_subscriptions: {}", limits::RELAY_SERVER_SUBSCRIPTIONS_MAX));
    line(format_args!("write_deadline: \"{}s\"", limits::RELAY_SERVER_WRITE_DEADLINE.as_secs()));
    line(format_args!("ping_interval: \"{}s\"", limits::RELAY_PING_INTERVAL.as_secs()));
    line(format_args!("ping_max: 2"));
    line(format_args!("tls {{"));
    line(format_args!("  cert_file: {}", path(&plan.identity)));
    line(format_args!("  key_file: {}", path(&plan.identity)));
    line(format_args!("  min_version: \"1.2\""));
    line(format_args!("  timeout: {}", limits::TLS_HANDSHAKE_TIMEOUT.as_secs()));
    line(format_args!("}}"));
    line(format_args!("jetstream {{"));
    line(format_args!("  store_dir: {}", path(&plan.store)));
    line(format_args!("  max_memory_store: {}", limits::RELAY_SERVER_MEMORY_STORE_BYTES));
    line(format_args!("  max_file_store: {}", plan.store_bytes));
    line(format_args!("  sync_interval: always"));
    line(format_args!("}}"));
    if let Some(cluster) = &plan.cluster {
        line(format_args!("cluster {{"));
        line(format_args!("  name: \"fengsui\""));
        line(format_args!("  listen: {}", quoted(&cluster.listen.to_string())));
        let routes: Vec<String> = cluster.routes.iter().map(|route| quoted(route)).collect();
        line(format_args!("  routes: [{}]", routes.join(", ")));
        line(format_args!("  tls {{"));
        line(format_args!("    cert_file: {}", path(&plan.identity)));
        line(format_args!("    key_file: {}", path(&plan.identity)));
        line(format_args!("    ca_file: {}", path(&plan.authority)));
        line(format_args!("    verify: true"));
        line(format_args!("    timeout: {}", limits::TLS_HANDSHAKE_TIMEOUT.as_secs()));
        line(format_args!("  }}"));
        line(format_args!("}}"));
    }
    line(format_args!("include {}", quoted(USERS_FILE)));
    out
}

/// The file of who may do what: the centre everything within the account, each node its own subjects alone, and answers
/// to what it was asked; `system` is the centre's key for the system account.
#[must_use]
pub fn users_file(centre: &PublicNkey, system: &PublicNkey, nodes: &[NodeUser]) -> String {
    let mut out =
        String::from("# Written by fengsui, and again whenever it differs: changes here do not stay.\n");
    let _ = writeln!(out, "accounts {{\n  {ACCOUNT} {{\n    jetstream: enabled\n    users: [");
    let _ = writeln!(out, "      {{ nkey: {centre} }}");
    for user in nodes {
        let subjects = Subjects::of(&user.node);
        let list = |subjects: Vec<String>| subjects.iter().map(|s| quoted(s)).collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "      {{ nkey: {}, permissions: {{", user.nkey);
        let _ = writeln!(out, "        publish: {{ allow: [{}] }}", list(subjects.node_publishes()));
        let _ = writeln!(out, "        subscribe: {{ allow: [{}] }}", list(subjects.node_subscribes()));
        let _ = writeln!(
            out,
            "        allow_responses: {{ max: {}, expires: \"{}s\" }}",
            limits::RELAY_ANSWERS_PER_REQUEST_MAX,
            limits::RELAY_ANSWER_TIME_MAX.as_secs()
        );
        let _ = writeln!(out, "      }} }}");
    }
    let _ = writeln!(out, "    ]\n  }}");
    let _ = writeln!(out, "  {SYSTEM_ACCOUNT} {{ users: [{{ nkey: {system} }}] }}\n}}");
    let _ = writeln!(out, "system_account: {SYSTEM_ACCOUNT}");
    out
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A text in the server's quotes. Control characters have no place in what is written here; they are left out.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use expect_test::expect;
    use fengsui_storage::segment::NodeKey;

    use super::*;

    fn nkey(seed: u8) -> PublicNkey {
        PublicNkey::of(NodeKey::from_seed([seed; 32]).id())
    }

    #[test]
    fn each_node_has_its_own_subjects_and_nothing_else() {
        let east = NodeUser { node: "east".parse().unwrap(), nkey: nkey(3) };
        expect![[r##"
            # Written by fengsui, and again whenever it differs: changes here do not stay.
            accounts {
              FENGSUI {
                jetstream: enabled
                users: [
                  { nkey: UCFIRY65OQE7DFP5KLNS2PF2LVZMUZYJX4OZIEQ36N2IQANUB5XVZ45L }
                  { nkey: UDWUSKGGFDI4FRXK5EBTRECZSVQSSWJHHJOGH6JWG3AUMFFMQ435C2U4, permissions: {
                    publish: { allow: ["fengsui.up.east", "fengsui.now.east", "fengsui.where.east", "fengsui.presence.east"] }
                    subscribe: { allow: ["fengsui.confirm.east", "fengsui.command.east.>", "_INBOX_east.>"] }
                    allow_responses: { max: 1, expires: "60s" }
                  } }
                ]
              }
              SYS { users: [{ nkey: UCATS5YOVB6ROX2WUNKGNQ2MP3GMXDMKSG2O4N5CLX3A6W4PZGZZJPJO }] }
            }
            system_account: SYS
        "##]].assert_eq(&users_file(&nkey(1), &nkey(2), &[east]));
    }

    #[test]
    fn a_server_of_a_cluster_is_durable_and_speaks_tls_alone() {
        let plan = ServerPlan {
            name: "centre-a".parse().unwrap(),
            listen: "0.0.0.0:4222".parse().unwrap(),
            identity: "/srv/fengsui/relay/server.pem".into(),
            authority: "/srv/fengsui/relay/authority.crt".into(),
            store: "/srv/fen\"gsui/nats".into(),
            store_bytes: 8 << 30,
            cluster: Some(ClusterPlan {
                listen: "10.0.0.1:6222".parse().unwrap(),
                routes: vec!["tls://b.test:6222".to_owned(), "tls://c.test:6222".to_owned()],
            }),
        };
        expect![[r##"
            # Written by fengsui, and again whenever it differs: changes here do not stay.
            server_name: "centre-a"
            listen: "0.0.0.0:4222"
            max_payload: 524288
            max_pending: 16777216
            max_connections: 2048
            max_subscriptions: 1024
            write_deadline: "10s"
            ping_interval: "3s"
            ping_max: 2
            tls {
              cert_file: "/srv/fengsui/relay/server.pem"
              key_file: "/srv/fengsui/relay/server.pem"
              min_version: "1.2"
              timeout: 10
            }
            jetstream {
              store_dir: "/srv/fen\"gsui/nats"
              max_memory_store: 16777216
              max_file_store: 8589934592
              sync_interval: always
            }
            cluster {
              name: "fengsui"
              listen: "10.0.0.1:6222"
              routes: ["tls://b.test:6222", "tls://c.test:6222"]
              tls {
                cert_file: "/srv/fengsui/relay/server.pem"
                key_file: "/srv/fengsui/relay/server.pem"
                ca_file: "/srv/fengsui/relay/authority.crt"
                verify: true
                timeout: 10
              }
            }
            include "users.conf"
        "##]]
        .assert_eq(&server_file(&plan));
        let alone = server_file(&ServerPlan { cluster: None, ..plan });
        assert!(!alone.contains("cluster") && alone.contains("sync_interval: always"));
    }
}
