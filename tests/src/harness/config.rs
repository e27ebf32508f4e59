//! Writes the configuration of a node whose cameras are those of a simulator.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use fengsui_config::ids::{CameraId, StreamKind};

use super::{Doing as _, Outcome};
use crate::camsim::CamSim;
use crate::camsim::auth::AuthScheme;

/// What the configuration is to say beyond the cameras.
#[derive(Debug, Clone)]
pub struct ConfigOptions {
    /// Name of the node.
    pub node: &'static str,
    /// Addresses of the web server with TLS.
    pub tls_listen: Vec<String>,
    /// `tcp` or `udp`.
    pub transport: &'static str,
    /// Whether cameras have their sub streams.
    pub sub: bool,
    /// Volume names; each is a directory beside the configuration.
    pub volumes: Vec<String>,
    /// Free space that is kept on each volume, in MiB.
    pub reserve_mib: u64,
    /// Budget of all rings, in MiB.
    pub ring_budget_mib: u64,
    /// Addresses of the web server; port 0 takes a free one.
    pub listen: Vec<String>,
    /// Text appended to the file as it is.
    pub extra: String,
}

impl Default for ConfigOptions {
    fn default() -> Self {
        Self {
            node: "centre",
            tls_listen: Vec::new(),
            transport: "tcp",
            sub: true,
            volumes: vec!["v1".to_owned()],
            reserve_mib: 16,
            ring_budget_mib: 256,
            listen: vec!["127.0.0.1:0".to_owned()],
            extra: String::new(),
        }
    }
}

/// The national code that simulated camera `n` has in these configurations.
#[must_use]
pub fn camera_id(n: u16) -> CameraId {
    camera_code(n).parse().unwrap_or_else(|_| unreachable!("twenty digits by construction"))
}

/// The same as text.
#[must_use]
pub fn camera_code(n: u16) -> String {
    format!("33080201001320{n:06}")
}

const SITE: &str = "33080201002160000001";

/// Everything of a configuration but its cameras.
#[must_use]
pub fn node_text(options: &ConfigOptions) -> String {
    let addresses = |list: &[String]| list.iter().map(|l| format!("{l:?}")).collect::<Vec<_>>().join(", ");
    let tls = match options.tls_listen.as_slice() {
        [] => String::new(),
        some => format!("tls_listen = [{}]\n", addresses(some)),
    };
    let mut text = format!(
        "[node]\nid = \"{}\"\ndata = \"data\"\n\n[web]\nlisten = [{}]\n{tls}\n[storage]\nring_budget_mib = {}\n",
        options.node,
        addresses(&options.listen),
        options.ring_budget_mib
    );
    for volume in &options.volumes {
        let _ = write!(
            text,
            "\n[[storage.volume]]\nid = \"{volume}\"\npath = \"{volume}\"\nreserve_mib = {}\n",
            options.reserve_mib
        );
    }
    let _ = write!(
        text,
        "\n[city]\ncode = \"33080000002000000001\"\nname = \"衢州市\"\n\
         \n[[sub_centre]]\ncode = \"33080200002000000001\"\nname = \"柯城分中心\"\n\
         \n[[station]]\ncode = \"33080201002150000001\"\nname = \"府山派出所\"\nsub_centre = \"33080200002000000001\"\n\
         \n[[site]]\ncode = \"{SITE}\"\nname = \"人民路口\"\nstation = \"33080201002150000001\"\nkind = \"crossroad\"\n"
    );
    text
}

/// One camera with these addresses; `login` is user and password.
#[must_use]
pub fn camera_text(
    n: u16,
    main: &str,
    sub: Option<&str>,
    transport: &str,
    login: Option<(&str, &str)>,
) -> String {
    let mut text = format!(
        "\n[[camera]]\ncode = \"{}\"\nname = \"人民路口 {n}\"\nsite = \"{SITE}\"\nmain = \"{main}\"\ntransport = \"{transport}\"\n",
        camera_code(n)
    );
    if let Some(sub) = sub {
        let _ = writeln!(text, "sub = \"{sub}\"");
    }
    if let Some((user, _)) = login {
        // The password itself never stands in a configuration: it lies in a file beside it.
        let _ = writeln!(text, "user = \"{user}\"\npassword = \"file:camera.password\"");
    }
    text
}

/// Writes `fengsui.toml` (and the password file, when the cameras ask for one) into `directory`: all cameras of
/// the simulator, numbered as there. Makes the volume directories.
///
/// # Errors
/// When a file or directory cannot be written.
pub fn write(directory: &Path, sim: &CamSim, options: &ConfigOptions) -> Outcome<PathBuf> {
    let login = (sim.options().auth != AuthScheme::None)
        .then(|| (sim.options().user.as_str(), sim.options().password.as_str()));
    let mut text = node_text(options);
    for n in 1..=sim.cameras() {
        let sub = options.sub.then(|| sim.url(n, StreamKind::Sub));
        text += &camera_text(n, &sim.url(n, StreamKind::Main), sub.as_deref(), options.transport, login);
    }
    text += &options.extra;
    write_text(directory, &text, options, login)
}

/// Writes a configuration of your own making, with the directories and the password file it names.
///
/// # Errors
/// When a file or directory cannot be written.
pub fn write_text(
    directory: &Path,
    text: &str,
    options: &ConfigOptions,
    login: Option<(&str, &str)>,
) -> Outcome<PathBuf> {
    for volume in &options.volumes {
        let path = directory.join(volume);
        std::fs::create_dir_all(&path).doing(format!("create {}", path.display()))?;
    }
    if let Some((_, password)) = login {
        let path = directory.join("camera.password");
        std::fs::write(&path, password).doing(format!("write {}", path.display()))?;
        private(&path)?;
    }
    let path = directory.join("fengsui.toml");
    std::fs::write(&path, text).doing(format!("write {}", path.display()))?;
    Ok(path)
}

/// Takes the file from everyone but its owner.
fn private(path: &Path) -> Outcome<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .doing(format!("restrict {}", path.display()))
}
