//! A whole client on the standard library alone. The core's README shows it.
//!
//! `cargo run -p ottla-examples --example core_on_threads -- localhost:9092`

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    sync::mpsc::{self, Receiver, Sender, SyncSender},
    thread,
    time::{Duration, SystemTime},
};

use ottla_core::{
    Backlog, Config, ConnId, Disconnect, DropPolicy, Event, Instant, Output, ProduceError,
    Producer, Record, Report, TopicStatus, static_memory,
};

/// Memory for the producer, provided once: 32 KiB of records and what belongs to them.
type Lent = static_memory! {
    connections: 2,
    brokers: 4,
    topics: 1,
    partitions: 8,
    batches: 32,
    pages: 32,
    page_size: 1024,
    rx_window: 512,
    tx_window: 512,
    name: 64,
};

/// What the loop waits for.
pub enum Input {
    /// From the application: a record, by a number of its own, and how long it is of use.
    Produce {
        token: u64,
        value: Vec<u8>,
        timeout: Option<Duration>,
    },
    /// From the application: that record is not wanted any more.
    Cancel {
        token: u64,
    },
    /// From the application: what is under way has so long, and then it is over.
    Close {
        timeout: Duration,
    },
    /// From the threads of a connection.
    Connected(ConnId, TcpStream),
    Received(ConnId, Vec<u8>),
    Written(ConnId),
    Ended(ConnId, Disconnect),
}

/// What the application hears.
#[derive(Debug)]
pub enum Told {
    /// The outcome of a record. `Unknown` is the first of two, unless it is `last`.
    Report(Report<u64>),
    /// The record was not taken, and never will be in the log: memory is full, the topic is not known yet…
    Refused { token: u64, error: ProduceError },
    /// There is room again, or the topic is known: what was refused can be tried once more.
    Room,
}

/// A connection that is open. Its reader and its writer end when it is shut down.
struct Line {
    stream: TcpStream,
    to_write: Sender<Vec<u8>>,
    /// The writer has something that it has not written yet.
    busy: bool,
}

/// Runs a producer until it is closed. Everything that blocks is on a thread of its own and comes in by
/// `inputs`, so that this one only ever waits there.
pub fn run(
    config: &Config<'_>,
    topic: &str,
    clock: impl Fn() -> Instant,
    (to_loop, inputs): (SyncSender<Input>, Receiver<Input>),
    mut tell: impl FnMut(Told),
) {
    let mut memory = Box::new(Lent::new());
    let mut producer = Producer::new(config, memory.lend(), seed()).expect("a sound configuration");
    let mut backlog = Backlog::<u64, 256>::new(DropPolicy::NewestFirst);
    let mut now = clock();
    producer.set_wall_clock(now, Some(unix_ms()));
    let topic = producer.topic(now, topic).expect("a topic's name");
    // With `None`, it is being dialled.
    let mut lines: BTreeMap<ConnId, Option<Line>> = BTreeMap::new();
    let mut closed = false;
    loop {
        // Drain before you wait.
        while producer.needs_service() {
            while let Some(output) = producer.poll_output() {
                match output {
                    Output::Connect(conn) => {
                        let Some(to) = producer.address(conn) else { continue };
                        let (to, to_loop) = ((to.host.to_owned(), to.port), to_loop.clone());
                        lines.insert(conn, None);
                        thread::spawn(move || connect(conn, to, &to_loop));
                    }
                    Output::Disconnect(conn) => hang_up(&mut lines, conn),
                    Output::Event(event) => {
                        backlog.handle_event(&producer, &event);
                        let status = producer.topic_status(topic);
                        let room = match event {
                            Event::BufferAvailable => true,
                            Event::Topic(_) => matches!(status, Some(TopicStatus::Ready { .. })),
                            _ => false,
                        };
                        if room {
                            tell(Told::Room);
                        }
                    }
                    Output::Closed => closed = true,
                    _ => {}
                }
            }
            while let Some(conn) = producer.poll_writable(now) {
                write(&mut producer, &mut lines, now, conn);
            }
        }
        core::iter::from_fn(|| backlog.poll_report()).for_each(|report| tell(Told::Report(report)));
        if closed {
            debug_assert!(lines.is_empty(), "all connections were hung up");
            return;
        }
        producer.debug_assert_at_rest();

        // Whichever comes first: an input, something due in the core, a record's own deadline.
        let due = producer.poll_timeout().map_or(Instant::NEVER, |(at, _)| at);
        let due = due.min(backlog.poll_timeout());
        let input = inputs.recv_timeout(due.since(clock())).ok();
        now = clock();
        for input in input.into_iter().chain(inputs.try_iter().take(64)) {
            match input {
                Input::Produce { token, value, timeout } => {
                    let value = Some(&value[..]);
                    let record = Record { value, timestamp: unix_ms(), ..Record::default() };
                    let taken = backlog.produce(&mut producer, now, topic, &record, token, timeout);
                    if let Err(error) = taken {
                        tell(Told::Refused { token, error });
                    }
                }
                // The report says what is true of it: `NotDelivered`, or `Unknown` and more later.
                Input::Cancel { token } => drop(backlog.cancel(&mut producer, now, &token)),
                Input::Close { timeout } => producer.close(now, now.after(timeout)),
                Input::Connected(conn, stream) => {
                    let Some(line) = lines.get_mut(&conn) else {
                        // It took too long, and the core has given it up.
                        let _ = stream.shutdown(Shutdown::Both);
                        continue;
                    };
                    let (to_write, pieces) = mpsc::channel();
                    let (to_loop, to) = (to_loop.clone(), stream.try_clone());
                    thread::spawn(move || write_all(conn, to, pieces, &to_loop));
                    *line = Some(Line { stream, to_write, busy: false });
                    producer.handle_connected(now, conn);
                }
                Input::Received(conn, bytes) => {
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        let room = producer.rx_buffer(conn);
                        let len = room.len().min(rest.len());
                        // A dead id lends no room. (To read from a socket into that would give 0,
                        // which looks like its end.)
                        if len == 0 {
                            break;
                        }
                        room[..len].copy_from_slice(&rest[..len]);
                        producer.handle_received(now, conn, len);
                        rest = &rest[len..];
                    }
                }
                Input::Written(conn) => {
                    if let Some(Some(line)) = lines.get_mut(&conn) {
                        line.busy = false;
                    }
                    write(&mut producer, &mut lines, now, conn);
                }
                Input::Ended(conn, cause) => {
                    hang_up(&mut lines, conn);
                    producer.handle_disconnected(now, conn, cause);
                }
            }
        }
        producer.handle_timeout(now);
        backlog.handle_timeout(&mut producer, now);
    }
}

