//! Records under way, as a caller tracks them who has a deadline for each.

use ottla_core::{Backlog, DropPolicy, Event, Instant, Output, Producer, Record, StaticMemory};

use crate::input::{Input, duration, see};

pub(crate) fn drive(input: &mut Input<'_>) {
    let mut memory = StaticMemory::<1, 2, 1, 2, 4, 4, 256, 512, 512, 32>::new();
    let config = crate::producer::config(input);
    let Ok(mut producer) = Producer::new(&config, memory.lend(), input.u64()) else { return };
    let policy = if input.bool() { DropPolicy::OldestFirst } else { DropPolicy::NewestFirst };
    let mut backlog = Backlog::<u32, 8>::new(policy);
    let mut now = Instant::ZERO;
    while input.goes_on() {
        now = now.after(duration(input));
        step(&mut producer, &mut backlog, now, input);
    }
}

#[inline(never)]
fn step(
    producer: &mut Producer<'_>,
    backlog: &mut Backlog<u32, 8>,
    now: Instant,
    input: &mut Input<'_>,
) {
    match input.u8() & 7 {
        0 | 1 => {
            let record = Record { value: input.maybe_bytes(), ..Record::default() };
            let within = if input.bool() { Some(duration(input)) } else { None };
            if let Ok(topic) = producer.topic(now, "t") {
                let token = input.u32();
                see(&backlog.produce(producer, now, topic, &record, token, within));
            }
        }
        2 => see(&backlog.cancel(producer, now, &input.u32())),
        3 => backlog.handle_timeout(producer, now),
        4 => see(&(backlog.poll_timeout(), backlog.len(), backlog.is_empty())),
        5 => see(&backlog.poll_report()),
        6 => match producer.poll_output() {
            Some(Output::Event(event)) => hear(backlog, producer, &event),
            output => see(&output),
        },
        _ => producer.handle_timeout(now),
    }
}

#[inline(never)]
fn hear(backlog: &mut Backlog<u32, 8>, producer: &Producer<'_>, event: &Event) {
    backlog.handle_event(producer, event);
}
