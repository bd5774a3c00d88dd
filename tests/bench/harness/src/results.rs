//! The raw results: one line of JSON for the facts, and one for each run, written as soon as it
//! ended.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{broker::Received, cell::Cell, contestant::Contestant, machine::Facts};

/// The line that a contestant prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) contestant: String,
    pub(crate) version: String,
    pub(crate) records: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    pub(crate) user_us: u64,
    pub(crate) system_us: u64,
    pub(crate) allocations: Option<u64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) p999_us: Option<f64>,
    pub(crate) note: Option<String>,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// For what it costs.
    Measured,
    /// For how often it allocates; counting costs time, so nothing else is taken from it.
    Allocations,
    /// For what it costs with nothing idle beside it.
    WithoutIdle,
    /// For what it costs beside idle partitions and connections.
    WithIdle,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// All was as it should be.
    Finished(Measured),
    /// The contestant has nothing like it.
    Absent,
    /// Something went wrong.
    Void(String),
}

/// One run of one contestant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) cell: Cell,
    pub(crate) contestant: Contestant,
    pub(crate) part: Part,
    pub(crate) round: u32,
    pub(crate) warm_up: u64,
    pub(crate) outcome: Outcome,
    /// The most memory the process had at any time, in bytes.
    pub(crate) peak_rss: u64,
    /// The same of the process that started it, which Linux counts as a lower limit: what the
    /// contestant had is known only if it is more.
    pub(crate) rss_limit: u64,
    /// The processor time of the whole process, with start, warm-up and end.
    pub(crate) process_us: u64,
    /// What the sink was sent; none with another broker, and in older results.
    #[serde(default)]
    pub(crate) received: Option<Received>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Facts(Box<Facts>),
    Run(Box<Run>),
}

/// All that a benchmark run found.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) facts: Facts,
    pub(crate) runs: Vec<Run>,
    file: Option<File>,
}

impl Results {
    /// None yet; they will be written to `path`.
    pub(crate) fn create(path: &Path, facts: Facts) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("making {}", path.display()))?;
        let mut results = Self { facts: facts.clone(), runs: Vec::new(), file: Some(file) };
        results.write(&Line::Facts(Box::new(facts)))?;
        Ok(results)
    }

    /// Those of an earlier run.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let (mut facts, mut runs) = (None, Vec::new());
        for (number, line) in (1..).zip(text.lines()) {
            let line = serde_json::from_str(line)
                .with_context(|| format!("line {number} of {}", path.display()))?;
            match line {
                Line::Facts(found) => facts = Some(*found),
                Line::Run(run) => runs.push(*run),
            }
        }
        Ok(Self { facts: facts.context("no line with the facts")?, runs, file: None })
    }

    /// Adds one.
    pub(crate) fn add(&mut self, run: Run) -> Result<()> {
        self.write(&Line::Run(Box::new(run.clone())))?;
        self.runs.push(run);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        writeln!(file, "{}", serde_json::to_string(line)?).context("writing the results")
    }
}

/// Judges what a contestant printed and how it ended.
pub(crate) fn outcome(cell: &Cell, code: Option<i32>, stdout: &str, stderr: &str) -> Outcome {
    /// A contestant's exit code where it has nothing like what is asked for.
    const NOT_IN_THIS_ONE: i32 = 3;
    match code {
        Some(0) => {}
        Some(NOT_IN_THIS_ONE) => return Outcome::Absent,
        Some(code) => return Outcome::Void(format!("exit code {code}: {}", last_words(stderr))),
        None => return Outcome::Void(format!("killed by a signal: {}", last_words(stderr))),
    }
    let line = stdout.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let measured: Measured = match serde_json::from_str(line) {
        Ok(measured) => measured,
        Err(error) => return Outcome::Void(format!("no result in {line:?}: {error}")),
    };
    // Some write whole batches only, so that there may be more.
    let counts = cell.seconds == 0;
    if counts && measured.failed > 0 {
        return Outcome::Void(format!("{} records failed", measured.failed));
    }
    if counts && measured.records < cell.records {
        return Outcome::Void(format!("{} records of {}", measured.records, cell.records));
    }
    if measured.seconds.is_nan() || measured.seconds <= 0.0 {
        return Outcome::Void(format!("it took {} seconds", measured.seconds));
    }
    Outcome::Finished(measured)
}

