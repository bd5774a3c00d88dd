//! Which cells are run.

use anyhow::Result;

use crate::{
    arguments::Arguments,
    cell::{BrokerKind, Cell, Compression, Shape},
};

const SIZES: [u32; 4] = [16, 100, 1000, 10_000];
/// Records of a call, where many are handed over by one: about as many as fit a batch.
const CALL: u32 = 128;

/// The cells that `arguments` ask for.
pub(crate) fn choose(arguments: &Arguments) -> Result<Vec<Cell>> {
    let mut cells = if arguments.full { full() } else { star() };
    cells.retain(|cell| arguments.brokers.contains(&cell.broker));
    if !arguments.only.is_empty() {
        cells.retain(|cell| arguments.only.iter().any(|only| only.is_match(&cell.name())));
    }
    for cell in &mut cells {
        if cell.shape == Shape::Overload {
            cell.seconds = arguments.overload_seconds;
        }
        if arguments.scale != 1.0 {
            cell.records = scaled(cell.records, arguments.scale);
        }
    }
    Ok(cells)
}

/// A multiple of what all contestants can divide by: eight threads, and a twentieth for the warm-up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a number of records is far below 2^52"
)]
fn scaled(records: u64, scale: f64) -> u64 {
    ((records as f64 * scale) as u64).div_ceil(160) * 160
}

/// The base and what differs from it in one thing, against the sink; the sizes against Kafka.
pub(crate) fn star() -> Vec<Cell> {
    let base = || Cell::BASE;
    let mut cells = vec![base()];
    cells.extend(
        SIZES.iter().filter(|size| **size != 100).map(|&size| load(Cell { size, ..base() })),
    );
    cells.extend([
        Cell { keyed: true, ..base() },
        Cell { partitions: 1, ..base() },
        Cell { partitions: 1000, ..base() },
        Cell { threads: 2, ..base() },
        Cell { threads: 4, ..base() },
        Cell { threads: 8, ..base() },
        Cell { batch: CALL, ..base() },
        Cell { batch: CALL, threads: 4, ..base() },
        Cell { batch_size: 1 << 20, ..base() },
    ]);
    cells.extend(secured());
    cells.extend(compressed());
    cells.extend(singles());
    cells.extend(SIZES.map(|size| load(Cell { size, broker: BrokerKind::Kafka, ..base() })));
    cells.push(shared());
    cells.push(lone(BrokerKind::Kafka));
    cells
}

/// Every combination, against both brokers.
pub(crate) fn full() -> Vec<Cell> {
    let mut cells = Vec::new();
    for broker in [BrokerKind::Sink, BrokerKind::Kafka] {
        for size in SIZES {
            for keyed in [false, true] {
                for partitions in [6, 1, 1000] {
                    for threads in [1, 4] {
                        for batch_size in [16 << 10, 1 << 20] {
                            let cell = Cell {
                                broker,
                                size,
                                keyed,
                                partitions,
                                threads,
                                batch_size,
                                ..Cell::BASE
                            };
                            cells.push(load(cell));
                        }
                    }
                }
            }
        }
        match broker {
            BrokerKind::Sink => {
                cells.extend(secured().into_iter().chain(compressed()).chain(singles()));
                cells.extend([2, 8].map(|threads| Cell { threads, ..Cell::BASE }));
                cells.extend([1, 4].map(|threads| Cell { threads, batch: CALL, ..Cell::BASE }));
            }
            BrokerKind::Kafka => cells.push(lone(broker)),
        }
    }
    cells
}

/// The cells with TLS, which only the sink speaks.
fn secured() -> [Cell; 2] {
    [100, 1000].map(|size| load(Cell { size, tls: true, ..Cell::BASE }))
}

/// The cells with compression. Kafka would have to do something with it; what counts is at the sink.
fn compressed() -> [Cell; 4] {
    let cell = |compression, size| {
        let cell =
            Cell { size, batch_size: 64 << 10, compression: Some(compression), ..Cell::BASE };
        // Some take ten times as long as a fast contestant without.
        Cell { records: load(cell.clone()).records / if size < 1000 { 1 } else { 2 }, ..cell }
    };
    [
        cell(Compression::Lz4, 100),
        cell(Compression::Zstd, 100),
        cell(Compression::Lz4, 1000),
        cell(Compression::Zstd, 1000),
    ]
}

/// Threads that share a producer, against Kafka.
const fn shared() -> Cell {
    load(Cell { threads: 4, broker: BrokerKind::Kafka, ..Cell::BASE })
}

