//! The black and white bar code at the top of every simulated picture, written into and read from luma planes.
//!
//! Two rows of 32 cells; a cell is W/32 wide and H/18 high; white is 1, black is 0. 64 bits, row 0 first, most
//! significant bit first: sync 8 = 0xB2, camera number 16, frame number 24, clip id 8, checksum 8 (XOR of the
//! seven bytes before). The cells are large on purpose: they survive any bit rate at which a picture is a picture.

/// First byte of every bar code.
pub const SYNC: u8 = 0xB2;
/// Cells in one row.
pub const COLUMNS: usize = 32;
/// Rows of cells.
pub const ROWS: usize = 2;
/// The strip's rows in a picture of this many cell heights.
pub const CELLS_PER_HEIGHT: usize = 18;
/// Luma of a white cell (limited range).
pub const WHITE: u8 = 235;
/// Luma of a black cell (limited range).
pub const BLACK: u8 = 16;
/// Mean luma from which a cell reads as white.
const THRESHOLD: u64 = 128;

/// What a picture says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Barcode {
    /// Number of the camera for which the clip was made.
    pub camera: u16,
    /// Position in the loop, 0 to 2^24 - 1.
    pub frame: u32,
    /// Which of the camera's clips it is (main, sub, other resolution or codec).
    pub clip: u8,
}

impl Barcode {
    /// The 64 bits with sync and checksum; `frame` is cut to 24 bits.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        let [_, f2, f1, f0] = self.frame.to_be_bytes();
        let [c1, c0] = self.camera.to_be_bytes();
        let sum = SYNC ^ c1 ^ c0 ^ f2 ^ f1 ^ f0 ^ self.clip;
        u64::from_be_bytes([SYNC, c1, c0, f2, f1, f0, self.clip, sum])
    }

    /// The bar code in these bits, when sync and checksum hold.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        let [sync, c1, c0, f2, f1, f0, clip, sum] = bits.to_be_bytes();
        let fits = sync == SYNC && sum == sync ^ c1 ^ c0 ^ f2 ^ f1 ^ f0 ^ clip;
        fits.then(|| Self {
            camera: u16::from_be_bytes([c1, c0]),
            frame: u32::from_be_bytes([0, f2, f1, f0]),
            clip,
        })
    }
}

/// Edges of cell `i` of `n` over `length` pixels.
fn span(i: usize, n: usize, length: usize) -> std::ops::Range<usize> {
    (i * length / n)..((i + 1) * length / n)
}

/// Draws the bar code into a luma plane of `height` rows of `stride` bytes, `width` of them picture.
/// Rows that the plane does not have are left out.
pub fn write(code: Barcode, luma: &mut [u8], width: usize, height: usize, stride: usize) {
    let bits = code.to_bits();
    for row in 0..ROWS {
        for y in span(row, CELLS_PER_HEIGHT, height) {
            for column in 0..COLUMNS {
                let white = bits >> (63 - (row * COLUMNS + column)) & 1 == 1;
                let x = span(column, COLUMNS, width);
                if let Some(cells) = luma.get_mut(y * stride + x.start..y * stride + x.end) {
                    cells.fill(if white { WHITE } else { BLACK });
                }
            }
        }
    }
}

/// Reads the bar code of a luma plane; `None` when there is none or a bit is wrong.
/// Only the middle half of each cell counts, so blurred and shifted edges do no harm.
#[must_use]
pub fn read(luma: &[u8], width: usize, height: usize, stride: usize) -> Option<Barcode> {
    let mut bits = 0u64;
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let middle = |r: std::ops::Range<usize>| {
                let quarter = r.len() / 4;
                r.start + quarter..(r.end - quarter).max(r.start + quarter + 1)
            };
            let (xs, ys) =
                (middle(span(column, COLUMNS, width)), middle(span(row, CELLS_PER_HEIGHT, height)));
            let (mut sum, mut count) = (0u64, 0u64);
            for y in ys {
                for &v in luma.get(y * stride + xs.start..y * stride + xs.end)? {
                    sum += u64::from(v);
                    count += 1;
                }
            }
            bits = bits << 1 | u64::from(sum >= THRESHOLD * count.max(1));
        }
    }
    Barcode::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Barcode = Barcode { camera: 1399, frame: 0x00AB_CDEF, clip: 3 };

    #[test]
    fn what_is_written_is_read_at_every_size_in_use() {
        for (w, h) in [(1280, 720), (640, 360), (1920, 1080), (352, 288), (704, 576)] {
            let mut luma = vec![90u8; w * h];
            write(CODE, &mut luma, w, h, w);
            assert_eq!(read(&luma, w, h, w), Some(CODE), "{w}x{h}");
        }
    }

    #[test]
    fn a_stride_wider_than_the_picture_is_respected() {
        let (w, h, stride) = (640, 360, 704);
        let mut luma = vec![0u8; stride * h];
        write(CODE, &mut luma, w, h, stride);
        assert_eq!(read(&luma, w, h, stride), Some(CODE));
        assert_eq!(read(&luma, w, h, w), None);
    }

    #[test]
    fn any_single_wrong_bit_is_noticed() {
        for bit in 0..64 {
            assert_eq!(Barcode::from_bits(CODE.to_bits() ^ 1 << bit), None, "bit {bit}");
        }
    }

    #[test]
    fn a_picture_without_a_code_and_a_short_plane_read_as_none() {
        assert_eq!(read(&vec![128u8; 640 * 360], 640, 360, 640), None);
        assert_eq!(read(&[235u8; 100], 640, 360, 640), None);
    }

    #[test]
    fn noise_and_low_contrast_do_not_hide_it() {
        let (w, h) = (640, 360);
        let mut luma = vec![90u8; w * h];
        write(CODE, &mut luma, w, h, w);
        let mut state = 7u32;
        for v in &mut luma {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = i32::from((state >> 24) as u8) / 2 - 64;
            *v = (128 + (i32::from(*v) - 128) / 2 + noise).clamp(0, 255) as u8;
        }
        assert_eq!(read(&luma, w, h, w), Some(CODE));
    }
}
