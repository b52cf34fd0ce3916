//! Replaces environment variables in the text of a configuration, when the user asked for it.

use super::error::{ConfigError, Fault};

/// Replaces `$VAR` and `${VAR}`; `$$` is one dollar sign. A variable that is not set is an error,
/// because an empty value in its place would only be noticed later and elsewhere. Lines that are
/// comments stay as they are.
pub(super) fn expand(
    text: &str,
    name: &str,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<String, ConfigError> {
    let mut expanded = String::with_capacity(text.len());
    let mut errors = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_comment(line) {
            expanded.push_str(line);
            continue;
        }
        if let Err(fault) = expand_line(line, &lookup, &mut expanded) {
            errors.push(fault.placed(index + 1, "").in_file(name));
        }
    }
    ConfigError::join(errors)?;
    Ok(expanded)
}

/// Reads the process environment.
#[expect(
    clippy::disallowed_methods,
    reason = "configuration is where the environment may be read"
)]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('#') || line.starts_with("//")
}

fn expand_line(
    line: &str,
    lookup: impl Fn(&str) -> Option<String>,
    expanded: &mut String,
) -> Result<(), Fault> {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (variable, after) = match reference(after)? {
            Reference::Dollar(after) => {
                expanded.push('$');
                rest = after;
                continue;
            }
            Reference::Variable(variable, after) => (variable, after),
        };
        match lookup(variable) {
            Some(value) => expanded.push_str(&value),
            None => {
                return Err(fault(format!(
                    "the environment variable `{variable}` is not set; set it, if need be to nothing"
                )));
            }
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(())
}

enum Reference<'a> {
    /// Not a variable: the sign stands for itself.
    Dollar(&'a str),
    Variable(&'a str, &'a str),
}

fn reference(after: &str) -> Result<Reference<'_>, Fault> {
    if let Some(escaped) = after.strip_prefix('$') {
        return Ok(Reference::Dollar(escaped));
    }
    if let Some(braced) = after.strip_prefix('{') {
        return match braced.split_once('}') {
            Some((variable, after)) if is_name(variable) => {
                Ok(Reference::Variable(variable, after))
            }
            Some((variable, _)) => Err(fault(format!(
                "`{variable}` is not the name of an environment variable; $$ is a plain dollar sign"
            ))),
            None => Err(fault(
                "`${` has no closing brace on its line; $$ is a plain dollar sign".to_owned(),
            )),
        };
    }
    let end = after
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .unwrap_or(after.len());
    match after.split_at_checked(end) {
        Some((variable, after)) if is_name(variable) => Ok(Reference::Variable(variable, after)),
        Some(_) | None => Ok(Reference::Dollar(after)),
    }
}

fn is_name(text: &str) -> bool {
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn fault(message: String) -> Fault {
    Fault {
        line: None,
        path: None,
        message,
    }
}
