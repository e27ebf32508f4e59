//! `camdrain`: opens sessions on a simulator and throws away what comes: the floor below which no recorder can be.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks on its terminal"
)]

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_tests::camsim::client::Client;

/// Plays streams of a camera simulator over TCP and throws the bytes away.
#[derive(Debug, Parser)]
#[command(name = "camdrain", version)]
struct Options {
    /// Address of the simulator
    #[arg(long, default_value = "127.0.0.1:8554")]
    rtsp: SocketAddr,
    /// Cameras 1 to N
    #[arg(short = 'n', long, default_value_t = 16)]
    cameras: u32,
    /// main or sub
    #[arg(long, default_value = "main")]
    stream: String,
    /// Seconds to drain
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Milliseconds between two sweeps over all sockets
    #[arg(long, default_value_t = 100)]
    sweep_ms: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match drain(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("camdrain: {e}");
            ExitCode::FAILURE
        }
    }
}

fn drain(options: &Options) -> std::io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let mut sockets: Vec<TcpStream> = Vec::new();
    for n in 1..=options.cameras {
        let url = format!("rtsp://{}/cam/{n}/{}", options.rtsp, options.stream);
        let mut client = Client::connect(options.rtsp, &url, Duration::from_secs(10))?;
        client.play_tcp()?;
        let socket = client.into_socket();
        socket.set_nonblocking(true)?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(1 << 20)?;
        sockets.push(socket);
    }
    println!("OPEN {}", sockets.len());
    let clock = SystemClock::new();
    let cpu = || {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
    };
    let (start, cpu_start) = (clock.mono(), cpu());
    let (mut bytes, mut closed) = (0u64, 0u32);
    let mut scratch = vec![0u8; 256 << 10];
    while clock.mono().since(start) < Duration::from_secs(options.seconds.into()) {
        sockets.retain_mut(|s| {
            loop {
                match s.read(&mut scratch) {
                    Ok(0) => {
                        closed += 1;
                        return false;
                    }
                    Ok(n) => bytes += n as u64,
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return true,
                    Err(_) => {
                        closed += 1;
                        return false;
                    }
                }
            }
        });
        std::thread::sleep(Duration::from_millis(options.sweep_ms));
    }
    let (passed, cpu_s) = (clock.mono().since(start).as_secs_f64(), cpu() - cpu_start);
    let gigabytes = bytes as f64 / 1e9;
    println!(
        "DRAINED {gigabytes:.3} GB in {passed:.1} s ({:.1} Mbit/s), cpu {cpu_s:.2} s, {:.3} CPU-s/GB, {closed} closed",
        gigabytes * 8000.0 / passed,
        cpu_s / gigabytes.max(1e-9)
    );
    Ok(())
}