/// The cells of other shapes that only the sink has.
fn singles() -> [Cell; 3] {
    [
        lone(BrokerKind::Sink),
        // The seconds are set where the arguments are known.
        Cell { shape: Shape::Overload, records: 0, seconds: 4, ..Cell::BASE },
        Cell { shape: Shape::Idle, ..Cell::BASE },
    ]
}

const fn lone(broker: BrokerKind) -> Cell {
    let records = match broker {
        BrokerKind::Sink => 20_000,
        BrokerKind::Kafka => 10_000,
    };
    Cell { broker, shape: Shape::Lone, linger_ms: 0, records, ..Cell::BASE }
}

/// The same with as many records as a fast contestant sends in about two seconds. Kafka stores what
/// it is sent, so that fewer bytes are.
const fn load(cell: Cell) -> Cell {
    let records = match (cell.broker, cell.size) {
        (BrokerKind::Sink, 0..100) => 3_000_000,
        (BrokerKind::Sink, 100..1000) => 2_000_000,
        (BrokerKind::Sink, 1000..10_000) => 1_000_000,
        (BrokerKind::Sink, 10_000..) => 200_000,
        (BrokerKind::Kafka, 0..100) => 2_000_000,
        (BrokerKind::Kafka, 100..1000) => 1_500_000,
        (BrokerKind::Kafka, 1000..10_000) => 400_000,
        (BrokerKind::Kafka, 10_000..) => 40_000,
    };
    Cell { records, ..cell }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser as _;

    use super::*;

    fn chosen(arguments: &[&str]) -> Vec<String> {
        let all = ["bench"].iter().chain(arguments);
        let cells = choose(&Arguments::try_parse_from(all).unwrap()).unwrap();
        cells.iter().map(Cell::name).collect()
    }

    #[test]
    fn the_star_is_the_base_and_what_differs_in_one_thing() {
        let expected = [
            "sink-load-100B",
            "sink-load-16B",
            "sink-load-1000B",
            "sink-load-10000B",
            "sink-load-100B-keyed",
            "sink-load-100B-1p",
            "sink-load-100B-1000p",
            "sink-load-100B-2t",
            "sink-load-100B-4t",
            "sink-load-100B-8t",
            "sink-load-100B-batch",
            "sink-load-100B-4t-batch",
            "sink-load-100B-1024K",
            "sink-load-100B-tls",
            "sink-load-1000B-tls",
            "sink-load-100B-64K-lz4",
            "sink-load-100B-64K-zstd",
            "sink-load-1000B-64K-lz4",
            "sink-load-1000B-64K-zstd",
            "sink-lone-100B",
            "sink-overload-100B",
            "sink-idle-100B",
            "kafka-load-16B",
            "kafka-load-100B",
            "kafka-load-1000B",
            "kafka-load-10000B",
            "kafka-load-100B-4t",
            "kafka-lone-100B",
        ];
        assert_eq!(chosen(&[]), expected);
    }

    #[test]
    fn the_full_plan_has_every_combination_once_and_all_of_the_star() {
        let names = chosen(&["--full"]);
        let distinct: BTreeSet<_> = names.iter().cloned().collect();
        assert_eq!((names.len(), distinct.len()), (2 * 96 + 14, 2 * 96 + 14));
        assert!(star().iter().all(|cell| full().contains(cell)));
    }

    #[test]
    fn a_pattern_can_be_anchored_and_given_twice() {
        assert_eq!(chosen(&["--only", "sink-load-100B$"]), ["sink-load-100B"]);
        assert_eq!(chosen(&["--only", "lone", "--only", "-8t"]).len(), 3);
        assert_eq!(chosen(&["--only", "lone", "--brokers", "kafka"]), ["kafka-lone-100B"]);
    }

    #[test]
    fn records_can_be_divided_among_threads_at_every_scale() {
        for scale in ["0.001", "0.37", "1"] {
            let arguments =
                Arguments::try_parse_from(["bench", "--full", "--scale", scale]).unwrap();
            for cell in choose(&arguments).unwrap() {
                assert_eq!(cell.records % 8, 0, "{}", cell.name());
                assert_eq!(cell.records / 20 % u64::from(cell.threads), 0, "{}", cell.name());
                assert_eq!(cell.records == 0, cell.shape == Shape::Overload, "{}", cell.name());
            }
        }
        assert!(Arguments::try_parse_from(["bench", "--scale", "0"]).is_err());
    }

    #[test]
    fn a_run_sends_no_more_than_two_gigabytes() {
        for cell in full() {
            assert!(cell.records * u64::from(cell.size) <= 2_000_000_000, "{}", cell.name());
        }
    }
}
