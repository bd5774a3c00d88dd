//! What the hot path takes from the heap. Alone in its process, whose allocations it counts.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::alloc::System;

use ottla_model::{ClusterConfig, Storage, serve::Server};
use ottla_tokio::{Producer, Record};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Counts what threads of the runtime allocate; the model broker's thread is not counted.
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

const RECORDS: u32 = 200_000;

async fn send_all(producer: &Producer, topic: &ottla_tokio::Topic) {
    let value = [b'x'; 100];
    let record = Record { value: Some(&value), ..Record::default() };
    let mut window = std::collections::VecDeque::with_capacity(8_192);
    for _ in 0..RECORDS {
        if window.len() == 8_000 {
            let oldest: ottla_tokio::Delivery = window.pop_front().unwrap();
            assert!(oldest.await.is_delivered());
        }
        window.push_back(producer.send(topic, &record).await.unwrap());
    }
    for delivery in window {
        assert!(delivery.await.is_delivered());
    }
}

#[test]
fn a_record_costs_a_hundredth_of_an_allocation_at_most() {
    let config = ClusterConfig { storage: Storage::Nothing, ..ClusterConfig::default() };
    let server = Server::start(&["127.0.0.1:0".parse().unwrap()], config).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 6)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .on_thread_start(|| COUNTED.set(true))
        .build()
        .unwrap();
    COUNTED.set(true);
    runtime.block_on(async {
        let servers = server.bootstrap_servers();
        let producer = Producer::from_properties([("bootstrap.servers", servers)]).unwrap();
        let topic = producer.topic("t").unwrap();
        // Pools and vectors grow to their size once.
        send_all(&producer, &topic).await;
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        send_all(&producer, &topic).await;
        let each = (ALLOCATIONS.load(Ordering::Relaxed) - before) as f64 / f64::from(RECORDS);
        println!("{each} allocations a record");
        assert!(each < 0.01, "{each} allocations a record");
        producer.close(Duration::from_secs(5)).await;
    });
}
