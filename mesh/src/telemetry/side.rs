//! On which side of a call something is seen.

use crate::{
    problem::Problems,
    read::{
        scalar::{self, Word},
        table::{Schema, Table},
        yaml::Node,
    },
};

/// What a workload is in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// It calls.
    Client,
    /// It is called.
    Server,
}

/// One side or both, which Istio calls a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides {
    Both,
    Only(Side),
}

impl Sides {
    /// Reads a `match` in which nothing but the mode stands.
    pub(super) fn read_match(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let table = Table::open(node, location, MATCH, problems);
        table.take("mode", problems, Self::read)
    }

    /// Reads a `mode`.
    pub(super) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        scalar::word(node, location, &MODES, problems)
    }

    pub(super) fn have(self, side: Side) -> bool {
        match self {
            Self::Both => true,
            Self::Only(only) => only == side,
        }
    }
}

const MODES: [Word<Sides>; 3] = [
    Word {
        text: "CLIENT_AND_SERVER",
        value: Sides::Both,
    },
    Word {
        text: "CLIENT",
        value: Sides::Only(Side::Client),
    },
    Word {
        text: "SERVER",
        value: Sides::Only(Side::Server),
    },
];

const MATCH: Schema = Schema {
    read: &["mode"],
    bookkeeping: &[],
    not_yet: &[],
};
