//! Prometheus text as another library writes it, and keys of it: what is read back is what was written.

use std::collections::HashMap;

use courier::format::{Budget, Format, read};
use courier::key::write_series;
use courier::metric::{Collector, Series, Value};
use prometheus::{Encoder, HistogramOpts, Opts, Registry, TextEncoder};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// Every value under its key, without quoting: `type[series.field]`; `None` for what is skipped.
#[derive(Default)]
struct Values {
    series: String,
    values: HashMap<String, Option<f64>>,
}

impl Collector for Values {
    fn series(&mut self, series: &Series<'_>) -> bool {
        self.series = format!("{}[", series.kind);
        write_series(series, &mut self.series);
        true
    }

    fn value(&mut self, field: &str, value: Value<'_>) {
        let Value::Number(number) = value else {
            panic!("a text in Prometheus text");
        };
        let key = format!("{}.{field}]", self.series);
        let again = self.values.insert(key, Some(number.parse().unwrap()));
        assert_eq!(again, None, "two values for {}", self.series);
    }

    fn skip(&mut self) {
        self.values.insert(self.series.clone(), None);
    }
}

fn values(body: &[u8]) -> HashMap<String, Option<f64>> {
    let mut out = Values::default();
    read(Format::Prometheus, body, &mut Budget::new(&mut out)).unwrap();
    out.values
}

/// `series` as a key writes it, from its parts.
fn key(kind: &str, name: &str, labels: &[(String, String)], field: &str) -> String {
    let mut labels = labels.to_vec();
    labels.sort();
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| {
            let value: String = value
                .chars()
                .flat_map(|c| r"\,={}".contains(c).then_some('\\').into_iter().chain([c]))
                .collect();
            format!("{name}={value}")
        })
        .collect();
    match &labels[..] {
        [] => format!("{kind}[{name}.{field}]"),
        _ => format!("{kind}[{name}{{{}}}.{field}]", labels.join(",")),
    }
}

type Labels = Vec<(String, String)>;

/// One metric: its help and, for each label value, what was measured.
#[derive(Clone, Debug)]
struct Metric {
    help: String,
    label: String,
    samples: HashMap<String, Vec<f64>>,
}

fn metrics() -> impl Strategy<Value = Vec<Metric>> {
    let value = prop_oneof![any::<f64>(), -1e6..1e6, Just(f64::INFINITY), Just(f64::NAN)];
    let text = prop_oneof![any::<String>(), "[a\\\\\"\n,={}\r\t #]{0,6}"];
    let metric = (
        text.clone(),
        "[a-z_][a-z0-9_]{0,6}x",
        proptest::collection::hash_map(text, vec(value, 1..4), 1..4),
    )
        .prop_map(|(help, label, samples)| Metric {
            // The library refuses an empty one.
            help: format!("{help}."),
            label,
            samples,
        });
    vec(metric, 1..5)
}