/// The end of what was complained, on one line.
fn last_words(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no word");
    line.trim().chars().take(200).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan;

    pub(crate) fn measured(records: u64, seconds: f64, user_us: u64, system_us: u64) -> Measured {
        Measured {
            contestant: "x".to_owned(),
            version: "1.2.3".to_owned(),
            records,
            failed: 0,
            seconds,
            user_us,
            system_us,
            allocations: None,
            p50_us: None,
            p99_us: None,
            p999_us: None,
            note: None,
        }
    }

    const LINE: &str = r#"{"contestant":"franz-go","version":"1.22.2","records":2000000,"failed":0,"seconds":1.5,
        "user_us":612345,"system_us":51234,"allocations":null,"p50_us":null,"p99_us":null,"p999_us":null,"note":null}"#;

    fn line() -> String {
        LINE.replace('\n', "")
    }

    #[test]
    fn the_last_line_counts() {
        let outcome = outcome(&Cell::BASE, Some(0), &format!("noise\n{}\n\n", line()), "");
        let Outcome::Finished(measured) = outcome else { panic!("{outcome:?}") };
        assert_eq!((measured.records, measured.user_us), (2_000_000, 612_345));
    }

    #[test]
    fn failed_or_missing_records_make_a_run_void() {
        let void = |text: &str| match outcome(&Cell::BASE, Some(0), text, "") {
            Outcome::Void(reason) => reason,
            other @ (Outcome::Finished(_) | Outcome::Absent) => panic!("{other:?}"),
        };
        assert_eq!(void(&line().replace("\"failed\":0", "\"failed\":2")), "2 records failed");
        assert_eq!(void(&line().replace("2000000", "1999999")), "1999999 records of 2000000");
        let more = line().replace("2000000", "2000123");
        assert!(matches!(outcome(&Cell::BASE, Some(0), &more, ""), Outcome::Finished(_)));
        assert!(void(&line().replace("1.5", "0.0")).contains("0 seconds"));
        assert!(void("").contains("no result"));
    }

    #[test]
    fn in_an_overload_no_record_needs_an_acknowledgement() {
        let is_overload = |cell: &Cell| cell.shape == crate::cell::Shape::Overload;
        let overload = plan::star().into_iter().find(is_overload).unwrap();
        let text = line().replace("\"failed\":0", "\"failed\":2");
        assert!(matches!(outcome(&overload, Some(0), &text, ""), Outcome::Finished(_)));
    }

    #[test]
    fn codes_tell_absence_from_failure() {
        assert_eq!(outcome(&Cell::BASE, Some(3), &line(), ""), Outcome::Absent);
        let crashed = outcome(&Cell::BASE, Some(101), &line(), "at x\nout of luck \n\n");
        assert_eq!(crashed, Outcome::Void("exit code 101: out of luck".to_owned()));
        assert!(matches!(outcome(&Cell::BASE, None, &line(), ""), Outcome::Void(_)));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        let run = Run {
            name: Cell::BASE.name(),
            cell: Cell::BASE,
            contestant: Contestant::OttlaTokio,
            part: Part::WithIdle,
            round: 2,
            warm_up: 100,
            outcome: Outcome::Finished(measured(10, 1.5, 7, 8)),
            peak_rss: 1 << 20,
            rss_limit: 5,
            process_us: 9,
            received: Some(Received { records: 10, bytes: 1_100 }),
        };
        let mut results = Results::create(&path, Facts::default()).unwrap();
        results.add(run.clone()).unwrap();
        let read = Results::read(&path).unwrap();
        assert_eq!(read.facts, Facts::default());
        assert_eq!(format!("{:?}", read.runs), format!("{:?}", [run]));
    }
}
