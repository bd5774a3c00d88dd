//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use regex_lite::Regex;

use crate::{cell::BrokerKind, contestant::Contestant};

/// Runs the contestants of the benchmark side by side, and reports tables and charts.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/run", version)]
pub(crate) struct Arguments {
    /// How often each contestant runs in each cell.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// All combinations of sizes, keys, partitions, threads and batch sizes: it takes many hours.
    #[arg(long)]
    pub(crate) full: bool,
    /// Only cells whose name matches this regular expression; may be given again, for more.
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub(crate) only: Vec<Regex>,
    /// Only these contestants, separated by commas.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Contestant::value_variants().to_vec())]
    pub(crate) contestants: Vec<Contestant>,
    /// Only against these brokers, separated by commas. Kafka needs a JDK and Maven.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = BrokerKind::value_variants().to_vec())]
    pub(crate) brokers: Vec<BrokerKind>,
    /// Multiplies the numbers of records: less than 1 to see quickly whether everything works. Such
    /// a benchmark run says nothing about speed.
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    pub(crate) scale: f64,
    /// Prints the names of the cells, and runs nothing.
    #[arg(long)]
    pub(crate) list: bool,
    /// Runs nothing, and writes the report of the results in --out again.
    #[arg(long)]
    pub(crate) report_only: bool,
    /// The directory of results: `results.jsonl`, `report.md` and `charts`.
    #[arg(long, default_value = "results", overrides_with = "out")]
    pub(crate) out: PathBuf,
    /// Where the contestants' binaries and the sink's are; may be given again, for more.
    #[arg(long, value_name = "DIR", default_value = "target/release")]
    pub(crate) bin_dir: Vec<PathBuf>,
    /// The class path of the Java contestant.
    #[arg(long, value_name = "PATHS")]
    pub(crate) java_class_path: Option<String>,
    /// The main class of the Java contestant.
    #[arg(long, value_name = "CLASS", default_value = "Bench")]
    pub(crate) java_main: String,
    /// A contestant that takes longer than this is ended, in seconds.
    #[arg(long, default_value_t = 120)]
    pub(crate) limit: u64,
    /// The seconds that `overload` lasts.
    #[arg(long, default_value_t = 4)]
    pub(crate) overload_seconds: u32,
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 && scale <= 10.0 => Ok(scale),
        Ok(_) | Err(_) => Err("a number above 0, and 10 at most".to_owned()),
    }
}
