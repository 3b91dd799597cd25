//! What the parts of a line are: names, labels, values and what may follow them. All of it borrows from the line.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::format::leaf::is_finite;
use crate::metric::{Label, is_number};

/// What is wrong with a line.
pub type Mistake = &'static str;

/// A sample with more labels than this is refused: their series would be no item key, and memory stays bounded.
const MAX_LABELS: usize = 256;

/// The labels of the current sample. Those beyond `used` are kept for their buffers.
#[derive(Default)]
pub struct Labels {
    all: Vec<Label>,
    used: usize,
}

impl Labels {
    /// Reads `label="value",...}` and answers the metric's name, which may stand among them in quotes, and what follows.
    pub fn read<'b>(
        &mut self,
        mut rest: &'b str,
        mut metric: Option<Cow<'b, str>>,
    ) -> Result<(Option<Cow<'b, str>>, &'b str), Mistake> {
        self.clear();
        loop {
            rest = rest.trim_ascii_start();
            if let Some(rest) = rest.strip_prefix('}') {
                return Ok((metric, rest.trim_ascii_start()));
            }
            let in_quotes = rest.starts_with('"');
            let (name, after) = self::name(rest, "a label's name is expected")?;
            rest = if let Some(value) = after.strip_prefix('=') {
                let value = value.trim_ascii_start();
                let Some(value) = value.strip_prefix('"') else {
                    return Err("a label's value has to stand in double quotes");
                };
                let (value, after) = quoted(value)?;
                let label = self.next()?;
                label.name.push_str(&name);
                unescape_into(value, &mut label.value);
                after
            } else if in_quotes && metric.is_none() {
                metric = Some(name);
                after
            } else {
                return Err("a label has no value");
            };
            rest = rest.trim_ascii_start();
            if let Some(after) = rest.strip_prefix(',') {
                rest = after;
            } else if !rest.starts_with('}') {
                return Err("`,` or `}` is expected after a label");
            }
        }
    }

    /// The sample has none.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    fn next(&mut self) -> Result<&mut Label, Mistake> {
        if self.used == MAX_LABELS {
            return Err("it has more than 256 labels");
        }
        if self.used == self.all.len() {
            self.all.push(Label {
                name: String::new(),
                value: String::new(),
            });
        }
        let label = &mut self.all[self.used];
        self.used += 1;
        label.name.clear();
        label.value.clear();
        Ok(label)
    }

    /// The labels in label-name order.
    pub fn sorted(&mut self) -> Result<&[Label], Mistake> {
        let labels = &mut self.all[..self.used];
        labels.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if labels.windows(2).any(|two| two[0].name == two[1].name) {
            return Err("a label stands twice");
        }
        Ok(labels)
    }
}

/// The text up to the next blank, and what follows it.
pub fn token(text: &str) -> (&str, &str) {
    let text = text.trim_ascii_start();
    let end = text
        .bytes()
        .position(|b| matches!(b, b' ' | b'\t'))
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

/// A metric's or label's name, bare or in quotes, and what follows it.
///
/// A name in quotes may hold any character. Those that have a meaning in a series are escaped with `\`, as they are in
/// label values, so that the metric `a{b=c}` and the metric `a` with the label b=c stay two series.
pub fn name(text: &str, missing: Mistake) -> Result<(Cow<'_, str>, &str), Mistake> {
    if let Some(text) = text.strip_prefix('"') {
        let (name, rest) = quoted(text)?;
        let name = unescape(name);
        if name.is_empty() {
            return Err(missing);
        }
        let name = if name.contains(SPECIAL) {
            Cow::Owned(escape(&name))
        } else {
            name
        };
        return Ok((name, rest.trim_ascii_start()));
    }
    let end = text
        .bytes()
        .position(|b| !(b.is_ascii_alphanumeric() || b == b'_' || b == b':'))
        .unwrap_or(text.len());
    let name = &text[..end];
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        return Err(missing);
    }
    Ok((Cow::Borrowed(name), text[end..].trim_ascii_start()))
}

