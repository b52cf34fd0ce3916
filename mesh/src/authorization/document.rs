//! Reads the `spec` of an `AuthorizationPolicy`.

use std::sync::Arc;

use super::{action::Action, egress, policy::Policy, rules};
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
    let provider = provider(&table, action, problems);
    let without_effect = match action {
        Action::Allow => None,
        Action::Deny => Some(("deny", "denies")),
        Action::Audit => Some(("mark", "marks")),
        Action::Custom => Some(("ask about", "asks about")),
    };
    if let Some((would, does)) = without_effect.filter(|_| rules.is_empty()) {
        problems.error(
            line,
            format!("{action} policy {name} has no rules, so it would {would} nothing"),
            format!("add rules; `rules: [{{}}]` {does} everything"),
        );
    }
    let not_tried = match action {
        Action::Allow | Action::Deny => None,
        Action::Audit => Some("an AUDIT policy changes nothing, so there is nothing to try"),
        Action::Custom => Some("a CUSTOM policy cannot be tried: whom it asks would be asked"),
    };
    if let (Some(what), Some(line)) = (not_tried, dry_run) {
        problems.error(line, what, "remove the annotation");
    }
    let policy = Policy {
        name,
        file: problems.file(),
        line,
        action,
        dry_run: dry_run.is_some(),
        provider,
        selector,
        targets: egress::targets(&table, problems),
        rules,
    };
    egress::refuse(&policy, problems);
    policy
}

/// Who is asked: a CUSTOM policy has to say it, and no other one can.
fn provider(spec: &Table<'_>, action: Action, problems: &mut Problems) -> Option<Arc<str>> {
    let custom = action == Action::Custom;
    let node = match (spec.get("provider"), custom) {
        (Some(node), true) => node,
        (None, true) => spec.need("provider", WITHOUT_PROVIDER, problems)?,
        (Some(node), false) => {
            let what = format!("spec.provider says whom to ask, and action {action} asks nobody");
            problems.error(node.line, what, "write `action: CUSTOM`, or remove it");
            return None;
        }
        (None, false) => return None,
    };
    let table = Table::open(node, "spec.provider", PROVIDER, problems);
    let node = table.need("name", WITHOUT_PROVIDER, problems)?;
    table::text(node, "spec.provider.name", problems).map(Into::into)
}

/// After an error any action will do: the error keeps the policy from being used.
fn action(node: &Node, problems: &mut Problems) -> Action {
    match table::text(node, "spec.action", problems) {
        Some("ALLOW") => Action::Allow,
        Some("DENY") => Action::Deny,
        Some("AUDIT") => Action::Audit,
        Some("CUSTOM") => Action::Custom,
        Some(other) => {
            problems.error(
                node.line,
                format!("action {other:?} is not known"),
                "write ALLOW, DENY, AUDIT or CUSTOM",
            );
            Action::Allow
        }
        None => Action::Allow,
    }
}

const SPEC: Schema = Schema {
    read: &["selector", "targetRefs", "action", "provider", "rules"],
    bookkeeping: &[],
    not_yet: &[("targetRef", "write `targetRefs`, which is a list")],
};

const PROVIDER: Schema = Schema {
    read: &["name"],
    bookkeeping: &[],
    not_yet: &[],
};

const WITHOUT_PROVIDER: &str =
    "write `provider: { name: … }` with a name of the proxy's `extensionProviders`";
