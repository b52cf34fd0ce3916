//! Where something runs: `region/zone/subzone`, of which the end may be left out.

use std::fmt;

use super::{table, yaml::Node};
use crate::problem::Problems;

/// A region, or a zone of it, or a part of that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    /// The widest part.
    pub region: Box<str>,
    /// A part of the region.
    pub zone: Option<Box<str>>,
    /// A part of the zone.
    pub subzone: Option<Box<str>>,
}

impl Locality {
    pub(crate) fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let text = table::text(node, location, problems)?;
        let locality = Self::parse(text);
        if locality.is_none() {
            let what = format!("{location} {text:?} is not a locality");
            let remedy = "write `region/zone/subzone`, or only the first of them";
            problems.error(node.line, what, remedy);
        }
        locality
    }

    /// Reads `region/zone/subzone`, of which the end may be left out; `None` if it is not that.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |part: &str| !part.is_empty() && !part.contains(['*', ' ']);
        let mut parts = text.split('/');
        let mut next = || match parts.next() {
            Some(part) if legal(part) => Some(Some(part.into())),
            Some(_) => None,
            None => Some(None),
        };
        let locality = Self {
            region: next()??,
            zone: next()?,
            subzone: next()?,
        };
        parts.next().is_none().then_some(locality)
    }
}

impl fmt::Display for Locality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.region)?;
        for part in [&self.zone, &self.subzone].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locality_has_one_to_three_parts() {
        for text in ["us", "us/east", "us/east/rack-1"] {
            let locality = Locality::parse(text).expect(text);
            assert_eq!(locality.to_string(), text);
        }
        for text in ["", "/", "us/", "/east", "us//a", "us/a/b/c", "us/*", "*"] {
            assert_eq!(Locality::parse(text), None, "{text}");
        }
    }
}
