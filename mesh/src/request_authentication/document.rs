//! Reads the `spec` of a `RequestAuthentication`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::HeaderName;
use signet_identity::jwt::KeySet;

use super::{
    jwks_uri::{JwksUri, RemoteKeys},
    place::TokenPlace,
    rule::{ClaimHeader, IssuerKeys, JwtRule},
};
use crate::{
    object::{Level, Object, ObjectRef},
    problem::Problems,
    read::{
        duration, header_name,
        scalar::{any_text, truth},
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// The `RequestAuthentication` that an object holds.
pub(crate) fn read(object: Object<'_>, problems: &mut Problems) -> Level<Vec<Arc<JwtRule>>> {
    let (table, level) = Level::open(object, SPEC, problems);
    let mut rules = Vec::new();
    if let Some(list) = table.need("jwtRules", "write the issuer of tokens", problems) {
        for (index, node) in table::list(list, "spec.jwtRules", problems)
            .iter()
            .enumerate()
        {
            let location = format!("spec.jwtRules[{index}]");
            let by = Place {
                by: Arc::clone(&level.object),
                index,
            };
            rules.extend(rule(node, &location, by, problems).map(Arc::new));
        }
    }
    level.saying(rules)
}

/// Where a rule stands.
struct Place {
    by: Arc<ObjectRef>,
    index: usize,
}

fn rule(node: &Node, location: &str, place: Place, problems: &mut Problems) -> Option<JwtRule> {
    let table = Table::open(node, location, RULE, problems);
    let issuer = table.need("issuer", "write the `iss` of its tokens", problems);
    let issuer = issuer.and_then(|node| issuer_of(node, &table.name("issuer"), problems));
    let audiences = table.take("audiences", problems, texts).unwrap_or_default();
    let keys = keys(&table, problems);
    let mut places = Vec::new();
    for (key, read) in PLACES {
        if let Some(list) = table.get(key) {
            let location = table.name(key);
            for (index, node) in table::list(list, &location, problems).iter().enumerate() {
                places.extend(read(node, &format!("{location}[{index}]"), problems));
            }
        }
    }
    if !PLACES.iter().any(|(key, _)| table.has(key)) {
        places = vec![TokenPlace::bearer(), TokenPlace::access_token()];
    }
    let payload_to = table.take("outputPayloadToHeader", problems, header);
    let claims_to = table.take("outputClaimToHeaders", problems, claim_headers);
    let forwards_token = table.take("forwardOriginalToken", problems, truth);
    Some(JwtRule {
        by: place.by,
        index: place.index,
        issuer: issuer?,
        audiences,
        keys: keys?,
        forwards_token: forwards_token.unwrap_or_default(),
        places,
        payload_to,
        claims_to: claims_to.unwrap_or_default(),
    })
}

/// What a principal begins with, so it must not be one that SVIDs have.
fn issuer_of(node: &Node, location: &str, problems: &mut Problems) -> Option<Box<str>> {
    let text = table::text(node, location, problems)?;
    if text.starts_with("spiffe://") {
        let what = format!("{location} {text:?} would give its tokens the principals of JWT-SVIDs");
        let remedy = "remove the rule: JWT-SVIDs are verified by the keys of their trust domain, \
                      where proxy.yaml has `jwt: { audiences: […] }`";
        problems.error(node.line, what, remedy);
        return None;
    }
    Some(text.into())
}

fn keys(table: &Table<'_>, problems: &mut Problems) -> Option<IssuerKeys> {
    let timeout = table.take("timeout", problems, timeout);
    match (table.get("jwks"), table.get("jwksUri")) {
        (Some(node), None) => {
            if table.has("timeout") {
                let what = format!("{} is for keys that are fetched", table.name("timeout"));
                problems.error(node.line, what, "remove it: these are written here");
            }
            written(node, &table.name("jwks"), problems)
        }
        (None, Some(node)) => {
            let uri = JwksUri::read(node, &table.name("jwksUri"), problems)?;
            let timeout = timeout.unwrap_or(TIMEOUT);
            Some(IssuerKeys::Remote(Arc::new(RemoteKeys { uri, timeout })))
        }
        (Some(node), Some(_)) => {
            let what = format!("{} has both jwks and jwksUri", table.location);
            problems.error(node.line, what, "keep one of them");
            None
        }
        (None, None) if table.has("jwks") || table.has("jwksUri") => None,
        (None, None) => {
            let what = format!("{} names no keys", table.location);
            let remedy = "write jwksUri: it is the `jwks_uri` of what the issuer publishes at \
                          /.well-known/openid-configuration, which is not looked for";
            problems.error(table.line, what, remedy);
            None
        }
    }
}

fn written(node: &Node, location: &str, problems: &mut Problems) -> Option<IssuerKeys> {
    let text = any_text(node, location, problems)?;
    match KeySet::parse(text) {
        Ok(keys) => Some(IssuerKeys::Written(Arc::new(keys))),
        Err(why) => {
            let remedy = "write the public keys of the issuer as JSON: { \"keys\": [ … ] }";
            problems.error(node.line, format!("{location}: {why}"), remedy);
            None
        }
    }
}

fn timeout(node: &Node, location: &str, problems: &mut Problems) -> Option<Duration> {
    let timeout = duration::read(node, location, problems)?;
    if timeout > LONGEST {
        let what = format!("{location} is longer than a minute");
        problems.error(node.line, what, "write `5s`");
    }
    Some(timeout)
}

/// Reads one place of a list.
type ReadPlace = fn(&Node, &str, &mut Problems) -> Option<TokenPlace>;

const PLACES: [(&str, ReadPlace); 3] = [
    ("fromHeaders", from_header),
    ("fromParams", from_parameter),
    ("fromCookies", from_cookie),
];

fn from_header(node: &Node, location: &str, problems: &mut Problems) -> Option<TokenPlace> {
    let table = Table::open(node, location, FROM_HEADER, problems);
    let name = table.need("name", "write the name of a header", problems)?;
    let name = header(name, &table.name("name"), problems);
    let prefix = table.take("prefix", problems, |node, location, problems| {
        any_text(node, location, problems)
    });
    Some(TokenPlace::Header {
        name: name?,
        prefix: prefix.unwrap_or_default().into(),
    })
}

fn from_parameter(node: &Node, location: &str, problems: &mut Problems) -> Option<TokenPlace> {
    let name = table::text(node, location, problems)?;
    Some(TokenPlace::Parameter(name.into()))
}

fn from_cookie(node: &Node, location: &str, problems: &mut Problems) -> Option<TokenPlace> {
    let name = table::text(node, location, problems)?;
    if name.contains([';', '=', ',', '"', ' ']) {
        let what = format!("{location} {name:?} is not the name of a cookie");
        problems.error(node.line, what, "write it without `=` and `;`");
        return None;
    }
    Some(TokenPlace::Cookie(name.into()))
}

fn claim_headers(node: &Node, location: &str, problems: &mut Problems) -> Option<Vec<ClaimHeader>> {
    let mut seen = BTreeSet::new();
    let mut headers = Vec::new();
    for (index, node) in table::list(node, location, problems).iter().enumerate() {
        let table = Table::open(
            node,
            &format!("{location}[{index}]"),
            CLAIM_HEADER,
            problems,
        );
        let name = table.need("header", "write the name of a header", problems);
        let name = name.and_then(|node| header(node, &table.name("header"), problems));
        let claim = table.need("claim", "write the name of a claim", problems);
        let claim = claim.and_then(|node| table::text(node, &table.name("claim"), problems));
        let (Some(header), Some(claim)) = (name, claim) else {
            continue;
        };
        if !seen.insert(header.as_str().to_owned()) {
            let what = format!("{}: {header} is made of another claim, too", table.location);
            problems.error(table.line, what, "keep one of them");
        }
        let claim = claim.into();
        headers.push(ClaimHeader { header, claim });
    }
    Some(headers)
}

fn header(node: &Node, location: &str, problems: &mut Problems) -> Option<HeaderName> {
    let text = table::text(node, location, problems)?;
    header_name::read(text, location, node.line, problems)
}

fn texts(node: &Node, location: &str, problems: &mut Problems) -> Option<Vec<Box<str>>> {
    let mut all = Vec::new();
    for (index, node) in table::list(node, location, problems).iter().enumerate() {
        let text = table::text(node, &format!("{location}[{index}]"), problems);
        all.extend(text.map(Into::into));
    }
    Some(all)
}

/// Istio's.
const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

const SPEC: Schema = Schema {
    read: &["selector", "jwtRules"],
    bookkeeping: &[],
    not_yet: &[
        ("targetRef", "select workloads by labels: `selector`"),
        (
            "targetRefs",
            "select workloads by labels: what it names is there in Kubernetes alone",
        ),
    ],
};

const RULE: Schema = Schema {
    read: &[
        "issuer",
        "audiences",
        "jwks",
        "jwksUri",
        "timeout",
        "fromHeaders",
        "fromParams",
        "fromCookies",
        "outputPayloadToHeader",
        "outputClaimToHeaders",
        "forwardOriginalToken",
    ],
    bookkeeping: &[],
    not_yet: &[
        ("jwks_uri", "write it as `jwksUri`"),
        (
            "spaceDelimitedClaims",
            "remove it: `scope` and `permission` are taken as lists anyway",
        ),
    ],
};

const FROM_HEADER: Schema = Schema {
    read: &["name", "prefix"],
    bookkeeping: &[],
    not_yet: &[],
};

const CLAIM_HEADER: Schema = Schema {
    read: &["header", "claim"],
    bookkeeping: &[],
    not_yet: &[],
};
