//! Whether all ports go together.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};

use super::{
    inbound::{Forward, Inbound},
    outbound::Outbound,
    protocol::HBONE,
};

/// No inbound port leads to a port of the proxy itself: whoever came that way would speak with the
/// identity of the proxy.
pub(super) fn keep_apart(inbound: &mut [Inbound], own: &[u16]) {
    for port in inbound {
        if let Forward::Original { never, .. } = &mut port.forward {
            *never = own.into();
        }
    }
}

/// The proxy's own ports.
pub(super) fn own(inbound: &[Inbound], outbound: &[Outbound]) -> Vec<u16> {
    let of_inbound = inbound.iter().map(|port| port.listen.port());
    let of_outbound = outbound.iter().map(|port| port.listen.port());
    of_inbound.chain(of_outbound).collect()
}

/// Two ports on one address, or of one name, cannot both be meant.
pub(super) fn check_together(inbound: &[Inbound], outbound: &[Outbound]) -> anyhow::Result<()> {
    ensure!(
        !inbound.is_empty() || !outbound.is_empty(),
        "neither inbound nor outbound ports are configured; add at least one"
    );
    let only_tunnels = |port: &Inbound| port.forward == Forward::Tunnels;
    ensure!(
        inbound.is_empty() || !inbound.iter().all(only_tunnels),
        "protocol {HBONE} leads to the applications of the other inbound ports, and there are \
         none; add the port of an application"
    );
    let mut addresses = BTreeMap::new();
    let mut names = BTreeMap::new();
    let ports = inbound.iter().map(|port| (&port.name, port.listen));
    for (name, listen) in ports.chain(outbound.iter().map(|port| (&port.name, port.listen))) {
        ensure!(
            names.insert(name, listen).is_none(),
            "the name `{name}` is used twice"
        );
        let other = (listen.port() != 0)
            .then(|| addresses.insert(listen, name))
            .flatten();
        if let Some(other) = other {
            bail!("`{other}` and `{name}` both listen on {listen}");
        }
    }
    Ok(())
}
