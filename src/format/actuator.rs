//! Spring Boot Actuator's `/actuator/metrics`: an index of names, and below it a document for each meter.
//!
//! What a meter is follows from the statistics that it has, since its document does not say.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Error;
use super::leaf::{Leaf, Name};
use crate::metric::{Collector, Kind, Series, Value};

/// Reads the index: the names of the meters; `None` where the body has no list of names, as a meter has none.
///
/// # Errors
/// What is wrong with the JSON; names that have no path below the index; more names than can be asked for.
pub fn names(body: &[u8]) -> Result<Option<Vec<String>>, Error> {
    #[derive(Deserialize)]
    struct Index {
        names: Option<Names>,
    }

    let index: Index = serde_json::from_slice(body)
        .map_err(|error| Error::json("index of Actuator meters", &error))?;
    Ok(index.names.map(|names| names.0))
}

/// What follows the index's path in the path of the meter `name`: one segment, percent-encoded.
pub fn segment(name: &str) -> String {
    /// The characters that stand for themselves in any part of a URL (RFC 3986, section 2.3).
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(name, RESERVED).to_string()
}

/// Reads one meter and tells `out` its series and values.
///
/// # Errors
/// What is wrong with the JSON, with line and column.
pub fn meter(body: &[u8], out: &mut dyn Collector) -> Result<(), Error> {
    let meter: Meter<'_> =
        serde_json::from_slice(body).map_err(|error| Error::json("Actuator meter", &error))?;
    let has = |statistic| {
        meter
            .measurements
            .iter()
            .any(|m| m.statistic.0 == statistic)
    };
    let only = |statistic| {
        meter
            .measurements
            .iter()
            .all(|m| m.statistic.0 == statistic)
    };
    let kind = if meter.measurements.is_empty() {
        return Ok(());
    } else if has("COUNT") && has("TOTAL_TIME") || has("ACTIVE_TASKS") && has("DURATION") {
        Kind::Timer
    } else if has("COUNT") && has("TOTAL") {
        Kind::Summary
    } else if only("COUNT") {
        Kind::Counter
    } else if only("VALUE") {
        Kind::Gauge
    } else {
        Kind::Untyped
    };
    let series = Series {
        kind,
        name: &meter.name.0,
        labels: &[],
        help: meter.description.as_ref().map_or("", |text| &text.0),
        unit: meter.base_unit.as_ref().map_or("", |text| &text.0),
    };
    if !out.series(&series) {
        return Ok(());
    }
    let mut told = Vec::new();
    for Measurement { statistic, value } in &meter.measurements {
        let leaf = Leaf::of(value).map_err(|error| Error::json("Actuator meter", &error))?;
        match (field(&statistic.0), leaf) {
            // A second one would be a second value of the same item.
            (Some(field), Leaf::Number(number)) if !told.contains(&field) => {
                told.push(field);
                out.value(field, Value::Number(number));
            }
            _ => out.skip(),
        }
    }
    Ok(())
}

/// A meter's document; its tags are left to `/actuator/prometheus`.
#[derive(Deserialize)]
struct Meter<'a> {
    #[serde(borrow)]
    name: Name<'a>,
    #[serde(borrow, default)]
    description: Option<Name<'a>>,
    #[serde(borrow, default, rename = "baseUnit")]
    base_unit: Option<Name<'a>>,
    #[serde(borrow)]
    measurements: Vec<Measurement<'a>>,
}

#[derive(Deserialize)]
struct Measurement<'a> {
    #[serde(borrow)]
    statistic: Name<'a>,
    #[serde(borrow)]
    value: &'a RawValue,
}

/// The field that a statistic is told as.
fn field(statistic: &str) -> Option<&'static str> {
    Some(match statistic {
        "COUNT" => "count",
        "TOTAL" | "TOTAL_TIME" => "total",
        "MAX" => "max",
        "VALUE" | "UNKNOWN" => "value",
        "ACTIVE_TASKS" => "active",
        "DURATION" => "duration",
        _ => return None,
    })
}

/// More meters than this are refused: each costs a request, and all have to be answered before one deadline.
const MAX_METERS: usize = 10_000;

