//! One field of a rule: what it asks of a request.
//!
//! Two readings exist where a request can be spelled in more than one way (a port in `Host`,
//! `;parameters` in a path, a repeated header, `/ns/x/` deeper in a SPIFFE path). Matching more is
//! the safe side for a DENY, matching less for an ALLOW; for the `not…` forms it is the other way
//! round. So each condition takes the reading that denies.
//!
//! Namespaces and service accounts stand in the path of a SPIFFE ID, and a trust domain that is
//! federated with could put anything there. Where matching less is safe they are those of the
//! workload's own trust domain, unless the rule says whose with `principals` or `trustDomains`.

use std::net::IpAddr;

use http::HeaderName;
use signet_identity::SpiffeId;

use super::{
    action::Action,
    request::{Http, Request},
    template::Template,
    token::{ClaimPath, Token},
};
use crate::{cidr::Cidr, pattern::Pattern};

/// A condition of a rule, with the name of the field it was written in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// As in `from[0].source.principals`.
    pub(crate) field: Box<str>,
    pub(crate) line: u64,
    /// A `not…` field: none of the values may match.
    pub(crate) negated: bool,
    /// Whether a namespace or an account means that of any trust domain, because the rule says
    /// elsewhere whose.
    pub(crate) anywhere: bool,
    pub(crate) test: Test,
}

/// What is compared with which values: any of them is enough.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Principal(Vec<Pattern>),
    Namespace(Vec<Pattern>),
    ServiceAccount(Vec<ServiceAccount>),
    TrustDomain(Vec<Pattern>),
    SourceIp(Vec<Cidr>),
    /// The address that the request came from before trusted proxies.
    RemoteIp(Vec<Cidr>),
    DestinationIp(Vec<Cidr>),
    Port(Vec<u16>),
    Sni(Vec<Pattern>),
    Host(Vec<Pattern>),
    Method(Vec<Pattern>),
    Path(Vec<PathPattern>),
    Header(HeaderName, Vec<Pattern>),
    RequestPrincipal(Vec<Pattern>),
    Audience(Vec<Pattern>),
    Presenter(Vec<Pattern>),
    Claim(ClaimPath, Vec<Pattern>),
}

/// A Kubernetes service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceAccount {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
}

/// A path as text or as template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathPattern {
    Text(Pattern),
    Template(Template),
}

/// What became of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Yes,
    No,
    /// It asks for something of HTTP, and the connection is not HTTP.
    NeedsHttp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// One spelling: matches less.
    Strict,
    /// Every spelling: matches more.
    Loose,
}

impl Condition {
    pub(crate) fn check(&self, request: &Request<'_>, action: Action) -> Held {
        let reading = match action.is_safe_if_it_matches_less() == self.negated {
            true => Reading::Loose,
            false => Reading::Strict,
        };
        // SPIFFE-ID §4.1.4: a path means something only together with its trust domain.
        if reading == Reading::Strict && !self.anywhere && self.test.reads_foreign_path(request) {
            return if self.negated { Held::Yes } else { Held::No };
        }
        match self.test.matches(request, reading) {
            None => Held::NeedsHttp,
            Some(matched) if matched != self.negated => Held::Yes,
            Some(_) => Held::No,
        }
    }
}

impl Test {
    /// Whether it asks for something that only HTTP has.
    pub(crate) fn needs_http(&self) -> bool {
        match self {
            Self::Host(_) | Self::Method(_) | Self::Path(_) | Self::Header(..) => true,
            Self::RequestPrincipal(_)
            | Self::Audience(_)
            | Self::Presenter(_)
            | Self::Claim(..) => true,
            Self::Principal(_)
            | Self::Namespace(_)
            | Self::ServiceAccount(_)
            | Self::TrustDomain(_) => false,
            Self::SourceIp(_)
            | Self::RemoteIp(_)
            | Self::DestinationIp(_)
            | Self::Port(_)
            | Self::Sni(_) => false,
        }
    }

    /// Whether it looks at a part of the path of somebody who is not of the workload's own trust
    /// domain.
    fn reads_foreign_path(&self, request: &Request<'_>) -> bool {
        let foreign = || {
            let source = request.source.map(|id| id.trust_domain());
            source.is_some() && source != request.trust_domain
        };
        matches!(self, Self::Namespace(_) | Self::ServiceAccount(_)) && foreign()
    }

    /// Whether it says whose IDs are meant.
    pub(crate) fn names_trust_domain(&self) -> bool {
        matches!(self, Self::Principal(_) | Self::TrustDomain(_))
    }

