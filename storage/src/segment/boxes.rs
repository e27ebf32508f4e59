//! Reading and writing boxes of ISO/IEC 14496-12: sizes, versions, big-endian numbers.

/// A writer of nested boxes into memory.
#[derive(Debug, Default)]
pub(crate) struct Boxes {
    out: Vec<u8>,
}

impl Boxes {
    /// A writer with room for `bytes`.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }
    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.out
    }
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }
    pub(crate) fn u8(&mut self, v: u8) {
        self.out.push(v);
    }
    pub(crate) fn u16(&mut self, v: u16) {
        self.bytes(&v.to_be_bytes());
    }
    pub(crate) fn u32(&mut self, v: u32) {
        self.bytes(&v.to_be_bytes());
    }
    pub(crate) fn u64(&mut self, v: u64) {
        self.bytes(&v.to_be_bytes());
    }
    pub(crate) fn i32(&mut self, v: i32) {
        self.bytes(&v.to_be_bytes());
    }
    pub(crate) fn i64(&mut self, v: i64) {
        self.bytes(&v.to_be_bytes());
    }
    pub(crate) fn bytes(&mut self, v: &[u8]) {
        self.out.extend_from_slice(v);
    }
    pub(crate) fn zeros(&mut self, n: usize) {
        self.out.resize(self.out.len() + n, 0);
    }
    /// What was written so far.
    pub(crate) fn so_far(&self) -> &[u8] {
        &self.out
    }
    /// Overwrites four bytes written before.
    pub(crate) fn patch_u32(&mut self, at: usize, v: u32) {
        if let Some(room) = self.out.get_mut(at..at + 4) {
            room.copy_from_slice(&v.to_be_bytes());
        }
    }
    /// A box with what `fill` writes.
    pub(crate) fn boxed(&mut self, kind: [u8; 4], fill: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.u32(0);
        self.bytes(&kind);
        fill(self);
        let size = u32::try_from(self.out.len() - start).unwrap_or(u32::MAX);
        self.patch_u32(start, size);
    }
    /// A box with version and flags.
    pub(crate) fn full(&mut self, kind: [u8; 4], version: u8, flags: u32, fill: impl FnOnce(&mut Self)) {
        self.boxed(kind, |w| {
            w.u32(u32::from(version) << 24 | flags & 0x00ff_ffff);
            fill(w);
        });
    }
    /// A `free` box of exactly `size` bytes (0, or 8 and more).
    pub(crate) fn free(&mut self, size: usize) {
        if size >= 8 {
            self.boxed(*b"free", |w| w.zeros(size - 8));
        }
    }
}

/// Bytes of a `free` box that brings `len` to a multiple of `align`: 0, or at least the 8 of its header.
pub(crate) fn padding(len: usize, align: usize) -> usize {
    match len.next_multiple_of(align) - len {
        short @ 1..8 => short + align,
        enough => enough,
    }
}

/// A reader of big-endian numbers; every method gives none at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bits<'a> {
    rest: &'a [u8],
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(head)
    }
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }
    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }
}

/// One box in memory: its kind and what follows its header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoxRef<'a> {
    pub(crate) kind: [u8; 4],
    pub(crate) body: &'a [u8],
}

/// The boxes in `bytes`, one after the other; ends at the first that does not fit.
pub(crate) fn children(bytes: &[u8]) -> impl Iterator<Item = BoxRef<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (size, kind) = header(rest)?;
        let (whole, after) = rest.split_at_checked(size)?;
        rest = after;
        Some(BoxRef { kind, body: whole.get(8..)? })
    })
}

/// The first box of `kind` in `bytes`.
pub(crate) fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    children(bytes).find(|b| &b.kind == kind).map(|b| b.body)
}

/// Size and kind by the first eight bytes. Sizes of 64 bits or "to the end of the file" are not written by us.
pub(crate) fn header(bytes: &[u8]) -> Option<(usize, [u8; 4])> {
    let mut r = Bits::new(bytes);
    let size = usize::try_from(r.u32()?).ok().filter(|s| *s >= 8)?;
    Some((size, r.array()?))
}
