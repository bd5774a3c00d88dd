//! Callers and a driver in any order of their steps: no wake-up is lost, no record is left without an answer, nothing
//! is written twice, and nobody spins for ever. `.ci/run interleavings` runs it, and each wake-up taken out.
//!
//! Shuttle knows one order of all steps for all threads, and no weaker memory.
#![cfg(shuttle)]

use std::{
    env,
    sync::{Arc, Mutex},
};

use ottla_client::{RecordOutcome, SendError};
use ottla_core::{Config, Limits, ProduceError, Verdict};
use ottla_driver::{OnTasks, OnThreads, Scene, SetUp, Way, hasty, lingering};
use shuttle::{
    Config as Settings, MaxSteps, Runner,
    scheduler::{PctScheduler, RandomScheduler},
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

/// The same for both adapters.
macro_rules! scenarios {
    ($($name:ident)*) => {
        mod threads {
            $(#[test]
            fn $name() {
                super::check(super::$name::<super::OnThreads>);
            })*
        }

        mod tasks {
            $(#[test]
            fn $name() {
                super::check(super::$name::<super::OnTasks>);
            })*
        }
    };
}

scenarios! {
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
