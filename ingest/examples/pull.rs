//! Pulls RTSP streams into a hub that nobody reads, and prints what the board knows and what it cost.
//!
//! `pull URL COUNT SECONDS [REST_MS] [USER PASSWORD] [watch] [udp] [log] [lean]`: `{n}` in the URL is replaced by 1 to COUNT.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a measuring tool for developers, which may end by a panic"
)]

use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{SystemClock, UtcMicros};
use fengsui_config::ids::{StreamKey, StreamKind};
use fengsui_config::topology::{RecordPolicy, Transport};
use fengsui_config::{Credentials, Secret, StreamSource};
use fengsui_ingest::source::Openers;
use fengsui_ingest::{CameraSpec, Fleet, FleetOptions};
use fengsui_storage::board::{Board, SessionState};
use fengsui_storage::frame::Track;
use fengsui_storage::hub::{Hub, RingItem};

/// CPU seconds of this process, all threads, user and kernel (proc(5), fields 14 and 15, at 100 ticks a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("read own statistics");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().filter_map(|t| t.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("read own statistics");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| args.iter().any(|a| a == name);
    let plain: Vec<&String> =
        args.iter().filter(|a| !["watch", "udp", "log", "lean"].contains(&a.as_str())).collect();
    let [url, count, seconds, rest @ ..] = plain.as_slice() else {
        eprintln!("usage: pull URL COUNT SECONDS [REST_MS] [USER PASSWORD] [watch] [udp] [log] [lean]");
        return;
    };
    let count: u32 = count.parse().expect("COUNT is a number");
    let seconds: u64 = seconds.parse().expect("SECONDS is a number");
    let credentials = match rest {
        [_, user, password, ..] => {
            Some(Credentials { user: (*user).clone(), password: Secret::new((*password).clone()) })
        }
        _ => None,
    };
    let cameras: Vec<CameraSpec> = (1..=count)
        .map(|n| CameraSpec {
            id: format!("3308000000132{n:07}").parse().expect("a code"),
            enabled: true,
            record: RecordPolicy::Always,
            transport: if flag("udp") { Transport::Udp } else { Transport::Tcp },
            main: StreamSource { url: url.replace("{n}", &n.to_string()).parse().expect("an address") },
            sub: None,
            credentials: credentials.clone(),
        })
        .collect();
    let clock = Arc::new(SystemClock::new());
    let (hub, board) = (Hub::new(clock.clone(), 64 << 20), Arc::new(Board::default()));
    let mut options = FleetOptions::new(clock.clone(), hub.clone(), board.clone());
    options.opener = Openers::shared(clock, flag("lean"));
    if let Some(rest) = rest.first().and_then(|r| r.parse().ok()) {
        options.runtime.rest_unwatched = Duration::from_millis(rest);
    }
    let watched = flag("watch").then(|| {
        let key = StreamKey { camera: cameras[0].id, stream: StreamKind::Main };
        hub.stream(key).subscribe(false)
    });
    let fleet = Fleet::start(options).expect("start the fleet");
    fleet.apply(cameras.clone());
    if flag("log") {
        follow(&hub, &board, StreamKey { camera: cameras[0].id, stream: StreamKind::Main }, seconds);
    } else {
        report(&board, count, Duration::from_secs(seconds));
    }
    drop(watched);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(fleet.stop());
}

/// Prints runs, absences and board changes of one stream.
fn follow(hub: &Arc<Hub>, board: &Board, key: StreamKey, seconds: u64) {
    let mut tap = hub.stream(key).attach_recorder();
    let (mut items, mut shown, mut last, mut units) = (Vec::new(), String::new(), None, 0_u64);
    for tenth in 0..seconds * 10 {
        std::thread::sleep(Duration::from_millis(100));
        tap.drain(&mut items);
        for item in items.drain(..) {
            match item {
                RingItem::Begin(info) => {
                    let video =
                        info.video.as_ref().map(|v| format!("{} {}x{}", v.rfc6381, v.width, v.height));
                    println!(
                        "{tenth:4} BEGIN {:?} {video:?} audio {:?}",
                        info.start,
                        info.audio.as_ref().map(|a| a.codec)
                    );
                }
                RingItem::End { reason, at } => {
                    let silent = last.map(|l: UtcMicros| at.since(l) / 1000);
                    println!("{tenth:4} END {reason:?} after {units} units, {silent:?} ms after the last");
                }
                RingItem::Dropped { units, .. } => println!("{tenth:4} DROPPED {units}"),
                RingItem::Unit(u) if u.unit.track == Track::Video => {
                    units += 1;
                    let apart = last.map_or(40_000, |l| u.unit.utc.since(l));
                    if !(20_000..=60_000).contains(&apart) || u.unit.lost_before > 0 {
                        println!(
                            "{tenth:4} {apart} us apart, {} lost, key {}",
                            u.unit.lost_before, u.unit.key
                        );
                    }
                    last = Some(u.unit.utc);
                }
                RingItem::Unit(_) => {}
            }
        }
        if let Some(s) = board.get(&key) {
            let now = format!("{:?} {:?} {:?} retry {}", s.state, s.failure, s.detail, s.retry_at.is_some());
            if now != shown {
                println!("{tenth:4} {now} offset {:?} lost {}", s.clock_offset_us, s.lost_packets);
                shown = now;
            }
        }
    }
    println!("{units} pictures; {:?}", board.get(&key));
}

fn totals(board: &Board) -> (usize, u64, u64, u64) {
    let all = board.snapshot();
    let playing = all.iter().filter(|(_, s)| s.state == SessionState::Playing).count();
    let sum =
        |f: fn(&fengsui_storage::board::StreamStatus) -> u64| all.iter().map(|(_, s)| f(s)).sum::<u64>();
    (playing, sum(|s| s.units), sum(|s| s.bytes), sum(|s| s.lost_packets))
}

fn report(board: &Board, count: u32, length: Duration) {
    for second in 0..30 {
        std::thread::sleep(Duration::from_secs(1));
        let (playing, ..) = totals(board);
        println!("second {second}: {playing} of {count} play");
        if playing == count as usize || second == 29 {
            break;
        }
    }
    if let Some((key, status)) = board.snapshot().first() {
        println!("{key}: {status:?}");
    }
    std::thread::sleep(Duration::from_secs(2));
    let (cpu, before) = (cpu_seconds(), totals(board));
    std::thread::sleep(length);
    let (cpu, after) = (cpu_seconds() - cpu, totals(board));
    let gigabytes = (after.2 - before.2) as f64 / 1e9;
    for (key, status) in board.snapshot().iter().filter(|(_, s)| s.state != SessionState::Playing).take(5) {
        println!("{key}: {status:?}");
    }
    if let Some((key, status)) = board.snapshot().first() {
        println!("{key}: {status:?}");
    }
    println!(
        "{} playing, {} units, {} lost, {gigabytes:.3} GB in {length:?}, {cpu:.2} CPU-s, {:.2} CPU-s/GB, {:.3} core, {:.1} MiB, {:.2} MiB a stream",
        after.0,
        after.1 - before.1,
        after.3 - before.3,
        cpu / gigabytes.max(1e-9),
        cpu / length.as_secs_f64(),
        rss_mib(),
        rss_mib() / f64::from(count),
    );
}
