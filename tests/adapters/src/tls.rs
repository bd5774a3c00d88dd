//! TLS before the model broker, and certificates for it.

use core::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};
use std::{
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
    thread,
};

use ottla_model::serve::Server;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{io::copy_bidirectional, net::TcpStream, runtime, task::AbortHandle};
use tokio_rustls::TlsAcceptor;

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM texts.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The key, as PKCS#8.
    pub key: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// One that nobody knows yet.
    #[must_use]
    pub fn new() -> Self {
        // A name of its own: of two with the same one, the wrong one is taken for a forgery.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// Its own certificate, for who is to trust it.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names, valid now.
    #[must_use]
    pub fn sign(&self, names: &[&str]) -> Identity {
        self.sign_with(names, |_| {})
    }

    /// One whose time is over.
    #[must_use]
    pub fn sign_expired(&self, names: &[&str]) -> Identity {
        self.sign_with(names, |params| params.not_after = date_time_ymd(2001, 1, 1))
    }

    fn sign_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// What a front asks of its clients.
#[derive(Clone, Debug)]
pub struct Demands<'a> {
    /// The versions that it speaks.
    pub versions: &'a [&'static SupportedProtocolVersion],
    /// Whose clients it lets in; `None`: everybody.
    pub clients_of: Option<&'a Authority>,
}

impl Default for Demands<'_> {
    fn default() -> Self {
        Self { versions: rustls::ALL_VERSIONS, clients_of: None }
    }
}

/// Puts TLS before each node of a server, which advertises that from now on under `host`. Returns where it
/// listens. It ends with the process.
///
/// # Panics
///
/// Where this machine does not give what it needs.
#[must_use]
pub fn front(server: &Server, host: &str, identity: &Identity, demands: &Demands<'_>) -> String {
    front_to_cut(server, host, identity, demands).0
}

/// The connections of a front.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Mutex<Vec<(i32, AbortHandle)>>>);

impl Connections {
    /// Cuts those to nodes that `which` says.
    pub fn cut(&self, which: impl Fn(i32) -> bool) {
        self.lock().retain(|(node, connection)| {
            let cut = which(*node);
            if cut {
                connection.abort();
            }
            !cut
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(i32, AbortHandle)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As [`front`], with what cuts its connections.
///
/// # Panics
///
/// As [`front`].
#[must_use]
pub fn front_to_cut(
    server: &Server,
    host: &str,
    identity: &Identity,
    demands: &Demands<'_>,
) -> (String, Connections) {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let builder = ServerConfig::builder_with_protocol_versions(demands.versions);
    let builder = match demands.clients_of {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(der(&authority.certificate())).unwrap();
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = builder.with_single_cert(vec![der(&identity.certificate)], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let nodes: Vec<(i32, SocketAddr)> = server.with_cluster(|cluster| {
        let nodes: Vec<_> = cluster.nodes().collect();
        nodes.iter().map(|&id| (id, upstream(cluster.address(id)))).collect()
    });
    let (mut addresses, connections) = (Vec::new(), Connections::default());
    for (id, to) in nodes {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        server.with_cluster(|cluster| cluster.set_address(id, host, port)).unwrap();
        addresses.push(format!("{host}:{port}"));
        let (acceptor, open) = (acceptor.clone(), connections.clone());
        thread::spawn(move || serve(listener, to, &acceptor, |it| open.lock().push((id, it))));
    }
    (addresses.join(","), connections)
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn upstream(address: Option<(&str, u16)>) -> SocketAddr {
    let (host, port) = address.unwrap();
    SocketAddr::new(host.parse().unwrap(), port)
}

fn serve(
    listener: TcpListener,
    to: SocketAddr,
    acceptor: &TlsAcceptor,
    opened: impl Fn(AbortHandle),
) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            let connection = tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut broker = TcpStream::connect(to).await?;
                broker.set_nodelay(true)?;
                copy_bidirectional(&mut client, &mut broker).await
            });
            opened(connection.abort_handle());
        }
    });
}
