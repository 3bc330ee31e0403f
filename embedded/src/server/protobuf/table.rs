//! The messages of built-in kinds: which fields there are, under which numbers, and what they are
//! called in JSON. Read once per process from `table.txt`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Text, also that of enumerations.
    Text,
    /// Bytes, in JSON as base64.
    Bytes,
    /// True or false.
    Flag,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
    /// A number.
    Float,
    /// An instant, to the second.
    Time,
    /// An instant, to the microsecond.
    MicroTime,
    /// A resource quantity.
    Quantity,
    /// An integer or text.
    IntOrString,
    /// JSON, as it is written.
    Raw,
    /// A list of texts in a message of its own.
    Texts,
    /// A schema, or whether one is needed.
    SchemaOrBool,
    /// A schema, or several.
    SchemaOrArray,
    /// A schema, or names of fields.
    SchemaOrTexts,
    /// A message: an index into the table.
    Message(usize),
    /// Any number of values.
    List(Box<Self>),
    /// Values by text.
    Map(Box<Self>),
}

/// A field of a message.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Number on the wire.
    pub(super) number: u32,
    /// Name in JSON; none if its fields stand in the message itself.
    pub(super) name: Option<&'static str>,
    /// Name in Go, for errors.
    pub(super) go_name: String,
    /// What it holds.
    pub(super) holds: Holds,
    /// Whether Go tells absent from zero.
    pub(super) pointer: bool,
}

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Name in Go.
    pub(super) name: &'static str,
    /// Its fields in the order of their numbers.
    pub(super) fields: Vec<Field>,
}

impl Message {
    /// The field of a number.
    pub(super) fn field(&self, number: i32) -> Option<&Field> {
        let number = u32::try_from(number).ok()?;
        let at = self
            .fields
            .binary_search_by_key(&number, |field| field.number)
            .ok()?;
        self.fields.get(at)
    }
}

/// All messages.
#[derive(Debug)]
pub(super) struct Table {
    messages: Vec<Message>,
    /// By API version and kind.
    kinds: BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
    /// The message of schemas.
    pub(super) schema: usize,
}

/// Kinds of this version belong to every one.
const EVERY: &str = "*";

static EMPTY: Message = Message {
    name: "",
    fields: Vec::new(),
};

impl Table {
    /// The one instance.
    pub(super) fn get() -> &'static Self {
        static TABLE: LazyLock<Table> = LazyLock::new(|| Table::parse(include_str!("table.txt")));
        &TABLE
    }

    /// A message by index.
    pub(super) fn at(&self, index: usize) -> &Message {
        self.messages.get(index).unwrap_or(&EMPTY)
    }

    /// The message of a kind.
    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Option<usize> {
        [api_version, EVERY]
            .iter()
            .find_map(|version| self.kinds.get(version)?.get(kind).copied())
    }

    fn parse(text: &'static str) -> Self {
        let lines = || text.lines().filter(|line| !line.starts_with('#'));
        let indexes: BTreeMap<&str, usize> = lines()
            .filter(|line| !line.starts_with("kinds "))
            .filter_map(|line| line.split(' ').next())
            .enumerate()
            .map(|(index, name)| (name, index))
            .collect();
        let mut kinds: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        let mut messages = Vec::with_capacity(indexes.len());
        for line in lines() {
            let mut words = line.split(' ');
            let first = words.next().unwrap_or_default();
            if first == "kinds" {
                let of_version: &mut BTreeMap<_, _> =
                    kinds.entry(words.next().unwrap_or_default()).or_default();
                for word in words {
                    let (kind, message) = word.split_once('=').unwrap_or((word, word));
                    if let Some(index) = indexes.get(message) {
                        of_version.insert(kind, *index);
                    }
                }
                continue;
            }
            messages.push(Message {
                // Several packages have an Event.
                name: first.rsplit('.').next().unwrap_or(first),
                fields: words.filter_map(|word| field(word, &indexes)).collect(),
            });
        }
        Self {
            messages,
            kinds,
            schema: indexes
                .get("JSONSchemaProps")
                .copied()
                .unwrap_or(usize::MAX),
        }
    }
}

/// Reads `name~GoName=number:type?`.
fn field(word: &'static str, indexes: &BTreeMap<&str, usize>) -> Option<Field> {
    let (names, rest) = word.split_once('=')?;
    let (number, holds) = rest.split_once(':')?;
    let (name, go_name) = match names.split_once('~') {
        Some((name, go_name)) => (name, go_name.to_owned()),
        None => (names, capitalized(names)),
    };
    Some(Field {
        number: number.parse().ok()?,
        name: (name != "+").then_some(name),
        go_name,
        holds: holding(holds.trim_end_matches('?'), indexes)?,
        pointer: holds.ends_with('?'),
    })
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_uppercase(), letters.as_str())
    })
}

fn holding(text: &str, indexes: &BTreeMap<&str, usize>) -> Option<Holds> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = holding(inner.strip_suffix(']')?, indexes)?;
        return Some(Holds::List(Box::new(inner)));
    }
    if let Some(inner) = text.strip_prefix('{') {
        let inner = holding(inner.strip_suffix('}')?, indexes)?;
        return Some(Holds::Map(Box::new(inner)));
    }
    Some(match text {
        "text" => Holds::Text,
        "bytes" => Holds::Bytes,
        "flag" => Holds::Flag,
        "int32" => Holds::Int32,
        "int64" => Holds::Int64,
        "float" => Holds::Float,
        "Time" => Holds::Time,
        "MicroTime" => Holds::MicroTime,
        "Quantity" => Holds::Quantity,
        "IntOrString" => Holds::IntOrString,
        "Raw" => Holds::Raw,
        "Texts" => Holds::Texts,
        "SchemaOrBool" => Holds::SchemaOrBool,
        "SchemaOrArray" => Holds::SchemaOrArray,
        "SchemaOrTexts" => Holds::SchemaOrTexts,
        message => Holds::Message(*indexes.get(message)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_table_is_understood() {
        let table = Table::get();
        let text = include_str!("table.txt");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let (kinds, messages): (Vec<_>, Vec<_>) =
            lines.partition(|line| line.starts_with("kinds "));
        assert_eq!(messages.len(), table.messages.len());
        for (line, message) in messages.iter().zip(&table.messages) {
            assert_eq!(line.split(' ').count(), message.fields.len() + 1, "{line}");
            assert!(
                message.fields.is_sorted_by_key(|field| field.number),
                "{line}"
            );
        }
        let named: usize = kinds.iter().map(|line| line.split(' ').count() - 2).sum();
        assert_eq!(
            named,
            table.kinds.values().map(BTreeMap::len).sum::<usize>()
        );
        assert_eq!(table.at(table.schema).name, "JSONSchemaProps");
    }
}
