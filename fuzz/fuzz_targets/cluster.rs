//! A producer, a network and a cluster, of which the input decides each step; ledger and tap judge: see
//! `ottla_scenario::storm::run_input`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_scenario::storm::run_input;

fuzz_target!(|input: &[u8]| drop(run_input(input, None)));
