//! The tables of docs/observing.md that say where what is to be seen.

use core::fmt;

use serde_json::Value;

use crate::{
    doc_completeness::read,
    provoke::Provocation,
    seen::{Seen, Sight},
};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Causes,
    LastErrors,
}

/// A column, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Outcome,
    Report,
    Json,
    Stats,
    Event,
}

impl Place {
    pub(crate) const ALL: [Self; 5] =
        [Self::Outcome, Self::Report, Self::Json, Self::Stats, Self::Event];
}

const COLUMNS: &str = "outcome | report | JSON | stats | event";
/// How a cell begins where there is nothing to see.
const NOTHING: &str = "none: ";

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) table: Table,
    /// The variant of `Cause` or of `LastError`.
    pub(crate) name: String,
    cells: Vec<String>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {}", self.table, self.name)
    }
}

/// All rows of the page's tables with these columns.
pub(crate) fn rows() -> Vec<Row> {
    let page = read("docs/observing.md");
    let mut rows = Vec::new();
    let mut table = None;
    for line in page.lines() {
        if !line.starts_with('|') {
            table = None;
        } else if line == format!("| cause | {COLUMNS} |") {
            table = Some(Table::Causes);
        } else if line == format!("| last error | {COLUMNS} |") {
            table = Some(Table::LastErrors);
        } else if let Some(table) = table.filter(|_| !line.starts_with("|-")) {
            let line = line.trim_start_matches("| ").trim_end_matches(" |");
            let mut cells = line.split(" | ").map(|cell| cell.trim().to_owned());
            let name = cells.next().unwrap_or_default().trim_matches('`').to_owned();
            let cells: Vec<String> = cells.collect();
            assert_eq!(cells.len(), Place::ALL.len(), "{line}");
            rows.push(Row { table, name, cells });
        }
    }
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

impl Row {
    pub(crate) fn is_about(&self, provocation: &Provocation) -> bool {
        (self.table, self.name.as_str()) == (provocation.table, provocation.name)
    }

    pub(crate) fn cell(&self, place: Place) -> &str {
        &self.cells[place as usize]
    }

    /// Why there is nothing to be seen there.
    pub(crate) fn reason(&self, place: Place) -> Option<&str> {
        self.cell(place).strip_prefix(NOTHING)
    }

    pub(crate) fn is_nowhere(&self, place: Place) -> bool {
        self.reason(place).is_some()
    }

    /// What is to be seen there.
    pub(crate) fn claims(&self, place: Place) -> Vec<&str> {
        if self.is_nowhere(place) { Vec::new() } else { quoted(self.cell(place)) }
    }

    /// What a place was to show and did not, or shows and was not to.
    pub(crate) fn missing(&self, place: Place, seen: &Seen) -> Vec<String> {
        let claims = self.claims(place);
        let absent = |has: &dyn Fn(&str) -> bool| -> Vec<String> {
            let absent = claims.iter().filter(|claim| !has(claim));
            absent.map(|claim| format!("{place:?}: no {claim:?} in {}", seen.told(place))).collect()
        };
        match place {
            Place::Outcome => self.unlike(place, &claims, &seen.outcomes),
            Place::Report => self.unlike(place, &claims, &seen.reports),
            Place::Json => absent(&|claim| {
                let fragment = format!("{{{claim}}}");
                match serde_json::from_str::<Value>(&fragment) {
                    Ok(Value::Object(wanted)) => seen
                        .json
                        .iter()
                        .any(|line| wanted.iter().all(|(key, value)| line.get(key) == Some(value))),
                    _ => seen.json.iter().any(|line| line.get(claim.trim_matches('"')).is_some()),
                }
            }),
            Place::Stats => absent(&|claim| {
                let of_kind = format!("{claim}={}", self.name);
                let path = if self.table == Table::LastErrors { &of_kind } else { claim };
                seen.stats.get(path).is_some_and(|count| *count > 0)
            }),
            Place::Event => absent(&|claim| seen.events.iter().any(|event| event.contains(claim))),
        }
    }

    /// Outcomes with this cause or last error. Of a cause, those that are claimed are all that there are.
    fn unlike(&self, place: Place, claims: &[&str], seen: &[Sight]) -> Vec<String> {
        let of_this = |sight: &&Sight| match self.table {
            Table::Causes => sight.cause == self.name,
            Table::LastErrors => sight.last_error.as_ref() == Some(&self.name),
        };
        let mut told: Vec<&str> = Vec::new();
        for sight in seen.iter().filter(of_this) {
            told.push(sight.kind);
            told.extend(sight.late.then_some("late"));
        }
        let absent = claims.iter().filter(|claim| !told.contains(claim));
        let absent = absent.map(|claim| format!("{place:?}: never {claim:?} in {seen:?}"));
        let whole = self.table == Table::Causes;
        let more = told.iter().filter(|told| whole && !claims.contains(told));
        absent
            .chain(more.map(|told| format!("{place:?}: {told:?}, of which the page says nothing")))
            .collect()
    }
}
