//! The board: what became of each source's last push, in memory that all processes of an agent share.
//!
//! Listeners and active checks are processes of their own, and `courier.stats` is asked in any of them.
//! The memory is a row of words that are read and written atomically; each slot is guarded by a sequence number, odd
//! while a process writes it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::trapper::request::Stamp;

/// Sources that are kept; the oldest gives way.
pub const SLOTS: usize = 256;
/// The longest text, in bytes.
const TEXT: usize = 512;
const TEXT_WORDS: usize = TEXT / 8;
/// Words of a slot before its text.
const FIXED: usize = 16;
const SLOT: usize = FIXED + TEXT_WORDS;
/// Words before the first slot: the last stamp, what was said already, and how many snapshots were lost.
const HEAD: usize = 3;
/// Topics of which it is known what was last said.
const TOPICS: usize = 1024;
const TOPIC: usize = 2;
/// The words that a board needs.
pub const WORDS: usize = HEAD + SLOTS * SLOT + TOPICS * TOPIC;

/// How a push ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Every destination took the request.
    #[default]
    Ok,
    /// The deadline passed.
    Timeout,
    /// Anything else.
    Failed,
}

/// What is kept of a push. Times are milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// How it ended.
    pub status: Status,
    /// Why it did not go through, or what each destination answered.
    pub told: String,
    /// Whether it got as far as the destinations.
    pub delivered: bool,
    /// The whole errand.
    pub elapsed: f64,
    /// Until the body was there.
    pub fetch: f64,
    /// Reading the body and writing the request.
    pub parse: f64,
    /// From connecting to the server's answer.
    pub send: f64,
    /// What the server says it spent of that.
    pub server: f64,
    /// The body's bytes.
    pub bytes: u64,
    /// Values in the request.
    pub values: u64,
    /// Values that the server took.
    pub processed: u64,
    /// Values that it refused.
    pub failed: u64,
    /// What was left out before: NaN, lists, names that no item can have.
    pub skipped: u64,
}

/// The board.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    words: &'static [AtomicU64],
}

impl Board {
    /// A board in `words`, of which there are [`WORDS`].
    pub fn new(words: &'static [AtomicU64]) -> Self {
        assert!(words.len() >= WORDS, "a board needs {WORDS} words");
        Board { words }
    }

    /// A board that this process alone sees.
    pub fn private() -> Self {
        let words: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        Board::new(words.leak())
    }

