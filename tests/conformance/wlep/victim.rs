//! A proxy that lives from a hostile Workload API, and what its peers see of it.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener as StdListener},
    sync::Arc,
    thread,
    time::Duration,
};

use signet_identity::{
    tls::{Clients, Expect, Identity, client_config, server_config},
    trust::Trust,
    workload_api::Svid,
    x509,
};
use signet_proto::workload::X509Svid;
use signet_tests::testbed::{Bed, Process, free_port, signet};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::hostile::Hostile;
use crate::wlapi::{block_on, domain::Domain};

/// The proxy, with a port in front of an echo, and one towards whoever is
/// `spiffe://example.org/server`.
pub(crate) struct Victim {
    pub(crate) process: Process,
    pub(crate) inbound: u16,
    pub(crate) outbound: u16,
    /// Where the outbound port leads.
    pub(crate) upstream: u16,
}

impl Victim {
    /// A proxy whose configuration names the endpoint; it need not have an identity yet.
    pub(crate) fn start(bed: &Bed, hostile: &Hostile) -> Self {
        let line = format!("workloadApi: {}", hostile.endpoint());
        Self::configured(bed, &line, &[])
    }

    /// A proxy with a line of configuration and variables of the test's own.
    pub(crate) fn configured(bed: &Bed, line: &str, environment: &[(&str, &str)]) -> Self {
        let (inbound, outbound, upstream) = (free_port(), free_port(), free_port());
        let echo = echo();
        let config = format!(
            "{line}
threads: 1
mesh: []
inbound:
  - {{ name: in, listen: '127.0.0.1:{inbound}', protocol: TCP, forward: '127.0.0.1:{echo}' }}
outbound:
  - {{ name: out, listen: '127.0.0.1:{outbound}', protocol: TCP, connect: '127.0.0.1:{upstream}', expect: ['spiffe://example.org/server', 'spiffe://other.org/server'] }}
"
        );
        let config = bed.write("victim.yaml", &config);
        let mut arguments: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let run = ["proxy", "run", "--config", config.to_str().unwrap()];
        arguments.push(signet().display().to_string());
        arguments.extend(run.map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        // `env` starts the program in its own place, under its own number.
        let env = std::path::Path::new("/usr/bin/env");
        let process = Process::start(env, &arguments, bed.path("victim.log"));
        Self {
            process,
            inbound,
            outbound,
            upstream,
        }
    }

    /// Waits until the proxy holds this identity.
    #[track_caller]
    pub(crate) fn holds(&self, id: &str) {
        self.process.says(&format!("spiffe_id={id}"));
        self.process.says("accepting connections");
    }

    /// Whom a client sees on the inbound port, if it gets an echo through it.
    pub(crate) fn seen_by(&self, client: &X509Svid, trust: &[&Domain]) -> Result<String, String> {
        block_on(see(self.inbound, client, trust))
    }

    /// Whether the outbound port carries bytes to a server with this SVID.
    pub(crate) fn reaches(&self, server: &X509Svid, trust: &[&Domain]) -> Result<(), String> {
        block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.upstream)).await;
            let listener = listener.map_err(|error| error.to_string())?;
            let config = server_config(
                watch::channel(Some(Arc::new(identity(server)))).1,
                watch::channel(trust_in(trust)).1,
                Clients::Required,
                &[],
            );
            let acceptor = TlsAcceptor::from(config.unwrap());
            let serve = async {
                let (stream, _) = listener.accept().await?;
                let mut stream = acceptor.accept(stream).await?;
                let mut bytes = [0; 4];
                stream.read_exact(&mut bytes).await?;
                stream.write_all(&bytes).await?;
                stream.shutdown().await
            };
            let ask = async {
                let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.outbound)).await?;
                stream.write_all(b"ping").await?;
                let mut bytes = [0; 4];
                stream.read_exact(&mut bytes).await
            };
            let both = async { tokio::join!(serve, ask) };
            match timeout(LIMIT, both).await {
                Ok((_, Ok(_))) => Ok(()),
                Ok((_, Err(error))) => Err(error.to_string()),
                Err(_) => Err("nothing came".to_owned()),
            }
        })
    }
}

async fn see(port: u16, client: &X509Svid, trust: &[&Domain]) -> Result<String, String> {
    let config = client_config(
        Some(watch::channel(Some(Arc::new(identity(client)))).1),
        watch::channel(trust_in(trust)).1,
        Expect::AnyTrusted,
        &[],
    )
    .unwrap();
    let exchange = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(config).connect(name, stream).await?;
        stream.write_all(b"ping").await?;
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await?;
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        let leaf = x509::check_svid_leaf(&chain[0]).unwrap();
        std::io::Result::Ok(leaf.id.to_string())
    };
    match timeout(LIMIT, exchange).await {
        Ok(seen) => seen.map_err(|error| error.to_string()),
        Err(_) => Err("nothing came".to_owned()),
    }
}

fn identity(svid: &X509Svid) -> Identity {
    Svid::read(svid).unwrap().identity
}

fn trust_in(domains: &[&Domain]) -> Arc<Trust> {
    let bundles: Vec<_> = domains.iter().map(|domain| domain.bundle()).collect();
    Arc::new(Trust::new(&bundles))
}

/// An application that says what it hears.
fn echo() -> u16 {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || repeat(stream.unwrap()));
        }
    });
    port
}

fn repeat(mut stream: std::net::TcpStream) {
    let mut bytes = [0; 64];
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..length]).is_err() {
            return;
        }
    }
}

const LIMIT: Duration = Duration::from_secs(10);
