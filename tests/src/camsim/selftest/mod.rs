//! The simulator judged from outside: by a client of our own, by retina, and by what its ledger says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod faults;
mod sessions;

use std::time::Duration;

use fengsui_config::ids::StreamKind;

use super::client::{Client, Received, RtpHead};
use super::faults::FaultKind;
use super::ledger::SessionRecord;
use super::{CamSim, Options};

const PATIENCE: Duration = Duration::from_secs(10);

fn start(options: Options) -> CamSim {
    CamSim::start(options).expect("the simulator starts")
}

fn client(sim: &CamSim, camera: u16) -> Client {
    Client::connect(sim.rtsp_address(), &sim.url(camera, StreamKind::Main), PATIENCE).expect("a connection")
}

fn broken(options: Options, kind: FaultKind) -> CamSim {
    let sim = start(options);
    sim.break_stream(1, StreamKind::Main, kind).expect("the fault is switched on");
    sim
}

/// What a client got, packet by packet, and the sender reports between them.
#[derive(Debug, Default)]
struct Got {
    packets: Vec<(RtpHead, Vec<u8>)>,
    reports: Vec<Vec<u8>>,
}

impl Got {
    /// Takes interleaved packets until `pictures` are whole.
    fn take(client: &mut Client, pictures: usize) -> Self {
        let mut got = Self::default();
        while got.pictures() < pictures {
            got.receive(client).expect("the stream goes on");
        }
        got
    }

    fn receive(&mut self, client: &mut Client) -> std::io::Result<()> {
        match client.receive()? {
            Received::Packet(0, p) => self.packets.push((RtpHead::parse(&p).expect("an RTP packet"), p)),
            Received::Packet(1, p) => self.reports.push(p),
            other => panic!("unexpected {other:?}"),
        }
        Ok(())
    }

    fn pictures(&self) -> usize {
        self.packets.iter().filter(|p| p.0.marker).count()
    }

    /// Timestamps of the pictures, in order.
    fn timestamps(&self) -> Vec<u32> {
        self.packets.iter().filter(|p| p.0.marker).map(|p| p.0.timestamp).collect()
    }

    /// NAL types of H.264 packets (FU-A opened up), one per NAL.
    fn nal_types(&self) -> Vec<u8> {
        let kinds = self.packets.iter().filter_map(|(_, p)| match p[12] & 0x1f {
            28 => (p[13] & 0x80 != 0).then_some(p[13] & 0x1f),
            kind => Some(kind),
        });
        kinds.collect()
    }

    /// Checks that no packet is missing and all are of one source.
    fn assert_continuous(&self) {
        for pair in self.packets.windows(2) {
            assert_eq!(pair[1].0.sequence, pair[0].0.sequence.wrapping_add(1));
            assert_eq!(pair[1].0.ssrc, pair[0].0.ssrc);
        }
    }
}

/// Waits until the last session of a stream has ended, and gives its record.
fn ended(sim: &super::sim::Handle, camera: u16) -> SessionRecord {
    for _ in 0..1000 {
        let last = sim.ledger(camera, StreamKind::Main).expect("a ledger").pop();
        if let Some(last) = last.filter(|s| s.ended_us.is_some()) {
            return last;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the session does not end");
}

/// NTP time of a sender report in microseconds since 1970, and its RTP timestamp.
fn report_times(report: &[u8]) -> (i64, u32) {
    let word = |at: usize| u32::from_be_bytes([report[at], report[at + 1], report[at + 2], report[at + 3]]);
    assert_eq!((report[0], report[1]), (0x80, 200));
    let us = (i64::from(word(8)) - 2_208_988_800) * 1_000_000 + ((i64::from(word(12)) * 1_000_000) >> 32);
    (us, word(16))
}
