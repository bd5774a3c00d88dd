//! What is told while a broker is silent and while memory is full.

mod lab;

use core::time::Duration;

use lab::{
    Lab, SECOND, Small, Weather,
    both_apis::{Told, check_delivered, is_ready, polled_over, produce, run_async, verdicts},
    config, producer,
};
use ottla_core::{
    Cause, Config, Instant, LastError, ProduceError, Producer, TopicId, Verdict, wire::ErrorCode,
};
use ottla_embedded::{Backlog, Driver, DropPolicy, RecordOutcome, Step};
use ottla_model::{Action, Fault};

type Run = fn(
    &Lab,
    Weather,
    DropPolicy,
    &mut dyn FnMut(Instant, TopicId, &mut Producer<'_>, &mut lab::both_apis::Readings) -> bool,
) -> Told;

const FACES: [(&str, Run); 2] = [
    ("polled", |lab, weather, policy, mut application| {
        polled_over::<2>(lab, &config(), weather, policy, &mut application)
    }),
    ("async", |lab, weather, policy, mut application| {
        run_async::<2>(lab, &config(), weather, policy, &mut application)
    }),
];

/// A reading every 20 ms, each good for 500 ms; the broker freezes after a second, for five. Returns
/// what was told, and what was refused.
fn sensor(lab: &Lab, run: Run, policy: DropPolicy) -> (Told, Vec<u32>) {
    const READINGS: u32 = 400;
    let (mut next, mut due, mut begin) = (0, Instant::ZERO, None);
    let mut refused = Vec::new();
    let pages = 8;
    let told =
        run(lab, Weather { room: 600, ..Weather::FAIR }, policy, &mut |now, topic, core, log| {
            if !is_ready(core, topic) {
                return false;
            }
            let since = now.since(*begin.get_or_insert(now));
            let frozen = (SECOND..6 * SECOND).contains(&since);
            lab.with(|state| match frozen {
                true => state.cluster.freeze(1).unwrap(),
                false if state.cluster.is_frozen(1) => state.cluster.thaw(1).unwrap(),
                false => {}
            });
            assert!(core.stats().pages_used <= pages);
            if next < READINGS && now >= due {
                due = now.after(Duration::from_millis(20));
                let within = Some(Duration::from_millis(500));
                match produce(core, log, now, topic, next, 40, within) {
                    Ok(()) => {}
                    Err(ProduceError::Full) => refused.push(next),
                    Err(error) => panic!("{error}"),
                }
                next += 1;
            }
            next == READINGS && log.is_empty()
        });
    (told, refused)
}

/// Holds what was told against the log.
fn check(lab: &Lab, told: &Told, refused: &[u32]) {
    let log = lab.log(0);
    assert!(log.is_sorted_by(|a, b| a < b), "in order, and each once");
    let reports = verdicts(told);
    for number in 0..400 {
        let of: Vec<_> = reports.iter().filter(|report| report.token == number).collect();
        let Some(last) = of.last() else {
            assert!(refused.contains(&number) && !log.contains(&number), "{number}");
            continue;
        };
        assert!(last.last && of.len() <= 2 && !refused.contains(&number), "{of:?}");
        assert_eq!(last.late, of.len() == 2, "{of:?}");
        match last.outcome {
            RecordOutcome::Delivered { offset: Some(offset), .. } => {
                assert_eq!(log[offset as usize], number);
            }
            RecordOutcome::Delivered { .. } => assert!(log.contains(&number), "{number}"),
            RecordOutcome::NotDelivered(_) => assert!(!log.contains(&number), "{number}"),
            RecordOutcome::Unknown(_) | _ => panic!("{of:?}"),
        }
    }
}

#[test]
fn readings_that_are_too_old_are_dropped_while_the_broker_is_silent_and_the_next_ones_go_through() {
    let mut before = None;
    for (name, run) in FACES {
        let lab = Lab::new(1, 1);
        let (told, refused) = sensor(&lab, run, DropPolicy::NewestFirst);
        check(&lab, &told, &refused);
        let same = (verdicts(&told), refused.clone());
        assert_eq!(*before.get_or_insert_with(|| same.clone()), same, "both APIs tell the same");
        let dropped = |certain: bool| {
            let of = told.iter().filter(|(_, report)| match report.outcome {
                RecordOutcome::NotDelivered(why) => certain && why.cause == Cause::Deadline,
                RecordOutcome::Unknown(why) => !certain && why.cause == Cause::Deadline,
                RecordOutcome::Delivered { .. } | _ => false,
            });
            of.count()
        };
        let (old, out) = (dropped(true), dropped(false));
        // 250 readings came while it was silent, and all but the last 25 of them were too old.
        assert!(old >= 100, "{name}: {old} too old, {} refused", refused.len());
        assert!((1..40).contains(&out), "{name}: {out} were out by then");
        let last = verdicts(&told).pop().unwrap();
        assert_eq!(last.token, 399);
        assert!(matches!(last.outcome, RecordOutcome::Delivered { .. }), "{name}: {last:?}");
        println!(
            "{name}: {} in the log, {old} too old, {out} out, {} refused",
            lab.log(0).len(),
            refused.len()
        );
    }
}

#[test]
fn a_deadline_is_answered_when_it_comes() {
    for (name, run) in FACES {
        let lab = Lab::new(1, 1);
        let mut sent = Vec::new();
        let mut seen = 0;
        let told =
            run(&lab, Weather::FAIR, DropPolicy::NewestFirst, &mut |now, topic, core, log| {
                if !is_ready(core, topic) {
                    return false;
                }
                lab.with(|state| state.cluster.freeze(1)).unwrap();
                if seen < 6 {
                    let within = Duration::from_millis(100 + u64::from(seen) * 37);
                    produce(core, log, now, topic, seen, 40, Some(within)).unwrap();
                    sent.push((now, within));
                    seen += 1;
                }
                now.since(sent[0].0) > SECOND
            });
        let first: Vec<_> = told.iter().filter(|(_, report)| !report.late).collect();
        assert_eq!(first.len(), 6, "{name}");
        for (at, report) in first {
            let (from, within) = sent[report.token as usize];
            let took = at.since(from);
            assert!(took >= within && took < within + Duration::from_millis(2), "{name}: {took:?}");
        }
    }
}

/// A producer that is filled while its broker does not answer, and then let go.
fn full(policy: DropPolicy) -> (Lab, Vec<u32>, Vec<u32>, Told) {
    let lab = Lab::new(1, 1);
    let mut memory = Small::new();
    let mut driver: Driver<'_, _, 1> = Driver::new(
        producer(&config(), &mut memory),
        [lab::port::Socket::new(&lab, Weather::FAIR)],
    );
    let (mut taken, mut refused, mut next) = (Vec::new(), Vec::new(), 0);
    let told = lab::both_apis::polled(
        &lab,
        &mut driver,
        policy,
        60 * SECOND,
        &mut |now: Instant,
              topic: TopicId,
              core: &mut Producer<'_>,
              log: &mut lab::both_apis::Readings| {
            if !is_ready(core, topic) {
                return false;
            }
            if next == 0 {
                lab.with(|state| state.cluster.freeze(1)).unwrap();
            }
            if next < 100 {
                match produce(core, log, now, topic, next, 60, None) {
                    Ok(()) => taken.push(next),
                    Err(ProduceError::Full) => refused.push(next),
                    Err(error) => panic!("{error}"),
                }
                next += 1;
                if next == 100 {
                    lab.with(|state| state.cluster.thaw(1)).unwrap();
                }
            }
            next == 100 && log.is_empty()
        },
    );
    (lab, taken, refused, told)
}

