//! The certificate authority of the trust domain: signs X.509 and JWT SVIDs, and rotates its keys.
//!
//! [`Ca`] is the handle that the API signs with; [`Rotation`] is the loop behind it.

mod der;
mod journal;
mod keys;
mod material;
mod name;
mod pruning;
mod rotation;
mod server_svid;
mod signer;
mod slots;
mod x509;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls::pki_types::CertificateDer;
use signet_identity::{
    SpiffeId, TrustDomain,
    jwt::{self, Claims, SignError},
    key::KeyType,
    x509::Serial,
};
use tokio::sync::{Semaphore, watch};

pub(crate) use keys::{KeyManager, KeyManagerError};
use material::{JwtMaterial, Material, X509Material};
pub(crate) use name::CaSubject;
pub(crate) use rotation::Rotation;
pub(crate) use server_svid::ServerSvid;
use signer::SignerError;
pub(crate) use slots::longest_svid;
use slots::{Authority, Slots};
use x509::LeafRequest;
pub(crate) use x509::X509Error;

/// Why an SVID was not issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// There is no authority that could sign, which lasts only until the rotation has made one: at
    /// the start, and when the clock jumps.
    #[error("the server has no active authority yet; try again in a few seconds")]
    NotReady,
    /// The configuration says `disable_jwt_svids`.
    #[error("JWT functionality is disabled")]
    NoJwtSvids,
    /// The certificate could not be made.
    #[error(transparent)]
    X509(#[from] X509Error),
    /// The token could not be made.
    #[error("the JWT-SVID could not be signed")]
    Jwt(#[from] SignError<SignerError>),
    /// The signing thread died.
    #[error("signing was interrupted")]
    Interrupted,
}

/// Whether this server issues JWT-SVIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JwtSvids {
    Issued,
    /// No JWT authority is made or used; one of before stays in the bundle until it ends.
    Disabled,
}

/// Which kind of SVID is signed, and so by which authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SvidKind {
    X509,
    Jwt,
}

/// Lifetimes of what the CA signs where the request does not say.
#[derive(Clone, Debug)]
pub(crate) struct Lifetimes {
    /// X509-SVIDs of workloads and of the server.
    pub(crate) x509_svid: Duration,
    /// JWT-SVIDs.
    pub(crate) jwt_svid: Duration,
    /// X509-SVIDs of agents.
    pub(crate) agent: Duration,
    /// CA certificates of downstream servers.
    pub(crate) downstream_ca: Duration,
}

/// What the configuration says of the CA.
#[derive(Clone, Debug)]
pub(crate) struct RotationSettings {
    pub(crate) trust_domain: TrustDomain,
    pub(crate) ca_ttl: Duration,
    pub(crate) ca_key_type: KeyType,
    pub(crate) jwt_key_type: KeyType,
    pub(crate) jwt_svids: JwtSvids,
    pub(crate) ca_subject: CaSubject,
    pub(crate) jwt_issuer: Option<String>,
    pub(crate) lifetimes: Lifetimes,
}

/// What is asked of an X509-SVID; all of it was checked before.
#[derive(Clone, Debug)]
pub(crate) struct X509SvidRequest {
    pub(crate) id: SpiffeId,
    pub(crate) spki_der: Vec<u8>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) dns_names: Vec<String>,
    /// A distinguished name in DER instead of the usual subject.
    pub(crate) subject: Option<Vec<u8>>,
}

/// A signed X509-SVID: the leaf, then intermediates; never the root.
#[derive(Clone, Debug)]
pub(crate) struct X509Svid {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) serial: Serial,
    pub(crate) not_after: SystemTime,
}

/// What is asked of a JWT-SVID.
#[derive(Clone, Debug)]
pub(crate) struct JwtSvidRequest {
    pub(crate) id: SpiffeId,
    pub(crate) audience: Vec<String>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) jti: Jti,
}

/// Whether a token is to carry an id of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jti {
    Unique,
    None,
}

/// A signed JWT-SVID.
#[derive(Clone, Debug)]
pub(crate) struct JwtSvid {
    pub(crate) token: String,
    pub(crate) issued_at: SystemTime,
    pub(crate) expires_at: SystemTime,
}

/// The authorities of both kinds, as one snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Authorities {
    x509: Slots<X509Material>,
    jwt: Slots<JwtMaterial>,
}

/// Signs with the active authorities. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Ca {
    trust_domain: TrustDomain,
    lifetimes: Arc<Lifetimes>,
    jwt_issuer: Option<Arc<str>>,
    jwt_svids: JwtSvids,
    authorities: watch::Receiver<Arc<Authorities>>,
    threads: Arc<Semaphore>,
}

impl Ca {
    /// The trust domain that this CA is the authority of.
    pub(crate) fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The lifetime of an agent's SVID.
    pub(crate) fn agent_ttl(&self) -> Duration {
        self.lifetimes.agent
    }

