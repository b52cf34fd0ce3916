//! A real proxy between an agent and peers of the test's own: whatever certificate a peer shows,
//! the proxy judges it, once as the server of the connection and once as its client.

use std::{
    collections::HashSet,
    io::{BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection, StreamOwned,
};
use signet_proto::workload::X509SvidResponse;
use signet_tests::testbed::{self, Bed, Process, Proxy, Server, eventually, free_port};

use super::{Authority, Bundle, OTHER, OURS, Svid, W, tls};

pub(crate) use super::{
    tls::{client as client_config, server as server_config},
    workload_api::{Agent, response},
};

/// The names of trust domains and what the agent says of their authorities, the own one first.
pub(crate) type Bundles<'a> = [Bundle<'a>];

/// The proxy, what stands around it, and what came through.
pub(crate) struct Stage {
    /// What stands in for the agent; `None` where a real one does.
    agent: Option<Agent>,
    pub(crate) proxy: Process,
    /// Where the proxy takes connections of peers.
    pub(crate) inbound: u16,
    /// Where the proxy takes connections of its application.
    outbound: u16,
    ends: Ends,
    _bed: Option<Bed>,
}

/// The application behind the proxy, and the peer that it connects to.
#[derive(Default)]
struct Ends {
    application: Lines,
    peer: Lines,
    peer_config: Arc<Mutex<Option<Arc<ServerConfig>>>>,
    /// How the handshakes went that the peer served.
    handshakes: Arc<Mutex<Vec<HandshakeKind>>>,
}

/// What became of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Bytes came through and back; who the proxy says the peer is, where it says so.
    Carried(Option<String>),
    /// No byte came through; what the proxy's log says.
    Refused(String),
}

type Lines = Arc<Mutex<HashSet<String>>>;

/// A connection to the proxy that stays.
pub(crate) struct Held(StreamOwned<ClientConnection, TcpStream>);

impl Held {
    /// Whether it carries bytes.
    pub(crate) fn is_answered(&mut self) -> bool {
        say(&mut self.0, &nonce())
    }

    /// Whether the proxy has ended it.
    pub(crate) fn is_cut(&mut self) -> bool {
        !matches!(self.0.read(&mut [0]), Ok(1..))
    }
}

impl Stage {
    pub(crate) fn start(bundles: &Bundles<'_>) -> Self {
        Self::expecting(&[W, "spiffe://other.org/w"], bundles)
    }

    /// A proxy that connects to peers of these IDs.
    pub(crate) fn expecting(expect: &[&str], bundles: &Bundles<'_>) -> Self {
        Self::holding(expect, "", bundles)
    }

    /// A proxy under a policy.
    pub(crate) fn guarded(policy: &str, bundles: &Bundles<'_>) -> Self {
        Self::holding(&[W], policy, bundles)
    }

    fn holding(expect: &[&str], policy: &str, bundles: &Bundles<'_>) -> Self {
        let own = Authority::root(OURS).leaf("spiffe://example.org/proxy");
        let first = response("spiffe://example.org/proxy", &own, bundles);
        let stage = Self::told(expect, policy, first);
        stage.proxy.says("holding a new X509-SVID");
        stage.proxy.says("accepting connections");
        stage
    }

    /// A proxy whose agent says first what the test says; it may take no connection.
    pub(crate) fn with_agent(expect: &[&str], first: X509SvidResponse) -> Self {
        Self::told(expect, "", first)
    }

    fn told(expect: &[&str], policy: &str, first: X509SvidResponse) -> Self {
        let bed = Bed::new();
        let agent = Agent::start(bed.path("agent.sock"), first);
        let (ends, ports, config) = Ends::start(expect);
        let socket = bed.path("agent.sock").display().to_string();
        let mut config = format!("workloadApi: unix://{socket}\nthreads: 1\n{config}");
        if !policy.is_empty() {
            bed.write("policy.yaml", policy);
            config = config.replace("mesh: []", "mesh: [policy.yaml]");
        }
        let config = bed.write("proxy.yaml", &config);
        let proxy = bed.start(
            "proxy",
            &["proxy", "run", "--config", config.to_str().unwrap()],
        );
        Self::of(Some(agent), proxy, (ends, ports), Some(bed))
    }

    /// A proxy beside a real agent; `flags` are those of its entry.
    pub(crate) fn live(
        server: &Server<'_>,
        agent: &testbed::Agent<'_>,
        expect: &[&str],
        flags: &[&str],
    ) -> Self {
        let (ends, ports, config) = Ends::start(expect);
        let proxy = Proxy::start_with(server, agent, "proxy", &config, flags);
        Self::of(None, proxy.process, (ends, ports), None)
    }

