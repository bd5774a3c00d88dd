//! That docs/observing.md leaves out nothing that there is in the sources, and that all is to be seen where the
//! page says.

#[path = "../common/mod.rs"]
mod common;
mod doc_completeness;
mod doc_tables;
mod provoke;
mod run;
mod seen;

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use doc_tables::{Place, Row, Table};
use provoke::{PROVOCATIONS, Provocation};
use seen::Seen;

/// Where a cause or an error cannot be shown, and the page says why.
const NOWHERE: [(&str, Place); 4] = [
    ("Cancelled", Place::Json),
    ("Topic", Place::Outcome),
    ("Topic", Place::Report),
    ("Topic", Place::Json),
];

/// Provokes what a row is about, by each adapter and by the command with each, and returns what is missing.
fn walk(row: &Row, provocations: &[&Provocation]) -> Vec<String> {
    let mut missing = Vec::new();
    for driver in common::DRIVERS {
        let mut seen = Seen::default();
        for provocation in provocations {
            seen.add(run::in_process(driver, provocation));
            if !row.is_nowhere(Place::Json) {
                seen.json.extend(run::by_command(driver, provocation));
            }
        }
        for place in Place::ALL {
            let found = row.missing(place, &seen);
            missing.extend(found.into_iter().map(|what| format!("{row}, {driver}: {what}")));
        }
    }
    missing
}

#[test]
fn each_cause_is_seen_where_the_page_says_that_it_is() {
    let rows = doc_tables::rows();
    let missing: Vec<String> = thread::scope(|scope| {
        let of = |row: &Row| -> Vec<&Provocation> {
            PROVOCATIONS.iter().filter(|provocation| row.is_about(provocation)).collect()
        };
        let walks: Vec<_> =
            rows.iter().map(|row| scope.spawn(move || walk(row, &of(row)))).collect();
        let join = |walk: thread::ScopedJoinHandle<'_, _>| match walk.join() {
            Ok(missing) => missing,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        walks.into_iter().flat_map(join).collect()
    });
    assert!(missing.is_empty(), "not seen:\n{}", missing.join("\n"));
}

#[test]
fn each_cause_and_each_last_error_has_one_row_and_a_provocation() {
    let rows = doc_tables::rows();
    for table in [Table::Causes, Table::LastErrors] {
        let rows: Vec<&str> =
            rows.iter().filter(|row| row.table == table).map(|row| row.name.as_str()).collect();
        let there: BTreeSet<&str> = rows.iter().copied().collect();
        assert_eq!(rows.len(), there.len(), "a row of {table:?} is there twice: {rows:?}");
        let variants = doc_completeness::variants(table);
        assert!(variants.len() >= 8, "{variants:?}");
        let variants: BTreeSet<&str> = variants.iter().map(String::as_str).collect();
        assert_eq!(there, variants, "rows of {table:?}, and what there is");
        let of = PROVOCATIONS.iter().filter(|provocation| provocation.table == table);
        let provoked: BTreeSet<&str> = of.map(|provocation| provocation.name).collect();
        assert_eq!(there, provoked, "rows of {table:?}, and what is provoked");
    }
}

#[test]
fn what_cannot_be_shown_somewhere_has_its_reason_on_the_page() {
    let mut told: BTreeMap<(String, Place), String> = BTreeMap::new();
    for row in doc_tables::rows() {
        for place in Place::ALL {
            let cell = row.cell(place);
            assert!(!cell.is_empty(), "{row}: {place:?} is empty");
            match row.reason(place) {
                Some(reason) => {
                    assert!(
                        reason.split(' ').count() >= 4,
                        "{row}: {place:?}: {reason:?} is no reason"
                    );
                    told.insert((row.name.clone(), place), reason.to_owned());
                }
                None => assert!(!row.claims(place).is_empty(), "{row}: {place:?}: {cell}"),
            }
        }
    }
    let told: Vec<_> = told.keys().map(|(name, place)| (name.as_str(), *place)).collect();
    assert_eq!(told, NOWHERE);
}
