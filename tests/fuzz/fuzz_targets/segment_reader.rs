#![no_main]
#[path = "../../src/fuzz/mod.rs"]
#[allow(dead_code)]
mod fuzz;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| fuzz::segment_reader(bytes));

// Every other change is made to hold again, or no byte behind a check sum would ever be read.
fuzz_mutator!(|bytes: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(bytes, size, max_size);
    if seed % 2 == 0 {
        fuzz::reseal("segment_reader", &mut bytes[..size]);
    }
    size
});
