//! What a body means: each format reads a body and tells a [`Collector`] what is in it.

pub mod actuator;
mod budget;
mod detect;
pub mod dropwizard;
pub mod json;
mod leaf;
pub mod prometheus;
mod reader;

pub use budget::Budget;
pub use detect::detect;

/// What a source's body is, in the words of `courier.toml`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Found out by content type and shape.
    #[default]
    Auto,
    /// Dropwizard Metrics' JSON.
    Dropwizard,
    /// Spring Boot Actuator's `/actuator/metrics`.
    Actuator,
    /// Prometheus text 0.0.4 or OpenMetrics 1.0.
    Prometheus,
    /// Any other JSON, by its leaves.
    Json,
}

/// Reads a whole body and tells `out` every series and value; all bodies of an errand share one budget.
///
/// Of Actuator that is one meter; an index is read with [`actuator::names`], and each of its meters fetched.
///
/// # Errors
/// What is wrong with the body, and where.
pub fn read(format: Format, body: &[u8], out: &mut Budget<'_>) -> Result<(), Error> {
    // An application that is starting up may answer with nothing, which must not look as if it had no metrics.
    if body.trim_ascii().is_empty() {
        return Err(Error::Empty);
    }
    if format == Format::Auto {
        return read(detect(None, body)?, body, out);
    }
    out.grant(body.len());
    match format {
        // It was found out above.
        Format::Auto => Ok(()),
        Format::Dropwizard => dropwizard::read(body, out),
        Format::Actuator => actuator::meter(body, out),
        Format::Prometheus => prometheus::read(body, out),
        Format::Json => json::read(body, out),
    }?;
    if out.exceeded() {
        return Err(Error::TooMuch);
    }
    Ok(())
}

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// A page for people, with its title.
    #[error(
        "the body is an HTML page{0}, not metrics: check the URL's path, and whether it asks for a login"
    )]
    Html(String),
    /// XML that is no HTML.
    #[error("the body is an XML document, which holds no metrics that can be read")]
    Xml,
    /// Neither text nor JSON.
    #[error("the body is binary ({0}): metrics are read as text or JSON")]
    Binary(&'static str),
    /// Text of no known format.
    #[error(
        "the body's format cannot be told (content type {content_type}): it is no JSON, which begins with a brace or \
         bracket; it is no HTML or XML; it is no Prometheus text: {prometheus}"
    )]
    Unknown {
        /// The content type, quoted.
        content_type: String,
        /// Why it is no Prometheus text.
        prometheus: String,
    },
    /// A line of Prometheus text or OpenMetrics that is neither a comment nor a sample.
    #[error("line {line} is no Prometheus sample: {mistake}: {excerpt}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        mistake: &'static str,
        /// Its beginning, quoted.
        excerpt: String,
    },
    /// JSON that is malformed or not what its format says.
    #[error("the body is no {format}: {mistake}")]
    Json {
        /// What was expected.
        format: &'static str,
        /// What is wrong with it, with line and column.
        mistake: String,
    },
    /// JSON that is a single text, number, boolean or null.
    #[error("the body is a single value, where a JSON object or array is expected: {0}")]
    Scalar(String),
    /// More than is made of any body.
    #[error(
        "the body's values, each with its name written out, take more than 64 MiB and 4 times the body: its names are too \
         long for so many values"
    )]
    TooMuch,
    /// JSON with more levels than are followed.
    #[error("the JSON is nested deeper than {0} levels at {1}")]
    Depth(usize, String),
}

impl Error {
    fn json(format: &'static str, error: &serde_json::Error) -> Self {
        // A mistake may quote a text of any length from the body; its place stands at the end.
        let mistake = error.to_string();
        let mistake = match mistake.char_indices().nth(200) {
            None => mistake,
            Some((end, _)) => format!(
                "{}... at line {} column {}",
                &mistake[..end],
                error.line(),
                error.column()
            ),
        };
        Error::Json { format, mistake }
    }
}

/// The beginning of a text from outside, quoted, on one line.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::recorded::Recorded;

    fn told(format: Format, body: &str) -> Result<Vec<String>, Error> {
        let mut out = Recorded::default();
        read(format, body.as_bytes(), &mut Budget::new(&mut out)).map(|()| out.0)
    }

    #[test]
    fn every_format_is_read_by_its_own_rules_and_auto_by_those_of_the_one_that_it_finds() {
        let meter = r#"{"name":"m","measurements":[{"statistic":"COUNT","value":1}]}"#;
        for (format, body, first) in [
            (Format::Prometheus, "# TYPE a gauge\na 1\n", "gauge a"),
            (
                Format::Dropwizard,
                r#"{"timers":{"a":{"count":1}}}"#,
                "timer a",
            ),
            (Format::Actuator, meter, "counter m"),
            (Format::Json, r#"{"a":[1]}"#, "untyped a.0"),
        ] {
            for format in [format, Format::Auto] {
                assert_eq!(told(format, body).unwrap()[0], first);
            }
        }
        assert_eq!(
            told(Format::Json, meter).unwrap()[0],
            "untyped measurements.0.value"
        );
    }

    #[test]
    fn an_empty_body_is_a_failure_in_every_format() {
        for format in [Format::Auto, Format::Prometheus, Format::Json] {
            assert_eq!(told(format, " \r\n"), Err(Error::Empty));
        }
    }
}
