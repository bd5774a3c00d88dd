//! How fast a served cluster takes records: one client, one connection, five requests in flight.
//!
//! `cargo run --release -p ottla-model --example throughput -- [record bytes] [batch records]`

use core::{error::Error, net::SocketAddr, time::Duration};
use std::{
    env,
    io::{self, Read, Write},
    net::TcpStream,
};

use ottla_core::wire::{
    ApiKey, Uuid, Writer, crc32c, dialect, frame, produce,
    record::{Attributes, BatchHeader, RecordHead, write_record},
};
use ottla_model::{ClusterConfig, Storage, serve::Server};

/// How much is sent for each line that is printed.
const BYTES: usize = 2 << 30;
const IN_FLIGHT: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let record = args.next().map_or(Ok(1_000), |arg| arg.parse())?;
    let count = args.next().map_or(Ok(1_000), |arg| arg.parse())?;
    for storage in [Storage::Nothing, Storage::Newest { bytes: 256 << 20 }] {
        for check_crc in [true, false] {
            let config = ClusterConfig { storage, check_crc, ..ClusterConfig::default() };
            let (bytes, took) = run(config, record, count)?;
            let rate = bytes as f64 / took.as_secs_f64() / 1e6;
            println!("{rate:7.0} MB/s  {storage:?}, checksum {check_crc}");
        }
    }
    Ok(())
}

fn run(config: ClusterConfig, record: usize, count: i32) -> io::Result<(usize, Duration)> {
    let server = Server::start(&[SocketAddr::from(([127, 0, 0, 1], 0))], config)?;
    let id = server.with_cluster(|c| c.create_topic("t", 1));
    let id = id.map_err(io::Error::other)?;
    let address = server.addresses().first().copied();
    let mut socket = TcpStream::connect(address.ok_or(io::ErrorKind::NotFound)?)?;
    let frame = request(id, record, count);
    let requests = BYTES.div_ceil(frame.len());
    let began = server.now();
    for sent in 0..requests + IN_FLIGHT {
        if sent < requests {
            socket.write_all(&frame)?;
        }
        if sent >= IN_FLIGHT {
            answer(&mut socket)?;
        }
    }
    let took = server.now().saturating_sub(began);
    let appended = server.with_cluster(|c| c.total_counts().batches);
    assert_eq!(appended, requests as u64, "batches that were appended");
    Ok((requests * frame.len(), took))
}

fn answer(socket: &mut TcpStream) -> io::Result<()> {
    let mut size = [0; 4];
    socket.read_exact(&mut size)?;
    let mut rest = vec![0; u32::from_be_bytes(size) as usize];
    socket.read_exact(&mut rest)
}

fn written(write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; Writer::measure(&write)];
    write(&mut Writer::new(&mut bytes));
    bytes
}

fn request(id: Uuid, record: usize, count: i32) -> Vec<u8> {
    let value = vec![b'x'; record];
    let records = written(|w| {
        for offset_delta in 0..count {
            let head = RecordHead { attributes: 0, timestamp_delta: 0, offset_delta };
            write_record(w, &head, None, Some(&value), &[]);
        }
    });
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: BatchHeader::batch_length_for(records.len()).unwrap_or(0),
        partition_leader_epoch: -1,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: count - 1,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records_count: count,
    };
    header.crc = header.checksum(crc32c, crc32c(0, &records), records.len());
    written(|w| {
        let d = dialect(ApiKey::PRODUCE, 13);
        let size = frame::begin(w);
        frame::write_request_header(w, ApiKey::PRODUCE, 13, 1, None);
        produce::write_head(w, d, None, -1, 1_000, 1);
        produce::write_topic(w, d, "t", id, 1);
        let len = u32::try_from(BatchHeader::LEN + records.len()).unwrap_or(0);
        produce::write_partition(w, d, 0, len);
        header.write(w);
        w.bytes(&records);
        produce::write_partition_end(w, d);
        produce::write_topic_end(w, d);
        produce::write_end(w, d);
        frame::end(w, size, 0);
    })
}
