//! Codec strings for browsers (RFC 6381) out of decoder configuration records (ISO/IEC 14496-15).

/// `avc1.PPCCLL` of an `avcC`: profile, compatibility and level in hexadecimal (section 5.3.3.1.2).
pub(super) fn of_avcc(avcc: &[u8]) -> Option<String> {
    let [1, profile, compatibility, level, ..] = avcc else { return None };
    Some(format!("avc1.{profile:02X}{compatibility:02X}{level:02X}"))
}

/// `hvc1....` of an `hvcC` (section E.3).
pub(super) fn of_hvcc(hvcc: &[u8]) -> Option<String> {
    let [1, profile, c0, c1, c2, c3, k0, k1, k2, k3, k4, k5, level, ..] = hvcc else { return None };
    let space = ["", "A", "B", "C"].get(usize::from(profile >> 6)).copied().unwrap_or_default();
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let compatibility = u32::from_be_bytes([*c0, *c1, *c2, *c3]).reverse_bits();
    let mut out = format!("hvc1.{space}{}.{compatibility:X}.{tier}{level}", profile & 0x1F);
    let constraints = [*k0, *k1, *k2, *k3, *k4, *k5];
    let used = constraints.iter().rposition(|k| *k != 0).map_or(0, |last| last + 1);
    for k in constraints.iter().take(used) {
        out.push_str(&format!(".{k:X}"));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avc_high_level_4() {
        assert_eq!(of_avcc(&[1, 0x64, 0, 0x28, 0xFF]).as_deref(), Some("avc1.640028"));
        assert_eq!(of_avcc(&[0, 0x64, 0, 0x28]), None);
    }

    #[test]
    fn hevc_main_level_3_1() {
        let hvcc = [1, 0x01, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0xF0];
        assert_eq!(of_hvcc(&hvcc).as_deref(), Some("hvc1.1.6.L93.90"));
        assert_eq!(of_hvcc(&hvcc[..10]), None);
    }
}
