//! A pair of proxies in front of an application.

use super::{Agent, Bed, Proxy, Server, free_port};

/// The ports of a running pair.
pub struct Pair<'a> {
    _server: Server<'a>,
    _agent: Agent<'a>,
    /// The proxies of the server side and of the client side.
    pub proxies: [Proxy; 2],
    /// The client side, which speaks HTTP.
    pub outbound: u16,
    /// The server side, by bytes that are carried there as they are.
    pub inbound: u16,
}

impl<'a> Pair<'a> {
    /// In front of `application`, to which `protocol` is spoken.
    pub fn start(bed: &'a Bed, protocol: &str, application: u16) -> Self {
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        let (between, outbound, inbound) = (free_port(), free_port(), free_port());
        let config = format!(
            "mesh: []
inbound:
  - {{ name: in, listen: '127.0.0.1:{between}', protocol: {protocol}, forward: '127.0.0.1:{application}' }}
"
        );
        let to =
            format!("connect: '127.0.0.1:{between}', expect: ['spiffe://example.org/inbound']");
        let from = format!(
            "mesh: []
outbound:
  - {{ name: http, listen: '127.0.0.1:{outbound}', protocol: {protocol}, {to} }}
  - {{ name: bytes, listen: '127.0.0.1:{inbound}', protocol: TCP, {to} }}
"
        );
        Self {
            proxies: [
                Proxy::start(&server, &agent, "inbound", &config),
                Proxy::start(&server, &agent, "outbound", &from),
            ],
            _server: server,
            _agent: agent,
            outbound,
            inbound,
        }
    }
}
