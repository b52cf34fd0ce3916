//! What a configuration sets, flat and by the names that stand in the file, so that two of them
//! can be compared.

use std::{collections::BTreeMap, fmt};

use serde_json::Value as Json;

use super::{
    Document,
    tree::{Node, Value},
};

/// Every setting by its path (`server.log_level`) with its value as text. Some are secrets: they
/// are not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The settings of a document in JSON's data model.
    pub fn of(document: &Json) -> Self {
        let mut settings = Self::default();
        settings.add("", document);
        settings
    }

    /// These settings without those at `hidden`, which flags are laid over: what the file says of
    /// them makes no difference.
    #[must_use]
    pub fn without<'a>(mut self, hidden: impl IntoIterator<Item = &'a str>) -> Self {
        for path in hidden {
            self.0.remove(path);
        }
        self
    }

    /// The value at `path`, if it is set.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// The paths whose values differ between this and `other`, in order.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        let mut paths: Vec<&str> = self.0.keys().chain(other.0.keys()).map(|k| &**k).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
            .into_iter()
            .filter(|path| self.get(path) != other.get(path))
    }

    fn add(&mut self, path: &str, value: &Json) {
        match value {
            Json::Object(entries) => {
                for (key, value) in entries {
                    self.add(&below(path, key), value);
                }
            }
            Json::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                for (number, item) in items.iter().enumerate() {
                    // A list's items are known by their names, not by where they happen to stand.
                    let name = item.get("name").and_then(Json::as_str);
                    let key = name.map_or_else(|| number.to_string(), str::to_owned);
                    self.add(&below(path, &key), item);
                }
            }
            // Not set.
            Json::Null => {}
            Json::String(text) => self.set(path, text.clone()),
            Json::Bool(_) | Json::Number(_) | Json::Array(_) => self.set(path, value.to_string()),
        }
    }

    fn set(&mut self, path: &str, value: String) {
        self.0.insert(path.to_owned(), value);
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Document {
    /// Everything that the document sets.
    pub fn settings(&self) -> Settings {
        Settings::of(&json(&self.root))
    }
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Json::String(text.clone()),
        Value::Bool(value) => Json::Bool(*value),
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Object(entries) => {
            let mut object = serde_json::Map::new();
            for entry in entries {
                merge(&mut object, &entry.key, json(&entry.node));
            }
            Json::Object(object)
        }
    }
}

/// A block may be written in several pieces.
fn merge(object: &mut serde_json::Map<String, Json>, key: &str, value: Json) {
    match (object.get_mut(key), value) {
        (Some(Json::Object(there)), Json::Object(more)) => {
            for (key, value) in more {
                merge(there, &key, value);
            }
        }
        (_, value) => {
            object.insert(key.to_owned(), value);
        }
    }
}

fn below(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Document::parse(text, "server.conf").unwrap().settings()
    }

    const BEFORE: &str = r#"server { bind_port = 8081 log_level = "INFO" admin_ids = ["a", "b"] }
plugins { KeyManager "disk" { plugin_data { keys_path = "/keys" } } }"#;

    #[test]
    fn settings_are_named_as_they_stand_in_the_file() {
        let settings = settings(BEFORE);
        assert_eq!(settings.get("server.bind_port"), Some("8081"));
        assert_eq!(settings.get("server.admin_ids"), Some(r#"["a","b"]"#));
        let keys = "plugins.KeyManager.disk.plugin_data.keys_path";
        assert_eq!(settings.get(keys), Some("/keys"));
        assert!(!format!("{settings:?}").contains("INFO"));
    }

    #[test]
    fn what_differs_is_what_was_changed_set_or_removed_and_not_how_it_is_written() {
        let before = settings(BEFORE);
        let same = r#"# A comment.
            plugins { KeyManager "disk" { plugin_data { keys_path = "/keys" } } }
            server { admin_ids = ["a", "b"] }
            server { log_level = "INFO" bind_port = "8081" }"#;
        assert_eq!(before.differing(&settings(same)).count(), 0);
        let after = r#"server { log_level = "DEBUG" admin_ids = ["a"] ca_ttl = "1h" }
            plugins { KeyManager "disk" { plugin_data { keys_path = "/keys" } } }"#;
        let after = settings(after);
        let differing: Vec<_> = before.differing(&after).collect();
        assert_eq!(
            differing,
            [
                "server.admin_ids",
                "server.bind_port",
                "server.ca_ttl",
                "server.log_level"
            ]
        );
    }

    #[test]
    fn changes_of_what_a_flag_hides_make_no_difference() {
        let hidden = ["server.log_level", "server.no_such_setting"];
        let (before, after) = (settings(BEFORE).without(hidden), Settings::default());
        let differing: Vec<_> = before.differing(&after).collect();
        assert!(!differing.contains(&"server.log_level"), "{differing:?}");
        assert!(differing.contains(&"server.bind_port"), "{differing:?}");
    }

    #[test]
    fn items_of_a_list_are_known_by_their_names() {
        let port = |listen| serde_json::json!({"name": "shop", "listen": listen});
        let before = serde_json::json!({"inbound": [port("1"), {"name": "b"}], "threads": null});
        let after = serde_json::json!({"inbound": [{"name": "b"}, port("2")]});
        let (before, after) = (Settings::of(&before), Settings::of(&after));
        let differing: Vec<_> = before.differing(&after).collect();
        assert_eq!(differing, ["inbound.shop.listen"]);
    }
}
