//! Between the client and the model: hears all that is said, and spoils answers.

use core::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use super::attempts::Attempts;
use crate::{
    choice::Seeded,
    messages::{Api, Direction, Frame, decode_request, decode_response},
    mutate::{Keeps, Mutator, spoil},
};

/// A frame that is announced to be larger ends its connection.
const MOST: usize = 64 << 20;
/// How often it is looked whether all is over.
const LOOK: Duration = Duration::from_millis(10);

/// What is to be done with an answer that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoil {
    /// To a request of this API.
    pub api: i16,
    /// This.
    pub mutator: Mutator,
    /// At the place that this chooses.
    pub seed: u64,
}

/// What was heard, and what is to be done.
#[derive(Debug, Default)]
struct State {
    attempts: Attempts,
    /// When each request came, or each connection, that brought nothing into a log: in milliseconds, by what it was.
    idle: Vec<(u64, String)>,
    /// How many requests came, by API.
    requests: BTreeMap<String, u64>,
    spoils: VecDeque<Spoil>,
    spoilt: Vec<(u64, String)>,
    /// Requests that cannot be read.
    unreadable: Vec<(u64, String)>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    begin: Instant,
    over: AtomicBool,
    connections: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Listens for a client, one address a node, and passes on what it says.
#[derive(Debug)]
pub struct Tap {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
}

/// What was heard in an episode.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Batches.
    pub attempts: Attempts,
    /// Requests and connections that brought nothing into a log.
    pub idle: Vec<(u64, String)>,
    /// How many requests came, by API.
    pub requests: BTreeMap<String, u64>,
    /// Answers that were spoilt.
    pub spoilt: Vec<(u64, String)>,
    /// Requests that cannot be read.
    pub unreadable: Vec<(u64, String)>,
}

impl Tap {
    /// Listens at each address for the node that is at the upstream beside it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn start(nodes: &[(SocketAddr, SocketAddr)]) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            begin: Instant::now(),
            over: AtomicBool::new(false),
            connections: AtomicU64::new(0),
        });
        let mut addresses = Vec::new();
        for (listen, upstream) in nodes {
            let listener = TcpListener::bind(listen)?;
            listener.set_nonblocking(true)?;
            addresses.push(listener.local_addr()?);
            let (shared, upstream) = (Arc::clone(&shared), *upstream);
            thread::Builder::new()
                .name("ottla-fuzz-tap".to_owned())
                .spawn(move || accept(&listener, upstream, &shared))?;
        }
        Ok(Self { shared, addresses })
    }

    /// Where it listens, in the order of the nodes.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Milliseconds since it began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.shared.now_ms()
    }

    /// Spoils the next answer that this fits.
    pub fn spoil(&self, spoil: Spoil) {
        self.shared.lock().spoils.push_back(spoil);
    }

    /// Spoils nothing any more.
    pub fn be_well(&self) {
        self.shared.lock().spoils.clear();
    }

    /// What was heard so far.
    #[must_use]
    pub fn heard(&self) -> Heard {
        let state = self.shared.lock();
        Heard {
            attempts: state.attempts.clone(),
            idle: state.idle.clone(),
            requests: state.requests.clone(),
            spoilt: state.spoilt.clone(),
            unreadable: state.unreadable.clone(),
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
    }
}

fn accept(listener: &TcpListener, upstream: SocketAddr, shared: &Arc<Shared>) {
    while !shared.over.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((client, _)) => {
                let at = shared.now_ms();
                shared.lock().idle.push((at, "a connection".to_owned()));
                // Who cannot be served is hung up on, as by a broker that is down.
                let _ = serve(client, upstream, shared);
            }
            Err(_) => thread::sleep(LOOK),
        }
    }
}

fn serve(client: TcpStream, upstream: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_nodelay(true)?;
    let broker = TcpStream::connect(upstream)?;
    broker.set_nodelay(true)?;
    let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let asked = Arc::new(Mutex::new(VecDeque::new()));
    let streams = (client.try_clone()?, broker.try_clone()?);
    let (to_client, to_broker) = (Arc::clone(shared), Arc::clone(shared));
    let asked_here = Arc::clone(&asked);
    let builder = || thread::Builder::new().name("ottla-fuzz-link".to_owned());
    builder().spawn(move || {
        let _ = requests(&client, &broker, number, &to_broker, &asked_here);
        // What was sent as a whole is still handled, as by a broker.
        let _ = broker.shutdown(Shutdown::Write);
    })?;
    builder().spawn(move || {
        let (client, broker) = streams;
        let _ = answers(&broker, &client, number, &to_client, &asked);
        let _ = client.shutdown(Shutdown::Both);
        let _ = broker.shutdown(Shutdown::Both);
    })?;
    Ok(())
}

