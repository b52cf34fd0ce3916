//! What a policy is for.

use std::fmt;

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Permits, unless a DENY rule matches too.
    Allow,
    /// Denies, whatever else matches.
    Deny,
    /// Marks what it matches, and changes nothing.
    Audit,
    /// Lets somebody else be asked about what it matches, before anything is decided.
    Custom,
}

impl Action {
    /// Whether matching less is the safe side: what an ALLOW matches is permitted. What the others
    /// match is denied, or looked at more closely.
    pub(super) fn is_safe_if_it_matches_less(self) -> bool {
        match self {
            Self::Allow => true,
            Self::Deny | Self::Audit | Self::Custom => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Audit => "AUDIT",
            Self::Custom => "CUSTOM",
        })
    }
}
