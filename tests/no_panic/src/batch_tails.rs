//! What only those call who share a producer among threads.

use core::hint::black_box;

use ottla_core::{BatchTail, Producer, Record, Ticket, TopicId};

use crate::input::{Input, see};

/// Encodes a record apart from the producer, and brings it in.
#[inline(never)]
pub(crate) fn step(
    producer: &mut Producer<'_>,
    topic: TopicId,
    ticket: Ticket,
    record: &Record<'_>,
    input: &mut Input<'_>,
) {
    let before = input.bool().then(|| input.u32());
    see(&producer.own_sticky_partition(topic, before, input.u32() as usize));
    let partition = input.u32();
    let tail = match input.u8() & 3 {
        0 => producer.batch_tail(ticket.batch()),
        _ => producer.set_aside(topic, partition),
    };
    let Some(mut tail) = black_box(tail) else { return };
    let mut buffer = black_box([0; 256 + BatchTail::SLACK]);
    let room = input.u32() as usize;
    see(&tail.append(record, buffer.get_mut(..room).unwrap_or_default()));
    see(&(tail.batch(), tail.first(), tail.records(), tail.room(), tail.len()));
    see(&(tail.is_empty(), tail.is_set_aside()));
    let bytes = buffer.get(..input.u32() as usize).unwrap_or_default();
    match input.u8() & 3 {
        0 => producer.give_back(tail),
        1 => see(&producer.extend(tail, bytes)),
        _ => see(&producer.adopt(topic, input.u32(), tail, bytes)),
    }
}
