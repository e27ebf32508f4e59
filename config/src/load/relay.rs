//! Checks of `[relay]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use url::{Host, Url};

use super::node::resolved;
use super::section::{Findings, Section, Text};
use super::tidy;
use crate::checked::NodeConfig;
use crate::ids::NodeId;
use crate::limits;
use crate::relay::{CentreRole, ClusterConfig, LinkBudgets, RelayConfig, UpwardRole};

const ADDRESS_REMEDY: &str = "write tls://HOST:PORT";
const LISTEN_REMEDY: &str = "write an IP address and a port, for example \"0.0.0.0:4222\"";
/// Keys that only a centre has.
const OF_A_CENTRE: [&str; 8] =
    ["public_names", "servers", "store", "stream_mib", "replicas", "cluster_listen", "routes", "link_mbit"];
/// Keys that only a node with a centre has.
const OF_A_NODE: [&str; 4] = ["ca", "node", "backlog_records", "backlog_mib"];

/// Checks `[relay]`; without it the node is alone.
pub(super) fn relay(
    section: Option<Section>,
    links: Vec<Section>,
    node: Option<&NodeConfig>,
    base: &Path,
    out: &mut Findings,
) -> Option<RelayConfig> {
    let mut section = section?;
    section.take("node_link");
    let listen = section.text(out, "listen");
    let centre = one_or_more(&mut section, "centre", out);
    if listen.is_none() && centre.is_empty() {
        let remedy = "write listen for a centre, centre for a node that has one, or remove [relay]";
        section.missing(out, "centre", remedy);
    }
    let role = match listen {
        Some(listen) => self::centre(&mut section, (&listen, links), node, base, out),
        None => {
            let (problem, remedy) =
                ("is of a centre, and this node is none", "write listen beside it, or remove it");
            strangers(&mut section, &OF_A_CENTRE, problem, remedy, out);
            for link in links {
                out.refuse(&link.spot, link.kind, "", problem, remedy);
            }
            None
        }
    };
    let upward = if centre.is_empty() {
        let remedy = "write centre beside it, or remove it";
        strangers(&mut section, &OF_A_NODE, "is of a node with a centre, and this one has none", remedy, out);
        None
    } else {
        upward(&mut section, centre, role.as_ref(), node, base, out)
    };
    section.finish(out);
    Some(RelayConfig { centre: role, upward })
}

/// Refuses keys of a role that the node has not.
fn strangers(section: &mut Section, keys: &[&'static str], problem: &str, remedy: &str, out: &mut Findings) {
    for key in keys {
        if let Some(cell) = section.take(key) {
            out.refuse(&cell.spot, section.dotted(key), "", problem, remedy);
        }
    }
}

/// A text, or a list of texts.
fn one_or_more(section: &mut Section, key: &'static str, out: &mut Findings) -> Vec<Text> {
    if section.shown_text(key).is_some() {
        section.text(out, key).into_iter().collect()
    } else {
        section.texts(out, key)
    }
}

fn centre(
    section: &mut Section,
    (listen, links): (&Text, Vec<Section>),
    node: Option<&NodeConfig>,
    base: &Path,
    out: &mut Findings,
) -> Option<CentreRole> {
    let address = socket(section, "listen", listen, out);
    let public_names = names(section, address, out);
    let servers = section.texts(out, "servers");
    let servers = servers_of(section, "servers", servers, out);
    let store = section.text(out, "store").map(|text| resolved(&tidy(&base.join(text.value))));
    let stream = section.whole(out, "stream_mib", limits::RELAY_STREAM_MIB, "MiB");
    let cluster = cluster(section, address, out);
    let spot = section.spot_of("replicas");
    let replicas = section.whole(out, "replicas", limits::RELAY_REPLICAS, "replicas").unwrap_or(1);
    let replicas = usize::try_from(replicas).unwrap_or(1);
    let there = 1 + cluster.as_ref().map_or(0, |c| c.routes.len());
    if replicas > there {
        let problem = format!("are more than the {there} servers that there are");
        let remedy = "name the other servers in routes, or write fewer";
        out.refuse(&spot, section.dotted("replicas"), replicas.to_string(), problem, remedy);
    }
    let links = budgets(section, links, out);
    let address = address?;
    let public_servers = public_names.iter().map(|name| tls_url(name, address.port())).collect();
    let servers = if servers.is_empty() { vec![own(address)] } else { servers };
    let mut certificate_names = public_names;
    for server in &servers {
        let host = host_of(server);
        // Servers elsewhere have certificates of their own.
        if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) && !certificate_names.contains(&host) {
            certificate_names.push(host);
        }
    }
    Some(CentreRole {
        listen: address,
        certificate_names,
        public_servers,
        servers,
        store: store.or_else(|| node.map(|n| n.data.join("relay/streams")))?,
        stream_bytes: stream.map_or(limits::RELAY_STREAM_BYTES_DEFAULT, |mib| mib.saturating_mul(1 << 20)),
        replicas,
        cluster,
        links,
    })
}

