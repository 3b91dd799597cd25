//! Prometheus' text format 0.0.4 and OpenMetrics 1.0 text, one line at a time straight from the body.
//!
//! The two share one grammar: OpenMetrics adds types, units, exemplars and `# EOF`. The lines of one metric form one
//! group behind its `# TYPE`, as both demand, so that nothing but the current metric has to be known.

mod syntax;

use std::borrow::Cow;
use std::iter;

use memchr::{memchr, memchr_iter};

use self::syntax::{Labels, Mistake, after_value, name, number, token, unescape};
use super::{Error, excerpt};
use crate::metric::{Collector, Kind, Label, Series, Value};

/// Reads `body` and tells `out` every series and value.
///
/// # Errors
/// The first line that is neither a comment nor a sample, by its number.
pub fn read(body: &[u8], out: &mut dyn Collector) -> Result<(), Error> {
    let mut reader = Reader::default();
    each_line(body, |line| reader.line(line, out).map(|()| true))
}

/// Whether `body` begins as this format does: with a comment that tells of a metric, or with a sample.
///
/// # Errors
/// What the first line that is neither is wrong with.
pub(super) fn begins(body: &[u8]) -> Result<bool, Error> {
    let mut reader = Reader::default();
    let mut found = false;
    each_line(body, |line| {
        reader.line(line, &mut Nothing)?;
        let tells = reader.ended || !reader.metric.name.is_empty();
        found = !line.is_empty() && (tells || !line.starts_with('#'));
        Ok(!found)
    })?;
    Ok(found)
}

/// Calls `read` with every line, without the blanks around it, for as long as it answers true.
fn each_line<'b>(
    body: &'b [u8],
    mut read: impl FnMut(&'b str) -> Result<bool, Mistake>,
) -> Result<(), Error> {
    let wrong = |offset: usize, mistake| {
        let line = memchr_iter(b'\n', &body[..offset]).count() + 1;
        let rest = &body[offset..];
        let text = &rest[..memchr(b'\n', rest).unwrap_or(rest.len())];
        Error::Line {
            line,
            mistake,
            excerpt: excerpt(&String::from_utf8_lossy(&text[..text.len().min(256)])),
        }
    };
    let text =
        str::from_utf8(body).map_err(|error| wrong(error.valid_up_to(), "it is not UTF-8"))?;
    let mut start = 0;
    for end in memchr_iter(b'\n', body).chain(iter::once(body.len())) {
        if !read(text[start..end].trim_ascii()).map_err(|mistake| wrong(start, mistake))? {
            break;
        }
        start = end + 1;
    }
    Ok(())
}

const NO_NAME: Mistake = "it has no metric's name";

/// What is remembered from one line to the next. Its buffers are used again for every line.
#[derive(Default)]
struct Reader<'b> {
    metric: Metric<'b>,
    labels: Labels,
    ended: bool,
}

impl<'b> Reader<'b> {
    fn line(&mut self, line: &'b str, out: &mut dyn Collector) -> Result<(), Mistake> {
        match line.as_bytes().first() {
            None => Ok(()),
            Some(_) if self.ended => Err("nothing may follow `# EOF`"),
            Some(b'#') => {
                self.comment(&line[1..]);
                Ok(())
            }
            Some(_) => self.sample(line, out),
        }
    }

    /// HELP, TYPE and UNIT tell of a metric; every other comment is one.
    fn comment(&mut self, text: &'b str) {
        let (word, rest) = token(text);
        if word == "EOF" && rest.is_empty() {
            self.ended = true;
        }
        if !matches!(word, "HELP" | "TYPE" | "UNIT") {
            return;
        }
        let Ok((name, rest)) = name(rest, NO_NAME) else {
            return;
        };
        if name != self.metric.name {
            self.metric = self.metric.followed_by(name);
        }
        match word {
            "HELP" => self.metric.help = unescape(rest),
            "UNIT" => self.metric.unit = rest,
            _ if self.metric.of != Type::Created => self.metric.of = Type::of(rest),
            _ => {}
        }
    }

