//! The `ottla` command: produces to Kafka, and reports the outcome of every record.
#![forbid(unsafe_code)]
// What is said goes by `voice`, which knows whether it could be written.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod bench;
mod bench_payload;
mod broker;
mod config;
mod demo;
mod dump;
mod hidden;
mod inner_broker;
mod line_splitter;
mod outcome_queue;
mod outcome_text;
mod outcome_writer;
mod produce;
mod progress;
mod properties_file;
mod reader;
mod same_file;
mod secret;
#[cfg(feature = "tls")]
mod self_made;
mod sender;
mod signals;
mod stdout_stderr;
#[cfg(feature = "sasl")]
mod token;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, error::ErrorKind};
use tracing_subscriber::EnvFilter;

use args::{Cli, Command};
use outcome_text::Tally;
use stdout_stderr::{ERR, OUT};

/// Usage, configuration, or something that cannot be read or written.
const REFUSED: u8 = 1;
const SOME_NOT_DELIVERED: u8 = 2;
const SOME_UNKNOWN: u8 = 3;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for =
                matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let voice = if asked_for { &OUT } else { &ERR };
            // By its own way, which knows of colours.
            let printed = error.print().and_then(|()| io::stdout().flush());
            if let Err(error) = printed {
                voice.fail(&error);
            }
            return status(if asked_for { 0 } else { REFUSED });
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
    status(match result {
        Ok(tally) if tally.unknown > 0 => SOME_UNKNOWN,
        Ok(tally) if tally.not_delivered > 0 => SOME_NOT_DELIVERED,
        Ok(_) => 0,
        Err(error) => {
            ERR.line(format_args!("ottla: {error:#}"));
            REFUSED
        }
    })
}

/// The exit status, unless something was said that could not be heard.
fn status(status: u8) -> ExitCode {
    let unheard = OUT.has_failed() || ERR.has_failed();
    ExitCode::from(if unheard { REFUSED } else { status })
}

fn log_to_stderr(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(|| &*ERR)
        .init();
}
