//! A growable byte buffer whose memory starts on a page bound, as direct I/O asks.

use bytemuck::{Pod, Zeroable};

/// Bytes of a page: the alignment of groups in files and of buffers in memory.
pub const PAGE: usize = 4096;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// Bytes in page-aligned memory. Clearing keeps the memory, so that one buffer serves all groups of a thread.
#[derive(Default)]
pub struct PageBuf {
    pages: Vec<Page>,
    len: usize,
}

impl std::fmt::Debug for PageBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageBuf")
            .field("len", &self.len)
            .field("capacity", &(self.pages.len() * PAGE))
            .finish()
    }
}

impl PageBuf {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets the contents and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Gives back memory beyond `bytes`; for the time after an unusually large group.
    pub fn trim(&mut self, bytes: usize) {
        let keep = bytes.max(self.len).div_ceil(PAGE);
        if self.pages.len() > keep {
            self.pages.truncate(keep);
            self.pages.shrink_to_fit();
        }
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.grow(end);
        if let Some(room) = bytemuck::cast_slice_mut::<Page, u8>(&mut self.pages).get_mut(self.len..end) {
            room.copy_from_slice(bytes);
        }
        self.len = end;
    }

    /// Overwrites bytes that are already held; outside of them nothing happens.
    pub fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(end) = at.checked_add(bytes.len()).filter(|e| *e <= self.len)
            && let Some(room) = bytemuck::cast_slice_mut::<Page, u8>(&mut self.pages).get_mut(at..end)
        {
            room.copy_from_slice(bytes);
        }
    }

    /// The bytes held.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        bytemuck::cast_slice::<Page, u8>(&self.pages).get(..self.len).unwrap_or_default()
    }

    /// Lets `read` overwrite the bytes held, and returns what it says.
    pub fn read_into(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        let len = self.len;
        read(bytemuck::cast_slice_mut::<Page, u8>(&mut self.pages).get_mut(..len).unwrap_or_default())
    }

    fn grow(&mut self, bytes: usize) {
        let need = bytes.div_ceil(PAGE);
        if need > self.pages.len() {
            // Twice as much at least, so that appending stays linear.
            let to = need.max(self.pages.len().saturating_mul(2)).max(16);
            self.pages.resize(to, Page::zeroed());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn memory_starts_on_a_page_and_keeps_what_was_appended() {
        let mut b = PageBuf::new();
        let mut model = Vec::new();
        for n in [1usize, 4095, 1, 70_000, 3] {
            let chunk: Vec<u8> = (0..n).map(|i| u8::try_from((i * 7 + n) % 251).unwrap()).collect();
            b.extend(&chunk);
            model.extend_from_slice(&chunk);
            assert_eq!(b.as_slice(), model);
            assert_eq!(b.as_slice().as_ptr() as usize % PAGE, 0);
        }
        b.patch(4094, b"wxyz");
        model[4094..4098].copy_from_slice(b"wxyz");
        b.patch(model.len() - 1, b"no");
        assert_eq!(b.as_slice(), model);
        b.clear();
        assert!(b.is_empty());
        b.extend(b"again");
        assert_eq!(b.as_slice(), b"again");
        b.trim(0);
        assert_eq!(b.as_slice(), b"again");
    }
}
