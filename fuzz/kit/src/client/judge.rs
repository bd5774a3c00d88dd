//! What a client may not do.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use super::{
    attempts::{Answer, Attempt, overlap, sequence_of},
    episode::{Bounds, Seen},
};
use crate::laws::laws;

laws! {
    /// What is held of a client.
    enum Law {
        /// It begins.
        Begins "begins" Fault "Before anything goes wrong a first record is acknowledged in time.",
        /// It lives.
        Lives "lives" Fault "Whatever it is told, it does not end by itself.",
        /// It is no glutton.
        Memory "memory" Fault "Its memory stays below a bound.",
        /// It waits before it tries again.
        Pace "pace" Fault "Requests and connections that bring nothing into a log are no more than so many a second.",
        /// Its requests are some.
        Sound "sound" Fault "What it sends can be read, in the version that it says.",
        /// A sequence number is one record for ever.
        SameBytes "same-bytes" Fault "Sequence numbers that may be in the log are sent again with the same bytes or not at all.",
        /// A record has one sequence number.
        SameSequence "same-sequence" Fault "A record that may be in the log is not sent under another sequence number.",
        /// What it says is true.
        TruthTold "truth-told" Fault "What it says is acknowledged is in the log, at the offset that it says.",
        /// It does not act upon what cannot be read.
        SpoiltBelieved "spoilt-believed" Note "An answer that cannot be read to its end acknowledges nothing.",
        /// It recovers.
        Recovers "recovers" Fault "When all is well again, records are acknowledged again in time.",
        /// It can be ended.
        Ends "ends" Note "It ends within five seconds when it is asked to (SIGTERM).",
        /// The caller was not told of a duplicate.
        Twice "twice" Note "No record is in the log twice.",
    }
}

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub law: Law,
    /// What happened.
    pub what: String,
    /// What led to it, in lines.
    pub story: String,
}

/// Holds what was seen against the laws: each broken one once, by its first case, with how many there are.
#[must_use]
pub fn judge(seen: &Seen, bounds: Bounds) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut tell = |law, what: String, story: String| broken.push(Broken { law, what, story });
    if let Some(ended) = &seen.ended {
        tell(Law::Lives, ended.clone(), lead_up(seen, u64::MAX));
    } else if !seen.began {
        let what = format!("there is no acknowledgement within {:?}", bounds.begin_within);
        tell(Law::Begins, what, requests(seen));
    } else if seen.recovered_after.is_none() {
        let what = format!(
            "{:?} after all is well again, nothing that was sent since then is acknowledged",
            bounds.recover_within
        );
        tell(Law::Recovers, what, format!("{}{}", lead_up(seen, u64::MAX), last_requests(seen)));
    }
    if let Some(mib) = seen.rss_mib.filter(|mib| *mib > bounds.rss_mib) {
        tell(
            Law::Memory,
            format!("{mib} MiB, and {} are allowed", bounds.rss_mib),
            lead_up(seen, u64::MAX),
        );
    }
    if let Some((at, count, what)) = pace(seen, bounds) {
        let what = format!("{count} in the two seconds before {at} ms: {what}");
        tell(Law::Pace, what, lead_up(seen, at));
    }
    if let Some((at, why)) = seen.heard.unreadable.first() {
        let what = format!(
            "{} requests cannot be read; the first at {at} ms: {why}",
            seen.heard.unreadable.len()
        );
        tell(Law::Sound, what, lead_up(seen, *at));
    }
    judge_attempts(seen, &mut tell);
    judge_acknowledged(seen, &mut tell);
    if !seen.ends_when_asked {
        tell(Law::Ends, "it had to be killed".to_owned(), String::new());
    }
    broken
}

/// The worst two seconds, if they are too bad: when they end, how many, and of what.
fn pace(seen: &Seen, bounds: Bounds) -> Option<(u64, usize, String)> {
    let idle = &seen.heard.idle;
    let most = usize::try_from(bounds.idle_per_second.saturating_mul(2)).unwrap_or(usize::MAX);
    let (mut from, mut worst) = (0, (0, 0, 0));
    for (at, (ms, _)) in idle.iter().enumerate() {
        while idle.get(from).is_some_and(|(first, _)| first.saturating_add(2_000) < *ms) {
            from += 1;
        }
        let count = at - from + 1;
        if count > worst.1 {
            worst = (*ms, count, from);
        }
    }
    let (ms, count, from) = worst;
    if count <= most {
        return None;
    }
    let mut of: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, what) in idle.iter().skip(from).take(count) {
        *of.entry(what).or_default() += 1;
    }
    let of: Vec<String> = of.iter().map(|(what, count)| format!("{count} × {what}")).collect();
    Some((ms, count, of.join(", ")))
}

