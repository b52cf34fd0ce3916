//! Reads a part of the tree into any type that serde knows, so that a wrong value is reported with
//! its line and its name.
//!
//! As in HCL 1, a number or a truth value may be written as text (`bind_port = "8081"`), and one
//! block may stand where a list of them is wanted.

use serde::{
    de::{
        DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess,
        SeqAccess, VariantAccess, Visitor,
        value::{MapAccessDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{
    error::Fault,
    scan::integer,
    tree::{Given, Node, Value},
};

/// Each integer type has its own range; saying it beats "expected u16".
macro_rules! integers {
    ($($method:ident $kind:ty),+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.integer(visitor, i128::from(<$kind>::MIN), i128::from(<$kind>::MAX))
        })+
    };
}

impl<'de> Deserializer<'de> for Given<'_> {
    type Error = Fault;

    integers! {
        deserialize_u8 u8, deserialize_u16 u16, deserialize_u32 u32, deserialize_u64 u64,
        deserialize_i8 i8, deserialize_i16 i16, deserialize_i32 i32, deserialize_i64 i64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let [node] = self.nodes.as_slice() else {
            return self.deserialize_map(visitor);
        };
        match &node.value {
            Value::Text(text) => visitor.visit_str(text),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number(text) => match integer(text) {
                Some(number) => visit_integer(visitor, number),
                None => self.deserialize_f64(visitor),
            },
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let node = self.single()?;
        match &node.value {
            Value::Text(text) | Value::Number(text) => {
                visitor.visit_str(text).map_err(|fault| self.here(fault))
            }
            Value::Bool(_) | Value::List(_) | Value::Object(_) => {
                Err(self.instead_of("a text", node))
            }
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let node = self.single()?;
        let truth = match &node.value {
            Value::Bool(truth) => *truth,
            Value::Text(text) if text == "true" => true,
            Value::Text(text) if text == "false" => false,
            Value::Text(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => {
                return Err(self.instead_of("true or false", node));
            }
        };
        visitor.visit_bool(truth).map_err(|fault| self.here(fault))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let node = self.single()?;
        let number = written_number(node)
            .and_then(|text| text.parse::<f64>().ok())
            .filter(|number| number.is_finite());
        let number = number.ok_or_else(|| self.instead_of("a number", node))?;
        visitor.visit_f64(number).map_err(|fault| self.here(fault))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.nodes.is_empty() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let place = (self.line, self.path.clone());
        visitor
            .visit_newtype_struct(self)
            .map_err(|fault| fault.placed(place.0, &place.1))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let mut items = Vec::new();
        for node in &self.nodes {
            match &node.value {
                Value::List(nodes) => items.extend(nodes.iter().map(|node| self.item(node))),
                Value::Object(_) => items.push(self.item(node)),
                Value::Text(_) | Value::Number(_) | Value::Bool(_) => {
                    return Err(self.instead_of("a list, in [ ]", node));
                }
            }
        }
        if self
            .nodes
            .iter()
            .any(|node| matches!(node.value, Value::List(_)))
        {
            self.single()?;
        }
        visitor
            .visit_seq(Items(items.into_iter()))
            .map_err(|fault| self.here(fault))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let settings = Settings {
            left: self.children()?.into_iter(),
            value: None,
        };
        visitor
            .visit_map(settings)
            .map_err(|fault| self.here(fault))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if self.nodes.iter().all(|node| node.object().is_some()) {
            let settings = Settings {
                left: self.children()?.into_iter(),
                value: None,
            };
            return visitor
                .visit_enum(MapAccessDeserializer::new(settings))
                .map_err(|fault| self.here(fault));
        }
        let node = self.single()?;
        match &node.value {
            Value::Text(text) => visitor
                .visit_enum(Word(text))
                .map_err(|fault| self.here(fault)),
            Value::Number(_) | Value::Bool(_) | Value::List(_) | Value::Object(_) => {
                Err(self.instead_of("a text", node))
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit unit_struct }
}

impl<'a> Given<'a> {
    fn integer<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        least: i128,
        most: i128,
    ) -> Result<V::Value, Fault> {
        let node = self.single()?;
        let Some(number) = written_number(node).and_then(integer) else {
            return Err(self.instead_of("a whole number", node));
        };
        if number < least || number > most {
            return Err(self.here(Fault::custom(format_args!(
                "{number} is not between {least} and {most}"
            ))));
        }
        visit_integer(visitor, number).map_err(|fault: Fault| self.here(fault))
    }

    fn item(&self, node: &'a Node) -> Self {
        Self {
            path: self.path.clone(),
            line: node.line,
            nodes: vec![node],
        }
    }

    fn instead_of(&self, wanted: &str, node: &Node) -> Fault {
        let found = match &node.value {
            Value::Text(text) => format!("\"{text}\""),
            Value::Number(text) => text.clone(),
            Value::Bool(truth) => truth.to_string(),
            Value::List(_) | Value::Object(_) => node.value.kind().to_owned(),
        };
        Fault::at(node.line, format!("takes {wanted}, not {found}")).placed(node.line, &self.path)
    }

    fn here(&self, fault: Fault) -> Fault {
        fault.placed(self.line, &self.path)
    }
}

/// The text of a number, also of one in quotes.
fn written_number(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Some(text),
        Value::Bool(_) | Value::List(_) | Value::Object(_) => None,
    }
}

fn visit_integer<'de, V: Visitor<'de>>(visitor: V, number: i128) -> Result<V::Value, Fault> {
    if let Ok(number) = u64::try_from(number) {
        return visitor.visit_u64(number);
    }
    match i64::try_from(number) {
        Ok(number) => visitor.visit_i64(number),
        Err(_) => Err(Fault::custom(format_args!(
            "{number} is too large a number"
        ))),
    }
}

struct Items<'a>(std::vec::IntoIter<Given<'a>>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        self.0.next().map(|item| place(item, seed)).transpose()
    }
}

struct Settings<'a> {
    left: std::vec::IntoIter<(&'a str, Given<'a>)>,
    value: Option<Given<'a>>,
}

impl<'de> MapAccess<'de> for Settings<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((key, given)) = self.left.next() else {
            return Ok(None);
        };
        let line = given.line;
        self.value = Some(given);
        let key: StrDeserializer<'_, Fault> = key.into_deserializer();
        // An unknown key belongs to the block, so only the line is added here.
        seed.deserialize(key)
            .map(Some)
            .map_err(|fault| fault.placed(line, ""))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.value.take() {
            Some(given) => place(given, seed),
            None => Err(Fault::custom("a value was asked for before its key")),
        }
    }
}

fn place<'de, T: DeserializeSeed<'de>>(given: Given<'_>, seed: T) -> Result<T::Value, Fault> {
    let (line, path) = (given.line, given.path.clone());
    seed.deserialize(given)
        .map_err(|fault| fault.placed(line, &path))
}

/// An enum variant that is written as its name.
struct Word<'a>(&'a str);

impl<'de> EnumAccess<'de> for Word<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, Fault> {
        Err(Fault::custom(format_args!(
            "`{}` needs settings of its own, in a block",
            self.0
        )))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _length: usize,
        _visitor: V,
    ) -> Result<V::Value, Fault> {
        Err(Fault::custom(format_args!(
            "`{}` needs settings of its own, in a block",
            self.0
        )))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Fault> {
        Err(Fault::custom(format_args!(
            "`{}` needs settings of its own, in a block",
            self.0
        )))
    }
}
