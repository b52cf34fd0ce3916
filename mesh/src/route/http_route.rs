//! One route of `http`: which requests it takes, and what becomes of them.

use std::{sync::Arc, time::Duration};

use super::{
    cors::Cors,
    destination::{From, OF_HTTP, WeightedDestinations},
    fault::Fault,
    headers::HeaderOperations,
    http_match::HttpMatch,
    mirror::{self, Mirror},
    redirect::Redirect,
    response::DirectResponse,
    retry::RetryPolicy,
    rewrite::{self, Rewrite},
};
use crate::{
    problem::Problems,
    read::{
        StringMatch, duration,
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// A route of requests.
#[derive(Debug, Clone)]
pub struct HttpRoute {
    /// Its name.
    pub name: Option<Box<str>>,
    /// The line that it begins on.
    pub line: u64,
    /// At least one; without conditions if the route takes every request.
    pub(super) matches: Vec<Arc<HttpMatch>>,
    /// What becomes of a request.
    pub action: HttpAction,
    /// What pages of other origins may do.
    pub cors: Option<Cors>,
    /// What is changed of requests and responses.
    pub headers: HeaderOperations,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum HttpAction {
    /// It goes to a destination.
    Forward(Box<Forward>),
    /// The client is told to go elsewhere.
    Redirect(Redirect),
    /// It is answered at once.
    Respond(DirectResponse),
}

/// How a request goes to a destination.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Where it goes.
    pub destinations: WeightedDestinations,
    /// What is changed of its path.
    pub rewrite: Option<Rewrite>,
    /// The authority that `rewrite`, or else the headers of the route, give it.
    pub authority: Option<Box<str>>,
    /// How long all tries together may take; without it, as long as they take.
    pub timeout: Option<Duration>,
    /// When it is sent again; without it, as the proxy does of itself.
    pub retries: Option<RetryPolicy>,
    /// Faults that are made.
    pub fault: Option<Fault>,
    /// Where copies of it go.
    pub mirrors: Vec<Mirror>,
}

impl HttpRoute {
    pub(super) fn read(
        node: &Node,
        location: &str,
        namespace: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        let table = Table::open(node, location, ROUTE, problems);
        let matches = matches(&table, problems);
        let headers = table.take("headers", problems, HeaderOperations::read);
        let headers = headers.unwrap_or_default();
        let mut kinds = ACTIONS.iter().filter(|key| table.get(key).is_some());
        let first = kinds.next();
        if let (Some(first), Some(second)) = (first, kinds.next()) {
            let what = format!("{location} has both {first} and {second}");
            problems.error(node.line, what, "keep one of them");
        }
        let action = match first {
            Some(&"route") => forward(&table, &headers, namespace, problems),
            Some(&"redirect") => {
                refuse_idle(&table, "redirect", problems);
                table.take("redirect", problems, |node, location, problems| {
                    let only_prefixes = matches
                        .iter()
                        .all(|it| matches!(it.uri, None | Some(StringMatch::Prefix(_))));
                    Redirect::read(node, location, only_prefixes, problems)
                        .map(HttpAction::Redirect)
                })
            }
            Some(_) => {
                refuse_idle(&table, "directResponse", problems);
                table
                    .take("directResponse", problems, DirectResponse::read)
                    .map(HttpAction::Respond)
            }
            None if ACTIONS.iter().any(|key| table.has(key)) || table.has("delegate") => None,
            None => {
                let what = format!("{location} leads nowhere");
                problems.error(node.line, what, "write route, redirect or directResponse");
                None
            }
        };
        let cors = table.take("corsPolicy", problems, Cors::read);
        Some(Self {
            name: table.take("name", problems, table::text).map(Into::into),
            line: node.line,
            matches,
            action: action?,
            cors,
            headers,
        })
    }
}

fn matches(table: &Table<'_>, problems: &mut Problems) -> Vec<Arc<HttpMatch>> {
    let Some(list) = table.get("match") else {
        return vec![Arc::new(HttpMatch::default())];
    };
    let location = table.name("match");
    let nodes = table::list(list, &location, problems).iter().enumerate();
    nodes
        .map(|(index, node)| {
            Arc::new(HttpMatch::read(
                node,
                &format!("{location}[{index}]"),
                problems,
            ))
        })
        .collect()
}

fn forward(
    table: &Table<'_>,
    headers: &HeaderOperations,
    namespace: &str,
    problems: &mut Problems,
) -> Option<HttpAction> {
    let written = table.take("rewrite", problems, rewrite::read);
    let rewrite::Written { path, authority } = written.unwrap_or_default();
    if authority.is_some() && headers.authority.is_some() {
        let what = format!(
            "{} sets the authority in rewrite and in headers",
            table.location
        );
        problems.error(table.line, what, "keep one of them");
    }
    let timeout = table.take("timeout", problems, duration::read);
    let retries = table.take("retries", problems, RetryPolicy::read);
    let fault = table.take("fault", problems, Fault::read);
    let mirrors = mirror::read(table, namespace, problems);
    let destinations = table.take("route", problems, |node, location, problems| {
        let from = From {
            namespace,
            schema: OF_HTTP,
        };
        WeightedDestinations::read(node, location, from, problems)
    });
    Some(HttpAction::Forward(Box::new(Forward {
        destinations: destinations?,
        rewrite: path,
        authority: authority.or_else(|| headers.authority.clone()),
        timeout,
        retries,
        fault,
        mirrors,
    })))
}

/// What has no effect on a request that goes nowhere.
fn refuse_idle(table: &Table<'_>, beside: &str, problems: &mut Problems) {
    for key in OF_FORWARD {
        if let Some(node) = table.get(key) {
            let what = format!("{} has no effect beside {beside}", table.name(key));
            problems.error(node.line, what, "remove it");
        }
    }
}

const ACTIONS: [&str; 3] = ["route", "redirect", "directResponse"];

const OF_FORWARD: [&str; 8] = [
    "rewrite",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirrors",
    "mirrorPercentage",
    "mirrorPercent",
];

const ROUTE: Schema = Schema {
    read: &[
        "name",
        "match",
        "route",
        "redirect",
        "directResponse",
        "rewrite",
        "timeout",
        "retries",
        "fault",
        "mirror",
        "mirrors",
        "mirrorPercentage",
        "mirrorPercent",
        "corsPolicy",
        "headers",
    ],
    bookkeeping: &[],
    not_yet: &[(
        "delegate",
        "write the routes of the other VirtualService here",
    )],
};
