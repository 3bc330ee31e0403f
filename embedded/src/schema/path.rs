//! Where in an object a check stands: written down only when something is wrong.

use std::fmt::Write as _;

/// A place below another place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    /// The object itself.
    Root,
    /// A named field, as the schema declares it.
    Field(&'a Self, &'a str),
    /// An entry of a map.
    Key(&'a Self, &'a str),
    /// An item of a list.
    Item(&'a Self, usize),
}

impl Path<'_> {
    /// As the checks of the schema name it: `spec.counters.rooms.count`.
    pub(super) fn dotted(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, true);
        out
    }

    /// As all other checks name it: `spec.counters[rooms].count`, and `<nil>` for the object.
    pub(super) fn bracketed(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, false);
        if out.is_empty() {
            out.push_str("<nil>");
        }
        out
    }

    fn write(&self, out: &mut String, is_dotted: bool) {
        match self {
            Self::Root => {}
            Self::Field(parent, name) => {
                parent.write(out, is_dotted);
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
            }
            Self::Key(parent, key) => {
                parent.write(out, is_dotted);
                // Writing to a text cannot fail.
                let _ = if is_dotted {
                    write!(out, ".{key}")
                } else {
                    write!(out, "[{key}]")
                };
            }
            Self::Item(parent, index) => {
                parent.write(out, is_dotted);
                let _ = write!(out, "[{index}]");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn a_map_entry_is_named_in_two_ways() {
        let spec = Path::Field(&Path::Root, "spec");
        let counters = Path::Field(&spec, "counters");
        let rooms = Path::Key(&counters, "rooms");
        let values = Path::Field(&rooms, "values");
        let value = Path::Item(&values, 3);
        assert_eq!(value.dotted(), "spec.counters.rooms.values[3]");
        assert_eq!(value.bracketed(), "spec.counters[rooms].values[3]");
        assert_eq!(Path::Root.bracketed(), "<nil>");
    }
}
