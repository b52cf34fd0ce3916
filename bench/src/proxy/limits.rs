//! What TLS itself costs: our own configuration, the world's own SVID, no socket.

use std::{
    io::{Read as _, Write as _},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use signet_identity::{
    SpiffeId,
    tls::{Clients, Expect, client_config, server_config},
    workload_api::X509Context,
};
use signet_proto::workload::{
    X509SvidRequest, spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use tokio::sync::watch;
use tokio_stream::StreamExt as _;

use super::pair::identity;
use crate::{
    figure::float,
    meter::{own_cost, own_time},
    world::World,
};

/// Both ends of TLS as the proxies have them.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    pub(super) client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// Processor time in µs of one handshake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handshake {
    pub(super) client: f64,
    pub(super) server: f64,
}

/// Processor time in ms of a gigabyte, sealed and opened in full records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Records {
    pub(super) seal: f64,
    pub(super) open: f64,
}

impl Ends {
    /// With the identity that the world's agent gives this process.
    pub(super) async fn of(world: &World, alpn: &[&[u8]]) -> anyhow::Result<Self> {
        let mut api = SpiffeWorkloadApiClient::new(world.channel("agent.sock"));
        let mut request = tonic::Request::new(X509SvidRequest {});
        let marker = "true".parse()?;
        request.metadata_mut().insert("workload.spiffe.io", marker);
        let mut stream = api.fetch_x509svid(request).await?.into_inner();
        let answer = stream.next().await.context("no SVID")??;
        let context = X509Context::read(&answer)?;
        let (_, trust) = watch::channel(Arc::new(context.trust()));
        let own = context.into_default().identity;
        let (_, own) = watch::channel(Some(Arc::new(own)));
        let expect = Expect::Exactly(vec![SpiffeId::new(identity())?]);
        Ok(Self {
            client: client_config(Some(own.clone()), trust.clone(), expect, alpn)?,
            server: server_config(own, trust, Clients::Required, alpn)?,
        })
    }

    /// The cost of a mutual handshake, for each end: the median of many.
    pub(super) fn handshake(&self) -> anyhow::Result<Handshake> {
        let (mut client, mut server) = (Vec::new(), Vec::new());
        for _ in 0..HANDSHAKES {
            let talk = Talk::new(self)?.finish()?;
            client.push(talk.spent_by_client);
            server.push(talk.spent_by_server);
        }
        Ok(Handshake {
            client: median(client),
            server: median(server),
        })
    }

    /// The cost of a gigabyte.
    pub(super) fn records(&self) -> anyhow::Result<Records> {
        let plain = vec![b'x'; RECORD];
        let mut wire = Vec::with_capacity(2 * RECORD);
        let Talk { mut client, .. } = Talk::new(self)?.finish()?;
        let seal = own_cost(|| {
            wire.clear();
            client.writer().write_all(&plain)?;
            client.write_tls(&mut wire)?;
            Ok(())
        })?;
        // The other end opens records in order and from the first: a new pair.
        let talk = Talk::new(self)?.finish()?;
        let (mut client, mut server) = (talk.client, talk.server);
        let mut opened = vec![0; RECORD];
        let both = own_cost(|| {
            wire.clear();
            client.writer().write_all(&plain)?;
            client.write_tls(&mut wire)?;
            let mut unread = wire.as_slice();
            while !unread.is_empty() {
                server.read_tls(&mut unread)?;
                server.process_new_packets()?;
            }
            server.reader().read_exact(&mut opened)?;
            Ok(())
        })?;
        let gigabyte = |record: f64| record / 1e3 * 1e9 / float(RECORD);
        Ok(Records {
            seal: gigabyte(seal),
            open: gigabyte(both - seal),
        })
    }
}

/// A handshake between two ends in memory.
struct Talk {
    client: ClientConnection,
    server: ServerConnection,
    spent_by_client: Duration,
    spent_by_server: Duration,
}

impl Talk {
    fn new(ends: &Ends) -> anyhow::Result<Self> {
        let name = IpAddr::from([127, 0, 0, 1]).into();
        let before = own_time()?;
        let client = ClientConnection::new(Arc::clone(&ends.client), name)?;
        let between = own_time()?;
        let server = ServerConnection::new(Arc::clone(&ends.server))?;
        Ok(Self {
            client,
            server,
            spent_by_client: between.saturating_sub(before),
            spent_by_server: own_time()?.saturating_sub(between),
        })
    }

    fn finish(mut self) -> anyhow::Result<Self> {
        // Three flights: hello, answer, the client's proof.
        for _ in 0..MOST_FLIGHTS {
            let before = own_time()?;
            let mut wire = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut wire)?;
            }
            let between = own_time()?;
            self.spent_by_client += between.saturating_sub(before);
            let mut unread = wire.as_slice();
            while !unread.is_empty() {
                self.server.read_tls(&mut unread)?;
                self.server.process_new_packets()?;
            }
            wire.clear();
            while self.server.wants_write() {
                self.server.write_tls(&mut wire)?;
            }
            let before = own_time()?;
            self.spent_by_server += before.saturating_sub(between);
            let mut unread = wire.as_slice();
            while !unread.is_empty() {
                self.client.read_tls(&mut unread)?;
                self.client.process_new_packets()?;
            }
            self.spent_by_client += own_time()?.saturating_sub(before);
            if !self.client.is_handshaking() && !self.server.is_handshaking() {
                return Ok(self);
            }
        }
        bail!("a handshake in memory does not end")
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    middle.as_secs_f64() * 1e6
}

/// A TLS record's payload.
const RECORD: usize = 16 * 1024;
const HANDSHAKES: usize = 400;
const MOST_FLIGHTS: usize = 4;
