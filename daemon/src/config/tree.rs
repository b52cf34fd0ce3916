//! The parsed file as a tree. Labels of blocks are nested objects, as HCL 1 defines them, so that
//! HCL and JSON have one shape.

use super::error::Fault;

/// A value and the line where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What can stand at a key. Numbers stay text until a type asks for them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(String),
    Bool(bool),
    List(Vec<Node>),
    Object(Vec<Entry>),
}

/// One `key = value`, or one block.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

/// Everything that the file says about one key. A block may be written several times, and its JSON
/// form may be an array.
#[derive(Debug, Clone)]
pub(super) struct Given<'a> {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) nodes: Vec<&'a Node>,
}

/// The keys of a block and what is given for each, first seen first.
pub(super) type Keys<'a> = Vec<(&'a str, Given<'a>)>;

impl<'a> Given<'a> {
    /// The bodies of a block: each object, and each object of a list of them.
    pub(super) fn bodies(&self) -> Result<Vec<&'a [Entry]>, Fault> {
        let mut bodies = Vec::new();
        for node in &self.nodes {
            match &node.value {
                Value::Object(entries) => bodies.push(entries.as_slice()),
                Value::List(items) => {
                    for item in items {
                        bodies.push(item.object().ok_or_else(|| self.not_a_block(item))?);
                    }
                }
                Value::Text(_) | Value::Number(_) | Value::Bool(_) => {
                    return Err(self.not_a_block(node));
                }
            }
        }
        Ok(bodies)
    }

    /// The keys of a block that may have been written in several pieces, in the order of the file.
    pub(super) fn children(&self) -> Result<Keys<'a>, Fault> {
        Ok(group(&self.path, self.bodies()?.into_iter().flatten()))
    }

    /// The key `name` of this block, if it is there.
    pub(super) fn child(&self, name: &str) -> Result<Option<Self>, Fault> {
        Ok(self
            .children()?
            .into_iter()
            .find(|(key, _)| *key == name)
            .map(|(_, given)| given))
    }

    /// The value of a key that may be set only once.
    pub(super) fn single(&self) -> Result<&'a Node, Fault> {
        match self.nodes.as_slice() {
            [node] => Ok(node),
            [first, second, ..] => {
                let message = format!(
                    "is set twice, first on line {}; keep one of them",
                    first.line
                );
                Err(Fault::at(second.line, message).placed(second.line, &self.path))
            }
            [] => Err(Fault::at(self.line, "is empty").placed(self.line, &self.path)),
        }
    }

    fn not_a_block(&self, node: &Node) -> Fault {
        let message = format!(
            "is a block and not {}: write {} {{ … }}",
            node.value.kind(),
            self.name()
        );
        Fault::at(node.line, message).placed(node.line, &self.path)
    }

    fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }
}

impl Node {
    pub(super) fn object(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Object(entries) => Some(entries),
            Value::Text(_) | Value::Number(_) | Value::Bool(_) | Value::List(_) => None,
        }
    }
}

impl Value {
    /// What a person would call this value.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Object(_) => "a block",
        }
    }
}

/// Brings the entries of one block together by key, first seen first.
pub(super) fn group<'a>(parent: &str, entries: impl Iterator<Item = &'a Entry>) -> Keys<'a> {
    let mut groups: Keys<'a> = Vec::new();
    for entry in entries {
        match groups.iter_mut().find(|(key, _)| *key == entry.key) {
            Some((_, given)) => given.nodes.push(&entry.node),
            None => groups.push((
                &entry.key,
                Given {
                    path: join(parent, &entry.key),
                    line: entry.line,
                    nodes: vec![&entry.node],
                },
            )),
        }
    }
    groups
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}
