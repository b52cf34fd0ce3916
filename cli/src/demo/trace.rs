//! One request as the proxies saw it: a trace of which the spans really came to a collector.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::{
    call::{Client, Header},
    collector::{Collector, Span},
    documents::{RETRIES, SHOP_HOST},
    files::DemoDirectory,
    report::Report,
    service::{FLAKY, REPAIR},
    traffic::{of, tell_services, until_taken},
    within,
};

/// Shows the trace of a request that was sent again.
pub(super) async fn show(
    directory: &DemoDirectory,
    collector: &Collector,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.step("a trace: a request whose first try failed, from the spans of both proxies");
    let client = Client::new(directory.ports.client_mesh, SHOP_HOST);
    tell_services(directory, FLAKY).await?;
    directory.write_routes(RETRIES)?;
    until_taken(&client, "retries", |counts| of(counts, "failed") == 0).await?;
    let first = u128::from_be_bytes(*b"signet-demo-0000");
    let traces: Vec<u128> = (0..REQUESTS).map(|number| first + number).collect();
    for trace in &traces {
        // Whoever asks says that it is to be recorded.
        let parent = format!("00-{trace:032x}-{ASKING:016x}-01");
        let header = Header {
            name: "traceparent",
            value: &parent,
        };
        let answer = client.get_with("/hello", header).await?;
        ensure!(answer.status == 200, "{}", answer.summary());
    }
    tell_services(directory, REPAIR).await?;
    let tree = within(COLLECTED, "the spans of a request", async || {
        let mut trees = traces.iter().map(|trace| collector.of(*trace));
        trees
            .find(|spans| is_retried(spans))
            .context("no request was tried twice, or its spans have not come")
    });
    let spans = tree.await?;
    write(&spans, report);
    report.done(&format!("{} spans of one request", spans.len()));
    Ok(())
}

/// One call that was sent again, and all of its tries.
fn is_retried(spans: &[Span]) -> bool {
    let mut calls = spans.iter().filter(|span| span.is_client);
    let (Some(call), None) = (calls.next(), calls.next()) else {
        return false;
    };
    let again = call.attribute("http.request.resend_count");
    let again = again.and_then(|count| count.parse::<usize>().ok());
    again.is_some_and(|again| spans.len() == again + 2)
}

/// Parents before their children, and these in the order of time.
fn write(spans: &[Span], report: &Report) {
    let mut open: Vec<(&Span, usize)> = Vec::new();
    let known = |id: &[u8]| spans.iter().any(|span| span.id == id);
    let mut roots: Vec<_> = spans.iter().filter(|it| !known(&it.parent)).collect();
    roots.sort_by_key(|span| std::cmp::Reverse(span.start));
    open.extend(roots.into_iter().map(|span| (span, 0)));
    while let Some((span, depth)) = open.pop() {
        report.detail(&line(span, depth));
        let mut children: Vec<_> = spans.iter().filter(|it| it.parent == span.id).collect();
        children.sort_by_key(|span| std::cmp::Reverse(span.start));
        open.extend(children.into_iter().map(|child| (child, depth + 1)));
    }
}

fn line(span: &Span, depth: usize) -> String {
    let branch = match depth {
        0 => String::new(),
        depth => format!("{}└ ", "  ".repeat(depth - 1)),
    };
    let get = |name| span.attribute(name).unwrap_or_default();
    let kind = if span.is_client { "client" } else { "server" };
    let who = format!("{branch}{} ({kind}) {}", span.service, span.name);
    let milliseconds = span.took.as_secs_f64() * 1000.0;
    let status = get("http.response.status_code");
    let from = get("source.principal");
    let to = get("destination.principal");
    let again = match span.attribute("http.request.resend_count") {
        Some(count) => format!(", sent again {count}×"),
        None => String::new(),
    };
    format!("{who:<34} {milliseconds:>7.2} ms  {status}  {from} → {to}{again}")
}

/// So many that each version fails at least once.
const REQUESTS: u128 = 8;
/// The span of whoever asks, which nobody records.
const ASKING: u64 = 0xde30;
const COLLECTED: Duration = Duration::from_secs(10);
