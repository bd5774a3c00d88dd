//! Any calls of a producer, in any order, with answers that are spoilt or not: see `ottla_machine::calls`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_machine::calls;

fuzz_target!(|input: &[u8]| drop(calls::run(input, None)));
