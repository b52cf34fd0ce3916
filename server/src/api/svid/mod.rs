//! The SVID service: signs for agents what their entries say, and for administrators what they
//! ask for.

mod mint;

use std::time::{Duration, SystemTime};

use signet_daemon::log::{Moment, Scope};
use signet_identity::{
    SpiffeId, csr,
    entry::{Entry, EntryId},
    id, unix,
};
use signet_proto::spire::api::{
    server::svid::v1::{
        BatchNewWitsvidRequest, BatchNewWitsvidResponse, BatchNewX509svidRequest,
        BatchNewX509svidResponse, MintJwtsvidRequest, MintJwtsvidResponse, MintWitsvidRequest,
        MintWitsvidResponse, MintX509svidRequest, MintX509svidResponse, NewDownstreamX509caRequest,
        NewDownstreamX509caResponse, NewJwtsvidRequest, NewJwtsvidResponse, NewX509svidParams,
        batch_new_x509svid_response as batch, svid_server::Svid,
    },
    types,
};
use std::sync::Arc;
use tonic::{Request, Response, Status};
use tracing::{debug, info};

use super::{
    caller, calling_agent,
    limit::Limits,
    status::{bad_csr, invalid, item, item_ok},
};
use crate::{
    ca::{Ca, Jti, JwtSvid, JwtSvidRequest, SvidKind, X509Svid, X509SvidRequest},
    clock,
    directory::Directory,
};

/// Serves `spire.api.server.svid.v1.SVID`.
#[derive(Clone, Debug)]
pub(crate) struct SvidService {
    pub(crate) ca: Ca,
    pub(crate) directory: Directory,
    pub(crate) limits: Arc<Limits>,
}

#[tonic::async_trait]
impl Svid for SvidService {
    async fn mint_x509svid(
        &self,
        request: Request<MintX509svidRequest>,
    ) -> Result<Response<MintX509svidResponse>, Status> {
        let svid = self.mint_x509(request.into_inner(), clock::now()).await?;
        Ok(Response::new(MintX509svidResponse { svid: Some(svid) }))
    }

    async fn mint_jwtsvid(
        &self,
        request: Request<MintJwtsvidRequest>,
    ) -> Result<Response<MintJwtsvidResponse>, Status> {
        let svid = self.mint_jwt(request.into_inner(), clock::now()).await?;
        Ok(Response::new(MintJwtsvidResponse { svid: Some(svid) }))
    }

    async fn mint_witsvid(
        &self,
        _request: Request<MintWitsvidRequest>,
    ) -> Result<Response<MintWitsvidResponse>, Status> {
        Err(no_wit())
    }

    async fn batch_new_x509svid(
        &self,
        request: Request<BatchNewX509svidRequest>,
    ) -> Result<Response<BatchNewX509svidResponse>, Status> {
        let (agent, source) = (calling_agent(&request)?, caller::source(&request));
        let params = request.into_inner().params;
        if params.is_empty() {
            return Err(invalid("missing parameters"));
        }
        let count = u32::try_from(params.len()).unwrap_or(u32::MAX);
        self.limits.x509.wait(source, count).await?;
        let results = self.sign_batch(&agent, params, clock::now()).await?;
        Ok(Response::new(BatchNewX509svidResponse { results }))
    }

    async fn new_jwtsvid(
        &self,
        request: Request<NewJwtsvidRequest>,
    ) -> Result<Response<NewJwtsvidResponse>, Status> {
        let (agent, source) = (calling_agent(&request)?, caller::source(&request));
        self.limits.jwt.wait(source, 1).await?;
        let svid = self
            .sign_jwt(&agent, request.into_inner(), clock::now())
            .await?;
        Ok(Response::new(NewJwtsvidResponse { svid: Some(svid) }))
    }

    async fn batch_new_witsvid(
        &self,
        _request: Request<BatchNewWitsvidRequest>,
    ) -> Result<Response<BatchNewWitsvidResponse>, Status> {
        Err(no_wit())
    }

