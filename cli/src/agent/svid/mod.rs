//! X509-SVIDs as the Workload API delivers them: read, verified, and shown to people.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use rustls_pki_types::CertificateDer;
use signet_identity::{
    id::parse_trust_domain_id,
    key::PrivateKey,
    trust::Anchors,
    x509::{check_svid_leaf, public_key},
};
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
    /// Reads a response and checks each chain against its bundle at the time `now`, as a peer
    /// would.
    pub(super) fn verified(response: &X509SvidResponse, now: SystemTime) -> anyhow::Result<Self> {
        let svids = Self::read(response)?;
        svids.verify(now)?;
        Ok(svids)
    }

    /// Reads a response; one that cannot be read whole is refused whole.
    fn read(response: &X509SvidResponse) -> anyhow::Result<Self> {
        ensure!(
            !response.svids.is_empty(),
            "workload response contains no svids"
        );
        let mut federated = BTreeMap::new();
        for (id, der) in &response.federated_bundles {
            parse_trust_domain_id(id).context("failed to parse federated bundles")?;
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
        let mut svids: Vec<Svid> = svids.collect::<anyhow::Result<_>>()?;
        // Workload API section 5.2.1: of those that share a hint, the first counts.
        let mut hints = HashSet::new();
        svids.retain(|svid| svid.hint.is_empty() || hints.insert(svid.hint.clone()));
        Ok(Self { svids, federated })
    }

    fn verify(&self, now: SystemTime) -> anyhow::Result<()> {
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
        let key = PrivateKey::from_pkcs8(&self.key)?;
        ensure!(
            public_key(leaf)? == key.spki_der(),
            "the private key is not the certificate's"
        );
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
mod tests;
