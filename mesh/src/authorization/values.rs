//! The values of a field, checked as what the field compares them with.

use http::HeaderName;
use signet_identity::id;

use super::{
    condition::{Condition, PathPattern, ServiceAccount, Test},
    template::Template,
    token::ClaimPath,
};
use crate::{
    cidr::Cidr,
    pattern::Pattern,
    problem::Problems,
    read::{table, yaml::Node},
};

/// What a field looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attribute {
    Principal,
    Namespace,
    ServiceAccount,
    TrustDomain,
    SourceIp,
    RemoteIp,
    DestinationIp,
    Port,
    Sni,
    Host,
    Method,
    Path,
    Header(HeaderName),
    RequestPrincipal,
    Audience,
    Presenter,
    Claim(ClaimPath),
}

/// A field with its values as they were written.
#[derive(Debug)]
pub(crate) struct Field<'n> {
    /// As in `from[0].source.principals`.
    pub(crate) name: String,
    pub(crate) line: u64,
    pub(crate) attribute: Attribute,
    pub(crate) negated: bool,
    pub(crate) values: &'n Node,
}

impl Field<'_> {
    /// Compiles the field. `namespace` is that of the policy. After an error the condition is
    /// partial; the error keeps it from being used.
    pub(crate) fn compile(self, namespace: &str, problems: &mut Problems) -> Condition {
        let mut values = Values {
            field: &self.name,
            list: Vec::new(),
            problems,
        };
        values.read(self.values);
        let test = match self.attribute {
            Attribute::Principal => Test::Principal(values.each(principal)),
            Attribute::Namespace => Test::Namespace(values.each(pattern)),
            Attribute::ServiceAccount => {
                values.at_most(MOST_SERVICE_ACCOUNTS, self.line);
                Test::ServiceAccount(values.each(|text| service_account(text, namespace)))
            }
            Attribute::TrustDomain => Test::TrustDomain(values.each(trust_domain)),
            Attribute::SourceIp => Test::SourceIp(values.each(cidr)),
            Attribute::RemoteIp => Test::RemoteIp(values.each(cidr)),
            Attribute::DestinationIp => Test::DestinationIp(values.each(cidr)),
            Attribute::Port => Test::Port(values.each(port)),
            Attribute::Sni => Test::Sni(values.each(pattern)),
            Attribute::Host => Test::Host(values.each(pattern)),
            Attribute::Method => Test::Method(values.each(pattern)),
            Attribute::Path => Test::Path(values.each(path)),
            Attribute::Header(name) => Test::Header(name, values.each(pattern)),
            Attribute::RequestPrincipal => Test::RequestPrincipal(values.each(pattern)),
            Attribute::Audience => Test::Audience(values.each(pattern)),
            Attribute::Presenter => Test::Presenter(values.each(pattern)),
            Attribute::Claim(path) => Test::Claim(path, values.each(pattern)),
        };
        Condition {
            field: self.name.into(),
            line: self.line,
            negated: self.negated,
            anywhere: false,
            test,
        }
    }
}

struct Values<'n, 'p> {
    field: &'n str,
    list: Vec<(u64, &'n str)>,
    problems: &'p mut Problems,
}

impl<'n> Values<'n, '_> {
    fn read(&mut self, node: &'n Node) {
        for item in table::list(node, self.field, self.problems) {
            let text = table::text(item, &format!("a value of {}", self.field), self.problems);
            self.list.extend(text.map(|text| (item.line, text)));
        }
    }

    fn at_most(&mut self, most: usize, line: u64) {
        if self.list.len() > most {
            let what = format!(
                "{} has {} values, and {most} is the most",
                self.field,
                self.list.len()
            );
            self.problems.error(line, what, "split the rule in two");
        }
    }

    fn each<T>(&mut self, parse: impl Fn(&str) -> Result<T, Refused>) -> Vec<T> {
        let mut parsed = Vec::with_capacity(self.list.len());
        for (line, text) in &self.list {
            match parse(text) {
                Ok(value) => parsed.push(value),
                Err(Refused(why, remedy)) => {
                    self.problems
                        .error(*line, format!("{} {text:?}: {why}", self.field), remedy);
                }
            }
        }
        parsed
    }
}

