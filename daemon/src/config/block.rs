//! A block of a document: the file itself, or one of several blocks with a label.

use serde::de::DeserializeOwned;

use super::{
    error::{ConfigError, Fault},
    tree::{Given, Node},
};

/// A place in a document, from which settings below it are read by path.
#[derive(Debug, Clone)]
pub struct Block<'a> {
    file: &'a str,
    label: &'a str,
    given: Given<'a>,
}

impl<'a> Block<'a> {
    pub(super) fn root(file: &'a str, node: &'a Node) -> Self {
        Self {
            file,
            label: "",
            given: Given {
                path: String::new(),
                line: 1,
                nodes: vec![node],
            },
        }
    }

    /// The label: `join_token` in `NodeAttestor "join_token" { … }`.
    pub fn label(&self) -> &'a str {
        self.label
    }

    /// The line where the block begins.
    pub fn line(&self) -> usize {
        self.given.line
    }

    /// Reads the block itself into `T`.
    ///
    /// # Errors
    /// The first setting that `T` misses, does not know, or wants of another kind, with its line.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        self.read(&self.given)
    }

    /// Reads the block at `path` below this one into `T`; an absent one reads as empty.
    ///
    /// # Errors
    /// As [`Self::body`]; and a part of `path` that is a value where a block should be.
    pub fn section<T: DeserializeOwned>(&self, path: &str) -> Result<T, ConfigError> {
        let (given, missing) = self
            .descend(path)
            .map_err(|fault| fault.in_file(self.file))?;
        if missing.is_empty() {
            return self.read(&given);
        }
        self.read(&Given {
            path: full_path(&given.path, missing),
            line: given.line,
            nodes: Vec::new(),
        })
    }

    /// Whether anything is written at `path`.
    pub fn contains(&self, path: &str) -> bool {
        matches!(self.descend(path), Ok((_, missing)) if missing.is_empty())
    }

    /// The labelled blocks below `path`, in the order of the file; empty if there are none.
    ///
    /// # Errors
    /// A part of `path`, or `path` itself, that is a value where a block should be.
    pub fn blocks(&self, path: &str) -> Result<Vec<Self>, ConfigError> {
        let (given, missing) = self
            .descend(path)
            .map_err(|fault| fault.in_file(self.file))?;
        if !missing.is_empty() {
            return Ok(Vec::new());
        }
        let children = given.children().map_err(|fault| fault.in_file(self.file))?;
        Ok(children
            .into_iter()
            .map(|(label, given)| Self {
                file: self.file,
                label,
                given,
            })
            .collect())
    }

    /// An error about the setting at `path` below this block; an empty path means the block itself.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> ConfigError {
        let line = match self.descend(path) {
            Ok((given, _)) => given.line,
            Err(_) => self.given.line,
        };
        let fault = Fault::at(line, message);
        fault
            .placed(line, &full_path(&self.given.path, path))
            .in_file(self.file)
    }

    fn read<T: DeserializeOwned>(&self, given: &Given<'a>) -> Result<T, ConfigError> {
        T::deserialize(given.clone())
            .map_err(|fault| fault.placed(given.line, &given.path).in_file(self.file))
    }

    /// Follows `path` as far as it exists: the deepest place that was found, and what of the path
    /// was not.
    fn descend<'p>(&self, path: &'p str) -> Result<(Given<'a>, &'p str), Fault> {
        let mut given = self.given.clone();
        let mut rest = path;
        while !rest.is_empty() {
            let (name, after) = rest.split_once('.').unwrap_or((rest, ""));
            match given.child(name)? {
                Some(child) => given = child,
                None => return Ok((given, rest)),
            }
            rest = after;
        }
        Ok((given, ""))
    }
}

fn full_path(parent: &str, path: &str) -> String {
    match (parent.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (false, true) => parent.to_owned(),
        (false, false) => format!("{parent}.{path}"),
    }
}
