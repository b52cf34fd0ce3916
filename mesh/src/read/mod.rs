//! Reading YAML documents so that everything in them is accounted for: each node knows its line,
//! each key is either read, known bookkeeping, or an error.

pub(crate) mod table;
pub(crate) mod yaml;