    fn of(
        agent: Option<Agent>,
        proxy: Process,
        (ends, (inbound, outbound)): (Ends, (u16, u16)),
        bed: Option<Bed>,
    ) -> Self {
        Self {
            agent,
            proxy,
            inbound,
            outbound,
            ends,
            _bed: bed,
        }
    }

    /// What the agent tells the proxy from now on.
    pub(crate) fn serve(&self, response: X509SvidResponse) {
        self.agent.as_ref().unwrap().serve(response);
    }

    /// Neither as client nor as server does this peer get a byte through, and the log says why.
    #[track_caller]
    pub(crate) fn refuses(&self, fault: &str, svid: &Svid) {
        for (end, outcome) in [("client", self.client(svid)), ("server", self.server(svid))] {
            let refused = matches!(&outcome, Outcome::Refused(why) if why.contains(fault));
            assert!(refused, "as {end}, for {fault:?}: {outcome:?}");
        }
    }

    /// As client and as server this peer gets through, as `id`.
    #[track_caller]
    pub(crate) fn accepts(&self, id: &str, svid: &Svid) {
        assert_eq!(self.client(svid), Outcome::Carried(Some(id.to_owned())));
        assert_eq!(self.server(svid), Outcome::Carried(None));
    }

    /// Connects to the proxy as this peer.
    pub(crate) fn client(&self, svid: &Svid) -> Outcome {
        self.client_with(tls::client(svid))
    }

    pub(crate) fn client_with(&self, config: ClientConfig) -> Outcome {
        self.session(&Arc::new(config)).0
    }

    /// What became of a connection, and the client's end of it.
    pub(crate) fn session(&self, config: &Arc<ClientConfig>) -> (Outcome, ClientConnection) {
        let mut stream = connect(self.inbound);
        let client = stream.local_addr().unwrap();
        let name = "proxy".try_into().unwrap();
        let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
        let nonce = nonce();
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        let carried = say(&mut tls, &nonce);
        session.send_close_notify();
        drop(session.write_tls(&mut stream));
        drop(stream);
        if carried {
            let line = self.line(client, &["connection ended"]);
            let peer = line.split("peer=").nth(1).unwrap();
            let peer = peer.split(' ').next().unwrap().trim_matches('"');
            return (Outcome::Carried(Some(peer.to_owned())), session);
        }
        let line = self.line(
            client,
            &[
                "connection refused, not authenticated: ",
                "connection denied: ",
                "connection cut: ",
            ],
        );
        let came = self.ends.application.lock().unwrap().contains(&nonce);
        // What was accepted and lost its standing at once may have been heard before.
        let cut = line.contains("connection cut: ");
        assert!(cut || !came, "a byte came through: {line}");
        (Outcome::Refused(line), session)
    }

    /// Connects to the proxy as this peer, and stays.
    pub(crate) fn hold(&self, svid: &Svid) -> Held {
        let stream = connect(self.inbound);
        let name = "proxy".try_into().unwrap();
        let session = ClientConnection::new(Arc::new(tls::client(svid)), name).unwrap();
        let mut held = Held(StreamOwned::new(session, stream));
        assert!(held.is_answered());
        held
    }

    /// Waits until this peer gets through as a client; what was said to the proxy may take a while.
    #[track_caller]
    pub(crate) fn becomes_accepted(&self, id: &str, svid: &Svid) {
        eventually(&format!("{id} is accepted"), || {
            let outcome = self.client(svid);
            (outcome == Outcome::Carried(Some(id.to_owned()))).then_some(())
        });
        self.accepts(id, svid);
    }

    /// Waits until this peer is refused as a client.
    #[track_caller]
    pub(crate) fn becomes_refused(&self, fault: &str, svid: &Svid) {
        eventually(fault, || {
            let outcome = self.client(svid);
            matches!(outcome, Outcome::Refused(why) if why.contains(fault)).then_some(())
        });
    }

