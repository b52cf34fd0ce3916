//! The HTTP listener for probes.

use std::{future, net::SocketAddr};

use http::StatusCode;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{Health, HealthConfig, Report};
use crate::{
    http::{Answer, HttpServer, Router, json},
    socket::BindError,
};

/// The listener for probes cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("health_checks: {0}")]
pub struct HealthError(#[from] BindError);

/// A listener that answers probes.
#[derive(Debug)]
pub struct HealthListener {
    address: SocketAddr,
    server: HttpServer,
}

impl HealthListener {
    /// Opens the listener if the configuration enables it. Must be called inside the runtime.
    ///
    /// # Errors
    /// The address is in use or not to be had.
    pub fn bind(config: &HealthConfig, health: &Health) -> Result<Option<Self>, HealthError> {
        if !config.listener_enabled {
            return Ok(None);
        }
        let (live, ready) = (health.clone(), health.clone());
        let router = Router::new()
            .get(config.live_path.as_str(), move |_| {
                future::ready(describe(&live.live()))
            })
            .get(config.ready_path.as_str(), move |_| {
                future::ready(describe(&ready.ready()))
            });
        let address = SocketAddr::new(config.bind_address.0, config.bind_port);
        let server = HttpServer::bind(address, router)?;
        Ok(Some(Self {
            address: server.local_addr().unwrap_or(address),
            server,
        }))
    }

    /// The address that it listens on, with the port that the system chose if it was left to it.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers probes until `shutdown`.
    pub async fn serve(self, shutdown: CancellationToken) {
        info!(address = %self.local_addr(), "answering health probes");
        self.server.serve(shutdown).await;
    }
}

fn describe(report: &Report) -> Answer {
    let status = match report.is_well() {
        true => StatusCode::OK,
        false => StatusCode::INTERNAL_SERVER_ERROR,
    };
    json(status, report)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        task::JoinHandle,
    };
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::{health::State, socket::bind_tcp};

    struct Probed {
        address: SocketAddr,
        shutdown: CancellationToken,
        serving: JoinHandle<()>,
    }

    impl Probed {
        fn start(health: &Health) -> Self {
            let config = HealthConfig {
                listener_enabled: true,
                bind_port: 0,
                ..HealthConfig::default()
            };
            let listener = HealthListener::bind(&config, health).unwrap().unwrap();
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
