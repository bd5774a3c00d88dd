//! Wake-ups that storms seldom need, one by one: see `tests/driver/mutants`.

use core::{
    cell::{Cell, RefCell},
    fmt,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use std::{
    rc::Rc,
    sync::{Arc, mpsc},
    thread,
};

use ottla_client::{
    CloseReport, Delivery, Engine, Record, RecordOutcome, Report, SendError,
    internal::{Gap, set_in_gaps},
};
use ottla_core::{Config, Limits, Ticket, Verdict};
use ottla_driver::{Stage, Waiter};
use ottla_scenario::Weather;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

const MOMENT: Duration = Duration::from_micros(500);

/// Records leave at once.
fn hasty() -> Config<'static> {
    Config { linger: Duration::ZERO, ..Config::default() }
}

/// Records wait for others.
fn lingering() -> Config<'static> {
    Config { linger: Duration::from_secs(1), ..Config::default() }
}

fn is_delivered(outcome: Option<RecordOutcome>) -> bool {
    matches!(outcome, Some(RecordOutcome::Delivered { .. }))
}

/// At the first such place, and nowhere else.
fn once_in(gap: Gap, act: impl FnOnce() + 'static) {
    let act = Cell::new(Some(act));
    set_in_gaps(Some(Rc::new(move |here| {
        if here == gap
            && let Some(act) = act.take()
        {
            act();
        }
    })));
}

/// The first broker owes an answer, so that no record that is sent now is the next to be late.
fn wait_for_another(stage: &mut Stage) {
    stage.freeze(1);
    stage.send(0, 8);
    stage.flush();
    stage.pass(Duration::from_millis(2));
    assert!(stage.is_asleep());
}

