//! `/certs`: the proxy's own certificates and whom it trusts, without any key.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde::Serialize;
use signet_daemon::http::{Answer, json};

use super::{Format, Seen};
use crate::clock;

/// What is told, in Envoy's words.
#[derive(Debug, Serialize)]
pub(super) struct Certs {
    certificates: Vec<Certificate>,
    trust_domains: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Certificate {
    serial_number: String,
    subject_alt_names: Vec<Name>,
    valid_from: String,
    expiration_time: String,
    days_until_expiration: u64,
    /// With those above it.
    chain_length: usize,
}

#[derive(Debug, Serialize)]
struct Name {
    uri: String,
}

/// Always JSON.
pub(super) fn tell(seen: &Seen, _format: Format) -> Answer {
    json(StatusCode::OK, &certs(seen, clock::now()))
}

pub(super) fn certs(seen: &Seen, now: SystemTime) -> Certs {
    let identity = seen.sources.identity.borrow().clone();
    let certificate = identity.map(|identity| {
        let leaf = identity.leaf();
        let left = leaf.not_after.duration_since(now).unwrap_or_default();
        Certificate {
            serial_number: leaf.serial.to_string(),
            subject_alt_names: vec![Name {
                uri: leaf.id.to_string(),
            }],
            valid_from: clock::rfc3339(leaf.not_before),
            expiration_time: clock::rfc3339(leaf.not_after),
            days_until_expiration: left.as_secs() / DAY.as_secs(),
            chain_length: identity.chain().len(),
        }
    });
    let trust = seen.sources.trust.borrow().clone();
    let mut domains: Vec<_> = trust.trust_domains().map(ToString::to_string).collect();
    domains.sort();
    Certs {
        certificates: certificate.into_iter().collect(),
        trust_domains: domains,
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
