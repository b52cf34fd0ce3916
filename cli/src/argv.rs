//! Turns a command line in Go's flag style into one that clap reads.
//!
//! People's scripts were written for Go's `flag` package: one dash or two, `-spiffeID x` or
//! `-spiffeID=x`, `-admin=false`, and whatever follows a flag is its value, even when it
//! starts with a dash. Which flags take a value is asked of the command tree itself, so that
//! flags of any role are understood without a list here.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use clap::{Arg, ArgAction, Command};
use signet_daemon::log::Manner;

use crate::Role;

/// The role that a program's own name asks for: `spire-server` is `signet server`.
pub(crate) fn role_of(program: &OsStr) -> Option<Role> {
    match Path::new(program).file_name()?.to_str()? {
        "spire-server" => Some(Role::Server),
        "spire-agent" => Some(Role::Agent),
        _ => None,
    }
}

/// Whose log lines a program of this name writes when its configuration does not say. What stands
/// in the place of one of SPIRE's daemons writes SPIRE's.
pub(crate) fn manner_of(program: &OsStr) -> Manner {
    match Path::new(program).file_name().and_then(OsStr::to_str) {
        Some("spire-server" | "spire-agent" | "signet-server" | "signet-agent") => Manner::Spire,
        Some(_) | None => Manner::Ours,
    }
}

/// Rewrites `arguments` (without the program's name) for the tree that starts at `root`.
pub(crate) fn translate(
    root: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Vec<OsString> {
    let mut command = root;
    let mut arguments = arguments.into_iter();
    let mut translated = Vec::new();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            translated.push(argument);
            break;
        }
        match Token::read(command, &argument) {
            Token::Plain => {
                command = subcommand(command, &argument).unwrap_or(command);
                translated.push(argument);
            }
            Token::Unknown(flag) => translated.push(flag),
            Token::Switch(flag, Switch::On) => translated.push(flag),
            Token::Switch(_, Switch::Off) => {}
            Token::Valued(mut flag) => {
                if let Some(value) = arguments.next() {
                    flag.push("=");
                    flag.push(value);
                }
                translated.push(flag);
            }
        }
    }
    translated.extend(arguments);
    translated
}

/// What one word of a command line is.
enum Token {
    /// A subcommand, a value, or something that clap reads as it stands.
    Plain,
    /// A flag that the command does not have, in clap's spelling: clap says so best.
    Unknown(OsString),
    /// A flag that is complete.
    Switch(OsString, Switch),
    /// A flag whose value is the next word.
    Valued(OsString),
}

enum Switch {
    On,
    Off,
}

impl Token {
    fn read(command: &Command, argument: &OsStr) -> Self {
        let Some((name, value)) = argument.to_str().and_then(split_flag) else {
            return Self::Plain;
        };
        let mut flag = OsString::from(format!("--{name}"));
        let found = command.get_arguments().find(|arg| is_named(arg, name));
        match (found, value) {
            (None, _) if is_short(argument) => Self::Plain,
            (None, None) => Self::Unknown(flag),
            (Some(arg), Some(value)) if matches!(arg.get_action(), ArgAction::SetTrue) => {
                match go_bool(value) {
                    Some(true) => Self::Switch(flag, Switch::On),
                    Some(false) => Self::Switch(flag, Switch::Off),
                    None => Self::Unknown(OsString::from(format!("--{name}={value}"))),
                }
            }
            (_, Some(value)) => {
                flag.push("=");
                flag.push(value);
                Self::Switch(flag, Switch::On)
            }
            (Some(arg), None) if takes_next_word(arg) => Self::Valued(flag),
            (Some(_), None) => Self::Switch(flag, Switch::On),
        }
    }
}

/// `-name`, `--name`, `-name=value` or `--name=value`, apart. A number is not a flag.
fn split_flag(argument: &str) -> Option<(&str, Option<&str>)> {
    let bare = argument
        .strip_prefix("--")
        .or_else(|| argument.strip_prefix('-'))?;
    if !bare.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    match bare.split_once('=') {
        Some((name, value)) => Some((name, Some(value))),
        None => Some((bare, None)),
    }
}

