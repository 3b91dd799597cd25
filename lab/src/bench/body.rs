use std::fmt::Write as _;

/// The numeric fields of a Dropwizard timer.
const FIELDS: [&str; 15] = [
    "count",
    "max",
    "mean",
    "min",
    "p50",
    "p75",
    "p95",
    "p98",
    "p99",
    "p999",
    "stddev",
    "m15_rate",
    "m1_rate",
    "m5_rate",
    "mean_rate",
];

/// The fields that have an item.
pub(crate) const TRAPPED: &[&str] = FIELDS.split_at(11).0;

/// Fields that have a value.
pub(crate) const VALUES: usize = FIELDS.len();

/// How a timer is named; `{}` is its number in five digits.
pub(crate) const NAME: [&str; 2] = ["com.example.shop.api.CatalogueResource", ".findBySku"];

/// What an application with so many timers answers: the same numbers in two formats.
pub(crate) struct Body {
    /// Dropwizard's JSON, in one line as its servlet writes it.
    pub dropwizard: String,
    /// Prometheus text, a sample a line.
    pub prometheus: String,
}

impl Body {
    /// The body of an application with `timers` timers; always the same for the same number.
    pub fn of(timers: usize) -> Self {
        let mut numbers = Numbers(1);
        let mut dropwizard = String::from(
            r#"{"version":"4.0.0","gauges":{},"counters":{},"histograms":{},"meters":{},"timers":{"#,
        );
        let mut samples = vec![String::new(); VALUES];
        for timer in 1..=timers {
            let [before, after] = NAME;
            let name = format!("{before}{timer:05}{after}");
            // Writing to a String does not fail.
            let _ = write!(dropwizard, "\"{name}\":{{");
            for (field, samples) in FIELDS.iter().zip(&mut samples) {
                let value = match *field {
                    "count" => numbers.below(1_000_000).to_string(),
                    rate if rate.ends_with("_rate") => numbers.float(1000.0),
                    _ => numbers.float(0.25),
                };
                let _ = write!(dropwizard, "\"{field}\":{value},");
                let _ = writeln!(samples, "timer_{field}{{name=\"{name}\"}} {value}");
            }
            dropwizard.push_str(r#""duration_units":"seconds","rate_units":"calls/second"},"#);
        }
        if timers > 0 {
            dropwizard.pop();
        }
        dropwizard.push_str("}}");
        let families = FIELDS.iter().zip(&samples);
        Body {
            dropwizard,
            prometheus: families
                .map(|(field, samples)| format!("# TYPE timer_{field} gauge\n{samples}"))
                .collect(),
        }
    }
}

/// Numbers that look measured and are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// With every digit that a double has, as Java prints it.
    fn float(&mut self, limit: f64) -> String {
        let number = (self.next() >> 11) as f64 / (1u64 << 53) as f64 * limit;
        format!("{number:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_fifteen_values_a_timer_in_both_formats() {
        let body = Body::of(20);
        let json: serde_json::Value = serde_json::from_str(&body.dropwizard).unwrap();
        let timers = json["timers"].as_object().unwrap();
        assert_eq!(timers.len(), 20);
        for timer in timers.values() {
            let numbers = timer.as_object().unwrap().values();
            assert_eq!(numbers.filter(|field| field.is_number()).count(), VALUES);
        }
        let samples = body
            .prometheus
            .lines()
            .filter(|line| !line.starts_with('#'));
        assert_eq!(samples.count(), 20 * VALUES);
    }
}
