//! How far a segment goes: the room that is reserved for it, and when the next one begins.

use fengsui_config::clock::UtcMicros;
use fengsui_config::limits;

/// Room reserved for a stream's first segment, and at most; less than the least is not worth a call.
pub(super) const RESERVE_FIRST: u64 = 16 << 20;
pub(super) const RESERVE_MAX: u64 = 128 << 20;
const RESERVE_LEAST: u64 = 4 << 20;
const ROOM_TO_RESERVE: u64 = 64 * RESERVE_MAX;

/// Room to reserve for a segment that is expected to need `wanted`. What is reserved counts as used: all streams of a volume
/// together reserve a quarter of its room at most, or the volume would be full before anything is written; and a volume with
/// little room reserves nothing.
pub(super) fn reservation(wanted: u64, room: u64, streams: usize) -> u64 {
    let share = room / 4 / u64::try_from(streams).unwrap_or(u64::MAX).max(1);
    if share < RESERVE_LEAST || room < ROOM_TO_RESERVE { 0 } else { wanted.min(share) }
}

/// The next wall-clock time at which the stream's segments rotate, staggered by `seed`.
pub(super) fn rotation_after(start: UtcMicros, seed: u64) -> UtcMicros {
    let length = i64::try_from(limits::SEGMENT_DURATION.as_micros()).unwrap_or(i64::MAX);
    let stagger = i64::try_from(seed % limits::SEGMENT_DURATION.as_secs()).unwrap_or(0) * 1_000_000;
    UtcMicros((start.0 - stagger).div_euclid(length).saturating_add(1) * length + stagger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_of_all_streams_leave_room_to_write() {
        assert_eq!(reservation(80 << 20, 4 << 40, 1400), 80 << 20, "plenty of room");
        for room in [0, 1 << 30, 37 << 30, 600 << 30] {
            for streams in [0, 1, 78, 400, 1400] {
                let all = reservation(80 << 20, room, streams) * streams as u64;
                assert!(all <= room / 4, "{streams} streams reserve {all} of {room}");
            }
        }
        assert_eq!(reservation(80 << 20, 16 << 30, 1400), 0, "crumbs are not reserved");
        assert_eq!(reservation(80 << 20, 4 << 30, 1), 0, "nor anything of little room");
    }
}
