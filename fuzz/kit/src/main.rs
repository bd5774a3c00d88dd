//! `ottla-fuzz`: fuzzes a Kafka broker or client of one's own.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a clock is what this is about; the core has none")]

mod args;
mod example_client;
mod run_broker;
#[cfg(unix)]
mod run_client;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command, Export};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let failed = error.use_stderr();
            // Nobody is there to be told that telling failed.
            let _ = error.print();
            return if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let result = match cli.command {
        Command::Export(args) => export(&args),
        Command::Broker(args) => run_broker::run(&args),
        #[cfg(unix)]
        Command::Client(args) => run_client::run(&args),
        Command::ExampleClient(args) => example_client::run(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("ottla-fuzz: {error:#}");
        ExitCode::FAILURE
    })
}

fn export(args: &Export) -> anyhow::Result<ExitCode> {
    let written = ottla_fuzz::export::export(&args.folder, args.spoilt)?;
    println!("{} words, {} seeds", written.words, written.seeds);
    Ok(ExitCode::SUCCESS)
}
