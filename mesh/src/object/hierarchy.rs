//! Objects that inherit from one another: those of a workload from those of its namespace, and
//! these from those of the root namespace, which are for the whole mesh.

use std::sync::Arc;

use super::{Object, ObjectName, Selector, Workload};
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

/// All objects of a kind that inherits.
#[derive(Debug, Clone)]
pub(crate) struct Hierarchy<T>(Vec<Arc<Level<T>>>);

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

impl<T> Hierarchy<T> {
    /// The objects, sorted by name, and called `noun` in messages. Two that may be for one
    /// workload, at the same level, are refused: Istio takes the older, which is not written
    /// anywhere.
    pub(crate) fn new(
        noun: &str,
        objects: impl Iterator<Item = Level<T>>,
        problems: &mut Problems,
    ) -> Self {
        let mut levels: Vec<Arc<Level<T>>> = Vec::new();
        for level in objects {
            // Sorted by name, those of one namespace stand beside one another.
            let near = |it: &&Arc<Level<T>>| it.namespace() == level.namespace();
            let mut beside = levels.iter().rev().take_while(near);
            if let Some(other) = beside.find(|it| it.meets(&level)) {
                refuse(noun, &level, other, problems);
            }
            levels.push(Arc::new(level));
        }
        Self(levels)
    }

    /// Each object, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Level<T>>> {
        self.0.iter()
    }

    /// The objects that are for a workload, from the nearest to that of the whole mesh.
    pub(crate) fn above(&self, workload: &Workload, root: &str) -> Vec<&Arc<Level<T>>> {
        let own = |level: &&Arc<Level<T>>| level.namespace() == workload.namespace;
        let selected = self.0.iter().filter(own).find(|level| {
            let selects = level.selector.selects(&workload.labels);
            !level.is_for_all() && selects
        });
        let for_all = self.0.iter().filter(|level| level.is_for_all());
        let namespace = for_all.clone().find(own);
        let mut mesh = for_all.filter(|level| level.namespace() != workload.namespace);
        let mesh = mesh.find(|level| level.namespace() == root);
        [selected, namespace, mesh].into_iter().flatten().collect()
    }
}

impl<T> Default for Hierarchy<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

fn refuse<T>(noun: &str, level: &Level<T>, other: &Level<T>, problems: &mut Problems) {
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
