//! Conditions and what was found, in words for people.

use std::fmt;

use super::{
    condition::{Condition, PathPattern, ServiceAccount, Test},
    request::Request,
    token::Token,
};

impl Test {
    /// What the request has where this test looks, for people.
    pub(crate) fn found(&self, request: &Request<'_>) -> String {
        let Some(text) = self.looked_at(request) else {
            return "nothing".to_owned();
        };
        text
    }

    fn looked_at(&self, request: &Request<'_>) -> Option<String> {
        let token = || request.http.and_then(|http| http.token);
        match self {
            Self::Principal(_) | Self::Namespace(_) | Self::ServiceAccount(_) => request
                .source
                .map(|id| format!("{}{}", id.trust_domain_name(), id.path())),
            Self::TrustDomain(_) => request.source.map(|id| id.trust_domain_name().to_owned()),
            Self::SourceIp(_) => Some(request.source_ip.to_string()),
            Self::RemoteIp(_) => request.remote_ip.map(|address| address.to_string()),
            Self::DestinationIp(_) => Some(request.destination_ip.to_string()),
            Self::Port(_) => Some(request.destination_port.to_string()),
            Self::Sni(_) => request.sni.map(str::to_owned),
            Self::Host(_) => request.http.map(|http| http.host.to_owned()),
            Self::Method(_) => request.http.map(|http| http.method.to_owned()),
            Self::Path(_) => request.http.map(|http| http.path.as_str().to_owned()),
            // The value may be a credential; that there is one says enough.
            Self::Header(name, _) => request
                .http
                .filter(|http| http.headers.contains_key(name))
                .map(|_| "another value".to_owned()),
            Self::RequestPrincipal(_) => token().and_then(Token::principal).map(str::to_owned),
            Self::Audience(_) | Self::Presenter(_) | Self::Claim(..) => {
                token().map(|_| "a token that says something else".to_owned())
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [", self.field)?;
        match &self.test {
            Test::Principal(values)
            | Test::Namespace(values)
            | Test::TrustDomain(values)
            | Test::Sni(values)
            | Test::Host(values)
            | Test::Method(values)
            | Test::Header(_, values)
            | Test::RequestPrincipal(values)
            | Test::Audience(values)
            | Test::Presenter(values)
            | Test::Claim(_, values) => some(f, values)?,
            Test::ServiceAccount(values) => some(f, values)?,
            Test::SourceIp(values) | Test::RemoteIp(values) | Test::DestinationIp(values) => {
                some(f, values)?;
            }
            Test::Port(values) => some(f, values)?,
            Test::Path(values) => some(f, values)?,
        }
        f.write_str("]")
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(pattern) => pattern.fmt(f),
            Self::Template(template) => template.fmt(f),
        }
    }
}

/// Lists can be long; a message names the first few values.
fn some(f: &mut fmt::Formatter<'_>, values: &[impl fmt::Display]) -> fmt::Result {
    for (index, value) in values.iter().take(SHOWN).enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{value}")?;
    }
    match values.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, ", and {more} more"),
    }
}

const SHOWN: usize = 5;
