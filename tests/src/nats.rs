//! The NATS server of other people as a child process: from `.cache/venv`, where `tests/scripts/setup.sh test` puts it,
//! else the system's.
//!
//! Only this file's server answers to the name in its own file, so that a stranger on the port is not taken for it.

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Looks at a server that is starting, and the pause between them.
const LOOKS: u32 = 1000;
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A server; killed when dropped.
pub struct NatsServer {
    child: Child,
    program: PathBuf,
    config: PathBuf,
    name: String,
    address: SocketAddr,
}

/// A free port of loopback.
///
/// # Errors
/// When there is none.
pub fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

impl NatsServer {
    /// The program, if it is installed.
    #[must_use]
    pub fn program() -> Option<PathBuf> {
        let here =
            Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|a| a.join(".cache/venv/bin/nats-server"));
        let system = ["/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"];
        here.chain(system.map(PathBuf::from)).find(|path| path.is_file())
    }

    /// Starts `program` with the file `config`, which says that the server is called `name` and listens on `address`.
    ///
    /// # Errors
    /// When it does not come up; its words stand beside `config` in `nats.log`.
    pub fn start(program: &Path, config: &Path, name: &str, address: SocketAddr) -> io::Result<Self> {
        let child = spawn(program, config)?;
        let mut me = Self {
            child,
            program: program.to_owned(),
            config: config.to_owned(),
            name: name.to_owned(),
            address,
        };
        me.wait_until_up()?;
        Ok(me)
    }

    fn wait_until_up(&mut self) -> io::Result<()> {
        for _ in 0..LOOKS {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("nats-server ended: {status}; {}", self.words())));
            }
            if self.answers() {
                return Ok(());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Err(io::Error::other(format!("nats-server does not answer; {}", self.words())))
    }

    /// Whether the one who listens there is this server.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)) else {
            return false;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let mut head = [0; 4096];
        let read = stream.read(&mut head).unwrap_or(0);
        let text = String::from_utf8_lossy(head.get(..read).unwrap_or(&[])).into_owned();
        text.starts_with("INFO ") && text.contains(&format!("\"server_name\":\"{}\"", self.name))
    }

    /// What it wrote, the end of it.
    #[must_use]
    pub fn words(&self) -> String {
        let text = std::fs::read_to_string(self.config.with_file_name("nats.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or(&[]).join("\n")
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Starts it again after [`Self::kill`].
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&mut self) -> io::Result<()> {
        self.child = spawn(&self.program, &self.config)?;
        self.wait_until_up()
    }
}

fn spawn(program: &Path, config: &Path) -> io::Result<Child> {
    Command::new(program)
        .arg("-c")
        .arg(config)
        .arg("-l")
        .arg(config.with_file_name("nats.log"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
