//! Which bit of a record flipped: its check sum tells, without trying them all.

/// CRC-32C (Castagnoli), reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The one bit (counted from the first byte, the lowest bit of a byte first) whose flip makes `record` hold: bytes, and
/// behind them their CRC-32C, big-endian. None when it holds, or one flip does not do.
///
/// A CRC is linear: the difference between the sum that is stored and the one that is right depends on the place of the bit
/// alone, and no two places below 2^31 bits have the same.
pub(super) fn flipped_bit(record: &[u8]) -> Option<usize> {
    let (body, stored) = record.split_last_chunk::<4>()?;
    let difference = crc32c::crc32c(body) ^ u32::from_be_bytes(*stored);
    if difference == 0 {
        return None;
    }
    if difference.is_power_of_two() {
        let bit = difference.trailing_zeros() as usize;
        return Some((body.len() + 3 - bit / 8) * 8 + bit % 8);
    }
    // What a flip does to the sum, from the last bit that goes into it backwards: the highest of the last byte.
    let mut effect = POLYNOMIAL;
    for at in (0..body.len()).rev() {
        for bit in (0..8).rev() {
            if effect == difference {
                return Some(at * 8 + bit);
            }
            effect = if effect & 1 == 1 { effect >> 1 ^ POLYNOMIAL } else { effect >> 1 };
        }
    }
    None
}

/// Flips one bit, counted as above.
pub(super) fn flip(bytes: &mut [u8], bit: usize) {
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_tells_which_bit_flipped() {
        for length in [0usize, 1, 24, 300] {
            let mut record: Vec<u8> = (0..length).map(|n| u8::try_from(n * 37 % 251).unwrap_or(0)).collect();
            record.extend_from_slice(&crc32c::crc32c(&record).to_be_bytes());
            assert_eq!(flipped_bit(&record), None);
            for bit in 0..record.len() * 8 {
                flip(&mut record, bit);
                assert_eq!(flipped_bit(&record), Some(bit), "of {length} bytes");
                flip(&mut record, bit);
            }
        }
    }

    #[test]
    fn more_than_one_bit_is_not_explained_away() {
        let mut record = vec![7; 500];
        record.extend_from_slice(&crc32c::crc32c(&record).to_be_bytes());
        flip(&mut record, 100);
        flip(&mut record, 2000);
        assert_eq!(flipped_bit(&record), None);
    }
}
