//! A recording node as a child process of a benchmark.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::child::{Running, sister};
use super::http::Http;
use super::simulator::Urls;
use crate::harness::config::camera_code;

/// What the node's configuration says.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Directory of configuration, data and log.
    pub home: PathBuf,
    /// Directory of the volume.
    pub volume: PathBuf,
    /// Whether the lean receiving path is switched off, so that retina alone receives.
    pub retina: bool,
    /// Whether it also serves by TLS.
    pub tls: bool,
    /// Budget of all rings in MiB; the node's own default without.
    pub ring_budget_mib: Option<u64>,
    /// Whether stored footage is checked in the background; not when the bench itself empties files.
    pub scrub: bool,
}

impl NodeOptions {
    /// A node at `home` with its volume beside it.
    #[must_use]
    pub fn new(home: &Path) -> Self {
        let volume = home.join("footage");
        Self { home: home.to_owned(), volume, retina: false, tls: false, ring_budget_mib: None, scrub: true }
    }

    /// The configuration for these cameras.
    #[must_use]
    pub fn config(&self, cameras: &[Urls]) -> String {
        let tls = if self.tls { "\"127.0.0.1:0\"" } else { "" };
        let mut text = format!(
            "[node]\nid = \"bench\"\ndata = \"data\"\n[web]\nlisten = [\"127.0.0.1:0\"]\ntls_listen = [{tls}]\n"
        );
        if self.retina {
            text += "[ingest]\nlean = false\n";
        }
        text += "[storage]\n";
        // Writing to a String cannot fail.
        if let Some(mib) = self.ring_budget_mib {
            let _ok = writeln!(text, "ring_budget_mib = {mib}");
        }
        if !self.scrub {
            text += "scrub_mib_per_s = 0\n";
        }
        let _ok = write!(
            text,
            "[[storage.volume]]\nid = \"v1\"\npath = {:?}\nreserve_mib = 256\n\
             [city]\ncode = \"33080000002000000001\"\nname = \"Bench\"\n\
             [[sub_centre]]\ncode = \"33080200002000000001\"\nname = \"S\"\n\
             [[station]]\ncode = \"33080201002160000001\"\nname = \"P\"\nsub_centre = \"33080200002000000001\"\n\
             [[site]]\ncode = \"33080201002150000001\"\nname = \"J\"\nstation = \"33080201002160000001\"\nkind = \"road\"\n",
            self.volume.to_string_lossy()
        );
        for (n, urls) in (1..).zip(cameras) {
            let _ok = write!(
                text,
                "[[camera]]\ncode = \"{}\"\nname = \"camera {n}\"\nsite = \"33080201002150000001\"\n\
                 main = \"{}\"\nsub = \"{}\"\n",
                camera_code(n),
                urls.main,
                urls.sub
            );
        }
        text
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// The process.
    pub process: Running,
    /// Address by HTTP, without a final slash.
    pub url: String,
    /// Address by HTTPS, without a final slash.
    pub tls_url: Option<String>,
    /// Token for the first administrator, on a first start.
    pub setup_token: String,
    http: Http,
}

impl Node {
    /// Writes the configuration and starts the node.
    ///
    /// # Errors
    /// The program is missing or does not come up.
    pub fn start(options: &NodeOptions, cameras: &[Urls]) -> io::Result<Self> {
        std::fs::create_dir_all(&options.home)?;
        std::fs::create_dir_all(&options.volume)?;
        let config = options.home.join("fengsui.toml");
        std::fs::write(&config, options.config(cameras))?;
        let arguments = ["run".to_owned(), "--config".to_owned(), config.to_string_lossy().into_owned()];
        let log = options.home.join("fengsui.log");
        let process = Running::start(&sister("fengsui")?, &arguments, &log)?;
        let ended = |e: io::Error| io::Error::new(e.kind(), format!("{e}; its log is {}", log.display()));
        let listening = || {
            let line = process.line_after("LISTENING ", Duration::from_secs(60)).map_err(ended)?;
            Ok::<_, io::Error>(line.trim_end_matches('/').to_owned())
        };
        let mut urls = vec![listening()?];
        if options.tls {
            urls.push(listening()?);
        }
        let tls_url = urls.iter().find(|u| u.starts_with("https")).cloned();
        let url = urls.into_iter().find(|u| u.starts_with("http:"));
        let url = url.ok_or_else(|| io::Error::other("the node does not serve plain HTTP"))?;
        let setup_token = process.line_after("SETUP TOKEN ", Duration::from_secs(10))?;
        Ok(Self { process, url, tls_url, setup_token, http: Http::new()? })
    }

    /// All metrics as they are now.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metrics(&self) -> io::Result<Metrics> {
        self.http.get(&format!("{}/metrics", self.url)).map(Metrics)
    }

    /// Waits until the node records at least `cameras`.
    ///
    /// # Errors
    /// It does not within `patience`.
    pub fn wait_recording(&self, cameras: u32, patience: Duration) -> io::Result<()> {
        wait_until(&format!("{cameras} cameras are recorded"), patience, || {
            Ok(self.metrics()?.value("fengsui_cameras_recording")? >= f64::from(cameras))
        })
    }

    /// Waits until nothing arrives any more: every picture sent has also been received.
    ///
    /// # Errors
    /// Something still arrives after `patience`.
    pub fn wait_silent(&self, patience: Duration) -> io::Result<()> {
        let mut before = None;
        wait_until("nothing arrives any more", patience, || {
            std::thread::sleep(Duration::from_millis(300));
            let units = self.metrics()?.value("fengsui_hub_units_total")?;
            Ok(before.replace(units) == Some(units))
        })
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// It does not stop within a minute.
    pub fn stop(self) -> io::Result<()> {
        if self.process.stop(Duration::from_secs(60)) {
            return Ok(());
        }
        Err(io::Error::other("fengsui did not stop within 60 s"))
    }
}

/// A page of metrics.
#[derive(Debug, Clone)]
pub struct Metrics(pub String);

impl Metrics {
    /// The sample of `name` that has no labels.
    ///
    /// # Errors
    /// There is none.
    pub fn value(&self, name: &str) -> io::Result<f64> {
        let found = |l: &str| l.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
        self.0.lines().find_map(found).ok_or_else(|| io::Error::other(format!("no metric {name}")))
    }
}

/// Looks again and again until `holds`.
///
/// # Errors
/// It does not within `patience`, or a look fails.
pub fn wait_until(
    what: &str,
    patience: Duration,
    mut holds: impl FnMut() -> io::Result<bool>,
) -> io::Result<()> {
    let step = Duration::from_millis(200);
    let mut left = patience;
    while !holds()? {
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("not within {patience:?}: {what}")));
        }
        std::thread::sleep(step);
        left = left.saturating_sub(step);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name_and_without_labels() {
        let page = Metrics("# HELP a x\na_b 2\na{c=\"d\"} 3\na 4.5\n".into());
        assert!((page.value("a").unwrap() - 4.5).abs() < f64::EPSILON);
        assert!(page.value("a_").is_err());
    }
}