type Tell<'a> = &'a mut dyn FnMut(Law, String, String);

fn judge_attempts(seen: &Seen, tell: Tell<'_>) {
    let attempts = seen.heard.attempts.all();
    let (mut bytes, mut sequences) = (Vec::new(), Vec::new());
    // What may be in the log, by partition and producer; and where each value was bound first.
    let mut open: BTreeMap<(i32, i64), Vec<&Attempt>> = BTreeMap::new();
    let mut bound: BTreeMap<(i32, &[u8]), (&Attempt, i32)> = BTreeMap::new();
    for attempt in attempts.iter().filter(|attempt| attempt.batch.producer_id >= 0) {
        let batch = &attempt.batch;
        let key = (attempt.partition, batch.producer_id);
        let earlier = open.entry(key).or_default();
        let clash = earlier.iter().rev().take(200).find(|earlier| {
            overlap(&earlier.batch, batch)
                && (
                    earlier.batch.sequence,
                    earlier.batch.last_offset_delta,
                    earlier.batch.records_crc,
                ) != (batch.sequence, batch.last_offset_delta, batch.records_crc)
        });
        if let Some(earlier) = clash {
            bytes.push((*earlier, attempt));
        }
        for (record, value) in batch.values.iter().enumerate() {
            let Some(value) = value.as_deref() else {
                continue;
            };
            let sequence = sequence_of(batch, record);
            if let Some((earlier, its)) = bound.get(&(attempt.partition, value))
                && (earlier.batch.producer_id, earlier.batch.epoch, *its)
                    != (batch.producer_id, batch.epoch, sequence)
            {
                sequences.push((*earlier, attempt));
            }
            // What was refused for certain binds nothing.
            if !attempt.was_refused() {
                bound.entry((attempt.partition, value)).or_insert((attempt, sequence));
            }
        }
        if !attempt.was_refused() {
            earlier.push(attempt);
        }
    }
    let mut told = |law, found: Vec<(&Attempt, &Attempt)>, what: &str| {
        if let Some((earlier, later)) = found.first() {
            let what = format!("{} times; first at {} ms: {what}", found.len(), later.at_ms);
            let told = between(seen, earlier, later);
            let both = format!("  {}\n{told}  {}\n", earlier.words(), later.words());
            tell(law, what, format!("{}{both}", lead_up(seen, later.at_ms)));
        }
    };
    told(
        Law::SameBytes,
        bytes,
        "sequence numbers that may be in the log are sent with other bytes",
    );
    told(
        Law::SameSequence,
        sequences,
        "a record that may be in the log is sent under another number",
    );
}

