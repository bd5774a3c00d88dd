//! `ottla-fuzz`: fuzzes a Kafka broker or client of one's own.
#![forbid(unsafe_code)]

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// Fuzzes a Kafka broker or client of one's own.
#[derive(Debug, Parser)]
#[command(name = "ottla-fuzz", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes a dictionary and seed corpora for other fuzzers: AFL++, libFuzzer, Jazzer, Go's.
    Export(Export),
}

#[derive(Debug, Args)]
struct Export {
    /// Folder to write to; what is in it is overwritten.
    folder: PathBuf,
    /// Writes requests with one thing wrong each as well.
    #[arg(long)]
    spoilt: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Export(args) => export(&args),
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