/// The characters that have a meaning in a series.
const SPECIAL: [char; 5] = ['\\', ',', '=', '{', '}'];

fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if SPECIAL.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// What stands before the closing quote, still escaped, and what follows it.
fn quoted(text: &str) -> Result<(&str, &str), Mistake> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found;
        if bytes[at] == b'"' {
            return Ok((&text[..at], &text[at + 1..]));
        }
        at += 2;
    }
    Err("a closing double quote is missing")
}

/// A text without its escapes.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    unescape_into(text, &mut out);
    Cow::Owned(out)
}

/// `\\`, `\"` and `\n` stand for a character; a `\` before any other one is itself, as Prometheus has it.
fn unescape_into(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let (c, length) = match rest.as_bytes().get(at + 1) {
            Some(b'n') => ('\n', 2),
            Some(b'"') => ('"', 2),
            Some(b'\\') => ('\\', 2),
            _ => ('\\', 1),
        };
        out.push(c);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
}

/// A sample's value as Zabbix reads numbers; `None` for NaN and the infinities.
pub fn number(text: &str) -> Result<Option<Cow<'_, str>>, Mistake> {
    if is_number(text) {
        return Ok(is_finite(text).then_some(Cow::Borrowed(text)));
    }
    // Also `.5` and `5.` are numbers here, though not in Zabbix.
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Some(Cow::Owned(format!("{number:e}")))),
        Ok(_) => Ok(None),
        Err(_) if text.is_empty() => Err("it has no value"),
        Err(_) => Err("its value is no number"),
    }
}

/// A timestamp and an exemplar may follow; neither is of use here, since all values of a push carry the same time.
pub fn after_value(rest: &str) -> Result<(), Mistake> {
    if rest.is_empty() {
        return Ok(());
    }
    let (time, exemplar) = if rest.starts_with('#') {
        ("0", rest)
    } else {
        token(rest)
    };
    let exemplar = match exemplar.strip_prefix('#') {
        Some(labels) => labels.trim_ascii_start().starts_with('{'),
        None => exemplar.is_empty(),
    };
    if is_number(time) && exemplar {
        Ok(())
    } else {
        Err("what follows its value is neither a timestamp nor an exemplar")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_out_as_zabbix_reads_them_and_verbatim_where_they_are_that_already() {
        for (text, read) in [
            ("0", "0"),
            ("+1.5e+06", "+1.5e+06"),
            ("1e-05", "1e-05"),
            ("-7.0", "-7.0"),
            (".5", "5e-1"),
            ("-5.", "-5e0"),
        ] {
            assert_eq!(number(text).unwrap().as_deref(), Some(read), "{text}");
            assert!(is_number(read));
        }
        for text in ["NaN", "nan", "+Inf", "-Inf", "Inf", "1e999"] {
            assert_eq!(number(text), Ok(None), "{text}");
        }
        for text in ["", "0x10", "1_000", "one", "1,5", "--1"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_escape_is_itself() {
        assert_eq!(unescape(r#"C:\dir\x\" \n"\"#), "C:\\dir\\x\" \n\"\\");
        assert_eq!(unescape(r"a\\n"), "a\\n");
    }

    #[test]
    fn labels_are_read_in_every_spelling_and_sorted() {
        let mut labels = Labels::default();
        let (name, rest) = labels
            .read(r#" z = "1" ,a="x\"}\\", "b,c"="2" ,"d.e", } 5"#, None)
            .unwrap();
        assert_eq!((name.as_deref(), rest), (Some("d.e"), "5"));
        let read: Vec<_> = labels
            .sorted()
            .unwrap()
            .iter()
            .map(|label| (&*label.name, &*label.value))
            .collect();
        assert_eq!(read, [("a", "x\"}\\"), (r"b\,c", "2"), ("z", "1")]);
        // The buffers are used again, with nothing left of the sample before.
        assert_eq!(labels.read("} 1", None), Ok((None, "1")));
        assert_eq!(labels.sorted(), Ok(&[][..]));
    }
}