fn judge_acknowledged(seen: &Seen, tell: Tell<'_>) {
    let mut at: BTreeMap<&[u8], Vec<(i32, i64)>> = BTreeMap::new();
    for (partition, offset, value) in &seen.logged {
        at.entry(value).or_default().push((*partition, *offset));
    }
    let start = |partition: i32| {
        usize::try_from(partition).ok().and_then(|at| seen.starts.get(at)).copied().unwrap_or(0)
    };
    let mut lies = Vec::new();
    for record in &seen.acknowledged {
        // What is so old that it is not kept is not judged.
        if record.offset.is_some_and(|offset| offset < start(record.partition))
            || record.offset.is_none() && start(record.partition) > 0
        {
            continue;
        }
        let places = at.get(record.value.as_bytes()).map_or(&[][..], Vec::as_slice);
        let fits = places.iter().any(|(partition, offset)| {
            *partition == record.partition && record.offset.is_none_or(|told| told == *offset)
        });
        if !fits {
            lies.push((record, places));
        }
    }
    // A broker that sends what is no answer may be misunderstood: that is told apart.
    let is_spoilt = |value: &str| {
        let sent =
            seen.heard.attempts.all().iter().filter(|attempt| has(attempt, value.as_bytes()));
        sent.into_iter().any(|attempt| attempt.answer == Answer::Spoilt)
    };
    let (misled, lies): (Vec<_>, Vec<_>) =
        lies.into_iter().partition(|(record, _)| is_spoilt(&record.value));
    for (law, lies) in [(Law::TruthTold, lies), (Law::SpoiltBelieved, misled)] {
        let Some((record, places)) = lies.first() else {
            continue;
        };
        let offset = record
            .offset
            .map_or_else(|| "an offset".to_owned(), |offset| format!("offset {offset}"));
        let there = match places.first() {
            None => "it is in no log".to_owned(),
            Some((partition, offset)) => {
                format!("it is in partition {partition} at offset {offset}")
            }
        };
        let what = format!(
            "{} records; first {:?}, of which it said partition {} and {offset}, at {} ms: {there}",
            lies.len(),
            record.value,
            record.partition,
            record.at_ms
        );
        let mut story = lead_up(seen, record.at_ms);
        let sent = seen.heard.attempts.all().iter().filter(|of| has(of, record.value.as_bytes()));
        for attempt in sent.take(10) {
            let _ = writeln!(story, "  {}", attempt.words());
        }
        tell(law, what, story);
    }
    let twice: Vec<_> = at.iter().filter(|(_, places)| places.len() > 1).collect();
    if let Some((value, places)) = twice.first() {
        let value = String::from_utf8_lossy(value);
        let what =
            format!("{} records; first {value:?}, at {places:?} (partition, offset)", twice.len());
        let mut story = String::new();
        let sent = seen.heard.attempts.all().iter().filter(|of| has(of, value.as_bytes()));
        let sent: Vec<&Attempt> = sent.take(10).collect();
        for (at, attempt) in sent.iter().enumerate() {
            if let Some(earlier) = at.checked_sub(1).and_then(|at| sent.get(at)) {
                story.push_str(&between(seen, earlier, attempt));
            }
            let _ = writeln!(story, "  {}", attempt.words());
        }
        tell(Law::Twice, what, story);
    }
}

/// The first errors that the client was told between two attempts: what made it do what it did may be among them.
fn between(seen: &Seen, earlier: &Attempt, later: &Attempt) -> String {
    let attempts = seen.heard.attempts.all().iter();
    let errors = attempts
        .skip_while(|attempt| *attempt != earlier)
        .skip(1)
        .take_while(|attempt| *attempt != later)
        .filter(|attempt| matches!(attempt.answer, Answer::Error(_)));
    errors.take(5).fold(String::new(), |mut text, attempt| {
        let _ = writeln!(text, "  {}", attempt.words());
        text
    })
}

fn has(attempt: &Attempt, value: &[u8]) -> bool {
    attempt.batch.values.iter().flatten().any(|other| other == value)
}

/// What went wrong in the seconds before.
fn lead_up(seen: &Seen, until: u64) -> String {
    let mut all: Vec<(u64, &str)> = seen
        .done
        .iter()
        .chain(&seen.heard.spoilt)
        .filter(|(at, _)| *at <= until && at.saturating_add(5_000) > until.min(seen.well_ms))
        .map(|(at, what)| (*at, what.as_str()))
        .collect();
    all.sort_unstable();
    let lines = all.iter().rev().take(15).rev();
    lines.fold(String::new(), |mut text, (at, what)| {
        let what: String = what.chars().take(200).collect();
        let _ = writeln!(text, "  {at:>6} ms  {what}");
        text
    })
}

fn requests(seen: &Seen) -> String {
    seen.heard.requests.iter().fold(String::new(), |mut text, (api, count)| {
        let _ = writeln!(text, "  {count} × {api}");
        text
    })
}

