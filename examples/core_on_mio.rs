//! A whole client on one thread, over mio: sockets that never block, and a second thread for a moment
//! where a name is to be looked up. It counts bytes as sent when the socket has taken them.
//!
//! `cargo run -p ottla-examples --example core_on_mio -- localhost:9092`

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender, SyncSender},
    },
    thread,
    time::{Duration, SystemTime},
};

use mio::{Events, Interest, Poll, Token, Waker, net::TcpStream};
use ottla_core::{
    Backlog, Config, ConnId, Disconnect, DropPolicy, Event, Instant, Output, ProduceError,
    Producer, Record, Report, static_memory,
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

/// A record: a number of the application's own, the value, and how long it is of use.
pub struct Reading {
    pub token: u64,
    pub value: Vec<u8>,
    pub timeout: Option<Duration>,
}

/// What else the loop waits for.
enum Input {
    Cancel { token: u64 },
    Close { timeout: Duration },
    Resolved(ConnId, Vec<SocketAddr>),
}

/// What the application hears.
#[derive(Debug)]
pub enum Told {
    /// The outcome of a record. `Unknown` is the first of two, unless it is `last`.
    Report(Report<u64>),
    /// The record was not taken, and never will be in the log.
    Refused { token: u64, error: ProduceError },
}

/// The application's end. While memory is full, or the topic is not known, the loop takes no reading, so
/// that `produce` blocks once a few have gathered.
#[derive(Clone)]
pub struct Handle {
    readings: SyncSender<Reading>,
    inputs: Sender<Input>,
    waker: Arc<Waker>,
}

/// The loop's end.
pub struct Inbox {
    poll: Poll,
    readings: Receiver<Reading>,
    inputs: Receiver<Input>,
    handle: Handle,
}

const WAKER: Token = Token(usize::MAX);

pub fn inbox() -> io::Result<(Handle, Inbox)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (to_readings, readings) = mpsc::sync_channel(16);
    let (to_inputs, inputs) = mpsc::channel();
    let handle = Handle { readings: to_readings, inputs: to_inputs, waker };
    Ok((handle.clone(), Inbox { poll, readings, inputs, handle }))
}

impl Handle {
    /// Gives a record to the loop; false where that is over.
    pub fn produce(&self, reading: Reading) -> bool {
        self.readings.send(reading).is_ok() && self.waker.wake().is_ok()
    }

    /// Gives a record up. A report says what is true of it.
    pub fn cancel(&self, token: u64) {
        self.send(Input::Cancel { token });
    }

    /// Takes no more records, and ends after `timeout` at the latest.
    pub fn close(&self, timeout: Duration) {
        self.send(Input::Close { timeout });
    }

    fn send(&self, input: Input) {
        let _ = self.inputs.send(input);
        let _ = self.waker.wake();
    }
}

/// A connection.
struct Line {
    /// `None` while a name is looked up.
    stream: Option<TcpStream>,
    /// Those that were not tried.
    addresses: Vec<SocketAddr>,
    connected: bool,
    /// The socket may have more to read: mio tells only once.
    readable: bool,
}

/// Everything that a step of the loop needs.
struct Loop<'m, C> {
    producer: Producer<'m>,
    backlog: Backlog<u64, 256>,
    lines: BTreeMap<ConnId, Line>,
    inbox: Inbox,
    clock: C,
    now: Instant,
}

