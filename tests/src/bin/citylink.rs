//! `citylink`: the lines between a demonstration centre and its sub-centres: one proxy for each, and a door at which
//! `tests/scripts/city-link.sh` orders what happens to them.
//!
//! ```text
//! order   -> FAULT NUMBER      cut 2, hole 2, slow 2, heal 2; NUMBER counts from 1
//! answer  <- ok FAULT NUMBER, or: refused: why
//! ```
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks on its terminal"
)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use fengsui_tests::proxy::{Fault, Proxy};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of an order.
const ORDER_BYTES_MAX: u64 = 64;
/// How long whoever came to the door may take to say what it wants.
const ORDER_TIME_MAX: Duration = Duration::from_secs(2);
/// A bad line: 64 kbit/s.
const SLOW_BYTES_PER_S: u32 = 8000;

/// Proxies before one message server.
#[derive(Debug, Parser)]
struct Options {
    /// The message server.
    #[arg(long)]
    target: SocketAddr,
    /// How many lines.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32))]
    lines: u8,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("citylink: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut lines = Vec::new();
        for number in 1..=options.lines {
            let proxy = Proxy::start(options.target, number.into()).await?;
            println!("LINE {number} {}", proxy.address());
            lines.push(proxy);
        }
        let door = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("CONTROL {}", door.local_addr()?);
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut int = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        loop {
            tokio::select! {
                _ = term.recv() => return Ok(()),
                _ = int.recv() => return Ok(()),
                Ok((stream, _)) = door.accept() => {
                    // One after the other: who says nothing is sent away.
                    let _ = tokio::time::timeout(ORDER_TIME_MAX, serve(stream, &lines)).await;
                }
            }
        }
    })
}

async fn serve(mut stream: TcpStream, lines: &[Proxy]) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut order = String::new();
    BufReader::new(read.take(ORDER_BYTES_MAX)).read_line(&mut order).await?;
    let answer = match obey(order.trim(), lines) {
        Ok(()) => format!("ok {}\n", order.trim()),
        Err(why) => format!("refused: {why}\n"),
    };
    write.write_all(answer.as_bytes()).await
}

fn obey(order: &str, lines: &[Proxy]) -> Result<(), String> {
    let (word, number) = order.split_once(' ').ok_or("say cut, hole, slow or heal, and a number")?;
    let fault = match word {
        "cut" => Fault::Cut,
        "hole" => Fault::BlackHole,
        "slow" => Fault::Slow(SLOW_BYTES_PER_S),
        "heal" => Fault::None,
        _ => return Err(format!("{word} is neither cut, hole, slow nor heal")),
    };
    let at = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let line = at.and_then(|n| lines.get(n)).ok_or(format!("lines are 1 to {}", lines.len()))?;
    line.set(fault);
    Ok(())
}
