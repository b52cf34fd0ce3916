//! Namespace and name: what identifies an object.

use std::{fmt, sync::Arc};

use crate::{
    problem::Problems,
    read::{table, yaml::Node},
};

/// Namespace and name: what identifies an object among those of its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl ObjectName {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The namespace of the object.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name within the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A name or a namespace as Kubernetes takes it.
pub(super) fn kubernetes_name<'n>(
    node: &'n Node,
    location: &str,
    problems: &mut Problems,
) -> Option<&'n str> {
    let name = table::text(node, location, problems)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inside = name
        .bytes()
        .all(|byte| plain(byte) || matches!(byte, b'-' | b'.'));
    let ends = [name.bytes().next(), name.bytes().last()]
        .into_iter()
        .flatten()
        .all(plain);
    if inside && ends && name.len() <= LONGEST_NAME {
        return Some(name);
    }
    let remedy = "use lower-case letters, digits, '-' and '.', at most 253 of them, a letter or \
                  digit at both ends";
    problems.error(
        node.line,
        format!("{location} {name:?} is not a valid name"),
        remedy,
    );
    None
}

const LONGEST_NAME: usize = 253;