    async fn new_downstream_x509ca(
        &self,
        request: Request<NewDownstreamX509caRequest>,
    ) -> Result<Response<NewDownstreamX509caResponse>, Status> {
        let source = caller::source(&request);
        self.limits.downstream.wait(source, 1).await?;
        self.sign_downstream(request.into_inner(), clock::now())
            .await
            .map(Response::new)
    }
}

/// One item of a batch, as far as it can be checked without signing.
struct Item {
    entry: Result<Arc<Entry>, types::Status>,
    csr: Vec<u8>,
}

impl SvidService {
    async fn sign_batch(
        &self,
        agent: &SpiffeId,
        params: Vec<NewX509svidParams>,
        now: SystemTime,
    ) -> Result<Vec<batch::Result>, Status> {
        let items = params.into_iter().map(|params| Item {
            entry: self
                .entry(agent, &params.entry_id, now)
                .map_err(|status| item(&status)),
            csr: params.csr,
        });
        let items: Vec<_> = items.collect();
        let count = items.len();
        let scope = Scope::current();
        let work = move |ca: &Ca| {
            let results = items.into_iter().map(|item| sign_item(ca, item, now));
            // On another thread the lines are still the caller's.
            scope.run(|| results.collect::<Vec<_>>())
        };
        let results = match count {
            1 => self.ca.sign_one(SvidKind::X509, work).await?,
            _ => self.ca.off_worker(work).await?,
        };
        Ok(results)
    }

    async fn sign_jwt(
        &self,
        agent: &SpiffeId,
        request: NewJwtsvidRequest,
        now: SystemTime,
    ) -> Result<types::Jwtsvid, Status> {
        self.ca.issues_jwt_svids()?;
        check_audience(&request.audience)?;
        let entry = self.entry(agent, &request.entry_id, now)?;
        let asked = JwtSvidRequest {
            id: entry.spiffe_id.clone(),
            audience: request.audience,
            ttl: entry.jwt_svid_ttl,
            jti: if entry.attributes.jwt_svid_include_jti {
                Jti::Unique
            } else {
                Jti::None
            },
        };
        let work = move |ca: &Ca| (ca.sign_jwt(&asked, now), asked.audience);
        let (signed, audience) = self.ca.sign_one(SvidKind::Jwt, work).await?;
        let svid = signed?;
        debug!(
            name: "jwt_svid_signed",
            agent_id = %agent,
            entry_id = %entry.id,
            spiffe_id = %entry.spiffe_id,
            ?audience,
            expires_at = %Moment(svid.expires_at),
            "signed a JWT-SVID"
        );
        Ok(jwt_svid(&entry.spiffe_id, svid, &entry.hint))
    }

    async fn sign_downstream(
        &self,
        request: NewDownstreamX509caRequest,
        now: SystemTime,
    ) -> Result<NewDownstreamX509caResponse, Status> {
        let ttl = seconds("preferred_ttl", request.preferred_ttl)?;
        let csr = request.csr;
        let work = move |ca: &Ca| {
            let request = csr::parse(&csr).map_err(bad_csr)?;
            Ok::<_, Status>(ca.sign_downstream_ca(&request.spki_der, ttl, now)?)
        };
        let svid = self.ca.off_worker(work).await??;
        let bundle = self.directory.bundle(self.ca.trust_domain());
        let bundle = bundle.ok_or_else(|| Status::unavailable("the server has no bundle yet"))?;
        info!(
            name: "downstream_ca_signed",
            spiffe_id = self.ca.trust_domain().id_string(),
            serial = %svid.serial,
            expires_at = %Moment(svid.not_after),
            "signed the CA certificate of a downstream server"
        );
        Ok(NewDownstreamX509caResponse {
            ca_cert_chain: svid.chain.iter().map(|der| der.to_vec()).collect(),
            x509_authorities: bundle
                .x509_authorities
                .iter()
                .map(|ca| ca.der.to_vec())
                .collect(),
        })
    }

