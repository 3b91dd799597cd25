//! Dropwizard Metrics' JSON, versions 3.x and 4.x: what `MetricsModule` of metrics-json writes.
//!
//! An object with the sections gauges, counters, histograms, meters and timers, any of which may be missing;
//! each holds objects by metric name, and those their fields.

use jiter::Peek;

use super::Error;
use super::leaf::Leaf;
use super::reader::Reader;
use crate::metric::{Collector, Kind, Series};

/// Reads `body` and tells `out` every series and value.
///
/// # Errors
/// What is wrong with the JSON, with line and column.
pub fn read(body: &[u8], out: &mut dyn Collector) -> Result<(), Error> {
    let mut json = Reader::new("Dropwizard JSON", body)?;
    let mut section = String::new();
    let mut more = json.enter(&mut section)?;
    while more {
        let kind = match section.as_str() {
            "gauges" => Some(Kind::Gauge),
            "counters" => Some(Kind::Counter),
            "histograms" => Some(Kind::Histogram),
            "meters" => Some(Kind::Meter),
            "timers" => Some(Kind::Timer),
            _ => None,
        };
        match kind {
            Some(kind) => metrics(&mut json, kind, out)?,
            None => json.skip()?,
        }
        more = json.next(&mut section)?;
    }
    json.end()
}

/// The fields that name a unit and hold no measurement.
const UNITS: [&str; 3] = ["duration_units", "rate_units", "units"];

/// One section: metrics by name.
fn metrics(json: &mut Reader<'_>, kind: Kind, out: &mut dyn Collector) -> Result<(), Error> {
    let (mut name, mut field) = (String::new(), String::new());
    let mut more = json.enter(&mut name)?;
    while more {
        if kind == Kind::Gauge {
            gauge(json, &name, &mut field, out)?;
        } else if out.series(&Series::plain(kind, &name)) {
            fields(json, &mut field, out)?;
        } else {
            json.skip()?;
        }
        more = json.next(&mut name)?;
    }
    Ok(())
}

/// A gauge: its value's type decides what the series is.
fn gauge(
    json: &mut Reader<'_>,
    name: &str,
    field: &mut String,
    out: &mut dyn Collector,
) -> Result<(), Error> {
    // A gauge that failed has `error` in place of `value`.
    let mut value = Leaf::Other;
    let mut more = json.enter(field)?;
    while more {
        let peek = json.peek()?;
        let leaf = json.leaf(peek)?;
        if field == "value" {
            value = leaf;
        }
        more = json.next(field)?;
    }
    let kind = match value {
        Leaf::Text(_) => Kind::Text,
        Leaf::Other => {
            out.skip();
            return Ok(());
        }
        Leaf::Number(_) | Leaf::NotFinite => Kind::Gauge,
    };
    if out.series(&Series::plain(kind, name)) {
        tell(out, "value", &value);
    }
    Ok(())
}

/// The fields of a counter, histogram, meter or timer.
fn fields(json: &mut Reader<'_>, field: &mut String, out: &mut dyn Collector) -> Result<(), Error> {
    let mut more = json.enter(field)?;
    while more {
        let peek = json.peek()?;
        if peek == Peek::String && UNITS.contains(&field.as_str()) {
            json.skip()?;
        } else {
            match json.leaf(peek)? {
                // A numeric item would become unsupported by a text.
                Leaf::Text(_) => out.skip(),
                leaf => tell(out, field, &leaf),
            }
        }
        more = json.next(field)?;
    }
    Ok(())
}

fn tell(out: &mut dyn Collector, field: &str, leaf: &Leaf<'_>) {
    match leaf.value() {
        Some(value) => out.value(field, value),
        None => out.skip(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::recorded::Recorded;

    fn told(body: &str) -> Vec<String> {
        let mut out = Recorded::default();
        read(body.as_bytes(), &mut out).unwrap();
        out.0
    }

    #[test]
    fn all_five_sections_give_their_fields_as_they_are_named() {
        let body = r#"{"version":"3.1.3",
            "gauges":{"jvm.used":{"value":42}},
            "counters":{"hits":{"count":7}},
            "histograms":{"sizes":{"count":1,"p99":2.5}},
            "meters":{"rps":{"count":3,"m1_rate":0.25,"units":"events/second"}},
            "timers":{"get":{"count":45,"p999":1.0E-4,"duration_units":"seconds","rate_units":"calls/second"}}}"#;
        assert_eq!(
            told(body),
            [
                "gauge jvm.used",
                "  value 42",
                "counter hits",
                "  count 7",
                "histogram sizes",
                "  count 1",
                "  p99 2.5",
                "meter rps",
                "  count 3",
                "  m1_rate 0.25",
                "timer get",
                "  count 45",
                "  p999 1.0E-4",
            ]
        );
    }

    #[test]
    fn a_missing_section_is_no_mistake() {
        assert_eq!(told(r#"{"version":"4.0.0","counters":{}}"#), [""; 0]);
    }

    #[test]
    fn gauges_are_numbers_booleans_or_texts_and_the_rest_is_left_out() {
        let body = r#"{"gauges":{
            "big":{"value":9223372036854775807},
            "yes":{"value":true},
            "no":{"value":false},
            "text":{"value":"a\u0041\"b"},
            "nan":{"value":"NaN"},
            "list":{"value":[1,2]},
            "null":{"value":null},
            "broken":{"error":"java.lang.RuntimeException"}}}"#;
        assert_eq!(
            told(body),
            [
                "gauge big",
                "  value 9223372036854775807",
                "gauge yes",
                "  value 1",
                "gauge no",
                "  value 0",
                "text text",
                "  value \"aA\\\"b\"",
                "gauge nan",
                "  skip",
                "  skip",
                "  skip",
                "  skip",
            ]
        );
    }

    #[test]
    fn not_a_number_in_a_timer_is_left_out_alone() {
        assert_eq!(
            told(r#"{"timers":{"t":{"count":1,"mean":"NaN","max":"Infinity","min":2}}}"#),
            ["timer t", "  count 1", "  skip", "  skip", "  min 2"]
        );
    }

    #[test]
    fn truncated_and_trailing_json_are_errors() {
        for body in [
            r#"{"timers":{"t":{"count":1"#,
            r#"{"timers":{}} x"#,
            "[]",
            r#"{"timers":[]}"#,
        ] {
            assert!(
                read(body.as_bytes(), &mut Recorded::default()).is_err(),
                "{body}"
            );
        }
    }
}