#[test]
fn oldest_first_keeps_the_newest_records_and_says_what_became_of_the_others() {
    let (lab, taken, refused, told) = full(DropPolicy::OldestFirst);
    assert_eq!((taken.len(), refused.len()), (100, 0));
    let log = lab.log(0);
    let dropped: Vec<u32> = told
        .iter()
        .filter(|(_, report)| {
            report.outcome == RecordOutcome::NotDelivered(Cause::Cancelled.into())
        })
        .map(|(_, report)| report.token)
        .collect();
    assert_eq!(told.len(), 100, "one report each");
    assert_eq!(dropped.len() + log.len(), 100);
    assert!(dropped.len() > 50 && log.len() > 10, "{dropped:?}");
    // What was out when the broker froze, and then the newest ones, in order.
    assert_eq!(log.last(), Some(&99));
    assert!(log.is_sorted() && dropped.is_sorted());
    let out = log.iter().take_while(|number| **number < dropped[0]).count();
    assert!(
        log[out..].iter().all(|number| number > dropped.last().unwrap()),
        "{log:?} {dropped:?}"
    );
}

#[test]
fn newest_first_refuses_the_new_ones_and_keeps_what_was_taken() {
    let (lab, taken, refused, told) = full(DropPolicy::NewestFirst);
    assert!(refused.len() > 50 && taken.len() > 10, "{taken:?}");
    assert_eq!(lab.log(0), taken);
    assert_eq!(told.len(), taken.len());
    assert!(
        told.iter().all(|(_, report)| matches!(report.outcome, RecordOutcome::Delivered { .. }))
    );
}

