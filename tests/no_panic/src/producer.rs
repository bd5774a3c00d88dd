//! Everything that a producer's caller can call.

use core::hint::black_box;

use ottla_core::{
    Acks, Config, ConfigError, ConnId, Disconnect, Event, Header, Instant, Limits, Memory,
    OnUnknown, Output, Partitioner, Producer, Record, StaticMemory, Ticket, TopicId,
};

use crate::input::{Input, see};

/// What a caller holds on to.
#[derive(Default)]
struct Held {
    now: Instant,
    conn: Option<ConnId>,
    ticket: Option<Ticket>,
    topic: Option<TopicId>,
    #[cfg(feature = "compression")]
    lent: Option<ottla_core::CompressionId>,
}

pub(crate) fn drive(input: &mut Input<'_>) {
    let mut memory = StaticMemory::<2, 4, 2, 8, 16, 16, 256, 512, 512, 64>::new();
    #[cfg(feature = "_sasl")]
    let mut credentials = crate::sasl::Credentials::new();
    match make(black_box(memory.lend()), input) {
        #[cfg(feature = "_sasl")]
        Ok(mut producer) => {
            credentials.give(black_box(&mut producer), input);
            run(black_box(&mut producer), input);
        }
        #[cfg(not(feature = "_sasl"))]
        Ok(mut producer) => run(black_box(&mut producer), input),
        Err(error) => see(&error),
    }
}

#[inline(never)]
fn make<'m>(memory: Memory<'m>, input: &mut Input<'_>) -> Result<Producer<'m>, ConfigError> {
    let config = config(input);
    #[cfg(feature = "properties")]
    see(&Limits::for_config(&config));
    Producer::new(black_box(&config), memory, input.u64())
}

#[inline(never)]
fn run(producer: &mut Producer<'_>, input: &mut Input<'_>) {
    let mut held = Held::default();
    while input.goes_on() {
        step(black_box(producer), &mut held, input);
    }
}

#[inline(never)]
pub(crate) fn config<'a>(input: &mut Input<'a>) -> Config<'a> {
    let mut config = Config { bootstrap_servers: black_box("broker:9092"), ..Config::default() };
    config = Config { batch_size: 512, max_request_size: 2_048, ..config };
    if input.u8() & 7 == 0 {
        config.bootstrap_servers = input.str();
        config.client_id = input.str();
        config.batch_size = input.u32();
        config.max_request_size = input.u32();
        config.max_in_flight = input.u8();
        config.linger = crate::input::duration(input);
        config.retry_backoff = crate::input::duration(input);
        config.request_timeout = crate::input::duration(input);
    }
    config.acks = [Acks::None, Acks::Leader, Acks::All, Acks::All]
        .get(usize::from(input.u8()))
        .copied()
        .unwrap_or_default();
    config.enable_idempotence = config.acks == Acks::All && input.bool();
    config.on_unknown = if input.bool() { OnUnknown::Abandon } else { OnUnknown::Resolve };
    config.partitioner = match input.u8() {
        0 => Partitioner::IgnoreKeys,
        1 => Partitioner::Custom(|key, _, _| key.map_or(7, <[u8]>::len) as u32),
        _ => Partitioner::Default,
    };
    see(&config.acks.code());
    #[cfg(feature = "compression")]
    {
        use ottla_core::Compression;
        config.compression = match input.u8() {
            0 => Compression::None,
            #[cfg(feature = "zstd")]
            1 => Compression::Zstd,
            _ => Compression::Lz4,
        };
        see(&(config.compression.name(), config.compression.is_none()));
    }
    config
}

#[inline(never)]
fn step(producer: &mut Producer<'_>, held: &mut Held, input: &mut Input<'_>) {
    held.now = match input.u8() & 3 {
        0 => held.now.after(crate::input::duration(input)),
        1 => Instant::from_micros(input.u64()),
        _ => held.now,
    };
    match input.u8() & 15 {
        0 => match producer.topic(held.now, input.str()) {
            Ok(topic) => held.topic = Some(black_box(topic)),
            Err(error) => see(&error),
        },
        1 | 2 => produce(producer, held, input),
        3 => {
            if let Some(ticket) = held.ticket {
                see(&producer.last_error(ticket.batch()));
                if let Some(payload) = producer.record(ticket) {
                    see(&payload.topic_partition());
                    payload.for_each(|piece| see(&piece));
                }
                see(&producer.cancel(held.now, ticket));
                see(&ticket);
                see(&(ticket.batch(), ticket.index()));
                see(&(ticket.batch().index(), ticket.batch().generation()));
            }
        }
        4 => producer.flush(held.now),
        5 if input.u8() == 0 => {
            producer.close(held.now, held.now.after(crate::input::duration(input)));
        }
        6 => producer.handle_timeout(held.now),
        7 => look(producer, held),
        8..=10 => output(producer, held),
        #[cfg(feature = "compression")]
        12 => compress(producer, held, input),
        #[cfg(feature = "_sasl")]
        11 => crate::sasl::step(producer, held.now, input),
        _ => network(producer, held, input),
    }
}

