//! Callers and a driver in any order of their steps: no wake-up is lost, no record is left without an answer, nothing
//! is written twice, and nobody spins for ever. `.ci/run interleavings` runs it, and each wake-up taken out.
//!
//! Shuttle knows one order of all steps for all threads, and no weaker memory.
#![cfg(shuttle)]

use std::{
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use ottla_client::{RecordOutcome, SendError};
use ottla_core::{Config, Limits, ProduceError, Verdict};
use ottla_driver::{OnTasks, OnThreads, Scene, SetUp, Way, hasty, lingering};
use shuttle::{
    Config as Settings, MaxSteps, Runner,
    scheduler::{PctScheduler, RandomScheduler},
    sync::mpsc,
};

/// How many executions of each scenario, by chance and with few changes of who runs.
fn executions() -> usize {
    let number = env::var("OTTLA_INTERLEAVINGS").ok();
    number.map_or(500, |number| number.parse().expect("a number"))
}

fn check(scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    let mut settings = Settings::new();
    settings.stack_size = 1 << 18;
    settings.max_steps = MaxSteps::FailAfter(100_000);
    settings.silence_warnings = true;
    let again = Arc::clone(&scenario);
    let random = RandomScheduler::new(executions());
    Runner::new(random, settings.clone()).run(move || again());
    for changes in [2, 4] {
        let again = Arc::clone(&scenario);
        let few = PctScheduler::new(changes, executions());
        Runner::new(few, settings.clone()).run(move || again());
    }
}

/// The same where callers are taken for a crowd: the scenario returns how many records came by lanes, and in some
/// executions there are such.
fn check_crowd(scenario: impl Fn() -> u64 + Send + Sync + 'static) {
    let by_lanes = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&by_lanes);
    check(move || {
        sum.fetch_add(scenario(), Ordering::Relaxed);
    });
    assert!(by_lanes.load(Ordering::Relaxed) > 0, "no record came by a lane");
}

/// The same for both adapters.
macro_rules! scenarios {
    ($check:ident on $threads:ident and $tasks:ident: $($name:ident)*) => {
        mod $threads {
            $(#[test]
            fn $name() {
                super::$check(super::$name::<super::OnThreads>);
            })*
        }

        mod $tasks {
            $(#[test]
            fn $name() {
                super::$check(super::$name::<super::OnTasks>);
            })*
        }
    };
}

scenarios! {
    check on threads and tasks:
    single_records_are_answered
    what_is_flushed_is_answered
    a_topic_is_waited_for
    memory_is_waited_for
    who_is_held_back_goes_on
    memory_is_waited_for_in_the_middle_of_a_call
    a_close_ends_a_call_that_waits_for_memory_and_what_was_taken_is_answered
    who_closes_is_told_and_who_sends_then
    a_cancelled_record_is_what_the_verdict_says
    two_wait_for_the_same_record
    who_waits_is_told_that_another_cancels
    records_go_on_without_a_handle
    reports_are_told_once_before_a_flush_ends
    compressed_records_are_answered
    compressed_records_are_answered_where_they_linger
}

scenarios! {
    check_crowd on threads_in_a_crowd and tasks_in_a_crowd:
    what_lies_in_lanes_is_flushed
    batches_that_lanes_fill_leave
    who_looks_has_what_lies_in_lanes_leave
    what_lies_in_a_lane_is_cancelled
    who_closes_finds_what_lies_in_lanes
    a_partition_has_the_order_in_which_threads_sent
    memory_that_is_set_aside_is_given_to_who_waits
    what_came_by_lanes_is_reported_before_a_flush_ends
    what_came_by_lanes_is_compressed
}

fn single_records_are_answered<W: Way>() {
    let scene = Scene::<W>::new(&hasty(), SetUp::default());
    scene.together(2, |caller, number| {
        for _ in 0..2 {
            assert!(W::wait(&caller.send(number, 10).unwrap()).is_delivered());
        }
    });
    assert_eq!(scene.close(), 4);
}