fn last_requests(seen: &Seen) -> String {
    let mut text = format!("  {:>6} ms  all is well\n", seen.well_ms);
    for (at, what) in seen.heard.idle.iter().filter(|(at, _)| *at > seen.well_ms).take(20) {
        let _ = writeln!(text, "  {at:>6} ms  {what}");
    }
    for attempt in seen.heard.attempts.all().iter().rev().take(5).rev() {
        let _ = writeln!(text, "  {}", attempt.words());
    }
    text
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::{
        batch::{Batch, read_batches},
        client::{Acknowledged, Attempts},
    };

    const BOUNDS: Bounds = Bounds {
        begin_within: Duration::from_secs(1),
        calm: Duration::ZERO,
        storm: Duration::ZERO,
        recover_within: Duration::from_secs(1),
        rss_mib: 100,
        idle_per_second: 10,
    };

    fn attempt(values: &[&str], epoch: i16, sequence: i32, answer: Answer) -> Attempt {
        let values = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        let batch = Batch { producer_id: 7, epoch, sequence, ..Batch::new(values, 0) };
        let batch = read_batches(&batch.encode()).0.remove(0);
        Attempt { at_ms: 10, connection: 1, partition: 0, batch, answer }
    }

    /// All is as it should be.
    fn well() -> Seen {
        Seen {
            starts: vec![0],
            began: true,
            recovered_after: Some(Duration::ZERO),
            ends_when_asked: true,
            ..Seen::default()
        }
    }

    fn broken(seen: &Seen) -> Vec<&'static str> {
        judge(seen, BOUNDS).iter().map(|broken| broken.law.name()).collect()
    }

    fn with(attempts: Vec<Attempt>) -> Vec<&'static str> {
        let mut seen = well();
        seen.heard.attempts = Attempts::of(attempts);
        broken(&seen)
    }

    #[test]
    fn sequence_numbers_are_sent_again_with_the_same_bytes() {
        let none = Answer::None;
        assert_eq!(with(vec![attempt(&["a"], 0, 0, none), attempt(&["a"], 0, 0, none)]), [""; 0]);
        assert_eq!(
            with(vec![attempt(&["a"], 0, 0, none), attempt(&["b"], 0, 0, none)]),
            ["same-bytes"]
        );
        let longer = attempt(&["a", "b"], 0, 0, none);
        assert_eq!(with(vec![attempt(&["a"], 0, 0, none), longer]), ["same-bytes"]);
        // 45 is certain: the numbers are free again.
        let refused = attempt(&["a"], 0, 0, Answer::Error(45));
        assert_eq!(with(vec![refused, attempt(&["b"], 0, 0, none)]), [""; 0]);
    }

    #[test]
    fn a_record_has_one_sequence_number() {
        let none = Answer::None;
        assert_eq!(
            with(vec![attempt(&["a"], 0, 0, none), attempt(&["a"], 0, 1, none)]),
            ["same-sequence"]
        );
        assert_eq!(
            with(vec![attempt(&["a"], 0, 5, none), attempt(&["a"], 1, 0, none)]),
            ["same-sequence"]
        );
        let refused = attempt(&["a"], 0, 5, Answer::Error(45));
        assert_eq!(with(vec![refused, attempt(&["a"], 1, 0, none)]), [""; 0]);
    }

    #[test]
    fn what_it_says_is_held_against_the_log() {
        let said = |offset, answer| {
            let mut seen = well();
            seen.logged = vec![(0, 3, b"a".to_vec())];
            let value = "a".to_owned();
            seen.acknowledged = vec![Acknowledged { at_ms: 1, partition: 0, offset, value }];
            seen.heard.attempts = Attempts::of(vec![attempt(&["a"], 0, 0, answer)]);
            broken(&seen)
        };
        assert_eq!(said(Some(3), Answer::None), [""; 0]);
        assert_eq!(said(None, Answer::None), [""; 0]);
        assert_eq!(said(Some(4), Answer::None), ["truth-told"]);
        assert_eq!(said(Some(4), Answer::Spoilt), ["spoilt-believed"]);
        let mut twice = well();
        twice.logged = vec![(0, 3, b"a".to_vec()), (0, 4, b"a".to_vec())];
        assert_eq!(broken(&twice), ["twice"]);
    }

    #[test]
    fn memory_pace_and_the_rest_are_bounded() {
        let mut seen = well();
        seen.rss_mib = Some(101);
        seen.heard.idle = (0..21).map(|at| (at * 10, "Metadata".to_owned())).collect();
        seen.heard.unreadable = vec![(1, "x".to_owned())];
        seen.recovered_after = None;
        seen.ends_when_asked = false;
        assert_eq!(broken(&seen), ["recovers", "memory", "pace", "sound", "ends"]);
        seen = well();
        // As many in three seconds are fewer in any two.
        seen.heard.idle = (0..21).map(|at| (at * 150, "Metadata".to_owned())).collect();
        assert_eq!(broken(&seen), [""; 0]);
        seen.began = false;
        assert_eq!(broken(&seen), ["begins"]);
        seen.ended = Some("it ended by itself".to_owned());
        assert_eq!(broken(&seen), ["lives"]);
    }
}
