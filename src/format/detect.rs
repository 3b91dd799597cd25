//! Which format a body has: by its content type where that says it, else by its shape.

use jiter::Peek;

use super::reader::Reader;
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
            shape => shape,
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

/// Which of the JSON formats an object is, by the first levels of it. Dropwizard's is known by its first metric, so that
/// a large body is not read twice.
fn json_shape(text: &[u8]) -> Result<Format, Error> {
    let mut json = Reader::new("JSON", text)?;
    let mut shape = Shape::default();
    let mut name = String::new();
    let mut more = json.enter(&mut name)?;
    while more {
        shape.keys += 1;
        let next = json.peek()?;
        match name.as_str() {
            "gauges" | "counters" | "histograms" | "meters" | "timers" if next == Peek::Object => {
                let mut metric = json.enter(&mut name)?;
                shape.sections |= !metric;
                if metric && json.peek()? == Peek::Object {
                    return Ok(Format::Dropwizard);
                }
                while metric {
                    json.skip()?;
                    metric = json.next(&mut name)?;
                }
            }
            member => {
                match member {
                    "version" => shape.version = next == Peek::String,
                    "names" => shape.names = next == Peek::Array,
                    "name" => shape.name = next == Peek::String,
                    "measurements" => shape.measurements = next == Peek::Array,
                    _ => {}
                }
                json.skip()?;
            }
        }
        more = json.next(&mut name)?;
    }
    json.end()?;
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
    version: bool,
    /// An empty section of Dropwizard's.
    sections: bool,
    names: bool,
    name: bool,
    measurements: bool,
    keys: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content_type: &str, body: &str) -> Format {
        detect(Some(content_type), body.as_bytes()).unwrap()
    }

    fn error(content_type: Option<&str>, body: &[u8]) -> String {
        detect(content_type, body).unwrap_err().to_string()
    }

    #[test]
    fn bodies_of_real_programs_are_told_apart_without_a_content_type() {
        for (body, format) in [
            (
                include_str!("../../tests/bodies/pyctuator-index.json"),
                Format::Actuator,
            ),
            (
                include_str!("../../tests/bodies/pyctuator-meter.json"),
                Format::Actuator,
            ),
            (
                include_str!("../../tests/bodies/node-exporter.prom"),
                Format::Prometheus,
            ),
            (
                include_str!("../../tests/bodies/prometheus-client.om"),
                Format::Prometheus,
            ),
            (
                include_str!("../../tests/bodies/etcd-vars.json"),
                Format::Json,
            ),
            (
                include_str!("../../tests/bodies/dropwizard.json"),
                Format::Dropwizard,
            ),
        ] {
            assert_eq!(detect(None, body.as_bytes()), Ok(format), "{body}");
        }
    }

    #[test]
    fn the_content_type_decides_where_it_names_the_format() {
        let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(found(openmetrics, "# EOF\n"), Format::Prometheus);
        assert_eq!(
            found("Text/Plain; version=0.0.4", "# nothing\n"),
            Format::Prometheus
        );
        assert_eq!(
            error(
                Some("application/vnd.google.protobuf; proto=x"),
                b"\x0a\x01"
            ),
            "the body is binary (Prometheus' protobuf): metrics are read as text or JSON"
        );
    }

    #[test]
    fn a_shape_decides_where_the_content_type_says_nothing_or_something_else() {
        let sections = r#"{"version":"4.0.0","gauges":{},"timers":{"t":{"count":1}}}"#;
        assert_eq!(found("application/json", sections), Format::Dropwizard);
        assert_eq!(
            found("text/html", r#"{"version":"3.1.3","gauges":{}}"#),
            Format::Dropwizard
        );
        assert_eq!(
            found("application/json", r#"{"gauges":{"a":1},"version":"1"}"#),
            Format::Json
        );
        assert_eq!(
            found("application/json", r#"{"timers":[],"names":["a"]}"#),
            Format::Json
        );
        let health = "application/vnd.spring-boot.actuator.v3+json";
        assert_eq!(found(health, r#"{"status":"UP"}"#), Format::Json);
        assert_eq!(found("application/json", " [1]"), Format::Json);
        assert_eq!(
            found("text/html", "\n# a comment\nup 1\n"),
            Format::Prometheus
        );
        assert_eq!(found("", r#"{"my.metric",a="b"} 1"#), Format::Prometheus);
    }

    #[test]
    fn what_is_no_metrics_is_named() {
        assert_eq!(error(None, b" \n"), "the body is empty");
        assert_eq!(
            error(
                Some("text/html"),
                b"<!DOCTYPE html><html><head><TITLE lang=en>\n Log in </TITLE></head></html>"
            ),
            "the body is an HTML page titled \"Log in\", not metrics: check the URL's path, and whether it asks for a login"
        );
        assert!(error(None, b"<html><title>cut").starts_with("the body is an HTML page, not"));
        assert!(error(None, b"<?xml version=\"1.0\"?><a/>").contains("XML document"));
        assert!(error(None, b"\x1f\x8b\x08\0").contains("gzip, though"));
        assert!(error(None, b"a\0b").contains("control characters"));
        assert_eq!(
            error(None, b"{\"a\":1,\n\"b\""),
            "the body is no JSON: EOF while parsing an object at line 2 column 3"
        );
    }

    #[test]
    fn what_cannot_be_told_lists_what_was_tried() {
        assert_eq!(
            error(Some("text/plain"), b"404 page not found\n"),
            "the body's format cannot be told (content type \"text/plain\"): it is no JSON, which begins with a brace or \
             bracket; it is no HTML or XML; it is no Prometheus text: line 1 is no Prometheus sample: it has no metric's \
             name: \"404 page not found\""
        );
        assert!(error(None, b"# only this\n").ends_with("it holds nothing but comments"));
    }
}
