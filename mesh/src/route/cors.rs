//! Istio's `CorsPolicy`: which pages of other origins may use a service.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::headers::HeaderChanges;
use crate::{
    problem::Problems,
    read::{
        StringMatch, duration,
        scalar::{self, Word},
        string_match::Empty,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// What pages of other origins may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    origins: Vec<StringMatch>,
    /// `access-control-allow-methods`; nothing is said if there is none.
    pub methods: Vec<Box<str>>,
    /// `access-control-allow-headers`.
    pub headers: Vec<Box<str>>,
    /// `access-control-expose-headers`.
    pub expose: Vec<Box<str>>,
    /// `access-control-max-age`, in whole seconds.
    pub max_age: Option<Duration>,
    /// `access-control-allow-credentials`.
    pub credentials: bool,
    /// What becomes of preflight requests of origins that are not allowed.
    pub unmatched_preflights: UnmatchedPreflights,
}

/// What becomes of a preflight request whose origin is not allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnmatchedPreflights {
    /// It goes to the service, which may know better.
    #[default]
    Forward,
    /// It is answered here, and allows nothing.
    Ignore,
}

/// What becomes of a request, as far as pages of other origins are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsDecision {
    /// It asks, before another request, whether that may be sent: it is answered here with 200,
    /// no body and these headers, whatever else its route says.
    Answered(HeaderChanges),
    /// It passes, and these are changed of its answer, last of all.
    Passes(HeaderChanges),
}

impl Cors {
    /// What becomes of a request with this method and these headers, as in Envoy. One that is not
    /// of a page of another origin, or of one that is not allowed, passes unchanged: the browser
    /// then keeps the answer from the page.
    pub fn decide(&self, method: &str, headers: &HeaderMap) -> CorsDecision {
        let unchanged = CorsDecision::Passes(HeaderChanges::default());
        let given = |name: HeaderName| headers.get(name).filter(|value| !value.is_empty());
        let Some(origin) = given(header::ORIGIN) else {
            return unchanged;
        };
        let asked = given(header::ACCESS_CONTROL_REQUEST_METHOD).is_some();
        let is_preflight = method == Method::OPTIONS.as_str() && asked;
        match (self.allows(origin.as_bytes()), is_preflight) {
            (true, true) => CorsDecision::Answered(self.of_preflight(origin)),
            (true, false) => CorsDecision::Passes(self.of_answer(origin)),
            (false, true) => match self.unmatched_preflights {
                UnmatchedPreflights::Forward => unchanged,
                UnmatchedPreflights::Ignore => CorsDecision::Answered(HeaderChanges::default()),
            },
            (false, false) => unchanged,
        }
    }

    fn of_preflight(&self, origin: &HeaderValue) -> HeaderChanges {
        let age = self.max_age.map(|age| HeaderValue::from(age.as_secs()));
        let more = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, listed(&self.methods)),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, listed(&self.headers)),
            (header::ACCESS_CONTROL_MAX_AGE, age),
        ];
        self.setting(origin, more)
    }

    fn of_answer(&self, origin: &HeaderValue) -> HeaderChanges {
        let expose = (header::ACCESS_CONTROL_EXPOSE_HEADERS, listed(&self.expose));
        self.setting(origin, [expose])
    }

    fn setting(
        &self,
        origin: &HeaderValue,
        more: impl IntoIterator<Item = (HeaderName, Option<HeaderValue>)>,
    ) -> HeaderChanges {
        let yes = HeaderValue::from_static("true");
        let credentials = self.credentials.then_some(yes);
        let both = [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, Some(origin.clone())),
            (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials),
        ];
        let all = both.into_iter().chain(more);
        HeaderChanges::setting(all.filter_map(|(name, value)| Some((name, value?))))
    }

    /// Whether pages of an origin may use the service. As with Envoy, what matches `*` matches all.
    pub fn allows(&self, origin: &[u8]) -> bool {
        let mut origins = self.origins.iter();
        origins.any(|allowed| allowed.matches(b"*") || allowed.matches(origin))
    }

    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, CORS, problems);
        let origins = origins(&table, problems);
        let max_age = table.take("maxAge", problems, |node, location, problems| {
            let age = duration::read(node, location, problems)?;
            if age.subsec_nanos() != 0 {
                let what = format!("{location} is not a whole number of seconds");
                problems.error(node.line, what, "write whole seconds");
            }
            Some(age)
        });
        let unmatched = table.take(
            "unmatchedPreflights",
            problems,
            |node, location, problems| scalar::word(node, location, &UNMATCHED, problems),
        );
        let credentials = table.take("allowCredentials", problems, scalar::truth);
        Some(Self {
            origins,
            methods: names(&table, "allowMethods", is_method, problems),
            headers: names(&table, "allowHeaders", is_header, problems),
            expose: names(&table, "exposeHeaders", is_header, problems),
            max_age,
            credentials: credentials.unwrap_or(false),
            unmatched_preflights: unmatched.unwrap_or_default(),
        })
    }
}

