//! Providers that CUSTOM policies ask: what they are told of a connection or a request
//! (`envoy.service.auth.v3.CheckRequest`), and what becomes of what they do not permit.

use std::{collections::HashMap, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Response, Version, header};
use http_body_util::Full;
use signet_identity::SpiffeId;
use signet_mesh::Asked;
use signet_proto::envoy::{
    config::core::v3::{Address, SocketAddress, address, socket_address},
    service::auth::v3::{
        AttributeContext, CheckRequest,
        attribute_context::{HttpRequest as Http, Peer as Party, Request, TlsSession},
    },
};

use super::Port;
use crate::{
    admission::{Changes, Verdict},
    flow::{Denial, End, Policy},
    headers::X_REQUEST_ID,
    http::request::HttpRequest,
    peer::Peer,
};

/// What becomes of what a provider has not permitted.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) end: End,
    /// What the provider wants its client to be answered, if it says so.
    pub(super) answer: Option<Box<Response<Full<Bytes>>>>,
}

impl Port {
    /// Asks a provider about what `peer` wants.
    ///
    /// # Errors
    /// It has not permitted it.
    pub(super) async fn asked(
        &self,
        peer: &Peer,
        asked: &Asked,
        request: Option<&HttpRequest>,
    ) -> Result<Changes, Refusal> {
        let own = self.listener.sources.identity.borrow().clone();
        let own = own.as_ref().map(|own| own.id());
        let question = check_request(peer, own, request);
        let denied = |why| End::Policy(Policy::Denied(Denial::of_provider(asked, why)));
        match self.admission.ask(&asked.provider, question).await {
            Ok(Verdict::Permitted(changes)) => Ok(changes),
            Ok(Verdict::Denied(answer)) => Err(Refusal {
                end: denied(format!("denied by provider {}", asked.provider)),
                answer: Some(answer),
            }),
            Err(why) => Err(Refusal {
                end: denied(why),
                answer: None,
            }),
        }
    }
}

/// Of what `peer` wants of the workload `own`; `request` if it is spoken HTTP.
fn check_request(
    peer: &Peer,
    own: Option<&SpiffeId>,
    request: Option<&HttpRequest>,
) -> CheckRequest {
    let sni = peer.sni.clone();
    let attributes = AttributeContext {
        source: Some(party(peer.address, peer.id())),
        destination: Some(party(peer.local, own)),
        request: request.map(|request| Request {
            http: Some(of_http(request, peer)),
        }),
        context_extensions: HashMap::new(),
        tls_session: sni.map(|sni| TlsSession { sni }),
    };
    CheckRequest {
        attributes: Some(attributes),
    }
}

fn party(address: SocketAddr, id: Option<&SpiffeId>) -> Party {
    let socket = SocketAddress {
        protocol: socket_address::Protocol::Tcp.into(),
        address: address.ip().to_canonical().to_string(),
        port_specifier: Some(socket_address::PortSpecifier::PortValue(
            address.port().into(),
        )),
    };
    Party {
        address: Some(Address {
            address: Some(address::Address::SocketAddress(socket)),
        }),
        principal: id.map(ToString::to_string).unwrap_or_default(),
        ..Party::default()
    }
}

fn of_http(request: &HttpRequest, peer: &Peer) -> Http {
    let call = request.call(peer.local.port());
    let path = match call.query {
        Some(query) => format!("{}?{query}", call.path.as_str()),
        None => call.path.as_str().to_owned(),
    };
    let text = |name: &header::HeaderName| {
        let value = call.headers.get(name)?.to_str();
        value.ok().map(str::to_owned)
    };
    let length = text(&header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    let mut headers = headers(call.headers);
    for (name, value) in [
        (":method", call.method),
        (":path", &path),
        (":authority", call.authority),
        (":scheme", call.scheme),
    ] {
        headers.insert(name.to_owned(), value.to_owned());
    }
    Http {
        id: text(&X_REQUEST_ID).unwrap_or_default(),
        method: call.method.to_owned(),
        headers,
        host: call.authority.to_owned(),
        scheme: call.scheme.to_owned(),
        size: length.unwrap_or(-1),
        protocol: protocol(request.version()).to_owned(),
        path,
        ..Http::default()
    }
}

/// The values of a repeated one are joined, as Envoy does it.
fn headers(all: &HeaderMap) -> HashMap<String, String> {
    let mut joined: HashMap<String, String> = HashMap::with_capacity(all.keys_len());
    for (name, value) in all {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined = joined.entry(name.as_str().to_owned());
        joined
            .and_modify(|before| {
                before.push(',');
                before.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    joined
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}