#[test]
fn what_is_out_is_never_dropped_whoever_asks() {
    let lab = Lab::new(1, 1);
    let mut memory = Small::new();
    let mut driver: Driver<'_, _, 1> = Driver::new(
        producer(&config(), &mut memory),
        [lab::port::Socket::new(&lab, Weather::FAIR)],
    );
    let mut next = 0;
    let (mut told, mut asked) = (Vec::new(), false);
    told.extend(lab::both_apis::polled(
        &lab,
        &mut driver,
        DropPolicy::OldestFirst,
        60 * SECOND,
        &mut |now: Instant,
              topic: TopicId,
              core: &mut Producer<'_>,
              log: &mut lab::both_apis::Readings| {
            if !is_ready(core, topic) {
                return false;
            }
            if next == 0 {
                lab.with(|state| state.cluster.freeze(1)).unwrap();
            }
            if next < 4 {
                produce(core, log, now, topic, next, 60, None).unwrap();
                core.flush(now);
                next += 1;
            } else if core.stats().requests > 0 && !asked {
                asked = true;
                assert_eq!(log.cancel(core, now, &0), Some(Verdict::Unknown));
                assert_eq!(log.cancel(core, now, &77), None);
            } else if asked {
                lab.with(|state| state.cluster.thaw(1)).unwrap();
            }
            asked && log.is_empty()
        },
    ));
    let of_first: Vec<_> = told.iter().filter(|(_, report)| report.token == 0).collect();
    assert_eq!(of_first.len(), 2, "{told:?}");
    assert_eq!(of_first[0].1.outcome, RecordOutcome::Unknown(Cause::Cancelled.into()));
    assert!(of_first[1].1.late && of_first[1].1.last);
    assert_eq!(lab.log(0), [0, 1, 2, 3]);
}

#[test]
fn offsets_are_right_where_records_of_the_batch_were_taken_out() {
    for (_, run) in FACES {
        let lab = Lab::new(1, 1);
        let mut produced = false;
        let told =
            run(&lab, Weather::FAIR, DropPolicy::NewestFirst, &mut |now, topic, core, log| {
                if !is_ready(core, topic) {
                    return false;
                }
                if !produced {
                    produced = true;
                    for number in 0..6 {
                        produce(core, log, now, topic, number, 8, None).unwrap();
                        if number == 3 {
                            // Before others come into the same batch, and after.
                            assert_eq!(log.cancel(core, now, &1), Some(Verdict::NotDelivered));
                        }
                    }
                    assert_eq!(log.cancel(core, now, &4), Some(Verdict::NotDelivered));
                }
                log.is_empty()
            });
        assert_eq!(lab.log(0), [0, 2, 3, 5]);
        let at = |number| {
            let report = told.iter().find(|(_, report)| report.token == number).unwrap().1;
            let RecordOutcome::Delivered { offset, .. } = report.outcome else { return None };
            offset
        };
        assert_eq!([0, 1, 2, 3, 4, 5].map(at), [Some(0), None, Some(1), Some(2), None, Some(3)]);
    }
}