/// Runs what would not end where it fails.
fn within(time: Duration, test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let test = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match ended.recv_timeout(time) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
        _ => test.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

#[test]
fn what_is_to_be_compressed_while_a_caller_compresses_is_compressed_as_well() {
    let mut stage = Stage::compressing(&hasty());
    // The first broker owes an answer, so that what follows there is compressed, and does not leave.
    stage.freeze(1);
    stage.send(0, 500);
    stage.pass(Duration::from_millis(2));
    assert!(stage.is_asleep());
    let (other, sent) = (stage.caller(), Rc::new(RefCell::new(None)));
    let to_be_sent = Rc::clone(&sent);
    once_in(Gap::Compressing, move || *to_be_sent.borrow_mut() = Some(other(1, 500)));
    let waits = stage.send(0, 500);
    let sent = sent.take().expect("sent while the other was compressed");
    assert!(sent.try_outcome().is_none());
    stage.pass(Duration::from_millis(50));
    assert!(is_delivered(sent.try_outcome()) && waits.try_outcome().is_none());
    set_in_gaps(None);
}

#[test]
fn a_batch_that_is_full_is_compressed_while_records_linger() {
    let config = Config { batch_size: 4_096, ..lingering() };
    let mut stage = Stage::compressing(&config);
    let records: Vec<_> = (0..12).map(|_| stage.send(0, 500)).collect();
    assert!(stage.is_woken());
    stage.pass(Duration::from_millis(50));
    let delivered = records.iter().filter(|sent| is_delivered(sent.try_outcome())).count();
    assert!(
        (7..12).contains(&delivered),
        "those of the first batch, and not of the second: {delivered}"
    );
}

#[test]
fn what_a_caller_leaves_of_a_large_request_the_driver_writes() {
    let config = Config { batch_size: 900_000, ..lingering() };
    let mut stage = Stage::new(&config, None, None);
    wait_for_another(&mut stage);
    let first = stage.send(1, 14_000);
    stage.pass(MOMENT);
    assert!(stage.is_asleep(), "it lingers");
    // More than a caller writes at a time, where a link takes some of it again and again.
    stage.set_weather(Weather { accepts: 65_536, ..Weather::FAIR });
    for _ in 0..64 {
        stage.send(1, 14_000);
    }
    stage.pass(MOMENT);
    assert!(is_delivered(first.try_outcome()), "the rest of the request is not written");
}

#[test]
fn a_record_that_comes_while_another_caller_writes_leaves_at_once() {
    let mut stage = Stage::new(&hasty(), None, None);
    wait_for_another(&mut stage);
    let (other, second) = (stage.caller(), Rc::new(Cell::new(None)));
    let told = Rc::clone(&second);
    once_in(Gap::Written, move || told.set(Some(other(3, 8))));
    let first = stage.send(1, 8);
    let second = second.take().expect("sent meanwhile");
    // There and back, for both.
    stage.pass(Duration::from_micros(250));
    assert!(is_delivered(first.try_outcome()));
    assert!(is_delivered(second.try_outcome()), "nobody has written it");
}

#[test]
fn who_finds_the_links_in_use_wakes_the_driver_and_goes_on() {
    within(Duration::from_secs(10), || {
        let mut stage = Stage::new(&hasty(), None, None);
        let (other, second) = (stage.caller(), Rc::new(Cell::new(None)));
        let told = Rc::clone(&second);
        once_in(Gap::Asleep, move || told.set(Some(other(1, 8))));
        stage.send(0, 8);
        stage.pass(MOMENT);
        let second = second.take().expect("sent meanwhile");
        stage.pass(MOMENT);
        assert!(is_delivered(second.try_outcome()));
    });
}

/// Callers send so fast that the driver naps.
fn lull(stage: &mut Stage) {
    for _ in 0..100 {
        for _ in 0..20 {
            stage.send(0, 8);
        }
        stage.pass(Duration::from_micros(50));
        if stage.naps() {
            return;
        }
    }
    panic!("it does not nap");
}

#[test]
fn a_link_that_takes_no_more_ends_a_nap() {
    let config = Config { batch_size: 1_024, ..lingering() };
    let mut stage = Stage::new(&config, None, None);
    lull(&mut stage);
    stage.set_weather(Weather { socket_buffer: 10, ..Weather::FAIR });
    let mut sent = 0;
    while stage.naps() {
        stage.send(0, 100);
        sent += 1;
        assert!(sent < 100, "the driver naps on, and no link takes what callers write");
    }
}

#[test]
fn who_waits_for_memory_has_it_a_millisecond_after_there_is_some() {
    // Four batches are all memory, so that nobody is held back before.
    let config = Config { batch_size: 16_384, buffer_memory: 64 * 1_024, ..hasty() };
    let limits = Limits { page_size: 1_024, pages: 64, ..Limits::for_config(&config) };
    let mut stage = Stage::new(&config, Some(limits), None);
    stage.freeze(1);
    // A little of it is to come back soon, and the rest is not.
    let soon = stage.send(1, 600);
    while stage.try_send(0, 600).is_ok() {}
    let (shards, topic) = (Rc::clone(stage.shards()), stage.topic().clone());
    let mut waiter = Waiter::new(async move {
        let record = Record { partition: Some(0), value: Some(&[0; 600]), ..Record::default() };
        shards.sending::<Delivery>(&topic, &record).await.is_ok()
    });
    assert_eq!(waiter.poll(), None, "there is no memory");
    stage.pass(MOMENT);
    assert!(is_delivered(soon.try_outcome()));
    stage.pass(Duration::from_millis(2));
    assert_eq!(waiter.poll(), Some(true), "there is memory, and nobody says so");
}

/// Full of records that wait for the first broker, though there is room for more; with somebody who is held back.
fn held_back() -> (Stage, Waiter<Result<Delivery, SendError>>) {
    let config = Config { batch_size: 4_096, buffer_memory: 256 * 1_024, ..hasty() };
    let stage = Stage::new(&config, Some(Limits::for_config(&config)), None);
    stage.freeze(1);
    for _ in 0..30 {
        stage.send(0, 3_900);
    }
    let mut waiter = patient(&stage, None);
    assert!(waiter.poll().is_none(), "it is not held back");
    (stage, waiter)
}

/// Somebody who can wait, sends.
fn patient(stage: &Stage, timeout: Option<Duration>) -> Waiter<Result<Delivery, SendError>> {
    let (shards, topic) = (Rc::clone(stage.shards()), stage.topic().clone());
    Waiter::new(async move {
        let record =
            Record { partition: Some(0), value: Some(&[0; 600]), timeout, ..Record::default() };
        shards.sending::<Delivery>(&topic, &record).await
    })
}

#[test]
fn who_is_held_back_is_let_go_though_no_batch_leaves() {
    let (mut stage, mut waiter) = held_back();
    stage.pass(Duration::from_millis(9));
    assert!(waiter.poll().is_none(), "the broker may have paused");
    stage.pass(Duration::from_millis(2));
    assert!(waiter.poll().is_some_and(|taken| taken.is_ok()), "there is room");
    assert!(patient(&stage, None).poll().is_some_and(|taken| taken.is_ok()), "it is slow");
}

#[test]
fn who_is_held_back_goes_on_once_batches_have_left() {
    let (mut stage, mut waiter) = held_back();
    stage.thaw(1);
    stage.pass(Duration::from_millis(5));
    assert!(waiter.poll().is_some_and(|taken| taken.is_ok()), "they have left");
}

#[test]
fn nobody_is_held_back_who_cannot_wait() {
    let (stage, _waiter) = held_back();
    stage.send(0, 600);
    let mut hurried = patient(&stage, Some(Duration::from_millis(5)));
    assert!(hurried.poll().is_some_and(|taken| taken.is_ok()), "it has a deadline");
}

#[test]
fn nobody_is_held_back_who_is_refused() {
    let (mut stage, mut waiter) = held_back();
    let mut closing = Waiter::new(stage.shards().close(Duration::from_secs(1)));
    assert!(closing.poll().is_none() && stage.turn());
    let refused = |taken: Option<Result<_, _>>| matches!(taken, Some(Err(SendError::Refused(_))));
    assert!(refused(waiter.poll()), "it is held back for nothing");
    assert!(refused(patient(&stage, None).poll()), "it is held back for nothing");
}

#[test]
fn who_begins_to_wait_as_the_driver_goes_to_nap_wakes_it() {
    let config = Config { batch_size: 1_024, ..lingering() };
    let asleep = Rc::new(Cell::new(0));
    // The same twice, but that somebody waits where it was found that the driver naps.
    let mut nap = None;
    for _ in 0..2 {
        let waiter = Rc::new(RefCell::new(None::<Waiter<RecordOutcome>>));
        let (waits, count) = (Rc::clone(&waiter), Rc::clone(&asleep));
        asleep.set(0);
        set_in_gaps(Some(Rc::new(move |gap| {
            count.update(|times| times + u32::from(gap == Gap::Asleep));
            if let Some(waiter) = &mut *waits.borrow_mut()
                && nap == Some(count.get())
            {
                assert!(waiter.poll().is_none());
            }
        })));
        let mut stage = Stage::new(&config, None, None);
        *waiter.borrow_mut() = Some(Waiter::new(IntoFuture::into_future(stage.send(1, 8))));
        let naps = nap.is_none();
        for _ in 0..100 {
            for _ in 0..20 {
                stage.send(0, 8);
            }
            stage.pass(Duration::from_micros(50));
            if stage.naps() {
                break;
            }
        }
        assert_eq!(stage.naps(), naps, "the driver naps, and somebody waits");
        nap = Some(asleep.get());
        set_in_gaps(None);
    }
}

#[test]
fn who_finds_a_deadline_over_while_the_driver_does_not_run_tells_the_others() {
    let stage = Stage::new(&hasty(), None, None);
    stage.freeze(1);
    let timeout = Some(Duration::from_millis(5));
    let record = Record { partition: Some(0), timeout, ..Record::default() };
    let sent: Delivery = stage.shards().try_send(stage.topic(), &record).expect("taken");
    let mut waiter = Waiter::new(IntoFuture::into_future(sent.reattach()));
    assert!(waiter.poll().is_none());
    stage.stall(Duration::from_millis(6));
    assert!(sent.try_outcome().is_some());
    assert!(waiter.poll().is_some(), "one has its answer, and another of the same record has not");
}

/// A driver that has the core in a state of which it cannot tell.
fn with_a_bad_end(stage: &mut Stage) {
    once_in(Gap::Ending, || std::panic::resume_unwind(Box::new("doom")));
    stage.drop_driver();
    set_in_gaps(None);
}

#[test]
fn a_record_has_an_answer_though_the_core_fails_at_its_drivers_end() {
    let mut stage = Stage::new(&hasty(), None, None);
    stage.freeze(1);
    let mut waiter = Waiter::new(IntoFuture::into_future(stage.send(0, 8)));
    assert!(waiter.poll().is_none());
    with_a_bad_end(&mut stage);
    let told = waiter.poll();
    assert!(matches!(told, Some(RecordOutcome::Unknown(_))), "{told:?}");
    assert!(stage.try_send(0, 8).is_err(), "nobody would tell what becomes of it");
}

#[test]
fn a_record_has_a_last_word_though_the_core_fails_at_its_drivers_end() {
    let mut stage = Stage::new(&hasty(), None, None);
    stage.freeze(1);
    let mut waiter = Waiter::new(stage.send(0, 8).final_outcome());
    assert!(waiter.poll().is_none());
    with_a_bad_end(&mut stage);
    let told = waiter.poll();
    assert!(matches!(told, Some(RecordOutcome::Unknown(_))), "{told:?}");
}

#[test]
fn a_flush_ends_though_the_core_fails_at_its_drivers_end() {
    let mut stage = Stage::new(&hasty(), None, None);
    stage.freeze(1);
    stage.send(0, 8);
    let mut flush = Waiter::new(stage.shards().flush());
    assert!(flush.poll().is_none());
    with_a_bad_end(&mut stage);
    assert_eq!(flush.poll().map(|tally| tally.unknown), Some(1));
}

#[test]
fn a_close_ends_though_the_core_fails_at_its_drivers_end() {
    let mut stage = Stage::new(&hasty(), None, None);
    stage.freeze(1);
    stage.send(0, 8);
    let mut close = Waiter::new(stage.shards().close(Duration::from_secs(5)));
    assert!(close.poll().is_none());
    with_a_bad_end(&mut stage);
    assert_eq!(close.poll().map(|report| report.records.unknown), Some(1));
}

#[test]
fn a_close_is_over_before_its_driver_is_dropped() {
    let mut stage = Stage::new(&hasty(), None, None);
    stage.send(0, 8);
    let mut close = Waiter::new(stage.shards().close(Duration::from_secs(5)));
    assert!(close.poll().is_none());
    stage.pass(Duration::from_millis(2));
    assert!(stage.is_over());
    assert!(close.poll().is_some_and(|report| report.complete), "who ran the driver has it still");
}

thread_local! {
    /// Who comes between two reports.
    static BETWEEN: RefCell<Option<Waiter<CloseReport>>> = const { RefCell::new(None) };
}

#[test]
fn who_asks_between_two_reports_is_told_of_the_end_before_the_driver_is_dropped() {
    let asks = |_: &Report| {
        BETWEEN.with_borrow_mut(|close| {
            if let Some(close) = close {
                assert!(close.poll().is_none(), "the last report is not told yet");
            }
        });
    };
    let mut stage = Stage::new(&hasty(), None, Some(Arc::new(asks)));
    let record = Record { partition: Some(0), token: Some(7), ..Record::default() };
    let _sent: Ticket = stage.shards().try_send(stage.topic(), &record).expect("taken");
    let close = stage.shards().close(Duration::from_secs(5));
    BETWEEN.set(Some(Waiter::new(close)));
    stage.pass(Duration::from_millis(2));
    assert!(stage.is_over());
    let mut close = BETWEEN.take().expect("it came between");
    assert!(close.poll().is_some_and(|report| report.complete), "who ran the driver has it still");
}

/// Counts what is told of records that are given up.
struct Listener(Arc<AtomicU32>);

impl Visit for Listener {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" && format!("{value:?}").contains("given up") {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Self(Arc::clone(&self.0)));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn what_is_cancelled_after_the_end_is_told_to_who_listens() {
    let told = Arc::new(AtomicU32::new(0));
    let _listens = tracing::subscriber::set_default(Listener(Arc::clone(&told)));
    let mut stage = Stage::new(&hasty(), None, None);
    let sent = stage.send(0, 8);
    let mut close = Waiter::new(stage.shards().close(Duration::from_secs(5)));
    stage.pass(Duration::from_millis(2));
    assert!(close.poll().is_some());
    stage.drop_driver();
    assert_eq!((sent.cancel(), told.load(Ordering::Relaxed)), (Verdict::AlreadySettled, 1));
}

/// The producer's engine.
fn engine(stage: &Stage) -> Arc<Engine> {
    Arc::clone(&stage.shards().engines()[0])
}

#[test]
fn a_driver_looks_after_lanes_each_millisecond() {
    let mut stage = Stage::new(&lingering(), None, None);
    let engine = engine(&stage);
    stage.send(0, 8);
    stage.settle();
    assert!(stage.is_asleep());
    engine.crowd();
    // It joins a batch, and so sets no timer.
    stage.send(0, 8);
    assert!(stage.is_woken(), "it slept until the batch has lingered");
    assert_eq!(engine.open_lanes(), 0, "nobody would look after it yet");
    stage.settle();
    stage.send(0, 8);
    stage.send(0, 8);
    assert!(stage.is_asleep(), "it wakes by itself soon");
    assert_eq!((engine.open_lanes(), engine.by_lanes()), (1, 0));
    stage.pass(Duration::from_millis(1));
    assert_eq!((engine.open_lanes(), engine.by_lanes()), (0, 1));
}

#[test]
fn what_was_brought_in_wakes_the_driver_where_it_is_due() {
    let config = Config { batch_size: 512, ..lingering() };
    let mut stage = Stage::new(&config, None, None);
    let engine = engine(&stage);
    engine.crowd();
    stage.send(0, 8);
    stage.pass(Duration::from_millis(50));
    let value = [b'.'; 200];
    let record = Record { value: Some(&value), ..Record::default() };
    let send = || stage.shards().try_send::<Delivery>(stage.topic(), &record).unwrap();
    let sent: Vec<_> = (0..5).map(|_| send()).collect();
    assert!(
        stage.is_asleep() && engine.open_lanes() == 1,
        "two batches are full, and the core knows of none"
    );
    assert_eq!(stage.shards().stats().queue_depth, 6);
    assert!(stage.is_woken());
    assert_eq!(engine.open_lanes(), 0);
    stage.pass(Duration::from_micros(900));
    assert!(sent.iter().take(4).all(|sent| is_delivered(sent.try_outcome())));
}

#[test]
fn memory_that_is_set_aside_is_had_by_who_would_be_refused() {
    let config = Config { batch_size: 512, buffer_memory: 4_096, ..lingering() };
    let limits = Limits { pages: 4, page_size: 1_024, ..Limits::for_config(&config) };
    let mut stage = Stage::new(&config, Some(limits), None);
    let engine = engine(&stage);
    engine.crowd();
    stage.send(0, 8);
    stage.flush();
    stage.pass(Duration::from_millis(50));
    let record = Record { value: Some(b"to any partition"), ..Record::default() };
    let any = || stage.shards().try_send::<Delivery>(stage.topic(), &record).unwrap();
    let first = any();
    assert_eq!((engine.open_lanes(), engine.held().pages), (1, 4), "all of it");
    let others = [0, 1, 2, 3].map(|partition| stage.try_send(partition, 8));
    assert!(others.iter().filter(|sent| sent.is_ok()).count() >= 3, "{others:?}");
    stage.flush();
    stage.pass(Duration::from_millis(50));
    assert!(is_delivered(first.try_outcome()));
}
