//! Requests of an administrator, and of others.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::{health::State, metrics::Labels};

struct Endpoint {
    address: AdminAddress,
    parts: AdminParts,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Endpoint {
    fn start(address: &AdminAddress) -> Self {
        let parts = AdminParts {
            health: Health::new(),
            metrics: Registry::new(),
            quit: CancellationToken::new(),
        };
        let router = Router::new().get("/own", |_| future::ready(text(StatusCode::OK, "own\n")));
        let listener = AdminListener::bind(address, parts.clone(), router).unwrap();
        let (address, shutdown) = (listener.address().clone(), CancellationToken::new());
        let serving = TaskTracker::new().spawn(listener.serve(shutdown.clone()));
        Self {
            address,
            parts,
            shutdown,
            serving,
        }
    }

    fn on_loopback() -> Self {
        Self::start(&AdminAddress::Loopback(SocketAddr::from((
            [127, 0, 0, 1],
            0,
        ))))
    }

    async fn ask(&self, request: &str, headers: &str) -> (u16, String) {
        match &self.address {
            AdminAddress::Loopback(address) => {
                ask(TcpStream::connect(address).await.unwrap(), request, headers).await
            }
            AdminAddress::Socket(path) => {
                ask(UnixStream::connect(path).await.unwrap(), request, headers).await
            }
        }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(&format!("GET {path}"), "Host: 127.0.0.1\r\n")
            .await
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap();
    }
}

async fn ask<S>(mut stream: S, request: &str, headers: &str) -> (u16, String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!("{request} HTTP/1.1\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.get(9..12).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn it_tells_health_metrics_and_what_is_the_daemons_own() {
    let endpoint = Endpoint::on_loopback();
    let flag = endpoint.parts.health.flag("identity");
    assert_eq!(endpoint.get("/live").await.0, 200);
    let (status, body) = endpoint.get("/ready").await;
    assert_eq!(status, 503);
    assert!(body.contains("has not started yet"), "{body}");
    flag.set(State::well());
    assert_eq!(endpoint.get("/ready").await.0, 200);
    let calls = endpoint.parts.metrics.counter("calls", "Calls.");
    calls.shard(&Labels::one("who", "a")).increment();
    let (_, body) = endpoint.get("/stats/prometheus").await;
    assert!(body.contains("calls_total{who=\"a\"} 1\n"), "{body}");
    assert_eq!(endpoint.get("/own").await, (200, "own\n".to_owned()));
    let (_, list) = endpoint.get("/").await;
    for path in ["/own", "/ready", "/stats/prometheus"] {
        assert!(list.contains(path), "{list}");
    }
    endpoint.stop().await;
}

#[tokio::test]
async fn what_changes_something_is_asked_for_with_post_alone() {
    let endpoint = Endpoint::on_loopback();
    assert_eq!(endpoint.get("/quitquitquit").await.0, 405);
    assert!(!endpoint.parts.quit.is_cancelled());
    let host = "Host: localhost:15000\r\n";
    assert_eq!(endpoint.ask("POST /logging", host).await.0, 400);
    let (status, why) = endpoint.ask("POST /logging?level=loud", host).await;
    assert_eq!(status, 400);
    assert!(why.contains("`loud` is no log level"), "{why}");
    assert_eq!(endpoint.ask("POST /ready", host).await.0, 405);
    assert_eq!(endpoint.ask("POST /quitquitquit", host).await.0, 200);
    assert!(endpoint.parts.quit.is_cancelled());
    endpoint.stop().await;
}

#[tokio::test]
async fn a_web_page_cannot_speak_to_it() {
    let endpoint = Endpoint::on_loopback();
    for headers in [
        "Host: evil.test\r\n",
        "Host: evil.test:15000\r\n",
        "Host: 127.0.0.1.evil.test\r\n",
        "",
        "Host: 127.0.0.1\r\nOrigin: http://evil.test\r\n",
        "Host: 127.0.0.1\r\nOrigin: null\r\n",
        "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        let (status, _) = endpoint.ask("POST /quitquitquit", headers).await;
        assert!(matches!(status, 400 | 403), "{headers}: {status}");
    }
    assert!(!endpoint.parts.quit.is_cancelled());
    for host in ["Host: [::1]:15000\r\n", "Host: LOCALHOST\r\n"] {
        assert_eq!(endpoint.ask("GET /live", host).await.0, 200, "{host}");
    }
    endpoint.stop().await;
}

#[tokio::test]
async fn its_socket_is_for_its_user_alone_and_goes_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("admin.sock");
    let endpoint = Endpoint::start(&AdminAddress::Socket(path.clone()));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path) & 0o777, 0o600);
    let (status, _) = endpoint.ask("GET /live", "Host: any\r\n").await;
    assert_eq!(status, 200);
    endpoint.stop().await;
    assert!(!path.exists());
}
