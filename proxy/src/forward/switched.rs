//! Answers after which bytes go both ways.

use http::{HeaderValue, Response, StatusCode, Version, header};
use hyper::{body::Incoming, upgrade};

use super::attempt::Answered;
use crate::{
    flow::{End, Flow, Upstream},
    headers,
    http::{
        asks::Switch,
        in_flight::Right,
        outgoing::Outgoing,
        switch::{Switching, WEBSOCKET},
        tunnel::Tunnel,
    },
    route::How,
};

/// Whether bytes go both ways from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switches {
    Yes,
    No,
}

/// Reads what became of a request that wanted to switch, or did not.
///
/// # Errors
/// It is an answer that the client would misunderstand.
pub(super) fn check(
    switching: &Option<Box<Switching>>,
    response: &Response<Incoming>,
) -> Result<Switches, End> {
    let Some(switching) = switching else {
        return match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Err(broken("it switched protocols unasked")),
            _ => Ok(Switches::No),
        };
    };
    let (status, headers) = (response.status(), response.headers());
    let is_http2 = response.version() == Version::HTTP_2;
    match switching.to {
        Switch::Tunnel if status.is_success() => Ok(Switches::Yes),
        Switch::WebSocket if is_http2 && status.is_success() => Ok(Switches::Yes),
        Switch::WebSocket if status == StatusCode::SWITCHING_PROTOCOLS => {
            let upgrade = headers.get(header::UPGRADE);
            let upgrade = upgrade.map(HeaderValue::as_bytes).unwrap_or_default();
            let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
            if !upgrade.eq_ignore_ascii_case(WEBSOCKET.as_bytes())
                || accept != Some(&switching.accept)
            {
                return Err(broken("what it switched to is not the WebSocket asked for"));
            }
            Ok(Switches::Yes)
        }
        Switch::Tunnel | Switch::WebSocket if status == StatusCode::SWITCHING_PROTOCOLS => {
            Err(broken("it switched protocols unasked"))
        }
        // A client of HTTP/2 would take it for the beginning of its tunnel.
        Switch::WebSocket if switching.is_http2 && status.is_success() => {
            Err(broken("it did not switch to WebSocket"))
        }
        Switch::Tunnel | Switch::WebSocket => Ok(Switches::No),
    }
}

/// Tells the client, and lets bytes pass.
pub(super) fn begin(
    switching: Switching,
    answered: Answered,
    right: Right,
    mut flow: Flow,
    how: &How,
) -> Response<Outgoing> {
    let Answered {
        mut response,
        lease,
        active,
    } = answered;
    let server = upgrade::on(&mut response);
    let (mut head, _no_body) = response.into_parts();
    headers::strip_hop_by_hop(&mut head.headers);
    head.headers.remove(header::CONTENT_LENGTH);
    how.change(&mut head.headers);
    let Switching {
        to,
        client,
        is_http2,
        accept,
        tunnels,
    } = switching;
    match (to, is_http2) {
        (Switch::Tunnel, _) => {}
        (Switch::WebSocket, true) => {
            head.status = StatusCode::OK;
            head.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        }
        (Switch::WebSocket, false) => {
            head.status = StatusCode::SWITCHING_PROTOCOLS;
            let upgrade = HeaderValue::from_static("upgrade");
            head.headers.insert(header::CONNECTION, upgrade);
            head.headers.insert(header::UPGRADE, WEBSOCKET);
            head.headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
    }
    head.version = Version::default();
    head.extensions.clear();
    flow.answered(head.status, &head.headers);
    tunnels.begin(Tunnel {
        client,
        server,
        lease,
        active,
        right,
        flow,
    });
    Response::from_parts(head, Outgoing::none())
}

fn broken(why: &str) -> End {
    End::Upstream(Upstream::Broken(why.into()))
}
