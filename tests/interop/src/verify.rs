//! The judge: joins what was told with what is in the log.

use core::fmt;
use std::collections::HashMap;

use anyhow::{Result, bail};
use ottla_kafka::Record;

use crate::{Fates, Message, Told};

/// How many violations are shown.
const SHOWN: usize = 20;

/// How many messages came to which end, all of them true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Told to be in the log, and there.
    pub delivered: u32,
    /// Of these, those that were `Unknown` before.
    pub delivered_late: u32,
    /// Of these, those without an offset.
    pub delivered_somewhere: u32,
    /// Told not to be in the log, and not there.
    pub not_delivered: u32,
    /// Of these, those that were `Unknown` before.
    pub not_delivered_late: u32,
    /// `Unknown` was the final outcome, and they are in the log.
    pub unknown_there: u32,
    /// `Unknown` was the final outcome, and they are not in the log.
    pub unknown_absent: u32,
    /// Bytes of values in the log.
    pub bytes: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} delivered ({} late, {} without offset), {} not delivered ({} late), {} unknown \
             ({} in the log), {:.1} MB in the log",
            self.delivered,
            self.delivered_late,
            self.delivered_somewhere,
            self.not_delivered,
            self.not_delivered_late,
            self.unknown_there + self.unknown_absent,
            self.unknown_there,
            self.bytes as f64 / 1e6,
        )
    }
}

/// Checks that what was told of the messages `0..count` is true of `log`, which is all of a topic
/// that nobody else wrote to: delivered ones are in it exactly once, where it was told, with equal
/// parts; all in a partition are in the order of their numbers; ones not delivered are not in it;
/// those that are unknown at most once; and there is nothing else.
///
/// # Errors
/// With what is not so.
pub fn verify(
    count: u32,
    message: impl Fn(u32) -> Message,
    fates: &Fates,
    log: &[Record],
) -> Result<Count> {
    fates.check(count as usize)?;
    let mut judge = Judge::new(count, fates);
    if fates.all().iter().any(|fate| !is_delivered_at(fate.last())) {
        judge.learn(&message);
    }
    for record in log {
        judge.record(record, &message);
    }
    judge.finish()
}

const fn is_delivered_at(told: Option<&Told>) -> bool {
    matches!(told, Some(Told::Delivered { offset: Some(_), .. }))
}

struct Judge<'a> {
    fates: &'a Fates,
    /// Who is told to be where.
    claims: HashMap<(i32, i64), u32>,
    /// Who has a value of this digest, of those that are not told to be anywhere.
    digests: HashMap<[u8; 32], Vec<u32>>,
    found: Vec<bool>,
    /// The last offset and the last number in each partition.
    last: HashMap<i32, (i64, u32)>,
    bytes: u64,
    violations: Vec<String>,
}

impl<'a> Judge<'a> {
    fn new(count: u32, fates: &'a Fates) -> Self {
        let mut judge = Self {
            fates,
            claims: HashMap::new(),
            digests: HashMap::new(),
            found: vec![false; count as usize],
            last: HashMap::new(),
            bytes: 0,
            violations: Vec::new(),
        };
        for (index, fate) in (0..count).zip(fates.all()) {
            if let Some(Told::Delivered { partition, offset: Some(offset) }) = fate.last()
                && let Some(other) = judge.claims.insert((*partition, *offset), index)
            {
                let place = format!("both are told to be at {partition}@{offset}");
                judge.violations.push(format!("{other} and {index}: {place}"));
            }
        }
        judge
    }

    fn learn(&mut self, message: &impl Fn(u32) -> Message) {
        for (index, fate) in (0..).zip(self.fates.all()) {
            if !is_delivered_at(fate.last()) {
                self.digests.entry(message(index).digest()).or_default().push(index);
            }
        }
    }

    fn record(&mut self, record: &Record, message: &impl Fn(u32) -> Message) {
        self.bytes += record.value_len.unwrap_or(0) as u64;
        let place = format!("{}@{}", record.partition, record.offset);
        let index = match self.claims.get(&(record.partition, record.offset)) {
            Some(index) => *index,
            None => match self.find_unclaimed(record, message) {
                Some(index) => index,
                None => {
                    let length = record.value_len;
                    self.violate(format!("{place}: nobody's, or somebody's twice ({length:?} B)"));
                    return;
                }
            },
        };
        if let Some(difference) = message(index).differs(record) {
            self.violate(format!("{index} at {place}: {difference}"));
        }
        let fate = &self.fates.all()[index as usize];
        if matches!(fate.last(), Some(Told::NotDelivered(_))) {
            self.violate(format!("{index} is at {place}, and told {fate:?}"));
        }
        if core::mem::replace(&mut self.found[index as usize], true) {
            self.violate(format!("{index} is at {place} too"));
        }
        let before = self.last.insert(record.partition, (record.offset, index));
        if let Some((offset, earlier)) = before
            && (earlier >= index || offset >= record.offset)
        {
            self.violate(format!("{index} at {place} comes after {earlier} at {offset}"));
        }
    }

    /// Whose a record is that nobody is told to be where it is. Of several that are alike, the first.
    fn find_unclaimed(
        &mut self,
        record: &Record,
        message: &impl Fn(u32) -> Message,
    ) -> Option<u32> {
        let alike = self.digests.get_mut(&record.value_sha256)?;
        let at = alike.iter().position(|index| message(*index).differs(record).is_none())?;
        Some(alike.remove(at))
    }

    fn violate(&mut self, violation: String) {
        self.violations.push(violation);
    }

    fn finish(mut self) -> Result<Count> {
        let mut count = Count { bytes: self.bytes, ..Count::default() };
        let mut lost = Vec::new();
        for ((index, found), fate) in (0_u32..).zip(&self.found).zip(self.fates.all()) {
            let late = u32::from(fate.late.is_some());
            match (fate.last(), found) {
                (Some(Told::Delivered { offset, .. }), true) => {
                    count.delivered += 1;
                    count.delivered_late += late;
                    count.delivered_somewhere += u32::from(offset.is_none());
                }
                (Some(told @ Told::Delivered { .. }), false) => {
                    lost.push(format!("{index} is lost: told {told:?}"));
                }
                (Some(Told::NotDelivered(_)), _) => {
                    count.not_delivered += 1;
                    count.not_delivered_late += late;
                }
                (Some(Told::Unknown(_)), true) => count.unknown_there += 1,
                (Some(Told::Unknown(_)), false) => count.unknown_absent += 1,
                (None, _) => lost.push(format!("{index} has no verdict")),
            }
        }
        self.violations.extend(lost);
        if self.violations.is_empty() {
            return Ok(count);
        }
        let shown = &self.violations[..self.violations.len().min(SHOWN)];
        bail!("{} violations:\n{}\n{count}", self.violations.len(), shown.join("\n"));
    }
}

#[cfg(test)]
mod tests;
