//! `bench`: runs ottla and other producers side by side on this machine, in turns, and reports what
//! each costs: raw results as JSON lines, a page of tables, and charts.
#![forbid(unsafe_code)]

mod arguments;
mod broker;
mod cell;
mod chart;
mod charts;
mod child;
mod contestant;
mod machine;
mod plan;
mod readings;
mod report;
mod results;
mod schedule;
mod statistics;
mod summary;
mod tables;
mod targets;

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;

use crate::{
    arguments::Arguments, cell::Cell, results::Results, schedule::Course, summary::Summary,
};

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let raw = arguments.out.join("results.jsonl");
    if arguments.report_only {
        return report(&arguments.out, &Results::read(&raw)?);
    }
    let cells = plan::choose(&arguments)?;
    ensure!(!cells.is_empty(), "no cell has a name with that in it: see --list");
    if arguments.list {
        cells.iter().for_each(|cell: &Cell| println!("{}", cell.name()));
        return Ok(());
    }
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("making {}", arguments.out.display()))?;
    let facts = machine::facts(&arguments, cells.len());
    if facts.load_before > 0.5 {
        let load = facts.load_before;
        eprintln!(
            "the machine has other work (load {load:.2}): the numbers will be worse than they are"
        );
    }
    let mut results = Results::create(&raw, facts)?;
    Course::new(&arguments).run(&cells, &mut results)?;
    report(&arguments.out, &results)
}

/// Writes the page and the charts of `results` into `out`.
fn report(out: &Path, results: &Results) -> Result<()> {
    let summary = Summary::of(&results.runs);
    let charts = charts::draw(&summary, &out.join("charts"))?;
    let page = report::write(results, &summary, &charts);
    let path = out.join("report.md");
    fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}