/// Runs a producer until it is closed.
pub fn run(
    config: &Config<'_>,
    topic: &str,
    clock: impl Fn() -> Instant,
    inbox: Inbox,
    mut tell: impl FnMut(Told),
) -> io::Result<()> {
    let mut memory = Box::new(Lent::new());
    let producer = Producer::new(config, memory.lend(), seed()).map_err(io::Error::other)?;
    let backlog = Backlog::new(DropPolicy::NewestFirst);
    let now = clock();
    let mut this = Loop { producer, backlog, lines: BTreeMap::new(), inbox, clock, now };
    this.producer.set_wall_clock(now, Some(unix_ms()));
    let topic = this.producer.topic(now, topic).map_err(io::Error::other)?;
    let mut events = Events::with_capacity(64);
    // The reading that is to be taken next, and until when it is of use.
    let mut held: Option<(Reading, Instant)> = None;
    let mut full = false;
    loop {
        // What the application has; in its order, and only as much as there is room for.
        loop {
            if held.is_none() {
                held = this.inbox.readings.try_recv().ok().map(|reading| {
                    let due = reading.timeout.map_or(Instant::NEVER, |t| this.now.after(t));
                    (reading, due)
                });
            }
            let Some((Reading { token, value, .. }, due)) = &held else { break };
            let timeout = (*due < Instant::NEVER).then(|| due.since(this.now));
            let taken = match full && *due > this.now {
                // Nothing has come free since.
                true => break,
                false => {
                    let value = Some(&value[..]);
                    let record = Record { value, timestamp: unix_ms(), ..Record::default() };
                    let (core, now) = (&mut this.producer, this.now);
                    this.backlog.produce(core, now, topic, &record, *token, timeout)
                }
            };
            match taken {
                Ok(()) => {}
                Err(ProduceError::Full | ProduceError::MetadataPending) if *due > this.now => {
                    full = true;
                    break;
                }
                Err(error) => tell(Told::Refused { token: *token, error }),
            }
            held = None;
        }

        // Drain before you wait.
        while this.producer.needs_service() {
            while let Some(output) = this.producer.poll_output() {
                match output {
                    Output::Connect(conn) => this.resolve(conn),
                    Output::Disconnect(conn) => drop(this.lines.remove(&conn)),
                    Output::Event(event) => {
                        this.backlog.handle_event(&this.producer, &event);
                        full &= !matches!(event, Event::BufferAvailable | Event::Topic(_));
                    }
                    Output::Closed => {
                        let reports = core::iter::from_fn(|| this.backlog.poll_report());
                        reports.for_each(|report| tell(Told::Report(report)));
                        let late = held.map(|(reading, _)| reading).into_iter();
                        late.chain(this.inbox.readings.try_iter()).for_each(
                            |Reading { token, .. }| {
                                tell(Told::Refused { token, error: ProduceError::Closing });
                            },
                        );
                        return Ok(());
                    }
                    _ => {}
                }
            }
            while let Some(conn) = this.producer.poll_writable(this.now) {
                this.write(conn);
            }
        }
        let reports = core::iter::from_fn(|| this.backlog.poll_report());
        reports.for_each(|report| tell(Told::Report(report)));
        this.producer.debug_assert_at_rest();

        // Whichever comes first: a socket, the waker, or something due.
        let mut due = this.producer.poll_timeout().map_or(Instant::NEVER, |(at, _)| at);
        due = due.min(this.backlog.poll_timeout());
        if let Some((_, of_use_until)) = &held {
            due = due.min(*of_use_until);
        }
        let busy = this.lines.values().any(|line| line.readable && line.connected)
            || (!full && held.is_some());
        let wait = match busy {
            true => Duration::ZERO,
            false => due.since((this.clock)()).min(Duration::from_secs(3_600)),
        };
        // mio rounds up to a millisecond, so that nothing is looked at too early, again and again.
        match this.inbox.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => this.now = (this.clock)(),
        }
        for event in events.iter().filter(|event| event.token() != WAKER) {
            // A slot has one life at a time.
            let of = |conn: &&ConnId| conn.index() == event.token().0;
            let Some(conn) = this.lines.keys().find(of).copied() else { continue };
            if event.is_writable() || event.is_error() {
                this.go_on(conn);
            }
            if let Some(line) = this.lines.get_mut(&conn) {
                line.readable |= event.is_readable() || event.is_read_closed();
            }
        }
        let readable = this.lines.iter().filter(|(_, line)| line.readable && line.connected);
        for conn in readable.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            this.read(conn);
        }
        while let Ok(input) = this.inbox.inputs.try_recv() {
            match input {
                // The report says what is true of it: `NotDelivered`, or `Unknown` and more later.
                Input::Cancel { token } => {
                    let _ = this.backlog.cancel(&mut this.producer, this.now, &token);
                }
                Input::Close { timeout } => {
                    this.producer.close(this.now, this.now.after(timeout));
                    // Whatever waits is refused now.
                    full = false;
                }
                Input::Resolved(conn, addresses) => this.connect(conn, addresses),
            }
        }
        this.producer.handle_timeout(this.now);
        this.backlog.handle_timeout(&mut this.producer, this.now);
    }
}

