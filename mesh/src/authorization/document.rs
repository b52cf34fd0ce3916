//! Reads the `spec` of an `AuthorizationPolicy`.

use super::{action::Action, policy::Policy, rules};
use crate::{
    object::{Object, Selector},
    problem::Problems,
    read::{
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// The policy that an object holds.
pub(crate) fn read(object: Object<'_>, problems: &mut Problems) -> Policy {
    let Object {
        name,
        line,
        spec,
        dry_run,
        ..
    } = object;
    let table = Table::open(spec, "spec", SPEC, problems);
    let action = table
        .get("action")
        .map_or(Action::Allow, |node| action(node, problems));
    let selector = table
        .get("selector")
        .map_or_else(Selector::default, |node| Selector::read(node, problems));
    let rules = match table.get("rules") {
        Some(node) => rules::read(node, name.namespace(), problems),
        None => Vec::new(),
    };
    let without_effect = match action {
        Action::Allow => None,
        Action::Deny => Some(("deny", "denies")),
        Action::Audit => Some(("mark", "marks")),
    };
    if let Some((would, does)) = without_effect.filter(|_| rules.is_empty()) {
        problems.error(
            line,
            format!("{action} policy {name} has no rules, so it would {would} nothing"),
            format!("add rules; `rules: [{{}}]` {does} everything"),
        );
    }
    if let (Action::Audit, Some(line)) = (action, dry_run) {
        let what = "an AUDIT policy changes nothing, so there is nothing to try";
        problems.error(line, what, "remove the annotation");
    }
    Policy {
        name,
        file: problems.file(),
        line,
        action,
        dry_run: dry_run.is_some(),
        selector,
        rules,
    }
}

/// After an error any action will do: the error keeps the policy from being used.
fn action(node: &Node, problems: &mut Problems) -> Action {
    match table::text(node, "spec.action", problems) {
        Some("ALLOW") => Action::Allow,
        Some("DENY") => Action::Deny,
        Some("AUDIT") => Action::Audit,
        Some("CUSTOM") => {
            problems.error(
                node.line,
                "action CUSTOM is not supported yet",
                "use ALLOW, DENY or AUDIT",
            );
            Action::Allow
        }
        Some(other) => {
            problems.error(
                node.line,
                format!("action {other:?} is not known"),
                "write ALLOW, DENY or AUDIT",
            );
            Action::Allow
        }
        None => Action::Allow,
    }
}

const SPEC: Schema = Schema {
    read: &["selector", "action", "rules"],
    bookkeeping: &[],
    not_yet: &[
        ("targetRef", "select workloads with `selector.matchLabels`"),
        ("targetRefs", "select workloads with `selector.matchLabels`"),
        (
            "provider",
            "CUSTOM policies are not supported; use ALLOW or DENY",
        ),
    ],
};
