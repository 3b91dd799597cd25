//! What every fuzz target checks beside not crashing: memory, and what a format may tell.

use courier::format::Error;
use courier::metric::{Collector, Kind, Series, Value, is_number};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What any reader may hold, however short its input is.
pub const FREE: usize = 64 << 10;

/// Runs `work` and checks that it never held more than `limit` bytes.
pub fn bounded<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let answer = work();
    let held = MEMORY.peak_usage().saturating_sub(before);
    assert!(
        held <= limit,
        "{held} bytes held, where {limit} is the limit"
    );
    answer
}

/// Reads `body` into a [`Checked`] collector, in bounded memory, and checks the words of an error; whether it was read.
pub fn read(
    body: &[u8],
    format: impl FnOnce(&[u8], &mut dyn Collector) -> Result<(), Error>,
) -> bool {
    let answer = bounded(4 * body.len() + FREE, || {
        format(body, &mut Checked::default())
    });
    if let Err(error) = &answer {
        check_words(&error.to_string());
    }
    answer.is_ok()
}

/// Whether another parser takes `body` for JSON.
pub fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(body).is_ok()
}

/// An error is a sentence on one line, however much of the input it quotes.
pub fn check_words(words: &str) {
    assert!(!words.is_empty() && words.len() < 2048, "{words}");
    assert!(!words.contains('\n'), "{words}");
}

/// Checks that what a format tells is what items are made of.
#[derive(Default)]
struct Checked {
    kind: Option<Kind>,
    series: u32,
}

impl Collector for Checked {
    fn series(&mut self, series: &Series<'_>) -> bool {
        let has = |name| series.labels.iter().any(|label| label.name == name);
        match series.kind {
            Kind::Bucket => assert!(has("le")),
            Kind::Quantile => assert!(has("quantile")),
            _ => {}
        }
        let mut names = series.labels.iter().map(|label| &label.name);
        assert!(names.is_sorted_by(|a, b| a < b), "{:?}", series.labels);
        // Some are not wanted, as where an item selects a type.
        self.series += 1;
        self.kind = (self.series % 3 != 0).then_some(series.kind);
        self.kind.is_some()
    }

    fn value(&mut self, field: &str, value: Value<'_>) {
        let kind = self.kind.expect("a value of no series that is wanted");
        match value {
            Value::Number(number) => {
                assert!(is_number(number), "{number}");
                assert!(number.parse().is_ok_and(f64::is_finite), "{number}");
                assert_ne!(kind, Kind::Text, "{field}");
            }
            Value::Text(_) => assert_eq!(kind, Kind::Text, "{field}"),
        }
    }

    fn skip(&mut self) {}
}
