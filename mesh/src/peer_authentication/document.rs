//! Reads the `spec` of a `PeerAuthentication`.

use std::collections::BTreeMap;

use super::mode::MtlsMode;
use crate::{
    object::{Level, Object},
    problem::Problems,
    read::{
        scalar::{self, Word},
        table::{Schema, Table},
        yaml::{Entry, Node, Value},
    },
};

/// What a `PeerAuthentication` says. A mode that is not there is inherited.
#[derive(Debug, Clone)]
pub(crate) struct PeerAuthentication {
    pub(super) mode: Option<MtlsMode>,
    /// For some ports of the workload.
    pub(super) ports: BTreeMap<u16, MtlsMode>,
}

/// The `PeerAuthentication` that an object holds.
pub(crate) fn read(object: Object<'_>, problems: &mut Problems) -> Level<PeerAuthentication> {
    let (table, level) = Level::open(object, SPEC, problems);
    let mode = table.take("mtls", problems, mtls);
    let ports = table.take("portLevelMtls", problems, ports);
    if let Some(node) = table.get("portLevelMtls").filter(|_| level.is_for_all()) {
        let what = "spec.portLevelMtls is about ports of a workload, but none is selected";
        let remedy = "write `selector: { matchLabels: { app: name } }`";
        problems.error(node.line, what, remedy);
    }
    level.saying(PeerAuthentication {
        mode: mode.flatten(),
        ports: ports.unwrap_or_default(),
    })
}

/// Some mode, or none to inherit it; and nothing at all after an error.
fn mtls(node: &Node, location: &str, problems: &mut Problems) -> Option<Option<MtlsMode>> {
    let table = Table::open(node, location, MTLS, problems);
    table.take("mode", problems, |node, location, problems| {
        scalar::word(node, location, &MODES, problems)
    })
}

fn ports(node: &Node, location: &str, problems: &mut Problems) -> Option<BTreeMap<u16, MtlsMode>> {
    let Value::Map(entries) = &node.value else {
        let what = format!("{location} must be a mapping, but is {}", node.kind());
        problems.error(node.line, what, "write `8080: { mode: STRICT }`");
        return None;
    };
    if entries.is_empty() {
        let what = format!("{location} names no port");
        problems.error(
            node.line,
            what,
            "write `8080: { mode: STRICT }`, or remove it",
        );
    }
    let mut ports = BTreeMap::new();
    for entry in entries {
        let Some(port) = port(entry, location, problems) else {
            continue;
        };
        let written = ports.insert(
            port,
            mtls(&entry.node, &format!("{location}.{port}"), problems),
        );
        if written.is_some() {
            let what = format!("{location}.{port} is given twice");
            problems.error(entry.line, what, "keep one of them");
        }
    }
    let decided = ports
        .into_iter()
        .filter_map(|(port, mode)| Some((port, mode.flatten()?)));
    Some(decided.collect())
}

fn port(entry: &Entry, location: &str, problems: &mut Problems) -> Option<u16> {
    let port: Option<u16> = entry.key.parse().ok();
    let port = port.filter(|port| *port > 0 && port.to_string() == entry.key);
    if port.is_none() {
        let what = format!("{location}.{} is not the number of a port", entry.key);
        problems.error(entry.line, what, "write a number from 1 to 65535");
    }
    port
}

const MODES: [Word<Option<MtlsMode>>; 4] = [
    Word {
        text: "UNSET",
        value: None,
    },
    Word {
        text: "DISABLE",
        value: Some(MtlsMode::Disable),
    },
    Word {
        text: "PERMISSIVE",
        value: Some(MtlsMode::Permissive),
    },
    Word {
        text: "STRICT",
        value: Some(MtlsMode::Strict),
    },
];

const SPEC: Schema = Schema {
    read: &["selector", "mtls", "portLevelMtls"],
    bookkeeping: &[],
    not_yet: &[],
};

const MTLS: Schema = Schema {
    read: &["mode"],
    bookkeeping: &[],
    not_yet: &[],
};
