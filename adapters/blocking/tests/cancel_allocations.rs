//! What a cancel costs. Alone in its process, whose allocations it counts.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::alloc::System;

use ottla_blocking::{Delivery, Producer, Record, Verdict};
use ottla_model::{Action, ClusterConfig, Fault, serve::Server};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Counts what the test's thread allocates while it cancels.
struct Counting;

// SAFETY: all is done by `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.try_with(Cell::get).unwrap_or(false) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

/// The verdict of a cancel, and its allocations.
fn cancel(delivery: &Delivery) -> (Verdict, u64) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    COUNTED.set(true);
    let verdict = delivery.cancel();
    COUNTED.set(false);
    (verdict, ALLOCATIONS.load(Ordering::Relaxed) - before)
}

/// What the core did so far: records given up, requests, retries, new epochs.
fn work(producer: &Producer) -> [u64; 4] {
    let core = producer.stats().core;
    [core.not_delivered, core.requests, core.retries, core.epoch_bumps]
}

/// With one record in flight to a frozen broker and `queued` behind it, cancels some, and then all.
fn costs(queued: usize) {
    let server = Server::start(&["127.0.0.1:0".parse().unwrap()], ClusterConfig::default());
    let server = server.unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 1)).unwrap();
    let servers = server.bootstrap_servers();
    let properties = [("bootstrap.servers", servers.as_str()), ("max.in.flight", "1")];
    let producer = Producer::from_properties(properties).unwrap();
    let topic = producer.topic("t").unwrap();
    let record = Record { value: Some(b"value"), ..Record::default() };
    assert!(producer.send(&topic, &record).unwrap().wait().is_delivered());
    server.with_cluster(|cluster| cluster.inject(Fault::produce(Action::Freeze)));
    let first = producer.send(&topic, &record).unwrap();
    while !server.with_cluster(|cluster| cluster.is_frozen(1)) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let deliveries: Vec<_> = (0..queued).map(|_| producer.send(&topic, &record).unwrap()).collect();
    let [given_up, rest @ ..] = work(&producer);
    // The oldest, the newest, and one in the middle; then all, in no order.
    let some = [0, queued - 1, queued / 2];
    let all = (0..queued).map(|place| place * 7_919 % queued);
    for place in some.into_iter().chain(all) {
        let cancelled = cancel(&deliveries[place]);
        assert_eq!(cancelled, (Verdict::NotDelivered, 0), "{place} of {queued}");
    }
    assert_eq!(cancel(&first), (Verdict::Unknown, 0));
    let [sent, retried, epochs] = rest;
    assert_eq!(work(&producer), [given_up + queued as u64, sent, retried, epochs]);
    assert_eq!(producer.stats().queue_depth, 0);
    server.with_cluster(|cluster| cluster.thaw(1)).unwrap();
    assert!(first.final_outcome().wait().is_delivered());
    let logged = server.with_cluster(|cluster| cluster.log("t", 0).count());
    assert_eq!(logged, 2);
}

#[test]
fn a_cancel_allocates_nothing_however_much_is_queued() {
    costs(1);
    costs(1_000_000);
}
