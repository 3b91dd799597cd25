//! How much an errand's bodies may tell. A name of two thousand letters above an array of a million zeros is a body of
//! 2 MB, and a request of 2 GB: what is made of bodies has a bound of its own.

use crate::metric::{Collector, Series, Value};

/// What every errand may tell, in bytes: half a million values of common names.
const FREE: usize = 64 << 20;
/// What a value costs beside its series.
const VALUE: usize = 64;

/// Passes on what a format tells, up to a bound.
pub struct Budget<'a> {
    out: &'a mut dyn Collector,
    /// The bodies' bytes so far.
    length: usize,
    spent: usize,
    limit: usize,
    /// What the current series costs, which its values repeat.
    series: usize,
    exceeded: bool,
}

impl<'a> Budget<'a> {
    /// The budget of an errand that tells `out`.
    pub fn new(out: &'a mut dyn Collector) -> Self {
        Budget {
            out,
            length: 0,
            spent: 0,
            limit: FREE,
            series: 0,
            exceeded: false,
        }
    }

    /// Grants what a body of `length` bytes brings, beside those before it.
    pub(super) fn grant(&mut self, length: usize) {
        self.length = self.length.saturating_add(length);
        self.limit = FREE.max(self.length.saturating_mul(4));
    }

    /// Whether the bodies told more, which was not passed on.
    pub(super) fn exceeded(&self) -> bool {
        self.exceeded
    }

    fn spend(&mut self, bytes: usize) -> bool {
        self.spent = self.spent.saturating_add(bytes);
        self.exceeded |= self.spent > self.limit;
        !self.exceeded
    }
}

impl Collector for Budget<'_> {
    fn series(&mut self, series: &Series<'_>) -> bool {
        let labels = series.labels.iter();
        let labels: usize = labels.map(|l| l.name.len() + l.value.len()).sum();
        self.series = VALUE + series.name.len() + labels;
        self.spend(self.series + series.help.len()) && self.out.series(series)
    }

    fn value(&mut self, field: &str, value: Value<'_>) {
        let (Value::Number(text) | Value::Text(text)) = value;
        if self.spend(self.series + field.len() + text.len()) {
            self.out.value(field, value);
        }
    }

    fn skip(&mut self) {
        self.out.skip();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Error, Format, read};

    /// Counts the bytes of the keys that it is told to write.
    #[derive(Default)]
    struct Written {
        series: usize,
        bytes: usize,
    }

    impl Collector for Written {
        fn series(&mut self, series: &Series<'_>) -> bool {
            self.series = series.name.len();
            true
        }

        fn value(&mut self, _: &str, _: Value<'_>) {
            self.bytes += self.series;
        }

        fn skip(&mut self) {}
    }

    #[test]
    fn a_long_name_over_many_values_is_refused() {
        let name = "n".repeat(1_000_000);
        let elements = format!(r#"{{"{name}":[1{}]}}"#, ",1".repeat(999_999));
        let fields: Vec<_> = (0..100_000).map(|i| format!(r#""{i}":1"#)).collect();
        let fields = format!(r#"{{"timers":{{"{name}":{{{}}}}}}}"#, fields.join(","));
        let help = format!(
            "# HELP a {name}\n# TYPE a gauge\n{}",
            "a 1\n".repeat(100_000)
        );
        for (format, body) in [
            (Format::Json, elements),
            (Format::Dropwizard, fields),
            (Format::Prometheus, help),
        ] {
            let mut written = Written::default();
            let mut budget = Budget::new(&mut written);
            let answer = read(format, body.as_bytes(), &mut budget);
            assert_eq!(answer, Err(Error::TooMuch), "{format:?}");
            assert!(written.bytes <= FREE, "{format:?}: {}", written.bytes);
        }
    }

    #[test]
    fn many_bodies_share_one_bound() {
        let name = "n".repeat(1_000_000);
        let body = format!(r#"{{"{name}":[1{}]}}"#, ",1".repeat(19));
        let mut written = Written::default();
        let mut budget = Budget::new(&mut written);
        let mut one = || read(Format::Json, body.as_bytes(), &mut budget);
        assert_eq!((one(), one()), (Ok(()), Err(Error::TooMuch)));
        assert!(written.bytes <= FREE, "{}", written.bytes);
    }
}