    /// The entry, if the agent may have SVIDs for it.
    fn entry(&self, agent: &SpiffeId, id: &str, now: SystemTime) -> Result<Arc<Entry>, Status> {
        if id.is_empty() {
            return Err(invalid("missing entry ID"));
        }
        let id: Option<EntryId> = id.parse().ok();
        let entry = id.and_then(|id| self.directory.authorized_entry(agent, &id, now));
        entry.ok_or_else(|| Status::not_found("entry not found or not authorized"))
    }
}

fn sign_item(ca: &Ca, asked: Item, now: SystemTime) -> batch::Result {
    let signed = asked.entry.and_then(|entry| {
        let svid = sign_entry(ca, &entry, &asked.csr, now).map_err(|status| item(&status))?;
        debug!(
            name: "x509_svid_signed",
            entry_id = %entry.id,
            spiffe_id = %entry.spiffe_id,
            serial = %svid.serial,
            expires_at = %Moment(svid.not_after),
            revision = entry.revision,
            "signed an X509-SVID"
        );
        Ok(x509_svid(&entry.spiffe_id, &svid, &entry.hint))
    });
    match signed {
        Ok(svid) => batch::Result {
            status: Some(item_ok()),
            svid: Some(svid),
        },
        Err(status) => batch::Result {
            status: Some(status),
            svid: None,
        },
    }
}

/// Identity, names and lifetime are the entry's; only the key is the CSR's.
fn sign_entry(ca: &Ca, entry: &Entry, csr: &[u8], now: SystemTime) -> Result<X509Svid, Status> {
    if csr.is_empty() {
        return Err(invalid("missing CSR"));
    }
    let request = X509SvidRequest {
        id: entry.spiffe_id.clone(),
        spki_der: csr::parse(csr).map_err(bad_csr)?.spki_der,
        ttl: entry.x509_svid_ttl,
        dns_names: entry.dns_names.clone(),
        subject: None,
    };
    Ok(ca.sign_x509(&request, now)?)
}

fn check_audience(audience: &[String]) -> Result<(), Status> {
    if audience.is_empty() {
        return Err(invalid("at least one audience is required"));
    }
    if audience.iter().any(String::is_empty) {
        return Err(invalid("an audience is empty"));
    }
    // Each has at least one byte: this bounds their number as well.
    if audience.iter().map(String::len).sum::<usize>() > LONGEST_AUDIENCE {
        return Err(invalid(format!(
            "the audience is longer than {LONGEST_AUDIENCE} bytes"
        )));
    }
    Ok(())
}

/// A lifetime on the wire: whole seconds, 0 for the default.
fn seconds(field: &str, seconds: i32) -> Result<Option<Duration>, Status> {
    match u64::try_from(seconds) {
        Ok(0) => Ok(None),
        Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
        Err(_negative) => Err(invalid(format!("{field} is negative"))),
    }
}

fn x509_svid(id: &SpiffeId, svid: &X509Svid, hint: &str) -> types::X509svid {
    types::X509svid {
        cert_chain: svid.chain.iter().map(|der| der.to_vec()).collect(),
        id: Some(id::to_proto(id)),
        expires_at: unix::seconds(svid.not_after),
        hint: hint.to_owned(),
    }
}

fn jwt_svid(id: &SpiffeId, svid: JwtSvid, hint: &str) -> types::Jwtsvid {
    types::Jwtsvid {
        token: svid.token,
        id: Some(id::to_proto(id)),
        expires_at: unix::seconds(svid.expires_at),
        issued_at: unix::seconds(svid.issued_at),
        hint: hint.to_owned(),
    }
}

fn no_wit() -> Status {
    Status::unimplemented("WIT-SVIDs are not supported")
}

/// More than a token's reader takes in a header, and nothing to sign or to send.
const LONGEST_AUDIENCE: usize = 16 * 1024;
