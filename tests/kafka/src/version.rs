//! The versions of Kafka that are tested, and what differs between them.

use core::{fmt, str::FromStr};

use anyhow::{Context as _, Result, ensure};

/// The versions that are tested, oldest first.
pub const VERSIONS: [&str; 4] = ["2.8.2", "3.9.2", "4.0.2", "4.4.0"];

/// The newest version that is tested.
pub const NEWEST: &str = "4.4.0";

/// A version of Kafka, such as 3.9.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// Whether it runs beside ZooKeeper. The KRaft of 2.8 is a preview that cannot give out
    /// producer ids; KRaft is fit for use since 3.3.
    #[must_use]
    pub const fn needs_zookeeper(self) -> bool {
        self.major < 3 || (self.major == 3 && self.minor < 3)
    }

    /// Whether it logs with log4j 2 (since 4.0) rather than log4j 1.
    pub(crate) const fn has_log4j2(self) -> bool {
        self.major >= 4
    }

    /// The version whose `DumpLogSegments` shows its logs: that of its own `kafka_2.13` artefact,
    /// which lost it in 4.3 to `kafka-tools`, an artefact that 4.4.0 has not been published with.
    /// So newer ones are shown by 4.0.2: the format of record batches is the same since 0.11.
    pub(crate) const fn dumper(self) -> Self {
        if self.major > 4 || (self.major == 4 && self.minor >= 3) {
            Self { major: 4, minor: 0, patch: 2 }
        } else {
            self
        }
    }
}

impl FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Vec<u32> = text
            .split('.')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("{text:?} is no version such as {NEWEST}"))?;
        ensure!(numbers.len() == 3, "{text:?} is no version such as {NEWEST}");
        Ok(Self { major: numbers[0], minor: numbers[1], patch: numbers[2] })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let versions: Vec<Version> = VERSIONS.iter().map(|v| v.parse().unwrap()).collect();
        assert!(versions.is_sorted());
        assert_eq!(versions.last().unwrap().to_string(), NEWEST);
        assert!(versions[0].needs_zookeeper() && !versions[1].needs_zookeeper());
        assert!(VERSIONS.contains(&versions[3].dumper().to_string().as_str()));
        assert!("4.4".parse::<Version>().is_err());
        assert!("newest".parse::<Version>().is_err());
    }
}
