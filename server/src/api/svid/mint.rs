//! SVIDs without an entry, for administrators.

use std::time::SystemTime;

use signet_daemon::log::Moment;
use signet_identity::{
    SpiffeId, TrustDomain,
    csr::{self, CertificateRequest},
    entry::check_dns_name,
    id, summary,
};
use signet_proto::spire::api::{
    server::svid::v1::{MintJwtsvidRequest, MintX509svidRequest},
    types,
};
use tonic::Status;
use tracing::info;

use super::{SvidService, check_audience, jwt_svid, seconds, x509_svid};
use crate::{
    api::status::{bad_csr, invalid},
    ca::{Ca, Jti, JwtSvidRequest, X509SvidRequest},
};

impl SvidService {
    pub(super) async fn mint_x509(
        &self,
        request: MintX509svidRequest,
        now: SystemTime,
    ) -> Result<types::X509svid, Status> {
        if request.csr.is_empty() {
            return Err(invalid("missing CSR"));
        }
        let ttl = seconds("ttl", request.ttl)?;
        let work = move |ca: &Ca| {
            let csr = csr::parse(&request.csr).map_err(bad_csr)?;
            let id = requested_id(&csr, ca.trust_domain())?;
            check_dns_names(&csr.dns_names)?;
            let said = Said {
                dns_name: csr.dns_names.join(","),
                subject: summary::name(&csr.subject_der),
            };
            let request = X509SvidRequest {
                id: id.clone(),
                spki_der: csr.spki_der,
                ttl,
                dns_names: csr.dns_names,
                subject: Some(csr.subject_der).filter(|subject| *subject != EMPTY_NAME),
            };
            Ok::<_, Status>((id, said, ca.sign_x509(&request, now)?))
        };
        let (id, said, svid) = self.ca.off_worker(work).await??;
        info!(
            name: "x509_svid_signed",
            spiffe_id = %id,
            dns_name = said.dns_name,
            subject = said.subject,
            serial = %svid.serial,
            expires_at = %Moment(svid.not_after),
            "minted an X509-SVID"
        );
        Ok(x509_svid(&id, &svid, ""))
    }

    pub(super) async fn mint_jwt(
        &self,
        request: MintJwtsvidRequest,
        now: SystemTime,
    ) -> Result<types::Jwtsvid, Status> {
        self.ca.issues_jwt_svids()?;
        let id = id::from_proto(request.id.as_ref())
            .map_err(|error| invalid(format!("invalid SPIFFE ID: {error}")))?;
        check_id(&id, self.ca.trust_domain())?;
        check_audience(&request.audience)?;
        let asked = JwtSvidRequest {
            id: id.clone(),
            audience: request.audience,
            ttl: seconds("ttl", request.ttl)?,
            jti: Jti::None,
        };
        let work = move |ca: &Ca| (ca.sign_jwt(&asked, now), asked.audience);
        let (signed, audience) = self.ca.off_worker(work).await?;
        let svid = signed?;
        info!(
            name: "jwt_svid_signed",
            spiffe_id = %id,
            ?audience,
            expires_at = %Moment(svid.expires_at),
            "minted a JWT-SVID"
        );
        Ok(jwt_svid(&id, svid, ""))
    }
}

/// What the log says of the names in a request.
struct Said {
    dns_name: String,
    subject: String,
}

fn requested_id(csr: &CertificateRequest, trust_domain: &TrustDomain) -> Result<SpiffeId, Status> {
    let [uri] = csr.uris.as_slice() else {
        return Err(invalid(format!(
            "the CSR must have exactly one URI SAN, the SPIFFE ID; it has {}",
            csr.uris.len()
        )));
    };
    let id = id::parse(uri).map_err(|error| invalid(format!("CSR URI SAN is invalid: {error}")))?;
    check_id(&id, trust_domain)?;
    Ok(id)
}

/// Workloads of the own trust domain only: what is below /spire belongs to agents and servers.
fn check_id(id: &SpiffeId, trust_domain: &TrustDomain) -> Result<(), Status> {
    let refused = |what: String| Err(invalid(format!("invalid SPIFFE ID: {what}")));
    if !id.is_member_of(trust_domain) {
        return refused(format!("{id} is not in trust domain {trust_domain}"));
    }
    if id.path().is_empty() {
        return refused(format!("{id} has no path"));
    }
    if id.path() == "/spire" || id.path().starts_with("/spire/") {
        return refused(format!("{id} is reserved, choose a path outside of /spire"));
    }
    Ok(())
}

/// Names that are DNS names, and no wildcard that covers another one.
fn check_dns_names(names: &[String]) -> Result<(), Status> {
    for name in names {
        check_dns_name(name)
            .map_err(|error| invalid(format!("CSR DNS name is not valid: {error}")))?;
    }
    for name in names {
        let covering = name
            .split_once('.')
            .map(|(_, parent)| format!("*.{parent}"));
        let covering = covering.filter(|wildcard| wildcard != name && names.contains(wildcard));
        if let Some(wildcard) = covering {
            return Err(invalid(format!(
                "CSR DNS name {name:?} is covered by {wildcard:?}; leave one of them out"
            )));
        }
    }
    Ok(())
}

/// A distinguished name without any part.
const EMPTY_NAME: [u8; 2] = [0x30, 0];

#[cfg(test)]
mod tests {
    use super::*;

    fn csr(uris: &[&str]) -> CertificateRequest {
        CertificateRequest {
            spki_der: Vec::new(),
            uris: uris.iter().map(ToString::to_string).collect(),
            dns_names: Vec::new(),
            subject_der: Vec::new(),
            common_name: None,
        }
    }

    #[test]
    fn a_csr_names_exactly_one_workload_of_the_trust_domain() {
        let trust_domain = TrustDomain::new("example.org").unwrap();
        let good = requested_id(&csr(&["spiffe://example.org/web"]), &trust_domain);
        assert_eq!(good.unwrap().path(), "/web");
        for uris in [
            &[][..],
            &["spiffe://example.org/a", "spiffe://example.org/b"],
            &["spiffe://example.org"],
            &["spiffe://other.test/web"],
            &["spiffe://example.org/spire/server"],
            &["spiffe://example.org/spire"],
            &["https://example.org/web"],
        ] {
            let status = requested_id(&csr(uris), &trust_domain).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{uris:?}");
        }
    }

    #[test]
    fn a_wildcard_must_not_cover_another_name() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(
            check_dns_names(&names(&["*.example.org", "a.b.example.org", "example.org"])).is_ok()
        );
        assert!(check_dns_names(&names(&["*.example.org", "a.example.org"])).is_err());
        assert!(check_dns_names(&names(&["a..b"])).is_err());
    }

    #[test]
    fn zero_is_the_default_lifetime_and_less_is_refused() {
        assert_eq!(seconds("ttl", 0).unwrap(), None);
        assert_eq!(
            seconds("ttl", 5).unwrap(),
            Some(std::time::Duration::from_secs(5))
        );
        assert!(seconds("ttl", -1).is_err());
    }
}
