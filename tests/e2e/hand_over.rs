//! A proxy is replaced while it is called: its ports go to the new process, and nobody notices.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::testbed::{Agent, Bed, Process, Proxy, Server, eventually, free_port, raw};

/// A client's proxy, and that of a service, both of which can be replaced.
struct Pair<'a> {
    bed: &'a Bed,
    _server: Server<'a>,
    agent: Agent<'a>,
    client: Process,
    service: Process,
    /// Where the client's application calls the service.
    out: u16,
    /// The admin endpoint of the service's proxy.
    admin: u16,
    /// The port of the service's proxy.
    port: u16,
    application: u16,
}

impl<'a> Pair<'a> {
    fn start(bed: &'a Bed) -> Self {
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        let (out, admin, port) = (free_port(), free_port(), free_port());
        let application = raw::application(answer);
        let client = client_settings(bed, out, port);
        let service = service_settings(bed, port, application, admin);
        let client = Proxy::start(&server, &agent, "client", &client).process;
        let service = Proxy::start(&server, &agent, "service", &service).process;
        Self {
            bed,
            agent,
            client,
            service,
            out,
            admin,
            port,
            application,
            _server: server,
        }
    }

    /// Starts another process of the proxy `name`, with these settings, to take over.
    fn another(&self, name: &str, settings: &str, log: &str) -> Process {
        let socket = self.agent.socket.display();
        let settings = format!("workloadApi: unix://{socket}\n{settings}");
        let settings = self.bed.write(&format!("{log}.yaml"), &settings);
        let settings = settings.to_str().unwrap();
        let arguments = ["proxy", "run", "--take-over", "--config", settings];
        let program = self.bed.path(name);
        Process::start(&program, &arguments, self.bed.path(&format!("{log}.log")))
    }

    fn service_settings(&self) -> String {
        service_settings(self.bed, self.port, self.application, self.admin)
    }
}

fn hand_over(bed: &Bed, name: &str) -> String {
    let path = bed.path(&format!("{name}-run/hand-over.sock"));
    format!("handOver: {{ socketPath: {} }}\n", path.display())
}

fn client_settings(bed: &Bed, out: u16, port: u16) -> String {
    format!(
        "mesh: []
outbound:
  - {{ name: out, listen: '127.0.0.1:{out}', protocol: HTTP, connect: '127.0.0.1:{port}', \
         expect: ['spiffe://example.org/service'] }}
{}",
        hand_over(bed, "client")
    )
}

fn service_settings(bed: &Bed, port: u16, application: u16, admin: u16) -> String {
    format!(
        "mesh: []
admin: {{ listen: '127.0.0.1:{admin}' }}
inbound:
  - {{ name: in, listen: '127.0.0.1:{port}', protocol: HTTP, forward: '127.0.0.1:{application}' }}
{}",
        hand_over(bed, "service")
    )
}

/// An application that answers `hello` to every request, on connections that it keeps.
fn answer(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
        }
        let hello = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        if stream.get_mut().write_all(hello).is_err() {
            return;
        }
    }
}

/// Clients that ask again and again: half on connections that they keep, as long as they may.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(port: u16) -> Self {
        let (stop, answered) = (Arc::default(), Arc::default());
        let mut load = Self {
            stop,
            answered,
            failures: Arc::default(),
            clients: Vec::new(),
        };
        for number in 0..8 {
            let (stop, answered) = (Arc::clone(&load.stop), Arc::clone(&load.answered));
            let failures = Arc::clone(&load.failures);
            load.clients.push(thread::spawn(move || {
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    match ask(port, &mut kept, number % 2 == 0) {
                        Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => failures.lock().unwrap().push(error.to_string()),
                    }
                    thread::sleep(Duration::from_millis(2));
                }
            }));
        }
        load
    }

    /// Waits until so many more were answered.
    fn goes_on(&self, more: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("requests are answered", || {
            (self.answered.load(Ordering::Relaxed) >= before + more).then_some(())
        });
    }

    /// All were answered with 200.
    #[track_caller]
    fn was_answered(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        let failures = self.failures.lock().unwrap();
        let answered = self.answered.load(Ordering::Relaxed);
        assert!(failures.is_empty(), "{answered} answered, {failures:?}");
    }
}

type Kept = Option<BufReader<TcpStream>>;

/// Asks once, on the connection that is kept if there is one.
fn ask(port: u16, kept: &mut Kept, keep: bool) -> std::io::Result<()> {
    let other = |text: &str| std::io::Error::other(text.to_owned());
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            BufReader::new(stream)
        }
    };
    let request = b"GET / HTTP/1.1\r\nhost: service.test\r\n\r\n";
    stream.get_mut().write_all(request)?;
    let (mut status, mut line, mut last) = (String::new(), String::new(), false);
    stream.read_line(&mut status)?;
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(other(&format!("the connection ended after {status:?}")));
        }
        last |= line.eq_ignore_ascii_case("connection: close\r\n");
    }
    if !status.starts_with("HTTP/1.1 200") {
        return Err(other(&status));
    }
    let mut body = [0; 5];
    stream.read_exact(&mut body)?;
    *kept = (keep && !last).then_some(stream);
    Ok(())
}