fn what_is_flushed_is_answered<W: Way>() {
    let scene = Scene::<W>::warm(&lingering(), SetUp::default());
    scene.together(2, |caller, number| {
        let sent: Vec<_> = (0..2).map(|_| caller.send(number, 10).unwrap()).collect();
        caller.producer().flush();
        assert!(sent.iter().all(|sent| W::try_outcome(sent).unwrap().is_delivered()));
    });
    assert_eq!(scene.close(), 5);
}

fn a_topic_is_waited_for<W: Way>() {
    let scene = Scene::<W>::new(&lingering(), SetUp::default());
    scene.together(2, |caller, number| {
        let sent = caller.send(number, 10).unwrap();
        caller.producer().flush();
        assert!(W::try_outcome(&sent).unwrap().is_delivered());
    });
    assert_eq!(scene.close(), 2);
}

/// A record fills a page, of which there are two.
fn small() -> SetUp {
    let config = Config { batch_size: 512, buffer_memory: 4_096, ..Config::default() };
    let limits = Limits { pages: 2, page_size: 1_024, ..Limits::for_config(&config) };
    SetUp { limits: Some(limits), ..SetUp::default() }
}

fn memory_is_waited_for<W: Way>() {
    let config = Config { batch_size: 512, buffer_memory: 4_096, ..hasty() };
    let scene = Scene::<W>::new(&config, small());
    scene.together(2, |caller, number| {
        let sent: Vec<_> = (0..3).map(|_| caller.send(number, 800).unwrap()).collect();
        assert!(sent.iter().all(|sent| W::wait(sent).is_delivered()));
    });
    assert_eq!(scene.close(), 6);
}

/// A record fills a batch, and four of them that are due are many.
fn who_is_held_back_goes_on<W: Way>() {
    let config = Config { batch_size: 512, buffer_memory: 8_192, ..hasty() };
    let limits = Limits { pages: 32, page_size: 1_024, ..Limits::for_config(&config) };
    let set_up = SetUp { limits: Some(limits), ..SetUp::default() };
    let scene = Scene::<W>::warm(&config, set_up);
    scene.together(2, |caller, number| {
        let sent = if number == 0 {
            (0..8).map(|_| caller.send(0, 480).unwrap()).collect()
        } else {
            let (sent, refused) = caller.send_all(0, 8, 480);
            assert_eq!(refused, None);
            sent
        };
        assert!(sent.iter().all(|sent| W::wait(sent).is_delivered()));
    });
    assert_eq!(scene.close(), 17);
}

fn memory_is_waited_for_in_the_middle_of_a_call<W: Way>() {
    let config = Config { batch_size: 512, buffer_memory: 4_096, ..hasty() };
    let scene = Scene::<W>::new(&config, small());
    scene.together(3, |caller, number| {
        // One of them with single records, which others may not keep from memory.
        if number == 2 {
            return assert!(W::wait(&caller.send(0, 800).unwrap()).is_delivered());
        }
        let (sent, refused) = caller.send_all(number, 3, 800);
        assert_eq!(refused, None);
        assert!(sent.iter().all(|sent| W::wait(sent).is_delivered()));
    });
    assert_eq!(scene.close(), 7);
}

fn a_close_ends_a_call_that_waits_for_memory_and_what_was_taken_is_answered<W: Way>() {
    let config = Config { batch_size: 512, buffer_memory: 4_096, ..hasty() };
    let scene = Scene::<W>::warm(&config, small());
    let delivered = scene.together(2, |caller, number| {
        if number == 1 {
            assert!(caller.producer().close().complete);
            return 0;
        }
        let (taken, refused) = caller.send_all(number, 4, 800);
        assert!(refused.is_none_or(|why| why == SendError::Refused(ProduceError::Closing)));
        taken.iter().filter(|sent| W::wait(sent).is_delivered()).count()
    });
    assert_eq!(scene.end(), 1 + delivered.iter().sum::<usize>());
}