/// Why a value is refused, and the remedy.
struct Refused(&'static str, String);

fn pattern(text: &str) -> Result<Pattern, Refused> {
    Ok(Pattern::new(text))
}

/// Istio accepts what no SPIFFE ID can be, and then never matches, which makes a DENY deny nothing.
fn principal(text: &str) -> Result<Pattern, Refused> {
    if let Some(rest) = text.trim_start_matches('*').strip_prefix("spiffe://") {
        let remedy = format!("write {rest:?}");
        return Err(Refused("principals are written without spiffe://", remedy));
    }
    let pattern = Pattern::new(text);
    let trust_domain = match &pattern {
        Pattern::Exact(text) | Pattern::Prefix(text) => text.split('/').next().unwrap_or_default(),
        Pattern::Suffix(_) | Pattern::Present => "",
    };
    if trust_domain.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(lower_case());
    }
    if can_be_an_id(&pattern) {
        return Ok(pattern);
    }
    let (why, remedy) = if pattern.literal().is_some_and(|text| text.contains('*')) {
        (
            "only a * at the beginning or the end is a wildcard",
            "use a prefix (abc*) or a suffix (*abc)",
        )
    } else {
        (
            "no SPIFFE ID is written like this",
            "write trust-domain/path, as in \"example.org/ns/shop/sa/web\"",
        )
    };
    Err(Refused(why, remedy.to_owned()))
}

/// Whether any workload's ID is matched.
fn can_be_an_id(pattern: &Pattern) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    match pattern {
        Pattern::Exact(text) => {
            id::parse(&format!("spiffe://{text}")).is_ok_and(|id| !id.path().is_empty())
        }
        Pattern::Prefix(text) => {
            text.chars().all(legal) && !text.starts_with('/') && !text.contains("//")
        }
        Pattern::Suffix(text) => {
            text.chars().all(legal) && !text.ends_with('/') && !text.contains("//")
        }
        Pattern::Present => true,
    }
}

fn trust_domain(text: &str) -> Result<Pattern, Refused> {
    if text.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(lower_case());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let pattern = Pattern::new(text);
    if !pattern.literal().unwrap_or_default().chars().all(legal) {
        let remedy = "write only the name, as in \"example.org\"".to_owned();
        return Err(Refused("this is not the name of a trust domain", remedy));
    }
    Ok(pattern)
}

fn lower_case() -> Refused {
    let remedy = "write the trust domain in lower case".to_owned();
    Refused("trust domains are lower-case, so it never matches", remedy)
}

fn service_account(text: &str, own_namespace: &str) -> Result<ServiceAccount, Refused> {
    let (namespace, name) = text.split_once('/').unwrap_or((own_namespace, text));
    let remedy = || {
        "write \"namespace/account\", or \"account\" for one in the policy's namespace".to_owned()
    };
    if text.contains('*') {
        return Err(Refused("service accounts take no wildcards", remedy()));
    }
    if text.len() > LONGEST_SERVICE_ACCOUNT {
        return Err(Refused("this is longer than 320 characters", remedy()));
    }
    if namespace.is_empty() || name.is_empty() || name.contains('/') {
        return Err(Refused("this is not a service account", remedy()));
    }
    Ok(ServiceAccount {
        namespace: namespace.into(),
        name: name.into(),
    })
}

fn cidr(text: &str) -> Result<Cidr, Refused> {
    let remedy = || "write an address or a block, as in \"10.0.0.0/8\"".to_owned();
    Cidr::parse(text).map_err(|why| Refused(why, remedy()))
}

fn port(text: &str) -> Result<u16, Refused> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(port) if digits => Ok(port),
        Ok(_) | Err(_) => Err(Refused(
            "this is not a port",
            "write a number from 1 to 65535".to_owned(),
        )),
    }
}

fn path(text: &str) -> Result<PathPattern, Refused> {
    if !Template::is_meant(text) {
        return Ok(PathPattern::Text(Pattern::new(text)));
    }
    let remedy = || {
        "write {*} for one segment or {**} for the rest, as in \"/orders/{*}/items/{**}\""
            .to_owned()
    };
    Template::parse(text)
        .map(PathPattern::Template)
        .map_err(|why| Refused(why, remedy()))
}

const MOST_SERVICE_ACCOUNTS: usize = 16;
const LONGEST_SERVICE_ACCOUNT: usize = 320;
