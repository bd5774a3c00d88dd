//! What records and cancels take from the heap. Alone in its process, whose allocations it counts.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{alloc::System, collections::VecDeque};

use ottla_adapter_tests::{Adapter, Delivery, Producer, Record, Topic, Verdict, on_each, serve};
use ottla_model::{Action, ClusterConfig, Fault, Storage, serve::Server};

// On the thread of the test alone, where tokio's driver is counted as well.
on_each!(
    [TokioAlone, Threads]:
    a_record_costs_a_hundredth_of_an_allocation_at_most,
    a_record_among_many_of_one_call_costs_no_more,
);
on_each!(a_cancel_allocates_nothing_however_much_is_queued);

thread_local! {
    /// Where this thread's allocations are counted: tests run side by side.
    static COUNTER: Cell<Option<&'static AtomicU64>> = const { Cell::new(None) };
}

struct Counting;

// SAFETY: all is done by `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Ok(Some(counter)) = COUNTER.try_with(Cell::get) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const RECORDS: u32 = 200_000;

fn counter() -> &'static AtomicU64 {
    Box::leak(Box::default())
}

async fn send_each(producer: &Producer, topic: &Topic) {
    let value = [b'x'; 100];
    let record = Record { value: Some(&value), ..Record::default() };
    let mut window = VecDeque::<Delivery>::with_capacity(8_192);
    for _ in 0..RECORDS {
        if window.len() == 8_000 {
            assert!(window.pop_front().unwrap().outcome().await.is_delivered());
        }
        window.push_back(producer.send(topic, &record).await.unwrap());
    }
    for delivery in window {
        assert!(delivery.outcome().await.is_delivered());
    }
}

async fn send_together(producer: &Producer, topic: &Topic) {
    const CALL: u32 = 2_000;
    let value = [b'x'; 100];
    let mut window = VecDeque::<Delivery>::with_capacity(8_192);
    let mut deliveries = Vec::with_capacity(CALL as usize);
    for _ in 0..RECORDS / CALL {
        let records = (0..CALL).map(|_| Record { value: Some(&value), ..Record::default() });
        let taken = producer.send_all(topic, records, &mut deliveries).await;
        assert_eq!(taken, Ok(CALL as usize));
        window.extend(deliveries.drain(..));
        while window.len() > 6_000 {
            assert!(window.pop_front().unwrap().outcome().await.is_delivered());
        }
    }
    for delivery in window {
        assert!(delivery.outcome().await.is_delivered());
    }
}

async fn a_record_costs_a_hundredth_of_an_allocation_at_most(on: Adapter) {
    count(on, send_each).await;
}

async fn a_record_among_many_of_one_call_costs_no_more(on: Adapter) {
    count(on, send_together).await;
}

async fn count(on: Adapter, send: impl AsyncFn(&Producer, &Topic)) {
    let config = ClusterConfig { storage: Storage::Nothing, ..ClusterConfig::default() };
    let server = Server::start(&["127.0.0.1:0".parse().unwrap()], config).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 6)).unwrap();
    let counter = counter();
    let builder = Producer::builder(on).property("bootstrap.servers", &server.bootstrap_servers());
    // Reports are told by the driver's thread, which so is counted, too.
    let producer = builder.on_report(|_| COUNTER.set(Some(counter))).build().unwrap();
    let topic = producer.topic("t").unwrap();
    COUNTER.set(Some(counter));
    let told = Record { token: Some(0), ..Record::default() };
    producer.send_detached(&topic, &told).await.unwrap();
    producer.flush().await;
    // Pools and vectors grow to their size once.
    send(&producer, &topic).await;
    let before = counter.load(Ordering::Relaxed);
    assert!(before > 0, "nothing is counted");
    send(&producer, &topic).await;
    let each = (counter.load(Ordering::Relaxed) - before) as f64 / f64::from(RECORDS);
    println!("{each} allocations a record");
    assert!(each < 0.01, "{each} allocations a record");
    producer.close(Duration::from_secs(5)).await;
}

/// The verdict of a cancel, and its allocations.
fn cancel(delivery: &Delivery, counter: &'static AtomicU64) -> (Verdict, u64) {
    COUNTER.set(Some(counter));
    let verdict = delivery.cancel();
    COUNTER.set(None);
    (verdict, counter.swap(0, Ordering::Relaxed))
}

/// What the core did so far: records given up, requests, retries, new epochs.
fn work(producer: &Producer) -> [u64; 4] {
    let core = producer.stats().core;
    [core.not_delivered, core.requests, core.retries, core.epoch_bumps]
}

/// With one record in flight to a frozen broker and `queued` behind it, cancels some, and then all.
async fn costs(on: Adapter, queued: usize) {
    let server = serve(1, &[("t", 1)]);
    let servers = server.bootstrap_servers();
    let properties = [("bootstrap.servers", servers.as_str()), ("max.in.flight", "1")];
    let producer = Producer::builder(on).properties(properties).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let record = Record { value: Some(b"value"), ..Record::default() };
    assert!(producer.send(&topic, &record).await.unwrap().outcome().await.is_delivered());
    server.with_cluster(|cluster| cluster.inject(Fault::produce(Action::Freeze)));
    let first = producer.send(&topic, &record).await.unwrap();
    while !server.with_cluster(|cluster| cluster.is_frozen(1)) {
        on.sleep(Duration::from_millis(1)).await;
    }
    let mut deliveries = Vec::with_capacity(queued);
    for _ in 0..queued {
        deliveries.push(producer.send(&topic, &record).await.unwrap());
    }
    let [given_up, rest @ ..] = work(&producer);
    let counter = counter();
    // The oldest, the newest, and one in the middle; then all, in no order.
    let some = [0, queued - 1, queued / 2];
    let all = (0..queued).map(|place| place * 7_919 % queued);
    for place in some.into_iter().chain(all) {
        let cancelled = cancel(&deliveries[place], counter);
        assert_eq!(cancelled, (Verdict::NotDelivered, 0), "{place} of {queued}");
    }
    assert_eq!(cancel(&first, counter), (Verdict::Unknown, 0));
    let [sent, retried, epochs] = rest;
    assert_eq!(work(&producer), [given_up + queued as u64, sent, retried, epochs]);
    assert_eq!(producer.stats().queue_depth, 0);
    server.with_cluster(|cluster| cluster.thaw(1)).unwrap();
    assert!(first.final_outcome().await.is_delivered());
    let logged = server.with_cluster(|cluster| cluster.log("t", 0).count());
    assert_eq!(logged, 2);
}

async fn a_cancel_allocates_nothing_however_much_is_queued(on: Adapter) {
    costs(on, 1).await;
    costs(on, 1_000_000).await;
}