/// What live pictures may take of the lines to nodes.
fn budgets(section: &mut Section, links: Vec<Section>, out: &mut Findings) -> LinkBudgets {
    let mut budgets = LinkBudgets::default();
    if let Some(mbit) = section.whole(out, "link_mbit", limits::RELAY_LINK_MBIT, "Mbit/s") {
        budgets.mbit = mbit;
    }
    for mut link in links {
        let name = link.need_text(out, "node", "name the node below this one");
        if link.spot_of("mbit") == link.spot {
            link.missing(out, "mbit", "write what live pictures may take of the line to it, in Mbit/s");
        }
        let mbit = link.whole(out, "mbit", limits::RELAY_LINK_MBIT, "Mbit/s");
        if let Some(name) = name {
            match name.value.parse::<NodeId>() {
                Err(_) => {
                    let remedy = "write the name of the node: 1 to 32 of a-z, 0-9 and '-'";
                    link.refuse(out, "node", &name, "is no short name", remedy);
                }
                Ok(node) => {
                    if let Some(mbit) = mbit
                        && budgets.of.insert(node, mbit).is_some()
                    {
                        link.refuse(out, "node", &name, "is there already", "keep one of the two");
                    }
                }
            }
        }
        link.finish(out);
    }
    budgets
}

/// Names by which nodes reach the server.
fn names(section: &mut Section, listen: Option<SocketAddr>, out: &mut Findings) -> Vec<String> {
    let texts = section.texts(out, "public_names");
    let here = listen.is_none_or(|address| address.ip().is_loopback());
    if texts.is_empty() && !here {
        let remedy = "write the host names and addresses by which nodes reach this machine: they stand in its certificate";
        section.missing(out, "public_names", remedy);
    }
    let mut names = Vec::new();
    for text in texts {
        match Host::parse(&text.value) {
            Ok(Host::Ipv6(ip)) => names.push(ip.to_string()),
            Ok(host) => names.push(host.to_string()),
            Err(_) => {
                section.refuse(
                    out,
                    "public_names",
                    &text,
                    "is no host",
                    "write a host name or an IP address, no port",
                );
            }
        }
    }
    if names.is_empty()
        && let Some(address) = listen.filter(|address| address.ip().is_loopback())
    {
        names.push(address.ip().to_string());
    }
    names
}

fn cluster(section: &mut Section, listen: Option<SocketAddr>, out: &mut Findings) -> Option<ClusterConfig> {
    let text = section.text(out, "cluster_listen");
    let routes = section.texts(out, "routes");
    let Some(text) = text else {
        if let Some(first) = routes.first() {
            let remedy = "write cluster_listen beside it, or remove it";
            section.refuse(out, "routes", first, "names other servers, which cannot reach this one", remedy);
        }
        return None;
    };
    if routes.is_empty() {
        section.missing(out, "routes", "name the other servers: [\"tls://HOST:PORT\"]");
    }
    let routes = servers_of(section, "routes", routes, out);
    let address = socket(section, "cluster_listen", &text, out)?;
    if listen == Some(address) {
        section.refuse(out, "cluster_listen", &text, "is the address for nodes", "use another port");
    }
    Some(ClusterConfig { listen: address, routes })
}

fn upward(
    section: &mut Section,
    centre: Vec<Text>,
    role: Option<&CentreRole>,
    node: Option<&NodeConfig>,
    base: &Path,
    out: &mut Findings,
) -> Option<UpwardRole> {
    for text in &centre {
        if role.is_some_and(|role| {
            role.servers.contains(&text.value) || role.public_servers.contains(&text.value)
        }) {
            let remedy = "name the servers of the centre above, or remove centre";
            section.refuse(out, "centre", text, "is this node's own server", remedy);
        }
    }
    let servers = servers_of(section, "centre", centre, out);
    let ca = section.text(out, "ca").map(|text| tidy(&base.join(text.value)));
    let name = section.text(out, "node");
    let name = match name {
        None => node.map(|n| n.id.clone()),
        Some(text) => match text.value.parse() {
            Ok(name) => Some(name),
            Err(_) => {
                let remedy =
                    "write the name by which the centre invited this node: 1 to 32 of a-z, 0-9 and '-'";
                section.refuse(out, "node", &text, "is no short name", remedy);
                None
            }
        },
    };
    let records = section.whole(out, "backlog_records", limits::RELAY_BACKLOG_RECORDS, "records");
    let mib = section.whole(out, "backlog_mib", limits::RELAY_BACKLOG_MIB, "MiB");
    Some(UpwardRole {
        servers,
        ca: ca.or_else(|| node.map(|n| n.data.join("relay/centre.crt")))?,
        node: name?,
        backlog_records: records.unwrap_or(limits::RELAY_BACKLOG_RECORDS_DEFAULT),
        backlog_bytes: mib.map_or(limits::RELAY_BACKLOG_BYTES_DEFAULT, |mib| mib.saturating_mul(1 << 20)),
    })
}

