//! Types of expressions, as far as a schema tells them.

use std::fmt::{Display, Formatter};
use std::rc::Rc;

use crate::schema::format::Meaning;
use crate::schema::node::{Additional, Node, Type};

/// What is known of the value of an expression.
#[derive(Clone, Debug)]
pub(super) enum Ty<'a> {
    /// Nothing: every use is fine.
    Dyn,
    /// A type without parts, by the name that messages use.
    Plain(&'static str),
    List(Rc<Self>),
    Map(Rc<Self>, Rc<Self>),
    Optional(Rc<Self>),
    /// The type of types.
    TypeOf(Rc<Self>),
    /// An object with declared fields; a whole one has a type and a name too.
    Object(&'a Node, bool),
}

impl<'a> Ty<'a> {
    /// The type of what a schema describes; none if rules cannot see it.
    pub(super) fn of(schema: &'a Node, is_resource: bool) -> Option<Self> {
        if schema.is_int_or_string {
            return Some(Self::Dyn);
        }
        if is_resource {
            return Some(Self::Object(schema, true));
        }
        Some(match schema.kind? {
            Type::Array => {
                let items = schema.items.as_deref()?;
                Self::List(Rc::new(Self::of(items, items.is_resource)?))
            }
            Type::Object => match &schema.additional {
                Additional::Schema(values) => Self::Map(
                    Rc::new(Self::Plain("string")),
                    Rc::new(Self::of(values, values.is_resource)?),
                ),
                Additional::Absent | Additional::Forbidden | Additional::Any => {
                    Self::Object(schema, false)
                }
            },
            Type::String => match schema.limits.format.as_ref().map(|format| format.meaning) {
                None | Some(Meaning::Text) => Self::Plain("string"),
                Some(Meaning::Bytes) => Self::Plain("bytes"),
                Some(Meaning::Duration) => Self::Plain("duration"),
                Some(Meaning::Date | Meaning::DateTime) => Self::Plain("timestamp"),
            },
            Type::Boolean => Self::Plain("bool"),
            Type::Integer => Self::Plain("int"),
            Type::Number => Self::Plain("double"),
        })
    }

    /// The type of a declared field of an object, by its name in JSON.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let Self::Object(schema, is_resource) = self else {
            return None;
        };
        if *is_resource {
            match name {
                "apiVersion" | "kind" => return Some(Self::Plain("string")),
                "metadata" => return Some(Self::Object(super::super::value::meta(schema), false)),
                _ => {}
            }
        }
        let field = schema.properties.get(name)?;
        Self::of(field, field.is_resource)
    }

    /// Whether a value of another type can stand where one of this type is wanted.
    pub(super) fn accepts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(left), Self::Plain(right)) => {
                left == right
                    || (*right == "null" && is_nullable(left))
                    || (*left == "null" && is_nullable(right))
            }
            (Self::List(left), Self::List(right))
            | (Self::Optional(left), Self::Optional(right)) => left.accepts(right),
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                key.accepts(other_key) && value.accepts(other_value)
            }
            (Self::Dyn, _)
            | (_, Self::Dyn)
            | (Self::Plain("null"), Self::Object(..) | Self::Optional(_))
            | (Self::Object(..) | Self::Optional(_), Self::Plain("null"))
            | (Self::TypeOf(_), Self::TypeOf(_)) => true,
            (Self::Object(left, _), Self::Object(right, _)) => std::ptr::eq(*left, *right),
            _ => false,
        }
    }
}

/// Whether null can stand for a value of a type.
fn is_nullable(name: &str) -> bool {
    name.contains('.') || matches!(name, "duration" | "timestamp")
}

impl Display for Ty<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dyn => formatter.write_str("dyn"),
            Self::Plain(name) => formatter.write_str(name),
            Self::List(items) => write!(formatter, "list({items})"),
            Self::Map(key, value) => write!(formatter, "map({key}, {value})"),
            Self::Optional(value) => write!(formatter, "optional_type({value})"),
            Self::TypeOf(value) => write!(formatter, "type({value})"),
            // The API server makes up a new name every time.
            Self::Object(..) => formatter.write_str("object"),
        }
    }
}
