//! Requests that two readers would take for different ones, or for two. Each is sent to both doors:
//! to the client's own proxy, and past it, over mTLS and as raw bytes, to the shop's.

mod application;
pub(crate) mod frames;
mod http1;
mod http2;

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use self::application::{Application, Seen};
use crate::testbed::{Agent, Bed, Proxy, Server, free_port};

/// The client may have all but what is the administrator's, by path, by host and by header.
const POLICIES: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: administration }
spec:
  action: DENY
  rules:
    - to: [{ operation: { paths: ['/admin*'] } }, { operation: { hosts: [admin] } }]
    - when: [{ key: 'request.headers[host]', values: [admin] }]
    - when: [{ key: 'request.headers[x-role]', values: [admin] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: clients }
spec:
  rules: [{ from: [{ source: { principals: [example.org/client] } }] }]
";
/// The request that follows on the same connection.
const LAST: &str = "/public/last";

/// What is to become of a request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// The application does not see it, nor what follows.
    Refused,
    /// The application does not see it; the connection may live on.
    Denied,
    /// It arrives once, with this body, and nothing follows.
    Alone(&'static str),
    /// It arrives once, with this body, and what follows arrives too.
    Passed(&'static str),
}
use Fate::{Alone, Denied, Passed, Refused};

/// The two ways to the application.
struct Doors<'a> {
    application: Application,
    /// The client's own proxy, and the way past it.
    ports: [u16; 2],
    _mesh: (Server<'a>, Agent<'a>, [Proxy; 2]),
}

impl<'a> Doors<'a> {
    fn open(bed: &'a Bed) -> Self {
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        let (application, behind) = Application::start();
        let (inbound, ports) = (free_port(), [free_port(), free_port()]);
        bed.write("policies/shop.yaml", POLICIES);
        let shop = format!(
            "mesh: [policies]
inbound:
  - {{ name: shop, listen: '127.0.0.1:{inbound}', protocol: HTTP, forward: '127.0.0.1:{behind}' }}
"
        );
        let way = |name: &str, port: u16, protocol: &str| {
            format!(
                "  - {{ name: {name}, listen: '127.0.0.1:{port}', protocol: {protocol}, connect: '127.0.0.1:{inbound}', expect: ['spiffe://example.org/shop'] }}\n"
            )
        };
        let [own, past] = [way("own", ports[0], "HTTP"), way("past", ports[1], "TCP")];
        let shop = Proxy::start(&server, &agent, "shop", &shop);
        let client = Proxy::start(
            &server,
            &agent,
            "client",
            &format!("outbound:\n{own}{past}"),
        );
        Self {
            application,
            ports,
            _mesh: (server, agent, [shop, client]),
        }
    }

    /// Sends `bytes` through each door, with `path` in them as `{}`; `read` takes what comes back
    /// until nothing more can come.
    #[track_caller]
    fn send(&self, path: &str, bytes: &[u8], fate: Fate, read: impl Fn(&mut TcpStream)) {
        for port in self.ports {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // A proxy may have refused it before the end.
            let _ = stream.write_all(bytes);
            read(&mut stream);
            self.has_seen(path, fate, &String::from_utf8_lossy(bytes));
        }
    }

    /// What has arrived is what was to; more would be found by the next that looks.
    #[track_caller]
    fn has_seen(&self, path: &str, fate: Fate, sent: &str) {
        let seen = self.application.take();
        let summary = |seen: &Seen| {
            assert_eq!(seen.header("host"), Some("shop"), "{seen:?}");
            let target = seen.line.split(' ').nth(1).unwrap_or_default();
            (target.to_owned(), seen.body.clone())
        };
        let mut arrived: Vec<_> = seen.iter().map(summary).collect();
        // On HTTP/2 the two may change places.
        arrived.sort_by_key(|(target, _)| target == LAST);
        let own = |body: &str| (path.to_owned(), body.to_owned());
        let last = (LAST.to_owned(), String::new());
        match fate {
            Refused => assert_eq!(arrived, [], "{sent}"),
            Denied => assert!(
                arrived.iter().all(|one| *one == last),
                "{sent}\n{arrived:?}"
            ),
            Alone(body) => assert_eq!(arrived, [own(body)], "{sent}"),
            Passed(body) => assert_eq!(arrived, [own(body), last], "{sent}"),
        }
    }
}

/// As long as any answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
