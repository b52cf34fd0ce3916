//! What is wrong with a configuration file: a list of problems, each with file and line.

use std::fmt;

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One mistake: where it is, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: String,
    /// The line, counted from one; none if the problem is the whole file.
    pub line: Option<usize>,
    /// What is wrong, in a sentence.
    pub message: String,
}

impl ConfigError {
    /// A problem of the file as a whole.
    pub fn whole(file: &str, message: impl Into<String>) -> Self {
        Self::one(file, None, message.into())
    }

    /// A problem at one line.
    pub fn at(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self::one(file, Some(line), message.into())
    }

    /// All problems, sorted by line.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// This error and another one together, so that one run shows everything that has to be mended.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.problems.extend(other.problems);
        self.problems.sort();
        self.problems.dedup();
        self
    }

    /// Several errors as one; `Ok` if there is none.
    ///
    /// # Errors
    /// All problems of `errors` together.
    pub fn join(errors: impl IntoIterator<Item = Self>) -> Result<(), Self> {
        match errors.into_iter().reduce(Self::and) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn one(file: &str, line: Option<usize>, message: String) -> Self {
        Self {
            problems: vec![Problem {
                file: file.to_owned(),
                line,
                message,
            }],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A mistake whose file is not known yet, and perhaps not even its place: the parser and the
/// deserializer make these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: Option<usize>,
    pub(super) path: Option<String>,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn at(line: usize, message: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            path: None,
            message: message.into(),
        }
    }

    /// Adds the place to a fault that does not have one; the innermost place stays.
    pub(super) fn placed(mut self, line: usize, path: &str) -> Self {
        if self.line.is_none() {
            self.line = Some(line);
        }
        if self.path.is_none() && !path.is_empty() {
            self.path = Some(path.to_owned());
        }
        self
    }

    pub(super) fn in_file(self, file: &str) -> ConfigError {
        let message = match self.path {
            Some(path) => format!("`{path}`: {}", self.message),
            None => self.message,
        };
        ConfigError::one(file, self.line, message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            line: None,
            path: None,
            message: message.to_string(),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("the setting `{field}` is missing"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(super::nearest::unknown(field, expected.iter().copied()))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!(
            "`{variant}` is not one of {}",
            expected.join(", ")
        ))
    }
}
