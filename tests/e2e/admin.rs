//! What people ask running daemons on their admin sockets: the level of the log, the state of the
//! agent, agents that are long gone.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use signet_identity::unix;
use signet_proto::spire::agent::debug::v1::{
    GetInfoRequest, GetInfoResponse, debug_client::DebugClient,
};
use signet_tests::testbed::{grpc::over_unix, within};

use crate::testbed::{Agent, Bed, Run, Server, my_user};

/// `… logger` with more words.
type Logger<'a> = &'a dyn Fn(&[&str]) -> Run;

#[test]
fn the_level_of_a_running_daemons_log_is_told_set_and_reset() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    // It must not be where the Workload API's socket is, or below.
    let apart = Bed::new();
    let socket = apart.path("admin.sock").display().to_string();
    let _agent = Agent::join_with(&server, &format!("admin_socket_path = \"{socket}\""));
    let of_agent = |words: &[&str]| {
        let rest = ["--socket-path", &socket];
        bed.signet(&[&["agent", "logger"], words, &rest].concat())
    };
    let of_server = |words: &[&str]| server.run(&[&["logger"], words].concat());
    let both: [Logger<'_>; 2] = [&of_server, &of_agent];
    for logger in both {
        let launch = "Logger Level : debug\nLaunch Level : debug\n\n";
        assert_eq!(logger(&["get"]).ok(), launch);
        let changed = "Logger Level : warning\nLaunch Level : debug\n\n";
        assert_eq!(logger(&["set", "--level", "Warn"]).ok(), changed);
        let json = logger(&["get", "--output", "json"]).ok();
        assert_eq!(
            json,
            "{\"current_level\":\"WARN\",\"launch_level\":\"DEBUG\"}\n"
        );
        assert_eq!(logger(&["reset"]).ok(), launch);
        let refused = logger(&["set", "--level", "loud"]).refused();
        assert!(
            refused.contains("the value \"loud\" is not a valid setting"),
            "{refused}"
        );
    }
}

#[test]
fn an_agent_tells_of_its_svid_of_how_much_it_holds_and_when_it_heard_its_server() {
    let bed = Bed::new();
    let mut server = Server::start(&bed);
    let apart = Bed::new();
    let socket = apart.path("admin.sock");
    let settings = format!("admin_socket_path = \"{}\"", socket.display());
    let agent = Agent::join_with(&server, &settings);
    let id = "spiffe://example.org/web";
    server.entry(&agent.id, id, &my_user(), &[]);
    agent.serves(id);
    agent.run(&["api", "fetch", "jwt", "--audience", "a"]).ok();
    let info = || ask(&socket);
    let told = info();
    let ids: Vec<_> = told.svid_chain.iter().map(|cert| cert.id.clone()).collect();
    let path = ids[0].clone().unwrap().path;
    assert!(agent.id.ends_with(&path) && ids.len() == 2, "{told:?}");
    assert_eq!(told.svid_chain[0].subject, "O=SPIRE,C=US");
    let counts = (told.cached_x509_svids_count, told.cached_jwt_svids_count);
    assert_eq!((counts, told.uptime >= 0), ((1, 1), true));
    // While the server tells each change as it comes, the agent is in step with it all the time.
    let later = within(Duration::from_secs(20), "a second has passed", || {
        let now = info();
        (now.last_sync_success > told.last_sync_success).then_some(now)
    });
    assert!(later.uptime >= told.uptime);
    server.process.kill();
    within(
        Duration::from_secs(20),
        "it has not heard it for a while",
        || {
            let since = unix::seconds(SystemTime::now()) - info().last_sync_success;
            (since > 1).then_some(())
        },
    );
}

#[test]
fn svids_above_the_limit_are_let_go_when_their_workload_has_left() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let apart = Bed::new();
    let socket = apart.path("admin.sock");
    let settings = format!(
        "admin_socket_path = \"{}\"\nx509_svid_cache_max_size = 2",
        socket.display()
    );
    let agent = Agent::join_with(&server, &settings);
    let ids = ["a", "b", "c", "d"].map(|name| format!("spiffe://example.org/{name}"));
    for id in &ids {
        server.entry(&agent.id, id, &my_user(), &[]);
    }
    within(
        Duration::from_secs(20),
        "the agent knows the entries",
        || {
            let found = agent.run(&["api", "fetch", "x509"]).ok();
            ids.iter().all(|id| found.contains(id)).then_some(())
        },
    );
    let held = || ask(&socket).cached_x509_svids_count;
    within(Duration::from_secs(20), "two of four are held", || {
        (held() == 2).then_some(())
    });
    let again = agent.run(&["api", "fetch", "x509"]).ok();
    assert!(ids.iter().all(|id| again.contains(id)), "{again}");
}

#[test]
fn an_agent_that_is_long_gone_is_purged_and_one_that_is_not_stays() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let _agent = Agent::join(&server);
    let told = server.run(&["agent", "purge", "--expired-for", "1s"]).ok();
    assert_eq!(told, "No agents to purge.\n");
    assert_eq!(
        server.run(&["agent", "count"]).ok().trim(),
        "1 attested agent"
    );
}

fn ask(socket: &Path) -> GetInfoResponse {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut client = DebugClient::new(over_unix(socket.to_owned()));
        client
            .get_info(GetInfoRequest {})
            .await
            .unwrap()
            .into_inner()
    })
}