    /// Whether there is an active authority of each kind that is to sign.
    pub(crate) fn is_ready(&self) -> bool {
        let authorities = self.authorities.borrow();
        let jwt = match self.jwt_svids {
            JwtSvids::Issued => authorities.jwt.active.is_some(),
            JwtSvids::Disabled => true,
        };
        authorities.x509.active.is_some() && jwt
    }

    /// Whether JWT-SVIDs are to be had here at all, whatever is asked.
    pub(crate) fn issues_jwt_svids(&self) -> Result<(), IssueError> {
        match self.jwt_svids {
            JwtSvids::Issued => Ok(()),
            JwtSvids::Disabled => Err(IssueError::NoJwtSvids),
        }
    }

    /// Signs an X509-SVID.
    pub(crate) fn sign_x509(
        &self,
        request: &X509SvidRequest,
        now: SystemTime,
    ) -> Result<X509Svid, IssueError> {
        let authority = self.usable::<X509Material>(now)?;
        let leaf = LeafRequest {
            id: &request.id,
            spki_der: &request.spki_der,
            ttl: request.ttl.unwrap_or(self.lifetimes.x509_svid),
            dns_names: &request.dns_names,
            subject: request.subject.as_deref(),
        };
        let material = &authority.material;
        Ok(material.svid(material.issuer().leaf(&leaf, now)?))
    }

    /// Signs the CA certificate of a downstream server: its chain, the root not among it.
    pub(crate) fn sign_downstream_ca(
        &self,
        spki_der: &[u8],
        ttl: Option<Duration>,
        now: SystemTime,
    ) -> Result<X509Svid, IssueError> {
        let authority = self.usable::<X509Material>(now)?;
        let ttl = ttl.unwrap_or(self.lifetimes.downstream_ca);
        let material = &authority.material;
        let signed = material
            .issuer()
            .downstream_ca(&self.trust_domain, spki_der, ttl, now)?;
        Ok(material.svid(signed))
    }

    /// Signs a JWT-SVID (JWT-SVID §3).
    pub(crate) fn sign_jwt(
        &self,
        request: &JwtSvidRequest,
        now: SystemTime,
    ) -> Result<JwtSvid, IssueError> {
        self.issues_jwt_svids()?;
        let authority = self.usable::<JwtMaterial>(now)?;
        let ttl = request.ttl.unwrap_or(self.lifetimes.jwt_svid);
        let end = authority.lifetime.not_after;
        let expires_at = whole_seconds(now.checked_add(ttl).map_or(end, |at| at.min(end)));
        let issued_at = whole_seconds(now);
        if expires_at <= issued_at {
            return Err(X509Error::NoLifetime.into());
        }
        let claims = Claims {
            sub: request.id.clone(),
            aud: request.audience.clone(),
            iat: issued_at,
            exp: expires_at,
            iss: self.jwt_issuer.as_deref().map(str::to_owned),
            jti: match request.jti {
                Jti::Unique => Some(BASE64_URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4())),
                Jti::None => None,
            },
        };
        Ok(JwtSvid {
            token: jwt::sign(authority.material.signer(), &authority.id, &claims)?,
            issued_at,
            expires_at,
        })
    }

    /// Runs signing `work` on a thread where it holds up nobody else: a signature takes from
    /// 20 µs (P-256) to milliseconds (RSA), and a batch has hundreds.
    pub(crate) async fn off_worker<T, W>(&self, work: W) -> Result<T, IssueError>
    where
        T: Send + 'static,
        W: FnOnce(&Self) -> T + Send + 'static,
    {
        let ca = self.clone();
        let permit = Arc::clone(&self.threads).acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&ca)
        })
        .await
        .map_err(|_joining| IssueError::Interrupted)
    }

    /// Runs the `work` of one signature: here and now where that kind's key is a quick one, because
    /// to wake another thread and be woken by it costs more than the signature.
    pub(crate) async fn sign_one<T, W>(&self, kind: SvidKind, work: W) -> Result<T, IssueError>
    where
        T: Send + 'static,
        W: FnOnce(&Self) -> T + Send + 'static,
    {
        if self.is_quick(kind) {
            return Ok(work(self));
        }
        self.off_worker(work).await
    }

    /// Whether the active authority of a kind signs quickly; without one there is nothing to do.
    fn is_quick(&self, kind: SvidKind) -> bool {
        let authorities = self.authorities.borrow();
        match kind {
            SvidKind::X509 => is_quick(&authorities.x509),
            SvidKind::Jwt => is_quick(&authorities.jwt),
        }
    }

    /// The active authority of a kind, if what it signs now can be verified.
    fn usable<M: Material>(&self, now: SystemTime) -> Result<Arc<Authority<M>>, IssueError> {
        let authorities = self.authorities.borrow();
        let active = M::slots(&authorities).active.as_ref();
        let usable = active.filter(|active| active.lifetime.holds_at(now));
        usable.cloned().ok_or(IssueError::NotReady)
    }
}

fn is_quick<M: Material>(slots: &Slots<M>) -> bool {
    let active = slots.active.as_ref();
    active.is_none_or(|active| active.material.signer().is_quick())
}

/// Tokens and the journal count in whole seconds.
fn whole_seconds(at: SystemTime) -> SystemTime {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}
