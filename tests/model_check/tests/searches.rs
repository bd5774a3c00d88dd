//! Complete searches, a minute of one core in all where the build is optimised; without that they
//! are less deep. `OTTLA_RECORDS`, `OTTLA_TROUBLES` and `OTTLA_IMPATIENCE` set other bounds.

use ottla_model_check::{Scope, Violation, search};

fn bound(name: &str, default: u8) -> u8 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Searches through a scope, unless a law is broken.
fn run(name: &str, scope: Scope) {
    let troubles = if cfg!(debug_assertions) { scope.troubles.min(1) } else { scope.troubles };
    let scope = Scope {
        records: bound("OTTLA_RECORDS", scope.records),
        troubles: bound("OTTLA_TROUBLES", troubles),
        impatience: bound("OTTLA_IMPATIENCE", scope.impatience),
        ..scope
    };
    let report = search(&scope);
    let Scope { records, troubles, impatience, .. } = scope;
    println!("{name}, {records} records, {troubles} troubles, {impatience} impatience: {report}");
    if let Some(violation) = report.violation {
        panic!("{name}: {violation}");
    }
    assert!(report.complete, "{name}: {report}");
    if impatience == 0 && troubles < 4 && !scope.abandon {
        // Where one thing goes wrong, time alone makes the core give up a search for the truth. Where more does,
        // what may be in the log behind a batch that was refused for good is not told either (decision 43), and
        // what a leader may have forgotten.
        let [delivered, _, unknown] = report.last_words;
        let share = match (troubles, scope.forgetful) {
            (..=1, _) => 0,
            (_, false) => delivered / 100,
            (_, true) => delivered / 20,
        };
        assert!(unknown <= share, "{name}: {report}");
    }
}

#[test]
fn what_is_unknown_is_resolved() {
    run("resolve", Scope::default());
}

#[test]
fn who_waits_is_told_in_the_end() {
    run("patient", Scope { troubles: 3, impatience: 0, ..Scope::default() });
}

#[test]
fn what_is_unknown_is_abandoned() {
    run("abandon", Scope { abandon: true, ..Scope::default() });
}

#[test]
fn records_share_batches() {
    run("shared batches", Scope { shared_batches: true, ..Scope::default() });
}

#[test]
fn the_application_loses_patience_twice() {
    run("impatient", Scope { records: 2, impatience: 2, ..Scope::default() });
    run(
        "impatient, abandon",
        Scope { records: 2, impatience: 2, abandon: true, ..Scope::default() },
    );
}

#[test]
fn a_new_log_begins_at_zero() {
    run("zero first", Scope { zero_first: true, ..Scope::default() });
}

/// Between any two events. What is sent again may be written again: nobody can know.
#[test]
fn nothing_false_is_told_though_the_leader_forgets() {
    run("forgetful", Scope { forgetful: true, impatience: 0, ..Scope::default() });
}

#[test]
fn sequences_wrap() {
    run("near wrap", Scope { near_wrap: true, ..Scope::default() });
}

/// More batches than a broker remembers.
#[test]
fn the_window_of_five_is_not_left() {
    let records = if cfg!(debug_assertions) { 5 } else { 7 };
    run("long", Scope { records, troubles: 1, impatience: 0, ..Scope::default() });
}

/// Against a broker that loses what it has confirmed nothing can be promised: the search says so,
/// by the shortest way.
#[test]
fn an_unclean_election_is_found_out() {
    let report = search(&Scope { unclean: true, ..Scope::default() });
    let Violation { how, path, .. } = report.violation.expect("a broken law");
    assert_eq!(how, "record 0 is told to be at offset 0, where None is");
    assert_eq!(path.len(), 4, "{path:?}");
}
