//! A centre and its message server, each a real process, with a bad network before the server; and what sub-centres
//! need to be enrolled there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::{UpwardRole, limits};
use fengsui_relay::link::{LinkOptions, NatsLink};
use fengsui_storage::segment::NodeKey;

use crate::harness::config::{self, ConfigOptions, camera_code, camera_text};
use crate::harness::{Api, Doing as _, Fengsui, HarnessError, Outcome, binary, wait_for};
use crate::nats::{NatsServer, free_port};
use crate::proxy::Proxy;

/// Time within which the centre has written its server's files.
const FILES_WITHIN: Duration = Duration::from_secs(30);

/// A centre that runs, with its server.
pub struct City {
    /// The centre's configuration.
    pub config: PathBuf,
    /// The centre's HTTPS, where tokens are taken.
    pub https: String,
    /// The message server.
    pub nats: NatsServer,
    /// The network between the nodes and the server.
    pub proxy: Proxy,
    folder: tempfile::TempDir,
}

/// Runs `fengsui` with arguments, and waits for its end.
///
/// # Errors
/// When it cannot be started.
pub fn fengsui(config: &Path, arguments: &[&str]) -> Outcome<Output> {
    Command::new(binary()?).arg("--config").arg(config).args(arguments).output().doing("run fengsui")
}

/// What a program wrote.
#[must_use]
pub fn words(output: &Output) -> String {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn well(output: Output, what: &str) -> Outcome<Output> {
    if output.status.success() {
        return Ok(output);
    }
    Err(HarnessError(format!("{what}: {}: {}", output.status, words(&output))))
}

impl City {
    /// Starts a centre, its message server `program`, and the network, whose chance is drawn from `seed`.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub async fn start(program: &Path, seed: u64) -> Outcome<(Self, Fengsui, Api)> {
        Self::start_with(program, seed, "").await
    }

    /// The same; the centre's configuration says `more`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(program: &Path, seed: u64, more: &str) -> Outcome<(Self, Fengsui, Api)> {
        let folder = tempfile::Builder::new().prefix("fengsui-").tempdir().doing("make a directory")?;
        let port = || free_port().doing("find a free port");
        let (server, http, https) = (port()?, port()?, port()?);
        // A centre that was killed comes back at the same address, as it does for its operators.
        let options = ConfigOptions {
            listen: vec![format!("127.0.0.1:{http}")],
            tls_listen: vec![format!("127.0.0.1:{https}")],
            ..ConfigOptions::default()
        };
        let relay = format!("{more}\n[relay]\nlisten = \"127.0.0.1:{server}\"\nstream_mib = 64\n");
        let text = config::node_text(&options) + &relay;
        let config = config::write_text(folder.path(), &text, &options, None)?;
        let mut node = Fengsui::start(&config)?;
        let api = node.log_in().await?;
        let file = folder.path().join("data/relay/server.conf");
        wait_for("the server's files", FILES_WITHIN, || async { Ok(file.exists().then_some(())) }).await?;
        let address = SocketAddr::from(([127, 0, 0, 1], server));
        let nats = NatsServer::start(program, &file, "centre", address).doing("start nats-server")?;
        let proxy = Proxy::start(address, seed).await.doing("start the network")?;
        Ok((Self { folder, config, https: format!("https://127.0.0.1:{https}"), nats, proxy }, node, api))
    }

    /// A folder for what belongs to the city.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a token for a node that may speak of these cameras; gives the file that it stands in.
    ///
    /// # Errors
    /// When the centre refuses.
    pub fn invite(&self, node: &str, cameras: &[String]) -> Outcome<PathBuf> {
        let list = self.folder.path().join(format!("{node}.cameras"));
        std::fs::write(&list, cameras.join("\n")).doing("write the list of cameras")?;
        let from = list.to_string_lossy();
        let output = well(
            fengsui(&self.config, &["node", "invite", node, "--cameras-from", &from])?,
            "invite a node",
        )?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let token = text.lines().find(|line| line.starts_with("fengsui1."));
        let token = token.ok_or_else(|| HarnessError(format!("no token: {text}")))?;
        let file = self.folder.path().join(format!("{node}.token"));
        std::fs::write(&file, token).doing("write the token")?;
        Ok(file)
    }

    /// Brings a token for the node of this configuration.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn enrol(&self, node: &Path, token: &Path) -> Outcome<Output> {
        let token = token.to_string_lossy();
        fengsui(node, &["node", "enrol", "--centre", &self.https, "--token-file", &token])
    }

    /// Invites and enrols the node of this configuration.
    ///
    /// # Errors
    /// When the centre refuses.
    pub fn admit(&self, node: &str, config: &Path, cameras: &[String]) -> Outcome<()> {
        let token = self.invite(node, cameras)?;
        well(self.enrol(config, &token)?, "enrol a node").map(drop)
    }

    /// Enrols a node whose cameras are named and not read; gives its configuration. It reaches the server itself.
    ///
    /// # Errors
    /// When the centre refuses.
    pub fn admit_with(&self, node: &'static str, cameras: &[u16]) -> Outcome<PathBuf> {
        let folder = self.folder.path().join(node);
        std::fs::create_dir_all(&folder).doing("make a directory")?;
        let options = ConfigOptions { node, ..ConfigOptions::default() };
        let mut text = config::node_text(&options);
        for n in cameras {
            text += &camera_text(*n, &format!("rtsp://127.0.0.1:1/{n}"), None, "tcp", None);
            text += "enabled = false\n";
        }
        text += &self.uplink(false);
        let config = config::write_text(&folder, &text, &options, None)?;
        let codes: Vec<String> = cameras.iter().map(|n| camera_code(*n)).collect();
        self.admit(node, &config, &codes)?;
        Ok(config)
    }

    /// A connection with the key of a node that was enrolled, without the node.
    ///
    /// # Errors
    /// When its key cannot be read.
    pub async fn link(&self, node: &str, config: &Path) -> Outcome<NatsLink> {
        let data = config.with_file_name("data");
        let key = NodeKey::load_or_create(&data.join("node.key")).doing("read a node's key")?;
        let role = UpwardRole {
            servers: vec![format!("tls://{}", self.nats.address())],
            ca: data.join("relay/centre.crt"),
            node: node.parse().doing("name a node")?,
            backlog_records: limits::RELAY_BACKLOG_RECORDS_DEFAULT,
            backlog_bytes: limits::RELAY_BACKLOG_BYTES_DEFAULT,
        };
        NatsLink::open(LinkOptions::upward(&role, Arc::new(key))).await.doing("open a link")
    }

    /// What a sub-centre's configuration says of its centre: through the network, or at the server itself.
    #[must_use]
    pub fn uplink(&self, through_network: bool) -> String {
        let address = if through_network { self.proxy.address() } else { self.nats.address() };
        format!("\n[relay]\ncentre = \"tls://{address}\"\n")
    }
}
