//! The RPCs of the Workload API. Each attests its caller anew: a process may have become another
//! program since its last call.

use std::{
    collections::BTreeSet,
    future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all};
use signet_daemon::{shares::Shares, socket::Peer};
use signet_identity::{SpiffeId, TrustDomain, entry::Entry, id, jwt, x509};
use signet_proto::{
    WitBundlesRequest, WitBundlesResponse, WitsvidRequest, WitsvidResponse,
    workload::{
        JwtBundlesRequest, JwtBundlesResponse, JwtSvid, JwtSvidRequest, JwtSvidResponse,
        ValidateJwtSvidRequest, ValidateJwtSvidResponse, X509BundlesRequest, X509BundlesResponse,
        X509Svid, X509SvidRequest, X509SvidResponse, spiffe_workload_api_server::SpiffeWorkloadApi,
    },
};
use tokio::{sync::watch::error::RecvError, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tracing::{debug, warn};

use super::{
    claims,
    explain::{self, Explainer},
    views::{self, Verifiers},
};
use crate::{
    api::{
        follow::{Follow, Listener, Messages, Patience, Step},
        status::Refusal,
    },
    cache::{Cache, WorkloadUpdate},
    clock,
    workload::{Attestors, Workload},
};

/// What the operator decides about the Workload API.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Let processes without an identity see the own trust domain's bundle
    /// (`allow_unauthenticated_verifiers`).
    pub(crate) allow_unauthenticated_verifiers: bool,
    /// Private claims that `ValidateJWTSVID` returns from tokens of other trust domains
    /// (`allowed_foreign_jwt_claims`).
    pub(crate) allowed_foreign_jwt_claims: BTreeSet<String>,
}

/// The Workload API of one agent.
#[derive(Debug)]
pub(super) struct Service {
    cache: Cache,
    attestors: Attestors,
    verifiers: Verifiers,
    foreign_claims: BTreeSet<String>,
    streams: Shares<u32>,
    explainer: Explainer,
    shutdown: CancellationToken,
}

impl Service {
    pub(super) fn new(
        cache: Cache,
        attestors: Attestors,
        settings: Settings,
        shutdown: CancellationToken,
    ) -> Self {
        let verifiers = if settings.allow_unauthenticated_verifiers {
            Verifiers::Anyone
        } else {
            Verifiers::Identified
        };
        Self {
            cache,
            attestors,
            verifiers,
            foreign_claims: settings.allowed_foreign_jwt_claims,
            streams: Shares::new(MOST_STREAMS, MOST_STREAMS_PER_USER),
            explainer: Explainer::default(),
            shutdown,
        }
    }

    /// Who calls?
    async fn caller<T>(&self, rpc: &str, request: &Request<T>) -> Result<Workload, Refusal> {
        let peer = request.extensions().get::<Peer>().ok_or(Refusal::NoPeer)?;
        let attested = self.attestors.attest(peer, clock::now()).await;
        match &attested {
            // The agent's own health check is nobody's news.
            Ok(_) if peer.pid == std::process::id() => {}
            Ok(workload) => debug!(
                name: "process_attested",
                rpc,
                pid = %peer.pid,
                selectors = %explain::list(workload.selectors().iter()),
                "attested process {}",
                peer.pid
            ),
            Err(error) => warn!(
                rpc,
                pid = %peer.pid,
                uid = peer.uid,
                error = error as &dyn std::error::Error,
                "refused process {}: {error}",
                peer.pid
            ),
        }
        Ok(attested?)
    }

    async fn stream<T, M, V>(
        &self,
        rpc: &str,
        request: &Request<T>,
        view: V,
    ) -> Result<Response<Messages<M>>, Status>
    where
        M: Clone + PartialEq + Send + 'static,
        V: Fn(&WorkloadUpdate, Patience) -> Step<M> + Send + 'static,
    {
        let workload = self.caller(rpc, request).await?;
        let permit = self.streams.take_now(workload.peer().uid);
        let permit = permit.ok_or(Refusal::TooManyStreams)?;
        let subscription = self.cache.subscribe(workload.selectors());
        let first = view(&subscription.receiver.borrow(), Patience::ForSome);
        if matches!(first, Step::Deny) {
            return Err(self.deny(rpc, &workload).into());
        }
        let follow = Follow {
            listener: workload,
            source: subscription.receiver.clone(),
            _subject: Some(subscription),
            view,
            _permit: permit,
            shutdown: self.shutdown.clone(),
            last: None,
        };
        Ok(Response::new(follow.into_stream()))
    }