/// A request whose answer is to come.
struct Asked {
    correlation_id: i32,
    known: Option<(&'static Api, i16)>,
}

type Queue = Arc<Mutex<VecDeque<Asked>>>;

fn requests(
    mut client: &TcpStream,
    mut broker: &TcpStream,
    connection: u64,
    shared: &Shared,
    asked: &Queue,
) -> io::Result<()> {
    loop {
        let frame = read_frame(&mut client)?;
        let at = shared.now_ms();
        let body = frame.get(4..).unwrap_or_default();
        let read = decode_request(body);
        let mut state = shared.lock();
        let mut answered = true;
        match &read {
            Ok(request) => {
                *state.requests.entry(request.api.name.to_owned()).or_default() += 1;
                if request.api.key == 0 {
                    state.attempts.sent(at, connection, request);
                    answered = request.body.int("acks") != 0;
                } else {
                    state.idle.push((at, request.api.name.to_owned()));
                }
            }
            Err(error) => {
                // An API that the table has not is none of its business.
                if !error.why.starts_with("an API") && !error.why.starts_with("a version") {
                    state.unreadable.push((at, error.to_string()));
                }
                state.idle.push((at, "another request".to_owned()));
            }
        }
        drop(state);
        if answered {
            let id = body.get(4..8).and_then(|id| id.try_into().ok()).map_or(0, i32::from_be_bytes);
            let known = read.ok().map(|request| (request.api, request.version));
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push_back(Asked { correlation_id: id, known });
        }
        broker.write_all(&frame)?;
    }
}

fn answers(
    mut broker: &TcpStream,
    mut client: &TcpStream,
    connection: u64,
    shared: &Shared,
    asked: &Queue,
) -> io::Result<()> {
    loop {
        let frame = match read_frame(&mut broker) {
            Ok(frame) => frame,
            // What is no frame is passed on as it is.
            Err(Broken::NoFrame(bytes)) => {
                client.write_all(&bytes)?;
                io::copy(&mut broker, &mut client)?;
                return Ok(());
            }
            Err(Broken::Io(error)) => return Err(error),
        };
        let id = frame.get(4..8).and_then(|id| id.try_into().ok()).map(i32::from_be_bytes);
        let next = {
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = asked.front().is_some_and(|asked| Some(asked.correlation_id) == id);
            if fits { asked.pop_front() } else { None }
        };
        let Some(Asked { correlation_id, known: Some((api, version)) }) = next else {
            client.write_all(&frame)?;
            continue;
        };
        let Ok(read) = decode_response(api, version, frame.get(4..).unwrap_or_default()) else {
            client.write_all(&frame)?;
            continue;
        };
        let at = shared.now_ms();
        let spoilt = {
            let mut state = shared.lock();
            let place = state.spoils.iter().position(|spoil| spoil.api == api.key);
            let order = place.and_then(|place| state.spoils.remove(place));
            let direction = Direction::Response;
            let body = read.body.clone();
            let whole = Frame { api, direction, version, correlation_id, client_id: None, body };
            let made = order.and_then(|order| {
                let made = spoil(&whole, order.mutator, &mut Seeded::new(order.seed))?;
                // What can be read might be taken for the truth, and then nobody could be judged.
                let read = decode_response(api, version, made.bytes.get(4..).unwrap_or_default());
                let is_told = read.is_ok_and(|read| read.correlation_id == correlation_id);
                let harmless = order.mutator == Mutator::TagUnknown;
                (!is_told || harmless).then_some((order, made, harmless))
            });
            match made {
                Some((order, made, harmless)) => {
                    let name = order.mutator.name();
                    let what = format!("an answer to {} with {name} at {}", api.name, made.at);
                    state.spoilt.push((at, what));
                    if api.key == 0 && !harmless {
                        state.attempts.spoilt(connection, correlation_id);
                    }
                    // What would come next would be taken for the rest of the frame.
                    let ends = (order.mutator.keeps() == Keeps::Nothing).then_some(order.seed);
                    Some((made.bytes, harmless, ends))
                }
                None => None,
            }
        };
        let intact = spoilt.as_ref().is_none_or(|(_, harmless, _)| *harmless);
        if api.key == 0 && intact {
            let mut state = shared.lock();
            state.attempts.answered(connection, correlation_id, &read.body);
            let partitions =
                read.body.structs("topics").flat_map(|topic| topic.structs("partitions"));
            let appended = partitions.filter(|told| told.int("error_code") == 0).count();
            if appended == 0 {
                state.idle.push((at, "a refused Produce".to_owned()));
            }
        }
        client.write_all(spoilt.as_ref().map_or(&frame, |(bytes, ..)| bytes))?;
        match spoilt.and_then(|(_, _, ends)| ends) {
            None => {}
            Some(seed) if seed % 2 == 0 => return Ok(()),
            Some(_) => {
                io::copy(&mut broker, &mut io::sink())?;
                return Ok(());
            }
        }
    }
}

/// Why there is no further frame.
enum Broken {
    /// These bytes begin none.
    NoFrame(Vec<u8>),
    Io(io::Error),
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NoFrame(_) => Self::from(io::ErrorKind::InvalidData),
            Broken::Io(error) => error,
        }
    }
}

fn read_frame(stream: &mut &TcpStream) -> Result<Vec<u8>, Broken> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).map_err(Broken::Io)?;
    let size = frame.first_chunk().map_or(0, |size| u32::from_be_bytes(*size));
    let len = usize::try_from(size).unwrap_or(usize::MAX);
    if len > MOST {
        return Err(Broken::NoFrame(frame));
    }
    // What is there of it is told to the client, even if the rest never comes.
    let mut read = 4_usize;
    frame.resize(len.saturating_add(4), 0);
    while read < frame.len() {
        match stream.read(frame.get_mut(read..).unwrap_or_default()) {
            Ok(0) => {
                frame.truncate(read);
                return Err(Broken::NoFrame(frame));
            }
            Ok(more) => read = read.saturating_add(more),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Broken::Io(error)),
        }
    }
    Ok(frame)
}
