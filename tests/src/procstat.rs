//! CPU time and memory of processes, as the kernel accounts them.

use std::io;

/// Kernel clock ticks a second of `/proc/<pid>/stat` (USER_HZ, fixed at 100 on Linux for user space).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessUse {
    /// User and system CPU seconds of all its threads.
    pub cpu_seconds: f64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Largest resident memory so far in bytes.
    pub rss_peak_bytes: u64,
}

/// Reads the use of process `pid`.
///
/// # Errors
/// The process is gone, or `/proc` cannot be read.
pub fn of(pid: u32) -> io::Result<ProcessUse> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(ProcessUse {
        cpu_seconds: cpu_seconds(&stat).ok_or_else(|| io::Error::other("unreadable /proc stat"))?,
        rss_bytes: kib(&status, "VmRSS:").unwrap_or(0) << 10,
        rss_peak_bytes: kib(&status, "VmHWM:").unwrap_or(0) << 10,
    })
}

/// CPU seconds of this process.
///
/// # Errors
/// `/proc` cannot be read.
pub fn own_cpu_seconds() -> io::Result<f64> {
    of(std::process::id()).map(|u| u.cpu_seconds)
}

// The command name may hold spaces and brackets: fields are counted from its last ')'.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn kib(status: &str, key: &str) -> Option<u64> {
    status.lines().find_map(|l| l.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_a_name_with_brackets() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 100 1000 10";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn a_busy_process_shows_its_time_and_memory() {
        let before = own_cpu_seconds().expect("own use");
        let mut x = 1u64;
        while own_cpu_seconds().expect("own use") < before + 0.05 {
            x = std::hint::black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1));
        }
        let now = of(std::process::id()).expect("own use");
        assert!(now.rss_bytes > 100_000 && now.rss_peak_bytes >= now.rss_bytes);
    }
}