/// Checks addresses of servers.
fn servers_of(section: &Section, key: &'static str, texts: Vec<Text>, out: &mut Findings) -> Vec<String> {
    if let Some(beyond) = texts.get(limits::RELAY_SERVERS_MAX) {
        let problem = format!("is one of more than {} servers", limits::RELAY_SERVERS_MAX);
        section.refuse(out, key, beyond, problem, "remove some");
    }
    let mut servers = Vec::new();
    for text in texts {
        let url = Url::parse(&text.value).ok().filter(|url| url.host().is_some());
        let Some(url) = url else {
            section.refuse(out, key, &text, "is no address of a server", ADDRESS_REMEDY);
            continue;
        };
        if !url.username().is_empty() || url.password().is_some() {
            let remedy = "leave user and password out: a node logs in with its own key";
            out.refuse(&text.spot, section.dotted(key), "***", "holds a user or a password", remedy);
        } else if url.scheme() != "tls" {
            section.refuse(out, key, &text, "does not say that it speaks TLS", ADDRESS_REMEDY);
        } else if url.port().is_none_or(|port| port == 0) {
            section.refuse(out, key, &text, "has no port", ADDRESS_REMEDY);
        } else if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            section.refuse(out, key, &text, "holds more than an address", ADDRESS_REMEDY);
        } else {
            servers.push(text.value.trim_end_matches('/').to_owned());
        }
    }
    servers
}

fn socket(section: &Section, key: &'static str, text: &Text, out: &mut Findings) -> Option<SocketAddr> {
    match text.value.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Some(address),
        _ => {
            section.refuse(out, key, text, "is no listening address with a port", LISTEN_REMEDY);
            None
        }
    }
}

fn tls_url(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(ip) => format!("tls://[{ip}]:{port}"),
        Err(_) => format!("tls://{host}:{port}"),
    }
}

/// The address by which the machine itself reaches a server that listens there.
fn own(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    tls_url(&ip.to_string(), listen.port())
}

