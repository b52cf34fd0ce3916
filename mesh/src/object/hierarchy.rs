//! Objects that inherit from one another: those of a workload from those of its namespace, and
//! these from those of the root namespace, which are for the whole mesh.

use std::sync::Arc;

use super::{Change, Located, Object, ObjectName, Objects, Selector, Workload};
use crate::{
    problem::Problems,
    read::table::{Schema, Table},
};

/// An object, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// The object.
    pub name: ObjectName,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line its document begins on, counted from 1.
    pub line: u64,
}

/// An object of a kind that inherits.
#[derive(Debug)]
pub(crate) struct Level<T> {
    pub(crate) object: Arc<ObjectRef>,
    pub(crate) selector: Selector,
    pub(crate) value: T,
}

/// What the objects of a kind that inherits say.
pub(crate) trait Inherited {
    /// What the kind is called in messages.
    const NOUN: &'static str;
}

/// All objects of a kind that inherits.
#[derive(Debug)]
pub(crate) struct Hierarchy<T>(Objects<Level<T>>);

impl Level<()> {
    /// Opens the `spec` of an object that may select workloads; nothing else of it is read.
    pub(crate) fn open<'n>(
        object: Object<'n>,
        schema: Schema,
        problems: &mut Problems,
    ) -> (Table<'n>, Self) {
        let Object {
            name, line, spec, ..
        } = object;
        let table = Table::open(spec, "spec", schema, problems);
        let selector = table
            .get("selector")
            .map_or_else(Selector::default, |node| Selector::read(node, problems));
        let object = Arc::new(ObjectRef {
            name,
            file: problems.file(),
            line,
        });
        let level = Self {
            object,
            selector,
            value: (),
        };
        (table, level)
    }

    /// The same, which says this.
    pub(crate) fn saying<T>(self, value: T) -> Level<T> {
        Level {
            object: self.object,
            selector: self.selector,
            value,
        }
    }
}

impl<T> Level<T> {
    /// Whether it is for all workloads of its namespace.
    pub(crate) fn is_for_all(&self) -> bool {
        self.selector.is_for_all()
    }

    fn namespace(&self) -> &str {
        self.object.name.namespace()
    }

    /// Whether there may be a workload for which neither goes before the other.
    fn meets(&self, other: &Self) -> bool {
        self.namespace() == other.namespace()
            && self.is_for_all() == other.is_for_all()
            && self.selector.agrees(&other.selector)
    }
}

impl<T: Inherited> Located for Level<T> {
    const NOUN: &'static str = T::NOUN;

    fn name(&self) -> &ObjectName {
        &self.object.name
    }

    fn file(&self) -> &Arc<str> {
        &self.object.file
    }

    fn line(&self) -> u64 {
        self.object.line
    }
}

impl<T: Inherited> Hierarchy<T> {
    /// Takes away what goes, and adds what comes. Two that may be for one workload, at the same
    /// level, are refused: Istio takes the older, which is not written anywhere.
    pub(crate) fn change(&mut self, change: &mut Change<Level<T>>, problems: &mut Problems) {
        self.0.change(change, problems);
        for level in &change.come {
            if let Some(other) = self.in_the_way(level, change) {
                refuse(level, other, problems);
            }
        }
    }

    /// One at the same level, which is not refused for the sake of this one.
    fn in_the_way(&self, level: &Level<T>, change: &Change<Level<T>>) -> Option<&Arc<Level<T>>> {
        let is_first = |other: &Level<T>| {
            let (name, others) = (level.name(), other.name());
            others < name || others > name && !change.has_come(other)
        };
        let beside = self.0.of_namespace(level.name().namespace());
        let mut met = beside.filter(|other| is_first(other) && other.meets(level));
        met.next()
    }
}

impl<T> Hierarchy<T> {
    /// Each object, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Level<T>>> {
        self.0.iter()
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The objects that are for a workload, from the nearest to that of the whole mesh.
    pub(crate) fn above(&self, workload: &Workload, root: &str) -> Vec<&Arc<Level<T>>> {
        let own = || self.0.of_namespace(&workload.namespace);
        let selected = own().find(|level| {
            let selects = level.selector.selects(&workload.labels);
            !level.is_for_all() && selects
        });
        let namespace = own().find(|level| level.is_for_all());
        let mut above = self.0.of_namespace(root);
        let mesh = above.find(|level| level.is_for_all() && root != workload.namespace);
        [selected, namespace, mesh].into_iter().flatten().collect()
    }
}

impl<T> Clone for Hierarchy<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Hierarchy<T> {
    fn default() -> Self {
        Self(Objects::default())
    }
}

fn refuse<T: Inherited>(level: &Level<T>, other: &Level<T>, problems: &mut Problems) {
    let noun = T::NOUN;
    let ObjectRef { name, file, line } = &*level.object;
    let first = &other.object;
    let at = format!("{}:{}", first.file, first.line);
    let what = if level.is_for_all() {
        format!(
            "{noun} {name} is for its whole namespace, as is {}, which is at {at}",
            first.name
        )
    } else {
        format!(
            "{noun} {name} may select a workload that {} selects too, which is at {at}",
            first.name
        )
    };
    let remedy = "make one of them, or tell them apart by a label in both selectors";
    problems.enter(file);
    problems.error(*line, what, remedy);
}
