//! What documents are read from.

/// A text that holds documents, and the name by which errors speak of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Usually the name of a file.
    pub name: String,
    /// YAML, one document or several.
    pub text: String,
}