/// Names as the value of a header; none if there are none.
fn listed(names: &[Box<str>]) -> Option<HeaderValue> {
    let value = HeaderValue::try_from(names.join(",")).ok();
    value.filter(|value| !value.is_empty())
}

fn origins(table: &Table<'_>, problems: &mut Problems) -> Vec<StringMatch> {
    let mut origins = Vec::new();
    match (table.get("allowOrigins"), table.get("allowOrigin")) {
        (None, None) => {
            let what = format!("{} allows no origin, so it does nothing", table.location);
            problems.error(table.line, what, "write allowOrigins");
        }
        (Some(_), Some(old)) => {
            let what = format!(
                "{} and allowOrigins are both given",
                table.name("allowOrigin")
            );
            problems.error(old.line, what, "keep allowOrigins");
        }
        (Some(list), None) => {
            let location = table.name("allowOrigins");
            for (index, node) in table::list(list, &location, problems).iter().enumerate() {
                let location = format!("{location}[{index}]");
                origins.extend(StringMatch::read(node, &location, Empty::Refused, problems));
            }
        }
        (None, Some(list)) => {
            let location = table.name("allowOrigin");
            let what = format!("{location} is deprecated");
            problems.warn(list.line, what, "write `allowOrigins: [{ exact: … }]`");
            for node in table::list(list, &location, problems) {
                let text = table::text(node, &location, problems);
                origins.extend(text.map(|text| StringMatch::Exact(text.into())));
            }
        }
    }
    origins
}

fn names(
    table: &Table<'_>,
    key: &str,
    is_name: fn(&str) -> bool,
    problems: &mut Problems,
) -> Vec<Box<str>> {
    let Some(list) = table.get(key) else {
        return Vec::new();
    };
    let location = table.name(key);
    let mut names = Vec::new();
    for node in table::list(list, &location, problems) {
        match table::text(node, &location, problems) {
            Some(text) if text == "*" || is_name(text) => names.push(text.into()),
            Some(text) => {
                let what = format!("{location} {text:?} is not a name that can stand there");
                problems.error(node.line, what, "write a name, or `*`");
            }
            None => {}
        }
    }
    names
}

fn is_method(text: &str) -> bool {
    Method::from_bytes(text.as_bytes()).is_ok()
}

fn is_header(text: &str) -> bool {
    HeaderName::try_from(text).is_ok()
}

const UNMATCHED: [Word<UnmatchedPreflights>; 3] = [
    Word {
        text: "UNSPECIFIED",
        value: UnmatchedPreflights::Forward,
    },
    Word {
        text: "FORWARD",
        value: UnmatchedPreflights::Forward,
    },
    Word {
        text: "IGNORE",
        value: UnmatchedPreflights::Ignore,
    },
];

const CORS: Schema = Schema {
    read: &[
        "allowOrigins",
        "allowOrigin",
        "allowMethods",
        "allowHeaders",
        "exposeHeaders",
        "maxAge",
        "allowCredentials",
        "unmatchedPreflights",
    ],
    bookkeeping: &[],
    not_yet: &[],
};