/// Hands the next request to the connection's writer, if that has nothing to do.
///
/// The bytes count as sent before they are. That is the safe direction: to count too early makes
/// `Unknown` of what could have been `NotDelivered`; to count too late, or too few, makes
/// `NotDelivered` false.
fn write(
    producer: &mut Producer<'_>,
    lines: &mut BTreeMap<ConnId, Option<Line>>,
    now: Instant,
    conn: ConnId,
) {
    let Some(Some(line)) = lines.get_mut(&conn) else { return };
    if !line.busy && producer.prepare_write(now, conn) {
        let request: Vec<u8> = producer.pending_write(conn).flatten().copied().collect();
        producer.handle_written(now, conn, request.len());
        // Where the writer has ended, that is on its way here.
        line.busy = line.to_write.send(request).is_ok();
    }
}

fn hang_up(lines: &mut BTreeMap<ConnId, Option<Line>>, conn: ConnId) {
    if let Some(Some(line)) = lines.remove(&conn) {
        let _ = line.stream.shutdown(Shutdown::Both);
    }
}

/// A connection's first thread: looks up the name, connects, and reads.
fn connect(conn: ConnId, to: (String, u16), to_loop: &SyncSender<Input>) {
    let ended = |cause| drop(to_loop.send(Input::Ended(conn, cause)));
    let Ok(addresses) = to.to_socket_addrs() else { return ended(Disconnect::Unresolved) };
    let patience = Duration::from_secs(10);
    let mut tried = addresses.map(|address| TcpStream::connect_timeout(&address, patience));
    let Some(mut stream) = tried.find_map(Result::ok) else { return ended(Disconnect::Refused) };
    let Ok(ours) = stream.try_clone() else { return ended(Disconnect::Exhausted) };
    let _ = stream.set_nodelay(true);
    // An error here and below: the loop is over.
    if to_loop.send(Input::Connected(conn, ours)).is_err() {
        return;
    }
    let mut bytes = [0; 4096];
    loop {
        let input = match stream.read(&mut bytes) {
            Ok(0) => return ended(Disconnect::Eof),
            Ok(len) => Input::Received(conn, bytes[..len].to_vec()),
            Err(_) => return ended(Disconnect::Io),
        };
        if to_loop.send(input).is_err() {
            return;
        }
    }
}

/// A connection's second thread.
fn write_all(
    conn: ConnId,
    stream: std::io::Result<TcpStream>,
    pieces: Receiver<Vec<u8>>,
    to_loop: &SyncSender<Input>,
) {
    let written = stream.and_then(|mut stream| {
        pieces.iter().try_for_each(|piece| {
            stream.write_all(&piece)?;
            to_loop.send(Input::Written(conn)).map_err(std::io::Error::other)
        })
    });
    if written.is_err() {
        let _ = to_loop.send(Input::Ended(conn, Disconnect::Io));
    }
}

/// Milliseconds since 1970. Brokers go by the records' timestamps when they forget a producer.
fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}

/// Another one each time.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

fn main() {
    let brokers = std::env::args().nth(1).unwrap_or_else(|| "localhost:9092".to_owned());
    let config = Config { bootstrap_servers: &brokers, batch_size: 4_096, ..Config::default() };
    let config = Config { max_request_size: 16_384, ..config };
    let start = std::time::Instant::now();
    let clock = move || Instant::from_micros(start.elapsed().as_micros() as u64);
    let (to_loop, inputs) = mpsc::sync_channel(256);
    let application = to_loop.clone();
    thread::spawn(move || {
        for token in 0..100 {
            thread::sleep(Duration::from_millis(50));
            let value = format!("reading {token}").into_bytes();
            // A reading that is two seconds old is of no use.
            let timeout = Some(Duration::from_secs(2));
            let _ = application.send(Input::Produce { token, value, timeout });
        }
        let _ = application.send(Input::Cancel { token: 99 });
        let _ = application.send(Input::Close { timeout: Duration::from_secs(5) });
    });
    run(&config, "readings", clock, (to_loop, inputs), |told| println!("{told:?}"));
}
