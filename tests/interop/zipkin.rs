//! Zipkin shows a request over three hops as one trace.

use std::{path::PathBuf, process::Command};

use serde_json::Value;

use crate::{
    build,
    collector::Collector,
    testbed::{Bed, Hops, Process, Server, free_port},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// The server, fetched from a Maven repository.
fn program() -> PathBuf {
    let output = build::output("zipkin");
    let program = output.join(format!("zipkin-server-{VERSION}-exec.jar"));
    if !program.exists() {
        let repository = build::output("java").join("repository");
        build::step(
            "Zipkin needs a JDK 17 or later, Maven 3.8 or later, and a Maven repository.",
            Command::new("mvn")
                .args(["--quiet", "--batch-mode", COPY])
                .arg(format!("-Dmaven.repo.local={}", repository.display()))
                .arg(format!(
                    "-Dartifact=io.zipkin:zipkin-server:{VERSION}:jar:exec"
                ))
                .arg(format!("-DoutputDirectory={}", output.display())),
        );
    }
    program
}

fn start(bed: &Bed) -> (Collector, u16) {
    let (program, port) = (program(), free_port());
    let mut command = Command::new("java");
    command
        .args([
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xmx256m",
            "-jar",
        ])
        .arg(program)
        .env("QUERY_PORT", port.to_string());
    let process = Process::spawn(command, bed.path("zipkin.log"));
    (Collector::new(process, port, "/health"), port)
}

#[test]
fn zipkin_shows_a_request_over_three_hops_as_one_trace() {
    let bed = Bed::new();
    let (zipkin, port) = start(&bed);
    let settings = format!(
        "mesh: []
tracing:
  zipkin: {{ endpoint: 'http://127.0.0.1:{port}' }}
  randomSamplingPercentage: 100
"
    );
    let hops = Hops::start(Server::start(&bed), &settings);
    let given = format!("traceparent: 00-{TRACE}-{CALLER}-01\r\n");
    assert!(hops.get("/hello", &given).contains(" 200 "));
    let path = format!("/api/v2/trace/{TRACE}");
    let mut spans = zipkin.tells(
        &path,
        || {},
        |spans| spans.as_array().filter(|spans| spans.len() >= 4).cloned(),
    );
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let text = |span: &Value, name: &str| span[name].as_str().unwrap_or_default().to_owned();
    let mut parent = CALLER.to_owned();
    for (service, kind) in [
        ("client", "CLIENT"),
        ("middle", "SERVER"),
        ("middle", "CLIENT"),
        ("end", "SERVER"),
    ] {
        let found = spans
            .iter()
            .position(|span| text(span, "parentId") == parent);
        let span = spans.remove(found.unwrap_or_else(|| panic!("below {parent}: {spans:#?}")));
        let told = (
            text(&span["localEndpoint"], "serviceName"),
            text(&span, "kind"),
        );
        assert_eq!(told, (service.to_owned(), kind.to_owned()), "{span:#?}");
        assert_eq!(text(&span["tags"], "http.response.status_code"), "200");
        parent = text(&span, "id");
    }
    let services = zipkin.get("/api/v2/services").unwrap();
    for service in ["client", "middle", "end"] {
        assert!(services.contains(&format!("\"{service}\"")), "{services}");
    }
}

const VERSION: &str = "3.6.1";
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";