proptest! {
    #[test]
    fn text_of_the_prometheus_crate_reads_back_to_the_same_series_and_values(metrics in metrics()) {
        const BOUNDS: [f64; 3] = [-0.5, 0.25, 1e7];
        let registry = Registry::new();
        let mut expected = HashMap::new();
        for (i, Metric { help, label, samples }) in metrics.iter().enumerate() {
            let name = |kind| format!("metric_{i}:{kind}");
            let gauge = prometheus::GaugeVec::new(Opts::new(name("gauge"), help), &[label]).unwrap();
            let counter = prometheus::CounterVec::new(Opts::new(name("total"), help), &[label]).unwrap();
            let options = HistogramOpts::new(name("seconds"), help).buckets(BOUNDS.to_vec());
            let histogram = prometheus::HistogramVec::new(options, &[label]).unwrap();
            for (text, measured) in samples {
                let labels = vec![(label.clone(), text.clone())];
                let mut expect = |kind: &str, name: &str, labels: &Labels, field: &str, value: f64| {
                    let key = key(kind, name, labels, field);
                    // Without its field, as the collector above keeps what is skipped.
                    let series = key.rsplit_once('.').unwrap().0.to_owned();
                    match value.is_finite() {
                        true => expected.insert(key, Some(value)),
                        false => expected.insert(series, None),
                    }
                };

                gauge.with_label_values(&[text]).set(measured[0]);
                expect("gauge", &name("gauge"), &labels, "value", measured[0]);

                let count = measured.iter().copied().filter(|v| *v >= 0.0).fold(0.0, |a, b| a + b);
                counter.with_label_values(&[text]).inc_by(count);
                expect("counter", &name("total"), &labels, "count", count);

                let mut sum = 0.0;
                for value in measured {
                    histogram.with_label_values(&[text]).observe(*value);
                    sum += value;
                }
                let seconds = name("seconds");
                expect("histogram", &seconds, &labels, "sum", sum);
                expect("histogram", &seconds, &labels, "count", measured.len() as f64);
                for bound in BOUNDS {
                    let within = measured.iter().filter(|v| **v <= bound).count();
                    let labels = vec![labels[0].clone(), ("le".to_owned(), bound.to_string())];
                    expect("bucket", &seconds, &labels, "count", within as f64);
                }
                let labels = vec![labels[0].clone(), ("le".to_owned(), "+Inf".to_owned())];
                expect("bucket", &seconds, &labels, "count", measured.len() as f64);
            }
            registry.register(Box::new(gauge)).unwrap();
            registry.register(Box::new(counter)).unwrap();
            registry.register(Box::new(histogram)).unwrap();
        }
        let mut body = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut body).unwrap();
        prop_assert_eq!(values(&body), expected, "{}", String::from_utf8_lossy(&body));
    }

    /// A key that tells its series apart from every other one can be read back to that series.
    #[test]
    fn no_two_series_share_a_key((name, labels) in series()) {
        let quoted = |text: &str| {
            let text = text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
            format!("\"{text}\"")
        };
        let written: String =
            labels.iter().map(|(name, value)| format!(",{}={}", quoted(name), quoted(value))).collect();
        let body = format!("{{{}{written}}} 1\n", quoted(&name));
        let keys: Vec<_> = values(body.as_bytes()).into_keys().collect();
        let [key] = &keys[..] else { panic!("{keys:?}") };
        prop_assert_eq!(series_of(key), (name, labels));
    }
}

/// The series of a key `untyped[series.value]`: the only way to read it.
fn series_of(key: &str) -> (String, Labels) {
    let series = key.strip_prefix("untyped[").unwrap();
    let mut chars = series.strip_suffix(".value]").unwrap().chars();
    let (mut parts, mut part) = (Vec::new(), String::new());
    while let Some(c) = chars.next() {
        match c {
            '\\' => part.extend(chars.next()),
            '{' | '=' | ',' | '}' => parts.push((std::mem::take(&mut part), c)),
            _ => part.push(c),
        }
    }
    if parts.is_empty() {
        return (part, Vec::new());
    }
    assert!(part.is_empty(), "{key}");
    let mut parts = parts.into_iter();
    let (name, '{') = parts.next().unwrap() else {
        panic!("{key}")
    };
    let mut labels = Vec::new();
    while let Some((label, '=')) = parts.next() {
        let Some((value, ',' | '}')) = parts.next() else {
            panic!("{key}")
        };
        labels.push((label, value));
    }
    // The key has them in the order of their escaped names.
    labels.sort();
    (name, labels)
}

/// A name and labels in label-name order, of few characters, so that what looks alike is found.
fn series() -> impl Strategy<Value = (String, Labels)> {
    let text = || "[a{}=,\\\\\"\n.]{1,4}";
    let value = "[a{}=,\\\\\"\n.]{0,4}";
    (text(), btree_map(text(), value, 0..3))
        .prop_map(|(name, labels)| (name, labels.into_iter().collect()))
}
