//! The workload that calls, as flags say it.

use std::collections::BTreeMap;

use anyhow::bail;
use signet_mesh::{NotCalled, Workload};

/// The workload that calls, if what its proxy does is to be explained.
#[derive(Debug, clap::Args)]
pub(super) struct Client {
    /// The namespace of the calling workload; with it, it is explained where its proxy sends the
    /// request
    #[arg(long, value_name = "NAME", requires = "from", group = "outbound")]
    pub(super) client_namespace: Option<String>,

    /// A label of the calling workload, name=value; can be used more than once
    #[arg(
        long = "client-label",
        value_name = "NAME=VALUE",
        requires = "client_namespace"
    )]
    pub(super) client_labels: Vec<String>,

    /// What its proxy makes of calls of what no document names: the mode of outboundTrafficPolicy
    #[arg(
        long,
        value_name = "MODE",
        default_value = "REGISTRY_ONLY",
        requires = "outbound"
    )]
    pub(super) outbound_traffic_policy: OutboundTrafficPolicy,
}

/// What becomes of calls of what no document names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OutboundTrafficPolicy {
    #[value(name = "REGISTRY_ONLY")]
    RegistryOnly,
    #[value(name = "ALLOW_ANY")]
    AllowAny,
}

impl OutboundTrafficPolicy {
    /// What it makes of a request that goes nowhere, if that is its matter.
    pub(super) fn told(self, why: &NotCalled) -> Option<&'static str> {
        let told = match self {
            Self::RegistryOnly => {
                "  outboundTrafficPolicy REGISTRY_ONLY: it is refused (BlackHoleCluster)"
            }
            Self::AllowAny => {
                "  outboundTrafficPolicy ALLOW_ANY: it goes on to where its connection was to go \
                 before it was redirected to the proxy (PassthroughCluster), unless documents name \
                 what is there, or it is the proxy itself; at a port that takes no redirected \
                 connections it is refused (BlackHoleCluster)"
            }
        };
        why.is_unknown().then_some(told)
    }
}

impl Client {
    pub(super) fn workload(&self) -> anyhow::Result<Option<Workload>> {
        let namespace = self.client_namespace.as_deref();
        let of = |namespace| workload(namespace, "--client-label", &self.client_labels);
        namespace.map(of).transpose()
    }
}

/// A workload by what was written of it; its labels after `flag`.
pub(super) fn workload(
    namespace: &str,
    flag: &str,
    written: &[String],
) -> anyhow::Result<Workload> {
    let mut labels = BTreeMap::new();
    for label in written {
        let Some((name, value)) = label.split_once('=') else {
            bail!("{flag} {label:?}: write it as name=value");
        };
        labels.insert(name.to_owned(), value.to_owned());
    }
    Ok(Workload {
        namespace: namespace.to_owned(),
        labels,
    })
}
