//! What a connection calls of which only bytes are known: by the server name that a client of TLS
//! wants, or else by the address and port.

use std::{net::IpAddr, sync::Arc};

use super::{
    WorkloadModel,
    called::{Called, NotCalled},
};
use crate::{
    object::ObjectRef,
    route::{ConnectionCall, RoutedConnection, host_and_port},
    service::{Protocol, Service, ServicePort},
};

/// A connection of a client on which no requests can be seen.
#[derive(Debug, Clone, Copy)]
pub struct Connecting<'a> {
    /// The address that the client called.
    pub address: IpAddr,
    /// The port that the client called.
    pub port: u16,
    /// The server name that it wants, if it begins with TLS and wants one.
    pub server_name: Option<&'a str>,
}

/// Where a connection goes.
#[derive(Debug, Clone, Copy)]
pub struct Connected<'m> {
    /// The `VirtualService` that routes it, if one does.
    pub virtual_service: Option<&'m ObjectRef>,
    /// The port of a service, or of a part of it.
    pub called: Called<'m>,
}

/// Which way a connection goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'m> {
    /// By a route.
    Routed(RoutedConnection<'m>),
    /// To what is called.
    Unrouted(Connected<'m>),
}

impl WorkloadModel {
    /// What is spoken at an address and port, if a service says so. All services there speak
    /// something of one class: HTTP, TLS, or any bytes.
    pub fn spoken_at(&self, address: IpAddr, port: u16) -> Option<Protocol> {
        let services = self.services.at(address, port);
        services
            .iter()
            .find_map(|service| service.port(port).map(|port| port.protocol))
    }

    /// Whether documents say what is at an address and port, even if a client does not say which of
    /// several services it means.
    pub fn names(&self, address: IpAddr, port: u16) -> bool {
        !self.services.at(address, port).is_empty()
    }

    /// Where a connection goes. `random` is any number, each as likely as any other.
    ///
    /// # Errors
    /// Nothing is there, or no connection can go there.
    pub fn of_connection(
        &self,
        call: &Connecting<'_>,
        random: u64,
    ) -> Result<Connected<'_>, NotCalled> {
        match self.way(call, random)? {
            Way::Routed(routed) => self.of_route(routed, call.port),
            Way::Unrouted(connected) => Ok(connected),
        }
    }

    /// Which way it goes.
    pub(super) fn way(&self, call: &Connecting<'_>, random: u64) -> Result<Way<'_>, NotCalled> {
        if let Some(name) = call.server_name
            && let Some(way) = self.of_server_name(name, call, random)
        {
            return Ok(way);
        }
        self.of_address(call, random)
    }

    /// None if neither a route nor a service has the name.
    fn of_server_name(&self, name: &str, call: &Connecting<'_>, random: u64) -> Option<Way<'_>> {
        if let Some(routed) = self.routes.tls(&call.of(name), random) {
            return Some(Way::Routed(routed));
        }
        let (host, _) = host_and_port(name);
        let service = self.services.of(&host)?;
        let port = service.port(call.port)?;
        let is_tls = port.protocol.is_tls();
        is_tls.then_some(Way::Unrouted(Connected::unrouted(service, port)))
    }

    fn of_address(&self, call: &Connecting<'_>, random: u64) -> Result<Way<'_>, NotCalled> {
        let services = self.services.at(call.address, call.port);
        let service = only_service(&services, call)?;
        let host = service.host.to_string();
        if let Some(routed) = self.routes.tcp(&call.of(&host), random) {
            return Ok(Way::Routed(routed));
        }
        let no_port = || NotCalled::NoPort(service.host.clone(), call.port);
        let port = service.port(call.port).ok_or_else(no_port)?;
        if port.protocol.is_http() {
            return Err(NotCalled::IsHttp(service.host.clone(), port.number));
        }
        Ok(Way::Unrouted(Connected::unrouted(service, port)))
    }

    fn of_route<'m>(
        &'m self,
        routed: RoutedConnection<'m>,
        port: u16,
    ) -> Result<Connected<'m>, NotCalled> {
        Ok(Connected {
            virtual_service: Some(routed.virtual_service),
            called: self.of_bytes(&routed.to.destination, port)?,
        })
    }
}

impl<'m> Connected<'m> {
    fn unrouted(service: &'m Arc<Service>, port: &'m ServicePort) -> Self {
        Self {
            virtual_service: None,
            called: Called {
                service,
                port,
                subset: None,
            },
        }
    }
}

impl<'a> Connecting<'a> {
    fn of(&self, host: &'a str) -> ConnectionCall<'a> {
        ConnectionCall {
            host,
            destination_ip: self.address,
            port: self.port,
        }
    }
}

/// The service that is meant where nothing but an address says so: several there are told apart by
/// what a client says, and this one has not said it.
fn only_service<'m>(
    services: &[&'m Arc<Service>],
    call: &Connecting<'_>,
) -> Result<&'m Arc<Service>, NotCalled> {
    let nobody = || NotCalled::NothingAt(call.address, call.port);
    match services {
        [service] => {
            // What a client of TLS names and is not there must not be taken for what is.
            let speaks_tls = service
                .port(call.port)
                .is_some_and(|it| it.protocol.is_tls());
            match call.server_name.filter(|_| speaks_tls) {
                Some(name) => Err(NotCalled::NoService(name.into())),
                None => Ok(service),
            }
        }
        [] => match call.server_name {
            Some(name) => Err(NotCalled::NoService(name.into())),
            None => Err(nobody()),
        },
        [_, _, ..] => Err(nobody()),
    }
}
