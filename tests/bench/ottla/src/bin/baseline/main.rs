//! The baseline: what cannot be saved. Each record is copied once, the batches are summed by the
//! processor's CRC-32C, and the requests are written in one piece each, to a socket that blocks, with TLS
//! where that is asked for. Nothing is decided, nothing is kept, nothing can go wrong.

mod stream;

use std::{
    io::{IoSlice, Read as _, Write as _},
    net::TcpStream,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use bench_contestant::{
    Arguments, Counting, Latencies, Meter, Report, Shape, Values, not_in_this_one,
};
use clap::Parser as _;
use ottla_core::wire::{
    ApiKey, Uuid, Writer, dialect, frame,
    produce::{
        write_end, write_head, write_partition, write_partition_end, write_topic, write_topic_end,
    },
    record::BatchHeader,
};

use crate::stream::Stream;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NAME: &str = "baseline";
/// The last version that names topics, so that nothing needs to be asked before.
const VERSION: i16 = 12;
/// Requests that are written before an answer is awaited, as all contestants have it.
const IN_FLIGHT: u64 = 5;
/// Batches of one request: as many as there are partitions, up to what fits the size by default.
const MOST_BATCHES: u32 = 6;
/// Bytes of a record but for its value: length, attributes, two deltas, no key, the value's
/// length, no headers. The varints are as long as they are for most records of a batch.
const FRAMING: usize = 10;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let decides_nothing =
        arguments.threads == 1 && !arguments.keyed && arguments.compression.is_none();
    match arguments.shape {
        Shape::Load if decides_nothing => load(&arguments),
        Shape::Lone if arguments.echo.is_some() => lone(&arguments),
        Shape::Load | Shape::Lone | Shape::Overload => not_in_this_one(),
    }
}

/// One request, all of whose bytes but the records and their sums are the same each time.
struct Request {
    stream: Stream,
    /// What lies before each batch's records; the first one has the request's head as well.
    heads: Vec<Vec<u8>>,
    batches: Vec<Vec<u8>>,
    tail: Vec<u8>,
    value: Vec<u8>,
    /// Records of each batch.
    each: usize,
    unanswered: u64,
}

impl Request {
    fn new(arguments: &Arguments) -> Result<Self> {
        let len = arguments.size + FRAMING;
        let room = arguments.batch_size as usize;
        let each = (room.saturating_sub(BatchHeader::LEN) / len).max(1);
        let most = (1_000_000 / room).max(1) as u32;
        let count = arguments.partitions.min(MOST_BATCHES).min(most);
        let (heads, tail) = frame_pieces(&arguments.topic, count, each, len)?;
        let stream = Stream::connect(arguments)?;
        Ok(Self {
            stream,
            heads,
            batches: (0..count).map(|_| vec![0; each * len]).collect(),
            tail,
            value: Values::<Vec<u8>>::new(arguments)?.first().clone(),
            each,
            unanswered: 0,
        })
    }

