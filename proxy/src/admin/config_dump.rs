//! `/config_dump`: the model in force, the ports and the certificates, without any key.

use http::StatusCode;
use serde::Serialize;
use signet_daemon::http::{Answer, json};

use super::{Format, Seen, application, certs};
use crate::{
    clock,
    config::{Connect, Forward, Inbound, Outbound, OutboundTrafficPolicy, PortProtocol, Protocol},
    source::{ModelStatus, Refusal},
};

#[derive(Debug, Serialize)]
struct Dump {
    version: &'static str,
    model: Model,
    inbound: Vec<Port>,
    outbound: Vec<Port>,
    certs: certs::Certs,
}

#[derive(Debug, Serialize)]
struct Model {
    version: String,
    in_force_since: String,
    files: Vec<String>,
    documents: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refused: Option<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    at: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct Port {
    name: String,
    listen: String,
    protocol: &'static str,
    leads_to: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    expect: Vec<String>,
}

/// Always JSON.
pub(super) fn tell(seen: &Seen, _format: Format) -> Answer {
    let ports = seen.ports.borrow().clone();
    let dump = Dump {
        version: env!("CARGO_PKG_VERSION"),
        model: model(&seen.status.borrow().clone()),
        inbound: ports.inbound.iter().map(|it| inbound(&it.config)).collect(),
        outbound: ports
            .outbound
            .iter()
            .map(|it| outbound(&it.config))
            .collect(),
        certs: certs::certs(seen, clock::now()),
    };
    json(StatusCode::OK, &dump)
}

fn model(status: &ModelStatus) -> Model {
    let kinds = status.documents.kinds.iter();
    let refused = |Refusal { why, at }: &Refusal| Refused {
        at: clock::rfc3339(*at),
        why: why.clone(),
    };
    Model {
        version: status.documents.version.clone(),
        in_force_since: clock::rfc3339(status.since),
        files: status.documents.files.clone(),
        documents: kinds
            .map(|(kind, count)| ((*kind).to_owned(), (*count).into()))
            .collect(),
        last_refused: status.refusal.as_ref().map(refused),
    }
}

fn inbound(port: &Inbound) -> Port {
    Port {
        name: port.name.clone(),
        listen: port.listen.to_string(),
        protocol: protocol(port.protocol),
        leads_to: match &port.forward {
            Forward::To { target, .. } => application(target),
            Forward::Original { .. } => "original destination".to_owned(),
            Forward::Tunnels => "the applications of other ports".to_owned(),
        },
        expect: Vec::new(),
    }
}

fn outbound(port: &Outbound) -> Port {
    let (leads_to, expect) = match &port.connect {
        Connect::Fixed { address, expect } => (
            address.clone(),
            expect.iter().map(ToString::to_string).collect(),
        ),
        Connect::Mesh { unknown, .. } => {
            let leads_to = match unknown {
                OutboundTrafficPolicy::RegistryOnly => "mesh",
                OutboundTrafficPolicy::AllowAny { .. } => "mesh, or the original destination",
            };
            (leads_to.to_owned(), Vec::new())
        }
    };
    Port {
        name: port.name.clone(),
        listen: port.listen.to_string(),
        protocol: protocol(port.protocol),
        leads_to,
        expect,
    }
}

fn protocol(protocol: PortProtocol) -> &'static str {
    match protocol {
        PortProtocol::Known(Protocol::Http) => "HTTP",
        PortProtocol::Known(Protocol::Http2) => "HTTP2",
        PortProtocol::Known(Protocol::Tcp) => "TCP",
        PortProtocol::Tls => "TLS",
        PortProtocol::Auto => "auto",
    }
}