fn is_named(arg: &Arg, name: &str) -> bool {
    arg.get_long() == Some(name)
        || arg
            .get_all_aliases()
            .is_some_and(|aliases| aliases.contains(&name))
}

fn is_short(argument: &OsStr) -> bool {
    argument.len() == 2
}

fn takes_next_word(arg: &Arg) -> bool {
    let needs_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let may_stand_alone = arg
        .get_num_args()
        .is_some_and(|range| range.min_values() == 0);
    needs_value && !may_stand_alone
}

fn subcommand<'a>(command: &'a Command, name: &OsStr) -> Option<&'a Command> {
    command.find_subcommand(name.to_str()?)
}

/// The spellings of a boolean that Go's flags accept.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::command::Signet;

    fn translated(line: &str) -> Vec<String> {
        let words = line.split_whitespace().map(OsString::from);
        translate(&Signet::command(), words)
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect()
    }

    #[test]
    fn one_dash_two_dashes_and_an_equals_sign_mean_the_same() {
        for line in [
            "server agent show -spiffeID spiffe://a/b",
            "server agent show -spiffeID=spiffe://a/b",
            "server agent show --spiffeID spiffe://a/b",
            "server agent show --spiffeID=spiffe://a/b",
        ] {
            assert_eq!(
                translated(line),
                ["server", "agent", "show", "--spiffeID=spiffe://a/b"],
                "{line}"
            );
        }
    }

    #[test]
    fn our_own_spelling_passes() {
        assert_eq!(
            translated("server agent show --spiffe-id spiffe://a/b --output json"),
            [
                "server",
                "agent",
                "show",
                "--spiffe-id=spiffe://a/b",
                "--output=json"
            ]
        );
    }

    #[test]
    fn the_word_after_a_flag_is_its_value_even_with_a_dash() {
        assert_eq!(
            translated("server entry create -data - -x509SVIDTTL -10 -hint -admin"),
            [
                "server",
                "entry",
                "create",
                "--data=-",
                "--x509SVIDTTL=-10",
                "--hint=-admin"
            ]
        );
    }

    #[test]
    fn a_switch_takes_true_or_false_behind_an_equals_sign_only() {
        assert_eq!(
            translated("server entry create -admin -downstream=false -node=T -storeSVID=0"),
            ["server", "entry", "create", "--admin", "--node"]
        );
    }

    #[test]
    fn an_unknown_flag_is_left_for_clap_to_name() {
        assert_eq!(
            translated("server entry show -spifeID x -h"),
            ["server", "entry", "show", "--spifeID", "x", "-h"]
        );
    }

    #[test]
    fn nothing_is_touched_after_two_dashes() {
        assert_eq!(
            translated("mesh check -- -a.yaml"),
            ["mesh", "check", "--", "-a.yaml"]
        );
    }

    #[test]
    fn a_link_by_another_name_is_a_role() {
        let roles = ["/usr/bin/spire-server", "spire-agent", "signet"];
        assert_eq!(
            roles.map(|name| role_of(OsStr::new(name))),
            [Some(Role::Server), Some(Role::Agent), None]
        );
        assert_eq!(role_of(OsStr::new("/usr/bin/signet")), None);
    }

    #[test]
    fn what_stands_in_for_a_daemon_of_spire_logs_as_that_does() {
        let names = [
            "/usr/bin/spire-server",
            "spire-agent",
            "signet-server",
            "signet-agent",
        ];
        for name in names {
            assert_eq!(manner_of(OsStr::new(name)), Manner::Spire, "{name}");
        }
        for name in ["signet", "/usr/bin/signet", "signet-proxy", ""] {
            assert_eq!(manner_of(OsStr::new(name)), Manner::Ours, "{name}");
        }
    }
}
