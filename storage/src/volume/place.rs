//! Which volume a segment goes to: weighted rendezvous hashing, so that a change of one volume moves no more streams
//! than it must.

use fengsui_config::ids::VolumeId;
use fengsui_config::limits;

use super::{VolumeMode, VolumeState, VolumeStatus};

/// How ill a volume suits a stream; the smallest wins. The draw is the stream's own for each volume, the weight is the
/// free room above the reserve times the configured share. A volume has at least the weight of a 32nd of its size: on
/// disks that retention keeps full, the share then follows the size and not the chance of the moment.
fn score(volume: &VolumeStatus, seed: u64) -> f64 {
    let room = volume.free_bytes.saturating_sub(volume.reserve_bytes).max(volume.total_bytes / 32) >> 30;
    let mut hash = blake3::Hasher::new();
    hash.update(&seed.to_le_bytes()).update(volume.id.as_str().as_bytes());
    let draw = hash.finalize().as_bytes().first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    #[expect(clippy::cast_precision_loss, reason = "a draw and a weight need no more than 53 bits")]
    let (draw, weight) = ((draw as f64 + 1.0) / (u64::MAX as f64 + 2.0), (room + 1) as f64);
    -draw.ln() / (weight * f64::from(volume.weight.max(1)))
}

/// Chooses a volume for a stream: by chance weighted with free room and configured share, but always the same for the
/// same stream while these stay the same. `None` when none takes footage.
pub fn choose<'a>(volumes: impl IntoIterator<Item = &'a VolumeStatus>, seed: u64) -> Option<&'a VolumeId> {
    let scored = volumes.into_iter().filter(|v| v.takes_footage()).map(|v| (score(v, seed), &v.id));
    scored.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, id)| id)
}

/// The volume on which a stream's next segment is written; `current` is where it is now. In this order:
///
/// 1. of the volumes that take footage, the best (or the current one, unless another suits better by
///    `limits::VOLUME_HYSTERESIS_PERCENT`), or its stage while that works;
/// 2. a stage, while no volume behind it takes anything: it keeps what it gets until one does;
/// 3. a volume that is drained: recording goes on before an order is kept.
pub(crate) fn place(volumes: &[VolumeStatus], seed: u64, current: Option<usize>) -> Option<usize> {
    let written_on = |i: usize| -> usize {
        let stage = volumes.get(i).and_then(|v| v.stage.as_ref());
        let at = stage.and_then(|s| volumes.iter().position(|v| v.id == *s && usable(v)));
        at.unwrap_or(i)
    };
    let places = |of: &dyn Fn(&VolumeStatus) -> bool| -> Vec<(f64, usize)> {
        let chosen = volumes.iter().enumerate().filter(|(_, v)| of(v));
        chosen.map(|(i, v)| (score(v, seed), written_on(i))).collect()
    };
    let ways = [
        places(&VolumeStatus::takes_footage),
        places(&|v| v.is_stage && usable(v)),
        places(&|v| v.state == VolumeState::Ok),
    ];
    let scored = ways.into_iter().find(|w| !w.is_empty())?;
    let least = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0);
    let best = scored.iter().copied().min_by(least)?;
    let own = scored.iter().copied().filter(|(_, at)| Some(*at) == current).min_by(least);
    let margin = 1.0 + f64::from(limits::VOLUME_HYSTERESIS_PERCENT) / 100.0;
    Some(own.filter(|o| o.0 <= best.0 * margin).unwrap_or(best).1)
}

fn usable(volume: &VolumeStatus) -> bool {
    volume.state == VolumeState::Ok && volume.mode == VolumeMode::Use
}

/// The volume to which a closed segment on volume `from` is moved: from a stage to one of the volumes behind it (to any,
/// when the stage itself is to be emptied), from elsewhere to any that takes footage. `None`: it stays for now.
pub(crate) fn destination(volumes: &[VolumeStatus], seed: u64, from: usize) -> Option<usize> {
    let source = volumes.get(from)?;
    let behind = |v: &VolumeStatus| v.stage.as_ref() == Some(&source.id);
    let any = !source.is_stage || source.mode == VolumeMode::Evacuate;
    let fits = |(i, v): &(usize, &VolumeStatus)| *i != from && v.takes_footage() && (any || behind(v));
    let scored = volumes.iter().enumerate().filter(fits).map(|(i, v)| (score(v, seed), i));
    scored.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, i)| i)
}
