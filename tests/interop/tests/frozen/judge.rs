//! What a round shows.

use core::{fmt, time::Duration};

use ottla_client::RecordOutcome;
use ottla_interop::{Adapter, Count, Fates, LogCount, Spread, Told, verify};
use ottla_kafka::{Cluster, Direction, Heard};

use crate::{Answer, DEADLINES, PARTITIONS, Stage, WARM, message};

/// How much later than bare timers answers may come, at the 99th percentile.
const LATER: Duration = Duration::from_millis(2);
/// So many of each verdict make a round that shows something.
const LEAST: usize = 10;

/// What a round showed.
#[derive(Debug)]
pub(crate) struct Round {
    adapter: Adapter,
    number: u32,
    /// How much later than their deadlines answers came.
    late: Spread,
    timers: Spread,
    /// Of cancels and of round trips: one right after the other, and after a breath.
    pairs: [[Spread; 2]; 2],
    /// Of the deadlines: `Unknown` and `NotDelivered`.
    met: [usize; 2],
    /// Of the cancels.
    cancelled: [usize; 2],
    count: Count,
    log: LogCount,
}

impl Round {
    /// Freezes the broker, lets time pass, and lets it go on. Whatever is not true fails; what is
    /// late only shows in [`Self::is_prompt`].
    pub(crate) fn run(cluster: &Cluster, adapter: Adapter, number: u32) -> Self {
        let topic = format!("frozen-{adapter}-{number}");
        cluster.create_topic(&topic, PARTITIONS.cast_signed(), 1, &[]).unwrap();
        cluster.proxy().all().tap();
        let bootstrap = cluster.proxied_bootstrap();
        let heat = Stage { cluster, bootstrap: &bootstrap, topic: &topic }.run(adapter);
        let heard = cluster.proxy().all().heard(Direction::ToBroker);

        let sent = heat.answers.len();
        check_witness(&heat.answers, &heard);
        let mut fates = Fates::default();
        for (index, answer) in heat.answers.iter().enumerate() {
            fates.tell(index, Told::from(&answer.first), false);
            if let Some(late) = &answer.late {
                assert!(late.is_delivered(), "{index} was on its way: {late}");
                fates.tell(index, Told::from(late), true);
            }
        }
        let log = cluster.read(&topic).unwrap();
        let count = verify(u32::try_from(sent).unwrap(), message, &fates, &log).unwrap();
        assert_eq!(count.unknown_there + count.unknown_absent, 0);
        let log = LogCount::of(cluster, &topic).unwrap();
        let core = &heat.stats.core;
        assert!(heat.close.complete, "{:?}", heat.close);
        assert_eq!((core.epoch_bumps, core.desyncs, core.unknown), (0, 0, 0));

        let (mut met, mut cancelled, mut lateness) = ([0; 2], [0; 2], Vec::new());
        for answer in &heat.answers[WARM as usize..] {
            let verdicts = if answer.due.is_some() { &mut met } else { &mut cancelled };
            match answer.first {
                RecordOutcome::Unknown(_) => verdicts[0] += 1,
                RecordOutcome::NotDelivered(_) => verdicts[1] += 1,
                RecordOutcome::Delivered { .. } | _ => {
                    panic!("a frozen broker acknowledged: {}", answer.first)
                }
            }
            if let Some(due) = answer.due {
                // An answer before its deadline would be another fault: nobody was to give up.
                assert!(answer.answered >= due, "answered {:?} too soon", due - answer.answered);
                lateness.push(answer.answered - due);
            }
        }
        assert_eq!((lateness.len(), heat.timers.len()), (DEADLINES, DEADLINES));
        for some in met.into_iter().chain(cancelled) {
            assert!(some >= LEAST, "too few of one kind: {met:?} {cancelled:?}");
        }
        Self {
            adapter,
            number,
            late: Spread::of(lateness),
            timers: Spread::of(heat.timers),
            pairs: heat.pairs.map(|pairs| [Spread::of(pairs.cancels), Spread::of(pairs.trips)]),
            met,
            cancelled,
            count,
            log,
        }
    }

    /// After a breath, a cancel and a round trip both take as long as it takes to fill the caches,
    /// which says little: that is only shown.
    pub(crate) fn is_prompt(&self) -> bool {
        let [[cancels, trips], _] = self.pairs;
        self.late.p99 <= self.timers.p99 + LATER
            && cancels.p50 < trips.p50
            && cancels.p99 < trips.p99
    }
}

/// The proxy knows nothing of ottla, and whatever ottla's socket accepted arrives there.
fn check_witness(answers: &[Answer], heard: &[Heard]) {
    for (index, answer) in (0..).zip(answers) {
        let value = message(index).value.unwrap();
        let arrived = heard.iter().filter_map(|heard| heard.first(&value)).min();
        match answer.first {
            RecordOutcome::Unknown(_) => {
                let arrived = arrived.unwrap_or_else(|| panic!("{index}: Unknown, and never out"));
                assert!(arrived <= answer.answered, "{index}: Unknown before it was out");
            }
            RecordOutcome::NotDelivered(_) => {
                assert_eq!(arrived, None, "{index}: NotDelivered, and its bytes are out");
            }
            RecordOutcome::Delivered { .. } | _ => {
                assert!(arrived.is_some(), "{index}: by another way");
            }
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (adapter, number) = (self.adapter, self.number);
        let [unknown, not_delivered] = self.met;
        let [of_cancels_unknown, of_cancels_not] = self.cancelled;
        writeln!(
            f,
            "{adapter}, round {number}: deadlines: {unknown} Unknown, {not_delivered} NotDelivered"
        )?;
        writeln!(f, "  later than the deadline: {}", self.late)?;
        writeln!(f, "  bare timers:             {}", self.timers)?;
        writeln!(f, "  cancels: {of_cancels_unknown} Unknown, {of_cancels_not} NotDelivered")?;
        for (when, [cancels, trips]) in ["at once", "cold   "].iter().zip(self.pairs) {
            writeln!(f, "  {when}: each cancel:    {cancels}")?;
            writeln!(f, "  {when}: bare round trip: {trips}")?;
        }
        write!(f, "  {}; {}", self.count, self.log)
    }
}
