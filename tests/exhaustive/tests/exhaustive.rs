//! Searches that take seconds; `OTTLA_TROUBLES=3` and the like make them deeper.

use ottla_exhaustive::{Scope, search};

fn run(name: &str, scope: &Scope) {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let mut scope = scope.clone();
    if let Some(troubles) = variable("OTTLA_TROUBLES") {
        scope.troubles = troubles;
    }
    if let Some(impatience) = variable("OTTLA_IMPATIENCE") {
        scope.impatience = impatience;
    }
    let report = search(&scope);
    println!("{name}: {report}");
    if let Some(violation) = report.violation {
        panic!("{name}: {violation}");
    }
    assert!(report.complete, "{name}: {report}");
}

#[test]
fn resolving() {
    run("resolving", &Scope { troubles: 1, ..Scope::default() });
}

#[test]
fn abandoning() {
    run("abandoning", &Scope { troubles: 1, abandon: true, ..Scope::default() });
}