    /// A stamp that no push before had: now, or a nanosecond after the last one.
    pub fn stamp(&self, now: SystemTime) -> Stamp {
        let now = nanoseconds(now);
        let last = &self.words[0];
        let mut before = last.load(Ordering::Relaxed);
        loop {
            // A last stamp far ahead is from before the clock was set back.
            let ahead = before.saturating_sub(now) > 1_000_000_000;
            let next = if ahead { now } else { now.max(before + 1) };
            match last.compare_exchange_weak(before, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    return Stamp {
                        clock: next / 1_000_000_000,
                        ns: (next % 1_000_000_000) as u32,
                    };
                }
                Err(other) => before = other,
            }
        }
    }

    /// Whether this is the first time, in any process, that `notice` (below 64) is to be said.
    pub fn first(&self, notice: u32) -> bool {
        let bit = 1 << (notice % 64);
        self.words[1].fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// Whether this is to be said about a topic: what was last said about it, in whichever process, was something else. Of
    /// 0 there is nothing to say.
    pub fn is_news(&self, topic: &str, what: u64) -> bool {
        let id = id(topic);
        let mut topics = self.words[HEAD + SLOTS * SLOT..WORDS].chunks(TOPIC);
        let place = match topics.find(|topic| [0, id].contains(&topic[0].load(Ordering::Relaxed))) {
            Some(place) => place,
            // Of so many, one is forgotten, and may be said again.
            None => {
                let start = HEAD + SLOTS * SLOT + id as usize % TOPICS * TOPIC;
                &self.words[start..start + TOPIC]
            }
        };
        let known = place[0].load(Ordering::Relaxed) == id;
        if !known && what == 0 {
            return false;
        }
        place[0].store(id, Ordering::Relaxed);
        let before = place[1].swap(what, Ordering::Relaxed);
        what != 0 && !(known && before == what)
    }

    /// Counts a snapshot that the spool gave up.
    pub fn lose(&self) {
        self.words[2].fetch_add(1, Ordering::Relaxed);
    }

    /// How many snapshots the spool gave up, in any process.
    pub fn lost(&self) -> u64 {
        self.words[2].load(Ordering::Relaxed)
    }

    /// Keeps what became of the last push of `source`.
    pub fn write(&self, source: &str, record: &Record, now: SystemTime) {
        let id = id(source);
        let slot = self.slot_to_write(id);
        let Some(sequence) = lock(&slot[0]) else {
            return;
        };
        let status = match record.status {
            Status::Ok => 0,
            Status::Timeout => 1,
            Status::Failed => 2,
        };
        let mut end = record.told.len().min(TEXT);
        while !record.told.is_char_boundary(end) {
            end -= 1;
        }
        let text = &record.told.as_bytes()[..end];
        let fixed = [
            id,
            nanoseconds(now),
            status,
            record.elapsed.to_bits(),
            record.fetch.to_bits(),
            record.parse.to_bits(),
            record.send.to_bits(),
            record.server.to_bits(),
            record.bytes,
            record.values,
            record.processed,
            record.failed,
            record.skipped,
            text.len() as u64,
            u64::from(record.delivered),
        ];
        for (word, value) in slot[1..].iter().zip(fixed) {
            word.store(value, Ordering::Relaxed);
        }
        for (word, bytes) in slot[FIXED..].iter().zip(text.chunks(8)) {
            let mut value = [0; 8];
            value[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(value), Ordering::Relaxed);
        }
        slot[0].store(sequence + 2, Ordering::Release);
    }

    /// What became of the last push of `source`, and how long ago that was.
    pub fn read(&self, source: &str, now: SystemTime) -> Option<(Record, Duration)> {
        let id = id(source);
        let found = self
            .slots()
            .filter(|slot| slot[1].load(Ordering::Relaxed) == id);
        let (record, at) = found
            .filter_map(|slot| read(slot, id))
            .max_by_key(|(_, at)| *at)?;
        Some((
            record,
            Duration::from_nanos(nanoseconds(now).saturating_sub(at)),
        ))
    }

    fn slots(&self) -> impl Iterator<Item = &'static [AtomicU64]> {
        self.words[HEAD..HEAD + SLOTS * SLOT].chunks(SLOT)
    }

    /// The source's own slot, else a free one, else the oldest.
    fn slot_to_write(&self, id: u64) -> &'static [AtomicU64] {
        let age = |slot: &&[AtomicU64]| match slot[1].load(Ordering::Relaxed) {
            own if own == id => 0,
            0 => 1,
            _ => 2 + slot[2].load(Ordering::Relaxed),
        };
        self.slots()
            .min_by_key(age)
            .unwrap_or(&self.words[HEAD..HEAD + SLOT])
    }
}

