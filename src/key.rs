//! Item keys: how a series and its field become the key that Zabbix made of the prototype.
//!
//! The prototypes are unquoted (`timer[{#TIMER}.p99]`). Zabbix (5.0 to 7.0 alike) quotes the expanded parameter when it
//! begins with `"`, a space or `[`, or holds `,` or `]`: it is wrapped in `"` and each `"` in it becomes `\"`.
//! A parameter that would need quoting and ends in `\` cannot be written, and Zabbix makes no item of it.

use crate::metric::{Kind, Label, Series};

/// The longest key that Zabbix keeps, in characters.
pub const MAX_KEY_CHARS: usize = 2048;

/// How the keys of a source's values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// `timer[name.p99]`.
    #[default]
    Concierge,
    /// `enfield[timers.name.p99]`, as the program before the courier wrote them.
    Enfield,
}

impl Style {
    /// The part of a key before its parameter.
    pub const fn key_name(self, kind: Kind) -> &'static str {
        match self {
            Style::Concierge => kind.name(),
            Style::Enfield => "enfield",
        }
    }

    /// What stands before the series in a key's parameter and in the discovery macro.
    pub const fn section(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Style::Concierge, _) => "",
            (Style::Enfield, Kind::Timer) => "timers.",
            // Dropwizard's texts are gauges.
            (Style::Enfield, Kind::Gauge | Kind::Text) => "gauges.",
            (Style::Enfield, Kind::Counter) => "counters.",
            (Style::Enfield, Kind::Meter) => "meters.",
            (Style::Enfield, Kind::Histogram) => "histograms.",
            (Style::Enfield, Kind::Summary) => "summaries.",
            (Style::Enfield, Kind::Untyped) => "untyped.",
            (Style::Enfield, Kind::Bucket) => "buckets.",
            (Style::Enfield, Kind::Quantile) => "quantiles.",
        }
    }
}

/// Appends the series as keys and discovery rows name it: `name` or `name{label=value,...}`.
pub fn write_series(series: &Series<'_>, out: &mut String) {
    out.push_str(series.name);
    let mut separator = '{';
    for Label { name, value } in series.labels {
        out.push(separator);
        separator = ',';
        out.push_str(name);
        out.push('=');
        for c in value.chars() {
            if matches!(c, '\\' | ',' | '=' | '{' | '}') {
                out.push('\\');
            }
            out.push(c);
        }
    }
    if !series.labels.is_empty() {
        out.push('}');
    }
}

/// Whether Zabbix quotes a parameter that begins with or is `text`.
pub fn needs_quotes(text: &str) -> bool {
    text.starts_with(['"', ' ', '[']) || memchr::memchr2(b',', b']', text.as_bytes()).is_some()
}

/// Appends `text` as it stands between quotes.
pub fn write_quoted(text: &str, out: &mut String) {
    for (i, part) in text.split('"').enumerate() {
        if i > 0 {
            out.push_str("\\\"");
        }
        out.push_str(part);
    }
}

/// The parameter as Zabbix writes it into the key; `None` where it can make no item of it.
pub fn parameter(text: &str) -> Option<String> {
    if !needs_quotes(text) {
        return Some(text.to_owned());
    }
    if text.ends_with('\\') {
        return None;
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    write_quoted(text, &mut quoted);
    quoted.push('"');
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_without_labels_is_its_name() {
        let mut out = String::new();
        write_series(&Series::plain(Kind::Timer, "a.b{c"), &mut out);
        assert_eq!(out, "a.b{c");
    }

    #[test]
    fn label_values_are_escaped_so_that_no_two_series_share_a_key() {
        let labels = [
            Label {
                name: "le".into(),
                value: "0.5".into(),
            },
            Label {
                name: "path".into(),
                value: r"/a,b={c}\".into(),
            },
        ];
        let series = Series {
            labels: &labels,
            ..Series::plain(Kind::Bucket, "t")
        };
        let mut out = String::new();
        write_series(&series, &mut out);
        assert_eq!(out, r"t{le=0.5,path=/a\,b\=\{c\}\\}");
    }

    #[test]
    fn parameters_are_quoted_exactly_where_zabbix_quotes_them() {
        for plain in ["a.p99", "a b", r#"a"b"#, r"a\b", "a[b", "ü", "", r"a\"] {
            assert_eq!(parameter(plain).as_deref(), Some(plain));
        }
        for (text, quoted) in [
            ("a,b", r#""a,b""#),
            ("a]b", r#""a]b""#),
            (" a", r#"" a""#),
            ("[a", r#""[a""#),
            (r#""a""#, r#""\"a\"""#),
            (r"a,\b", r#""a,\b""#),
        ] {
            assert_eq!(parameter(text).as_deref(), Some(quoted));
        }
        assert_eq!(parameter(r"a,b\"), None);
    }
}
