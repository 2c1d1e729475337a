//! Deserializes a typed value from a position tree with serde. An error has the path and the span of the wrong value.
//!
//! Must not know any type of the domain.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::document::defect::ParseError;
use crate::document::node::{Entry, Kind, Node, Value};
use crate::document::source::Span;

/// Which scalars a text field accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Every scalar, as it is written: `01` and `1e10000` stay text. An empty value is an absent value.
    AsWritten,
    /// Only scalars that are text in the file format.
    AsTyped,
}

/// Deserializes a value from a tree.
///
/// # Errors
/// A key is missing or unknown, or a value does not fit its type.
pub fn from_node<T: DeserializeOwned>(node: &Node, strictness: Strictness) -> Result<T, ParseError> {
    T::deserialize(Typed { node, strictness }).map_err(|error| ParseError {
        kind: "wrong-type",
        span: error.span.unwrap_or_else(|| node.span.clone()),
        message: if error.path.is_empty() {
            error.message
        } else {
            format!("{}: {}", error.path, error.message)
        },
        help: None,
    })
}

/// Returns the names of the variants of an enum, as documents write them.
pub fn variants<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The deserializer stores the names and then fails, because there is no value.
    let _ = T::deserialize(Variants(&mut names));
    names
}

struct Variants<'n>(&'n mut &'static [&'static str]);

impl<'de> de::Deserializer<'de> for Variants<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("not an enum"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = variants;
        Err(de::Error::custom("no value"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[derive(Debug)]
struct Error {
    message: String,
    path: String,
    span: Option<Span>,
}

impl Error {
    /// Adds the key or index of the parent to the path.
    fn below(mut self, key: &str, span: &Span) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self.path = match self.path.as_str() {
            "" => key.to_owned(),
            path if path.starts_with('[') => format!("{key}{path}"),
            path => format!("{key}.{path}"),
        };
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Error {
            message: message.to_string(),
            path: String::new(),
            span: None,
        }
    }
}

#[derive(Clone, Copy)]
struct Typed<'n> {
    node: &'n Node,
    strictness: Strictness,
}

impl<'n> Typed<'n> {
    fn is_null(self) -> bool {
        let written = self.strictness == Strictness::AsWritten;
        self.node
            .scalar()
            .is_some_and(|s| s.kind == Kind::Null || written && s.text.trim().is_empty())
    }

    fn at(self, node: &'n Node) -> Self {
        Typed { node, ..self }
    }
}

impl<'de> de::Deserializer<'de> for Typed<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items(items.iter().enumerate(), self)),
            Value::Map(entries) => visitor.visit_map(Entries(entries.iter(), None, self)),
            Value::Scalar(scalar) => match scalar.kind {
                Kind::Null => visitor.visit_unit(),
                Kind::Bool(b) => visitor.visit_bool(b),
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number that a float holds exactly"
                )]
                Kind::Number(n) if n >= 0.0 && n.fract() == 0.0 && n < 9e15 => visitor.visit_u64(n as u64),
                Kind::Number(n) => visitor.visit_f64(n),
                Kind::Text => visitor.visit_str(&scalar.text),
            },
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.scalar() {
            Some(s) if self.strictness == Strictness::AsWritten && s.kind != Kind::Null => {
                visitor.visit_str(&s.text)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() {
            visitor.visit_seq(Items([].iter().enumerate(), self))
        } else {
            self.deserialize_any(visitor)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.node.scalar() {
            Some(scalar) => {
                let word: StrDeserializer<'_, Error> = scalar.text.as_str().into_deserializer();
                word.deserialize_enum(name, variants, visitor)
            }
            None => Err(de::Error::custom(format!(
                "must be one of {}",
                variants.join(", ")
            ))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        map struct identifier ignored_any
    }
}

struct Items<'n>(std::iter::Enumerate<std::slice::Iter<'n, Node>>, Typed<'n>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((n, item)) = self.0.next() else {
            return Ok(None);
        };
        let value = seed.deserialize(self.1.at(item));
        value
            .map(Some)
            .map_err(|error| error.below(&format!("[{n}]"), &item.span))
    }
}

struct Entries<'n>(std::slice::Iter<'n, Entry>, Option<&'n Entry>, Typed<'n>);

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.1 = self.0.next();
        let Some(entry) = self.1 else { return Ok(None) };
        let key: StrDeserializer<'_, Error> = entry.key.as_str().into_deserializer();
        let key = seed.deserialize(key);
        key.map(Some)
            .map_err(|error| error.below(&entry.key, &entry.key_span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(entry) = self.1 else {
            return Err(de::Error::custom("value without a key"));
        };
        let value = seed.deserialize(self.2.at(&entry.node));
        value.map_err(|error| error.below(&entry.key, &entry.node.span))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::document::{MappedText, toml_tree, yaml};

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        id: String,
        #[serde(default)]
        size: Option<Size>,
        #[serde(default)]
        list: Vec<f64>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Size {
        S,
        M,
    }

    fn yaml(text: &str) -> Result<Sample, ParseError> {
        let (tree, defects) = yaml::parse(&MappedText::lines_of(text, 0));
        assert_eq!(defects, []);
        from_node(&tree.unwrap(), Strictness::AsWritten)
    }

    #[test]
    fn ids_stay_as_written() {
        for id in ["01", "03a", "08", "1188731", "1e10000", "0x10", "1_000", "12.50"] {
            let read = yaml(&format!("id: {id}\nsize:\nlist: [1, -2.5]\n")).unwrap();
            assert_eq!(
                (read.id.as_str(), read.size, read.list),
                (id, None, vec![1.0, -2.5])
            );
        }
    }

    #[test]
    fn error_has_path_and_span() {
        for (text, path, wrong) in [
            ("id: 1\nsize: L\n", "size: unknown variant `L`", "L"),
            ("id: 1\nlist: [1, x]\n", "list[1]: ", "x"),
            ("id: 1\nother: 2\n", "other: unknown field", "other"),
        ] {
            let defect = yaml(text).unwrap_err();
            assert!(defect.message.starts_with(path), "{}", defect.message);
            assert_eq!(&text[defect.span], wrong);
        }
        assert!(
            yaml("size: S\n")
                .unwrap_err()
                .message
                .contains("missing field `id`")
        );
    }

    #[test]
    fn toml_keeps_its_types() {
        let read = |text: &str| from_node::<Sample>(&toml_tree::parse(text).0, Strictness::AsTyped);
        assert_eq!(read("id = \"01\"\nlist = [1]\n").unwrap().list, [1.0]);
        assert!(
            read("id = 1\n")
                .unwrap_err()
                .message
                .starts_with("id: invalid type")
        );
    }
}
