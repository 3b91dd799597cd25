//! Dropwizard Metrics' JSON, versions 3.x and 4.x: what `MetricsModule` of metrics-json writes.
//!
//! An object with the sections gauges, counters, histograms, meters and timers, any of which may be missing;
//! each holds objects by metric name, and those their fields.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::leaf::{Leaf, Name};
use crate::metric::{Collector, Kind, Series};

/// Reads `body` and tells `out` every series and value.
///
/// # Errors
/// What is wrong with the JSON, with line and column.
pub fn read(body: &[u8], out: &mut dyn Collector) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    json.deserialize_map(Document { out })?;
    json.end()
}

/// The fields that name a unit and hold no measurement.
const UNITS: [&str; 3] = ["duration_units", "rate_units", "units"];

struct Document<'a> {
    out: &'a mut dyn Collector,
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with Dropwizard's sections")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(section) = map.next_key::<Cow<'de, str>>()? {
            let kind = match &*section {
                "gauges" => Kind::Gauge,
                "counters" => Kind::Counter,
                "histograms" => Kind::Histogram,
                "meters" => Kind::Meter,
                "timers" => Kind::Timer,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(Section {
                kind,
                out: self.out,
            })?;
        }
        Ok(())
    }
}

/// One section: metrics by name.
struct Section<'a> {
    kind: Kind,
    out: &'a mut dyn Collector,
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of {}s by name", self.kind)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let (name, out) = (&*name, &mut *self.out);
            if self.kind == Kind::Gauge {
                map.next_value_seed(Gauge { name, out })?;
            } else if out.series(&Series::plain(self.kind, name)) {
                map.next_value_seed(Fields { out })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A gauge: its value's type decides what the series is.
struct Gauge<'a> {
    name: &'a str,
    out: &'a mut dyn Collector,
}

impl<'de> DeserializeSeed<'de> for Gauge<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Gauge<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the gauge {:?} as an object", self.name)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut value = None;
        while let Some(Name(field)) = map.next_key()? {
            if &*field == "value" {
                value = Some(Leaf::of(map.next_value::<&RawValue>()?).map_err(M::Error::custom)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let Some(value) = value else {
            // A gauge that failed has `error` in place of `value`.
            self.out.skip();
            return Ok(());
        };
        let kind = match value {
            Leaf::Text(_) => Kind::Text,
            Leaf::Other => {
                self.out.skip();
                return Ok(());
            }
            _ => Kind::Gauge,
        };
        if self.out.series(&Series::plain(kind, self.name)) {
            tell(self.out, "value", &value);
        }
        Ok(())
    }
}

/// The fields of a counter, histogram, meter or timer.
struct Fields<'a> {
    out: &'a mut dyn Collector,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a metric as an object of fields")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(Name(field)) = map.next_key()? {
            let raw = map.next_value::<&RawValue>()?;
            if UNITS.contains(&&*field) {
                continue;
            }
            match Leaf::of(raw).map_err(M::Error::custom)? {
                // A numeric item would become unsupported by a text.
                Leaf::Text(_) => self.out.skip(),
                leaf => tell(self.out, &field, &leaf),
            }
        }
        Ok(())
    }
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
