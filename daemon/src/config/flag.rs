//! Flags over a file: those that are given win and hide what the file says; and of settings that
//! have one effect only, or none, the command line cannot say what the file could not either.

use super::{
    schema::{self, Key, Table},
    tree::{Given, Node, Value},
    without_effect::WithoutEffect,
};

/// Lets a flag that is given win over a setting of the file.
pub fn lay_over<T: Clone>(setting: &mut Option<T>, flag: Option<&T>) {
    if let Some(value) = flag {
        *setting = Some(value.clone());
    }
}

/// A flag that asks for what its setting could not have either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{flag}: {reason}")]
pub struct FlagError {
    flag: String,
    reason: String,
}

impl WithoutEffect {
    /// Takes a flag as the setting at `path` of `table` would be taken, and notes it if it has no
    /// effect.
    ///
    /// # Errors
    /// What is not supported, by the flag's name and with what to do instead.
    pub fn take_flag(&mut self, table: Table, path: &str, value: &str) -> Result<(), FlagError> {
        let name = path.rsplit('.').next().unwrap_or(path);
        let refused = |reason: String| FlagError {
            flag: name.replace('_', "-"),
            reason,
        };
        let Some(key) = at(table, path) else {
            return Err(refused("there is no such setting".to_owned()));
        };
        let node = Node {
            line: 1,
            value: Value::Text(value.to_owned()),
        };
        let given = Given {
            path: path.to_owned(),
            line: node.line,
            nodes: vec![&node],
        };
        schema::check_one(&given, key, self).map_err(|fault| refused(fault.message))
    }
}

fn at(table: Table, path: &str) -> Option<Key> {
    let (name, below) = path.split_once('.').unwrap_or((path, ""));
    let (_, key) = table.iter().find(|(key, _)| *key == name)?;
    match (key, below) {
        (_, "") => Some(*key),
        (Key::Block(table), below) => at(table, below),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = &[(
        "agent",
        Key::Block(&[
            ("mode", Key::Only(&["never"], "")),
            ("api_url", Key::Only(&[], "use a file")),
            ("off", Key::Only(&["false"], "")),
            ("delay", Key::Tuning),
            ("name", Key::Value),
        ]),
    )];

    fn taken(path: &str, value: &str) -> Result<Vec<String>, String> {
        let mut without_effect = WithoutEffect::default();
        let taken = without_effect.take_flag(TABLE, path, value);
        taken.map_err(|error| error.to_string())?;
        Ok(without_effect.paths().to_vec())
    }

    #[test]
    fn a_flag_that_says_what_is_done_anyway_is_taken() {
        assert_eq!(taken("agent.mode", "never"), Ok(Vec::new()));
        assert_eq!(taken("agent.api_url", ""), Ok(Vec::new()));
        assert_eq!(taken("agent.name", "anything"), Ok(Vec::new()));
    }

    #[test]
    fn a_flag_that_only_tunes_is_taken_and_named_once() {
        let mut without_effect = WithoutEffect(vec!["agent.delay".to_owned()]);
        without_effect
            .take_flag(TABLE, "agent.delay", "1m")
            .unwrap();
        assert_eq!(without_effect.paths(), ["agent.delay"]);
        assert_eq!(
            taken("agent.delay", "1m"),
            Ok(vec!["agent.delay".to_owned()])
        );
    }

    #[test]
    fn a_flag_whose_effect_is_lacking_is_refused_by_its_name_with_the_remedy() {
        for (path, value, message) in [
            (
                "agent.mode",
                "always",
                "--mode: this setting is not supported yet; remove it, or set it to never",
            ),
            (
                "agent.api_url",
                "https://a.test",
                "--api-url: this setting is not supported yet; use a file",
            ),
            (
                "agent.off",
                "true",
                "--off: this setting is not supported yet; remove it, or set it to false",
            ),
            ("agent.other", "", "--other: there is no such setting"),
        ] {
            assert_eq!(taken(path, value), Err(message.to_owned()));
        }
    }
}
