//! Any other JSON, by its leaves: each number or boolean is a series, named by the path to it.
//!
//! The path's parts are joined by `.`; inside a part `.` is written `\.` and `\` is written `\\`, so that no two leaves
//! of a document share a name. Elements of arrays are counted from 0.

use std::fmt::Write as _;

use jiter::Peek;

use super::leaf::Leaf;
use super::reader::Reader;
use super::{Error, excerpt};
use crate::metric::{Collector, Kind, Series};

/// Reads `body` and tells `out` every leaf that is a number or a boolean. Texts and null are no measurements.
///
/// # Errors
/// What is wrong with the JSON, with line and column; a document that is no object or array, or is nested too deep.
pub fn read(body: &[u8], out: &mut dyn Collector) -> Result<(), Error> {
    let mut json = Reader::new("JSON", body)?;
    let first = json.peek()?;
    if first != Peek::Object && first != Peek::Array {
        json.skip()?;
        json.end()?;
        let text = String::from_utf8_lossy(body.trim_ascii());
        return Err(Error::Scalar(excerpt(&text)));
    }
    let mut walk = Walk {
        json,
        path: String::new(),
        depth: 0,
        out,
    };
    walk.value(first)?;
    walk.json.end()
}

/// A document nested deeper than this is refused.
const MAX_DEPTH: usize = 64;

/// The way through a document, with the path to where it stands.
struct Walk<'a, 'o> {
    json: Reader<'a>,
    path: String,
    /// How many objects and arrays have been entered and not yet left.
    depth: usize,
    out: &'o mut dyn Collector,
}

impl Walk<'_, '_> {
    fn value(&mut self, peek: Peek) -> Result<(), Error> {
        let inside = match peek {
            Peek::Object => Self::object,
            Peek::Array => Self::array,
            _ => return self.scalar(peek),
        };
        if self.depth == MAX_DEPTH {
            return Err(Error::Depth(MAX_DEPTH, excerpt(&self.path)));
        }
        self.depth += 1;
        inside(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Error> {
        let end = self.path.len();
        let mut name = String::new();
        let mut more = self.json.enter(&mut name)?;
        while more {
            self.separate();
            for c in name.chars() {
                if matches!(c, '.' | '\\') {
                    self.path.push('\\');
                }
                self.path.push(c);
            }
            let peek = self.json.peek()?;
            self.value(peek)?;
            self.path.truncate(end);
            more = self.json.next(&mut name)?;
        }
        Ok(())
    }

    fn array(&mut self) -> Result<(), Error> {
        let end = self.path.len();
        let mut next = self.json.enter_array()?;
        let mut element = 0u64;
        while let Some(peek) = next {
            self.separate();
            // Writing to a String does not fail.
            let _ = write!(self.path, "{element}");
            self.value(peek)?;
            self.path.truncate(end);
            element += 1;
            next = self.json.next_element()?;
        }
        Ok(())
    }

    fn scalar(&mut self, peek: Peek) -> Result<(), Error> {
        let leaf = self.json.leaf(peek)?;
        if matches!(leaf, Leaf::Number(_) | Leaf::NotFinite)
            && self.out.series(&Series::plain(Kind::Untyped, &self.path))
        {
            match leaf.value() {
                Some(value) => self.out.value("value", value),
                None => self.out.skip(),
            }
        }
        Ok(())
    }

    /// The first part of a path has nothing before it.
    fn separate(&mut self) {
        if self.depth > 1 {
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
            told(r#"{"a":"1","b":null,"c":[],"d":{},"f":["{",2]}"#),
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
        assert!(error(&"[".repeat(1_000_000)).starts_with("the JSON is nested deeper"));
        assert!(error(r#"{"a":"\ud800"}"#).contains("escape at line 1 column"));
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
