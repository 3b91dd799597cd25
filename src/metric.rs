//! The metric model: what every format is read into and everything else is made from.
//!
//! Nothing here is a tree of the whole body: a format calls a [`Collector`] as it reads, series by series.

use std::fmt;
use std::str::FromStr;

/// The type of a series. It is the name of its items' key (`timer[...]`) and of its discovery macro (`{#TIMER}`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Durations of something and how often it happened.
    Timer,
    /// A number that goes up and down.
    Gauge,
    /// A number that only grows.
    Counter,
    /// How often something happens.
    Meter,
    /// A distribution, counted in the application.
    Histogram,
    /// Count and sum of a distribution, with or without quantiles.
    Summary,
    /// A number of which nothing else is known.
    Untyped,
    /// A text, which a numeric item must never receive.
    Text,
    /// One cumulative bucket of a histogram, told apart by its label `le`.
    Bucket,
    /// One quantile of a summary, told apart by its label `quantile`.
    Quantile,
}

impl Kind {
    /// Every type, in the order of the documentation.
    pub const ALL: [Kind; 10] = [
        Kind::Timer,
        Kind::Gauge,
        Kind::Counter,
        Kind::Meter,
        Kind::Histogram,
        Kind::Summary,
        Kind::Untyped,
        Kind::Text,
        Kind::Bucket,
        Kind::Quantile,
    ];

    /// The name in item keys and parameters.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Timer => "timer",
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Meter => "meter",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
            Kind::Untyped => "untyped",
            Kind::Text => "text",
            Kind::Bucket => "bucket",
            Kind::Quantile => "quantile",
        }
    }

    /// The name in discovery macros: `TIMER` of `{#TIMER}`.
    pub const fn macro_name(self) -> &'static str {
        match self {
            Kind::Timer => "TIMER",
            Kind::Gauge => "GAUGE",
            Kind::Counter => "COUNTER",
            Kind::Meter => "METER",
            Kind::Histogram => "HISTOGRAM",
            Kind::Summary => "SUMMARY",
            Kind::Untyped => "UNTYPED",
            Kind::Text => "TEXT",
            Kind::Bucket => "BUCKET",
            Kind::Quantile => "QUANTILE",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or(())
    }
}

/// One label of a series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// The label's name.
    pub name: String,
    /// The label's value, unescaped.
    pub value: String,
}

/// A series: what one discovery row describes and what one or more values (fields) belong to.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Its type.
    pub kind: Kind,
    /// The metric's name.
    pub name: &'a str,
    /// Its labels in label-name order; empty for formats without labels.
    pub labels: &'a [Label],
    /// What the application says of the metric, empty when it says nothing.
    pub help: &'a str,
    /// The metric's unit, empty when unknown.
    pub unit: &'a str,
}

impl<'a> Series<'a> {
    /// A series without labels, help and unit.
    pub const fn plain(kind: Kind, name: &'a str) -> Self {
        Series {
            kind,
            name,
            labels: &[],
            help: "",
            unit: "",
        }
    }
}

/// A value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A finite number as the application wrote it: `[+-]digits[.digits][e[+-]digits]`, which is what Zabbix reads.
    Number(&'a str),
    /// A text.
    Text(&'a str),
}

/// Receives what a format reads.
pub trait Collector {
    /// A series begins; the values that follow are its own. The same series may begin more than once.
    /// `false` says that nothing of it is wanted, so that the format need not read its values.
    fn series(&mut self, series: &Series<'_>) -> bool;

    /// A value of the series that began last.
    fn value(&mut self, field: &str, value: Value<'_>);

    /// Something that is no value was left out: NaN, an infinity, a list, null.
    fn skip(&mut self);
}

/// Whether Zabbix reads `text` as a number.
pub fn is_number(text: &str) -> bool {
    let digits = |bytes: &mut std::iter::Peekable<std::slice::Iter<'_, u8>>| {
        let mut any = false;
        while bytes.next_if(|b| b.is_ascii_digit()).is_some() {
            any = true;
        }
        any
    };
    let bytes = &mut text.as_bytes().iter().peekable();
    bytes.next_if(|b| matches!(b, b'+' | b'-'));
    if !digits(bytes) {
        return false;
    }
    if bytes.next_if(|b| **b == b'.').is_some() && !digits(bytes) {
        return false;
    }
    if bytes.next_if(|b| matches!(b, b'e' | b'E')).is_some() {
        bytes.next_if(|b| matches!(b, b'+' | b'-'));
        if !digits(bytes) {
            return false;
        }
    }
    bytes.next().is_none()
}

#[cfg(test)]
pub(crate) mod recorded {
    //! A collector that writes down what it is told, for the tests of the formats.

    use super::*;

    /// What a format told, a line each: `kind name{labels}`, `  field value`, `  skip`.
    #[derive(Default)]
    pub struct Recorded(pub Vec<String>);

    impl Collector for Recorded {
        fn series(&mut self, series: &Series<'_>) -> bool {
            let labels: Vec<_> = series
                .labels
                .iter()
                .map(|l| format!("{}={:?}", l.name, l.value))
                .collect();
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            self.0
                .push(format!("{} {}{labels}", series.kind, series.name));
            true
        }

        fn value(&mut self, field: &str, value: Value<'_>) {
            self.0.push(match value {
                Value::Number(number) => format!("  {field} {number}"),
                Value::Text(text) => format!("  {field} {text:?}"),
            });
        }

        fn skip(&mut self) {
            self.0.push("  skip".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(kind.name().to_uppercase(), kind.macro_name());
        }
        assert_eq!("TIMER".parse::<Kind>(), Err(()));
    }

    #[test]
    fn numbers_are_what_zabbix_reads_as_numbers() {
        for yes in ["0", "-1", "+1.5", "1e9", "1.5E-3", "9223372036854775807"] {
            assert!(is_number(yes), "{yes}");
        }
        for no in [
            "", "-", ".5", "1.", "1e", "NaN", "0x10", " 1", "1 ", "Infinity",
        ] {
            assert!(!is_number(no), "{no}");
        }
    }
}
