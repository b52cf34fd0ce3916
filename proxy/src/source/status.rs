//! Which model is in force, by which name, and which was refused last.

use std::time::SystemTime;

use signet_identity::crypto;
use signet_mesh::{Model, Source};

/// Which model is in force, and whether another was refused.
#[derive(Clone, Debug)]
pub(crate) struct ModelStatus {
    pub(crate) documents: Documents,
    /// Since when it is in force.
    pub(crate) since: SystemTime,
    /// The last one that was refused, unless one was put in force since.
    pub(crate) refusal: Option<Refusal>,
    /// How many were refused in all.
    pub(crate) refusals: u64,
}

/// What a model was read from.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    /// By which two proxies can be compared: it depends on the text of all documents alone, and not
    /// on the files in which they stand.
    pub(crate) version: String,
    /// The files, as they were named.
    pub(crate) files: Vec<String>,
    /// How many documents there are of each kind of which there is one.
    pub(crate) kinds: Vec<(&'static str, usize)>,
}

/// A model that was not put in force.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    pub(crate) at: SystemTime,
}

impl ModelStatus {
    pub(super) fn new(documents: Documents, now: SystemTime) -> Self {
        Self {
            documents,
            since: now,
            refusal: None,
            refusals: 0,
        }
    }

    pub(super) fn replaced(&mut self, documents: Documents, now: SystemTime) {
        (self.documents, self.since, self.refusal) = (documents, now, None);
    }

    pub(super) fn refused(&mut self, why: String, now: SystemTime) {
        self.refusal = Some(Refusal { why, at: now });
        self.refusals = self.refusals.saturating_add(1);
    }
}

impl Documents {
    pub(super) fn new(sources: &[Source], model: &Model) -> Self {
        let mut texts: Vec<_> = sources
            .iter()
            .map(|source| crypto::sha256(source.text.as_bytes()))
            .collect();
        texts.sort_unstable();
        let version = crypto::sha256(&texts.concat());
        let digits = version.iter().take(VERSION_BYTES);
        Self {
            version: digits.map(|byte| format!("{byte:02x}")).collect(),
            files: sources.iter().map(|source| source.name.clone()).collect(),
            kinds: model
                .documents()
                .map(|(kind, count)| (kind.name(), count))
                .collect(),
        }
    }
}

const VERSION_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn version(texts: &[(&str, &str)]) -> String {
        let source = |(name, text): &(&str, &str)| Source {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        };
        let sources: Vec<_> = texts.iter().map(source).collect();
        let model = Model::parse(&[]).unwrap();
        Documents::new(&sources, &model).version
    }

    #[test]
    fn the_version_is_that_of_the_texts_and_not_of_their_files() {
        let one = version(&[("a", "x"), ("b", "y")]);
        assert_eq!(one, version(&[("c", "y"), ("d", "x")]));
        assert_ne!(one, version(&[("a", "x"), ("b", "z")]));
        assert_ne!(one, version(&[("a", "xy")]));
        assert_eq!(one.len(), 12);
    }
}
