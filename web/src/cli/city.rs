//! `fengsui city new`: writes the configuration of the reference city, made up but plausible.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use fengsui_config::city::{CityOptions, new};
use fengsui_config::topology::Transport;
use fengsui_config::write;

use super::check::{complain, say};

/// `fengsui city ...`
#[derive(Debug, Subcommand)]
pub enum CityCommand {
    /// Write the configuration of a made-up city: by default 1,400 cameras at 474 sites of 18 sub-centres.
    New(NewArgs),
}

/// Options of `fengsui city new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Folder to write fengsui.toml, city.toml and cameras.toml to.
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// How many cameras.
    #[arg(long, default_value_t = 1400)]
    pub cameras: usize,
    /// Address of a stream; {n} becomes the camera's number, {code} its national code, {stream} main or sub.
    #[arg(long, default_value = "rtsp://127.0.0.1:8554/cam/{n}/{stream}")]
    pub rtsp: String,
    /// Number of the first camera.
    #[arg(long, default_value_t = 1)]
    pub first: u32,
    /// Give cameras a main stream only.
    #[arg(long)]
    pub no_sub: bool,
    /// How RTP comes.
    #[arg(long, value_enum, default_value_t = TransportArg::Tcp)]
    pub transport: TransportArg,
    /// User name at every camera.
    #[arg(long, requires = "password")]
    pub user: Option<String>,
    /// Reference to the password at every camera: env:NAME, file:PATH or enc:...
    #[arg(long, requires = "user")]
    pub password: Option<String>,
    /// Address of the plain HTTP of the node; loopback only.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Address of the HTTPS of the node, if it shall have one.
    #[arg(long)]
    pub tls_listen: Option<SocketAddr>,
    /// Free MiB of the footage volume below which nothing more is written to it.
    #[arg(long, default_value_t = 2048)]
    pub reserve_mib: u64,
    /// Replace files that are there already.
    #[arg(long)]
    pub force: bool,
}

/// `tcp` or `udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TransportArg {
    /// Interleaved in the RTSP connection.
    Tcp,
    /// In datagrams of its own.
    Udp,
}

/// Runs a `city` command. Exit code 0: written; 1: refused or failed.
#[must_use]
pub fn run(command: &CityCommand) -> ExitCode {
    let CityCommand::New(args) = command;
    match write_city(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&format!("city new: {problem}"));
            ExitCode::FAILURE
        }
    }
}

fn write_city(args: &NewArgs) -> Result<(), String> {
    if !args.listen.ip().is_loopback() {
        return Err(format!(
            "--listen {} would speak plain HTTP beyond this machine; use --tls-listen",
            args.listen
        ));
    }
    if let Some(reference) = &args.password
        && !["env:", "file:", "enc:"].iter().any(|kind| reference.starts_with(kind))
    {
        return Err("--password takes env:NAME, file:PATH or enc:..., never the password itself".to_owned());
    }
    let options = CityOptions {
        cameras: args.cameras,
        rtsp: args.rtsp.clone(),
        first: args.first,
        sub: !args.no_sub,
        credentials: args.user.clone().zip(args.password.clone()),
        transport: match args.transport {
            TransportArg::Tcp => Transport::Tcp,
            TransportArg::Udp => Transport::Udp,
        },
    };
    let city = new(&options).map_err(|error| error.to_string())?;
    let mark = "# Sample data: a made-up city with real names of towns. Written by `fengsui city new`.\n\n";
    let files = [
        ("fengsui.toml", format!("{mark}{}", head(args))),
        ("city.toml", format!("{mark}{}", write::places(&city))),
        ("cameras.toml", format!("{mark}{}", write::cameras(city.cameras.values()))),
    ];
    std::fs::create_dir_all(&args.folder).map_err(|error| format!("{}: {error}", args.folder.display()))?;
    if !args.force
        && let Some((name, _)) = files.iter().find(|(name, _)| args.folder.join(name).exists())
    {
        return Err(format!("{} is there already; --force replaces it", args.folder.join(name).display()));
    }
    for (name, text) in &files {
        put(&args.folder.join(name), text)?;
    }
    say(&format!(
        "{}: {} cameras at {} sites, {} stations, {} sub-centres (sample data)",
        args.folder.join("fengsui.toml").display(),
        city.cameras.len(),
        city.sites.len(),
        city.stations.len(),
        city.sub_centres.len(),
    ));
    Ok(())
}

/// The main file: node, web and storage.
fn head(args: &NewArgs) -> String {
    let tls = args.tls_listen.map_or(String::new(), |address| format!("tls_listen = [\"{address}\"]\n"));
    format!(
        "include = [\"city.toml\", \"cameras.toml\"]\n\n\
        [node]\nid = \"centre\"\ndata = \"data\"\n\n\
        [web]\nlisten = [\"{}\"]\n{tls}\n\
        [storage]\nring_budget_mib = 1024\n\n\
        [[storage.volume]]\nid = \"v1\"\npath = \"footage\"\nreserve_mib = {}\n",
        args.listen, args.reserve_mib,
    )
}

/// Writes a whole file beside its place and moves it there, so that a reader never sees half of it.
pub(super) fn put(path: &Path, text: &str) -> Result<(), String> {
    let draft = path.with_extension("new");
    let written = std::fs::File::create(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&draft, path));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use clap::Parser;
    use fengsui_config::{Config, env::ProcessEnv};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: NewArgs,
    }

    fn args(folder: &Path, more: &[&str]) -> NewArgs {
        let folder = folder.to_string_lossy().into_owned();
        Line::parse_from(["new", &folder].into_iter().chain(more.iter().copied())).args
    }

    #[test]
    fn a_new_city_is_a_good_configuration_and_is_not_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let small = ["--cameras", "16", "--rtsp", "rtsp://127.0.0.1:9/cam/{n}/{stream}"];
        write_city(&args(folder.path(), &small)).unwrap();
        let (config, warnings) = Config::load(&folder.path().join("fengsui.toml"), &ProcessEnv).unwrap();
        assert_eq!((config.topology.cameras.len(), warnings), (16, Vec::new()));
        let problem = write_city(&args(folder.path(), &small)).unwrap_err();
        assert!(problem.ends_with("fengsui.toml is there already; --force replaces it"), "{problem}");
        write_city(&args(folder.path(), &["--cameras", "1", "--force"])).unwrap();
        let (config, _) = Config::load(&folder.path().join("fengsui.toml"), &ProcessEnv).unwrap();
        assert_eq!(config.topology.cameras.len(), 1);
    }

    #[test]
    fn a_city_open_to_the_world_or_with_a_plain_password_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wrong: [&[&str]; 3] =
            [&["--listen", "0.0.0.0:8080"], &["--user", "admin", "--password", "12345"], &["--cameras", "0"]];
        for more in wrong {
            write_city(&args(folder.path(), more)).unwrap_err();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
        }
    }
}
