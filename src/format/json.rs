//! Any other JSON, by its leaves: each number or boolean is a series, named by the path to it.
//!
//! The path's parts are joined by `.`; inside a part `.` is written `\.` and `\` is written `\\`, so that no two leaves
//! of a document share a name. Elements of arrays are counted from 0.

use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::leaf::{Leaf, Name};
use super::{Error, excerpt};
use crate::metric::{Collector, Kind, Series};

/// Reads `body` and tells `out` every leaf that is a number or a boolean. Texts and null are no measurements.
///
/// # Errors
/// What is wrong with the JSON, with line and column; a document that is no object or array, or is nested too deep.
pub fn read(body: &[u8], out: &mut dyn Collector) -> Result<(), Error> {
    // serde_json checks the syntax, without recursion and without a tree; the walk relies on it.
    let document: &RawValue =
        serde_json::from_slice(body).map_err(|error| Error::json("JSON", &error))?;
    if !document.get().starts_with(['{', '[']) {
        return Err(Error::Scalar(excerpt(document.get())));
    }
    Walk {
        path: String::new(),
        open: Vec::new(),
        at_name: false,
        out,
    }
    .document(document.get())
}

/// A document nested deeper than this is refused.
const MAX_DEPTH: usize = 64;

/// The way through a document, with the path to where it stands.
struct Walk<'a> {
    path: String,
    open: Vec<Open>,
    /// Whether the next text is the name of a member.
    at_name: bool,
    out: &'a mut dyn Collector,
}

/// An object or array that has been entered and not yet left.
struct Open {
    /// The length of the path to it.
    path: usize,
    /// In an array the number of the element that comes next.
    element: Option<usize>,
}

