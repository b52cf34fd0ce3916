//! Settings that are taken, and do nothing.

use tracing::info;

/// The paths of a document's settings that only tune a mechanism which is not needed here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WithoutEffect(pub(super) Vec<String>);

impl WithoutEffect {
    /// Names them in one line of the log, if there are any.
    pub fn log(&self) {
        if !self.0.is_empty() {
            let settings = self.0.join(", ");
            info!(
                settings,
                "settings without an effect: they tune what is not needed here"
            );
        }
    }

    /// The paths, in the order of the file.
    pub fn paths(&self) -> &[String] {
        &self.0
    }
}
