//! What a policy is for.

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Permits, unless a DENY rule matches too.
    Allow,
    /// Denies, whatever else matches.
    Deny,
}
