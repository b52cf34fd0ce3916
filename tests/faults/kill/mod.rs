//! `kill -9` of server, agent and proxy, in turn and under load: nothing that was acknowledged is
//! lost, and each is back in less than five seconds.
//!
//! All three go on from their files alone. The CA's and the agent's lifetimes are short, so that
//! keys rotate while processes are killed; every other time the server is killed once more while it
//! is starting.

mod client;
mod ledger;
mod load;
mod moments;
mod trust;

use std::{
    collections::BTreeMap,
    env,
    io::Write as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};
use tonic::{Code, Status};

use self::{
    client::Admin,
    ledger::compare,
    load::{Load, my_entry, myself, passes, serves},
    trust::Trusted,
};
use crate::{
    ALONE,
    testbed::{Agent, Bed, Options, Process, Proxy, Server, free_port, raw, say},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_a_hundred_times_each_under_load_all_come_back_and_nothing_acknowledged_is_lost() {
    let _alone = ALONE.lock().await;
    let bed = Bed::new();
    let mut world = World::start(&bed);
    let mut recovery = Recovery::default();
    let load = Load::new();
    let agent = &world.agent;
    let mut clients = load.start(&world.admin, &agent.id, &agent.socket, world.out);
    for round in 0..rounds() {
        moment(round).await;
        let (issuing, news) = world.kill_server(round, &load).await;
        recovery.note("the server issues", issuing);
        recovery.note("news reach a workload", news);
        moment(round + 1).await;
        recovery.note("the agent serves", world.kill_agent().await);
        moment(round + 2).await;
        recovery.note("the proxies pass a request", world.kill_proxy(round).await);
        world.all_run();
        no_client_died(&mut clients);
    }
    clients.shutdown().await;
    let (created, deleted) = load.ledger.acknowledged();
    say(&format!(
        "killed each {} times; acknowledged: {created} creations, {deleted} deletions; {:?}",
        rounds(),
        load.seen
    ));
    world.is_what_it_was().await;
    recovery.check();
}

struct World<'a> {
    server: Server<'a>,
    agent: Agent<'a>,
    back: Proxy,
    front: Proxy,
    out: u16,
    admin: Admin,
    trusted: Trusted,
    /// Join tokens that were used.
    used: Vec<String>,
    started: Instant,
}

