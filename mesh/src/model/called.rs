//! What a request calls: which port of which service, or of a part of it, and who has to be there.

use std::{fmt, net::IpAddr, sync::Arc};

use signet_identity::{SpiffeId, TrustDomain};
use thiserror::Error;

use super::WorkloadModel;
use crate::{
    destination::{ClientTls, DestinationPart},
    read::{HostName, SubjectAltName},
    route::Destination,
    service::{Address, Endpoint, Location, Resolution, Service, ServicePort},
};

/// A service, or a part of it, that is called by one of its ports.
#[derive(Debug, Clone, Copy)]
pub struct Called<'m> {
    /// The service.
    pub service: &'m Arc<Service>,
    /// The port.
    pub port: &'m ServicePort,
    /// The part that is meant, if it is one.
    pub subset: Option<&'m str>,
}

/// What names a port of a service, or of a part of it. Written as Envoy has it from Istio:
/// `outbound|80|v1|shop.test`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterName {
    /// The host of the service.
    pub host: HostName,
    /// The port of the service.
    pub port: u16,
    /// The part of it, if it is one.
    pub subset: Option<Box<str>>,
}

/// An endpoint of what is called.
#[derive(Debug, Clone)]
pub struct CalledEndpoint<'m> {
    /// The endpoint.
    pub endpoint: &'m Arc<Endpoint>,
    /// Who has to be there.
    pub peer: Peer,
}

/// Who has to be at an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Anybody: it is called without TLS.
    Anybody,
    /// One of these, at least one, sorted.
    OneOf(Vec<SpiffeId>),
    /// Whom the files of a DestinationRule say.
    OfFiles,
}

/// Why a request cannot go where it calls.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotCalled {
    /// There is no such service.
    #[error("no service of the mesh has the host {0}")]
    NoService(Box<str>),
    /// It has no such port.
    #[error("service {0} has no port {1}")]
    NoPort(HostName, u16),
    /// Requests cannot be seen at the port.
    #[error("port {1} of service {0} is not spoken HTTP on")]
    NotHttp(HostName, u16),
    /// Requests are to be seen at the port, and none are.
    #[error("port {1} of service {0} is spoken HTTP on, which the connection is not")]
    IsHttp(HostName, u16),
    /// No service is there, or several that the client does not tell apart.
    #[error("nothing of the connection says which service of the mesh is meant at {0} port {1}")]
    NothingAt(IpAddr, u16),
    /// It is where the client called.
    #[error(
        "service {0} has resolution NONE: it is where the client called, which a host does not say"
    )]
    Anywhere(HostName),
    /// It has no such part.
    #[error("no DestinationRule of {0} has a subset {1}")]
    NoSubset(HostName, Box<str>),
    /// A service that says no ID could be anybody.
    #[error(
        "it is not known who service {0} has to be at {1}: its ServiceEntry has neither \
         `subjectAltNames` nor a `serviceAccount` for it"
    )]
    NobodyExpected(HostName, Address),
}

impl NotCalled {
    /// Whether no document names what is called; otherwise one names it, and it cannot be called as
    /// that says.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::NoService(_) | Self::NothingAt(..) | Self::NoPort(..) => true,
            Self::NotHttp(..)
            | Self::IsHttp(..)
            | Self::Anywhere(_)
            | Self::NoSubset(..)
            | Self::NobodyExpected(..) => false,
        }
    }
}

impl WorkloadModel {
    /// The port that is called by a request to `host`: the one that is `named` with it, or else the
    /// `usual` one, or else the only one of the service, or else that of HTTP.
    pub fn called_port(&self, host: &str, named: Option<u16>, usual: Option<u16>) -> u16 {
        let only = || only_port(self.services.of(host)?);
        named.or(usual).or_else(only).unwrap_or(HTTP)
    }

