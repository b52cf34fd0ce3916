//! What the routes of the mesh do, each with the numbers that were seen.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use super::{
    call::{Client, Header},
    documents::{BREAKER, CANARY, FAULT, NO_RETRIES, RETRIES, SHOP_HOST},
    files::DemoDirectory,
    report::Report,
    service::{BREAK, FLAKY, REPAIR},
    within,
};

/// How many answers there were of each kind.
type Counts = BTreeMap<&'static str, usize>;

/// Shows one after the other.
pub(super) async fn show(directory: &DemoDirectory, report: &mut Report) -> anyhow::Result<()> {
    let client = Client::new(directory.ports.client_mesh, SHOP_HOST);
    canary(&client, report).await?;
    fault(directory, &client, report).await?;
    retries(directory, &client, report).await?;
    breaker(directory, &client, report).await?;
    directory.write_routes(CANARY)
}

async fn canary(client: &Client, report: &mut Report) -> anyhow::Result<()> {
    report.step("routing: 95 of 100 requests to v1, 5 to v2, and X-User-Beta: true to v2");
    let counts = count(client, MANY).await?;
    let (one, two) = (of(&counts, "v1"), of(&counts, "v2"));
    ensure!(
        one + two == MANY && (MANY / 100..MANY / 8).contains(&two),
        "of {MANY} requests {one} went to v1 and {two} to v2"
    );
    for _ in 0..FEW {
        let beta = Header {
            name: "x-user-beta",
            value: "true",
        };
        let answer = client.get_with("/hello", beta).await?;
        ensure!(answer.body.contains("from v2"), "{}", answer.summary());
    }
    report.detail(&format!(
        "{MANY} requests     → {one} from v1, {two} from v2"
    ));
    report.detail(&format!("{FEW} of the beta   → {FEW} from v2"));
    report.done("by weight, and by a header");
    Ok(())
}

async fn fault(
    directory: &DemoDirectory,
    client: &Client,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.step("a fault: one of ten requests is answered with 500");
    directory.write_routes(FAULT)?;
    until_taken(client, "fault", |counts| of(counts, "failed") > 0).await?;
    let counts = count(client, MANY).await?;
    let failed = of(&counts, "failed");
    ensure!(
        (MANY / 25..MANY / 5).contains(&failed),
        "of {MANY} requests {failed} failed"
    );
    report.detail(&format!("{MANY} requests     → {failed} failed"));
    report.done("the application has not been touched");
    Ok(())
}

async fn retries(
    directory: &DemoDirectory,
    client: &Client,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.step("retries: both versions fail every third request");
    directory.write_routes(NO_RETRIES)?;
    until_taken(client, "no retries", |counts| of(counts, "failed") == 0).await?;
    tell_services(directory, FLAKY).await?;
    let failed = of(&count(client, MANY / 4).await?, "failed");
    ensure!(
        failed > 0,
        "no request failed, though the services are flaky"
    );
    report.detail(&format!(
        "without retries → {failed} of {} failed",
        MANY / 4
    ));
    directory.write_routes(RETRIES)?;
    until_taken(client, "retries", |counts| of(counts, "failed") == 0).await?;
    let hidden = of(&count(client, MANY / 4).await?, "failed");
    ensure!(
        hidden == 0,
        "{hidden} of {} failed in spite of retries",
        MANY / 4
    );
    report.detail(&format!("with three      → 0 of {} failed", MANY / 4));
    tell_services(directory, REPAIR).await?;
    report.done("nobody saw the errors");
    Ok(())
}

async fn breaker(
    directory: &DemoDirectory,
    client: &Client,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.step("a breaker: v2 breaks, is left alone, probed, and comes back");
    directory.write_routes(BREAKER)?;
    client
        .until(|answer| answer.status == 204, "GET", "/in-force")
        .await?;
    let [_, two] = directory.ports.services;
    let service = Client::new(two, SHOP_HOST);
    service.call("POST", BREAK).await?;
    // Meanwhile its time may be over, and one request of them may probe it.
    let before = count(client, FEW).await?;
    let after = count(client, FEW).await?;
    let (opened, probed) = (of(&before, "failed"), of(&after, "failed"));
    ensure!(
        (3..=4).contains(&opened) && probed <= 1,
        "{opened} of {FEW} requests failed, and then {probed} of {FEW}"
    );
    report.detail(&format!(
        "v2 fails        → {opened} requests failed, then {probed} of {FEW}"
    ));
    sleep(EJECTED).await;
    let counts = count(client, FEW).await?;
    let probes = of(&counts, "failed");
    ensure!(probes == 1, "{probes} of {FEW} requests probed v2");
    report.detail(&format!(
        "{EJECTED:?} later  → 1 of {FEW} requests probed it, and failed"
    ));
    service.call("POST", REPAIR).await?;
    let repaired = Instant::now();
    within(BACK, "v2 is back", async || {
        let counts = count(client, FEW).await?;
        ensure!(
            of(&counts, "failed") == 0,
            "a request failed after the repair"
        );
        ensure!(of(&counts, "v2") > 1, "v2 gets no requests yet");
        Ok(())
    })
    .await?;
    let took = repaired.elapsed().as_millis();
    report.detail(&format!("v2 is repaired  → back after {took} ms, 0 failed"));
    report.done("one request at a time found out");
    Ok(())
}

/// Asks until what was written is seen to be in force.
pub(super) async fn until_taken(
    client: &Client,
    what: &str,
    taken: impl Fn(&Counts) -> bool,
) -> anyhow::Result<()> {
    within(IN_FORCE, what, async || {
        let counts = count(client, FEW * 2).await?;
        ensure!(taken(&counts), "not in force: {counts:?}");
        Ok(())
    })
    .await
}

/// Who answers so many requests.
async fn count(client: &Client, requests: usize) -> anyhow::Result<Counts> {
    let mut counts = Counts::new();
    for _ in 0..requests {
        let answer = client.call("GET", "/hello").await?;
        let kind = match answer.status {
            200 if answer.body.contains("from v1") => "v1",
            200 => "v2",
            _ => "failed",
        };
        let count = counts.entry(kind).or_default();
        *count += 1;
    }
    Ok(counts)
}

/// How many answers there were of this kind.
pub(super) fn of(counts: &Counts, kind: &str) -> usize {
    counts.get(kind).copied().unwrap_or_default()
}

/// Asks both versions to be ill, or well.
pub(super) async fn tell_services(directory: &DemoDirectory, what: &str) -> anyhow::Result<()> {
    for port in directory.ports.services {
        Client::new(port, SHOP_HOST).call("POST", what).await?;
    }
    Ok(())
}

const MANY: usize = 400;
const FEW: usize = 20;
const EJECTED: Duration = Duration::from_millis(2500);
const IN_FORCE: Duration = Duration::from_secs(10);
const BACK: Duration = Duration::from_secs(15);
