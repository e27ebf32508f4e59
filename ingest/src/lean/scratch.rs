//! The one buffer of a thread that all sockets are read into: it stays in the processor's cache, and no stream has one
//! of its own.

use std::cell::RefCell;

use fengsui_config::limits;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; limits::LEAN_SCRATCH_BYTES].into_boxed_slice());
}

/// Lends the buffer; what is in it is nobody's. An empty one to who asks while he has it already.
pub(super) fn with<T>(use_it: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => use_it(&mut scratch),
        Err(_) => use_it(&mut []),
    })
}
