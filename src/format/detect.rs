//! Which format a body has: by its content type where that says it, else by its shape.

use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::leaf::Name;
use super::{Error, Format, excerpt, prometheus};

/// The format of `body`, never [`Format::Auto`].
///
/// # Errors
/// What the body is instead, or everything that was tried.
pub fn detect(content_type: Option<&str>, body: &[u8]) -> Result<Format, Error> {
    let text = body.trim_ascii_start();
    let Some(first) = text.first() else {
        return Err(Error::Empty);
    };
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    let (media, parameters) = content_type.split_once(';').unwrap_or((&content_type, ""));
    match media.trim() {
        "application/openmetrics-text" => return Ok(Format::Prometheus),
        "text/plain" if parameters.contains("version=0.0.4") => return Ok(Format::Prometheus),
        "application/vnd.google.protobuf" => return Err(Error::Binary("Prometheus' protobuf")),
        _ => {}
    }
    match first {
        b'<' => Err(markup(text)),
        b'[' => Ok(Format::Json),
        // A Prometheus name in quotes stands in braces too: `{"my.metric"} 1`.
        b'{' => match json_shape(text) {
            Err(_) if prometheus::begins(body).is_ok_and(|begins| begins) => Ok(Format::Prometheus),
            shape => shape.map_err(|error| Error::json("JSON", &error)),
        },
        _ => {
            if let Some(what) = binary(text) {
                return Err(Error::Binary(what));
            }
            let prometheus = match prometheus::begins(body) {
                Ok(true) => return Ok(Format::Prometheus),
                Ok(false) => "it holds nothing but comments".to_owned(),
                Err(error) => error.to_string(),
            };
            let content_type = excerpt(&content_type);
            Err(Error::Unknown {
                content_type,
                prometheus,
            })
        }
    }
}

/// A page, named by its title so that a login or an error page is known at once.
fn markup(text: &[u8]) -> Error {
    let start = String::from_utf8_lossy(&text[..text.len().min(4096)]);
    // Lower case in ASCII alone keeps every offset.
    let lower = start.to_ascii_lowercase();
    if !lower.starts_with("<!doctype html") && !lower.contains("<html") {
        return Error::Xml;
    }
    let title = lower.find("<title").and_then(|at| {
        let from = at + lower[at..].find('>')? + 1;
        let to = from + lower[from..].find("</title")?;
        Some(start[from..to].trim())
    });
    Error::Html(title.map_or_else(String::new, |title| format!(" titled {}", excerpt(title))))
}

/// What kind of binary data `text` is, if it is.
fn binary(text: &[u8]) -> Option<&'static str> {
    if text.starts_with(&[0x1f, 0x8b]) {
        return Some("gzip, though the Content-Encoding does not say so");
    }
    let start = &text[..text.len().min(1024)];
    start
        .iter()
        .any(|b| *b < b' ' && !b.is_ascii_whitespace())
        .then_some("it holds control characters")
}

/// Which of the JSON formats an object is, by the first levels of it.
fn json_shape(text: &[u8]) -> Result<Format, serde_json::Error> {
    let mut shape = Shape::default();
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = json.deserialize_map(&mut shape).and_then(|()| json.end());
    if shape.dropwizard {
        return Ok(Format::Dropwizard);
    }
    read?;
    let index = shape.names && shape.keys == 1;
    let meter = shape.name && shape.measurements;
    Ok(if index || meter {
        Format::Actuator
    } else if shape.version && shape.sections {
        // Dropwizard without a single metric.
        Format::Dropwizard
    } else {
        Format::Json
    })
}

/// What was seen of an object.
#[derive(Default)]
struct Shape {
    dropwizard: bool,
    version: bool,
    sections: bool,
    names: bool,
    name: bool,
    measurements: bool,
    keys: usize,
}

impl<'de> Visitor<'de> for &mut Shape {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(Name(key)) = map.next_key()? {
            self.keys += 1;
            match &*key {
                "gauges" | "counters" | "histograms" | "meters" | "timers" => {
                    match first_member(map.next_value()?) {
                        // Enough is known: the error ends the reading.
                        Some(member) if member.starts_with('{') => {
                            self.dropwizard = true;
                            return Err(M::Error::custom("known"));
                        }
                        Some(_) => {}
                        None => self.sections = true,
                    }
                }
                "version" => self.version = is_a('"', map.next_value()?),
                "names" => self.names = is_a('[', map.next_value()?),
                "name" => self.name = is_a('"', map.next_value()?),
                "measurements" => self.measurements = is_a('[', map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

fn is_a(opening: char, raw: &RawValue) -> bool {
    raw.get().starts_with(opening)
}

/// The text from the first member's value on, if `raw` is an object that has one; a value that is no object is its own.
fn first_member(raw: &RawValue) -> Option<&str> {
    let Some(inside) = raw.get().strip_prefix('{') else {
        return Some("");
    };
    let mut members = serde_json::Deserializer::from_str(inside).into_iter::<&RawValue>();
    members.next()?.ok()?;
    let value = inside[members.byte_offset()..].trim_ascii_start();
    Some(value.strip_prefix(':')?.trim_ascii_start())
}
