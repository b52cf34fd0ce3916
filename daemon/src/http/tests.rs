//! Real connections to a server of its own.

use std::net::Ipv4Addr;

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

use super::*;

struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Served {
    fn start(router: Router, deadline: Duration) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = HttpServer::bind_with(any, router, deadline).unwrap();
        let (address, shutdown) = (server.local_addr().unwrap(), CancellationToken::new());
        let serving = TaskTracker::new().spawn(server.serve(shutdown.clone()));
        Self {
            address,
            shutdown,
            serving,
        }
    }

    async fn connect(&self, from: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::from(from), 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect([127, 0, 0, 1]).await;
        ask_over(&mut stream, request).await
    }
}

async fn ask_over(stream: &mut TcpStream, request: &str) -> String {
    let request = format!("{request} HTTP/1.1\r\nHost: daemon\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn hello() -> Router {
    Router::new().get("/hello", async |head| {
        let query = head.uri.query().unwrap_or("nobody");
        text(StatusCode::OK, format!("hello {query}\n"))
    })
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_path_is_answered_by_its_handler_and_others_are_not_found() {
    let served = Served::start(hello(), LONG);
    let answer = served.ask("GET /hello?world").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello world\n"), "{answer}");
    assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
    let head = served.ask("HEAD /hello").await;
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    let missing = served.ask("GET /hello/").await;
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    let written = served.ask("POST /hello").await;
    assert!(written.starts_with("HTTP/1.1 405 "), "{written}");
    assert!(written.contains("allow: GET, HEAD\r\n"), "{written}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_given() {
    let router = Router::new().get("/large", async |_| {
        let size = usize::try_from(router::LARGEST_ANSWER).unwrap() + 1;
        text(StatusCode::OK, vec![b'x'; size])
    });
    let answer = Served::start(router, LONG).ask("GET /large").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer:.99}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_at_its_deadline() {
    let served = Served::start(hello(), Duration::from_millis(50));
    let mut slow = served.connect([127, 0, 0, 1]).await;
    slow.write_all(b"GET /hello HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    let mut rest = Vec::new();
    timeout(LONG, slow.read_to_end(&mut rest))
        .await
        .unwrap()
        .ok();
    let mut long = served.connect([127, 0, 0, 1]).await;
    let endless = vec![b'x'; 2 * LONGEST_HEAD];
    long.write_all(b"GET /").await.unwrap();
    // Refused while it is still being sent.
    long.write_all(&endless).await.ok();
    let mut answer = Vec::new();
    timeout(LONG, long.read_to_end(&mut answer))
        .await
        .unwrap()
        .ok();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn one_address_has_its_share_and_another_still_gets_in() {
    let served = Served::start(hello(), LONG);
    let mut silent = Vec::new();
    for _ in 0..MOST_ANSWERS {
        silent.push(served.connect([127, 0, 0, 2]).await);
    }
    let answered = timeout(LONG, served.ask("GET /hello")).await.unwrap();
    assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
}

#[tokio::test]
async fn what_was_asked_before_the_end_is_answered_and_the_silent_are_let_go() {
    let gate = Arc::new(Semaphore::new(0));
    let (open, begun) = (Arc::clone(&gate), Arc::new(Semaphore::new(0)));
    let told = Arc::clone(&begun);
    let router = Router::new().get("/slow", move |_| {
        let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
        async move {
            begun.add_permits(1);
            gate.acquire().await.unwrap().forget();
            text(StatusCode::OK, "at last\n")
        }
    });
    let served = Served::start(router, LONG);
    let _silent = served.connect([127, 0, 0, 1]).await;
    let mut slow = served.connect([127, 0, 0, 1]).await;
    let asking = async move { ask_over(&mut slow, "GET /slow").await };
    let asked = TaskTracker::new().spawn(asking);
    told.acquire().await.unwrap().forget();
    served.shutdown.cancel();
    open.add_permits(1);
    assert!(asked.await.unwrap().ends_with("at last\n"));
    timeout(LONG, served.serving).await.unwrap().unwrap();
}
