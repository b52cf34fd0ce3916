//! Requests that want bytes both ways in the place of an answer: a WebSocket or a tunnel.
//!
//! Of the protocols that HTTP can be switched to, WebSocket alone is carried (RFC 6455, and RFC
//! 8441 in HTTP/2): what is spoken after the switch, nobody judges. An `Upgrade` to another is
//! refused; one to `h2c` is ignored, as every server may (RFC 9110 §7.8) and Envoy does, since
//! clients offer it with requests that need no answer to it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use hyper::{
    body::{Body as _, Incoming},
    ext::Protocol,
    upgrade::{self, OnUpgrade},
};
use signet_identity::crypto;

use super::{asks::Switch, tunnel::Tunnels};
use crate::flow::{Denial, End, Policy};

/// The client's side of a switch.
#[derive(Debug)]
pub(crate) struct Switching {
    pub(crate) to: Switch,
    /// The client's bytes, once it is told that it may send them.
    pub(crate) client: OnUpgrade,
    pub(crate) is_http2: bool,
    /// By which a server of WebSocket proves that it has read the request (RFC 6455 §4.2.2).
    pub(crate) accept: HeaderValue,
    /// Those of the connection of the client.
    pub(crate) tunnels: Tunnels,
}

impl Switch {
    /// Whether it is worth a closer look.
    pub(super) fn may_be_wanted<B>(request: &Request<B>) -> bool {
        request.method() == Method::CONNECT || request.headers().contains_key(header::UPGRADE)
    }

    /// What a request wants, before what concerns one hop is taken away.
    ///
    /// # Errors
    /// It wants what is not carried, or has a part that it must not have.
    pub(super) fn wanted(request: &mut Request<Incoming>) -> Result<Option<Self>, End> {
        // It comes with an offer of `h2c`, and says something to this hop alone.
        request.headers_mut().remove(HTTP2_SETTINGS);
        let switch = match request.method() == Method::CONNECT {
            true => connect(request)?,
            false => match upgrade(request)? {
                Some(switch) => switch,
                None => return Ok(None),
            },
        };
        let framed = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
        if !request.body().is_end_stream()
            || framed
                .iter()
                .any(|name| request.headers().contains_key(name))
        {
            return Err(End::malformed(
                "a request that switches protocols has a body",
            ));
        }
        Ok(Some(switch))
    }
}

impl Switching {
    /// Takes the client's side out of a request, which is the same in every version of HTTP
    /// afterwards.
    ///
    /// # Errors
    /// A part that a WebSocket needs is missing.
    pub(super) fn of(
        request: &mut Request<Incoming>,
        to: Switch,
        tunnels: Tunnels,
    ) -> Result<Self, End> {
        let is_http2 = request.version() == Version::HTTP_2;
        let client = upgrade::on(&mut *request);
        let accept = match to {
            Switch::Tunnel => HeaderValue::from_static(""),
            Switch::WebSocket => {
                *request.method_mut() = Method::GET;
                let headers = request.headers_mut();
                headers.insert(header::UPGRADE, WEBSOCKET);
                if is_http2 {
                    headers.insert(header::SEC_WEBSOCKET_KEY, new_key());
                }
                accept(headers)?
            }
        };
        Ok(Self {
            to,
            client,
            is_http2,
            accept,
            tunnels,
        })
    }
}

fn connect(request: &Request<Incoming>) -> Result<Switch, End> {
    if let Some(protocol) = request.extensions().get::<Protocol>() {
        return match protocol.as_str().eq_ignore_ascii_case("websocket") {
            true => Ok(Switch::WebSocket),
            false => Err(not_carried(protocol.as_str())),
        };
    }
    let target = request.uri();
    let port = target.authority().and_then(|it| it.port_u16());
    match port {
        Some(1..) if target.path_and_query().is_none() => Ok(Switch::Tunnel),
        Some(_) | None => Err(End::malformed(
            "the target of a CONNECT is a host and a port, and nothing else",
        )),
    }
}

/// What an `Upgrade` is to; none if it does not count.
fn upgrade(request: &Request<Incoming>) -> Result<Option<Switch>, End> {
    let headers = request.headers();
    let mut all = headers.get_all(header::UPGRADE).iter();
    let (first, more) = (all.next(), all.next());
    let Some(protocol) = first else {
        return Ok(None);
    };
    // RFC 9110 §7.8: HTTP/1.0 has none, and it counts only if `connection` names it.
    if request.version() != Version::HTTP_11 || !connection_names_upgrade(headers) {
        return Ok(None);
    }
    let is = |name: &str| protocol.as_bytes().eq_ignore_ascii_case(name.as_bytes());
    if is("h2c") && more.is_none() {
        return Ok(None);
    }
    if !is("websocket") || more.is_some() {
        return Err(not_carried(protocol.to_str().unwrap_or("what it names")));
    }
    if request.method() != Method::GET {
        return Err(End::malformed("a WebSocket begins with a GET"));
    }
    Ok(Some(Switch::WebSocket))
}

fn connection_names_upgrade(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).iter();
    let mut names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

fn not_carried(protocol: &str) -> End {
    let why = format!("HTTP is not switched to {protocol}; WebSocket alone is carried");
    End::Policy(Policy::Denied(Denial::of_proxy("proxy:upgrade", why)))
}

/// What the answer to the key of a request has to be.
fn accept(headers: &HeaderMap) -> Result<HeaderValue, End> {
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(End::malformed("a WebSocket has one Sec-WebSocket-Key"));
    };
    let told = [key.as_bytes(), GUID].concat();
    let accept = STANDARD.encode(crypto::sha1(&told));
    HeaderValue::try_from(accept).map_err(End::malformed)
}

/// One that no other request has; it protects nothing (RFC 6455 §10.3).
fn new_key() -> HeaderValue {
    let key = STANDARD.encode(fastrand::u128(..).to_ne_bytes());
    HeaderValue::try_from(key).unwrap_or_else(|_invalid| HeaderValue::from_static(""))
}

/// The value of `upgrade` of a WebSocket.
pub(crate) const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_of_a_server_is_that_of_the_standard() {
        let mut headers = HeaderMap::new();
        // RFC 6455 §1.3.
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        headers.insert(header::SEC_WEBSOCKET_KEY, key.clone());
        assert_eq!(accept(&headers).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        headers.append(header::SEC_WEBSOCKET_KEY, key);
        assert!(accept(&headers).is_err());
        assert!(accept(&HeaderMap::new()).is_err());
        assert_ne!(new_key(), new_key());
    }
}
