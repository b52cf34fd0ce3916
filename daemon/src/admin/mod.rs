//! The admin endpoint of a daemon: what it is doing, for its administrator and for Prometheus.
//!
//! It listens on loopback or on a Unix socket of its user, if the configuration asks for it, and
//! asks for no credentials. So that a web page in a browser of this machine cannot speak to it, a
//! request over TCP has to name this machine, and none may come from a page. What changes anything
//! is asked for with POST alone.

mod address;
mod log;

use std::{future, io, net::IpAddr};

use http::{StatusCode, header, request::Parts, uri::Authority};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use address::{AdminAddress, AdminAddressError};

use crate::{
    health::{Health, Report},
    http::{Answer, HttpServer, Router, json, text, typed},
    metrics::{CONTENT_TYPE, Registry},
    socket::{BindError, Handed, Inheritance},
};

/// The admin endpoint cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It is in use, or not to be had.
    #[error("admin: {0}")]
    Bind(#[from] BindError),
    /// The former process handed over something else.
    #[error("admin: what was handed over cannot be used: {0}")]
    Handed(#[source] io::Error),
}

/// What every daemon answers for itself.
#[derive(Clone, Debug)]
pub struct AdminParts {
    /// For `/live` and `/ready`.
    pub health: Health,
    /// For `/stats/prometheus`.
    pub metrics: Registry,
    /// Cancelled by `/quitquitquit`.
    pub quit: CancellationToken,
}

/// A listener that answers its administrator.
#[derive(Debug)]
pub struct AdminListener {
    address: AdminAddress,
    server: HttpServer,
}

impl AdminListener {
    /// Listens; `router` has the paths that are the daemon's own. Must be called inside the
    /// runtime.
    ///
    /// # Errors
    /// The address or the socket is in use or not to be had.
    pub fn bind(
        address: &AdminAddress,
        parts: AdminParts,
        router: Router,
    ) -> Result<Self, AdminError> {
        Self::inherit(address, parts, router, &mut Inheritance::default())
    }

    /// Goes on with what the former process of this daemon listened on, if it listened there.
    ///
    /// # Errors
    /// It did not, and the address or the socket is in use or not to be had.
    pub fn inherit(
        address: &AdminAddress,
        parts: AdminParts,
        router: Router,
        inheritance: &mut Inheritance,
    ) -> Result<Self, AdminError> {
        let router = with_list(router_of(parts, router));
        let (server, address) = match address {
            AdminAddress::Loopback(address) => {
                let router = router.guarded(guard);
                let handed = inheritance.tcp(*address).map_err(AdminError::Handed)?;
                let server = match handed.and_then(|mut sockets| sockets.pop()) {
                    Some(socket) => {
                        let socket = TcpListener::from_std(socket).map_err(AdminError::Handed)?;
                        HttpServer::on(*address, socket, router)
                    }
                    None => HttpServer::bind(*address, router)?,
                };
                let address = server.local_addr().unwrap_or(*address);
                (server, AdminAddress::Loopback(address))
            }
            AdminAddress::Socket(path) => {
                let handed = inheritance.unix(path).map_err(AdminError::Handed)?;
                let server = match handed {
                    Some(socket) => HttpServer::on_socket(socket, router),
                    None => HttpServer::bind_socket(path, router)?,
                };
                (server, address.clone())
            }
        };
        Ok(Self { address, server })
    }

    /// What it listens on, for the next process of this daemon.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn handed(&self) -> io::Result<Handed> {
        self.server.handed()
    }

    /// Where it listens, with the port that the system chose if it was left to it.
    pub fn address(&self) -> &AdminAddress {
        &self.address
    }

    /// Answers until `shutdown`.
    pub async fn serve(self, shutdown: CancellationToken) {
        info!(address = %self.address, "the admin endpoint answers");
        self.server.serve(shutdown).await;
    }
}

fn router_of(parts: AdminParts, router: Router) -> Router {
    let AdminParts {
        health,
        metrics,
        quit,
    } = parts;
    let live = health.clone();
    router
        .get("/live", move |_| future::ready(told(&live.live())))
        .get("/ready", move |_| future::ready(told(&health.ready())))
        .get("/stats/prometheus", move |_| {
            future::ready(typed(StatusCode::OK, CONTENT_TYPE, metrics.text()))
        })
        .get("/logging", |_| future::ready(log::level()))
        .post("/logging", |head| {
            future::ready(log::set_level(head.uri.query()))
        })
        .post("/quitquitquit", move |_| {
            info!("stopping, as the admin endpoint was asked to");
            quit.cancel();
            future::ready(text(StatusCode::OK, "OK\n"))
        })
}

/// Adds `/`, which lists the others.
fn with_list(router: Router) -> Router {
    let line = |(path, methods): (&str, &str)| format!("{methods:<16} {path}\n");
    let list: String = router.paths().map(line).collect();
    router.get("/", move |_| {
        future::ready(text(StatusCode::OK, list.clone()))
    })
}

fn told(report: &Report) -> Answer {
    let status = match report.is_well() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(status, report)
}

/// A page of the web that is open on this machine can send requests to it, under a name of its own
/// whose address is loopback, too. No program but a browser says where a request is from.
fn guard(head: &Parts) -> Option<Answer> {
    let from_page =
        head.headers.contains_key(header::ORIGIN) || head.headers.contains_key("sec-fetch-site");
    let refused = match from_page {
        true => "refused: web pages cannot use the admin endpoint\n",
        false if names_this_machine(head) => return None,
        false => "refused: the Host header has to be localhost or an IP address\n",
    };
    Some(text(StatusCode::FORBIDDEN, refused))
}

fn names_this_machine(head: &Parts) -> bool {
    let host = head.headers.get(header::HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    authority.is_some_and(|authority| {
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
    })
}

#[cfg(test)]
mod tests;
