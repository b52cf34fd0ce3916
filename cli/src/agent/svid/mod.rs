//! X509-SVIDs as the Workload API delivers them: read, verified, and shown to people.

use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use rustls_pki_types::CertificateDer;
use signet_identity::{
    bundle::Bundle,
    trust::Anchors,
    workload_api::{Svid, X509Context},
    x509::{self, ProfileError, Validity},
};
use signet_proto::workload::X509SvidResponse;

use crate::{
    files::{self, Readers},
    output::text,
};

/// Everything that one response brought.
pub(super) struct Svids(X509Context);

impl Svids {
    /// Reads a response and checks each chain against its bundle at the time `now`, as a peer
    /// would.
    pub(super) fn verified(response: &X509SvidResponse, now: SystemTime) -> anyhow::Result<Self> {
        let context = X509Context::read(response)?;
        for svid in context.svids() {
            verify(svid, now).with_context(|| {
                let id = svid.identity.id().to_string();
                format!("{id:?} SVID failed verification against bundle")
            })?;
        }
        Ok(Self(context))
    }

    /// The summary, with how long it took to come.
    pub(super) fn text(&self, after: Duration) -> Result<String, ProfileError> {
        let count = self.0.svids().count();
        let noun = text::plural(count, "svid", "svids");
        let mut out = format!("Received {count} {noun} after {}\n", text::elapsed(after));
        for svid in self.0.svids() {
            out.push('\n');
            describe(&mut out, svid)?;
            for (trust_domain, bundle) in &self.0.federated {
                let name = format!("[{}] CA", trust_domain.id_string());
                authorities(&mut out, &name, bundle)?;
            }
        }
        out.push('\n');
        Ok(out)
    }

    /// Writes everything into `folder` and says so, file by file.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<String> {
        let mut report = String::new();
        for (number, svid) in self.0.svids().enumerate() {
            let path = folder.join(format!("svid.{number}.pem"));
            let _ = writeln!(report, "Writing SVID #{number} to file {}.", path.display());
            let chain = x509::chain_to_pem(svid.identity.chain());
            files::write(&path, chain.as_bytes(), Readers::Everybody)?;

            let path = folder.join(format!("svid.{number}.key"));
            let _ = writeln!(report, "Writing key #{number} to file {}.", path.display());
            files::write(&path, svid.key.to_pem().as_bytes(), Readers::Owner)?;

            let path = folder.join(format!("bundle.{number}.pem"));
            let shown = path.display();
            let _ = writeln!(report, "Writing bundle #{number} to file {shown}.");
            files::write(&path, svid.bundle.to_pem().as_bytes(), Readers::Everybody)?;
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
        for (number, (trust_domain, bundle)) in self.0.federated.iter().enumerate() {
            let path = folder.join(format!("federated_bundle.{svid}.{number}.pem"));
            let _ = writeln!(
                report,
                "Writing federated bundle #{number} for trust domain {} to file {}.",
                trust_domain.id_string(),
                path.display()
            );
            files::write(&path, bundle.to_pem().as_bytes(), Readers::Everybody)?;
        }
        Ok(())
    }
}

/// Checks a chain against its bundle, as a peer would.
fn verify(svid: &Svid, now: SystemTime) -> anyhow::Result<()> {
    let authorities = svid.bundle.x509_authorities.iter();
    let authorities: Vec<_> = authorities.map(|authority| authority.der.clone()).collect();
    Anchors::parse(&authorities)?.verify_any_purpose(svid.identity.chain(), now)?;
    Ok(())
}

fn describe(out: &mut String, svid: &Svid) -> Result<(), ProfileError> {
    let _ = writeln!(out, "SPIFFE ID:\t\t{}", svid.identity.id());
    if !svid.hint.is_empty() {
        let _ = writeln!(out, "Hint:\t\t\t{}", svid.hint);
    }
    for (number, certificate) in svid.identity.chain().iter().enumerate() {
        match number {
            0 => validity(out, "SVID", certificate)?,
            number => validity(out, &format!("Intermediate #{number}"), certificate)?,
        }
    }
    authorities(out, "CA", &svid.bundle)
}

fn authorities(out: &mut String, name: &str, bundle: &Bundle) -> Result<(), ProfileError> {
    for (number, authority) in (1..).zip(&bundle.x509_authorities) {
        validity(out, &format!("{name} #{number}"), &authority.der)?;
    }
    Ok(())
}

fn validity(
    out: &mut String,
    name: &str,
    certificate: &CertificateDer<'_>,
) -> Result<(), ProfileError> {
    let validity = Validity::of(certificate)?;
    let _ = writeln!(
        out,
        "{name} Valid After:\t{}",
        text::utc(validity.not_before.into())
    );
    let _ = writeln!(
        out,
        "{name} Valid Until:\t{}",
        text::utc(validity.not_after.into())
    );
    Ok(())
}

#[cfg(test)]
mod tests;
