//! An access unit that is being put together: NAL units, each behind its length of 4 bytes.
//!
//! Units of a stream lie one behind the other in chunks of one size, and are given out as parts of them: memory is asked
//! for and given back once for several pictures, always in the same sizes, whichever thread lets go of them last. (With a
//! buffer for each picture a fifth of a recorder's time went into the allocator: pictures have any size, and are made and
//! let go of by different threads.)

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use fengsui_config::limits;
use memchr::memmem::Finder;

use super::frame;
use super::params::{Parameters, Set};
use super::rtp::Meta;
use super::wire::{Fault, Trouble};

/// Bytes before each NAL unit.
const PREFIX: usize = 4;
/// Chunks are a multiple of this less what an allocator keeps beside them.
const CHUNK: usize = 64 << 10;
const CHUNK_BESIDE: usize = 64;

static ZEROS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\0\0"));

/// Where the scan of an H.264 NAL unit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// Before the header of a NAL unit.
    Before,
    /// Within one, behind so many zeros; with three or more of them its end is already sure.
    Within(u8),
}

/// The access unit under way.
#[derive(Debug)]
pub(super) struct Unit {
    data: BytesMut,
    /// Where the length of the NAL unit under way belongs.
    open: usize,
    scan: Scan,
    /// Type of the last NAL unit that came.
    last: Option<u8>,
    /// How many of the bytes to come have not been looked at for room.
    unseen: usize,
}

impl Unit {
    pub fn new() -> Self {
        Self { data: BytesMut::new(), open: 0, scan: Scan::Before, last: None, unseen: usize::MAX }
    }

    /// Type of the last NAL unit.
    #[inline]
    pub fn last(&self) -> Option<u8> {
        self.last
    }

    /// Forgets what has come; the buffer stays.
    pub fn discard(&mut self) {
        self.data.clear();
        self.last = None;
    }

    /// Bytes of memory held.
    pub fn held_bytes(&self) -> usize {
        self.data.capacity()
    }

    /// Other bytes lie ahead than before.
    pub fn look_again(&mut self) {
        self.unseen = usize::MAX;
    }

    /// Makes room for a payload of `length`, and for those of the same unit among the bytes to come.
    #[inline]
    pub fn room(&mut self, length: usize, channel: u8, meta: &Meta, ahead: &[u8]) {
        let spare = self.data.capacity() - self.data.len();
        // Each look covers bytes that none has covered, so looking costs no more than the packets themselves.
        if spare >= length + 2 * PREFIX || ahead.len() > self.unseen {
            return;
        }
        let mut more = frame::Ahead { whole: meta.mark, left: ahead.len(), ..frame::Ahead::default() };
        if !meta.mark {
            more = frame::look_ahead(ahead, channel, meta.time);
            self.unseen = more.left;
        }
        let seen = length + 2 * PREFIX + more.bytes;
        if spare < seen {
            self.move_on(seen);
        }
    }

    /// Goes on in a new chunk that has room for `more` bytes; what has come of the unit is copied there. A unit that outgrows
    /// its chunk again gets twice the room, so that a large one is not copied for each chunk.
    fn move_on(&mut self, more: usize) {
        let come = self.data.len();
        let more = if come > CHUNK { more.max(come) } else { more };
        let wanted = (come + more).min(limits::ACCESS_UNIT_BYTES_MAX) + CHUNK_BESIDE;
        let mut chunk = BytesMut::with_capacity(wanted.next_multiple_of(CHUNK) - CHUNK_BESIDE);
        chunk.extend_from_slice(&self.data);
        self.data = chunk;
    }

