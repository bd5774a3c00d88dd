//! Sessions of TLS, one for each connection slot.

use core::{cell::RefCell, convert::Infallible, future::pending};

use embassy_futures::select::{Either, select};
use embedded_io_async::{BufRead, Read, Write};
use embedded_tls::{Aes128GcmSha256, TlsConfig, TlsConnection, TlsContext, TlsError};
use ottla_core::Disconnect;
use ottla_embedded::{Connect, Duplex};
use rustls_pki_types::ServerName;

use crate::{
    certificates::{Provider, Settings},
    ends::{Ends, Received},
    failure::Failure,
    line::{Call, Line, LineStream},
};

/// Bytes that go from the pipe to embedded-tls at a time.
const CHUNK: usize = 64;

/// Memory for the TLS records of one connection: `RECEIVED` bytes for one of the broker's, and `SENT` for one of ours.
///
/// A record of the broker's that is larger ends the connection: its certificates are one, and so is an answer of up to 16
/// KiB. 1,024 do for one certificate of P-256, and for a topic with a few partitions. `SENT` must hold this client's
/// certificate and 128 bytes more; a request that is larger goes in several records.
#[derive(Debug)]
pub struct Records<const RECEIVED: usize, const SENT: usize> {
    received: [u8; RECEIVED],
    sent: [u8; SENT],
}

impl<const RECEIVED: usize, const SENT: usize> Records<RECEIVED, SENT> {
    /// embedded-tls wants more than this for a record of its own.
    const ROOM: () =
        assert!(SENT >= 512, "a ClientHello needs some 300 bytes, and 128 are kept back");

    /// Empty memory.
    #[must_use]
    pub const fn new() -> Self {
        let () = Self::ROOM;
        Self { received: [0; RECEIVED], sent: [0; SENT] }
    }
}

impl<const RECEIVED: usize, const SENT: usize> Default for Records<RECEIVED, SENT> {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`Connect`] whose connections are encrypted, for `N` connection slots.
///
/// Give it to [`ottla_embedded::run`], and run a [`Tls::serve`] for each slot beside it, in the same task or in others of
/// the same executor.
pub struct Tls<const N: usize> {
    lines: [Line; N],
}

impl<const N: usize> Default for Tls<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Connect for Tls<N> {
    type Stream<'a> = LineStream<'a>;

    async fn connect<'a>(
        &'a self,
        slot: usize,
        host: &str,
        port: u16,
    ) -> Result<LineStream<'a>, Disconnect> {
        match self.lines.get(slot) {
            Some(line) => line.dial(host, port).await,
            None => Err(Disconnect::Exhausted),
        }
    }
}

impl<const N: usize> Tls<N> {
    /// No connection yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { lines: [const { Line::new() }; N] }
    }

    /// Dials, shakes hands and encrypts for a slot, over and over. `tell` hears why a connection was not made or has ended.
    ///
    /// It never ends by itself. Where it is dropped, so must be the run that it served.
    pub async fn serve<C: Connect, const RECEIVED: usize, const SENT: usize>(
        &self,
        slot: usize,
        network: &C,
        settings: &Settings<'_>,
        records: &mut Records<RECEIVED, SENT>,
        tell: impl Fn(&Failure),
    ) -> Infallible {
        let Some(line) = self.lines.get(slot) else { return pending().await };
        loop {
            let call = line.call.wait().await;
            line.hung_up.reset();
            let session = session(line, slot, &call, network, settings, records);
            // Whoever hung up wants nothing more of it.
            match select(line.hung_up.wait(), session).await {
                Either::First(()) => {}
                Either::Second(failure) => {
                    tell(&failure);
                    line.lose(failure.cause());
                }
            }
        }
    }
}

/// One connection from the dial to its end. Nothing is done with it after an error: embedded-tls has dropped a TLS record
/// then, and would use its nonce for the next one.
async fn session<C: Connect, const RECEIVED: usize, const SENT: usize>(
    line: &Line,
    slot: usize,
    call: &Call,
    network: &C,
    settings: &Settings<'_>,
    records: &mut Records<RECEIVED, SENT>,
) -> Failure {
    let mut stream = match network.connect(slot, &call.host, call.port).await {
        Ok(stream) => stream,
        Err(cause) => return Failure::Dial(cause),
    };
    let (reader, writer) = stream.split();
    let (reader, writer) = (RefCell::new(Received::new(reader)), RefCell::new(writer));
    let ends = Ends::new(&reader, &writer);
    let mut connection = TlsConnection::new(ends, &mut records.received, &mut records.sent);
    if let Err(failure) = shake_hands(&mut connection, &call.host, settings).await {
        return failure;
    }
    line.answer.signal(Ok(()));
    let (mut reader, mut writer) = connection.split();
    match select(write(line, &mut writer), read(line, &mut reader)).await {
        Either::First(error) | Either::Second(error) => Failure::in_session(error),
    }
}

async fn shake_hands<'a, S: Read + Write + 'a>(
    connection: &mut TlsConnection<'a, S, Aes128GcmSha256>,
    host: &str,
    settings: &Settings<'_>,
) -> Result<(), Failure> {
    let now = settings.now().ok_or(Failure::NoTime)?;
    let name = ServerName::try_from(host).map_err(|_| Failure::NoName)?;
    let mut config = TlsConfig::new();
    // An address is not said in the handshake (RFC 6066, 3).
    if matches!(name, ServerName::DnsName(_)) {
        config = config.with_server_name(host);
    }
    let mut provider = Provider::new(settings, name, now);
    let opened = connection.open(TlsContext::new(&config, &mut provider)).await;
    if provider.lacks_entropy() {
        return Err(Failure::NoEntropy);
    }
    if let Some(why) = provider.refusal() {
        return Err(Failure::Certificate(why));
    }
    opened.map_err(Failure::in_handshake)?;
    if !provider.is_proven() {
        return Err(Failure::Unproven);
    }
    Ok(())
}

/// What the producer writes: gathered until it is flushed, or a record is full.
async fn write(line: &Line, writer: &mut impl Write<Error = TlsError>) -> TlsError {
    let mut chunk = [0; CHUNK];
    loop {
        let done = match select(line.to_broker.read(&mut chunk), line.flush.wait()).await {
            Either::First(len) => writer.write_all(chunk.get(..len).unwrap_or_default()).await,
            Either::Second(()) => writer.flush().await,
        };
        if let Err(error) = done {
            return error;
        }
    }
}

async fn read(line: &Line, reader: &mut impl BufRead<Error = TlsError>) -> TlsError {
    loop {
        let taken = match reader.fill_buf().await {
            Ok(bytes) => line.from_broker.write(bytes).await,
            Err(error) => return error,
        };
        reader.consume(taken);
    }
}