    /// Copies, sums and writes so many requests.
    fn send(&mut self, requests: u64) -> Result<()> {
        for _ in 0..requests {
            for (head, batch) in self.heads.iter_mut().zip(&mut self.batches) {
                let len = self.value.len() + FRAMING;
                for (delta, record) in batch.chunks_exact_mut(len).enumerate() {
                    copy(record, delta, &self.value);
                }
                sum(head, batch);
            }
            self.write()?;
            self.unanswered += 1;
            while self.unanswered >= IN_FLIGHT {
                self.read()?;
            }
        }
        while self.unanswered > 0 {
            self.read()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let pieces = self.heads.iter().zip(&self.batches);
        let pieces = pieces.flat_map(|(head, batch)| [&head[..], &batch[..]]);
        let mut pieces: Vec<_> = pieces.chain([&self.tail[..]]).map(IoSlice::new).collect();
        let mut pieces = &mut pieces[..];
        while !pieces.is_empty() {
            let written = self.stream.write_vectored(pieces)?;
            ensure!(written > 0, "the sink is gone");
            IoSlice::advance_slices(&mut pieces, written);
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut answer = [0; 1_024];
        let size = usize::try_from(i32::from_be_bytes(size))?;
        self.stream.read_exact(answer.get_mut(..size).context("a longer answer")?)?;
        self.unanswered -= 1;
        Ok(())
    }
}

/// The bytes before each batch's records, and those behind the last.
fn frame_pieces(
    topic: &str,
    count: u32,
    each: usize,
    len: usize,
) -> Result<(Vec<Vec<u8>>, Vec<u8>)> {
    let d = dialect(ApiKey::PRODUCE, VERSION);
    let records = each * len;
    let batch = u32::try_from(BatchHeader::LEN + records)?;
    let mut room = vec![0; 4_096];
    let mut w = Writer::new(&mut room);
    let size = frame::begin(&mut w);
    frame::write_request_header(&mut w, ApiKey::PRODUCE, VERSION, 1, Some(NAME));
    write_head(&mut w, d, None, -1, 30_000, 1);
    write_topic(&mut w, d, topic, Uuid::ZERO, count);
    let mut cuts = Vec::new();
    for partition in 0..count.cast_signed() {
        if partition > 0 {
            write_partition_end(&mut w, d);
        }
        write_partition(&mut w, d, partition, batch);
        let header = BatchHeader {
            base_offset: 0,
            batch_length: BatchHeader::batch_length_for(records).context("too large a batch")?,
            partition_leader_epoch: -1,
            crc: 0,
            attributes: ottla_core::wire::record::Attributes(0),
            last_offset_delta: i32::try_from(each - 1)?,
            base_timestamp: 1_700_000_000_000,
            max_timestamp: 1_700_000_000_000,
            producer_id: 1,
            producer_epoch: 0,
            base_sequence: 0,
            records_count: i32::try_from(each)?,
        };
        header.write(&mut w);
        cuts.push(w.len());
    }
    write_partition_end(&mut w, d);
    write_topic_end(&mut w, d);
    write_end(&mut w, d);
    frame::end(&mut w, size, records * count as usize);
    let len = w.finish().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    room.truncate(len);
    let tail = room.split_off(*cuts.last().context("no partition")?);
    let mut heads = Vec::new();
    for cut in cuts.iter().rev().skip(1) {
        heads.push(room.split_off(*cut));
    }
    heads.push(room);
    heads.reverse();
    Ok((heads, tail))
}

/// Writes a record as it is on the wire.
fn copy(record: &mut [u8], delta: usize, value: &[u8]) {
    let (head, rest) = record.split_at_mut(FRAMING - 1);
    // The sink looks at none of this; what counts is that as many bytes are written.
    head[..2].copy_from_slice(&(value.len() as u16).to_be_bytes());
    head[4..8].copy_from_slice(&(delta as u32).to_be_bytes());
    rest[..value.len()].copy_from_slice(value);
}

/// Sums a batch, and writes the sum into its header, which is the end of its head.
fn sum(head: &mut [u8], batch: &[u8]) {
    let header = head.len() - BatchHeader::LEN;
    let checked = crc32c::crc32c(&head[header + BatchHeader::CHECKED_FROM..]);
    let crc = crc32c::crc32c_append(checked, batch);
    let at = header + BatchHeader::CRC_AT;
    head[at..at + 4].copy_from_slice(&crc.to_be_bytes());
}

fn load(arguments: &Arguments) -> Result<()> {
    let mut request = Request::new(arguments)?;
    let records = (request.each * request.batches.len()) as u64;
    request.send(arguments.warm_up.div_ceil(records))?;
    let meter = Meter::start(arguments);
    let requests = arguments.records.div_ceil(records);
    request.send(requests)?;
    let measured = meter.read();
    Report::new(NAME, env!("CARGO_PKG_VERSION"), requests * records, 0, &measured)
        .note("copies, sums and writes; decides nothing")
        .print()
}

/// The bytes of one request, there and back.
fn lone(arguments: &Arguments) -> Result<()> {
    let len = arguments.size + FRAMING;
    let (heads, tail) = frame_pieces(&arguments.topic, 1, 1, len)?;
    let mut request = heads.concat();
    request.extend(vec![0; len]);
    request.extend(tail);
    let mut stream = TcpStream::connect(arguments.echo.as_deref().context("no echo")?)?;
    stream.set_nodelay(true)?;
    let mut answer = vec![0; request.len()];
    let mut latencies = Latencies::default();
    let mut meter = None;
    for number in 0..arguments.warm_up + arguments.records {
        if number == arguments.warm_up {
            latencies = Latencies::default();
            meter = Some(Meter::start(arguments));
        }
        let start = Instant::now();
        stream.write_all(&request)?;
        stream.read_exact(&mut answer)?;
        latencies.record(start.elapsed());
    }
    let measured = meter.context("nothing was measured")?.read();
    Report::new(NAME, env!("CARGO_PKG_VERSION"), arguments.records, 0, &measured)
        .latencies(&latencies)
        .note("a bare echo of the same bytes")
        .print()
}
