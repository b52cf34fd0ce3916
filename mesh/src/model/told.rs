//! The course of a request, in words.

use std::fmt;

use super::{
    called::{CalledEndpoint, NotCalled, Peer},
    explain::{CallExplanation, Course, Destined, Share},
};
use crate::{
    object::ObjectRef,
    route::{Forward, PassedOver, Routed, WeightedDestination},
};

impl fmt::Display for CallExplanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.course {
            Course::Unrouted(destined) => {
                writeln!(
                    f,
                    "no VirtualService routes it: it goes to the service it calls"
                )?;
                write_destined(f, destined)
            }
            Course::NoRoute(object) => {
                writeln!(
                    f,
                    "answered 404: no route of VirtualService {} takes it",
                    At(object)
                )?;
                self.write_passed_over(f)
            }
            Course::Answered {
                routed,
                status,
                location,
            } => {
                let where_to = location.as_ref();
                let where_to = where_to.map_or_else(String::new, |it| format!(", go to {it}"));
                writeln!(f, "answered {status}{where_to}, by its route")?;
                self.write_taken(f, routed)
            }
            Course::Forwarded {
                routed,
                forward,
                path,
                shares,
            } => {
                writeln!(f, "sent on by its route")?;
                self.write_taken(f, routed)?;
                if let Some(path) = path {
                    match path {
                        Ok(path) => writeln!(f, "  path: becomes {}", path.as_str())?,
                        Err(why) => writeln!(f, "  path: cannot be rewritten, so 400: {why}")?,
                    }
                }
                write_forward(f, forward)?;
                shares.iter().try_for_each(|share| write!(f, "{share}"))
            }
        }
    }
}

impl CallExplanation<'_> {
    fn write_passed_over(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PassedOver { route, matched } in &self.passed_over {
            let line = line(matched.line(), route.line);
            writeln!(f, "  line {line}: does not match: {matched}")?;
        }
        Ok(())
    }

    fn write_taken(&self, f: &mut fmt::Formatter<'_>, routed: &Routed<'_>) -> fmt::Result {
        writeln!(f, "VirtualService {}", At(routed.virtual_service))?;
        self.write_passed_over(f)?;
        let (name, matched) = (routed.name, routed.matched);
        let line = line(matched.line(), routed.route.line);
        let space = if name.is_empty() { "" } else { " " };
        writeln!(f, "  line {line}: route{space}{name} takes it: {matched}")?;
        let headers = &routed.route.headers;
        for (of, changes) in [
            ("request", &headers.request),
            ("response", &headers.response),
        ] {
            if !changes.is_empty() {
                writeln!(f, "  {of} headers: {changes}")?;
            }
        }
        Ok(())
    }
}

fn write_forward(f: &mut fmt::Formatter<'_>, forward: &Forward) -> fmt::Result {
    if let Some(authority) = &forward.authority {
        writeln!(f, "  authority: becomes {authority}")?;
    }
    if let Some(fault) = &forward.fault {
        writeln!(f, "  fault: {fault}")?;
    }
    if let Some(longest) = forward.timeout {
        writeln!(f, "  timeout: {longest:?}")?;
    }
    if let Some(retries) = &forward.retries {
        writeln!(f, "  retries: {retries}")?;
    }
    let mut mirrors = forward.mirrors.iter();
    mirrors.try_for_each(|mirror| writeln!(f, "  mirror: {mirror}"))
}

impl fmt::Display for Share<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WeightedDestination {
            destination,
            weight,
            headers,
        } = self.weighted;
        writeln!(f, "{weight} of {} to {destination}", self.total)?;
        if let Some(authority) = &headers.authority {
            writeln!(
                f,
                "  authority: becomes {authority}, unless the route sets it"
            )?;
        }
        for (of, changes) in [
            ("request", &headers.request),
            ("response", &headers.response),
        ] {
            if !changes.is_empty() {
                writeln!(f, "  {of} headers: {changes}")?;
            }
        }
        write_destined(f, &self.destined)
    }
}

pub(super) fn write_destined(
    f: &mut fmt::Formatter<'_>,
    destined: &Result<Destined<'_>, NotCalled>,
) -> fmt::Result {
    match destined {
        Ok(destined) => write!(f, "{destined}"),
        Err(why) => writeln!(f, "  it goes nowhere: {why}"),
    }
}

impl fmt::Display for Destined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (called, service) = (&self.called, self.called.service);
        writeln!(f, "  cluster {}", called.name())?;
        let (name, file, line) = (&service.name, &service.file, service.line);
        writeln!(
            f,
            "    ServiceEntry {name} ({file}:{line}), port {}",
            called.port.name
        )?;
        if let Some(rule) = self.rule {
            let (name, file, line) = (&rule.name, &rule.file, rule.line);
            writeln!(f, "    DestinationRule {name} ({file}:{line})")?;
        }
        if self.endpoints.is_empty() {
            writeln!(f, "    it goes nowhere: there is no endpoint")?;
        }
        for CalledEndpoint { endpoint, peer } in &self.endpoints {
            let number = endpoint.port(called.port);
            write!(f, "    endpoint {} port {number}", endpoint.address)?;
            if let Some(locality) = &endpoint.locality {
                write!(f, ", locality {locality}")?;
            }
            for (name, value) in &endpoint.labels {
                write!(f, ", {name}={value}")?;
            }
            writeln!(f, ": {peer}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anybody => f.write_str("without TLS"),
            Self::OfFiles => f.write_str("with the certificates of files"),
            Self::OneOf(ids) => {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                write!(f, "must be {}", ids.join(" or "))
            }
        }
    }
}

/// An object, and where it is written.
pub(super) struct At<'m>(pub(super) &'m ObjectRef);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectRef { name, file, line } = self.0;
        write!(f, "{name} ({file}:{line})")
    }
}

/// That of the match, or of its route if it has none.
fn line(of_match: u64, of_route: u64) -> u64 {
    match of_match {
        0 => of_route,
        line => line,
    }
}
