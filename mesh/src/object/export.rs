//! Which namespaces see an object: Istio's `exportTo`.

use std::{collections::BTreeSet, sync::Arc};

use super::name::kubernetes_name;
use crate::{
    problem::Problems,
    read::{table, yaml::Node},
};

/// The namespaces whose workloads an object is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExportTo {
    /// `*`, and what is meant when nothing is written.
    All,
    /// `.` is written out as the object's own namespace.
    Namespaces(BTreeSet<Box<str>>),
}

impl ExportTo {
    /// Reads the `exportTo` of a `spec`; `own` is the namespace of the object.
    pub(crate) fn read(node: &Node, own: &str, problems: &mut Problems) -> Self {
        let mut namespaces = BTreeSet::new();
        let mut all = false;
        let items = table::list(node, LOCATION, problems);
        for item in items {
            let namespace = match table::text(item, LOCATION, problems) {
                None => continue,
                Some("*") if items.len() == 1 => {
                    all = true;
                    continue;
                }
                Some("*") => {
                    let what = format!("{LOCATION} names `*` and namespaces beside it");
                    problems.error(item.line, what, "write `*` alone, or only the namespaces");
                    continue;
                }
                Some("~") => {
                    let what = format!("{LOCATION} names `~`, so the object is for nobody");
                    problems.error(item.line, what, "write `.` for its own namespace");
                    continue;
                }
                Some(".") => own,
                Some(_) => match kubernetes_name(item, LOCATION, problems) {
                    Some(namespace) => namespace,
                    None => continue,
                },
            };
            if !namespaces.insert(namespace.into()) {
                let what = format!("{LOCATION} names {namespace:?} twice");
                problems.error(item.line, what, "keep one of them");
            }
        }
        if all {
            Self::All
        } else {
            Self::Namespaces(namespaces)
        }
    }

    /// For one namespace.
    pub(crate) fn only(namespace: &str) -> Self {
        Self::Namespaces(BTreeSet::from([namespace.into()]))
    }

    /// Whether the workloads of no other namespace see the object.
    pub(crate) fn is_only(&self, namespace: &str) -> bool {
        match self {
            Self::All => false,
            Self::Namespaces(namespaces) => namespaces.iter().all(|it| **it == *namespace),
        }
    }

    /// Whether there can be a client that sees an object that is exported so, and one that is
    /// exported as `other`.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => true,
            (Self::Namespaces(some), Self::Namespaces(others)) => !some.is_disjoint(others),
        }
    }

    /// Whether workloads of `namespace` see the object.
    pub(crate) fn reaches(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Namespaces(namespaces) => namespaces.contains(namespace),
        }
    }
}

/// From which namespace an object is exported, and to which.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) own: &'a str,
    pub(crate) export: &'a ExportTo,
}

impl Scope<'_> {
    /// Whether there is a client that sees both, and for which neither goes before the other: to a
    /// client of its own namespace an object goes before those that others export.
    pub(crate) fn meets(self, other: Self) -> bool {
        if self.own == other.own {
            return true;
        }
        let third = |namespace: &str| namespace != self.own && namespace != other.own;
        match (self.export, other.export) {
            (ExportTo::All, ExportTo::All) => true,
            (ExportTo::All, ExportTo::Namespaces(some))
            | (ExportTo::Namespaces(some), ExportTo::All) => some.iter().any(|it| third(it)),
            (ExportTo::Namespaces(some), ExportTo::Namespaces(others)) => {
                some.intersection(others).any(|it| third(it))
            }
        }
    }
}

/// An object that is exported.
pub(crate) trait Exported {
    /// From which namespace, and to which.
    fn scope(&self) -> Scope<'_>;
}

/// The one that workloads of `namespace` see, of several for one host: that of their own goes
/// before those that others export.
pub(crate) fn seen_from<'a, T: Exported>(
    several: &'a [Arc<T>],
    namespace: &str,
) -> Option<&'a Arc<T>> {
    let mut seen = several
        .iter()
        .filter(|it| it.scope().export.reaches(namespace));
    let own = seen.clone().find(|it| it.scope().own == namespace);
    own.or_else(|| seen.next())
}

const LOCATION: &str = "spec.exportTo";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::yaml::Value;

    fn read(items: &[&str]) -> Result<ExportTo, String> {
        let mut problems = Problems::new();
        let item = |text: &&str| Node {
            line: 2,
            value: Value::Text((*text).to_owned()),
        };
        let value = Value::List(items.iter().map(item).collect());
        let export = ExportTo::read(&Node { line: 1, value }, "shop", &mut problems);
        match problems.finish() {
            Ok(_) => Ok(export),
            Err(errors) => Err(errors.first().expect("an error").to_string()),
        }
    }

    #[test]
    fn an_object_is_seen_where_it_is_exported_to() {
        assert_eq!(read(&["*"]), Ok(ExportTo::All));
        let own = read(&["."]).expect("its own namespace");
        assert!(own.reaches("shop") && !own.reaches("other"));
        let both = read(&[".", "other"]).expect("two namespaces");
        assert!(both.reaches("shop") && both.reaches("other") && !both.reaches("third"));
    }

    #[test]
    fn two_objects_meet_where_both_are_exported_to() {
        let to = |items: &[&str]| read(items).expect("valid");
        assert!(to(&["*"]).overlaps(&to(&["a"])) && to(&["a"]).overlaps(&to(&["*"])));
        assert!(to(&["a", "b"]).overlaps(&to(&["b", "c"])));
        assert!(!to(&["a"]).overlaps(&to(&["b"])));
        assert!(to(&["."]).is_only("shop") && ExportTo::only("shop").is_only("shop"));
        assert!(!to(&[".", "a"]).is_only("shop") && !to(&["*"]).is_only("shop"));
    }

    #[test]
    fn what_names_nobody_or_somebody_twice_is_refused() {
        let table: [(&[&str], &str); 6] = [
            (&[], "is an empty list"),
            (&["~"], "for nobody; write `.`"),
            (&["*", "."], "write `*` alone"),
            (&[".", "shop"], "names \"shop\" twice"),
            (&["Shop"], "is not a valid name"),
            (&[""], "is an empty string"),
        ];
        for (items, wanted) in table {
            let error = read(items).expect_err(wanted);
            assert!(error.contains(wanted), "{error}");
        }
    }
}
