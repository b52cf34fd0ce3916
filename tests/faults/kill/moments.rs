//! `kill -9` at the moments at which the most is at stake: a server that makes its first
//! authority, an agent that renews its SVID.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::{Admin, RECOVERY, WEB, answer, load::serves, start_again, trust::Trusted, until};
use crate::{
    ALONE,
    testbed::{Agent, Bed, Options, Server, my_user, say, within},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_at_any_moment_of_its_first_start_starts_again_with_one_authority() {
    let _alone = ALONE.lock().await;
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let admin = Admin::new(server.socket.clone(), server.port);
    let anew = |server: &mut Server<'_>| {
        server.process.kill();
        fs::remove_dir_all(bed.path("server")).unwrap();
        start_again(&mut server.process)
    };
    let started = anew(&mut server);
    let whole = until("a first start", started, || admin.mint_jwt()).await;
    for step in 0..FIRST_STARTS {
        anew(&mut server);
        sleep(whole * step / FIRST_STARTS).await;
        server.process.kill();
        let started = start_again(&mut server.process);
        let issuing = until("the server issues", started, || admin.mint_jwt()).await;
        assert!(issuing < RECOVERY, "{issuing:?}");
        let bundle = answer(|| admin.bundle()).await;
        assert_eq!(bundle.x509_authorities.len(), 1, "{}", server.process.log());
        assert_eq!(bundle.jwt_authorities.len(), 1, "{}", server.process.log());
        let mut trusted = Trusted::default();
        trusted.issued(
            admin.mint_x509().await.unwrap(),
            admin.mint_jwt().await.unwrap(),
        );
        trusted.holds(&bundle);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_killed_while_it_renews_its_svid_comes_back_as_the_same_agent() {
    let _alone = ALONE.lock().await;
    let bed = Bed::new();
    let options = Options {
        settings: "agent_ttl = \"12s\"",
        plugins: "",
    };
    let server = Server::start_with(&bed, &options);
    let mut agent = Agent::join(&server);
    server.entry(&agent.id, WEB, &my_user(), &[]);
    agent.serves(WEB);
    let keys = bed.path("agent/keys.json");
    let mut longest = Duration::ZERO;
    for step in 0..RENEWALS {
        let before = changed(&keys);
        // The next key is kept just before the server is asked for its certificate.
        within(LIFE, "the agent renews", || {
            (changed(&keys) != before).then_some(())
        });
        sleep(Duration::from_millis(u64::from(step) * 4)).await;
        agent.process.kill();
        let started = start_again(&mut agent.process);
        let serves = || serves(&agent.socket, WEB);
        longest = longest.max(until("the agent serves", started, serves).await);
        // It has its own SVID still, or it could not get another one signed.
        let id = format!("spiffe://example.org/fresh/{step}");
        server.entry(&agent.id, &id, &my_user(), &[]);
        agent.serves(&id);
    }
    say(&format!(
        "longest recovery of an agent killed while it renews: {longest:?}"
    ));
    assert!(longest < RECOVERY, "{longest:?}");
    let attested = agent
        .process
        .log()
        .matches("node attestation was successful")
        .count();
    assert_eq!(attested, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_killed_while_it_writes_its_cache_serves_in_the_outage_that_follows() {
    let _alone = ALONE.lock().await;
    let bed = Bed::new();
    let server = Server::start(&bed);
    let mut agent = Agent::join(&server);
    server.entry(&agent.id, WEB, &my_user(), &[]);
    for number in 0..ENTRIES {
        let id = format!("spiffe://example.org/other/{number}");
        server.entry(&agent.id, &id, "unix:uid:4000000000", &[]);
    }
    agent.serves(WEB);
    let kept = bed.path("agent/agent-cache.sealed");
    let mut longest = Duration::ZERO;
    for step in 0..CACHE_WRITES {
        let before = changed(&kept);
        let id = format!("spiffe://example.org/step/{step}");
        server.entry(&agent.id, &id, &my_user(), &[]);
        within(LIFE, "the cache is written", || {
            (changed(&kept) != before).then_some(())
        });
        let id = format!("spiffe://example.org/after/{step}");
        server.entry(&agent.id, &id, &my_user(), &[]);
        // The next write comes a moment after the pause between two.
        sleep(PAUSE + Duration::from_millis(u64::from(step) * 4)).await;
        agent.process.kill();
        server.process.signal(Signal::SIGSTOP);
        let started = start_again(&mut agent.process);
        let serves = || serves(&agent.socket, WEB);
        longest = longest.max(until("the agent serves", started, serves).await);
        server.process.signal(Signal::SIGCONT);
    }
    say(&format!(
        "longest start of an agent killed while it keeps its cache: {longest:?}"
    ));
    assert!(longest < RECOVERY, "{longest:?}");
    let log = agent.process.log();
    assert!(!log.contains("the cache on disk is not used"), "{log}");
}

fn changed(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

const FIRST_STARTS: u32 = 20;
const RENEWALS: u32 = 10;
const CACHE_WRITES: u32 = 8;
const ENTRIES: u32 = 100;
/// Between two writes of an agent's cache.
const PAUSE: Duration = Duration::from_millis(5_080);
/// Longer than an agent's SVID lives.
const LIFE: Duration = Duration::from_secs(20);
