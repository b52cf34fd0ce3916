//! Programs that live on the hosts of `tests/e2e/intercept`: applications, what stands in a proxy's
//! place and says what the kernel told it, and one that listens in.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program of a test"
)]

mod http;
mod tap;

use std::{
    env,
    io::{self, Read as _, Write as _},
    net::{
        IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _,
        UdpSocket,
    },
    thread,
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [_, "listen", name, port] => both_families(port, Kind::Plain, |stream| tell(name, stream)),
        [_, "keep-source", port] => both_families(port, Kind::Transparent, pass_on),
        [_, "serve", name, port] => {
            both_families(port, Kind::Plain, |stream| http::serve(name, stream));
        }
        [_, "call", address] => call(address),
        [_, "get", url] => http::get(url),
        [_, "tap"] => tap::tap(),
        [_, "answer", name, address] => answer(name, address.parse().unwrap()),
        [_, "ask", address] => ask(address.parse().unwrap()),
        other => panic!("no such role: {other:?}"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// It takes what is addressed to others.
    Transparent,
}

/// Accepts on every address of the host, and lets `handle` have each connection.
fn both_families(port: &str, kind: Kind, handle: impl Fn(TcpStream) -> io::Result<()> + Sync) {
    let port = port.parse().unwrap();
    let any = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    let listeners = any.map(|ip| listener(SocketAddr::new(ip, port), kind));
    println!("listening");
    thread::scope(|scope| {
        for listener in &listeners {
            scope.spawn(|| {
                for stream in listener.incoming() {
                    let stream = stream.unwrap();
                    // A caller may be gone by now.
                    scope.spawn(|| drop(handle(stream)));
                }
            });
        }
    });
}

fn listener(address: SocketAddr, kind: Kind) -> TcpListener {
    let socket = socket(address, kind);
    socket.set_reuse_address(true).unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(true).unwrap();
    }
    socket.bind(&address.into()).unwrap();
    socket.listen(16).unwrap();
    socket.into()
}

fn socket(address: SocketAddr, kind: Kind) -> Socket {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).unwrap();
    let transparent = kind == Kind::Transparent;
    match address {
        SocketAddr::V4(_) => socket.set_ip_transparent_v4(transparent).unwrap(),
        SocketAddr::V6(_) => socket.set_ip_transparent_v6(transparent).unwrap(),
    }
    socket
}

/// Says what the kernel knows of a connection.
fn tell(name: &str, mut stream: TcpStream) -> io::Result<()> {
    let (from, to) = (stream.peer_addr()?, stream.local_addr()?);
    let original = original(&stream)?;
    writeln!(stream, "{name} from {} to {to} for {original}", from.ip())
}

/// Goes on to where the connection was to go, with the address of who made it.
fn pass_on(mut stream: TcpStream) -> io::Result<()> {
    let (from, original) = (stream.peer_addr()?, original(&stream)?);
    let socket = socket(from, Kind::Transparent);
    socket.set_mark(1337)?;
    socket.bind(&SocketAddr::new(from.ip(), 0).into())?;
    socket.connect_timeout(&original.into(), PATIENCE)?;
    let mut upstream = TcpStream::from(socket);
    write!(stream, "passed on: ")?;
    io::copy(&mut upstream, &mut stream)?;
    Ok(())
}

fn original(stream: &TcpStream) -> io::Result<SocketAddr> {
    let socket = SockRef::from(stream);
    let known = match stream.local_addr()? {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    // The kernel keeps no connections where nothing is captured.
    match known {
        Ok(address) => Ok(address.as_socket().unwrap()),
        Err(_) => stream.local_addr(),
    }
}

/// Prints what is said by who is at an address, or at a name.
fn call(address: &str) {
    let address = address.to_socket_addrs().unwrap().next().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    let ended = stream.read_to_string(&mut text);
    print!("{text}");
    ended.unwrap();
}

/// Answers questions over UDP.
fn answer(name: &str, address: SocketAddr) {
    let socket = UdpSocket::bind(address).unwrap();
    println!("listening");
    let mut buffer = [0; 64];
    loop {
        let (_, from) = socket.recv_from(&mut buffer).unwrap();
        socket
            .send_to(format!("{name}\n").as_bytes(), from)
            .unwrap();
    }
}

fn ask(address: SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // Only what comes from there is an answer.
    socket.connect(address).unwrap();
    socket.send(b"?").unwrap();
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).unwrap();
    io::stdout().write_all(&buffer[..length]).unwrap();
}

const PATIENCE: Duration = Duration::from_secs(5);