impl<C: Fn() -> Instant> Loop<'_, C> {
    /// Begins to look up the address of a connection.
    fn resolve(&mut self, conn: ConnId) {
        let Some(to) = self.producer.address(conn) else { return };
        let line = Line { stream: None, addresses: Vec::new(), connected: false, readable: false };
        self.lines.insert(conn, line);
        let (to, handle) = ((to.host.to_owned(), to.port), self.inbox.handle.clone());
        if let Ok(ip) = to.0.parse() {
            return self.connect(conn, vec![SocketAddr::new(ip, to.1)]);
        }
        thread::spawn(move || {
            let addresses = to.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
            handle.send(Input::Resolved(conn, addresses));
        });
    }

    /// Begins to connect to the first address that lets it.
    fn connect(&mut self, conn: ConnId, mut addresses: Vec<SocketAddr>) {
        // Otherwise it took too long, and the core has given it up.
        let Some(line) = self.lines.get_mut(&conn) else { return };
        let cause = match addresses.is_empty() {
            true => Disconnect::Unresolved,
            false => Disconnect::Refused,
        };
        while !addresses.is_empty() {
            let Ok(mut stream) = TcpStream::connect(addresses.remove(0)) else { continue };
            let both = Interest::READABLE | Interest::WRITABLE;
            let token = Token(conn.index());
            if self.inbox.poll.registry().register(&mut stream, token, both).is_ok() {
                line.addresses = addresses;
                line.stream = Some(stream);
                return;
            }
        }
        self.end(conn, cause);
    }

    /// The socket can be written to, or could not be connected.
    fn go_on(&mut self, conn: ConnId) {
        let Some(line) = self.lines.get_mut(&conn) else { return };
        let Some(stream) = &line.stream else { return };
        if line.connected {
            return self.write(conn);
        }
        match stream.peer_addr() {
            Ok(_) => {
                let _ = stream.set_nodelay(true);
                line.connected = true;
                self.producer.handle_connected(self.now, conn);
            }
            Err(error)
                if error.kind() == ErrorKind::NotConnected
                    && matches!(stream.take_error(), Ok(None)) => {}
            Err(_) => match core::mem::take(&mut line.addresses) {
                none if none.is_empty() => self.end(conn, Disconnect::Refused),
                others => self.connect(conn, others),
            },
        }
    }

    /// Writes until the socket takes no more; then mio tells when it does.
    fn write(&mut self, conn: ConnId) {
        while self.producer.prepare_write(self.now, conn) {
            let Some(stream) = self.lines.get_mut(&conn).and_then(|line| line.stream.as_mut())
            else {
                return;
            };
            let piece = self.producer.pending_write(conn).next().unwrap_or_default();
            match stream.write(piece) {
                // What the socket took, to the byte.
                Ok(len) => self.producer.handle_written(self.now, conn, len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.end(conn, Disconnect::Io),
            }
        }
    }

    /// Reads until there is no more, but not for ever: others want to be served.
    fn read(&mut self, conn: ConnId) {
        for _ in 0..16 {
            // What was read may have ended the connection. A dead id lends no room, and to read into
            // nothing gives 0, which looks like the end of the stream.
            if !self.producer.wants_read(conn) {
                return;
            }
            let Some(line) = self.lines.get_mut(&conn) else { return };
            let Some(stream) = line.stream.as_mut() else { return };
            match stream.read(self.producer.rx_buffer(conn)) {
                Ok(0) => return self.end(conn, Disconnect::Eof),
                Ok(len) => self.producer.handle_received(self.now, conn, len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    line.readable = false;
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.end(conn, Disconnect::Io),
            }
        }
    }

    fn end(&mut self, conn: ConnId, cause: Disconnect) {
        self.lines.remove(&conn);
        self.producer.handle_disconnected(self.now, conn, cause);
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

fn main() -> io::Result<()> {
    let brokers = std::env::args().nth(1).unwrap_or_else(|| "localhost:9092".to_owned());
    let config = Config { bootstrap_servers: &brokers, batch_size: 4_096, ..Config::default() };
    let config = Config { max_request_size: 16_384, ..config };
    let start = std::time::Instant::now();
    let clock = move || Instant::from_micros(start.elapsed().as_micros() as u64);
    let (handle, inbox) = inbox()?;
    thread::spawn(move || {
        for token in 0..100 {
            let value = format!("reading {token}").into_bytes();
            let timeout = Some(Duration::from_secs(2));
            handle.produce(Reading { token, value, timeout });
            thread::sleep(Duration::from_millis(50));
        }
        handle.cancel(99);
        handle.close(Duration::from_secs(5));
    });
    run(&config, "readings", clock, inbox, |told| println!("{told:?}"))
}
