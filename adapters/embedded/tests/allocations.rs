//! Neither API takes anything from the heap. Alone in its process, whose allocations it counts.

mod lab;

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};
use std::alloc::System;

use lab::{
    Lab, SECOND, Small, Weather,
    both_apis::{drive, polled, send},
    config,
    port::Socket,
    producer,
    stream::Network,
};
use ottla_embedded::{Backlog, Client, Driver, DropPolicy};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: all is done by `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if lab::COUNTED.try_with(Cell::get).unwrap_or(false) {
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

const RECORDS: u32 = 300;

fn counted<R>(f: impl FnOnce() -> R) -> (R, u64) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let result = f();
    (result, ALLOCATIONS.load(Ordering::Relaxed) - before)
}

#[test]
fn neither_face_allocates() {
    let ((), allocations) = counted(|| lab::ours(|| drop(core::hint::black_box(Box::new(7)))));
    assert_eq!(allocations, 1, "what is taken is counted");

    let lab = Lab::new(1, 1);
    let mut memory = Small::new();
    let ports = [Socket::new(&lab, Weather::FAIR), Socket::new(&lab, Weather::FAIR)];
    let mut driver = Driver::<_, 2>::new(producer(&config(), &mut memory), ports);
    let mut application = send(RECORDS, 40);
    let (told, allocations) = counted(|| {
        polled(&lab, &mut driver, DropPolicy::OldestFirst, 60 * SECOND, &mut application)
    });
    assert_eq!((told.len() as u32, allocations), (RECORDS, 0), "polled");

    let lab = Lab::new(1, 1);
    let mut memory = Small::new();
    let client =
        Client::new(producer(&config(), &mut memory), Backlog::new(DropPolicy::OldestFirst));
    let network = Network::new(&lab, Weather::FAIR);
    let mut application = send(RECORDS, 40);
    let mut told = Vec::new();
    let ((), allocations) = counted(|| {
        drive(&lab, &client, &network, &mut application, &mut told, 60 * SECOND);
    });
    assert_eq!((told.len() as u32, allocations), (RECORDS, 0), "async");
}
