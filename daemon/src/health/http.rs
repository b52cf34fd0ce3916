//! The HTTP listener for probes. Small on purpose: HTTP/1.1, one request per connection, every
//! connection bounded in time, their number bounded.

use std::{convert::Infallible, future::ready, net::SocketAddr, sync::Arc, time::Duration};

use http::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info};

use super::{Health, HealthConfig, Report};
use crate::socket::{Acceptor, BindError, ConnectionLimit, bind_tcp};

/// Far more than a probe needs.
const LONGEST_CONNECTION: Duration = Duration::from_secs(5);

/// Probes come one at a time; what comes beyond this waits in the system's queue.
const MOST_CONNECTIONS: usize = 32;

/// The listener for probes cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("health_checks: {0}")]
pub struct HealthError(#[from] BindError);

/// A listener that answers probes.
#[derive(Debug)]
pub struct HealthListener {
    address: SocketAddr,
    acceptor: Acceptor<TcpListener>,
    config: HealthConfig,
    health: Health,
    longest: Duration,
}

impl HealthListener {
    /// Opens the listener if the configuration enables it. Must be called inside the runtime.
    pub fn bind(config: &HealthConfig, health: &Health) -> Result<Option<Self>, HealthError> {
        if !config.listener_enabled {
            return Ok(None);
        }
        let address = SocketAddr::new(config.bind_address.0, config.bind_port);
        let listener = bind_tcp(address)?;
        let limit = ConnectionLimit::new(MOST_CONNECTIONS, MOST_CONNECTIONS);
        Ok(Some(Self {
            address: listener.local_addr().unwrap_or(address),
            acceptor: Acceptor::new(listener, limit),
            config: config.clone(),
            health: health.clone(),
            longest: LONGEST_CONNECTION,
        }))
    }

    /// The address that it listens on, with the port that the system chose if it was left to it.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers probes until `shutdown`.
    pub async fn serve(self, shutdown: CancellationToken) {
        info!(address = %self.address, "answering health probes");
        let connections = TaskTracker::new();
        let this = Arc::new(self);
        this.acceptor
            .serve(&shutdown, &connections, |(stream, _), slot| {
                let this = Arc::clone(&this);
                async move {
                    let _slot = slot;
                    this.answer(stream).await;
                }
            })
            .await;
        connections.close();
        connections.wait().await;
    }

    async fn answer(&self, stream: TcpStream) {
        let service = service_fn(|request: Request<Incoming>| {
            ready(Ok::<_, Infallible>(self.respond(&request)))
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.longest)
            .keep_alive(false)
            .max_buf_size(16 * 1024);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        match tokio::time::timeout(self.longest, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(
                error = &error as &dyn std::error::Error,
                "a health probe was broken off"
            ),
            Err(_) => debug!("a health probe took too long and was cut"),
        }
    }

    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let report = if path == self.config.live_path.as_str() {
            self.health.live()
        } else if path == self.config.ready_path.as_str() {
            self.health.ready()
        } else {
            return plain(StatusCode::NOT_FOUND, "no such probe\n");
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "probes are GET\n");
            response
                .headers_mut()
                .insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        describe(&report)
    }
}

fn describe(report: &Report) -> Response<Full<Bytes>> {
    let status = if report.is_well() {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let Ok(body) = serde_json::to_vec(report) else {
        return plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the report cannot be written\n",
        );
    };
    let mut response = plain(status, body);
    response.headers_mut().insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}

fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::JoinHandle,
    };

    use super::*;
    use crate::health::State;

    struct Probed {
        address: SocketAddr,
        shutdown: CancellationToken,
        serving: JoinHandle<()>,
    }

    impl Probed {
        fn start(health: &Health) -> Self {
            Self::start_with(health, LONGEST_CONNECTION)
        }

        fn start_with(health: &Health, longest: Duration) -> Self {
            let config = HealthConfig {
                listener_enabled: true,
                bind_port: 0,
                ..HealthConfig::default()
            };
            let listener = HealthListener::bind(&config, health).unwrap().unwrap();
            let listener = HealthListener {
                longest,
                ..listener
            };
            let (address, shutdown) = (listener.local_addr(), CancellationToken::new());
            let serving = TaskTracker::new().spawn(listener.serve(shutdown.clone()));
            Self {
                address,
                shutdown,
                serving,
            }
        }

        async fn ask(&self, request_line: &str) -> (u16, String) {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream
                .write_all(format!("{request_line} HTTP/1.1\r\nHost: probe\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            (head.get(9..12).unwrap().parse().unwrap(), body.to_owned())
        }

        async fn stop(self) {
            self.shutdown.cancel();
            self.serving.await.unwrap();
            TcpStream::connect(self.address).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn probes_get_the_state_of_each_part() {
        let health = Health::new();
        let flag = health.flag("agent");
        let probed = Probed::start(&health);
        assert_eq!(
            probed.ask("GET /live").await,
            (200, r#"{"agent":{}}"#.to_owned())
        );
        assert_eq!(
            probed.ask("GET /ready").await,
            (
                500,
                r#"{"agent":{"error":"has not started yet"}}"#.to_owned()
            )
        );
        flag.set(State::well());
        assert_eq!(
            probed.ask("GET /ready?verbose").await,
            (200, r#"{"agent":{}}"#.to_owned())
        );
        flag.set(State::dead("out of order"));
        assert_eq!(probed.ask("GET /live").await.0, 500);
        assert_eq!(probed.ask("HEAD /live").await, (500, String::new()));
        assert_eq!(probed.ask("GET /").await.0, 404);
        assert_eq!(probed.ask("DELETE /live").await.0, 405);
        probed.stop().await;
    }

    #[tokio::test]
    async fn silent_connections_are_cut_and_do_not_keep_probes_out() {
        let health = Health::new();
        let probed = Probed::start_with(&health, Duration::from_millis(100));
        let mut silent = Vec::new();
        for _ in 0..MOST_CONNECTIONS {
            silent.push(TcpStream::connect(probed.address).await.unwrap());
        }
        assert_eq!(probed.ask("GET /ready").await.0, 200);
        let mut rest = Vec::new();
        silent.pop().unwrap().read_to_end(&mut rest).await.unwrap();
        probed.stop().await;
    }

    #[tokio::test]
    async fn a_listener_that_is_off_opens_no_port_and_a_taken_port_is_named() {
        let health = Health::new();
        assert!(
            HealthListener::bind(&HealthConfig::default(), &health)
                .unwrap()
                .is_none()
        );
        let taken = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let bind_port = taken.local_addr().unwrap().port();
        let config = HealthConfig {
            listener_enabled: true,
            bind_port,
            ..HealthConfig::default()
        };
        let error = HealthListener::bind(&config, &health)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!(
                "health_checks: cannot listen on 127.0.0.1:{bind_port}: port"
            )),
            "{error}"
        );
    }
}
