//! Who takes part, and how each is started.

use core::fmt;
use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use ottla_kafka::guarded;
use serde::{Deserialize, Serialize};

use crate::{
    arguments::Arguments,
    cell::{Cell, Shape},
};

/// What starts the Java contestant, before its class path. One collector and one size of heap
/// whatever the machine, because Java's own choice differs between machines; all else is the
/// default.
pub(crate) const JAVA_OPTIONS: [&str; 2] = ["-Xmx1g", "-XX:+UseG1GC"];

/// One that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contestant {
    OttlaTokio,
    OttlaBlocking,
    Librdkafka,
    FranzGo,
    Java,
    Krafka,
    Rskafka,
    Barnabas,
    BarnabasBatch,
    Baseline,
}

impl Contestant {
    pub(crate) const OTTLA: [Self; 2] = [Self::OttlaTokio, Self::OttlaBlocking];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OttlaTokio => "ottla-tokio",
            Self::OttlaBlocking => "ottla-blocking",
            Self::Librdkafka => "librdkafka",
            Self::FranzGo => "franz-go",
            Self::Java => "java",
            Self::Krafka => "krafka",
            Self::Rskafka => "rskafka",
            Self::Barnabas => "barnabas",
            Self::BarnabasBatch => "barnabas-batch",
            Self::Baseline => "baseline",
        }
    }

    pub(crate) const fn is_ottla(self) -> bool {
        matches!(self, Self::OttlaTokio | Self::OttlaBlocking)
    }

    /// Whether it is one of the producers that ottla is compared with: neither ottla nor the baseline, nor one
    /// that is handed whole batches where it takes single records as well.
    pub(crate) const fn is_peer(self) -> bool {
        !self.is_ottla() && !matches!(self, Self::Baseline | Self::BarnabasBatch)
    }

    /// Whether a cell is for it at all.
    pub(crate) const fn enters(self, cell: &Cell) -> bool {
        match cell.shape {
            Shape::Idle => self.is_ottla(),
            Shape::Load if cell.batch > 0 => self.takes_batches(),
            // It compresses nothing.
            Shape::Load if cell.compression.is_some() => !matches!(self, Self::Baseline),
            Shape::Load | Shape::Lone | Shape::Overload => true,
        }
    }

    /// Whether there is a call for many records that does not wait for their answers, or nothing that calls.
    const fn takes_batches(self) -> bool {
        matches!(
            self,
            Self::OttlaTokio
                | Self::OttlaBlocking
                | Self::Rskafka
                | Self::BarnabasBatch
                | Self::Baseline
        )
    }

    /// How many records it sends before the measurement starts.
    pub(crate) fn warm_up(self, cell: &Cell) -> u64 {
        match cell.shape {
            // Each waits for its answer, and Java compiles what has run some ten thousand times.
            Shape::Lone if self == Self::Java => cell.records,
            Shape::Lone => cell.records / 10,
            // Its compiler goes on for millions of them.
            Shape::Load if self == Self::Java => cell.records,
            Shape::Load | Shape::Idle => cell.records / 20,
            Shape::Overload => 0,
        }
    }

    /// A command that starts it, without the contract's arguments. The kernel ends it when this
    /// process dies.
    pub(crate) fn command(self, arguments: &Arguments) -> Result<Command> {
        if self == Self::Java {
            let path = arguments.java_class_path.as_deref().context("no --java-class-path")?;
            let mut command = guarded("java");
            command.args(JAVA_OPTIONS).args(["-cp", path, &arguments.java_main]);
            return Ok(command);
        }
        if self == Self::BarnabasBatch {
            let mut command = program(Self::Barnabas.name(), &arguments.bin_dir)?;
            command.arg("--batches");
            return Ok(command);
        }
        program(self.name(), &arguments.bin_dir)
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A command for the program `name` in the first of `directories` that has it.
pub(crate) fn program(name: &str, directories: &[impl AsRef<Path>]) -> Result<Command> {
    let found = directories.iter().map(|dir| dir.as_ref().join(name)).find(|path| path.is_file());
    let path = found.with_context(|| format!("{name} was not built"))?;
    Ok(guarded(path.to_str().context("a path that is not UTF-8")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cell::Compression, plan};

    #[test]
    fn names_are_the_same_on_the_command_line_and_in_the_results() {
        for contestant in Contestant::value_variants() {
            let value = contestant.to_possible_value().unwrap();
            assert_eq!(value.get_name(), contestant.name());
            assert_eq!(serde_json::to_value(contestant).unwrap(), contestant.name());
        }
    }

    #[test]
    fn java_warms_up_longer() {
        let lone = plan::star().into_iter().find(|cell| cell.shape == Shape::Lone).unwrap();
        assert_eq!(Contestant::Java.warm_up(&lone), 20_000);
        assert_eq!(Contestant::FranzGo.warm_up(&lone), 2000);
        assert_eq!(Contestant::Java.warm_up(&Cell::BASE), Cell::BASE.records);
        assert_eq!(Contestant::FranzGo.warm_up(&Cell::BASE), Cell::BASE.records / 20);
    }

    #[test]
    fn only_ottla_is_measured_beside_idle_partitions() {
        let idle = Cell { shape: Shape::Idle, ..Cell::BASE };
        let ours: Vec<_> =
            Contestant::value_variants().iter().filter(|one| one.enters(&idle)).copied().collect();
        assert_eq!(ours, Contestant::OTTLA);
        assert!(Contestant::Baseline.enters(&Cell::BASE));
    }

    #[test]
    fn a_call_for_many_records_is_asked_of_those_who_have_one_and_to_compress_of_all_but_the_floor()
    {
        let entered = |cell: &Cell| {
            let all = Contestant::value_variants().iter();
            all.filter(|one| one.enters(cell)).map(|one| one.name()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            entered(&Cell { batch: 128, ..Cell::BASE }),
            "ottla-tokio ottla-blocking rskafka barnabas-batch baseline"
        );
        let compressed = Cell { compression: Some(Compression::Zstd), ..Cell::BASE };
        assert_eq!(
            entered(&compressed),
            "ottla-tokio ottla-blocking librdkafka franz-go java krafka rskafka barnabas barnabas-batch"
        );
    }

    #[test]
    fn the_floor_is_no_peer_and_neither_is_ottla() {
        let peers = Contestant::value_variants().iter().filter(|one| one.is_peer()).count();
        assert_eq!(peers, 6);
    }
}
