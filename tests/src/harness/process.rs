//! The product as a child process.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::env::{Env as _, ProcessEnv};
use parking_lot::{Condvar, Mutex};

use super::{Api, Doing as _, HarnessError, Outcome};

/// Time within which the product must be up.
const START_WITHIN: Duration = Duration::from_secs(30);
/// Time within which it must stop after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// Lines of log that are kept.
const LINES_MAX: usize = 100_000;

/// The product's binary: `FENGSUI_BIN`, or the one that cargo built beside the running test.
///
/// # Errors
/// When there is none; the sentence says how to build it.
pub fn binary() -> Outcome<PathBuf> {
    if let Some(path) = ProcessEnv.get("FENGSUI_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().doing("ask for the own path")?;
    own.ancestors().skip(1).take(3).map(|d| d.join("fengsui")).find(|p| p.is_file()).ok_or_else(|| {
        HarnessError("no fengsui binary: run 'cargo build -p fengsui-web' or set FENGSUI_BIN".into())
    })
}

#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Lines {
    fn collect(from: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::<Self>::default();
        let into = Arc::clone(&lines);
        // Ends by itself with the pipe, that is with the child.
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let mut lines = into.lines.lock();
                if lines.len() < LINES_MAX {
                    lines.push(line);
                }
                into.more.notify_all();
            }
            into.more.notify_all();
        });
        lines
    }
}

/// A running `fengsui run`. Killed when dropped.
pub struct Fengsui {
    child: Child,
    config: PathBuf,
    out: Arc<Lines>,
    log: Arc<Lines>,
    url: String,
}

impl Fengsui {
    /// Starts it and waits until it says where it listens.
    ///
    /// # Errors
    /// When it cannot be started, ends at once, or does not listen in time; with the end of its log.
    pub fn start(config: &Path) -> Outcome<Self> {
        let mut me = Self::spawn(config)?;
        me.url = me.wait_line("LISTENING ")?;
        Ok(me)
    }

    /// Starts it and waits for nothing; it has no address yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(config: &Path) -> Outcome<Self> {
        let mut child = Command::new(binary()?)
            .arg("run")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .doing("start fengsui")?;
        let out = child.stdout.take().map(Lines::collect).unwrap_or_default();
        let log = child.stderr.take().map(Lines::collect).unwrap_or_default();
        Ok(Self { child, config: config.to_owned(), out, log, url: String::new() })
    }

    /// Waits for a line on standard output that starts with `prefix`; gives the rest of it.
    ///
    /// # Errors
    /// When the process ends before, or the line does not come in time.
    pub fn wait_line(&mut self, prefix: &str) -> Outcome<String> {
        let mut lines = self.out.lines.lock();
        for _ in 0..START_WITHIN.as_millis() / 100 {
            if let Some(rest) = lines.iter().find_map(|l| l.strip_prefix(prefix)) {
                return Ok(rest.trim().to_owned());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                drop(lines);
                return Err(HarnessError(format!("fengsui ended with {status}:\n{}", self.log_tail())));
            }
            // Wakes at the next line, or to see whether the process still lives.
            self.out.more.wait_for(&mut lines, Duration::from_millis(100));
        }
        drop(lines);
        Err(HarnessError(format!("fengsui does not say '{prefix}':\n{}", self.log_tail())))
    }

    /// Address of its web server, without a final slash.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client of its API. On the first start of a node it becomes the first administrator; in both cases it logs in.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn log_in(&mut self) -> Outcome<Api> {
        let api = Api::new(self.url())?;
        if api.setup_required().await? {
            let token = self.wait_line("SETUP TOKEN ")?;
            api.set_up(&token).await?;
        }
        api.log_in().await?;
        Ok(api)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// All of its log so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().clone()
    }

    fn log_tail(&self) -> String {
        let lines = self.log.lines.lock();
        lines.iter().skip(lines.len().saturating_sub(30)).cloned().collect::<Vec<_>>().join("\n")
    }

    /// Ends it as a power cut of the process would: SIGKILL.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(mut self) -> Outcome<()> {
        self.child.kill().doing("kill fengsui")?;
        self.child.wait().doing("wait for fengsui")?;
        Ok(())
    }

    /// Kills it and starts it again at once on the same configuration.
    ///
    /// # Errors
    /// As [`Fengsui::start`].
    pub fn kill_and_restart(self) -> Outcome<Self> {
        let config = self.config.clone();
        self.kill()?;
        Self::start(&config)
    }

    /// Stops or continues it as a whole (SIGSTOP, SIGCONT).
    ///
    /// # Errors
    /// When the system refuses.
    pub fn freeze(&self, on: bool) -> Outcome<()> {
        let signal = if on { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        self.signal(signal)
    }

    fn signal(&self, signal: rustix::process::Signal) -> Outcome<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| HarnessError("fengsui has no process number".to_owned()))?;
        rustix::process::kill_process(pid, signal).doing("signal fengsui")
    }

    /// Asks it to stop (SIGTERM) and waits; gives its exit status.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn stop(mut self) -> Outcome<ExitStatus> {
        self.signal(rustix::process::Signal::TERM)?;
        let child = Mutex::new(&mut self.child);
        super::wait_for("fengsui stops after SIGTERM", STOP_WITHIN, || async {
            child.lock().try_wait().doing("wait for fengsui")
        })
        .await
    }
}

impl Drop for Fengsui {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