    /// Appends bytes of the device.
    #[inline]
    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.data.len() + bytes.len() > limits::ACCESS_UNIT_BYTES_MAX {
            let most = limits::ACCESS_UNIT_BYTES_MAX;
            let text = format!("The device sent a picture of more than {most} bytes, which is too large.");
            return Err(Fault::End(Trouble::Broken(text)));
        }
        if self.data.capacity() - self.data.len() < bytes.len() {
            self.move_on(bytes.len());
        }
        self.data.extend_from_slice(bytes);
        Ok(())
    }

    /// Begins a NAL unit with its header, or with the first bytes of it.
    pub fn begin(&mut self, header: &[u8], kind: u8) -> Result<(), Fault> {
        self.open = self.data.len();
        self.last = Some(kind);
        self.append(&[0; PREFIX])?;
        self.append(header)
    }

    /// Adds to the NAL unit under way.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.append(bytes)
    }

    /// Ends the NAL unit under way; parameter sets go to `parameters`.
    pub fn end(&mut self, set: Option<Set>, parameters: &mut Parameters) {
        let Some((_, rest)) = self.data.split_at_mut_checked(self.open) else { return };
        let Some((prefix, nal)) = rest.split_first_chunk_mut::<PREFIX>() else { return };
        match set {
            Some(set) => {
                parameters.offer(set, nal);
                self.data.truncate(self.open);
            }
            // A unit is shorter than 2^32 by its bound.
            None => *prefix = u32::try_from(nal.len()).unwrap_or(u32::MAX).to_be_bytes(),
        }
    }

    /// Gives the access unit out.
    pub fn take(&mut self) -> Bytes {
        self.last = None;
        self.data.split().freeze()
    }

    /// Begins an H.264 payload, or fragmented unit, that may hold several NAL units with start codes between them.
    /// `header`: the first one's, when it does not stand in the bytes.
    pub fn open_scan(&mut self, header: Option<u8>) -> Result<(), Fault> {
        self.scan = Scan::Before;
        match header {
            Some(header) => self.begin_h264(header),
            None => Ok(()),
        }
    }

    fn begin_h264(&mut self, header: u8) -> Result<(), Fault> {
        if header & 0x80 != 0 {
            return Err(Fault::Bad("a NAL unit with its forbidden bit"));
        }
        self.scan = Scan::Within(0);
        self.begin(&[header], header & 0x1F)
    }

    /// Adds bytes of H.264. Cameras that pack a byte stream (ITU-T H.264 annex B) where one NAL unit belongs are
    /// understood: start codes part NAL units, and zeros before them and at the end do not belong to any.
    #[inline]
    pub fn scan(&mut self, mut bytes: &[u8], parameters: &mut Parameters) -> Result<(), Fault> {
        while let Some((first, rest)) = bytes.split_first() {
            match self.scan {
                Scan::Before => {
                    self.begin_h264(*first)?;
                    bytes = rest;
                }
                Scan::Within(0) => match forbidden(bytes) {
                    None => {
                        let zeros = bytes.iter().rev().take_while(|b| **b == 0).count();
                        self.scan = Scan::Within(u8::try_from(zeros).unwrap_or(2));
                        return self.append(bytes);
                    }
                    Some(at) => {
                        // The zeros are taken back below.
                        let (kept, after) = bytes.split_at_checked(at + 2).unwrap_or((bytes, &[]));
                        self.append(kept)?;
                        self.scan = Scan::Within(2);
                        bytes = after;
                    }
                },
                Scan::Within(zeros) => {
                    bytes = rest;
                    self.behind_zeros(zeros, *first, parameters)?;
                }
            }
        }
        Ok(())
    }

    /// One byte behind one, two, or three and more zeros.
    fn behind_zeros(&mut self, zeros: u8, byte: u8, parameters: &mut Parameters) -> Result<(), Fault> {
        match (zeros, byte) {
            (1, 0) => {
                self.scan = Scan::Within(2);
                self.append(&[0])
            }
            (2.., 0) => {
                self.drop_zeros();
                self.scan = Scan::Within(3);
                Ok(())
            }
            (2.., 1) => {
                self.close_scan(parameters);
                Ok(())
            }
            (2, 2) | (3.., _) => Err(Fault::Bad("bytes that no NAL unit may hold")),
            _ => {
                self.scan = Scan::Within(0);
                self.append(&[byte])
            }
        }
    }

    /// Takes back zeros that turned out not to belong to the NAL unit.
    fn drop_zeros(&mut self) {
        if let Scan::Within(zeros @ 1..=2) = self.scan {
            self.data.truncate(self.data.len() - usize::from(zeros));
        }
    }

    /// Ends the NAL unit that a scan is within, if it is.
    pub fn close_scan(&mut self, parameters: &mut Parameters) {
        if let Scan::Within(_) = self.scan {
            self.drop_zeros();
            let set = match self.last {
                Some(7) => Some(Set::Sequence),
                Some(8) => Some(Set::Picture),
                _ => None,
            };
            self.end(set, parameters);
        }
        self.scan = Scan::Before;
    }
}

/// Where two zeros stand that no NAL unit has within it: before 0, 1 or 2.
#[inline]
fn forbidden(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + ZEROS.find(bytes.get(from..)?)?;
        if *bytes.get(at + 2)? <= 2 {
            return Some(at);
        }
        from = at + 3;
    }
}
