//! What a route is chosen by.

use std::{borrow::Cow, net::IpAddr};

use http::HeaderMap;

use crate::path::HttpPath;

/// A request of a client.
#[derive(Debug, Clone, Copy)]
pub struct HttpCall<'a> {
    /// The method as sent; case matters.
    pub method: &'a str,
    /// `http` or `https`, as the client sees it.
    pub scheme: &'a str,
    /// `:authority` or `Host` as sent, with its port if there is one.
    pub authority: &'a str,
    /// The path in normal form.
    pub path: &'a HttpPath<'a>,
    /// What follows the `?`, if there is one.
    pub query: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The port that the client called.
    pub port: u16,
}

/// A connection of a client that is not spoken HTTP on.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionCall<'a> {
    /// With TLS the server name that the client wants, else the host of the service called.
    pub host: &'a str,
    /// The address that the client called.
    pub destination_ip: IpAddr,
    /// The port that the client called.
    pub port: u16,
}

impl HttpCall<'_> {
    /// The host of the authority in lower case, without port, brackets and a dot at its end.
    pub(super) fn host(&self) -> Cow<'_, str> {
        normal(split_port(self.authority).0)
    }
}

/// The host of an authority in the form in which hosts are looked up, and its port if it has one.
pub fn host_and_port(authority: &str) -> (Cow<'_, str>, Option<u16>) {
    let (host, port) = split_port(authority);
    (normal(host), port.and_then(|port| port.parse().ok()))
}

/// Host and port of an authority. The host of an IPv6 address is in brackets.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|byte| byte.is_ascii_digit())
                && (!host.contains(':') || host.ends_with(']')) =>
        {
            (host, Some(port))
        }
        Some(_) | None => (authority, None),
    }
}

/// A name of a host in the form in which hosts are looked up.
pub(super) fn normal(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}