    /// The caller's entries, if it asks for one ID those with that ID; none is a refusal.
    fn entries_for(
        &self,
        rpc: &str,
        workload: &Workload,
        id: Option<&SpiffeId>,
    ) -> Result<Vec<Arc<Entry>>, Refusal> {
        let mut entries = self.cache.matching_entries(workload.selectors());
        if entries.is_empty() {
            return Err(self.deny(rpc, workload));
        }
        entries.retain(|entry| id.is_none_or(|id| entry.spiffe_id == *id));
        if entries.is_empty() {
            debug!(
                pid = %workload.peer().pid,
                "the caller has identities, but not the one it asks for",
            );
            return Err(Refusal::NoIdentity);
        }
        Ok(entries)
    }

    fn deny(&self, rpc: &str, workload: &Workload) -> Refusal {
        self.explainer
            .denied(rpc, workload, || self.cache.known(), clock::now());
        Refusal::NoIdentity
    }

    async fn token(
        &self,
        caller: &Peer,
        entry: &Arc<Entry>,
        audience: &[String],
    ) -> Result<JwtSvid, Refusal> {
        let svid = self.cache.jwt_svid(entry, audience.to_vec()).await;
        let Peer { pid, .. } = caller;
        match &svid {
            Ok(svid) => debug!(
                name: "jwt_svid_fetched",
                rpc = "FetchJWTSVID",
                pid,
                spiffe_id = %entry.spiffe_id,
                ttl = until(svid.expires_at, clock::now()).as_secs_f64(),
                "process {pid} has a token"
            ),
            Err(error) => warn!(
                name: "jwt_svid_not_fetched",
                rpc = "FetchJWTSVID",
                pid,
                entry_id = %entry.id,
                spiffe_id = %entry.spiffe_id,
                error = error as &dyn std::error::Error,
                "no JWT-SVID for {}: {error}",
                entry.spiffe_id
            ),
        }
        Ok(JwtSvid {
            spiffe_id: entry.spiffe_id.to_string(),
            svid: svid?.token,
            hint: entry.hint.clone(),
        })
    }

    /// Validates with the bundles that this workload may see. One without an identity has the
    /// own trust domain's, as with SPIRE.
    fn validate(
        &self,
        workload: &Workload,
        request: &ValidateJwtSvidRequest,
    ) -> Result<ValidateJwtSvidResponse, Refusal> {
        let bundles = Arc::clone(&self.cache.bundles().borrow());
        let own = &bundles.own.bundle().trust_domain;
        let entries = self.cache.matching_entries(workload.selectors());
        let federates = |domain: &TrustDomain| {
            entries
                .iter()
                .any(|entry| entry.federates_with.contains(domain))
        };
        let find = |domain: &TrustDomain| {
            let bundle = bundles
                .find(domain)
                .filter(|_| domain == own || federates(domain));
            bundle.map(|bundle| Arc::clone(bundle.bundle()))
        };
        let valid = jwt::validate(&request.svid, &request.audience, find, clock::now())?;
        let claims = if valid.id.is_member_of(own) {
            claims::all(&valid.claims)
        } else {
            claims::of_foreign(&valid.claims, &self.foreign_claims)
        };
        Ok(ValidateJwtSvidResponse {
            spiffe_id: valid.id.to_string(),
            claims: Some(claims),
        })
    }
}

#[tonic::async_trait]
impl SpiffeWorkloadApi for Service {
    type FetchX509SVIDStream = Messages<X509SvidResponse>;
    type FetchX509BundlesStream = Messages<X509BundlesResponse>;
    type FetchJWTBundlesStream = Messages<JwtBundlesResponse>;
    type FetchWITSVIDStream = Messages<WitsvidResponse>;
    type FetchWITBundlesStream = Messages<WitBundlesResponse>;