impl<'a> World<'a> {
    fn start(bed: &'a Bed) -> Self {
        let server = Server::start_with(bed, &SHORT_LIVED);
        let agent = Agent::join(&server);
        server.entry(&agent.id, WEB, &myself(), &[]);
        let (shop_in, out, application) = (free_port(), free_port(), raw::application(serve));
        let back = format!(
            "mesh: []
inbound:
  - {{ name: shop, listen: '127.0.0.1:{shop_in}', protocol: HTTP, forward: '127.0.0.1:{application}' }}
"
        );
        let front = format!(
            "outbound:
  - {{ name: shop, listen: '127.0.0.1:{out}', protocol: HTTP, connect: '127.0.0.1:{shop_in}', expect: [spiffe://example.org/back] }}
"
        );
        let back = Proxy::start(&server, &agent, "back", &back);
        let front = Proxy::start(&server, &agent, "front", &front);
        Self {
            admin: Admin::new(server.socket.clone(), server.port),
            server,
            agent,
            back,
            front,
            out,
            trusted: Trusted::default(),
            used: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Kills the server and checks all that it had acknowledged. How long was it until it issued,
    /// and until what was created afterwards had reached a workload?
    async fn kill_server(&mut self, round: usize, load: &Load) -> (Duration, Duration) {
        self.issue().await;
        let before = load.ledger.snapshot();
        let doubtful = self.attest_while_killed().await;
        if !round.is_multiple_of(2) {
            // Once more, while it is starting.
            self.server.process.start_again();
            sleep(Duration::from_millis(
                u64::try_from(round * 7 % 150).unwrap(),
            ))
            .await;
            self.server.process.kill();
        }
        let started = start_again(&mut self.server.process);
        let issuing = until("the server issues", started, || self.admin.mint_x509()).await;
        let bundle = answer(|| self.admin.bundle()).await;
        let agents = || self.admin.bundle_over_tls(bundle.clone());
        let serving = until("the server answers agents", started, agents).await;
        let news = self.news(round, started).await;
        let listed = answer(|| self.admin.list()).await;
        compare(&before, &listed, &load.ledger.snapshot());
        self.trusted.holds(&bundle);
        self.tokens_stay_used(doubtful).await;
        (issuing.max(serving), news)
    }

    /// Has SVIDs and a used token on record.
    async fn issue(&mut self) {
        let chain = answer(|| self.admin.mint_x509()).await;
        let token = answer(|| self.admin.mint_jwt()).await;
        self.trusted.issued(chain, token);
        let bundle = answer(|| self.admin.bundle()).await;
        self.trusted.holds(&bundle);
        let token = answer(|| self.admin.token()).await;
        self.admin.attest(bundle, &token).await.unwrap();
        self.used.push(token);
    }

    /// Kills the server while somebody attests. The token, if nobody can know whether it was used.
    async fn attest_while_killed(&mut self) -> Option<String> {
        let token = answer(|| self.admin.token()).await;
        let bundle = answer(|| self.admin.bundle()).await;
        let (admin, tried) = (self.admin.clone(), token.clone());
        let attempt = tokio::spawn(async move { admin.attest(bundle, &tried).await });
        // About as long as it takes.
        sleep(Duration::from_millis(
            u64::try_from(self.used.len() % 25).unwrap(),
        ))
        .await;
        self.server.process.kill();
        match attempt.await.unwrap() {
            Ok(()) => {
                self.used.push(token);
                None
            }
            Err(_away) => Some(token),
        }
    }

    /// A token attests once, whatever happens to the server.
    async fn tokens_stay_used(&mut self, doubtful: Option<String>) {
        if let Some(token) = doubtful {
            // If it was used, then for an agent that never heard of it.
            let outcome = self.attest_with(&token).await;
            assert!(outcome.is_ok() || is_used(&outcome), "{outcome:?}");
            self.used.push(token);
        }
        let last = self.used.iter().rev().take(2);
        let first = self.used.iter().take(1);
        for token in last.chain(first) {
            let outcome = self.attest_with(token).await;
            assert!(is_used(&outcome), "{outcome:?}");
        }
    }

    async fn attest_with(&self, token: &str) -> Result<(), Status> {
        let bundle = answer(|| self.admin.bundle()).await;
        self.admin.attest(bundle, token).await
    }

    /// What is created now reaches a workload.
    async fn news(&self, round: usize, started: Instant) -> Duration {
        let path = format!("/news/{round}");
        let id = format!("spiffe://example.org{path}");
        let entry = answer(|| self.admin.create(my_entry(&self.agent.id, &path))).await;
        let served = || serves(&self.agent.socket, &id);
        let reached = until("news reach a workload", started, served).await;
        answer(|| self.admin.delete(&entry)).await;
        reached
    }

    async fn kill_agent(&mut self) -> Duration {
        self.agent.process.kill();
        let started = start_again(&mut self.agent.process);
        let serves = || serves(&self.agent.socket, WEB);
        until("the agent serves SVIDs", started, serves).await
    }

    /// Those that answer are those that were started last.
    fn all_run(&mut self) {
        let proxies = [&mut self.back.process, &mut self.front.process];
        let daemons = [&mut self.server.process, &mut self.agent.process];
        for process in daemons.into_iter().chain(proxies) {
            assert!(process.is_running(), "{}", process.log());
        }
    }

    /// Kills one of the proxies, by turns.
    async fn kill_proxy(&mut self, round: usize) -> Duration {
        let proxy = match round.is_multiple_of(2) {
            true => &mut self.front,
            false => &mut self.back,
        };
        proxy.process.kill();
        let started = start_again(&mut proxy.process);
        let passes = || passes(self.out);
        until("the proxies pass a request", started, passes).await
    }

    /// One agent that attested once, and authorities that followed each other in good order.
    async fn is_what_it_was(&self) {
        let log = self.agent.process.log();
        let attested = log.matches("node attestation was successful").count();
        assert_eq!(attested, 1, "the agent had to attest again");
        let shown = self
            .server
            .run(&["agent", "show", "--spiffe-id", &self.agent.id]);
        assert!(shown.ok().contains("Attestation type"));
        let bundle = answer(|| self.admin.bundle()).await;
        let rotations = self.started.elapsed().as_secs() / CA_TTL.as_secs() * 2 + 2;
        let rotations = usize::try_from(rotations).unwrap();
        let (x509, jwt) = (bundle.x509_authorities.len(), bundle.jwt_authorities.len());
        say(&format!("authorities: {x509} X.509, {jwt} JWT"));
        assert!(
            x509 <= rotations && jwt <= rotations,
            "a restart made new authorities"
        );
        for log in [&self.server.process, &self.agent.process].map(Process::log) {
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

/// The times from each start to the first service.
#[derive(Default)]
struct Recovery(BTreeMap<&'static str, Vec<Duration>>);

impl Recovery {
    fn note(&mut self, what: &'static str, took: Duration) {
        self.0.entry(what).or_default().push(took);
    }

    /// All are in time; of a hundred, one may have met a moment at which the machine stood still.
    fn check(&self) {
        for (what, times) in &self.0 {
            let late = times.iter().filter(|took| **took >= RECOVERY).count();
            assert!(late <= times.len() / 100, "{what}: {late} times late");
            let longest = times.iter().max().unwrap();
            say(&format!(
                "longest until {what}: {longest:.2?}; late: {late} of {}",
                times.len()
            ));
        }
    }
}

fn is_used(outcome: &Result<(), Status>) -> bool {
    let Err(refused) = outcome else { return false };
    refused.code() == Code::InvalidArgument && refused.message().contains("already been used")
}

/// Starts a killed process again; the time of the start.
fn start_again(process: &mut Process) -> Instant {
    let started = Instant::now();
    process.start_again();
    started
}

/// Asks until there is an answer; how long after `started` that was.
async fn until<T, F>(what: &str, started: Instant, mut ask: impl FnMut() -> F) -> Duration
where
    F: Future<Output = Result<T, Status>>,
{
    loop {
        match ask().await {
            Ok(_) => return started.elapsed(),
            Err(error) => {
                assert!(
                    started.elapsed() < PATIENCE,
                    "not within {PATIENCE:?}: {what}: {error}"
                );
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// The answer of somebody who is there, or is coming up.
async fn answer<T, F>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, Status>>,
{
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Another moment of whatever goes on, each time.
async fn moment(round: usize) {
    let millis = u64::try_from(round * 37 % 120).unwrap();
    sleep(Duration::from_millis(millis)).await;
}

/// A client ends only when it sees what must not be.
fn no_client_died(clients: &mut JoinSet<()>) {
    while let Some(ended) = clients.try_join_next() {
        ended.unwrap();
    }
}

fn rounds() -> usize {
    match env::var("SIGNET_FAULTS_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("SIGNET_FAULTS_ROUNDS is a number"),
        Err(_unset) => ROUNDS,
    }
}

/// An application behind a proxy.
fn serve(mut stream: TcpStream) {
    while raw::head(&mut stream).is_some() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

/// Keys that rotate while processes are killed.
const SHORT_LIVED: Options<'static> = Options {
    settings: "ca_ttl = \"90s\"\n  default_x509_svid_ttl = \"15s\"\n  default_jwt_svid_ttl = \"15s\"\n  \
               agent_ttl = \"30s\"\n  ratelimit { attestation = false }",
    plugins: "",
};
const CA_TTL: Duration = Duration::from_secs(90);
const WEB: &str = "spiffe://example.org/web";
const ROUNDS: usize = 100;

/// What is promised.
const RECOVERY: Duration = Duration::from_secs(5);

/// How long is waited for it, to say by how much it was missed.
const PATIENCE: Duration = Duration::from_secs(30);
