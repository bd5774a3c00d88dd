//! `ottla-qemu`: says where the bytes of the firmware go.
#![forbid(unsafe_code)]
#![allow(unused_crate_dependencies, reason = "those of the library")]

use core::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use ottla_qemu::{Board, Broker, Firmware, Guest, Kind, PASSWORD, Run, Sizes, TOPIC, USER};

/// The flash that a producer alone may take, with everything but the board, in bytes.
// 54 KiB, and 600 for telling what stood in the way last.
const MOST_FLASH: u64 = 54 * 1_024 + 600;
/// What authenticating by SCRAM-SHA-256 may take more, the application's words for it included, in bytes.
const MORE_FLASH: u64 = 8 * 1_024;
/// What compressing by LZ4 may take more, in bytes: the codec, what has batches compressed by it, and the core's part. 2 KiB
/// were meant for it.
const LZ4_FLASH: u64 = 2 * 1_024 + 360;
/// What the codec itself may take, and what has batches compressed by it.
const LZ4_ADAPTER_FLASH: u64 = 1_024;
/// Its static memory and its deepest stack together, the board's included, in bytes.
const MOST_MEMORY: u64 = 12 * 1_024;
/// What SCRAM may take of both more: credentials, sessions, keys, and what they are derived on.
const MORE_MEMORY: u64 = 2 * 1_024;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints, as Markdown, the flash and RAM of each part of the firmware for a Cortex-M3, and the
    /// deepest stack of a run of 2,000 readings against the model broker. Fails where there is a heap
    /// or a panic in it.
    Size,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Size => size(),
    }
}

fn size() -> Result<()> {
    let board = Board::Lm3s6965evb;
    let read = |kind| Sizes::read(&Firmware::build(board, kind)?.elf);
    let (plain, silent, full) = (read(Kind::Plain)?, read(Kind::Silent)?, read(Kind::Full)?);
    let (sasl, scram) = (read(Kind::Sasl)?, read(Kind::Scram)?);
    let (json, lz4) = (read(Kind::Json)?, read(Kind::Lz4)?);
    for sizes in [&plain, &silent, &full, &sasl, &scram, &json, &lz4] {
        ensure!(sizes.unwanted().is_empty(), "in the firmware: {:?}", sizes.unwanted());
    }
    let titles = ["a producer alone", "with deadlines and dropping", "and with defmt"];
    println!("{}", Sizes::table(&[(titles[0], &plain), (titles[1], &silent), (titles[2], &full)]));
    let who = ["by PLAIN", "by SCRAM-SHA-256"];
    println!("{}", Sizes::table(&[(titles[0], &plain), (who[0], &sasl), (who[1], &scram)]));
    let packed = ["of JSON", "compressed by LZ4"];
    println!("{}", Sizes::table(&[(packed[0], &json), (packed[1], &lz4)]));
    let kinds = [
        (titles[0], Kind::PlainWithLogs, MOST_MEMORY),
        (who[1], Kind::ScramWithLogs, MOST_MEMORY + MORE_MEMORY),
        (packed[0], Kind::JsonWithLogs, u64::MAX),
        (packed[1], Kind::Lz4WithLogs, u64::MAX),
        (titles[2], Kind::Full, u64::MAX),
    ];
    for (title, kind, most) in kinds {
        let said = memory(&Firmware::build(board, kind)?, kind == Kind::ScramWithLogs)?;
        println!("Measured on {board} in QEMU, {title}: {said}.");
        let numbers = said.split(' ').filter_map(|word| word.parse::<u64>().ok());
        let sum: u64 = numbers.sum();
        ensure!(sum <= most, "{sum} bytes of memory, and not at most {most}");
    }
    let (flash, _) = plain.own();
    let more = scram.own().0.saturating_sub(flash);
    println!("SCRAM-SHA-256 takes {more} bytes of flash more, words for it included.");
    let packing = lz4.own().0.saturating_sub(json.own().0);
    let adapter = lz4.adapter().saturating_sub(json.adapter());
    println!("LZ4 takes {packing} bytes of flash more, {adapter} of them in the adapter.");
    ensure!(packing <= LZ4_FLASH, "{packing} bytes of flash more, and not at most {LZ4_FLASH}");
    ensure!(
        adapter <= LZ4_ADAPTER_FLASH,
        "{adapter} bytes of the adapter more, and not at most {LZ4_ADAPTER_FLASH}"
    );
    ensure!(more <= MORE_FLASH, "{more} bytes of flash more, and not at most {MORE_FLASH}");
    ensure!(flash <= MOST_FLASH, "{flash} bytes of flash, and not at most {MOST_FLASH}");
    Ok(())
}

/// What the firmware itself says of its memory after a run.
fn memory(firmware: &Firmware, sasl: bool) -> Result<String> {
    let broker = if sasl { Broker::model_with_sasl()? } else { Broker::model()? };
    let mut arguments = vec![
        format!("bootstrap={}", broker.advertised()),
        format!("topic={TOPIC}"),
        "readings=2000".to_owned(),
    ];
    if sasl {
        arguments.extend([format!("user={USER}"), format!("password={PASSWORD}")]);
    }
    let run = Run { link: broker.link()?, arguments: &arguments, print: false };
    broker.links().cut_at_random(1, 3, 5_000..=10_000);
    let mut guest = Guest::start(firmware, &run)?;
    ensure!(guest.wait(Duration::from_secs(120))?, "the firmware failed");
    let lines = guest.lines().all();
    let said = lines.iter().find_map(|line| line.text.strip_prefix("memory: "));
    Ok(said.context("nothing about memory")?.to_owned())
}
