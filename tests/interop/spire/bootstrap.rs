//! How an agent comes to trust its server at first.

use std::{fs, net::TcpStream};

use signet_tests::testbed::{Bed, Node, Server, free_port};

use super::stage::{Attestor, Maker, Pair, Stage, every, every_pair, patiently, serves};

#[cfg_attr(spire, test)]
fn an_agent_trusts_a_bundle_in_either_form_or_the_first_server_it_meets() {
    every_pair("bootstrap", "", |stage| {
        let bed = stage.server.bed;
        let document = stage.server.run(&["bundle", "show", "--format", "spiffe"]);
        bed.write("bundle.json", &document.ok());
        // One way after the other; the agent of each is a new one with files of its own.
        for (name, trust) in [
            (
                "document",
                "trust_bundle_path = \"bundle.json\"\n  trust_bundle_format = \"spiffe\"",
            ),
            (
                "pem",
                "trust_bundle_path = \"bundle.pem\"\n  trust_bundle_format = \"pem\"",
            ),
            ("insecure", "insecure_bootstrap = true"),
        ] {
            let node = Node {
                name,
                trust,
                ..Node::default()
            };
            let mut agent = stage.agent_with(&node);
            patiently(&format!("{name}: the agent is healthy"), || {
                (agent.run(&["healthcheck"]).code == Some(0)).then_some(())
            });
            agent.process.stop();
        }
    });
}

#[cfg_attr(spire, test)]
fn an_agent_that_trusts_another_authority_does_not_attest() {
    every_pair("wrong bundles", "", |stage| {
        let bed = stage.server.bed;
        let other = Bed::new();
        let stranger = Server::start(&other).run(&["bundle", "show"]).ok();
        bed.write("other.pem", &stranger);
        let node = Node {
            trust: "trust_bundle_path = \"other.pem\"",
            ..Node::default()
        };
        let agent = stage.agent_with(&node);
        patiently("the agent says that it does not trust the server", || {
            let log = agent.process.log().to_lowercase();
            let told = log.contains("certificate") || log.contains("trusted");
            told.then_some(())
        });
        let listed = stage.server.run(&["agent", "list"]).ok();
        assert!(listed.contains("No attested agents found"), "{listed}");
    });
}

#[cfg_attr(spire, test)]
fn flags_say_what_the_file_does_not() {
    every("flags of agents", Pair::joining(), |pair| {
        let bed = Bed::of(pair.server.server(), pair.agent.agent());
        started_by_flags(&Stage::set(&bed, pair, ""));
    });
}

/// A file with no word about the server, and a token in a file.
fn started_by_flags(stage: &Stage<'_>) {
    let (server, bed) = (&stage.server, stage.server.bed);
    server.bundle_file();
    let token = server.token(&[]);
    bed.write("token", &token);
    let file = "agent {\n  experimental { sync_interval = \"1s\" }\n}\nplugins {\n  \
                KeyManager \"memory\" { plugin_data {} }\n  \
                NodeAttestor \"join_token\" { plugin_data {} }\n  \
                WorkloadAttestor \"unix\" { plugin_data {} }\n}\n";
    let config = bed.write("bare.conf", file);
    let (data, log) = (bed.path("bare"), bed.path("bare.said"));
    let (socket, port) = (bed.path("bare.sock"), server.port.to_string());
    let flags = [
        "run",
        "-config",
        config.to_str().unwrap(),
        "-dataDir",
        data.to_str().unwrap(),
        "-joinTokenFile",
        "token",
        "-logFile",
        log.to_str().unwrap(),
        "-logFormat",
        "json",
        "-logLevel=debug",
        "-serverAddress",
        "localhost",
        "-serverPort",
        &port,
        "-socketPath",
        socket.to_str().unwrap(),
        "-trustBundle",
        "bundle.pem",
        "-trustBundleFormat",
        "pem",
        "-trustDomain",
        "example.org",
    ];
    let program = stage.pair.agent.agent();
    let _process = program.start(&flags, bed.path("bare.log"));
    let id = format!("spiffe://example.org/spire/agent/join_token/{token}");
    patiently("the agent attests", || {
        server
            .run(&["agent", "show", "--spiffe-id", &id])
            .code
            .eq(&Some(0))
            .then_some(())
    });
    let said = fs::read_to_string(log).unwrap();
    let first = said.lines().next().unwrap_or_default();
    assert!(first.starts_with('{') && first.ends_with('}'), "{said}");
}

#[cfg_attr(spire, test)]
fn entries_are_fetched_whole_where_the_dialogue_is_switched_off() {
    let node = Node {
        settings: "experimental { sync_interval = \"1s\" use_sync_authorized_entries = false }",
        ..Node::default()
    };
    for (server, agent) in [
        (Maker::Ours, Maker::Spire),
        (Maker::Spire, Maker::Spire),
        // Ours takes the setting, asks in the dialogue all the same, and says so.
        (Maker::Spire, Maker::Ours),
    ] {
        let pair = Pair {
            server,
            agent,
            attestor: Attestor::JoinToken,
        };
        let bed = Bed::of(pair.server.server(), pair.agent.agent());
        let stage = Stage::set(&bed, pair, "");
        let agent = stage.agent_with(&node);
        stage.entry(&agent, "web", &[]);
        serves(&agent, "web");
        if matches!(pair.agent, Maker::Ours) {
            agent.process.says("use_sync_authorized_entries");
        }
    }
}

#[cfg_attr(spire, test)]
fn a_server_takes_by_flags_what_its_file_does_not_say() {
    for maker in Maker::BOTH {
        let bed = Bed::new();
        let file = "server {}\nplugins {\n  DataStore \"sql\" { plugin_data {\n    \
                    database_type = \"sqlite3\"\n    connection_string = \"./store\"\n  } }\n  \
                    KeyManager \"memory\" { plugin_data {} }\n  \
                    NodeAttestor \"join_token\" { plugin_data {} }\n}\n";
        bed.write("bare.conf", file);
        let port = free_port();
        let line = format!(
            "run -config bare.conf -bindAddress 127.0.0.1 -serverPort {port} -dataDir data \
             -logFile said -logFormat json -logLevel info -logSourceLocation \
             -socketPath api.sock -trustDomain flags.test"
        );
        let words: Vec<&str> = line.split(' ').collect();
        let _process = maker.server().start(&words, bed.path("log"));
        let show = "agent count -socketPath api.sock";
        let words: Vec<&str> = show.split(' ').collect();
        patiently("the server is there", || {
            let counted = bed.run(&mut maker.server().command(&words));
            (counted.stdout.trim() == "0 attested agents").then_some(())
        });
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        let show = [
            "bundle",
            "show",
            "-socketPath",
            "api.sock",
            "-output",
            "json",
        ];
        let bundle = bed.run(&mut maker.server().command(&show)).ok();
        assert!(bundle.contains("flags.test"), "{bundle}");
        let said = fs::read_to_string(bed.path("said")).unwrap();
        assert!(said.starts_with('{'), "{said}");
    }
}