    async fn fetch_x509svid(
        &self,
        request: Request<X509SvidRequest>,
    ) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        let pid = request.extensions().get::<Peer>().map(|peer| peer.pid);
        let streamed = self.stream("FetchX509SVID", &request, views::x509_svids);
        let log = move |message: &X509SvidResponse| log_fetched(pid, message);
        Ok(streamed
            .await?
            .map(|messages| messages.inspect_ok(log).boxed()))
    }

    async fn fetch_x509_bundles(
        &self,
        request: Request<X509BundlesRequest>,
    ) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        let verifiers = self.verifiers;
        let view = move |update: &WorkloadUpdate, _| views::x509_bundles(update, verifiers);
        self.stream("FetchX509Bundles", &request, view).await
    }

    async fn fetch_jwtsvid(
        &self,
        request: Request<JwtSvidRequest>,
    ) -> Result<Response<JwtSvidResponse>, Status> {
        let audience = &request.get_ref().audience;
        present(
            "audience",
            !audience.is_empty() && !audience.iter().any(String::is_empty),
        )?;
        let id = requested_id(request.get_ref())?;
        let rpc = "FetchJWTSVID";
        let workload = self.caller(rpc, &request).await?;
        let entries = self.entries_for(rpc, &workload, id.as_ref())?;
        let chosen = views::first_of_each_hint(&entries, |entry| entry);
        let peer = workload.peer();
        let tokens = try_join_all(chosen.map(|entry| self.token(peer, entry, audience)));
        let svids = timeout(JWT_DEADLINE, tokens)
            .await
            .map_err(|_late| Refusal::Late)??;
        Ok(Response::new(JwtSvidResponse { svids }))
    }

    async fn fetch_jwt_bundles(
        &self,
        request: Request<JwtBundlesRequest>,
    ) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        let verifiers = self.verifiers;
        let view = move |update: &WorkloadUpdate, _| views::jwt_bundles(update, verifiers);
        self.stream("FetchJWTBundles", &request, view).await
    }

    async fn validate_jwtsvid(
        &self,
        request: Request<ValidateJwtSvidRequest>,
    ) -> Result<Response<ValidateJwtSvidResponse>, Status> {
        present("audience", !request.get_ref().audience.is_empty())?;
        present("svid", !request.get_ref().svid.is_empty())?;
        let workload = self.caller("ValidateJWTSVID", &request).await?;
        Ok(Response::new(self.validate(&workload, request.get_ref())?))
    }

    async fn fetch_witsvid(
        &self,
        _request: Request<WitsvidRequest>,
    ) -> Result<Response<Self::FetchWITSVIDStream>, Status> {
        Err(Refusal::NoWit.into())
    }

    async fn fetch_wit_bundles(
        &self,
        _request: Request<WitBundlesRequest>,
    ) -> Result<Response<Self::FetchWITBundlesStream>, Status> {
        Err(Refusal::NoWit.into())
    }
}

fn log_fetched(pid: Option<u32>, message: &X509SvidResponse) {
    // The agent's own health check is nobody's news.
    let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else {
        return;
    };
    let count = message.svids.len();
    for svid in &message.svids {
        debug!(
            name: "x509_svid_fetched",
            rpc = "FetchX509SVID",
            pid,
            spiffe_id = svid.spiffe_id,
            count,
            ttl = ends(svid).map(|ends| until(ends, clock::now()).as_secs_f64()),
            "process {pid} has an X.509-SVID"
        );
    }
}

fn ends(svid: &X509Svid) -> Option<SystemTime> {
    let chain = x509::split(&svid.x509_svid).ok()?;
    let leaf = x509::check_svid_leaf(chain.first()?).ok()?;
    Some(leaf.not_after)
}

fn until(end: SystemTime, now: SystemTime) -> Duration {
    end.duration_since(now).unwrap_or_default()
}

/// Its own entries say, with each snapshot, what a workload may be told.
impl Listener for Workload {
    const WAITS: Option<Duration> = Some(GIVE_UP);

    fn workload(&self) -> &Workload {
        self
    }

    fn is_entitled(&self) -> Result<(), Refusal> {
        Ok(())
    }

    async fn changed(&mut self) -> Result<(), RecvError> {
        future::pending().await
    }
}

/// The one ID asked for, if it is one.
fn requested_id(request: &JwtSvidRequest) -> Result<Option<SpiffeId>, Refusal> {
    if request.spiffe_id.is_empty() {
        return Ok(None);
    }
    id::parse(&request.spiffe_id)
        .map(Some)
        .map_err(Refusal::BadId)
}

fn present(field: &'static str, is_present: bool) -> Result<(), Refusal> {
    if is_present {
        return Ok(());
    }
    Err(Refusal::Missing(field))
}

/// All streams of all workloads, and those of one user.
const MOST_STREAMS: usize = 65_536;
const MOST_STREAMS_PER_USER: usize = 16_384;

/// SPIRE's: several identities are fetched at once, each with a deadline of its own.
const JWT_DEADLINE: Duration = Duration::from_secs(30);

/// How long a caller whose SVID is not signed is kept waiting.
const GIVE_UP: Duration = Duration::from_secs(30);
