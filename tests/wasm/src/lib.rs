//! The core as a WebAssembly module. What it needed of the world would be among the module's
//! imports, and what empty memory holds beside zeros would be among its data:
//! `scripts/wasm-module` shows that there is neither.
#![cfg_attr(target_family = "wasm", no_std)]

use core::sync::atomic::AtomicU8;

use ottla_core::{Config, Disconnect, Instant, Output, Producer, Record, StaticMemory};

/// Empty memory of more than 64 KiB, in a place that can be written to, as firmware has it: it takes
/// none of the module, or of a device's flash, as long as all of it is zeros.
// `no_mangle` counts as unsafe, since two such symbols could collide.
#[unsafe(no_mangle)]
pub static OTTLA_EMPTY: (AtomicU8, StaticMemory<4, 8, 4, 64, 64, 64, 1024, 512, 512, 64>) =
    (AtomicU8::new(0), StaticMemory::new());

/// Drives a producer through everything that its caller can do, and returns how many bytes it
/// wanted to write.
#[unsafe(no_mangle)]
pub extern "C" fn ottla_drive(seed: u64, answer: u8) -> u32 {
    let mut memory = StaticMemory::<1, 2, 1, 4, 8, 8, 512, 512, 512, 48>::new();
    let config = Config { bootstrap_servers: "broker:9092", ..Config::default() };
    let config = Config { batch_size: 512, max_request_size: 2_048, ..config };
    let Ok(mut producer) = Producer::new(&config, memory.lend(), seed) else {
        return 0;
    };
    let mut now = Instant::from_micros(seed);
    let Ok(topic) = producer.topic(now, "greetings") else {
        return 0;
    };
    let mut wanted = 0;
    for _ in 0..64 {
        while producer.needs_service() {
            while let Some(output) = producer.poll_output() {
                if let Output::Connect(conn) = output {
                    producer.handle_connected(now, conn);
                }
            }
            while let Some(conn) = producer.poll_writable(now) {
                let len = producer.pending_write(conn).map(<[u8]>::len).sum();
                producer.handle_written(now, conn, len);
                wanted += len as u32;
                let window = producer.rx_buffer(conn);
                let read = window.len().min(64);
                window.iter_mut().take(read).for_each(|byte| *byte = answer);
                producer.handle_received(now, conn, read);
                producer.handle_disconnected(now, conn, Disconnect::Eof);
            }
        }
        producer.debug_assert_at_rest();
        let record = Record { value: Some(b"hello"), ..Record::default() };
        if let Ok(ticket) = producer.produce(now, topic, &record) {
            let _verdict = producer.cancel(now, ticket);
        }
        producer.flush(now);
        if let Some((at, _)) = producer.poll_timeout() {
            now = now.max(at);
            producer.handle_timeout(now);
        }
    }
    producer.close(now, now);
    wanted
}

#[cfg(target_family = "wasm")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_core_is_driven() {
        assert!(super::ottla_drive(7, 0) > 0);
    }
}