impl Walk<'_> {
    fn document(&mut self, text: &str) -> Result<(), Error> {
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',', ':']);
            match rest.as_bytes().first() {
                None => return Ok(()),
                Some(bracket @ (b'{' | b'[')) => {
                    self.enter(*bracket == b'[')?;
                    rest = &rest[1..];
                }
                Some(b'}' | b']') => {
                    self.open.pop();
                    self.value_ends();
                    rest = &rest[1..];
                }
                Some(_) => {
                    let mut scalars = serde_json::Deserializer::from_str(rest).into_iter();
                    if let Some(scalar) = scalars.next() {
                        let scalar = scalar.map_err(|error| Error::json("JSON", &error))?;
                        self.scalar(scalar)?;
                    }
                    rest = &rest[scalars.byte_offset()..];
                }
            }
        }
    }

    fn enter(&mut self, array: bool) -> Result<(), Error> {
        if self.open.len() == MAX_DEPTH {
            return Err(Error::Depth(MAX_DEPTH, excerpt(&self.path)));
        }
        self.value_begins();
        self.open.push(Open {
            path: self.path.len(),
            element: array.then_some(0),
        });
        self.at_name = !array;
        Ok(())
    }

    fn scalar(&mut self, raw: &RawValue) -> Result<(), Error> {
        if self.at_name {
            let Name(name) =
                serde_json::from_str(raw.get()).map_err(|error| Error::json("JSON", &error))?;
            self.separate();
            for c in name.chars() {
                if matches!(c, '.' | '\\') {
                    self.path.push('\\');
                }
                self.path.push(c);
            }
            self.at_name = false;
            return Ok(());
        }
        self.value_begins();
        // A text that cannot be decoded is a text all the same, and none of them counts.
        let leaf = Leaf::of(raw).unwrap_or(Leaf::Other);
        if matches!(leaf, Leaf::Number(_) | Leaf::NotFinite)
            && self.out.series(&Series::plain(Kind::Untyped, &self.path))
        {
            match leaf.value() {
                Some(value) => self.out.value("value", value),
                None => self.out.skip(),
            }
        }
        self.value_ends();
        Ok(())
    }

    /// An array's element has no name: its number is the part of the path.
    fn value_begins(&mut self) {
        if let Some(Open {
            element: Some(element),
            ..
        }) = self.open.last()
        {
            let element = *element;
            self.separate();
            // Writing to a String does not fail.
            let _ = write!(self.path, "{element}");
        }
    }

    fn value_ends(&mut self) {
        if let Some(open) = self.open.last_mut() {
            self.path.truncate(open.path);
            self.at_name = open.element.is_none();
            if let Some(element) = &mut open.element {
                *element += 1;
            }
        }
    }

    /// The first part of a path has nothing before it.
    fn separate(&mut self) {
        if self.open.len() > 1 {
            self.path.push('.');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metric::Value;
    use crate::metric::recorded::Recorded;

    fn told(body: &str) -> Vec<String> {
        let mut out = Recorded::default();
        read(body.as_bytes(), &mut out).unwrap();
        out.0
    }

    fn error(body: &str) -> String {
        read(body.as_bytes(), &mut Recorded::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn numbers_and_booleans_are_series_by_their_path() {
        assert_eq!(
            told(
                r#" { "up" : true, "pool":{"size":10,"load":[0.10, -1E+2,{"x":false}]} , "n":1 } "#
            ),
            [
                "untyped up",
                "  value 1",
                "untyped pool.size",
                "  value 10",
                "untyped pool.load.0",
                "  value 0.10",
                "untyped pool.load.1",
                "  value -1E+2",
                "untyped pool.load.2.x",
                "  value 0",
                "untyped n",
                "  value 1",
            ]
        );
    }

    #[test]
    fn texts_and_null_are_passed_over() {
        assert_eq!(
            told(r#"{"a":"1","b":null,"c":[],"d":{},"e":"\ud800","f":["{",2]}"#),
            ["untyped f.1", "  value 2"]
        );
    }

    #[test]
    fn what_is_not_finite_keeps_its_series_and_is_skipped() {
        assert_eq!(
            told(r#"["NaN", 1e999]"#),
            ["untyped 0", "  skip", "untyped 1", "  skip"]
        );
    }

    #[test]
    fn a_dot_inside_a_name_is_told_from_one_between_names() {
        assert_eq!(
            told(r#"{"a.b":1,"a":{"b":2},"a\\":{"b":3},"":{"":4}}"#),
            [
                r"untyped a\.b",
                "  value 1",
                "untyped a.b",
                "  value 2",
                r"untyped a\\.b",
                "  value 3",
                "untyped .",
                "  value 4",
            ]
        );
    }

    #[test]
    fn mistakes_name_their_place() {
        assert_eq!(
            error("{\"a\":1,\n\"b\":}"),
            "the body is no JSON: expected value at line 2 column 5"
        );
        assert_eq!(
            error("42"),
            "the body is a single value, where a JSON object or array is expected: \"42\""
        );
        let deep = "[".repeat(65) + &"]".repeat(65);
        assert!(error(&deep).starts_with("the JSON is nested deeper than 64 levels at \"0.0.0"));
        assert_eq!(told(&deep[1..129]), [""; 0]);
        assert!(error(&"[".repeat(1_000_000)).contains("line 1 column 1000000"));
    }

    /// Every path of `value` to a number, joined as the format promises.
    fn leaves(value: &serde_json::Value, parts: &mut Vec<String>, out: &mut Vec<String>) {
        let mut member = |part: String, value| {
            parts.push(part);
            leaves(value, parts, out);
            parts.pop();
        };
        match value {
            serde_json::Value::Object(map) => map
                .iter()
                .for_each(|(k, v)| member(k.replace('\\', r"\\").replace('.', r"\."), v)),
            serde_json::Value::Array(list) => list
                .iter()
                .enumerate()
                .for_each(|(i, v)| member(i.to_string(), v)),
            serde_json::Value::Number(number) => {
                out.push(format!("{} {number}", parts.join(".")));
            }
            _ => {}
        }
    }

    /// Writes down `name value`.
    #[derive(Default)]
    struct Pairs(String, Vec<String>);

    impl Collector for Pairs {
        fn series(&mut self, series: &Series<'_>) -> bool {
            series.name.clone_into(&mut self.0);
            true
        }

        fn value(&mut self, field: &str, value: Value<'_>) {
            let Value::Number(number) = value else {
                panic!("{field} is a text");
            };
            self.1.push(format!("{} {number}", self.0));
        }

        fn skip(&mut self) {
            panic!("JSON of finite numbers was skipped");
        }
    }

    fn documents() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Into::into),
            "[a\"\\\\{\\[,:.]{0,4}".prop_map(serde_json::Value::String),
            Just(serde_json::Value::Null),
        ];
        let tree = leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map("[ab.\\\\0\"é]{0,3}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        });
        proptest::collection::vec(tree, 0..3).prop_map(Into::into)
    }

    proptest! {
        #[test]
        fn every_leaf_of_any_document_is_told_once_under_its_own_name(document in documents()) {
            let mut expected = Vec::new();
            leaves(&document, &mut Vec::new(), &mut expected);
            for body in [document.to_string(), serde_json::to_string_pretty(&document).unwrap()] {
                let mut out = Pairs::default();
                read(body.as_bytes(), &mut out).unwrap();
                prop_assert_eq!(&out.1, &expected);
            }
            let names: std::collections::HashSet<_> =
                expected.iter().map(|pair| pair.rsplit_once(' ').unwrap().0).collect();
            prop_assert_eq!(names.len(), expected.len());
        }
    }
}