#[inline(never)]
fn produce(producer: &mut Producer<'_>, held: &mut Held, input: &mut Input<'_>) {
    let headers = [Header { key: input.str(), value: input.maybe_bytes() }; 2];
    let record = Record {
        partition: if input.bool() { Some(input.i32()) } else { None },
        key: input.maybe_bytes(),
        value: input.maybe_bytes(),
        headers: headers.get(..usize::from(input.u8() & 3)).unwrap_or_default(),
        timestamp: input.i64(),
    };
    if let Some(topic) = held.topic {
        match producer.produce(held.now, topic, black_box(&record)) {
            Ok(ticket) => {
                held.ticket = Some(black_box(ticket));
                #[cfg(feature = "wire")]
                crate::batch_tails::step(producer, topic, ticket, &record, input);
            }
            Err(error) => see(&error),
        }
        let records = [Record { key: input.maybe_bytes(), ..record }, record];
        let taken = |ticket| held.ticket = Some(black_box(ticket));
        see(&producer.produce_all(held.now, topic, black_box(&records), taken));
    }
}

/// What only those call who have several producers.
#[cfg(feature = "wire")]
#[inline(never)]
fn together(producer: &Producer<'_>, held: &Held) {
    let mut stats = producer.stats();
    stats += black_box(producer.stats());
    see(&stats);
    let record = Record { key: Some(black_box(&[1, 2, 3])), ..Record::default() };
    see(&black_box(Partitioner::Default).choose(&record, black_box(3)));
    if let Some(ticket) = held.ticket {
        see(&(ticket.batch().owner() == producer.owner()));
    }
}

#[inline(never)]
fn look(producer: &Producer<'_>, held: &Held) {
    see(&producer.stats());
    #[cfg(feature = "wire")]
    together(producer, held);
    producer.brokers().for_each(|broker| see(&broker));
    if let Some(topic) = held.topic {
        see(&producer.topic_status(topic));
        see(&producer.topic_name(topic));
        see(&topic.index());
    }
    see(&producer.poll_timeout());
    see(&producer.needs_service());
    see(&(producer.has_output(), producer.has_urgent_write()));
    #[cfg(feature = "wire")]
    see(&held.now.since(Instant::from_micros(black_box(9))));
    see(&held.now.as_micros());
}

#[inline(never)]
fn output(producer: &mut Producer<'_>, held: &mut Held) {
    let output = producer.poll_output();
    see(&output);
    match output {
        Some(Output::Connect(conn)) => {
            held.conn = Some(black_box(conn));
            see(&conn.index());
            see(&producer.address(conn));
            producer.handle_connected(held.now, conn);
        }
        Some(Output::Event(Event::BatchOutcome(settled))) => {
            let Some(payload) = producer.payload(settled.batch) else { return };
            see(&payload.base_timestamp());
            payload.for_each(|piece| see(&piece));
        }
        _ => {}
    }
}

/// Has a codec of its own, which makes anything.
#[cfg(feature = "compression")]
#[inline(never)]
fn compress(producer: &mut Producer<'_>, held: &mut Held, input: &mut Input<'_>) {
    use ottla_core::Compressed;
    see(&producer.wants_compression());
    if let Some(batch) = producer.poll_compress(held.now) {
        see(&(batch.size(), batch.compression()));
        held.lent = Some(black_box(batch.id()));
        batch.for_each(|piece| see(&piece));
    }
    let Some(id) = held.lent else { return };
    see(&id.batch());
    let answer = match input.u8() {
        0 => Compressed::Failed,
        1 => Compressed::NotSmaller,
        _ => Compressed::Bytes(input.bytes()),
    };
    producer.handle_compressed(held.now, id, black_box(answer));
}

#[inline(never)]
fn network(producer: &mut Producer<'_>, held: &mut Held, input: &mut Input<'_>) {
    if input.bool() {
        held.conn = producer.poll_writable(held.now).or(held.conn);
    }
    let Some(conn) = held.conn else { return };
    match input.u8() & 7 {
        0 => producer.handle_connected(held.now, conn),
        1 if input.bool() => {
            let cause = if input.bool() { Disconnect::Eof } else { Disconnect::Io };
            producer.handle_disconnected(held.now, conn, cause);
        }
        2 | 3 => {
            see(&producer.prepare_write(held.now, conn));
            let len = producer.pending_write(conn).map(<[u8]>::len).fold(0, usize::wrapping_add);
            producer.handle_written(held.now, conn, len.min(input.u64() as usize));
        }
        _ => {
            see(&producer.wants_read(conn));
            let bytes = input.bytes();
            let window = producer.rx_buffer(conn);
            window.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            producer.handle_received_with(held.now, conn, bytes.len(), &mut |remark| {
                see(remark);
                #[cfg(all(feature = "format", feature = "record-errors"))]
                crate::format::show(&remark.text);
            });
        }
    }
}
