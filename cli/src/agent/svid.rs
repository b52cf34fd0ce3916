//! X509-SVIDs as the Workload API delivers them: read, verified, and shown to people.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use rustls_pki_types::CertificateDer;
use signet_identity::{trust::Anchors, x509::check_svid_leaf};
use signet_proto::workload::{X509Svid, X509SvidResponse};
use zeroize::Zeroizing;

use crate::{
    certificates::{self, Certificate},
    files::{self, Readers},
    output::text,
};

/// One X509-SVID with what it takes to use it.
pub(super) struct Svid {
    id: String,
    hint: String,
    chain: Vec<Certificate>,
    key: Zeroizing<Vec<u8>>,
    bundle: Vec<Certificate>,
}

/// Everything that one response brought.
pub(super) struct Svids {
    svids: Vec<Svid>,
    /// By trust domain ID.
    federated: BTreeMap<String, Vec<Certificate>>,
}

impl Svids {
    /// Reads a response; one that cannot be read whole is refused whole.
    pub(super) fn read(response: &X509SvidResponse) -> anyhow::Result<Self> {
        ensure!(
            !response.svids.is_empty(),
            "workload response contains no svids"
        );
        let mut federated = BTreeMap::new();
        for (id, der) in &response.federated_bundles {
            let bundle = certificates::split(der)
                .with_context(|| format!("failed to parse bundle for federated domain {id:?}"))?;
            ensure!(
                !bundle.is_empty(),
                "no certificates in bundle for federated domain {id:?}"
            );
            federated.insert(id.clone(), bundle);
        }
        let numbered = response.svids.iter().enumerate();
        let svids = numbered.map(|(number, svid)| {
            let id = &svid.spiffe_id;
            let place = || format!("failed to parse svid entry {number} for spiffe id {id:?}");
            Svid::read(svid).with_context(place)
        });
        Ok(Self {
            svids: svids.collect::<anyhow::Result<_>>()?,
            federated,
        })
    }

    /// Checks each chain against its bundle at the time `now`, as a peer would.
    pub(super) fn verify(&self, now: SystemTime) -> anyhow::Result<()> {
        for svid in &self.svids {
            svid.verify(now).with_context(|| {
                format!("{:?} SVID failed verification against bundle", svid.id)
            })?;
        }
        Ok(())
    }

    /// The summary, with how long it took to come.
    pub(super) fn text(&self, after: Duration) -> String {
        let count = self.svids.len();
        let noun = text::plural(count, "svid", "svids");
        let mut out = format!("Received {count} {noun} after {}\n", text::elapsed(after));
        for svid in &self.svids {
            out.push('\n');
            svid.describe(&mut out);
            for (trust_domain, bundle) in &self.federated {
                for (number, authority) in (1..).zip(bundle) {
                    validity(
                        &mut out,
                        &format!("[{trust_domain}] CA #{number}"),
                        authority,
                    );
                }
            }
        }
        out.push('\n');
        out
    }

    /// Writes everything into `folder` and says so, file by file.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<String> {
        let mut report = String::new();
        for (number, svid) in self.svids.iter().enumerate() {
            let path = folder.join(format!("svid.{number}.pem"));
            let _ = writeln!(report, "Writing SVID #{number} to file {}.", path.display());
            files::write(&path, pem(&svid.chain).as_bytes(), Readers::Everybody)?;

            let path = folder.join(format!("svid.{number}.key"));
            let _ = writeln!(report, "Writing key #{number} to file {}.", path.display());
            let key = Zeroizing::new(certificates::pem_block("PRIVATE KEY", &svid.key));
            files::write(&path, key.as_bytes(), Readers::Owner)?;

            let path = folder.join(format!("bundle.{number}.pem"));
            let _ = writeln!(
                report,
                "Writing bundle #{number} to file {}.",
                path.display()
            );
            files::write(&path, pem(&svid.bundle).as_bytes(), Readers::Everybody)?;
            self.write_federated(number, folder, &mut report)?;
        }
        Ok(report)
    }

    fn write_federated(
        &self,
        svid: usize,
        folder: &Path,
        report: &mut String,
    ) -> anyhow::Result<()> {
        for (number, (trust_domain, bundle)) in self.federated.iter().enumerate() {
            let path = folder.join(format!("federated_bundle.{svid}.{number}.pem"));
            let shown = path.display();
            let _ = writeln!(
                report,
                "Writing federated bundle #{number} for trust domain {trust_domain} to file {shown}."
            );
            files::write(&path, pem(bundle).as_bytes(), Readers::Everybody)?;
        }
        Ok(())
    }
}