fn host_of(server: &str) -> String {
    let host = Url::parse(server).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use super::super::parse;
    use super::*;

    const GOOD: &str = include_str!("good.toml");

    fn config(relay: &str) -> Result<Option<RelayConfig>, String> {
        let env: BTreeMap<String, String> = [("CAMERA".to_owned(), "p4ss".to_owned())].into();
        let text = if relay.is_empty() { GOOD.to_owned() } else { format!("{GOOD}\n[relay]\n{relay}\n") };
        parse(&text, Path::new("/srv/fengsui.toml"), &env)
            .map(|(config, _)| config.relay)
            .map_err(|refusals| refusals.to_string())
    }

    #[test]
    fn a_node_without_the_section_needs_no_server() {
        assert_eq!(config(""), Ok(None));
    }

    #[test]
    fn a_centre_a_node_and_a_county_are_read_with_their_defaults() {
        let centre =
            config("listen = \"0.0.0.0:4222\"\npublic_names = [\"centre.example.cn\", \"10.0.0.1\"]");
        let RelayConfig { centre: Some(centre), upward: None } = centre.unwrap().unwrap() else {
            unreachable!()
        };
        assert_eq!(centre.public_servers, ["tls://centre.example.cn:4222", "tls://10.0.0.1:4222"]);
        assert_eq!(centre.servers, ["tls://127.0.0.1:4222"]);
        assert_eq!(centre.certificate_names, ["centre.example.cn", "10.0.0.1", "127.0.0.1"]);
        assert_eq!(centre.store, Path::new("/srv/data/relay/streams"));
        assert_eq!((centre.replicas, centre.cluster, centre.stream_bytes), (1, None, 4 << 30));
        let [east, west] = ["east", "west"].map(|n| n.parse().unwrap());
        assert_eq!(centre.links.bits(&east), 20_000_000);
        let narrow =
            "listen = \"127.0.0.1:4222\"\nlink_mbit = 50\n[[relay.node_link]]\nnode = \"east\"\nmbit = 8";
        let narrow = config(narrow).unwrap().unwrap().centre.unwrap().links;
        assert_eq!((narrow.bits(&east), narrow.bits(&west)), (8_000_000, 50_000_000));
        let node = config("centre = \"tls://centre.example.cn:4222\"").unwrap().unwrap().upward.unwrap();
        assert_eq!((node.node.as_str(), node.servers.len()), ("centre", 1));
        assert_eq!(node.ca, Path::new("/srv/data/relay/centre.crt"));
        assert_eq!(node.backlog_records, limits::RELAY_BACKLOG_RECORDS_DEFAULT);
        let county = "listen = \"127.0.0.1:4222\"\ncluster_listen = \"10.0.0.1:6222\"\nroutes = [\"tls://b.cn:6222\", \"tls://c.cn:6222\"]\nreplicas = 3\n\
                      centre = [\"tls://city-a.cn:4222\", \"tls://[2001:db8::1]:4222\"]\nca = \"city.pem\"\nnode = \"kecheng\"\nbacklog_records = 5000\nbacklog_mib = 64";
        let county = config(county).unwrap().unwrap();
        let (centre, up) = (county.centre.unwrap(), county.upward.unwrap());
        assert_eq!((centre.replicas, centre.cluster.unwrap().routes.len()), (3, 2));
        assert_eq!((up.node.as_str(), up.ca.as_path()), ("kecheng", Path::new("/srv/city.pem")));
        assert_eq!((up.backlog_records, up.backlog_bytes), (5000, 64 << 20));
    }

    #[test]
    fn every_fault_of_the_section_is_refused_with_its_remedy() {
        let listen = "listen = \"127.0.0.1:4222\"\n";
        let link = "[[relay.node_link]]\nnode = \"east\"\nmbit = 5\n";
        let twice = format!("{listen}{link}{link}");
        let cases = [
            ("replicas = 1", "relay.centre: is missing", "remove [relay]"),
            ("replicas = 1\ncentre = \"tls://h:1\"", "is of a centre, and this node is none", "write listen"),
            ("listen = \"127.0.0.1:4222\"\nbacklog_mib = 64", "this one has none", "write centre"),
            ("listen = \"4222\"", "relay.listen = \"4222\": is no listening address", "0.0.0.0:4222"),
            ("listen = \"0.0.0.0:4222\"", "relay.public_names: is missing", "stand in its certificate"),
            ("centre = \"nats://h:4222\"", "does not say that it speaks TLS", "tls://HOST:PORT"),
            ("centre = \"tls://h\"", "has no port", "tls://HOST:PORT"),
            ("centre = \"tls://u:hush@h:4222\"", "holds a user or a password", "its own key"),
            ("centre = \"tls://h:4222/x\"", "holds more than an address", "tls://HOST:PORT"),
            ("centre = \"h:4222\"", "is no address of a server", "tls://HOST:PORT"),
            ("centre = \"tls://h:4222\"\nnode = \"Ost\"", "is no short name", "a-z"),
            ("centre = \"tls://h:4222\"\nbacklog_mib = 1", "is out of bounds", "between 16"),
            (&format!("{listen}replicas = 3"), "are more than the 1 servers", "routes"),
            (&format!("{listen}routes = [\"tls://b:1\"]"), "which cannot reach this one", "cluster_listen"),
            (
                &format!("{listen}cluster_listen = \"10.0.0.1:6222\""),
                "relay.routes: is missing",
                "the other servers",
            ),
            (
                &format!("{listen}cluster_listen = \"127.0.0.1:4222\"\nroutes = [\"tls://b:1\"]"),
                "is the address for nodes",
                "another port",
            ),
            (
                &format!("{listen}centre = \"tls://127.0.0.1:4222\""),
                "is this node's own server",
                "the centre above",
            ),
            (&format!("{listen}public_names = [\"a b\"]"), "is no host", "no port"),
            (
                &format!("{listen}link_mbit = 0"),
                "relay.link_mbit = 0: is out of bounds",
                "between 1 and 10000",
            ),
            ("centre = \"tls://h:4222\"\nlink_mbit = 5", "relay.link_mbit: is of a centre", "write listen"),
            (
                "centre = \"tls://h:4222\"\n[[relay.node_link]]\nnode = \"east\"\nmbit = 5",
                "relay.node_link: is of a centre",
                "write listen",
            ),
            (
                &format!("{listen}[[relay.node_link]]\nnode = \"east\""),
                "node_link.mbit: is missing",
                "Mbit/s",
            ),
            (
                &format!("{listen}[[relay.node_link]]\nmbit = 5"),
                "node_link.node: is missing",
                "name the node",
            ),
            (&format!("{listen}[[relay.node_link]]\nnode = \"O\"\nmbit = 5"), "is no short name", "a-z"),
            (&twice, "is there already", "keep one"),
        ];
        for (text, problem, remedy) in cases {
            let refusals = config(text).unwrap_err();
            assert!(refusals.contains(problem) && refusals.contains(remedy), "{text}\n{refusals}");
            assert!(!refusals.contains("hush"), "{refusals}");
        }
    }
}