    /// The leaf that the proxy shows to a client of its own trust domain, if it shows one.
    pub(crate) fn shown(&self, svid: &Svid) -> Option<Vec<u8>> {
        let mut stream = connect(self.inbound);
        stream
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let name = "proxy".try_into().unwrap();
        let mut session = ClientConnection::new(Arc::new(tls::client(svid)), name).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut stream).ok()?;
        }
        let chain = session.peer_certificates()?;
        chain.first().map(|leaf| leaf.to_vec())
    }

    /// How the handshakes went that the peer served.
    pub(crate) fn handshakes(&self) -> Vec<HandshakeKind> {
        self.ends.handshakes.lock().unwrap().clone()
    }

    /// Lets the proxy connect to this peer.
    pub(crate) fn server(&self, svid: &Svid) -> Outcome {
        self.server_with(tls::server(svid).into())
    }

    pub(crate) fn server_with(&self, config: Arc<ServerConfig>) -> Outcome {
        *self.ends.peer_config.lock().unwrap() = Some(config);
        let mut stream = connect(self.outbound);
        let client = stream.local_addr().unwrap();
        let nonce = nonce();
        if say(&mut stream, &nonce) {
            return Outcome::Carried(None);
        }
        let line = self.line(client, &["connection failed: "]);
        assert!(
            !self.ends.peer.lock().unwrap().contains(&nonce),
            "a byte came through: {line}"
        );
        Outcome::Refused(line)
    }

    /// The line of the log about the connection of `client`.
    fn line(&self, client: SocketAddr, texts: &[&str]) -> String {
        let of_client = format!("client={client}");
        eventually(&format!("the log says {texts:?} of {client}"), || {
            let log = self.proxy.log();
            let mut lines = log.lines();
            lines
                .find(|line| {
                    texts.iter().any(|text| line.contains(text)) && line.contains(&of_client)
                })
                .map(str::to_owned)
        })
    }
}

/// The bundles that most tests need: the own authority's and the federated one's.
pub(crate) fn bundles<'a>(ours: &'a Authority, other: &'a Authority) -> [Bundle<'a>; 2] {
    [(OURS, vec![&ours.der]), (OTHER, vec![&other.der])]
}

/// Sends a line and waits for its echo.
fn say(stream: &mut (impl Read + Write), line: &str) -> bool {
    let sent = stream
        .write_all(line.as_bytes())
        .and_then(|()| stream.flush());
    if sent.is_err() {
        return false;
    }
    let mut echo = vec![0; line.len()];
    stream.read_exact(&mut echo).is_ok() && echo == line.as_bytes()
}

fn nonce() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("line {}\n", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl Ends {
    /// Both ends, the proxy's ports, and the configuration that says so.
    fn start(expect: &[&str]) -> (Self, (u16, u16), String) {
        let ends = Self::default();
        let (application, peer) = (ends.start_application(), ends.start_peer());
        let (inbound, outbound) = (free_port(), free_port());
        let expect = expect.join("', '");
        let config = format!(
            "mesh: []
inbound:
  - {{ name: in, listen: '127.0.0.1:{inbound}', protocol: TCP, forward: '127.0.0.1:{application}' }}
outbound:
  - {{ name: out, listen: '127.0.0.1:{outbound}', protocol: TCP, connect: '127.0.0.1:{peer}', expect: ['{expect}'] }}
"
        );
        (ends, (inbound, outbound), config)
    }

    fn start_application(&self) -> u16 {
        let heard = Arc::clone(&self.application);
        listen(move |stream| {
            let writer = stream.try_clone().unwrap();
            echo(BufReader::new(stream), writer, &heard);
        })
    }

    fn start_peer(&self) -> u16 {
        let (heard, config) = (Arc::clone(&self.peer), Arc::clone(&self.peer_config));
        let handshakes = Arc::clone(&self.handshakes);
        listen(move |stream| {
            let Some(config) = config.lock().unwrap().clone() else {
                return;
            };
            let session = ServerConnection::new(config).unwrap();
            let mut tls = StreamOwned::new(session, stream);
            let mut line = Vec::new();
            let mut byte = [0];
            while !line.ends_with(b"\n") {
                if tls.read_exact(&mut byte).is_err() {
                    return;
                }
                line.push(byte[0]);
            }
            handshakes.lock().unwrap().extend(tls.conn.handshake_kind());
            heard
                .lock()
                .unwrap()
                .insert(String::from_utf8(line.clone()).unwrap());
            drop(tls.write_all(&line).and_then(|()| tls.flush()));
        })
    }
}

fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = Arc::clone(&serve);
            let stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    port
}

fn echo(mut reader: impl std::io::BufRead, mut writer: impl Write, heard: &Lines) {
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        heard.lock().unwrap().insert(line.clone());
        if writer.write_all(line.as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
