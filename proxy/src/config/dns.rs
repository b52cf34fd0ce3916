//! Whom the proxy asks for the addresses of names, and how often.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use signet_daemon::config::duration;

/// As it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct DnsFile {
    servers: Option<Vec<String>>,
    timeout: Option<String>,
    min_ttl: Option<String>,
    max_ttl: Option<String>,
}

/// Whom the proxy asks for the addresses of names, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Whom to ask; those of `/etc/resolv.conf`, if there is none.
    pub servers: Vec<SocketAddr>,
    /// How long one server may take to answer one question.
    pub timeout: Duration,
    /// How long an answer holds at least, whatever its TTL.
    pub min_ttl: Duration,
    /// How long it holds at most.
    pub max_ttl: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(2),
            min_ttl: Duration::from_secs(5),
            max_ttl: Duration::from_secs(300),
        }
    }
}

pub(super) fn dns(written: DnsFile) -> anyhow::Result<Dns> {
    let usual = Dns::default();
    let within = |key, text: Option<String>, usual| {
        let time = text.map_or(Ok(usual), |text| duration(&text));
        time.context(key)
    };
    let servers = match written.servers {
        None => Vec::new(),
        Some(listed) => {
            let bound = (1..=MOST_SERVERS).contains(&listed.len());
            ensure!(
                bound,
                "dns.servers: list 1 to {MOST_SERVERS} addresses, or remove it to ask those of \
                 /etc/resolv.conf"
            );
            listed
                .iter()
                .map(|text| server(text))
                .collect::<Result<_, _>>()?
        }
    };
    let dns = Dns {
        servers,
        timeout: within("dns.timeout", written.timeout, usual.timeout)?,
        min_ttl: within("dns.minTtl", written.min_ttl, usual.min_ttl)?,
        max_ttl: within("dns.maxTtl", written.max_ttl, usual.max_ttl)?,
    };
    ensure!(
        (MILLISECOND * 100..=MILLISECOND * 5_000).contains(&dns.timeout),
        "dns.timeout: must be from 100ms to 5s"
    );
    ensure!(
        dns.min_ttl >= MILLISECOND * 1_000,
        "dns.minTtl: must be at least 1s, or the resolver is asked all the time"
    );
    ensure!(
        dns.max_ttl >= dns.min_ttl,
        "dns.maxTtl: must not be less than dns.minTtl, which is {:?}",
        dns.min_ttl
    );
    Ok(dns)
}

/// An address, or an address and port.
fn server(text: &str) -> anyhow::Result<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        ensure!(address.port() != 0, "dns.servers: `{text}` has no port");
        return Ok(address);
    }
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(SocketAddr::new(address, DNS)),
        Err(_) => bail!("dns.servers: `{text}` is neither an IP address nor IP:port"),
    }
}

const DNS: u16 = 53;
const MOST_SERVERS: usize = 8;
const MILLISECOND: Duration = Duration::from_millis(1);
