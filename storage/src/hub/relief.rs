//! What happens when all rings together hold more than their budget.

use std::sync::atomic::Ordering;

use super::Hub;

impl Hub {
    /// Keeps the rings within their budget: first the warm starts of the largest rings go, then the oldest groups of
    /// pictures of the largest backlogs. An eighth of the budget is left for what takes memory beside the pictures' bytes
    /// (ends of chunks, the allocator's own), and it goes a little below that, so that it seldom runs.
    pub(super) fn relieve(&self) {
        if self.shared.ring_bytes.load(Ordering::Relaxed) <= self.budget_bytes - self.budget_bytes / 8 {
            return;
        }
        // One relief at a time is enough; the others go on receiving.
        let Some(_one) = self.relief.try_lock() else { return };
        let target = self.budget_bytes - self.budget_bytes / 16 * 3;
        let over = || self.shared.ring_bytes.load(Ordering::Relaxed) > target;
        let mut streams = self.streams();
        streams.sort_by_key(|s| std::cmp::Reverse(s.held.load(Ordering::Relaxed)));
        for stream in &streams {
            if !over() {
                return;
            }
            stream.change(super::ring::Ring::forget_warm);
        }
        let mut backlogs: std::collections::BinaryHeap<(usize, usize)> = streams
            .iter()
            .enumerate()
            .map(|(i, s)| (s.ring.lock().backlog_bytes(), i))
            .filter(|(bytes, _)| *bytes > 0)
            .collect();
        while over() {
            let Some((_, i)) = backlogs.pop() else { return };
            let Some(stream) = streams.get(i) else { return };
            let (lost, left) = stream.change(|ring| (ring.drop_oldest_group(), ring.backlog_bytes()));
            self.shared.recorder_dropped.fetch_add(lost, Ordering::Relaxed);
            if left > 0 {
                backlogs.push((left, i));
            }
        }
    }
}