/// What the admin endpoint of the service's proxy answers.
fn ready(pair: &Pair<'_>) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, pair.admin));
    let mut stream = TcpStream::connect(address).unwrap();
    let request = b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.starts_with("HTTP/1.1 200")
}

#[test]
fn both_proxies_of_a_call_are_replaced_under_load() {
    let bed = Bed::new();
    let mut pair = Pair::start(&bed);
    let load = Load::start(pair.out);
    load.goes_on(50);
    // More threads than before, and fewer again.
    for (round, threads) in [3, 1].into_iter().enumerate() {
        let settings = format!("threads: {threads}\n{}", pair.service_settings());
        let new = pair.another("service", &settings, &format!("service-{round}"));
        new.says("took over from the former process");
        assert!(pair.service.ends().success(), "{}", pair.service.log());
        pair.service = new;
        load.goes_on(50);
        let settings = client_settings(&bed, pair.out, pair.port);
        let settings = format!("threads: {threads}\n{settings}");
        let new = pair.another("client", &settings, &format!("client-{round}"));
        new.says("took over from the former process");
        assert!(pair.client.ends().success(), "{}", pair.client.log());
        pair.client = new;
        load.goes_on(50);
        assert!(ready(&pair));
    }
    load.was_answered();
    pair.service.stop();
    let left = bed.path("service-run/hand-over.sock");
    assert!(!left.exists(), "the last process removes its socket");
}

#[test]
fn a_new_process_that_cannot_start_leaves_the_running_one_in_service() {
    let bed = Bed::new();
    let mut pair = Pair::start(&bed);
    let load = Load::start(pair.out);
    load.goes_on(20);
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let held = held.local_addr().unwrap();
    let settings = pair.service_settings();
    let taken = format!(
        "{settings}outbound:
  - {{ name: taken, listen: '{held}', protocol: TCP, connect: '127.0.0.1:1', \
         expect: ['spiffe://example.org/x'] }}
"
    );
    for (log, settings, why) in [
        ("port", &*taken, "cannot be listened on"),
        ("kind", &settings.replace("HTTP", "SMTP"), "SMTP"),
    ] {
        let mut new = pair.another("service", settings, log);
        assert!(!new.ends().success());
        assert!(new.log().contains(why), "{}", new.log());
        load.goes_on(20);
        assert!(pair.service.is_running() && ready(&pair));
    }
    pair.service
        .says("the new process ended before it was ready");
    let new = pair.another("service", &settings, "right");
    assert!(pair.service.ends().success());
    load.goes_on(20);
    pair.service = new;
    load.was_answered();
}

#[test]
fn bytes_that_are_under_way_may_end_with_the_former_process() {
    let bed = Bed::new();
    let mut pair = Pair::start(&bed);
    let settings = pair.service_settings().replace("HTTP", "TCP");
    let settings = format!("{settings}drainTimeout: 20s\n");
    let new = pair.another("service", &settings, "bytes");
    assert!(pair.service.ends().success());
    let client = client_settings(&bed, pair.out, pair.port).replace("HTTP", "TCP");
    let other = pair.another(
        "client",
        &format!("{client}drainTimeout: 20s\n"),
        "client-bytes",
    );
    assert!(pair.client.ends().success());
    (pair.service, pair.client) = (new, other);
    let mut kept = None;
    ask(pair.out, &mut kept, true).unwrap();
    let mut formers = Vec::new();
    for (name, settings) in [("service", &settings), ("client", &client)] {
        let new = pair.another(name, settings, &format!("{name}-later"));
        new.says("took over from the former process");
        ask(pair.out, &mut kept, true).unwrap();
        let fresh = ask(pair.out, &mut None, false);
        fresh.unwrap();
        let former = match name {
            "service" => &mut pair.service,
            _ => &mut pair.client,
        };
        assert!(former.is_running());
        formers.push(std::mem::replace(former, new));
    }
    drop(kept);
    for mut former in formers {
        assert!(former.ends().success(), "{}", former.log());
    }
}

#[test]
fn ports_are_taken_over_only_from_a_proxy_of_the_same_user_and_only_if_it_hands_them_over() {
    let bed = Bed::new();
    let mut pair = Pair::start(&bed);
    let without = pair.service_settings().replace("handOver", "# handOver");
    let mut new = pair.another("service", &without, "without");
    assert!(!new.ends().success());
    assert!(new.log().contains("handOver.socketPath is missing"));
    let socket = bed.path("service-run/hand-over.sock");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&socket), mode(socket.parent().unwrap())),
        (0o600, 0o700)
    );
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    // Even where everybody may connect.
    let settings = bed.path("stranger.yaml");
    let text = format!(
        "workloadApi: unix://{}\n{}",
        pair.agent.socket.display(),
        pair.service_settings()
    );
    bed.write("stranger.yaml", &text);
    let folders = [&bed.path(""), socket.parent().unwrap()];
    for path in folders.into_iter().chain([&*socket, &*settings]) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut command = Command::new(bed.path("service"));
    command.args(["proxy", "run", "--take-over", "--config"]);
    command.arg(settings).uid(65_534).gid(65_534);
    let mut stranger = Process::spawn(command, bed.path("stranger.log"));
    assert!(!stranger.ends().success());
    let why = "the process that listens there is of another user (0)";
    assert!(stranger.log().contains(why), "{}", stranger.log());
    assert!(pair.service.is_running() && ready(&pair));
}
