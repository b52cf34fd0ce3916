//! What holds at the ports of one workload.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    document::PeerAuthentication,
    mode::{DecidedMode, MtlsMode},
};
use crate::object::Level;

/// The modes of one workload's ports.
#[derive(Debug, Clone)]
pub struct WorkloadPeerAuthentication {
    mode: DecidedMode,
    ports: BTreeMap<u16, DecidedMode>,
}

impl WorkloadPeerAuthentication {
    /// `levels` come from the nearest to that of the whole mesh.
    pub(super) fn new(levels: &[&Arc<Level<PeerAuthentication>>]) -> Self {
        let by = |level: &Level<PeerAuthentication>, mode| DecidedMode {
            mode,
            by: Some(Arc::clone(&level.object)),
        };
        let mut decided = levels
            .iter()
            .filter_map(|level| Some(by(level, level.value.mode?)));
        let ports = levels.first().into_iter().flat_map(|level| {
            let ports = level.value.ports.iter();
            ports.map(|(port, mode)| (*port, by(level, *mode)))
        });
        Self {
            mode: decided.next().unwrap_or(DecidedMode::DEFAULT),
            ports: ports.collect(),
        }
    }

    /// What a port of the workload takes.
    pub fn mode(&self, port: u16) -> MtlsMode {
        self.decided(port).mode
    }

    /// What a port of the workload takes, and which document says so.
    pub fn decided(&self, port: u16) -> &DecidedMode {
        self.ports.get(&port).unwrap_or(&self.mode)
    }
}