    /// `name{label="value",...} value [timestamp] [# exemplar]`
    fn sample(&mut self, line: &'b str, out: &mut dyn Collector) -> Result<(), Mistake> {
        // A name in quotes stands among the labels.
        let (name, rest) = if line.starts_with(['{', '"']) {
            (None, line)
        } else {
            let (name, rest) = name(line, NO_NAME)?;
            (Some(name), rest)
        };
        let (name, rest) = match rest.strip_prefix('{') {
            Some(labels) => self.labels.read(labels, name)?,
            None => {
                self.labels.clear();
                (name, rest)
            }
        };
        let name = name.ok_or(NO_NAME)?;
        let (value, rest) = token(rest);
        let value = number(value)?;
        after_value(rest)?;

        let labels = self.labels.sorted()?;
        let none = Metric::default();
        let (kind, name, field, of) = match self.metric.part(&name, labels) {
            Part::Is(kind, name, field) => (kind, name, field, &self.metric),
            Part::LeftOut => return Ok(()),
            Part::None => (Kind::Untyped, &*name, "value", &none),
        };
        let wanted = out.series(&Series {
            kind,
            name,
            labels,
            help: &of.help,
            unit: of.unit,
        });
        match value {
            _ if !wanted => {}
            Some(number) => out.value(field, Value::Number(&number)),
            None => out.skip(),
        }
        Ok(())
    }
}

/// The type of a metric, as far as it decides what its samples are.
#[derive(Clone, Copy, Default, PartialEq)]
enum Type {
    Gauge,
    Counter,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    /// The time at which the metric before it began to count, written as a gauge of its own in 0.0.4.
    Created,
    /// unknown, untyped, stateset, or no type at all.
    #[default]
    Untyped,
}

impl Type {
    fn of(word: &str) -> Self {
        match word {
            "gauge" => Type::Gauge,
            "counter" => Type::Counter,
            "histogram" => Type::Histogram,
            "gaugehistogram" => Type::GaugeHistogram,
            "summary" => Type::Summary,
            "info" => Type::Info,
            _ => Type::Untyped,
        }
    }
}

/// The metric that the current lines belong to.
#[derive(Default)]
struct Metric<'b> {
    name: Cow<'b, str>,
    of: Type,
    help: Cow<'b, str>,
    unit: &'b str,
}

/// What a sample is of the current metric.
enum Part<'a> {
    /// A value: of which type, of which series, and its field.
    Is(Kind, &'a str, &'static str),
    /// A `_created`, which is no measurement.
    LeftOut,
    /// Nothing.
    None,
}

impl<'b> Metric<'b> {
    /// The metric `name`, of which nothing is known yet, that follows this one.
    fn followed_by(&self, name: Cow<'b, str>) -> Self {
        let counts = matches!(self.of, Type::Counter | Type::Histogram | Type::Summary);
        let base = self.name.strip_suffix("_total").unwrap_or(&self.name);
        let created = counts && name.strip_suffix("_created") == Some(base);
        Metric {
            of: if created {
                Type::Created
            } else {
                Type::Untyped
            },
            name,
            ..Metric::default()
        }
    }

    fn part<'a>(&'a self, sample: &'a str, labels: &[Label]) -> Part<'a> {
        let Some(suffix) = sample.strip_prefix(&*self.name) else {
            return Part::None;
        };
        let has = |name| labels.iter().any(|label| label.name == name);
        match (self.of, suffix) {
            (Type::Gauge, "") => Part::Is(Kind::Gauge, sample, "value"),
            (Type::Counter, "" | "_total") => Part::Is(Kind::Counter, sample, "count"),
            (Type::Histogram | Type::GaugeHistogram, "_bucket") if has("le") => {
                Part::Is(Kind::Bucket, &self.name, "count")
            }
            (Type::Histogram, "_count") | (Type::GaugeHistogram, "_gcount") => {
                Part::Is(Kind::Histogram, &self.name, "count")
            }
            (Type::Histogram, "_sum") | (Type::GaugeHistogram, "_gsum") => {
                Part::Is(Kind::Histogram, &self.name, "sum")
            }
            (Type::Summary, "") if has("quantile") => Part::Is(Kind::Quantile, &self.name, "value"),
            (Type::Summary, "_count") => Part::Is(Kind::Summary, &self.name, "count"),
            (Type::Summary, "_sum") => Part::Is(Kind::Summary, &self.name, "sum"),
            (Type::Untyped, "") | (Type::Info, "_info") => Part::Is(Kind::Untyped, sample, "value"),
            (Type::Created, "") | (Type::Counter | Type::Histogram | Type::Summary, "_created") => {
                Part::LeftOut
            }
            _ => Part::None,
        }
    }
}

/// Wants no series.
struct Nothing;

impl Collector for Nothing {
    fn series(&mut self, _: &Series<'_>) -> bool {
        false
    }

