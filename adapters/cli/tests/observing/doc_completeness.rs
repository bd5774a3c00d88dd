//! That docs/observing.md leaves out no cause, no counter and no event that there is in the sources.

use std::{fs, path::Path};

use crate::doc_tables::Table;

pub(crate) fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between `{` and `}` behind such a head, without what is nested.
fn block(source: &str, head: &str) -> String {
    let body = source.split_once(head).unwrap_or_else(|| panic!("no {head}")).1;
    let (mut depth, mut kept) = (0, String::new());
    for line in body.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for char in line.chars().chain(['\n']) {
            match char {
                '{' | '(' => depth += 1,
                '}' | ')' if depth == 0 => return kept,
                '}' | ')' => depth -= 1,
                _ if depth == 0 => kept.push(char),
                _ => {}
            }
        }
    }
    kept
}

/// The variants of an enum, or the public fields of a struct.
fn names(source: &str, head: &str) -> Vec<String> {
    let lines = block(source, head);
    let name = |line: &str| {
        let line = line.trim().strip_prefix("pub ").unwrap_or(line.trim());
        line.split([',', ':', ' ', '=']).next().unwrap_or_default().to_owned()
    };
    let lines = lines.lines().filter(|line| !line.trim().starts_with('#'));
    lines.map(name).filter(|name| !name.is_empty()).collect()
}

/// The variants that each have a row.
pub(crate) fn variants(table: Table) -> Vec<String> {
    match table {
        Table::Causes => names(&read("core/src/error.rs"), "pub enum Cause {"),
        Table::LastErrors => names(&read("core/src/last_error.rs"), "pub enum LastError {"),
    }
}

/// The texts of the events in a file, up to what differs from one to the next.
fn events(source: &str) -> Vec<String> {
    let levels = ["error!(", "warn!(", "info!(", "debug!("];
    let mut found = Vec::new();
    for call in source.split("tracing::").skip(1) {
        let Some(rest) = levels.iter().find_map(|level| call.strip_prefix(level)) else { continue };
        let text = rest.split('"').nth(1).unwrap_or_default();
        let text = text.split([':', '{', ';']).next().unwrap_or_default().trim();
        if !text.is_empty() {
            found.push(text.to_owned());
        }
    }
    found
}

fn events_below(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            events_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(events(&fs::read_to_string(&path).expect("a file")));
        }
    }
}

/// The rows of the page's tables that are about this, each with what its cells hold.
fn rows(page: &str, name: &str) -> Vec<Vec<String>> {
    let cells = |row: &str| -> Vec<String> {
        row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let rows = page.lines().filter(|line| line.starts_with("| ")).map(cells);
    rows.filter(|cells| cells[0].contains(&format!("`{name}`"))).collect()
}

#[test]
fn every_cause_and_every_last_error_has_a_row() {
    let page = read("docs/observing.md");
    let [causes, errors] = [Table::Causes, Table::LastErrors].map(variants);
    assert!(causes.len() >= 14 && errors.len() >= 7, "{causes:?}, {errors:?}");
    for name in causes.iter().chain(&errors) {
        let rows = rows(&page, name);
        assert!(!rows.is_empty(), "{name} has no row");
        assert!(rows.iter().flatten().all(|cell| !cell.is_empty()), "a cell is empty: {rows:?}");
    }
}

#[test]
fn every_counter_has_a_row() {
    let page = read("docs/observing.md");
    let own = names(&read("adapters/client/src/client/stats.rs"), "pub struct Stats {");
    let core = names(&read("core/src/ids_and_events.rs"), "pub struct Stats {");
    assert!(own.len() >= 8 && core.len() >= 12, "{own:?}, {core:?}");
    let own = own.into_iter().filter(|name| name != "core");
    for name in own.chain(core.into_iter().map(|name| format!("core.{name}"))) {
        assert!(!rows(&page, &name).is_empty(), "{name} has no row");
    }
}

#[test]
fn every_event_is_told_of() {
    let page = read("docs/observing.md");
    let mut found = Vec::new();
    events_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/src"), &mut found);
    assert!(found.len() >= 20, "{found:?}");
    let missing: Vec<_> = found.iter().filter(|text| !page.contains(text.as_str())).collect();
    assert!(missing.is_empty(), "not told of: {missing:?}");
}
