//! Reading YAML documents so that everything in them is accounted for: each node knows its line,
//! each key is either read, known bookkeeping, or an error; and the values that several kinds
//! write in the same way.

pub(crate) mod by_host;
pub(crate) mod duration;
pub(crate) mod header_name;
pub(crate) mod host;
pub(crate) mod labels;
pub(crate) mod locality;
pub(crate) mod percent;
pub(crate) mod regex;
pub(crate) mod scalar;
mod source;
pub(crate) mod string_match;
pub(crate) mod subject_alt_name;
pub(crate) mod table;
pub(crate) mod yaml;

pub use host::HostName;
pub use locality::Locality;
pub use percent::Percent;
pub use regex::WholeRegex;
pub use source::Source;
pub use string_match::StringMatch;
pub use subject_alt_name::SubjectAltName;