    /// `None` if it cannot be told because the connection is not HTTP.
    fn matches(&self, request: &Request<'_>, reading: Reading) -> Option<bool> {
        let (source, http) = (request.source, request.http);
        let path = source.map(|id| id.path());
        Some(match self {
            Self::Principal(patterns) => source.is_some_and(|id| is_principal(patterns, id)),
            Self::Namespace(patterns) => {
                path.is_some_and(|path| namespace_matches(patterns, path, reading))
            }
            Self::ServiceAccount(accounts) => {
                path.is_some_and(|path| accounts.iter().any(|account| account.matches(path)))
            }
            Self::TrustDomain(patterns) => any(patterns, source.map(|id| id.trust_domain_name())),
            Self::SourceIp(blocks) => hold(blocks, request.source_ip),
            // An address that cannot be told may be any.
            Self::RemoteIp(blocks) => match request.remote_ip {
                Some(address) => hold(blocks, address),
                None => reading == Reading::Loose,
            },
            Self::DestinationIp(blocks) => hold(blocks, request.destination_ip),
            Self::Port(ports) => ports.contains(&request.destination_port),
            Self::Sni(patterns) => {
                let is_named = |name| name_host(patterns, name, reading);
                request.sni.is_some_and(is_named)
            }
            Self::Host(patterns) => name_host(patterns, http?.host, reading),
            Self::Method(patterns) => any(patterns, Some(http?.method)),
            Self::Path(patterns) => {
                let http = http?;
                let mut patterns = patterns.iter();
                patterns.any(|pattern| path_matches(pattern, &http, reading))
            }
            Self::Header(name, patterns) => header_matches(name, patterns, &http?, reading),
            Self::RequestPrincipal(patterns) => {
                any(patterns, http?.token.and_then(Token::principal))
            }
            Self::Audience(patterns) => http?.token.is_some_and(|token| {
                let mut audiences = token.audiences();
                audiences.any(|audience| any(patterns, Some(audience)))
            }),
            Self::Presenter(patterns) => any(patterns, http?.token.and_then(Token::presenter)),
            Self::Claim(path, patterns) => http?.token.is_some_and(|token| {
                let values = token.values(path);
                values.iter().any(|value| any(patterns, Some(value)))
            }),
        })
    }
}

impl ServiceAccount {
    fn matches(&self, path: &str) -> bool {
        let account = path
            .strip_prefix("/ns/")
            .and_then(|rest| rest.strip_prefix(&*self.namespace));
        account.and_then(|rest| rest.strip_prefix("/sa/")) == Some(&*self.name)
    }
}

fn is_principal(patterns: &[Pattern], id: &SpiffeId) -> bool {
    let (head, tail) = (id.trust_domain_name().as_bytes(), id.path().as_bytes());
    let mut patterns = patterns.iter();
    patterns.any(|pattern| pattern.matches_joined(head, tail))
}

fn hold(blocks: &[Cidr], address: IpAddr) -> bool {
    blocks.iter().any(|block| block.contains(address))
}

fn name_host(patterns: &[Pattern], host: &str, reading: Reading) -> bool {
    let mut patterns = patterns.iter();
    patterns.any(|pattern| host_matches(pattern, host, reading))
}

fn any(patterns: &[Pattern], value: Option<&str>) -> bool {
    value.is_some_and(|value| {
        patterns
            .iter()
            .any(|pattern| pattern.matches(value.as_bytes()))
    })
}

/// The namespace is what follows a leading `/ns/`. Envoy, as Istio sets it up, finds `/ns/x/`
/// anywhere in the path.
fn namespace_matches(patterns: &[Pattern], path: &str, reading: Reading) -> bool {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let namespace = segments.peek().copied();
        if segment == "ns" && path_continues(&segments) && any(patterns, namespace) {
            return true;
        }
        if reading == Reading::Strict {
            return false;
        }
    }
    false
}

fn path_continues<'p>(segments: &(impl Iterator<Item = &'p str> + Clone)) -> bool {
    segments.clone().nth(1).is_some()
}

/// `api.example.org:8443` and `api.example.org.` name the same host as `api.example.org`.
fn host_matches(pattern: &Pattern, host: &str, reading: Reading) -> bool {
    if pattern.matches_host(host) {
        return true;
    }
    if reading == Reading::Strict {
        return false;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    pattern.matches_host(name) || pattern.matches_host(name.trim_end_matches('.'))
}

fn path_matches(pattern: &PathPattern, http: &Http<'_>, reading: Reading) -> bool {
    let matches = |path: &[u8]| match pattern {
        PathPattern::Text(text) => text.matches(path),
        PathPattern::Template(template) => template.matches(path),
    };
    let plain = http.path.plain().filter(|_| reading == Reading::Loose);
    matches(http.path.as_str().as_bytes()) || plain.is_some_and(matches)
}

/// Envoy joins the values of a repeated header with commas, so that a second value hides the first
/// one. Here any value counts where matching more is safe, and every value must match where it is
/// not.
fn header_matches(
    name: &HeaderName,
    patterns: &[Pattern],
    http: &Http<'_>,
    reading: Reading,
) -> bool {
    let mut values = http
        .headers
        .get_all(name)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .peekable();
    let matches = |value: &[u8]| {
        patterns
            .iter()
            .any(|pattern| *pattern == Pattern::Present || pattern.matches(value))
    };
    match reading {
        Reading::Loose => values.any(|value| {
            matches(value)
                || value
                    .split(|byte| *byte == b',')
                    .any(|part| matches(part.trim_ascii()))
        }),
        Reading::Strict => values.peek().is_some() && values.all(matches),
    }
}
