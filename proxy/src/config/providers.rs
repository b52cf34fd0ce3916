//! Who can be asked about requests: Istio's `extensionProviders`.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use super::file;

/// Somebody who is asked by CUSTOM policies, over Envoy's external authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionProvider {
    /// What policies call it.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Whether what it does not answer about passes.
    pub fail_open: bool,
}

pub(super) fn providers(
    listed: Vec<file::ExtensionProvider>,
) -> anyhow::Result<Vec<ExtensionProvider>> {
    let mut names = BTreeSet::new();
    let mut providers = Vec::with_capacity(listed.len());
    for provider in listed {
        let name = provider.name.clone();
        ensure!(!name.is_empty(), "extensionProviders: one has no name");
        ensure!(
            names.insert(name.clone()),
            "extensionProviders: {name:?} is there twice"
        );
        let read = of(provider).with_context(|| format!("extensionProviders {name:?}"))?;
        providers.push(read);
    }
    Ok(providers)
}

fn of(provider: file::ExtensionProvider) -> anyhow::Result<ExtensionProvider> {
    let file::ExtensionProvider {
        name,
        envoy_ext_authz_grpc: grpc,
    } = provider;
    ensure!(
        grpc.include_request_body_in_check.is_none(),
        "includeRequestBodyInCheck: bodies are not shown to providers; remove it"
    );
    ensure!(grpc.port > 0, "port: 0 is no port");
    let timeout = grpc.timeout.as_deref().map_or(Ok(TIMEOUT), |text| {
        signet_daemon::config::duration(text).context("timeout")
    })?;
    ensure!(
        !timeout.is_zero() && timeout <= LONGEST,
        "timeout: {timeout:?} is not between 1ms and 1m"
    );
    Ok(ExtensionProvider {
        name,
        address: SocketAddr::new(here(&grpc.service)?, grpc.port),
        timeout,
        fail_open: grpc.fail_open,
    })
}

/// What decides on requests must not be asked where anybody could answer in its place.
fn here(service: &str) -> anyhow::Result<IpAddr> {
    let address = match service {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        other => other.parse::<IpAddr>().ok(),
    };
    match address {
        Some(address) if address.is_loopback() => Ok(address),
        Some(_) | None => bail!(
            "service: {service:?} is not on this host, and it is asked in plaintext; write \
             127.0.0.1 and the port of an outbound port of this proxy, which calls it with mutual \
             TLS"
        ),
    }
}

const TIMEOUT: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
