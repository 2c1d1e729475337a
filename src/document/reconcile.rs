//! Compares a position tree with what `serde_yaml` reads from the same text.
//!
//! The second reader is a defence: a text that two readers understand differently is refused.

use std::cell::Cell;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::document::node::{Kind, Node, Scalar, Value};
use crate::document::source::Span;

/// How the two readers differ.
#[derive(Debug)]
pub enum Disagreement {
    Value(Span),
    Syntax(serde_yaml::Error),
}

/// Compares a tree with what `serde_yaml` reads from the same text, and gives every scalar the type that `serde_yaml` gives it.
pub fn reconcile(node: &mut Node, text: &str) -> Result<(), Disagreement> {
    let differs = Cell::new(None);
    let seed = Reconcile {
        node,
        differs: &differs,
    };
    let outcome = seed.deserialize(serde_yaml::Deserializer::from_str(text));
    match (differs.take(), outcome) {
        (Some(span), _) => Err(Disagreement::Value(span)),
        (None, Err(error)) => Err(Disagreement::Syntax(error)),
        (None, Ok(())) => Ok(()),
    }
}

struct Reconcile<'n> {
    node: &'n mut Node,
    /// The span of the first value that differs.
    differs: &'n Cell<Option<Span>>,
}

impl Reconcile<'_> {
    fn scalar<E: de::Error>(self, kind: Kind) -> Result<(), E> {
        match &mut self.node.value {
            Value::Scalar(scalar) => {
                scalar.kind = kind;
                Ok(())
            }
            _ => self.refuse(),
        }
    }

    fn refuse<E: de::Error>(self) -> Result<(), E> {
        refuse(self.differs, &self.node.span)
    }
}

fn refuse<E: de::Error>(differs: &Cell<Option<Span>>, span: &Span) -> Result<(), E> {
    differs.set(Some(span.clone()));
    Err(E::custom("the readers differ"))
}

impl<'de> DeserializeSeed<'de> for Reconcile<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[expect(clippy::cast_precision_loss, reason = "only compared with small bounds")]
impl<'de> Visitor<'de> for Reconcile<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the same value in both readers")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.scalar(Kind::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Kind::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.scalar(Kind::Number(value as f64))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.scalar(Kind::Number(value as f64))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.scalar(Kind::Number(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if let Value::Scalar(scalar) = &mut self.node.value {
            // A block scalar at the end of a text without a final line break: one reader adds the break.
            if scalar.text.strip_suffix('\n') == Some(text) {
                scalar.text.truncate(text.len());
            }
            if scalar.text == text {
                return self.scalar(Kind::Text);
            }
        }
        self.refuse()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Value::List(items) = &mut self.node.value else {
            return self.refuse();
        };
        let differs = self.differs;
        for node in items {
            if values.next_element_seed(Reconcile { node, differs })?.is_none() {
                return refuse(differs, &self.node.span);
            }
        }
        match values.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => refuse(differs, &self.node.span),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Value::Map(entries) = &mut self.node.value else {
            return self.refuse();
        };
        let differs = self.differs;
        for entry in entries {
            let mut key = Node {
                span: entry.key_span.clone(),
                value: Value::Scalar(Scalar {
                    text: entry.key.clone(),
                    kind: Kind::Text,
                }),
            };
            let seed = Reconcile {
                node: &mut key,
                differs,
            };
            if values.next_key_seed(seed)?.is_none() {
                return refuse(differs, &self.node.span);
            }
            let node = &mut entry.node;
            values.next_value_seed(Reconcile { node, differs })?;
        }
        match values.next_key::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => refuse(differs, &self.node.span),
        }
    }
}
