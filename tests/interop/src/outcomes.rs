//! What was told of each message.

use core::fmt;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::{Context as _, Result, bail, ensure};
use ottla_client::RecordOutcome;
use serde_json::Value;

/// One verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is in the log, at this offset if that is known.
    Delivered {
        /// The partition.
        partition: i32,
        /// The offset.
        offset: Option<i64>,
    },
    /// It is not in the log, for this reason.
    NotDelivered(String),
    /// It may be.
    Unknown(String),
}

impl From<&RecordOutcome> for Told {
    fn from(outcome: &RecordOutcome) -> Self {
        match outcome {
            RecordOutcome::Delivered { partition, offset, .. } => {
                Self::Delivered { partition: *partition, offset: *offset }
            }
            RecordOutcome::NotDelivered(cause) => Self::NotDelivered(cause.to_string()),
            RecordOutcome::Unknown(cause) => Self::Unknown(cause.to_string()),
            // A state that this version does not know of proves nothing.
            _ => Self::Unknown(outcome.to_string()),
        }
    }
}

/// What was told of one message.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// The first answer.
    pub first: Option<Told>,
    /// The truth after `Unknown`.
    pub late: Option<Told>,
}

impl Fate {
    /// The final outcome.
    #[must_use]
    pub const fn last(&self) -> Option<&Told> {
        match &self.late {
            Some(late) => Some(late),
            None => self.first.as_ref(),
        }
    }
}

/// What was told of each message, by number from 0 on.
#[derive(Debug, Default)]
pub struct Fates {
    all: Vec<Fate>,
    /// Verdicts that must not have come.
    broken: Vec<String>,
}

impl Fates {
    /// Takes note of a verdict. A message has one, or `Unknown` and then one that is late.
    pub fn tell(&mut self, index: usize, told: Told, late: bool) {
        if self.all.len() <= index {
            self.all.resize_with(index + 1, Fate::default);
        }
        let fate = &mut self.all[index];
        let place = if late { &mut fate.late } else { &mut fate.first };
        if let Some(before) = place {
            self.broken.push(format!("{index}: told {told:?} after {before:?}"));
            return;
        }
        *place = Some(told);
        if late && !matches!(fate.first, Some(Told::Unknown(_))) {
            self.broken.push(format!("{index}: late without Unknown: {fate:?}"));
        }
    }

    /// Reads what `ottla produce --outcomes` wrote.
    ///
    /// # Errors
    /// When it cannot be read, or a line is no verdict.
    pub fn read(path: &Path) -> Result<Self> {
        let mut fates = Self::default();
        for line in BufReader::new(File::open(path)?).lines() {
            let line = line?;
            let told = told(&line).with_context(|| format!("no verdict: {line}"))?;
            fates.tell(told.0, told.1, told.2);
        }
        Ok(fates)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Fate] {
        &self.all
    }

    /// How many have an answer.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.all.iter().filter(|fate| fate.first.is_some()).count()
    }

    /// Checks that the first `count` messages and no others have an answer, and in turn.
    ///
    /// # Errors
    /// When that is not so.
    pub fn check(&self, count: usize) -> Result<()> {
        ensure!(self.all.len() <= count, "{} of {count} have a verdict", self.all.len());
        if let Some(broken) = self.broken.first() {
            bail!("{} verdicts out of turn: {broken}", self.broken.len());
        }
        let silent = count - self.answered();
        ensure!(silent == 0, "{silent} of {count} have no verdict");
        Ok(())
    }

    /// How often each cause was given, in first answers.
    #[must_use]
    pub fn causes(&self) -> Causes {
        let mut causes = BTreeMap::new();
        for fate in &self.all {
            if let Some(Told::NotDelivered(cause) | Told::Unknown(cause)) = &fate.first {
                *causes.entry(cause.clone()).or_default() += 1;
            }
        }
        Causes(causes)
    }
}

/// How often each cause was given.
#[derive(Debug)]
pub struct Causes(BTreeMap<String, u32>);

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (cause, count) in &self.0 {
            write!(f, " [{count} × {cause}]")?;
        }
        Ok(())
    }
}

fn told(line: &str) -> Result<(usize, Told, bool)> {
    let json: Value = serde_json::from_str(line)?;
    let number = json["line"].as_u64().context("no line")?;
    let late = json["late"].as_bool().context("no late")?;
    json["elapsed_us"].as_u64().context("no elapsed_us")?;
    let cause = || json["cause"].as_str().map(str::to_owned).context("no cause");
    let told = match json["verdict"].as_str() {
        Some("delivered") => Told::Delivered {
            partition: i32::try_from(json["partition"].as_i64().context("no partition")?)?,
            offset: json["offset"].as_i64(),
        },
        Some("not_delivered") => Told::NotDelivered(cause()?),
        Some("unknown") => Told::Unknown(cause()?),
        other => bail!("{other:?}"),
    };
    Ok((usize::try_from(number)?.checked_sub(1).context("line 0")?, told, late))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_come_in_turn_or_are_noted() {
        let unknown = || Told::Unknown("x".to_owned());
        let at = |offset| Told::Delivered { partition: 0, offset };
        let mut fates = Fates::default();
        fates.tell(0, unknown(), false);
        fates.tell(0, at(Some(3)), true);
        fates.tell(1, at(None), false);
        assert_eq!(fates.all()[0].last(), Some(&at(Some(3))));
        fates.check(2).unwrap();
        assert!(fates.check(1).is_err() && fates.check(3).is_err());
        fates.tell(1, unknown(), true);
        assert!(fates.check(2).is_err());
    }

    #[test]
    fn verdicts_are_read() {
        let line = r#"{"line":3,"verdict":"delivered","late":true,"partition":1,"offset":12,"elapsed_us":310}"#;
        let want = Told::Delivered { partition: 1, offset: Some(12) };
        assert_eq!(told(line).unwrap(), (2, want, true));
        assert!(told(r#"{"line":1,"verdict":"lost","late":false,"elapsed_us":1}"#).is_err());
    }
}
