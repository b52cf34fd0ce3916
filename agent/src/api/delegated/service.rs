//! The RPCs of the DelegatedIdentity API.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use signet_daemon::{shares::Shares, socket::Peer};
use signet_identity::{SpiffeId, entry::Entry, selector::Selectors};
use signet_proto::spire::api::{
    agent::delegatedidentity::v1::{
        FetchJwtsviDsRequest, FetchJwtsviDsResponse, SubscribeToJwtBundlesRequest,
        SubscribeToJwtBundlesResponse, SubscribeToX509BundlesRequest,
        SubscribeToX509BundlesResponse, SubscribeToX509sviDsRequest, SubscribeToX509sviDsResponse,
        delegated_identity_server::DelegatedIdentity,
    },
    types,
};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::warn;

use super::{delegate::Delegate, views};
use crate::{
    api::{
        follow::{Follow, Listener as _, Messages, Patience, Step},
        status::Refusal,
    },
    cache::{Cache, Subscription},
    clock,
    workload::{Attestors, process_peer},
};

/// The DelegatedIdentity API of one agent.
#[derive(Debug)]
pub(in crate::api) struct Service {
    cache: Cache,
    attestors: Attestors,
    authorized: Arc<BTreeSet<SpiffeId>>,
    streams: Shares<u32>,
    shutdown: CancellationToken,
}

impl Service {
    pub(in crate::api) fn new(
        cache: Cache,
        attestors: Attestors,
        authorized: Arc<BTreeSet<SpiffeId>>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            cache,
            attestors,
            authorized,
            streams: Shares::new(MOST_STREAMS, MOST_STREAMS_PER_USER),
            shutdown,
        }
    }

    /// The caller, if it is a delegate.
    async fn delegate<T>(&self, rpc: &str, request: &Request<T>) -> Result<Delegate, Refusal> {
        let peer = request.extensions().get::<Peer>().ok_or(Refusal::NoPeer)?;
        let workload = self.attestors.attest(peer, clock::now()).await?;
        let own = self.cache.subscribe(workload.selectors());
        let delegate = Delegate::new(workload, own, Arc::clone(&self.authorized));
        if let Err(refusal) = &delegate {
            warn!(
                rpc,
                pid = %peer.pid,
                "refused process {} on the admin socket: {refusal}",
                peer.pid,
            );
        }
        delegate
    }

    /// The selectors of the workload that a request is about: as given, or those of a process.
    async fn whom(&self, selectors: &[types::Selector], pid: i32) -> Result<Selectors, Refusal> {
        match (selectors.is_empty(), pid) {
            (true, 0) => Err(Refusal::Whom("name the workload by selectors or by pid")),
            (false, 0) => Selectors::from_proto(selectors).map_err(Refusal::BadSelectors),
            (false, _) => Err(Refusal::Whom(
                "name the workload by selectors or by pid, not by both",
            )),
            (true, pid) => {
                let pid = u32::try_from(pid)
                    .map_err(|_negative| Refusal::Whom("a pid must be positive"))?;
                let peer = process_peer(pid).map_err(Refusal::NoSuchWorkload)?;
                let workload = self.attestors.attest(&peer, clock::now()).await;
                let workload = workload.map_err(Refusal::NoSuchWorkload)?;
                Ok(workload.selectors().clone())
            }
        }
    }

    fn stream<S, M, V>(
        &self,
        delegate: Delegate,
        source: watch::Receiver<Arc<S>>,
        subject: Option<Subscription>,
        view: V,
    ) -> Result<Response<Messages<M>>, Status>
    where
        S: Send + Sync + 'static,
        M: Clone + PartialEq + Send + 'static,
        V: Fn(&S, Patience) -> Step<M> + Send + 'static,
    {
        let permit = self.streams.take_now(delegate.workload().peer().uid);
        let follow = Follow {
            listener: delegate,
            source,
            _subject: subject,
            view,
            _permit: permit.ok_or(Refusal::TooManyStreams)?,
            shutdown: self.shutdown.clone(),
            last: None,
        };
        Ok(Response::new(follow.into_stream()))
    }

    async fn token(
        &self,
        entry: &Arc<Entry>,
        audience: &[String],
    ) -> Result<types::Jwtsvid, Refusal> {
        let svid = self.cache.jwt_svid(entry, audience.to_vec()).await;
        if let Err(error) = &svid {
            warn!(
                entry = %entry.id,
                error = error as &dyn std::error::Error,
                "no JWT-SVID for {}: {error}",
                entry.spiffe_id
            );
        }
        Ok(views::jwt_svid(entry, svid?))
    }
}

#[tonic::async_trait]
impl DelegatedIdentity for Service {
    type SubscribeToX509SVIDsStream = Messages<SubscribeToX509sviDsResponse>;
    type SubscribeToX509BundlesStream = Messages<SubscribeToX509BundlesResponse>;
    type SubscribeToJWTBundlesStream = Messages<SubscribeToJwtBundlesResponse>;

    async fn subscribe_to_x509svi_ds(
        &self,
        request: Request<SubscribeToX509sviDsRequest>,
    ) -> Result<Response<Self::SubscribeToX509SVIDsStream>, Status> {
        let delegate = self.delegate("SubscribeToX509SVIDs", &request).await?;
        let asked = request.get_ref();
        let selectors = self.whom(&asked.selectors, asked.pid).await?;
        let subject = self.cache.subscribe(&selectors);
        let source = subject.receiver.clone();
        self.stream(delegate, source, Some(subject), views::x509_svids)
    }

    async fn subscribe_to_x509_bundles(
        &self,
        request: Request<SubscribeToX509BundlesRequest>,
    ) -> Result<Response<Self::SubscribeToX509BundlesStream>, Status> {
        let delegate = self.delegate("SubscribeToX509Bundles", &request).await?;
        self.stream(delegate, self.cache.bundles(), None, views::x509_bundles)
    }

    async fn fetch_jwtsvi_ds(
        &self,
        request: Request<FetchJwtsviDsRequest>,
    ) -> Result<Response<FetchJwtsviDsResponse>, Status> {
        let asked = request.get_ref();
        if asked.audience.is_empty() || asked.audience.iter().any(String::is_empty) {
            return Err(Refusal::Missing("audience").into());
        }
        self.delegate("FetchJWTSVIDs", &request).await?;
        let selectors = self.whom(&asked.selectors, asked.pid).await?;
        let mut entries = self.cache.matching_entries(&selectors);
        entries.retain(|entry| views::may_be_given(entry));
        if entries.is_empty() {
            return Err(Refusal::NoIdentity.into());
        }
        let tokens = entries
            .iter()
            .map(|entry| self.token(entry, &asked.audience));
        let svids = timeout(JWT_DEADLINE, try_join_all(tokens))
            .await
            .map_err(|_late| Refusal::Late)??;
        Ok(Response::new(FetchJwtsviDsResponse { svids }))
    }

    async fn subscribe_to_jwt_bundles(
        &self,
        request: Request<SubscribeToJwtBundlesRequest>,
    ) -> Result<Response<Self::SubscribeToJWTBundlesStream>, Status> {
        let delegate = self.delegate("SubscribeToJWTBundles", &request).await?;
        self.stream(delegate, self.cache.bundles(), None, views::jwt_bundles)
    }
}

/// All streams of all delegates, and those of one user.
const MOST_STREAMS: usize = 65_536;
const MOST_STREAMS_PER_USER: usize = 16_384;

/// Several identities are fetched at once.
const JWT_DEADLINE: Duration = Duration::from_secs(30);