    /// What is called by a host, which is in the form in which hosts are looked up.
    ///
    /// # Errors
    /// There is no such service, or no requests can go there.
    pub fn of_host(&self, host: &str, port: u16) -> Result<Called<'_>, NotCalled> {
        let service = self.services.of(host);
        let service = service.ok_or_else(|| NotCalled::NoService(host.into()))?;
        Called::of_http(service, port)
    }

    /// What a route leads to that a request to the port `called` takes.
    ///
    /// # Errors
    /// There is no such service, or no requests can go there.
    pub fn of_destination<'m>(
        &'m self,
        destination: &'m Destination,
        called: u16,
    ) -> Result<Called<'m>, NotCalled> {
        let called = self.destined_to(destination, called)?;
        let (host, port) = (&called.service.host, called.port);
        match port.protocol.is_http() {
            true => Ok(called),
            false => Err(NotCalled::NotHttp(host.clone(), port.number)),
        }
    }

    /// What a route leads to that a connection to the port `called` takes.
    ///
    /// # Errors
    /// There is no such service, or no connections can go there.
    pub(super) fn of_bytes<'m>(
        &'m self,
        destination: &'m Destination,
        called: u16,
    ) -> Result<Called<'m>, NotCalled> {
        let called = self.destined_to(destination, called)?;
        let (host, port) = (&called.service.host, called.port);
        match port.protocol.is_http() {
            true => Err(NotCalled::IsHttp(host.clone(), port.number)),
            false => Ok(called),
        }
    }

    fn destined_to<'m>(
        &'m self,
        destination: &'m Destination,
        called: u16,
    ) -> Result<Called<'m>, NotCalled> {
        let host = &destination.host;
        let service = self.services.named(host);
        let service = service.ok_or_else(|| NotCalled::NoService(host.to_string().into()))?;
        let port = destination.port.or_else(|| only_port(service));
        let port = port.unwrap_or(called);
        let port = service
            .port(port)
            .ok_or_else(|| NotCalled::NoPort(host.clone(), port))?;
        Ok(Called {
            service,
            port,
            subset: destination.subset.as_deref(),
        })
    }

    /// What has this name; none if there is no such thing any more.
    pub fn named<'m>(&'m self, name: &'m ClusterName) -> Option<Called<'m>> {
        let service = self.services.named(&name.host)?;
        Some(Called {
            port: service.port(name.port)?,
            subset: name.subset.as_deref(),
            service,
        })
    }

    /// How it is called.
    ///
    /// # Errors
    /// There is no such part of it.
    pub fn part_of(&self, called: Called<'_>) -> Result<DestinationPart<'_>, NotCalled> {
        let Called {
            service,
            port,
            subset,
        } = called;
        let part = self.destination(&service.host, subset, port.number);
        part.ok_or_else(|| {
            let subset = subset.unwrap_or_default();
            NotCalled::NoSubset(service.host.clone(), subset.into())
        })
    }

    /// The endpoints that come into question for it; `own` is the trust domain of the client.
    ///
    /// # Errors
    /// It is not known where it is, or who it has to be there.
    pub fn endpoints_of<'m>(
        &self,
        called: Called<'m>,
        own: &TrustDomain,
    ) -> Result<Vec<CalledEndpoint<'m>>, NotCalled> {
        let service = called.service;
        if service.resolution == Resolution::None {
            return Err(NotCalled::Anywhere(service.host.clone()));
        }
        let part = self.part_of(called)?;
        let tls = part.policy.tls.as_ref();
        let endpoints = service.endpoints.iter().filter(|it| part.has(&it.labels));
        let with_peer = |endpoint: &'m Arc<Endpoint>| {
            let peer = Peer::of(service, endpoint, tls, own)?;
            Ok(CalledEndpoint { endpoint, peer })
        };
        endpoints.map(with_peer).collect()
    }

    /// Who has to be where a client called, if what is called is there (resolution NONE); `own` is
    /// the trust domain of the client.
    ///
    /// # Errors
    /// It is not known who.
    pub fn peer_at(
        &self,
        called: Called<'_>,
        address: IpAddr,
        own: &TrustDomain,
    ) -> Result<Peer, NotCalled> {
        let there = Endpoint::at(Address::Ip(address));
        let tls = self.part_of(called)?.policy.tls.as_ref();
        Peer::of(called.service, &there, tls, own)
    }
}

impl<'m> Called<'m> {
    fn of_http(service: &'m Arc<Service>, port: u16) -> Result<Self, NotCalled> {
        let host = || service.host.clone();
        let port = service
            .port(port)
            .ok_or_else(|| NotCalled::NoPort(host(), port))?;
        if !port.protocol.is_http() {
            return Err(NotCalled::NotHttp(host(), port.number));
        }
        Ok(Self {
            service,
            port,
            subset: None,
        })
    }

    /// What names it.
    pub fn name(&self) -> ClusterName {
        ClusterName {
            host: self.service.host.clone(),
            port: self.port.number,
            subset: self.subset.map(Into::into),
        }
    }
}

impl ClusterName {
    /// Whether it is the name of what is called.
    pub fn is_of(&self, called: Called<'_>) -> bool {
        let (port, subset) = (called.port.number, called.subset);
        self.host == called.service.host && self.port == port && self.subset.as_deref() == subset
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subset = self.subset.as_deref().unwrap_or_default();
        write!(f, "outbound|{}|{subset}|{}", self.port, self.host)
    }
}

impl Peer {
    fn of(
        service: &Service,
        endpoint: &Endpoint,
        tls: Option<&ClientTls>,
        own: &TrustDomain,
    ) -> Result<Self, NotCalled> {
        let ids = match (tls, service.location) {
            (Some(ClientTls::Disable), _) | (None, Location::External) => {
                return Ok(Self::Anybody);
            }
            (Some(ClientTls::Simple(_) | ClientTls::Mutual { .. }), _) => {
                return Ok(Self::OfFiles);
            }
            (Some(ClientTls::IstioMutual { ids, .. }), _) if !ids.is_empty() => ids.clone(),
            (Some(ClientTls::IstioMutual { .. }), _) | (None, Location::Internal) => {
                expected(service, endpoint, own)
            }
        };
        match ids.is_empty() {
            true => Err(NotCalled::NobodyExpected(
                service.host.clone(),
                endpoint.address.clone(),
            )),
            false => Ok(Self::OneOf(ids)),
        }
    }
}

/// The IDs that an endpoint may have.
fn expected(service: &Service, endpoint: &Endpoint, own: &TrustDomain) -> Vec<SpiffeId> {
    let names = service.subject_alt_names.iter();
    let named = names.filter_map(|name| match name {
        SubjectAltName::Id(id) => Some(id.clone()),
        SubjectAltName::Dns(_) => None,
    });
    let mut ids: Vec<_> = endpoint.id(own).into_iter().chain(named).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// The only port of a service.
fn only_port(service: &Arc<Service>) -> Option<u16> {
    match &*service.ports {
        [port] => Some(port.number),
        [] | [_, _, ..] => None,
    }
}

const HTTP: u16 = 80;