fn who_closes_is_told_and_who_sends_then<W: Way>() {
    let scene = Scene::<W>::warm(&lingering(), SetUp::default());
    let delivered = scene.together(3, |caller, number| {
        if number == 2 {
            assert!(caller.producer().close().complete);
            return 0;
        }
        let mut delivered = 0;
        for _ in 0..2 {
            match caller.send(number, 10) {
                Ok(sent) => delivered += usize::from(W::wait(&sent).is_delivered()),
                Err(SendError::Refused(ProduceError::Closing)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        delivered
    });
    assert_eq!(scene.end(), 1 + delivered.iter().sum::<usize>());
}

fn a_cancelled_record_is_what_the_verdict_says<W: Way>() {
    let scene = Scene::<W>::warm(&hasty(), SetUp::default());
    let withdrawn = scene.together(2, |caller, number| {
        let (kept, given_up) = (caller.send(number, 10).unwrap(), caller.send(number, 20).unwrap());
        let verdict = W::cancel(&given_up);
        assert!(W::wait(&kept).is_delivered());
        let outcome = W::wait(&given_up);
        let withdrawn = matches!(outcome, RecordOutcome::NotDelivered(_));
        assert_eq!(withdrawn, verdict == Verdict::NotDelivered, "{outcome:?}");
        usize::from(withdrawn)
    });
    assert_eq!(scene.close(), 5 - withdrawn.iter().sum::<usize>());
}

fn two_wait_for_the_same_record<W: Way>() {
    let scene = Scene::<W>::warm(&hasty(), SetUp::default());
    let sent = Arc::new(Mutex::new(None));
    *sent.lock().unwrap() = Some(scene.caller().send(0, 10).unwrap());
    scene.together(2, move |_, _| {
        let same = sent.lock().unwrap().clone().unwrap();
        assert!(W::wait(&same).is_delivered());
    });
    assert_eq!(scene.close(), 2);
}

fn who_waits_is_told_that_another_cancels<W: Way>() {
    let scene = Scene::<W>::warm(&lingering(), SetUp::default());
    let sent = Arc::new(Mutex::new(scene.caller().send(0, 10).unwrap()));
    scene.together(2, move |_, number| {
        let same = sent.lock().unwrap().clone();
        if number == 0 {
            assert!(matches!(W::wait(&same), RecordOutcome::NotDelivered(_)));
        } else {
            assert_eq!(W::cancel(&same), Verdict::NotDelivered);
        }
    });
    assert_eq!(scene.close(), 1);
}

fn records_go_on_without_a_handle<W: Way>() {
    let scene = Scene::<W>::warm(&lingering(), SetUp::default());
    let sent = scene.together(2, |caller, number| caller.send(number, 10).unwrap());
    let records = scene.end_after(move || {
        assert!(sent.iter().all(|sent| W::wait(sent).is_delivered()));
    });
    assert_eq!(records, 3);
}

fn reports_are_told_once_before_a_flush_ends<W: Way>() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = Arc::clone(&told);
    let on_report = move |report: &ottla_client::Report| {
        assert!(report.outcome.is_delivered());
        tells.lock().unwrap().push(report.token);
    };
    let set_up = SetUp { on_report: Some(Arc::new(on_report)), ..SetUp::default() };
    let scene = Scene::<W>::warm(&lingering(), set_up);
    let heard = Arc::clone(&told);
    scene.together(2, move |caller, number| {
        let tokens = [number as u64, 10 + number as u64];
        for token in tokens {
            drop(caller.send_reported(number, token).unwrap());
        }
        caller.producer().flush();
        let heard = heard.lock().unwrap();
        assert!(tokens.iter().all(|token| heard.contains(token)), "{heard:?}");
    });
    assert_eq!(scene.close(), 5);
    let mut told = told.lock().unwrap().clone();
    told.sort_unstable();
    assert_eq!(told, [0, 1, 10, 11]);
}

fn compressed_records_are_answered<W: Way>() {
    let scene = Scene::<W>::new(&hasty(), SetUp { compresses: true, ..SetUp::default() });
    scene.together(2, |caller, number| {
        for _ in 0..2 {
            assert!(W::wait(&caller.send(number, 500).unwrap()).is_delivered());
        }
    });
    assert_eq!(scene.close(), 4);
}

fn compressed_records_are_answered_where_they_linger<W: Way>() {
    let config = Config { batch_size: 1_024, ..lingering() };
    let scene = Scene::<W>::warm(&config, SetUp { compresses: true, ..SetUp::default() });
    scene.together(2, |caller, number| {
        let sent: Vec<_> = (0..3).map(|_| caller.send(number, 500).unwrap()).collect();
        caller.producer().flush();
        assert!(sent.iter().all(|sent| W::try_outcome(sent).unwrap().is_delivered()));
    });
    assert_eq!(scene.close(), 7);
}

/// Who sends is taken for a crowd.
fn crowd() -> SetUp {
    SetUp { is_crowded: true, ..SetUp::default() }
}

/// Batches take two records of 200 bytes.
fn small_batches() -> Config<'static> {
    Config { batch_size: 512, ..lingering() }
}

fn what_lies_in_lanes_is_flushed<W: Way>() -> u64 {
    let scene = Scene::<W>::warm(&lingering(), crowd());
    scene.together(3, |caller, number| {
        let mark = b'a' + number as u8;
        // Two of them send to one partition, and one to any.
        let partition = (number > 0).then_some(0);
        let sent: Vec<_> =
            (0..3).map(|_| caller.send_marked(partition, mark, 10).unwrap()).collect();
        caller.producer().flush();
        assert!(sent.iter().all(|sent| W::try_outcome(sent).unwrap().is_delivered()));
    });
    let by_lanes = scene.by_lanes();
    assert_eq!(scene.close(), 10);
    by_lanes
}

fn batches_that_lanes_fill_leave<W: Way>() -> u64 {
    let scene = Scene::<W>::warm(&small_batches(), crowd());
    scene.together(2, |caller, _| {
        // A lane has four batches, after which the core has to do with it.
        let sent: Vec<_> = (0..9).map(|_| caller.send_marked(None, b'a', 200).unwrap()).collect();
        assert!(W::wait(&sent[0]).is_delivered());
        sent
    });
    let by_lanes = scene.by_lanes();
    assert_eq!(scene.close(), 19);
    by_lanes
}

fn who_looks_has_what_lies_in_lanes_leave<W: Way>() -> u64 {
    let scene = Scene::<W>::warm(&small_batches(), crowd());
    scene.together(2, |caller, _| {
        let sent: Vec<_> = (0..5).map(|_| caller.send_marked(None, b'a', 200).unwrap()).collect();
        assert!(caller.producer().queue_depth() >= 1, "the last one lingers");
        assert!(W::wait(&sent[0]).is_delivered());
        sent
    });
    let by_lanes = scene.by_lanes();
    assert_eq!(scene.close(), 11);
    by_lanes
}

fn what_lies_in_a_lane_is_cancelled<W: Way>() -> u64 {
    let scene = Scene::<W>::warm(&lingering(), crowd());
    let withdrawn = scene.together(2, |caller, number| {
        let mark = b'a' + number as u8;
        let send = || caller.send_marked(Some(0), mark, 10).unwrap();
        let (kept, given_up, last) = (send(), send(), send());
        let verdict = W::cancel(&given_up);
        caller.producer().flush();
        let [kept, given_up, last] =
            [kept, given_up, last].map(|sent| W::try_outcome(&sent).unwrap());
        assert!(kept.is_delivered() && last.is_delivered());
        let withdrawn = matches!(given_up, RecordOutcome::NotDelivered(_));
        assert_eq!(withdrawn, verdict == Verdict::NotDelivered, "{given_up:?}");
        usize::from(withdrawn)
    });
    let by_lanes = scene.by_lanes();
    assert_eq!(scene.close(), 7 - withdrawn.iter().sum::<usize>());
    by_lanes
}

fn who_closes_finds_what_lies_in_lanes<W: Way>() -> u64 {
    let scene = Scene::<W>::warm(&lingering(), crowd());
    let delivered = scene.together(3, |caller, number| {
        if number == 2 {
            assert!(caller.producer().close().complete);
            return 0;
        }
        let partition = (number > 0).then_some(0);
        let sent: Vec<_> = (0..3).map(|_| caller.send_marked(partition, b'a', 10)).collect();
        let taken = sent.iter().filter_map(|sent| sent.as_ref().ok());
        taken.filter(|sent| W::wait(sent).is_delivered()).count()
    });
    let by_lanes = scene.by_lanes();
    assert_eq!(scene.end(), 1 + delivered.iter().sum::<usize>());
    by_lanes
}

fn a_partition_has_the_order_in_which_threads_sent<W: Way>() -> u64 {
    let scene = Scene::<W>::warm(&lingering(), crowd());
    let (tell, told) = mpsc::channel();
    let told = Arc::new(shuttle::sync::Mutex::new(told));
    scene.together(2, move |caller, number| {
        let send = |mark| drop(caller.send_marked(Some(0), mark, 10).unwrap());
        if number == 0 {
            send(b'a');
            send(b'b');
            send(b'c');
            tell.send(()).unwrap();
        } else {
            // So that it may have found the lane open before.
            send(b'x');
            told.lock().unwrap().recv().unwrap();
            send(b'd');
            send(b'e');
        }
    });
    let by_lanes = scene.by_lanes();
    let mut log = scene.close_and_read().swap_remove(0);
    log.retain(|mark| (b'a'..=b'e').contains(mark));
    assert_eq!(log, b"abcde");
    by_lanes
}

fn memory_that_is_set_aside_is_given_to_who_waits<W: Way>() -> u64 {
    let limits = Limits { pages: 4, ..small().limits.unwrap() };
    let config = Config { buffer_memory: 4_096, ..small_batches() };
    let scene = Scene::<W>::warm(&config, SetUp { limits: Some(limits), ..crowd() });
    scene.together(2, |caller, _| {
        // More than there is memory for, so that somebody waits while the other one has some set aside.
        let sent: Vec<_> = (0..6).map(|_| caller.send_marked(None, b'a', 400).unwrap()).collect();
        caller.producer().flush();
        assert!(sent.iter().all(|sent| W::try_outcome(sent).unwrap().is_delivered()));
    });
    let by_lanes = scene.by_lanes();
    assert_eq!(scene.close(), 13);
    by_lanes
}

fn what_came_by_lanes_is_reported_before_a_flush_ends<W: Way>() -> u64 {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = Arc::clone(&told);
    let on_report = move |report: &ottla_client::Report| {
        assert!(report.outcome.is_delivered());
        tells.lock().unwrap().push(report.token);
    };
    let set_up = SetUp { on_report: Some(Arc::new(on_report)), ..crowd() };
    let scene = Scene::<W>::warm(&lingering(), set_up);
    let heard = Arc::clone(&told);
    scene.together(2, move |caller, number| {
        let tokens = [0, 10, 20].map(|token| token + number as u64);
        for token in tokens {
            drop(caller.send_reported(0, token).unwrap());
        }
        caller.producer().flush();
        let heard = heard.lock().unwrap();
        assert!(tokens.iter().all(|token| heard.contains(token)), "{heard:?}");
    });
    let by_lanes = scene.by_lanes();
    assert_eq!(scene.close(), 7);
    let mut told = told.lock().unwrap().clone();
    told.sort_unstable();
    assert_eq!(told, [0, 1, 10, 11, 20, 21]);
    by_lanes
}

fn what_came_by_lanes_is_compressed<W: Way>() -> u64 {
    let config = Config { batch_size: 1_024, ..lingering() };
    let scene = Scene::<W>::warm(&config, SetUp { compresses: true, ..crowd() });
    scene.together(2, |caller, _| {
        let sent: Vec<_> = (0..4).map(|_| caller.send_marked(None, b'a', 400).unwrap()).collect();
        caller.producer().flush();
        assert!(sent.iter().all(|sent| W::try_outcome(sent).unwrap().is_delivered()));
    });
    let by_lanes = scene.by_lanes();
    assert_eq!(scene.close(), 9);
    by_lanes
}
