//! Who calls, as the kernel says and nobody else.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use signet_tests::testbed::{Agent, Bed, JOIN_TOKEN, Process, Run, Server, eventually, signet};

use crate::wlapi::world::{World, selector_of};

#[test]
fn wlep_20_processes_of_different_users_on_one_socket_are_different_callers() {
    let world = World::new();
    let bed = world.bed;
    // Other users may go through the test's directory, to the socket and the program.
    fs::set_permissions(bed.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let program = bed.path("caller");
    fs::copy(signet(), &program).unwrap();
    let entry = |uid: u32| {
        let (id, selector) = (
            format!("spiffe://example.org/user{uid}"),
            format!("unix:uid:{uid}"),
        );
        world.server.entry(&world.agent.id, &id, &selector, &[]);
    };
    let own = nix::unistd::geteuid().as_raw();
    let is_root = own == 0;
    let users: &[u32] = if is_root {
        &[own, OTHER, OTHER + 1]
    } else {
        &[own]
    };
    if !is_root {
        println!(
            "this test runs as uid {own}: it cannot become other users and tests its own only"
        );
    }
    users.iter().for_each(|uid| entry(*uid));
    let ask = |uid: u32| {
        let mut command = Command::new(&program);
        if uid != own {
            command.uid(uid).gid(uid);
        }
        let socket = world.agent.socket.to_str().unwrap();
        // What a caller says of itself counts for nothing.
        command.env("USER", "root").env("UID", OTHER.to_string());
        bed.run(command.args(["agent", "api", "fetch", "x509", "--socket-path", socket]))
    };
    for uid in users {
        let printed = eventually("the user is served", || {
            let run = ask(*uid);
            (run.code == Some(0)).then_some(run.stdout)
        });
        for other in users {
            let id = format!("spiffe://example.org/user{other}\n");
            assert_eq!(printed.contains(&id), uid == other, "uid {uid}: {printed}");
        }
    }
    if is_root {
        // A user whom no entry knows.
        denied(ask(OTHER + 2));
    }
}

#[test]
fn wlep_21_a_process_that_ran_before_the_agent_is_served_as_it_is() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let token = server.token(&[]);
    let id = format!("spiffe://example.org/spire/agent/join_token/{token}");
    let program = bed.program("early");
    server.entry(
        &id,
        "spiffe://example.org/early",
        &selector_of(&program),
        &[],
    );
    let socket = bed.path("agent.sock");
    let arguments = [
        "agent",
        "api",
        "watch",
        "--socket-path",
        socket.to_str().unwrap(),
    ];
    let early = Process::start(&program, &arguments, bed.path("early.log"));
    early.says("no agent listens");
    let agent = Agent::start(&server, "agent", JOIN_TOKEN, &["--join-token", &token], id);
    early.says("spiffe://example.org/early");
    // The same agent has nothing for a process that nobody registered.
    let stranger = bed.program("stranger");
    let arguments = [
        "agent",
        "api",
        "fetch",
        "x509",
        "--socket-path",
        agent.socket.to_str().unwrap(),
    ];
    denied(bed.run(Command::new(stranger).args(arguments)));
}

#[track_caller]
fn denied(run: Run) {
    let refused = run.refused();
    assert!(refused.contains("PermissionDenied"), "{refused}");
}

/// A user that exists on no machine.
const OTHER: u32 = 61_001;
