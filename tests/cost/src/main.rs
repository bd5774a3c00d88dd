//! Does one case once, for a tool that counts: `ottla-cost CASE`. Without a case: lists them.

#![forbid(unsafe_code)]

use ottla_cost::{CASES, measured};

fn main() {
    let Some(name) = std::env::args().nth(1) else {
        for case in CASES {
            println!("{} {} {}", case.name, case.units, case.unit);
        }
        return;
    };
    let Some(case) = CASES.iter().find(|case| case.name == name) else {
        eprintln!("there is no case `{name}`");
        std::process::exit(2);
    };
    let mut work = (case.prepare)();
    // Once for memory and caches, and once to be counted.
    work.run();
    work.reset();
    measured(&mut *work);
}