    fn value(&mut self, _: &str, _: Value<'_>) {}

    fn skip(&mut self) {}
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

    fn error(body: &[u8]) -> String {
        read(body, &mut Recorded::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn openmetrics_of_the_python_client_is_read() {
        assert_eq!(
            told(include_str!("../../../tests/bodies/prometheus-client.om")),
            [
                r#"counter requests_total{code="200",path="/"}"#,
                "  count 3.0",
                r#"counter requests_total{code="500",path="/a\"b\\c\nd"}"#,
                "  count 1.5e+06",
                r#"gauge temperature_celsius{room="kitchen{1},="}"#,
                "  value 21.25",
                r#"gauge temperature_celsius{room="attic"}"#,
                "  skip",
                r#"gauge temperature_celsius{room="cellar"}"#,
                "  skip",
                r#"bucket latency_seconds{le="0.1",path="/"}"#,
                "  count 0.0",
                r#"bucket latency_seconds{le="0.5",path="/"}"#,
                "  count 1.0",
                r#"bucket latency_seconds{le="1.0",path="/"}"#,
                "  count 1.0",
                r#"bucket latency_seconds{le="+Inf",path="/"}"#,
                "  count 2.0",
                r#"histogram latency_seconds{path="/"}"#,
                "  count 2.0",
                r#"histogram latency_seconds{path="/"}"#,
                "  sum 2.3",
                "summary size_bytes",
                "  count 1.0",
                "summary size_bytes",
                "  sum 512.0",
                r#"untyped build_info{branch="main",version="1.2.3"}"#,
                "  value 1.0",
                r#"untyped task_state{task_state="starting"}"#,
                "  value 0.0",
                r#"untyped task_state{task_state="running"}"#,
                "  value 1.0",
                r#"untyped task_state{task_state="stopped"}"#,
                "  value 0.0",
                "untyped mystery",
                "  value 1e-05",
                r#"bucket queue_age{le="1.0"}"#,
                "  count 2.0",
                r#"bucket queue_age{le="+Inf"}"#,
                "  count 5.0",
                "histogram queue_age",
                "  count 5.0",
                "histogram queue_age",
                "  sum 7.5",
                r#"quantile rpc_latency{quantile="0.5"}"#,
                "  value 0.25",
                r#"quantile rpc_latency{quantile="0.99"}"#,
                "  skip",
                "summary rpc_latency",
                "  sum 9.5",
                "summary rpc_latency",
                "  count 4.0",
                r#"gauge with_time{a="x"}"#,
                "  value 1.0",
                r#"gauge dotted_name{a="q",http_status="200"}"#,
                "  value 7.0",
            ]
        );
    }

    #[test]
    fn names_in_quotes_are_read_and_their_special_characters_escaped() {
        let told = told(include_str!(
            "../../../tests/bodies/prometheus-client-utf8.om"
        ));
        assert_eq!(
            told[told.len() - 14..],
            [
                r#"gauge dotted.name{a="q",http.status="200"}"#,
                "  value 7.0",
                r#"gauge http.server.open connections{a\=b="1",http.route="/x,{y}"}"#,
                "  value 3.0",
                r#"counter http.requests_total{code="200"}"#,
                "  count 2.0",
                r#"bucket http.duration{http.route="/",le="0.5"}"#,
                "  count 1.0",
                r#"bucket http.duration{http.route="/",le="+Inf"}"#,
                "  count 1.0",
                r#"histogram http.duration{http.route="/"}"#,
                "  count 1.0",
                r#"histogram http.duration{http.route="/"}"#,
                "  sum 0.25",
            ]
        );
    }

    #[test]
    fn the_python_clients_created_gauges_of_text_0_0_4_are_left_out() {
        let told = told(include_str!("../../../tests/bodies/prometheus-client.prom"));
        assert!(told.contains(&"summary size_bytes".to_owned()));
        assert!(!told.iter().any(|line| line.contains("_created")));
    }

    #[test]
    fn a_gauge_that_tells_when_something_was_created_is_kept() {
        assert_eq!(
            told("# TYPE pods gauge\npods 1\n# TYPE pods_created gauge\npods_created 2\n"),
            ["gauge pods", "  value 1", "gauge pods_created", "  value 2"]
        );
    }

    #[test]
    fn bodies_of_go_programs_are_read_whole() {
        for (body, samples, first, last) in [
            (
                include_str!("../../../tests/bodies/node-exporter.prom"),
                78,
                "quantile go_gc_duration_seconds{quantile=\"0\"}",
                "gauge node_time_seconds",
            ),
            (
                include_str!("../../../tests/bodies/etcd.prom"),
                64,
                "bucket etcd_disk_wal_fsync_duration_seconds{le=\"0.001\"}",
                "counter promhttp_metric_handler_requests_total{code=\"503\"}",
            ),
        ] {
            let told = told(body);
            assert_eq!(told.len(), 2 * samples);
            assert_eq!(told[0], first);
            assert_eq!(told[told.len() - 2], last);
            assert!(!told.contains(&"  skip".to_owned()));
        }
    }

    #[test]
    fn a_sample_outside_its_metrics_type_is_untyped() {
        assert_eq!(
            told(
                "# TYPE h histogram\nh_bucket 1\nh_max 2\nh_sum 3\nhue 4\n\
                 # TYPE s summary\ns 5\n# a comment\nother 6\n# TYPE x bogus\nx 7"
            ),
            [
                "untyped h_bucket",
                "  value 1",
                "untyped h_max",
                "  value 2",
                "histogram h",
                "  sum 3",
                "untyped hue",
                "  value 4",
                "untyped s",
                "  value 5",
                "untyped other",
                "  value 6",
                "untyped x",
                "  value 7",
            ]
        );
    }

    #[test]
    fn blanks_timestamps_exemplars_and_the_end_are_read_over() {
        assert_eq!(
            told(
                "#\tTYPE  a \t gauge \r\n\n \ta { } \t 1 \t-1395066363000\r\n\
                 a{b=\"c\",} 2 # {t=\"#\"} 0.5 1.5\na 3 4.5 # {}\n# EOF\n\n"
            ),
            [
                "gauge a",
                "  value 1",
                "gauge a{b=\"c\"}",
                "  value 2",
                "gauge a",
                "  value 3"
            ]
        );
    }

    #[test]
    fn help_and_unit_are_told_with_the_series_of_their_metric_alone() {
        struct Seen(Vec<String>);

        impl Collector for Seen {
            fn series(&mut self, series: &Series<'_>) -> bool {
                self.0
                    .push(format!("{} {:?} {}", series.name, series.help, series.unit));
                false
            }

            fn value(&mut self, _: &str, _: Value<'_>) {}

            fn skip(&mut self) {}
        }

        let body = "# HELP a_s How\\nlong\\\\\n# TYPE a_s gauge\n# UNIT a_s s\na_s 1\nb 2\n# TYPE c gauge\nc 1\n";
        let mut seen = Seen(Vec::new());
        read(body.as_bytes(), &mut seen).unwrap();
        assert_eq!(seen.0, [r#"a_s "How\nlong\\" s"#, r#"b "" "#, r#"c "" "#]);
    }

    #[test]
    fn a_line_that_is_no_sample_is_named_by_its_number() {
        assert_eq!(
            error(b"# TYPE a gauge\na 1\nb{c=d} 2\n"),
            r#"line 3 is no Prometheus sample: a label's value has to stand in double quotes: "b{c=d} 2""#
        );
        for (line, mistake) in [
            (&b"404 page not found"[..], "it has no metric's name"),
            (b"a", "it has no value"),
            (b"a b", "its value is no number"),
            (b"a 1 x", "neither a timestamp nor an exemplar"),
            (b"a 1 2 3", "neither a timestamp nor an exemplar"),
            (b"a{", "a label's name is expected"),
            (b"a{b} 1", "a label has no value"),
            (b"a{b=\"c} 1", "a closing double quote is missing"),
            (b"a{b=\"c\\", "a closing double quote is missing"),
            (b"a{b=\"\"c=\"\"} 1", "`,` or `}` is expected"),
            (b"a{b=\"\",b=\"\"} 1", "a label stands twice"),
            (b"{a=\"\"} 1", "it has no metric's name"),
            (b"\"a\" 1", "it has no metric's name"),
            (b"a{\"b\"} 1", "a label has no value"),
            (b"# EOF\na 1", "nothing may follow `# EOF`"),
            (b"a{b=\"\xff\"} 1", "it is not UTF-8"),
        ] {
            let error = error(line);
            assert!(error.contains(mistake), "{error}");
        }
        let many: String = (0..257).map(|i| format!("l{i}=\"\",")).collect();
        assert!(error(format!("a{{{many}}} 1").as_bytes()).contains("more than 256 labels"));
    }
}
