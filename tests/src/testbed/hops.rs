//! Three hops: a client calls a service in the middle, which calls one at the end; each has a proxy
//! beside it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use super::{Agent, Proxy, Server, free_port, raw};

/// The three and their proxies.
pub struct Hops<'a> {
    _server: Server<'a>,
    _agent: Agent<'a>,
    pub client: Proxy,
    pub middle: Proxy,
    _end: Proxy,
    /// Where the client calls.
    port: u16,
    /// The heads of requests as the service at the end saw them.
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl<'a> Hops<'a> {
    /// The settings are among those of every proxy, whose name stands for `NAME`.
    pub fn start(server: Server<'a>, settings: &str) -> Self {
        Self::with(server, |name| settings.replace("NAME", name))
    }

    /// The same with settings of each proxy, by its name: `client`, `middle` or `end`.
    pub fn with(server: Server<'a>, settings: impl Fn(&str) -> String) -> Self {
        let agent = Agent::join(&server);
        let [client_out, middle_in, middle_out, end_in] = [(); 4].map(|()| free_port());
        let asked = Arc::default();
        let end = application(None, &asked);
        let middle = application(Some(middle_out), &Arc::default());
        let inbound = |listen: u16, port: u16| {
            format!(
                "inbound: [{{ name: in, listen: '127.0.0.1:{listen}', protocol: HTTP, \
                 forward: '127.0.0.1:{port}' }}]\n"
            )
        };
        let outbound = |listen: u16, to: u16, name: &str| {
            format!(
                "outbound: [{{ name: out, listen: '127.0.0.1:{listen}', protocol: HTTP, \
                 connect: '127.0.0.1:{to}', expect: ['spiffe://example.org/{name}'] }}]\n"
            )
        };
        let start = |name: &str, ports: String| {
            Proxy::start(&server, &agent, name, &(ports + &settings(name)))
        };
        let middles = inbound(middle_in, middle) + &outbound(middle_out, end_in, "end");
        Self {
            _end: start("end", inbound(end_in, end)),
            middle: start("middle", middles),
            client: start("client", outbound(client_out, middle_in, "middle")),
            _server: server,
            _agent: agent,
            port: client_out,
            asked,
        }
    }

    /// The answer to a request with these headers, each ended by a line end.
    pub fn get(&self, path: &str, headers: &str) -> String {
        call(self.port, path, headers)
    }
}

/// The whole answer to a request.
fn call(port: u16, path: &str, headers: &str) -> String {
    let mut stream = raw::connect(port);
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// An application that keeps what it is asked, and asks the next one first, to which it passes on
/// what belongs to the trace, as applications have to.
fn application(next: Option<u16>, asked: &Arc<Mutex<Vec<String>>>) -> u16 {
    let asked = Arc::clone(asked);
    raw::application(move |stream| serve(stream, next, &asked))
}

fn serve(stream: TcpStream, next: Option<u16>, asked: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        asked.lock().unwrap().push(head.clone());
        if let Some(next) = next {
            let passed = |line: &&str| {
                let names = [
                    "traceparent:",
                    "tracestate:",
                    "b3:",
                    "x-b3-",
                    "x-request-id:",
                ];
                names.iter().any(|name| line.starts_with(name))
            };
            let headers = head.lines().filter(passed);
            let headers: String = headers.map(|line| format!("{line}\r\n")).collect();
            call(next, "/next", &headers);
        }
        let status = if head.contains(" /broken") {
            "500 Broken"
        } else {
            "200 OK"
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