impl Svid {
    fn read(svid: &X509Svid) -> anyhow::Result<Self> {
        let chain = certificates::split(&svid.x509_svid)?;
        ensure!(!chain.is_empty(), "no certificates found");
        ensure!(!svid.x509_svid_key.is_empty(), "no private key found");
        let bundle = certificates::split(&svid.bundle).context("failed to parse trust bundle")?;
        ensure!(!bundle.is_empty(), "no certificates in trust bundle");
        Ok(Self {
            id: svid.spiffe_id.clone(),
            hint: svid.hint.clone(),
            chain,
            key: Zeroizing::new(svid.x509_svid_key.to_vec()),
            bundle,
        })
    }

    fn verify(&self, now: SystemTime) -> anyhow::Result<()> {
        let chain = der(&self.chain);
        let leaf = chain.first().context("no certificates found")?;
        let named = check_svid_leaf(leaf)?.id.to_string();
        ensure!(named == self.id, "the certificate is that of {named:?}");
        Anchors::parse(&der(&self.bundle))?.verify_any_purpose(&chain, now)?;
        Ok(())
    }

    fn describe(&self, out: &mut String) {
        let _ = writeln!(out, "SPIFFE ID:\t\t{}", self.id);
        if !self.hint.is_empty() {
            let _ = writeln!(out, "Hint:\t\t\t{}", self.hint);
        }
        for (number, certificate) in self.chain.iter().enumerate() {
            match number {
                0 => validity(out, "SVID", certificate),
                number => validity(out, &format!("Intermediate #{number}"), certificate),
            }
        }
        for (number, authority) in (1..).zip(&self.bundle) {
            validity(out, &format!("CA #{number}"), authority);
        }
    }
}

fn validity(out: &mut String, name: &str, certificate: &Certificate) {
    let (after, until) = (certificate.not_before, certificate.not_after);
    let _ = writeln!(out, "{name} Valid After:\t{}", text::utc(after));
    let _ = writeln!(out, "{name} Valid Until:\t{}", text::utc(until));
}

fn der(certificates: &[Certificate]) -> Vec<CertificateDer<'_>> {
    let ders = certificates
        .iter()
        .map(|certificate| certificate.der.as_slice());
    ders.map(CertificateDer::from).collect()
}

