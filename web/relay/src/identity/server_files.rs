//! The files of the centre's NATS server, kept as the register of nodes has it.

use std::io;
use std::path::{Path, PathBuf};

use fengsui_config::CentreRole;
use fengsui_config::ids::NodeId;
use fengsui_storage::fs::Fs;

use super::files::ConfigWriter;
use super::nkey::PublicNkey;
use super::registry::Nodes;
use super::server_config::{self, ClusterPlan, ServerPlan, USERS_FILE};

/// Writes `server.conf` and `users.conf` into the folder of the authority.
#[derive(Debug)]
pub struct ServerFiles {
    plan: ServerPlan,
    server: ConfigWriter,
    users: ConfigWriter,
    centre: PublicNkey,
    system: PublicNkey,
}

impl ServerFiles {
    /// The files in `folder` (where [`super::Authority`] keeps its own) for the server of `node`. `centre` is the key that
    /// the centre's link logs in with, `system` another one, for [`crate::link::reload`].
    #[must_use]
    pub fn new(
        folder: &Path,
        role: &CentreRole,
        node: &NodeId,
        (centre, system): (PublicNkey, PublicNkey),
    ) -> Self {
        let cluster = role.cluster.as_ref();
        let plan = ServerPlan {
            name: node.clone(),
            listen: role.listen,
            identity: folder.join("server.pem"),
            authority: folder.join("authority.crt"),
            store: role.store.clone(),
            // Room for the stream, what its compaction takes, and the buckets.
            store_bytes: role.stream_bytes.saturating_add(role.stream_bytes / 4).saturating_add(1 << 30),
            cluster: cluster.map(|c| ClusterPlan { listen: c.listen, routes: c.routes.clone() }),
        };
        let writer = |name: &str| ConfigWriter::new(folder.join(name));
        Self { plan, server: writer("server.conf"), users: writer(USERS_FILE), centre, system }
    }

    /// The file to start the server with: `nats-server -c FILE`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.server.path().to_owned()
    }

    /// Servers that a reload is to reach.
    #[must_use]
    pub fn servers(&self) -> usize {
        1 + self.plan.cluster.as_ref().map_or(0, |c| c.routes.len())
    }

    /// Makes both files what they should be; whether one was not, so that running servers must read them again.
    ///
    /// # Errors
    /// As the file system says.
    pub fn write(&self, fs: &dyn Fs, nodes: &Nodes) -> io::Result<bool> {
        // Users first: the server's file names them.
        let users = server_config::users_file(&self.centre, &self.system, &nodes.users());
        let users = self.users.write(fs, &users)?;
        Ok(self.server.write(fs, &server_config::server_file(&self.plan))? || users)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use fengsui_storage::fs::RealFs;
    use fengsui_storage::segment::NodeKey;

    use super::*;

    #[test]
    fn files_are_written_when_they_differ_and_left_alone_when_not() {
        let dir = tempfile::tempdir().unwrap();
        let role = CentreRole {
            listen: "127.0.0.1:4222".parse().unwrap(),
            certificate_names: Vec::new(),
            public_servers: Vec::new(),
            servers: Vec::new(),
            store: dir.path().join("streams"),
            stream_bytes: 1 << 30,
            replicas: 1,
            cluster: None,
            links: fengsui_config::LinkBudgets::default(),
        };
        let nkey = |seed| PublicNkey::of(NodeKey::from_seed([seed; 32]).id());
        let files = ServerFiles::new(dir.path(), &role, &"centre".parse().unwrap(), (nkey(1), nkey(2)));
        let nodes = Nodes::default();
        assert!(files.write(&RealFs, &nodes).unwrap());
        assert!(!files.write(&RealFs, &nodes).unwrap(), "nothing changed");
        std::fs::write(dir.path().join(USERS_FILE), "somebody's own words").unwrap();
        assert!(files.write(&RealFs, &nodes).unwrap());
        let text = std::fs::read_to_string(dir.path().join(USERS_FILE)).unwrap();
        assert!(text.contains(nkey(1).as_str()) && !text.contains("somebody"));
        assert_eq!((files.servers(), files.path()), (1, dir.path().join("server.conf")));
    }
}
