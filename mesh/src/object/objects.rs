//! The objects of one kind: each name once.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::ObjectName;
use crate::problem::Problems;

/// An object that knows where it is written.
pub(crate) trait Located {
    /// What it is called in messages.
    const NOUN: &'static str;

    /// What identifies it among its kind.
    fn name(&self) -> &ObjectName;

    /// The file it stands in.
    fn file(&self) -> &Arc<str>;

    /// The line its document begins on.
    fn line(&self) -> u64;
}

/// Lets a type be [`Located`] by its fields `name`, `file` and `line`; the noun is what it is
/// called in messages.
macro_rules! located {
    ($object:ty, $noun:literal) => {
        impl $crate::object::Located for $object {
            const NOUN: &'static str = $noun;

            fn name(&self) -> &$crate::object::ObjectName {
                &self.name
            }

            fn file(&self) -> &::std::sync::Arc<str> {
                &self.file
            }

            fn line(&self) -> u64 {
                self.line
            }
        }
    };
}

pub(crate) use located;

/// Objects of one kind by their names. A copy shares what it has with the other, so that it costs
/// nothing, and a change of it no more than what is changed.
#[derive(Debug)]
pub(crate) struct Objects<T>(RedBlackTreeMapSync<ObjectName, Arc<T>>);

/// What goes of one kind, and what comes.
#[derive(Debug)]
pub(crate) struct Change<T> {
    pub(crate) gone: Vec<Arc<T>>,
    pub(crate) come: Vec<Arc<T>>,
}

impl<T: Located> Objects<T> {
    /// Takes away what goes, and adds what comes. What comes under a name that is there already is
    /// an error, and does not come: which of the two is meant cannot be known. The rest of it is
    /// sorted by name afterwards.
    pub(crate) fn change(&mut self, change: &mut Change<T>, problems: &mut Problems) {
        for object in &change.gone {
            self.remove(object);
        }
        change.come.retain(|object| self.add(object, problems));
        change
            .come
            .sort_by(|one, other| one.name().cmp(other.name()));
    }

    fn add(&mut self, object: &Arc<T>, problems: &mut Problems) -> bool {
        if let Some(first) = self.0.get(object.name()) {
            let what = format!(
                "{} {} is defined twice, first at {}:{}",
                T::NOUN,
                object.name(),
                first.file(),
                first.line()
            );
            problems.enter(object.file());
            problems.error(object.line(), what, "rename or remove one of them");
            return false;
        }
        self.put(object);
        true
    }

    /// Adds one, or puts it in the place of the one that has its name.
    pub(crate) fn put(&mut self, object: &Arc<T>) {
        self.0.insert_mut(object.name().clone(), Arc::clone(object));
    }

    /// Takes one away.
    pub(crate) fn remove(&mut self, object: &T) {
        self.0.remove_mut(object.name());
    }
}

impl<T> Objects<T> {
    /// The one of this name.
    pub(crate) fn get(&self, name: &ObjectName) -> Option<&Arc<T>> {
        self.0.get(name)
    }

    /// Sorted by their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.0.values()
    }

    /// Those of one namespace, sorted by their names.
    pub(crate) fn of_namespace<'a>(&'a self, namespace: &str) -> impl Iterator<Item = &'a Arc<T>> {
        let from = self.0.range(ObjectName::new(namespace, "")..);
        from.take_while(move |(name, _)| name.namespace() == namespace)
            .map(|(_, object)| object)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.size()
    }
}

impl<T> Clone for Objects<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

impl<T> Change<T> {
    /// Whether nothing goes and nothing comes.
    pub(crate) fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.come.is_empty()
    }

    /// Whether an object has come with it.
    pub(crate) fn has_come(&self, object: &T) -> bool
    where
        T: Located,
    {
        let name = object.name();
        let place = self.come.binary_search_by(|it| it.name().cmp(name));
        place.is_ok()
    }

    /// All that goes and comes.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<T>> {
        self.gone.iter().chain(&self.come)
    }
}

impl<T> Default for Change<T> {
    fn default() -> Self {
        Self {
            gone: Vec::new(),
            come: Vec::new(),
        }
    }
}