/// Makes the sequence number odd and answers what it was; `None` where another process holds the slot and does not let go.
fn lock(sequence: &AtomicU64) -> Option<u64> {
    for attempt in 0..10_000 {
        let now = sequence.load(Ordering::Relaxed);
        // A process that was killed while it wrote leaves an odd number behind; nobody writes for that long.
        let free = now & !1;
        if now == free || attempt == 9_999 {
            let taken =
                sequence.compare_exchange(now, free | 1, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_ok() {
                fence(Ordering::Release);
                return Some(free);
            }
        }
        std::hint::spin_loop();
    }
    None
}

fn read(slot: &[AtomicU64], id: u64) -> Option<(Record, u64)> {
    for _ in 0..10_000 {
        let before = slot[0].load(Ordering::Acquire);
        let words: Vec<u64> = slot
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
            .collect();
        fence(Ordering::Acquire);
        if before & 1 == 0 && slot[0].load(Ordering::Relaxed) == before {
            return (words[1] == id).then(|| (record(&words), words[2]));
        }
        std::thread::yield_now();
    }
    None
}

fn record(words: &[u64]) -> Record {
    let text: Vec<u8> = words[FIXED..]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let length = (words[14] as usize).min(text.len());
    Record {
        status: match words[3] {
            0 => Status::Ok,
            1 => Status::Timeout,
            _ => Status::Failed,
        },
        told: String::from_utf8_lossy(&text[..length]).into_owned(),
        delivered: words[15] != 0,
        elapsed: f64::from_bits(words[4]),
        fetch: f64::from_bits(words[5]),
        parse: f64::from_bits(words[6]),
        send: f64::from_bits(words[7]),
        server: f64::from_bits(words[8]),
        bytes: words[9],
        values: words[10],
        processed: words[11],
        failed: words[12],
        skipped: words[13],
    }
}

/// What stands for a source: a hash that is the same in every process; never 0, which is a free slot.
fn id(source: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    hasher.finish().max(1)
}

fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_written_is_read_by_its_source() {
        let board = Board::private();
        let record = Record {
            status: Status::Failed,
            told: "ü".repeat(300),
            delivered: true,
            elapsed: 1.5,
            values: 7,
            ..Record::default()
        };
        board.write("app", &record, at(10));
        board.write("other", &Record::default(), at(11));
        let (read, age) = board.read("app", at(12)).unwrap();
        assert_eq!(age, Duration::from_secs(2));
        assert_eq!(read.told, "ü".repeat(256));
        assert_eq!(
            Record {
                told: record.told.clone(),
                ..read
            },
            record
        );
        assert_eq!(board.read("never", at(12)), None);
    }

    #[test]
    fn a_notice_is_said_once() {
        let board = Board::private();
        assert!(board.first(0) && board.first(63));
        assert!(!board.first(0) && !board.first(63));
    }

    #[test]
    fn what_changes_is_said_about_each_topic() {
        let board = Board::private();
        assert!(!board.is_news("a", 0));
        let said = [
            ("a", 1),
            ("b", 2),
            ("a", 1),
            ("b", 2),
            ("a", 3),
            ("a", 0),
            ("a", 3),
        ];
        let news: Vec<bool> = said.map(|(topic, what)| board.is_news(topic, what)).into();
        assert_eq!(news, [true, true, false, false, true, false, true]);
        for i in 0..2 * TOPICS {
            assert!(board.is_news(&format!("topic {i}"), 1));
        }
        board.write("app", &Record::default(), at(1));
        assert!(board.read("app", at(1)).is_some());
    }

    #[test]
    fn the_oldest_source_gives_way() {
        let board = Board::private();
        for i in 0..=SLOTS as u64 {
            board.write(&i.to_string(), &Record::default(), at(1000 + i));
        }
        assert_eq!(board.read("0", at(5000)), None);
        assert!(board.read("1", at(5000)).is_some() && board.read("256", at(5000)).is_some());
    }

    #[test]
    fn no_two_stamps_are_equal_also_when_the_clock_stands_or_jumps_back() {
        let board = Board::private();
        let (first, second) = (board.stamp(at(100)), board.stamp(at(100)));
        assert_eq!(
            second,
            Stamp {
                clock: 100,
                ns: first.ns + 1
            }
        );
        assert_eq!(board.stamp(at(50)), Stamp { clock: 50, ns: 0 });
    }

    #[test]
    fn a_slot_whose_writer_was_killed_is_taken_over() {
        let board = Board::private();
        board.write("a", &Record::default(), at(1));
        let slot = board.slot_to_write(id("a"));
        slot[0].store(3, Ordering::Relaxed);
        assert_eq!(board.read("a", at(2)), None);
        board.write("a", &Record::default(), at(2));
        assert!(board.read("a", at(2)).is_some());
    }
}
