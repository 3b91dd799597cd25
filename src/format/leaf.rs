//! The leaves of a JSON document, read without a tree: names and scalar values borrowed from the body.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use crate::metric::Value;

/// A text, borrowed from the body unless it holds escapes; also the name of an object's field.
pub struct Name<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// What stands at one place of a JSON document.
pub enum Leaf<'a> {
    /// A finite number, as it was written; booleans are 0 and 1.
    Number(&'a str),
    /// NaN or an infinity: as a text, which is how Jackson writes them, or a number beyond a double.
    NotFinite,
    /// A text.
    Text(Cow<'a, str>),
    /// null, a list or an object.
    Other,
}

impl<'a> Leaf<'a> {
    /// What `raw` is.
    ///
    /// # Errors
    /// A text whose escapes are no text (a lone surrogate).
    pub fn of(raw: &'a RawValue) -> Result<Self, serde_json::Error> {
        let raw = raw.get();
        Ok(match raw.as_bytes()[0] {
            b'-' | b'0'..=b'9' => Leaf::number(raw),
            b't' => Leaf::Number("1"),
            b'f' => Leaf::Number("0"),
            b'"' => Leaf::text(serde_json::from_str::<Name<'a>>(raw)?.0),
            _ => Leaf::Other,
        })
    }

    /// What a number is. JSON's grammar lies within Zabbix's; what is left is that a double must hold it.
    pub fn number(raw: &'a str) -> Self {
        if is_finite(raw) {
            Leaf::Number(raw)
        } else {
            Leaf::NotFinite
        }
    }

    /// What a text is.
    pub fn text(text: Cow<'a, str>) -> Self {
        match &*text {
            "NaN" | "Infinity" | "-Infinity" => Leaf::NotFinite,
            _ => Leaf::Text(text),
        }
    }

    /// The leaf as a metric's value; `None` for what is no value.
    pub fn value(&self) -> Option<Value<'_>> {
        match self {
            Leaf::Number(number) => Some(Value::Number(number)),
            Leaf::Text(text) => Some(Value::Text(text)),
            Leaf::NotFinite | Leaf::Other => None,
        }
    }
}

/// Whether a double holds the number `raw`.
pub fn is_finite(raw: &str) -> bool {
    // Up to 300 digits without an exponent are always finite.
    let exponent = raw
        .bytes()
        .fold(false, |any, byte| any | (byte | 0x20 == b'e'));
    let plain = raw.len() <= 300 && !exponent;
    plain || raw.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(raw: &str) -> String {
        let raw: &RawValue = serde_json::from_str(raw).unwrap();
        match Leaf::of(raw).unwrap() {
            Leaf::Number(number) => format!("number {number}"),
            Leaf::NotFinite => "not finite".to_owned(),
            Leaf::Text(text) => format!("text {text}"),
            Leaf::Other => "other".to_owned(),
        }
    }

    #[test]
    fn numbers_keep_every_digit_that_was_written() {
        assert_eq!(leaf("9223372036854775807"), "number 9223372036854775807");
        assert_eq!(leaf("-0.10"), "number -0.10");
        assert_eq!(leaf("1.0E-4"), "number 1.0E-4");
    }

    #[test]
    fn what_no_double_holds_is_not_finite() {
        assert_eq!(leaf("1e999"), "not finite");
        assert_eq!(leaf("\"-Infinity\""), "not finite");
    }

    #[test]
    fn booleans_are_numbers_and_texts_lose_their_escapes() {
        assert_eq!(leaf("true"), "number 1");
        assert_eq!(leaf(r#""a\nb""#), "text a\nb");
        assert_eq!(leaf("[1]"), "other");
        assert_eq!(leaf("null"), "other");
    }
}
