//! `ottla broker`: the model broker alone.

use core::{net::SocketAddr, time::Duration};
use std::{
    net::ToSocketAddrs,
    sync::mpsc::{self, RecvTimeoutError},
};

use anyhow::{Context as _, ensure};
use ottla_model::{
    ClusterConfig, Storage,
    sasl::{Mechanism, SaslConfig},
    serve::Server,
};

use crate::{
    args::Broker,
    dump::dump,
    signals::Stop,
    stdout_stderr::{ERR, OUT},
};

/// Bytes of records that are kept; beyond them the oldest are forgotten.
const KEPT: usize = 256 * 1024 * 1024;

/// How often it is looked at what came into the logs.
const LOOK: Duration = Duration::from_millis(20);

/// Serves until a signal comes.
pub(crate) fn run(args: &Broker) -> anyhow::Result<()> {
    let listen = resolve(&args.listen)?;
    let config = ClusterConfig {
        default_partitions: args.partitions,
        storage: Storage::Newest { bytes: KEPT },
        sasl: sasl(args)?,
        ..ClusterConfig::default()
    };
    let server = start(args, listen, config)?;
    for name in &args.topics {
        server
            .with_cluster(|cluster| cluster.create_topic(name, args.partitions))
            .map_err(|error| anyhow::anyhow!("--topic {name:?}: {error}"))?;
    }
    let (stopped, stop) = mpsc::channel();
    Stop::on_signal(move || {
        // Not heard only where the end is near anyway.
        let _ = stopped.send(());
    })?;
    if args.dump {
        server.with_cluster(ottla_model::Cluster::watch);
    }
    OUT.line(format_args!("listening on {}", server.bootstrap_servers()));
    if let Some(ca) = &args.tls_ca {
        ERR.line(format_args!(
            "ottla: the certificate is self-made, for trying only; clients need ssl.ca.location={}",
            ca.display()
        ));
    }
    // Where it listens is all that a broker has to say.
    while !OUT.has_failed() {
        if !args.dump {
            return stop.recv().context("signals cannot be waited for");
        }
        let stopped = stop.recv_timeout(LOOK);
        let heard = dump(&server);
        match stopped {
            // Whoever asked for the logs is gone.
            _ if !heard => return Ok(()),
            Ok(()) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(error) => return Err(error).context("signals cannot be waited for"),
        }
    }
    Ok(())
}

#[cfg(feature = "tls")]
fn start(args: &Broker, listen: SocketAddr, config: ClusterConfig) -> anyhow::Result<Server> {
    let listening = || format!("--listen {}", args.listen);
    let Some(ca) = &args.tls_ca else {
        return Server::start(&[listen], config).with_context(listening);
    };
    let host = args.listen.rsplit_once(':').map_or(&*args.listen, |(host, _)| host);
    let tls = crate::self_made::certificate(host, listen.ip(), ca)
        .with_context(|| format!("--tls-ca {}", ca.display()))?;
    Server::start_tls(&[listen], config, tls).with_context(listening)
}

#[cfg(not(feature = "tls"))]
fn start(args: &Broker, listen: SocketAddr, config: ClusterConfig) -> anyhow::Result<Server> {
    let without = "--tls-ca: this program was built without TLS; build it with `--features tls`";
    ensure!(args.tls_ca.is_none(), without);
    Server::start(&[listen], config).with_context(|| format!("--listen {}", args.listen))
}

/// What clients are asked, if they are.
fn sasl(args: &Broker) -> anyhow::Result<Option<SaslConfig>> {
    let Broker { mechanisms, users, tokens, max_reauth, .. } = args;
    for mechanism in mechanisms {
        let (somebody, option) = match mechanism {
            Mechanism::OAuthBearer => (!tokens.is_empty(), "--sasl-token NAME:TOKEN"),
            Mechanism::Plain | Mechanism::ScramSha256 | Mechanism::ScramSha512 => {
                (!users.is_empty(), "--sasl-user NAME:PASSWORD")
            }
        };
        ensure!(somebody, "--sasl-mechanism {mechanism}: it lets nobody in without {option}");
    }
    Ok((!mechanisms.is_empty()).then(|| SaslConfig {
        mechanisms: mechanisms.clone(),
        users: users.clone(),
        tokens: tokens.clone(),
        max_reauth: max_reauth.map(Duration::from_millis),
        ..SaslConfig::default()
    }))
}

fn resolve(listen: &str) -> anyhow::Result<SocketAddr> {
    let mut addresses = listen.to_socket_addrs().with_context(|| format!("--listen {listen}"))?;
    addresses.next().with_context(|| format!("--listen {listen}: it has no address"))
}
