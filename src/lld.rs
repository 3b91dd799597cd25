//! Low-level discovery: the rows that tell Zabbix which series there are.

use std::collections::HashSet;

use crate::json;
use crate::key::{self, Style};
use crate::metric::{Collector, Series, Value};
use crate::select::Selection;

/// Item names are limited to 255 characters in Zabbix; a prototype's name adds its own words to this.
const TITLE_CHARS: usize = 200;

/// Collects the discovery rows of a body: a bare JSON array, as all supported versions of Zabbix accept it.
pub struct Rows<'a> {
    selection: &'a Selection,
    style: Style,
    json: String,
    seen: HashSet<String>,
    /// The type and text of the series at hand.
    id: String,
}

impl<'a> Rows<'a> {
    /// No rows yet.
    pub fn new(selection: &'a Selection, style: Style) -> Self {
        Rows {
            selection,
            style,
            json: String::from("["),
            seen: HashSet::new(),
            id: String::new(),
        }
    }

    /// The rows as JSON.
    pub fn into_json(mut self) -> String {
        self.json.push(']');
        self.json
    }

    fn row(&mut self, series: &Series<'_>, text: &str) {
        if self.json.len() > 1 {
            self.json.push(',');
        }
        self.json.push_str("{\"{#");
        self.json.push_str(match self.style {
            Style::Concierge => series.kind.macro_name(),
            Style::Enfield => "METRIC",
        });
        self.json.push_str("}\":\"");
        self.json.push_str(self.style.section(series.kind));
        json::escape(text, &mut self.json);
        self.json.push('"');
        self.field("NAME", series.name);
        self.field("TYPE", series.kind.name());
        match text.char_indices().nth(TITLE_CHARS) {
            Some((end, _)) => self.field("TITLE", &text[..end]),
            // A prototype whose name is the title alone makes no item of a blank one.
            None if text.trim().is_empty() => self.field("TITLE", &format!("\"{text}\"")),
            None => self.field("TITLE", text),
        }
        if !series.help.is_empty() {
            self.field("HELP", series.help);
        }
        if !series.unit.is_empty() {
            self.field("UNIT", series.unit);
        }
        let mut macros = HashSet::new();
        for label in series.labels {
            let name = format!("LABEL.{}", macro_name(&label.name));
            // Labels whose names differ in case alone share a macro: the first has it.
            if !macros.contains(&name) {
                self.field(&name, &label.value);
                macros.insert(name);
            }
        }
        self.json.push('}');
    }

    fn field(&mut self, name: &str, value: &str) {
        self.json.push_str(",\"{#");
        self.json.push_str(name);
        self.json.push_str("}\":\"");
        json::escape(value, &mut self.json);
        self.json.push('"');
    }
}

impl Collector for Rows<'_> {
    fn series(&mut self, series: &Series<'_>) -> bool {
        if self.selection.wants(series.kind, series.name) {
            let mut id = std::mem::take(&mut self.id);
            id.clear();
            // The type is part of what a row is; no name holds a NUL.
            id.push_str(series.kind.name());
            id.push('\0');
            let text = id.len();
            key::write_series(series, &mut id);
            if !self.seen.contains(&id) {
                self.row(series, &id[text..]);
                self.seen.insert(id.clone());
            }
            self.id = id;
        }
        false
    }

    fn value(&mut self, _field: &str, _value: Value<'_>) {}

    fn skip(&mut self) {}
}

/// A label's name in a macro: upper case, and `_` for what a macro's name cannot hold.
fn macro_name(label: &str) -> String {
    label
        .chars()
        .map(|c| match c.to_ascii_uppercase() {
            c @ ('A'..='Z' | '0'..='9') => c,
            _ => '_',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Kind, Label};

    fn rows(style: Style, series: &[Series<'_>]) -> serde_json::Value {
        let selection = Selection::default();
        let mut rows = Rows::new(&selection, style);
        for one in series {
            rows.series(one);
        }
        serde_json::from_str(&rows.into_json()).unwrap()
    }

    #[test]
    fn nothing_found_is_an_empty_array() {
        assert_eq!(rows(Style::Concierge, &[]), serde_json::json!([]));
    }

    #[test]
    fn a_row_holds_the_series_under_its_type() {
        let timer = Series::plain(Kind::Timer, "a\"b");
        assert_eq!(
            rows(Style::Concierge, &[timer, timer]),
            serde_json::json!([{"{#TIMER}": "a\"b", "{#NAME}": "a\"b", "{#TYPE}": "timer", "{#TITLE}": "a\"b"}])
        );
        assert_eq!(
            rows(Style::Enfield, &[timer]),
            serde_json::json!([{"{#METRIC}": "timers.a\"b", "{#NAME}": "a\"b", "{#TYPE}": "timer", "{#TITLE}": "a\"b"}])
        );
    }

    #[test]
    fn labels_help_and_unit_are_macros() {
        let label = |name: &str, value: &str| Label {
            name: name.into(),
            value: value.into(),
        };
        let labels = [label("http.path", "/"), label("le", "0.5")];
        let bucket = Series {
            labels: &labels,
            help: "How long",
            unit: "seconds",
            ..Series::plain(Kind::Bucket, "t")
        };
        assert_eq!(
            rows(Style::Concierge, &[bucket]),
            serde_json::json!([{
                "{#BUCKET}": "t{http.path=/,le=0.5}", "{#NAME}": "t", "{#TYPE}": "bucket",
                "{#TITLE}": "t{http.path=/,le=0.5}", "{#HELP}": "How long", "{#UNIT}": "seconds",
                "{#LABEL.HTTP_PATH}": "/", "{#LABEL.LE}": "0.5",
            }])
        );
    }

    #[test]
    fn a_blank_name_has_a_title_that_an_item_can_have() {
        let rows = rows(Style::Concierge, &[Series::plain(Kind::Gauge, " ")]);
        assert_eq!(rows[0]["{#GAUGE}"], " ");
        assert_eq!(rows[0]["{#TITLE}"], "\" \"");
    }

    #[test]
    fn a_title_is_cut_at_200_characters() {
        let name = "ü".repeat(300);
        let rows = rows(Style::Concierge, &[Series::plain(Kind::Gauge, &name)]);
        assert_eq!(rows[0]["{#TITLE}"].as_str().unwrap().chars().count(), 200);
        assert_eq!(rows[0]["{#GAUGE}"].as_str().unwrap().chars().count(), 300);
    }
}