/// The names of an index, each of which has a path below it.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Names, S::Error> {
        let mut names = Vec::new();
        while let Some(Name(name)) = list.next_element()? {
            // They would lead to the index itself, or above it.
            if matches!(&*name, "" | "." | "..") {
                return Err(S::Error::custom(format_args!(
                    "{name:?} is no meter's name"
                )));
            }
            if names.len() == MAX_METERS {
                return Err(S::Error::custom(format_args!(
                    "it lists more than {MAX_METERS} meters, each of which is a request; read /actuator/prometheus, which is one"
                )));
            }
            names.push(name.into_owned());
        }
        Ok(Names(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::recorded::Recorded;

    fn told(measurements: &str) -> Vec<String> {
        let body = format!(
            r#"{{"name":"m","description":"d","baseUnit":"seconds","measurements":[{measurements}],"availableTags":[]}}"#
        );
        let mut out = Recorded::default();
        meter(body.as_bytes(), &mut out).unwrap();
        out.0
    }

    fn statistics(pairs: &[(&str, &str)]) -> String {
        let list: Vec<_> = pairs
            .iter()
            .map(|(statistic, value)| format!(r#"{{"statistic":"{statistic}","value":{value}}}"#))
            .collect();
        list.join(",")
    }

    #[test]
    fn the_statistics_decide_what_a_meter_is() {
        let check = |measurements: &[(&str, &str)], expected: &[&str]| {
            assert_eq!(told(&statistics(measurements)), expected);
        };
        check(
            &[("COUNT", "2"), ("TOTAL_TIME", "0.50"), ("MAX", "0.3")],
            &["timer m", "  count 2", "  total 0.50", "  max 0.3"],
        );
        check(
            &[("ACTIVE_TASKS", "1"), ("DURATION", "3.0E-4")],
            &["timer m", "  active 1", "  duration 3.0E-4"],
        );
        check(
            &[("COUNT", "2"), ("TOTAL", "9")],
            &["summary m", "  count 2", "  total 9"],
        );
        check(&[("COUNT", "2")], &["counter m", "  count 2"]);
        check(&[("VALUE", "2")], &["gauge m", "  value 2"]);
        check(&[("UNKNOWN", "2")], &["untyped m", "  value 2"]);
        check(
            &[("VALUE", "2"), ("UNKNOWN", "3"), ("OTHER", "4")],
            &["untyped m", "  value 2", "  skip", "  skip"],
        );
        check(&[], &[]);
    }

    #[test]
    fn not_a_number_keeps_its_series_and_is_skipped() {
        assert_eq!(
            told(&statistics(&[("VALUE", "\"NaN\"")])),
            ["gauge m", "  skip"]
        );
    }

    #[test]
    fn meters_of_pyctuator_are_read() {
        let mut out = Recorded::default();
        meter(
            include_bytes!("../../tests/bodies/pyctuator-meter.json"),
            &mut out,
        )
        .unwrap();
        assert_eq!(out.0, ["gauge memory.rss", "  value 34349056"]);
        assert_eq!(
            names(include_bytes!("../../tests/bodies/pyctuator-index.json"))
                .unwrap()
                .unwrap(),
            [
                "memory.rss",
                "memory.vms",
                "memory.shared",
                "memory.text",
                "memory.lib",
                "memory.data",
                "memory.dirty",
                "thread.count"
            ]
        );
    }

    #[test]
    fn help_and_unit_are_the_meters_own() {
        struct Seen(String);

        impl Collector for Seen {
            fn series(&mut self, series: &Series<'_>) -> bool {
                self.0 = format!("{} {}", series.help, series.unit);
                false
            }

            fn value(&mut self, _: &str, _: Value<'_>) {}

            fn skip(&mut self) {}
        }

        let body = br#"{"measurements":[{"statistic":"VALUE","value":1}],"baseUnit":"bytes","description":"Heap\tused","name":"m"}"#;
        let mut seen = Seen(String::new());
        meter(body, &mut seen).unwrap();
        assert_eq!(seen.0, "Heap\tused bytes");
    }

    #[test]
    fn a_name_is_one_segment_of_the_path() {
        assert_eq!(segment("jvm.memory_used-x~"), "jvm.memory_used-x~");
        assert_eq!(segment("../a b?c#d%é"), "..%2Fa%20b%3Fc%23d%25%C3%A9");
    }

    #[test]
    fn names_without_a_path_of_their_own_are_refused() {
        for name in ["", ".", ".."] {
            let body = format!(r#"{{"names":["a","{name}"]}}"#);
            let error = names(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("is no meter's name"), "{error}");
        }
        let many = format!(r#"{{"names":["a"{}]}}"#, r#","a""#.repeat(MAX_METERS));
        let error = names(many.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("/actuator/prometheus"), "{error}");
    }

    #[test]
    fn a_meter_is_no_index_and_the_index_no_meter() {
        assert_eq!(names(br#"{"name":"m","measurements":[]}"#), Ok(None));
        let error = meter(br#"{"names":[]}"#, &mut Recorded::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the body is no Actuator meter: missing field `name` at line 1 column 12"
        );
        assert!(names(br#"{"names":"#).is_err());
    }
}
