//! The moving scene of the generated clips: a street at an even pace, drawn straight into planar 4:2:0.

use crate::barcode::{self, Barcode};

/// Which segments of a seven-segment display are lit for each digit; bit 0 is the top, then clockwise, bit 6 the middle.
const DIGITS: [u8; 10] = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f];
/// Side of the square tile of noise.
const NOISE_SIDE: usize = 256;

/// Draws the pictures of one camera.
#[derive(Debug)]
pub struct Scene {
    width: usize,
    height: usize,
    camera: u16,
    clip: u8,
    background: Vec<u8>,
    noise: Vec<u8>,
    picture: Vec<u8>,
}

/// A rectangle in luma pixels.
struct Area {
    x: usize,
    y: usize,
    w: usize,
    h: usize,
}

impl Scene {
    /// A scene of the given (even) size.
    #[must_use]
    pub fn new(width: usize, height: usize, camera: u16, clip: u8) -> Self {
        let mut background = Vec::with_capacity(width * height * 3 / 2);
        for y in 0..height {
            for x in 0..width {
                let street = y * 3 > height * 2;
                let kerb = street && y * 12 < height * 8 + 12;
                let window = !street
                    && (x / (width / 16).max(1)).is_multiple_of(2)
                    && (y / (height / 12).max(1)).is_multiple_of(2);
                let shade = (y * 70 / height.max(1)) as u8;
                background.push(match (kerb, street, window) {
                    (true, ..) => 200,
                    (_, true, _) => 70 + shade / 4,
                    (_, _, true) => 150 - shade / 2,
                    _ => 95 + shade,
                });
            }
        }
        let hue = u32::from(camera) * 47 % 96;
        background.extend(std::iter::repeat_n(80 + hue as u8, width / 2 * (height / 2)));
        background.extend(std::iter::repeat_n(176 - hue as u8, width / 2 * (height / 2)));
        let mut state = u32::from(camera).wrapping_mul(2_654_435_761) | 1;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 / 8
        })
        .take(NOISE_SIDE * NOISE_SIDE)
        .collect();
        Self { width, height, camera, clip, picture: background.clone(), background, noise }
    }

    /// The picture at position `frame` of a loop of `frames`: luma plane, then the two chroma planes.
    pub fn draw(&mut self, frame: u32, frames: u32) -> &[u8] {
        self.picture.copy_from_slice(&self.background);
        self.rustle(frame);
        let turn = frame as usize * self.width / frames.max(1) as usize;
        let (w, h) = (self.width, self.height);
        for (lane, speed) in [(0, 1), (1, 2), (2, 4)] {
            let size = Area { x: 0, y: 0, w: w / 9, h: h / 14 };
            let x = (turn * speed + lane * w / 3) % w;
            let y = h * 25 / 36 + lane * h / 11;
            let (luma, cb, cr) =
                [(210, 110, 150), (60, 170, 110), (160, 100, 190)].get(lane).copied().unwrap_or_default();
            self.fill(&Area { x, y, ..size }, luma, Some((cb, cr)));
        }
        self.number(usize::from(self.camera), &Area { x: w / 24, y: h / 6, w: w / 26, h: h / 9 });
        self.number(frame as usize, &Area { x: w * 5 / 8, y: h / 6, w: w / 40, h: h / 14 });
        let code = Barcode { camera: self.camera, frame, clip: self.clip };
        barcode::write(code, &mut self.picture, w, h, w);
        &self.picture
    }

    /// Leaves in the wind: detail that changes in every picture, so that the encoder really spends its bit rate.
    fn rustle(&mut self, frame: u32) {
        let shift = (frame as usize).wrapping_mul(7919);
        let (from, to) = (self.height / 3, self.height * 2 / 3);
        for y in from..to {
            let noise_row = (y + shift / 3) % NOISE_SIDE * NOISE_SIDE;
            let row = self.picture.get_mut(y * self.width..y * self.width + self.width * 2 / 5);
            let tile = self.noise.get(noise_row..noise_row + NOISE_SIDE);
            if let (Some(row), Some(tile)) = (row, tile) {
                let start = shift % NOISE_SIDE;
                for (v, n) in row.iter_mut().zip(tile.iter().cycle().skip(start)) {
                    *v = 70 + n;
                }
            }
        }
    }

    fn number(&mut self, value: usize, at: &Area) {
        let digits = value.to_string();
        for (i, d) in digits.bytes().enumerate() {
            let lit = DIGITS.get(usize::from(d - b'0')).copied().unwrap_or(0);
            let x = at.x + i * at.w * 3 / 2;
            let (w, h, t) = (at.w, at.h, (at.w / 5).max(2));
            let bars = [
                Area { x, y: at.y, w, h: t },
                Area { x: x + w - t, y: at.y, w: t, h: h / 2 },
                Area { x: x + w - t, y: at.y + h / 2, w: t, h: h / 2 },
                Area { x, y: at.y + h - t, w, h: t },
                Area { x, y: at.y + h / 2, w: t, h: h / 2 },
                Area { x, y: at.y, w: t, h: h / 2 },
                Area { x, y: at.y + h / 2, w, h: t },
            ];
            for (bit, bar) in bars.iter().enumerate() {
                if lit >> bit & 1 == 1 {
                    self.fill(bar, 235, None);
                }
            }
        }
    }

    /// Fills a rectangle, cut at the picture's edges.
    fn fill(&mut self, area: &Area, luma: u8, chroma: Option<(u8, u8)>) {
        let (w, h) = (self.width, self.height);
        let (x0, x1) = (area.x.min(w), (area.x + area.w).min(w));
        for y in area.y.min(h)..(area.y + area.h).min(h) {
            if let Some(row) = self.picture.get_mut(y * w + x0..y * w + x1) {
                row.fill(luma);
            }
        }
        let Some((cb, cr)) = chroma else { return };
        let (cw, plane) = (w / 2, w / 2 * (h / 2));
        for y in area.y.min(h) / 2..(area.y + area.h).min(h) / 2 {
            for (start, value) in [(w * h, cb), (w * h + plane, cr)] {
                if let Some(row) = self.picture.get_mut(start + y * cw + x0 / 2..start + y * cw + x1 / 2) {
                    row.fill(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_carries_its_code_and_moves() {
        let mut scene = Scene::new(640, 360, 12, 1);
        let first = scene.draw(0, 100).to_vec();
        let second = scene.draw(1, 100).to_vec();
        assert_eq!(first.len(), 640 * 360 * 3 / 2);
        assert_ne!(first, second);
        assert_eq!(barcode::read(&second, 640, 360, 640), Some(Barcode { camera: 12, frame: 1, clip: 1 }));
    }
}
