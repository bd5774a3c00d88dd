//! The `ottla` command: produces to Kafka, and tells of every record what became of it.
#![forbid(unsafe_code)]

mod args;
mod bench;
mod broker;
mod demo;
mod input;
mod lines;
mod mailbox;
mod outcomes;
mod produce;
mod progress;
mod sender;
mod stop;
mod target;
mod verdict;

use std::{io, process::ExitCode};

use clap::{Parser, error::ErrorKind};
use tracing_subscriber::EnvFilter;

use args::{Cli, Command};
use verdict::Tally;

/// Usage, configuration, or a file that cannot be read or written.
const REFUSED: u8 = 1;
const SOME_NOT_DELIVERED: u8 = 2;
const SOME_UNKNOWN: u8 = 3;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody reads it: then nobody misses it.
            drop(error.print());
            let asked_for =
                matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked_for { 0 } else { REFUSED });
        }
    };
    log_to_stderr(match cli.command {
        // What goes wrong there is meant to, and is told in other words.
        Command::Demo => "error",
        Command::Produce(_) | Command::Bench(_) | Command::Broker(_) => "warn",
    });
    let result = match &cli.command {
        Command::Produce(args) => produce::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Broker(args) => broker::run(args).map(|()| Tally::default()),
        Command::Demo => demo::run().map(|()| Tally::default()),
    };
    match result {
        Ok(tally) if tally.unknown > 0 => ExitCode::from(SOME_UNKNOWN),
        Ok(tally) if tally.not_delivered > 0 => ExitCode::from(SOME_NOT_DELIVERED),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla: {error:#}");
            ExitCode::from(REFUSED)
        }
    }
}

fn log_to_stderr(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(io::stderr)
        .init();
}
