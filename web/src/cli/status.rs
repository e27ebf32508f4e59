//! `fengsui status`: how the node that runs here stands, from its own metrics. Shows how far a start or the return of many
//! cameras has come.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::check::{complain, say};

/// Time to connect, and for each part of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer; that of a whole city has about two million.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Asks the node that the configuration file `config` describes. Exit code 0: it answered; 1: it did not; the lines say why.
#[must_use]
pub fn run(config: &Path) -> ExitCode {
    let config = match super::load(config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Some(listen) = config.web.listen.first() else {
        complain("this node listens by TLS alone: its page tells, or add an address under [web] listen");
        return ExitCode::FAILURE;
    };
    let address = reachable(*listen);
    match ask(address).and_then(|page| lines(&page)) {
        Ok(lines) => {
            lines.iter().for_each(|line| say(line));
            ExitCode::SUCCESS
        }
        Err(e) => {
            complain(&format!("the node does not answer at {address}: {e}; does it run?"));
            ExitCode::FAILURE
        }
    }
}

/// An address that can be connected to: who listens everywhere also listens on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the answer ends with the connection, and is not cut into chunks.
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) == Some("200") {
        return Ok(body.to_owned());
    }
    Err(io::Error::other(format!("its answer is '{}'", head.lines().next().unwrap_or_default())))
}

fn lines(page: &str) -> io::Result<Vec<String>> {
    let value = |name: &str| {
        let found =
            page.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<f64>().ok());
        found.ok_or_else(|| io::Error::other(format!("it tells nothing of {name}; another program?")))
    };
    let labelled = |name: &str| -> Vec<bool> {
        let of = |l: &str| Some(l.strip_prefix(name)?.strip_prefix('{')?.rsplit_once(' ')?.1.trim() == "1");
        page.lines().filter_map(of).collect()
    };
    let volumes = labelled("fengsui_volume_ok");
    Ok(vec![
        format!(
            "cameras: {} enabled, {} online, {} recorded, {} due and not recorded",
            value("fengsui_cameras_enabled")?,
            value("fengsui_cameras_online")?,
            value("fengsui_cameras_recording")?,
            value("fengsui_cameras_not_recording")?,
        ),
        format!(
            "connecting: {} now, {} in the queue, {} wait to be tried again",
            value("fengsui_cameras_opening")?,
            value("fengsui_cameras_waiting")?,
            value("fengsui_cameras_back_off")?,
        ),
        format!("volumes: {} of {} take footage", volumes.iter().filter(|ok| **ok).count(), volumes.len()),
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_progress_of_a_start_is_told() {
        let page = "fengsui_cameras_enabled 1400\nfengsui_cameras_online 900\nfengsui_cameras_recording 890\n\
                    fengsui_cameras_not_recording 510\nfengsui_cameras_opening 64\nfengsui_cameras_waiting 430\n\
                    fengsui_cameras_back_off 6\nfengsui_volume_ok{volume=\"v1\"} 1\nfengsui_volume_ok{volume=\"v2\"} 0\n";
        assert_eq!(
            lines(page).unwrap(),
            [
                "cameras: 1400 enabled, 900 online, 890 recorded, 510 due and not recorded",
                "connecting: 64 now, 430 in the queue, 6 wait to be tried again",
                "volumes: 1 of 2 take footage",
            ]
        );
        assert!(lines("hello").is_err());
    }

    #[test]
    fn who_listens_everywhere_is_asked_on_loopback() {
        let asked = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(asked("[::]:8080"), "[::1]:8080");
        assert_eq!(asked("10.0.0.1:80"), "10.0.0.1:80");
    }
}
