//! Our own pairs: with access log, without, and with routes and metrics.

use std::{fmt::Write as _, fs, ops::Range};

use super::{Applications, Places, Subject};
use crate::{
    proxy::pair::{identity, register},
    world::{World, text},
};

/// What differs from one of our pairs to another.
#[derive(Clone, Copy, Debug)]
struct Variant {
    name: &'static str,
    processes: [&'static str; 2],
    /// The level of the log; requests are told at INFO.
    log: &'static str,
    /// Of the mesh, the application's among them; if there are any, requests are routed to it, and
    /// both sides count.
    services: usize,
}

/// Starts all of them.
pub(super) async fn start(
    world: &mut World,
    applications: Applications,
) -> anyhow::Result<Vec<Subject>> {
    register(world)?;
    let mut subjects = Vec::new();
    for variant in VARIANTS {
        subjects.push(variant.start(world, applications).await?);
    }
    Ok(subjects)
}

impl Variant {
    async fn start(self, world: &mut World, applications: Applications) -> anyhow::Result<Subject> {
        let places = Places::new(applications)?;
        let [outbound, inbound] = self.processes;
        let agent = world.path("agent.sock");
        let agent = text(&agent)?;
        fs::write(world.path("peers.policy.yaml"), policy())?;
        let routes = format!("{outbound}.mesh");
        let folder = world.path(&routes);
        fs::create_dir(&folder)?;
        fs::write(folder.join("application.yaml"), application(places))?;
        for first in (1..self.services).step_by(OF_A_FILE) {
            let after = self.services.min(first + OF_A_FILE);
            let path = folder.join(format!("others-{first}.yaml"));
            fs::write(path, others(first..after, places)?)?;
        }
        self.run(world, inbound, &self.inbound_yaml(agent, places))?;
        let yaml = self.outbound_yaml(agent, places, &routes);
        self.run(world, outbound, &yaml)?;
        Subject::started(self.name, world, self.processes, places).await
    }

    fn run(self, world: &mut World, name: &str, yaml: &str) -> anyhow::Result<()> {
        let path = world.path(&format!("{name}.yaml"));
        fs::write(&path, yaml)?;
        let flags = ["--config", text(&path)?, "--log-level", self.log];
        world.run_as(name, "proxy", &flags)
    }

    fn outbound_yaml(self, agent: &str, places: Places, routes: &str) -> String {
        let Places { http, tcp } = places;
        let [outbound, _] = self.processes;
        let identity = identity();
        let fixed = |to| format!("connect: '{to}', expect: ['{identity}']");
        let (mesh, connect) = if self.services > 0 {
            (format!("mesh: [{routes}]"), "connect: mesh".to_owned())
        } else {
            ("mesh: []".to_owned(), fixed(http.between))
        };
        format!(
            "workloadApi: unix://{agent}
threads: 1
{mesh}
{}outbound:
  - {{ name: http, listen: '{}', protocol: HTTP, {connect} }}
  - {{ name: tcp, listen: '{}', protocol: TCP, {} }}
",
            self.admin(agent, outbound),
            http.entrance,
            tcp.entrance,
            fixed(tcp.between)
        )
    }

    fn inbound_yaml(self, agent: &str, places: Places) -> String {
        let Places { http, tcp } = places;
        let [_, inbound] = self.processes;
        format!(
            "workloadApi: unix://{agent}
threads: 1
mesh: [peers.policy.yaml]
{}inbound:
  - {{ name: http, listen: '{}', protocol: HTTP, forward: '{}' }}
  - {{ name: tcp, listen: '{}', protocol: TCP, forward: '{}' }}
",
            self.admin(agent, inbound),
            http.between,
            http.application,
            tcp.between,
            tcp.application
        )
    }

    /// Who could be asked for metrics makes them be counted.
    fn admin(self, agent: &str, process: &str) -> String {
        if self.services == 0 {
            return String::new();
        }
        let socket = agent.replace("agent.sock", &format!("{process}.sock"));
        format!("admin: {{ socketPath: '{socket}' }}\n")
    }
}

/// As the others check it: who calls.
fn policy() -> String {
    let principal = identity().replace("spiffe://", "");
    format!(
        "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: application }}
spec: {{ rules: [{{ from: [{{ source: {{ principals: [{principal}] }} }}] }}] }}
"
    )
}

/// The application as a service, which each request is routed to by its path.
fn application(places: Places) -> String {
    let (identity, port) = (identity(), places.http.between.port());
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: application }}
spec:
  hosts: [application.bench.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP, targetPort: {port} }}]
  subjectAltNames: ['{identity}']
  endpoints: [{{ address: 127.0.0.1 }}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: application }}
spec:
  hosts: [application.bench.test]
  http:
  - {{ name: other, match: [{{ uri: {{ prefix: /other }} }}], redirect: {{ uri: / }} }}
  - {{ name: all, route: [{{ destination: {{ host: application.bench.test }} }}] }}
"
    )
}

/// Services that nobody calls.
fn others(numbers: Range<usize>, places: Places) -> anyhow::Result<String> {
    let (identity, port) = (identity(), places.http.between.port());
    let mut text = String::new();
    for number in numbers {
        write!(
            text,
            "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: other-{number} }}
spec:
  hosts: [other-{number}.bench.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP, targetPort: {port} }}]
  subjectAltNames: ['{identity}']
  endpoints: [{{ address: 127.0.0.1 }}]
"
        )?;
    }
    Ok(text)
}

/// A file of the mesh has at most 1,024 documents.
const OF_A_FILE: usize = 1000;
const VARIANTS: [Variant; 4] = [
    Variant {
        name: "signet",
        processes: ["ours-out", "ours-in"],
        log: "info",
        services: 0,
    },
    Variant {
        name: "signet, no access log",
        processes: ["quiet-out", "quiet-in"],
        log: "warn",
        services: 0,
    },
    Variant {
        name: "signet, routed and counted",
        processes: ["routed-out", "routed-in"],
        log: "info",
        services: 1,
    },
    Variant {
        name: "signet, of 10,000 services",
        processes: ["many-out", "many-in"],
        log: "info",
        services: 10_000,
    },
];
