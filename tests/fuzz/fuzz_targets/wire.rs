#![no_main]
#[path = "../../src/fuzz/mod.rs"]
#[allow(dead_code, unused_imports)]
mod fuzz;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| fuzz::wire(bytes));