#[test]
fn a_backlog_that_is_full_of_records_drops_its_oldest_or_refuses() {
    for policy in [DropPolicy::OldestFirst, DropPolicy::NewestFirst] {
        let lab = Lab::new(1, 1);
        let mut memory = Small::new();
        let config = Config { linger: SECOND, ..config() };
        let mut driver: Driver<'_, _, 1> = Driver::new(
            producer(&config, &mut memory),
            [lab::port::Socket::new(&lab, Weather::FAIR)],
        );
        let topic = driver.producer_mut().topic(lab.now(), "t").unwrap();
        while !is_ready(driver.producer(), topic) {
            while let Step::Event(_) = driver.poll(lab.now()) {}
            lab.pass(lab.now().after(Duration::from_millis(1)));
        }
        let mut log = Backlog::<u8, 3>::new(policy);
        let record = ottla_core::Record { value: Some(b"x"), ..ottla_core::Record::default() };
        let core = driver.producer_mut();
        let mut take = |log: &mut Backlog<u8, 3>, token| {
            log.produce(core, lab.now(), topic, &record, token, None)
        };
        for token in 0..3 {
            take(&mut log, token).unwrap();
        }
        assert_eq!(take(&mut log, 3), Err(ProduceError::Full));
        let tokens: Vec<u8> =
            core::iter::from_fn(|| log.poll_report()).map(|report| report.token).collect();
        match policy {
            // All three are of one batch.
            DropPolicy::OldestFirst => {
                assert_eq!(tokens, [0, 1, 2]);
                take(&mut log, 3).unwrap();
            }
            DropPolicy::NewestFirst => {
                assert_eq!(tokens, []);
                assert_eq!(take(&mut log, 3), Err(ProduceError::Full));
            }
        }
    }
}

#[test]
fn everything_is_delivered_where_nothing_goes_wrong() {
    for (_, run) in FACES {
        let lab = Lab::new(1, 1);
        let told =
            run(&lab, Weather::FAIR, DropPolicy::OldestFirst, &mut lab::both_apis::send(10, 40));
        check_delivered(&lab, &told, 10);
    }
}

#[test]
fn a_record_at_fault_is_told_from_its_neighbours() {
    for (name, run) in FACES {
        let lab = Lab::new(1, 1);
        lab.with(|state| state.cluster.inject(Fault::produce(Action::Blame(vec![1, 4]))));
        let mut sent = false;
        let told =
            run(&lab, Weather::FAIR, DropPolicy::NewestFirst, &mut |now, topic, core, log| {
                if is_ready(core, topic) && !sent {
                    sent = true;
                    for number in 0..6 {
                        produce(core, log, now, topic, number, 8, None).unwrap();
                    }
                }
                sent && log.is_empty()
            });
        for report in verdicts(&told) {
            let bad = report.token == 1 || report.token == 4;
            let cause = if bad { Cause::AtFault } else { Cause::Neighbour };
            let outcome = RecordOutcome::NotDelivered(cause(ErrorCode::INVALID_RECORD).into());
            assert_eq!(report.outcome, outcome, "{name}, record {}", report.token);
        }
        assert_eq!(told.len(), 6, "{name}");
    }
}

#[test]
fn what_stood_in_a_records_way_is_told_with_its_outcome() {
    // Of two records, the one is too old after a while, the other is given up when the batch is.
    let code = ErrorCode::NOT_ENOUGH_REPLICAS;
    let config = Config { delivery_timeout: 5 * SECOND, ..config() };
    for polled in [true, false] {
        let lab = Lab::new(1, 1);
        let refuse = Fault::produce(Action::Reject(code)).times(u32::MAX);
        lab.with(|state| state.cluster.inject(refuse));
        let mut sent = false;
        let mut sensor =
            |now, topic, core: &mut Producer<'_>, log: &mut lab::both_apis::Readings| {
                if is_ready(core, topic) && !sent {
                    sent = true;
                    produce(core, log, now, topic, 0, 8, Some(SECOND)).unwrap();
                    produce(core, log, now, topic, 1, 8, None).unwrap();
                }
                sent && log.is_empty()
            };
        let (weather, policy) = (Weather::FAIR, DropPolicy::NewestFirst);
        let told = match polled {
            true => polled_over::<2>(&lab, &config, weather, policy, &mut sensor),
            false => run_async::<2>(&lab, &config, weather, policy, &mut sensor),
        };
        for (token, cause) in [(0, Cause::Deadline), (1, Cause::DeliveryTimeout)] {
            let told = told.iter().map(|(_, report)| report);
            let report = told.clone().find(|report| report.token == token);
            let report = report.unwrap_or_else(|| panic!("{token}: no report"));
            let why = report.outcome.why().unwrap_or_else(|| panic!("{report:?}"));
            let want = (cause, Some(LastError::Answer(code)));
            assert_eq!((why.cause, why.last_error), want, "polled: {polled}");
            let words = format!("{cause}; last error: NOT_ENOUGH_REPLICAS (19)");
            assert_eq!(why.to_string(), words);
        }
    }
}