fn pem(certificates: &[Certificate]) -> String {
    certificates::pem(
        certificates
            .iter()
            .map(|certificate| certificate.der.as_slice()),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A certificate of the year `year`.
    fn certificate(year: i32) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(year, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn response() -> X509SvidResponse {
        let svid = X509Svid {
            spiffe_id: "spiffe://a.test/w".to_owned(),
            x509_svid: [certificate(2026), certificate(2027)].concat().into(),
            x509_svid_key: b"key".to_vec().into(),
            bundle: certificate(2028).into(),
            hint: "internal".to_owned(),
        };
        X509SvidResponse {
            svids: vec![svid],
            crl: Vec::new(),
            federated_bundles: HashMap::from([(
                "spiffe://b.test".to_owned(),
                certificate(2029).into(),
            )]),
        }
    }

    #[test]
    fn every_certificate_is_shown_with_its_time() {
        let svids = Svids::read(&response()).unwrap();
        assert_eq!(
            svids.text(Duration::from_micros(34_210)),
            "\
Received 1 svid after 34.21ms

SPIFFE ID:\t\tspiffe://a.test/w
Hint:\t\t\tinternal
SVID Valid After:\t2026-01-01 00:00:00 +0000 UTC
SVID Valid Until:\t2026-12-31 00:00:00 +0000 UTC
Intermediate #1 Valid After:\t2027-01-01 00:00:00 +0000 UTC
Intermediate #1 Valid Until:\t2027-12-31 00:00:00 +0000 UTC
CA #1 Valid After:\t2028-01-01 00:00:00 +0000 UTC
CA #1 Valid Until:\t2028-12-31 00:00:00 +0000 UTC
[spiffe://b.test] CA #1 Valid After:\t2029-01-01 00:00:00 +0000 UTC
[spiffe://b.test] CA #1 Valid Until:\t2029-12-31 00:00:00 +0000 UTC

"
        );
    }

    #[test]
    fn every_part_has_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let svids = Svids::read(&response()).unwrap();
        let shown = folder.path().display();
        assert_eq!(
            svids.write(folder.path()).unwrap(),
            format!(
                "Writing SVID #0 to file {shown}/svid.0.pem.\n\
                 Writing key #0 to file {shown}/svid.0.key.\n\
                 Writing bundle #0 to file {shown}/bundle.0.pem.\n\
                 Writing federated bundle #0 for trust domain spiffe://b.test \
                 to file {shown}/federated_bundle.0.0.pem.\n"
            )
        );
        let svid = std::fs::read_to_string(folder.path().join("svid.0.pem")).unwrap();
        assert_eq!(svid.matches("BEGIN CERTIFICATE").count(), 2);
        let key = std::fs::read_to_string(folder.path().join("svid.0.key")).unwrap();
        assert_eq!(
            key,
            "-----BEGIN PRIVATE KEY-----\na2V5\n-----END PRIVATE KEY-----\n"
        );
    }

    /// A chain of one for `id`, and the authority that signed it.
    fn signed(id: &str) -> (Vec<u8>, Vec<u8>) {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = authority.self_signed(&authority_key).unwrap();
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = vec![rcgen::SanType::URI(id.try_into().unwrap())];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let issuer = Issuer::from_params(&authority, &authority_key);
        let leaf_key = KeyPair::generate().unwrap();
        let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
        (leaf.der().to_vec(), root.der().to_vec())
    }

    #[test]
    fn a_chain_must_lead_to_its_bundle_and_to_its_name() {
        let (leaf, root) = signed("spiffe://a.test/w");
        let (_, stranger) = signed("spiffe://a.test/w");
        let outcome = |id: &str, bundle: &[u8]| {
            let svid = X509Svid {
                spiffe_id: id.to_owned(),
                x509_svid: leaf.clone().into(),
                x509_svid_key: b"key".to_vec().into(),
                bundle: bundle.to_vec().into(),
                hint: String::new(),
            };
            let response = X509SvidResponse {
                svids: vec![svid],
                ..X509SvidResponse::default()
            };
            let svids = Svids::read(&response).unwrap();
            svids
                .verify(crate::now())
                .map_err(|error| format!("{error:#}"))
        };
        assert_eq!(outcome("spiffe://a.test/w", &root), Ok(()));
        let foreign = outcome("spiffe://a.test/w", &stranger).unwrap_err();
        assert!(
            foreign.starts_with("\"spiffe://a.test/w\" SVID failed verification against bundle: "),
            "{foreign}"
        );
        let renamed = outcome("spiffe://a.test/other", &root).unwrap_err();
        assert!(
            renamed.ends_with("that of \"spiffe://a.test/w\""),
            "{renamed}"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let reason = |change: fn(&mut X509SvidResponse)| {
            let mut response = response();
            change(&mut response);
            format!("{:#}", Svids::read(&response).err().unwrap())
        };
        assert_eq!(
            reason(|response| response.svids.clear()),
            "workload response contains no svids"
        );
        assert_eq!(
            reason(|response| response.svids[0].bundle.clear()),
            "failed to parse svid entry 0 for spiffe id \"spiffe://a.test/w\": \
             no certificates in trust bundle"
        );
        let empty = |response: &mut X509SvidResponse| {
            let bundles = &mut response.federated_bundles;
            bundles.insert("spiffe://b.test".to_owned(), bytes::Bytes::new());
        };
        assert_eq!(
            reason(empty),
            "no certificates in bundle for federated domain \"spiffe://b.test\""
        );
    }
}
