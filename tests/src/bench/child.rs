//! Child processes of a benchmark: started with fixed arguments, watched by their own id, stopped by it.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::procstat::{self, ProcessUse};

/// Lines of standard output kept for a reader that is behind; older ones than these wait in the pipe.
const LINES_MAX: usize = 1024;

/// A running child; dropped, it is killed and reaped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    lines: Option<Receiver<String>>,
}

impl Running {
    /// Starts `program` with `arguments`; its standard output is read line by line, its standard error goes to `log`.
    ///
    /// # Errors
    /// The program cannot be started or the log not be created.
    pub fn start(program: &Path, arguments: &[String], log: &Path) -> io::Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(log)?)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("start {}: {e}", program.display())))?;
        let lines = child.stdout.take().map(|out| {
            let (to, from) = sync_channel(LINES_MAX);
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    if to.send(line).is_err() {
                        return;
                    }
                }
            });
            from
        });
        Ok(Self { child, name, lines })
    }

    /// The rest of the next line that starts with `prefix`, waiting at most `patience`.
    ///
    /// # Errors
    /// The child ended, or the time ran out.
    pub fn line_after(&self, prefix: &str, patience: Duration) -> io::Result<String> {
        let lines = self.lines.as_ref().ok_or_else(|| io::Error::other("no standard output"))?;
        loop {
            match lines.recv_timeout(patience) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(prefix) {
                        return Ok(rest.trim().to_owned());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("{}: no line '{prefix}' in {patience:?}", self.name),
                    ));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other(format!("{} ended before it said '{prefix}'", self.name)));
                }
            }
        }
    }

    /// What the child has used so far.
    ///
    /// # Errors
    /// The child is gone.
    pub fn usage(&self) -> io::Result<ProcessUse> {
        procstat::of(self.child.id())
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the child to end (SIGTERM) and waits at most `patience`, then kills it. True when it ended by itself.
    pub fn stop(mut self, patience: Duration) -> bool {
        let asked = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .is_some_and(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok());
        let step = Duration::from_millis(20);
        let mut left = patience;
        while asked && !left.is_zero() {
            if let Ok(Some(_)) = self.child.try_wait() {
                return true;
            }
            std::thread::sleep(step);
            left = left.saturating_sub(step);
        }
        false
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the child has been reaped already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A program that was built with this one: it lies beside it, or above the directory of the tests.
///
/// # Errors
/// The own path is unknown, or there is no such program.
pub fn sister(name: &str) -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).map(|d| d.join(name)).find(|p| p.is_file());
    found.ok_or_else(|| {
        let what = format!("{name} is not built beside {}: cargo build --release --workspace", own.display());
        io::Error::new(io::ErrorKind::NotFound, what)
    })
}
