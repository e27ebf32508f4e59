//! Every protocol that changes files, cut at every call, with every state that a power cut may leave there
//! ([`SimFs::each_crash_state`]): each is recovered from, to a state that FORMAT.md and the modules' invariants allow.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "tests"
)]

mod footage;
mod small_files;

use crate::figure::{Figure, Target};
use crate::fs::{Fault, FaultPlan, SimFs};

/// One protocol.
struct Protocol<'a, Done> {
    name: &'a str,
    /// The world before it.
    before: &'a dyn Fn() -> SimFs,
    /// Does it; says what was promised to have been done, also when it failed half-way.
    run: &'a dyn Fn(&SimFs) -> Done,
    /// Recovers and panics when what it finds is not allowed.
    check: &'a dyn Fn(&SimFs, &Done),
}

impl<Done> Protocol<'_, Done> {
    /// Looks at all states; returns how many there were.
    fn enumerate(&self) -> usize {
        let fs = (self.before)();
        let before = fs.stats().changing();
        (self.check)(&fs, &(self.run)(&fs));
        let calls = fs.stats().changing() - before;
        let mut states = 0;
        for cut in 0..=calls {
            let fs = (self.before)();
            let plan = FaultPlan {
                operation: None,
                below: None,
                after: cut,
                times: u64::MAX,
                fault: Fault::PowerCut,
            };
            if cut < calls {
                fs.plan(plan);
            }
            let done = (self.run)(&fs);
            let mut number = 0u64;
            let shown = fs.each_crash_state(|state| {
                let check = std::panic::AssertUnwindSafe(|| (self.check)(&state, &done));
                if let Err(panic) = std::panic::catch_unwind(check) {
                    println!("{}: cut at call {cut} of {calls}, state {number}", self.name);
                    std::panic::resume_unwind(panic);
                }
                number += 1;
            });
            states += shown.unwrap_or_else(|n| panic!("{}: {n} states at call {cut}", self.name));
        }
        assert!(calls > 0, "{} does nothing", self.name);
        let name = format!("crash_states.{}", self.name);
        println!("{} ({calls} calls)", Figure::new(name, states as f64, "states", Target::AtLeast(1.0)));
        states
    }
}
