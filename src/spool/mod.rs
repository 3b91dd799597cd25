//! Snapshots that could not be delivered, kept until they can be: a queue for each destination, which all processes of
//! the agent share.
//!
//! What waits goes out before what is new, the oldest first. A snapshot is marked as sent before its bytes go out, and
//! removed when the server has answered. Only who holds the queue's lock sends from it, so what it finds marked was left
//! by a process that died or got no answer: whether the server has it is not known.

mod folder;

use std::fmt;
use std::time::Duration;

use self::folder::{Entry, Folder, State};
use crate::board::Board;
use crate::deadline::Deadline;
use crate::settings::courier::{Deliver, Retry};
use crate::trapper::destination::Destination;
use crate::trapper::request::Stamp;

pub use self::folder::Error as FolderError;

/// The time that keeping a snapshot may take at the end of an errand.
const RESERVE: Duration = Duration::from_millis(100);
/// No errand lasts longer: what is older belongs to none.
const LONGEST_ERRAND: Duration = Duration::from_secs(900);

/// What is said once: that the folder cannot be used.
const UNUSABLE: u32 = 1;

const UNKNOWN: &str = "it was sent and never acknowledged, so that the server may have it";
const TOO_OLD: &str = "it is older than spool_max_age";
const NO_ROOM: &str = "the spool has reached spool_max_bytes";
const DAMAGED: &str = "its file is damaged";
const UNFINISHED: &str = "its process died while writing it";

/// The spool of the settings.
#[derive(Clone, Copy, Debug)]
pub struct Spool<'a> {
    folder: Folder<'a>,
    settings: &'a Deliver,
    board: Board,
}

/// A snapshot on its way.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// Its clock, which no other has.
    pub stamp: Stamp,
    /// The request, header and all.
    pub frame: &'a [u8],
}

/// A snapshot that a destination did not take.
#[derive(Debug)]
pub struct Undelivered<E> {
    /// Why not.
    pub why: Why<E>,
    /// How many wait now, this one among them, or why it does not; `None` without a spool.
    pub kept: Option<Result<usize, Error>>,
}

/// Why a snapshot was not taken.
#[derive(Debug)]
pub enum Why<E> {
    /// It, or one that waits before it, was sent in vain.
    Send(E),
    /// There was no time to send all that wait before it.
    Behind(usize),
    /// Another process was sending what waits before it, all the time.
    Busy,
}

/// Why a snapshot is not kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder.
    #[error("not kept: {0}")]
    Folder(#[from] FolderError),
    /// One snapshot is more than the whole spool may be.
    #[error("not kept: its {0} bytes are more than spool_max_bytes")]
    TooLarge(u64),
    /// The rest of the spool is what may be under way.
    #[error("not kept: what was sent and not yet acknowledged fills spool_max_bytes")]
    Full,
    /// It must not be sent again.
    #[error("not kept, as spool_retry is \"at-most-once\"")]
    Unknown,
}

impl<'a> Spool<'a> {
    /// The spool, where the settings name a folder.
    pub fn new(settings: &'a Deliver, board: Board) -> Option<Self> {
        let set = !settings.spool.as_os_str().is_empty();
        set.then_some(Spool {
            folder: Folder(&settings.spool),
            settings,
            board,
        })
    }

    /// Sends what waits for `to`, the oldest first, and then `snapshot`; what is not taken is kept.
    ///
    /// `send` gets a frame and its deadline; `unknown` tells of an error whether the server may have taken the frame
    /// for all that.
    ///
    /// # Errors
    /// [`Undelivered`] when `snapshot` was not taken.
    pub fn deliver<T, E>(
        &self,
        to: &Destination,
        snapshot: Snapshot<'_>,
        deadline: Deadline,
        send: impl Fn(&[u8], Deadline) -> Result<T, E>,
        unknown: impl Fn(&E) -> bool,
    ) -> Result<T, Undelivered<E>> {
        let mut entry = Entry::new(snapshot.stamp, to);
        let deadline = deadline.earlier_by(RESERVE);
        let send = |frame: &[u8]| send(frame, deadline);
        let why = match self.send_waiting(&entry.queue, deadline, send, &unknown) {
            Err(why) => why,
            Ok(()) => match send(snapshot.frame) {
                Ok(taken) => return Ok(taken),
                Err(error) => {
                    if unknown(&error) {
                        entry.state = State::Sent;
                    }
                    Why::Send(error)
                }
            },
        };
        let kept = self.keep(&entry, snapshot.frame);
        if let Err(error) = &kept {
            self.count(&entry, &error.to_string());
        }
        Err(Undelivered {
            why,
            kept: Some(kept),
        })
    }

    /// How many snapshots wait, for all destinations.
    pub fn waiting(&self) -> u64 {
        self.folder.entries().map_or(0, |all| all.len() as u64)
    }

    /// Sends what waits in a queue until nothing does. A folder that cannot be used is said once, and holds up nothing.
    fn send_waiting<T, E>(
        &self,
        queue: &str,
        deadline: Deadline,
        send: impl Fn(&[u8]) -> Result<T, E>,
        unknown: impl Fn(&E) -> bool,
    ) -> Result<(), Why<E>> {
        let sent = self.send_queue(queue, deadline, send, unknown);
        sent.unwrap_or_else(|error| {
            if self.board.first(UNUSABLE) {
                log::warn!("what waits in the spool cannot be delivered: {error}");
            }
            Ok(())
        })
    }

    fn send_queue<T, E>(
        &self,
        queue: &str,
        deadline: Deadline,
        send: impl Fn(&[u8]) -> Result<T, E>,
        unknown: impl Fn(&E) -> bool,
    ) -> Result<Result<(), Why<E>>, FolderError> {
        if self.folder.queue(queue)?.is_empty() {
            return Ok(Ok(()));
        }
        self.folder.check()?;
        let Some(_lock) = self.folder.lock(queue, deadline)? else {
            return Ok(Err(Why::Busy));
        };
        // What another process has sent meanwhile waits no longer.
        let entries = self.folder.queue(queue)?;
        let mut delivered = 0;
        let mut outcome = Ok(());
        for (place, entry) in entries.iter().enumerate() {
            if deadline.remaining().is_err() {
                outcome = Err(Why::Behind(entries.len() - place));
                break;
            }
            match self.send_one(entry, &send, &unknown)? {
                Ok(sent) => delivered += usize::from(sent),
                Err(error) => {
                    outcome = Err(Why::Send(error));
                    break;
                }
            }
        }
        if delivered > 0 {
            let all = entries.len();
            log::info!("{delivered} of {all} snapshots that waited in the spool were delivered");
        }
        Ok(outcome)
    }

    /// Sends a snapshot that waited; whether it was sent, or is gone.
    fn send_one<T, E>(
        &self,
        entry: &Entry,
        send: impl Fn(&[u8]) -> Result<T, E>,
        unknown: impl Fn(&E) -> bool,
    ) -> Result<Result<bool, E>, FolderError> {
        if self.is_too_old(entry) {
            return self.give_up(entry, TOO_OLD).map(|()| Ok(false));
        }
        if entry.state == State::Sent && self.at_most_once() {
            return self.give_up(entry, UNKNOWN).map(|()| Ok(false));
        }
        let sent = entry.with(State::Sent);
        if !self.folder.rename(entry, &sent)? {
            // Another process has made room.
            return Ok(Ok(false));
        }
        let Some(frame) = self.folder.read(&sent)? else {
            return self.give_up(&sent, DAMAGED).map(|()| Ok(false));
        };
        match send(&frame) {
            Ok(_) => {
                self.folder.remove(&sent)?;
                Ok(Ok(true))
            }
            Err(error) if !unknown(&error) => {
                self.folder.rename(&sent, &entry.with(State::Waiting))?;
                Ok(Err(error))
            }
            Err(error) => {
                if self.at_most_once() {
                    self.give_up(&sent, UNKNOWN)?;
                }
                Ok(Err(error))
            }
        }
    }

    /// Writes a snapshot to the folder; answers how many wait now.
    fn keep(&self, entry: &Entry, frame: &[u8]) -> Result<usize, Error> {
        if entry.state == State::Sent && self.at_most_once() {
            return Err(Error::Unknown);
        }
        self.folder.make()?;
        let others = self.make_room(folder::length(frame))?;
        self.folder.write(entry, frame)?;
        Ok(others + 1)
    }

    /// Drops what is too old, and the oldest snapshots until `bytes` more have room; answers how many are left.
    fn make_room(&self, bytes: u64) -> Result<usize, Error> {
        let limit = self.settings.spool_max_bytes;
        if bytes > limit {
            return Err(Error::TooLarge(bytes));
        }
        for entry in self.folder.remove_unfinished(LONGEST_ERRAND)? {
            self.count(&entry, UNFINISHED);
        }
        let mut kept = Vec::new();
        for entry in self.folder.entries()? {
            // What is marked as sent may be under way at this moment.
            let ended = entry.age() > self.max_age() + LONGEST_ERRAND;
            if self.is_too_old(&entry) && (entry.state == State::Waiting || ended) {
                self.give_up(&entry, TOO_OLD)?;
            } else if let Some(length) = self.folder.length(&entry)? {
                kept.push((entry, length));
            }
        }
        let mut total: u64 = kept.iter().map(|(_, length)| length).sum();
        let mut left = kept.len();
        for (entry, length) in kept {
            if total + bytes <= limit {
                break;
            }
            if entry.state == State::Waiting {
                self.give_up(&entry, NO_ROOM)?;
                total -= length;
                left -= 1;
            }
        }
        match total + bytes <= limit {
            true => Ok(left),
            false => Err(Error::Full),
        }
    }

    fn give_up(&self, entry: &Entry, reason: &str) -> Result<(), FolderError> {
        if self.folder.remove(entry)? {
            self.count(entry, reason);
        }
        Ok(())
    }

    fn count(&self, entry: &Entry, reason: &str) {
        self.board.lose();
        log::warn!("the snapshot {entry} is lost: {reason}");
    }

    fn at_most_once(&self) -> bool {
        self.settings.spool_retry == Retry::AtMostOnce
    }

    fn max_age(&self) -> Duration {
        Duration::from_secs(self.settings.spool_max_age)
    }

    fn is_too_old(&self, entry: &Entry) -> bool {
        entry.age() > self.max_age()
    }
}

impl<E> Undelivered<E> {
    /// Whether time ran out; `send` tells of the error in [`Why::Send`].
    pub fn timed_out(&self, send: impl Fn(&E) -> bool) -> bool {
        match &self.why {
            Why::Send(error) => send(error),
            Why::Behind(_) | Why::Busy => true,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Undelivered<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Send(error) => error.fmt(f)?,
            Why::Behind(count) => write!(f, "no time was left, {count} snapshots wait before it")?,
            Why::Busy => f.write_str("another process was sending what waits before it")?,
        }
        match &self.kept {
            None => Ok(()),
            Some(Ok(count)) => write!(f, "; kept in the spool, where {count} wait now"),
            Some(Err(error)) => write!(f, "; {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::trapper::destination;

    /// Stands in for a server: what it took, and how it answers.
    #[derive(Default)]
    struct Server {
        took: RefCell<Vec<String>>,
        answers: RefCell<Answers>,
    }

    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    enum Answers {
        #[default]
        Yes,
        Gone,
        Silent,
    }

    impl fmt::Display for Answers {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{self:?}")
        }
    }

    struct Bench {
        settings: Deliver,
        board: Board,
        server: Server,
        patience: Duration,
        _folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let settings = Deliver {
                spool: folder.path().join("spool"),
                ..Deliver::default()
            };
            Bench {
                settings,
                board: Board::private(),
                server: Server::default(),
                patience: Duration::from_secs(20),
                _folder: folder,
            }
        }

        fn at_least_once(mut self) -> Self {
            self.settings.spool_retry = Retry::AtLeastOnce;
            self
        }

        fn spool(&self) -> Spool<'_> {
            Spool::new(&self.settings, self.board).unwrap()
        }

        /// Pushes a snapshot whose frame is `frame`.
        fn push(&self, frame: &str) -> Result<(), String> {
            self.push_to("a", now(), frame)
        }

        fn push_to(&self, to: &str, stamp: Stamp, frame: &str) -> Result<(), String> {
            let answers = |frame: &[u8], _: Deadline| {
                let answers = *self.server.answers.borrow();
                if answers != Answers::Gone {
                    assert!(
                        self.nothing_waits(frame),
                        "it was sent before it was marked"
                    );
                    let frame = String::from_utf8(frame.to_vec()).unwrap();
                    self.server.took.borrow_mut().push(frame);
                }
                match answers {
                    Answers::Yes => Ok(()),
                    answers => Err(answers),
                }
            };
            let snapshot = Snapshot {
                stamp,
                frame: frame.as_bytes(),
            };
            let deadline = Deadline::after(self.patience);
            let unknown = |answers: &Answers| *answers == Answers::Silent;
            self.spool()
                .deliver(
                    &destination::parse(to).unwrap(),
                    snapshot,
                    deadline,
                    answers,
                    unknown,
                )
                .map_err(|undelivered| undelivered.to_string())
        }

        /// Whether no file that holds `frame` may be sent again.
        fn nothing_waits(&self, frame: &[u8]) -> bool {
            let folder = self.spool().folder;
            let entries = folder.entries().unwrap_or_default();
            let mut waiting = entries.iter().filter(|one| one.state == State::Waiting);
            waiting.all(|one| folder.read(one).unwrap().as_deref() != Some(frame))
        }

        fn answers(&self, answers: Answers) {
            *self.server.answers.borrow_mut() = answers;
        }

        fn took(&self) -> Vec<String> {
            self.server.took.take()
        }

        fn files(&self) -> Vec<std::path::PathBuf> {
            let files = fs::read_dir(&self.settings.spool).unwrap();
            let paths = files.map(|file| file.unwrap().path());
            paths
                .filter(|path| path.extension().is_some_and(|end| end != "lock"))
                .collect()
        }
    }

    /// A new stamp.
    fn now() -> Stamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Stamp {
            clock: now.as_secs(),
            ns: now.subsec_nanos(),
        }
    }

    fn ago(seconds: u64) -> Stamp {
        Stamp {
            clock: now().clock - seconds,
            ns: 0,
        }
    }

    #[test]
    fn what_was_not_delivered_goes_out_before_what_is_new_the_oldest_first() {
        let bench = Bench::new();
        bench.answers(Answers::Gone);
        for (frame, waiting) in [("1", 1), ("2", 2), ("3", 3)] {
            let error = bench.push(frame).unwrap_err();
            assert_eq!(
                error,
                format!("Gone; kept in the spool, where {waiting} wait now")
            );
        }
        assert_eq!(bench.spool().waiting(), 3);
        bench.answers(Answers::Yes);
        assert_eq!(bench.push("4"), Ok(()));
        assert_eq!(bench.took(), ["1", "2", "3", "4"]);
        assert_eq!((bench.spool().waiting(), bench.board.lost()), (0, 0));
    }

    #[test]
    fn without_a_folder_in_the_settings_there_is_no_spool() {
        assert!(Spool::new(&Deliver::default(), Board::private()).is_none());
    }

    #[test]
    fn what_was_sent_and_never_acknowledged_is_lost_and_not_sent_twice() {
        let bench = Bench::new();
        bench.answers(Answers::Gone);
        bench.push("waits").unwrap_err();
        bench.answers(Answers::Silent);
        // The one that waits is sent in vain; the new one is not sent at all.
        bench.push("new").unwrap_err();
        assert_eq!(
            (bench.took(), bench.board.lost()),
            (vec!["waits".to_owned()], 1)
        );
        let error = bench.push("newer").unwrap_err();
        assert_eq!(
            (bench.took(), bench.board.lost()),
            (vec!["new".to_owned()], 2)
        );
        assert!(error.contains("1 wait now"), "{error}");
        bench.answers(Answers::Yes);
        bench.push("newest").unwrap();
        assert_eq!(bench.took(), ["newer", "newest"]);
        bench.answers(Answers::Silent);
        let error = bench.push("last").unwrap_err();
        assert!(
            error.ends_with("not kept, as spool_retry is \"at-most-once\""),
            "{error}"
        );
        assert_eq!((bench.spool().waiting(), bench.board.lost()), (0, 3));
    }

    #[test]
    fn at_least_once_it_is_sent_again() {
        let bench = Bench::new().at_least_once();
        bench.answers(Answers::Silent);
        bench.push("1").unwrap_err();
        bench.push("2").unwrap_err();
        bench.answers(Answers::Yes);
        bench.push("3").unwrap();
        assert_eq!(bench.took(), ["1", "1", "1", "2", "3"]);
        assert_eq!((bench.spool().waiting(), bench.board.lost()), (0, 0));
    }

    #[test]
    fn what_a_process_that_was_killed_had_sent_is_unknown() {
        for (bench, took, lost) in [
            (Bench::new(), vec!["2"], 1),
            (Bench::new().at_least_once(), vec!["1", "2"], 0),
        ] {
            bench.answers(Answers::Gone);
            bench.push("1").unwrap_err();
            let path = bench.files().remove(0);
            fs::rename(&path, path.with_extension("sent")).unwrap();
            bench.answers(Answers::Yes);
            bench.push("2").unwrap();
            assert_eq!(
                (
                    bench.took().iter().map(String::as_str).collect(),
                    bench.board.lost()
                ),
                (took, lost)
            );
            assert_eq!(bench.spool().waiting(), 0);
        }
    }

    #[test]
    fn the_oldest_give_way_when_there_is_no_room_and_are_counted() {
        let mut bench = Bench::new();
        let frame = |number: usize| format!("{number}{}", "x".repeat(999));
        bench.settings.spool_max_bytes = 3 * folder::length(frame(1).as_bytes());
        bench.answers(Answers::Gone);
        for number in 1..=5 {
            bench.push(&frame(number)).unwrap_err();
        }
        assert_eq!((bench.spool().waiting(), bench.board.lost()), (3, 2));
        let error = bench.push(&"x".repeat(4000)).unwrap_err();
        assert!(error.contains("more than spool_max_bytes"), "{error}");
        assert_eq!((bench.spool().waiting(), bench.board.lost()), (3, 3));
        bench.answers(Answers::Yes);
        bench.push("new").unwrap();
        assert_eq!(
            bench.took(),
            [frame(3), frame(4), frame(5), "new".to_owned()]
        );
    }

    #[test]
    fn what_may_be_under_way_is_not_dropped_for_what_is_new() {
        let mut bench = Bench::new().at_least_once();
        bench.settings.spool_max_bytes = folder::length(b"sent");
        bench.answers(Answers::Silent);
        bench.push("sent").unwrap_err();
        let error = bench.push_to("b", now(), "more").unwrap_err();
        assert!(error.contains("not yet acknowledged fills"), "{error}");
        assert_eq!((bench.spool().waiting(), bench.board.lost()), (1, 1));
        bench.answers(Answers::Yes);
        bench.took();
        bench.push("new").unwrap();
        assert_eq!(bench.took(), ["sent", "new"]);
    }

    #[test]
    fn what_is_too_old_is_dropped_and_counted() {
        let mut bench = Bench::new();
        bench.settings.spool_max_age = 60;
        bench.answers(Answers::Gone);
        bench.push_to("a", ago(3600), "old").unwrap_err();
        bench
            .push_to("b", ago(3600), "of a destination that is gone")
            .unwrap_err();
        bench.push_to("a", ago(30), "young").unwrap_err();
        assert_eq!((bench.spool().waiting(), bench.board.lost()), (1, 2));
        bench.answers(Answers::Yes);
        bench.push("new").unwrap();
        assert_eq!(bench.took(), ["young", "new"]);
    }

    #[test]
    fn a_damaged_file_costs_its_own_snapshot_alone() {
        let bench = Bench::new();
        bench.answers(Answers::Gone);
        for frame in ["first", "second", "third"] {
            bench.push(frame).unwrap_err();
        }
        let mut files = bench.files();
        files.sort();
        let whole = fs::read(&files[1]).unwrap();
        fs::write(&files[1], &whole[..whole.len() - 1]).unwrap();
        bench.answers(Answers::Yes);
        bench.push("new").unwrap();
        assert_eq!(bench.took(), ["first", "third", "new"]);
        assert_eq!((bench.spool().waiting(), bench.board.lost()), (0, 1));
    }

    #[test]
    fn every_destination_has_its_own_queue() {
        let bench = Bench::new();
        bench.answers(Answers::Gone);
        bench.push_to("a", now(), "for a").unwrap_err();
        bench.push_to("b:1;c", now(), "for b or c").unwrap_err();
        bench.answers(Answers::Yes);
        bench.push_to("a", now(), "new").unwrap();
        assert_eq!(
            (bench.took(), bench.spool().waiting()),
            (vec!["for a".to_owned(), "new".to_owned()], 1)
        );
        bench.push_to("b:1;c", now(), "new").unwrap();
        assert_eq!(bench.took(), ["for b or c", "new"]);
    }

    #[test]
    fn a_queue_that_another_process_sends_from_is_waited_for_until_the_deadline() {
        let mut bench = Bench::new();
        bench.answers(Answers::Gone);
        bench.push("1").unwrap_err();
        bench.answers(Answers::Yes);
        let queue = Entry::new(now(), &destination::parse("a").unwrap()).queue;
        let lock = bench
            .spool()
            .folder
            .lock(&queue, Deadline::after(Duration::ZERO));
        let patience = bench.patience;
        bench.patience = Duration::from_millis(400);
        let start = Instant::now();
        let error = bench.push("2").unwrap_err();
        assert!(error.starts_with("another process"), "{error}");
        assert!(
            start.elapsed() >= Duration::from_millis(300),
            "{:?}",
            start.elapsed()
        );
        assert!(bench.took().is_empty());
        drop(lock);
        bench.patience = patience;
        bench.push("3").unwrap();
        assert_eq!(bench.took(), ["1", "2", "3"]);
    }

    #[test]
    fn a_folder_that_cannot_be_used_holds_up_nothing_and_says_why_nothing_is_kept() {
        let bench = Bench::new();
        fs::create_dir(&bench.settings.spool).unwrap();
        let all = fs::Permissions::from_mode(0o777);
        fs::set_permissions(&bench.settings.spool, all).unwrap();
        bench.answers(Answers::Gone);
        let error = bench.push("1").unwrap_err();
        assert!(
            error.contains("not kept: ") && error.contains("chmod 700"),
            "{error}"
        );
        // What others may have put there is not sent.
        let planted = Entry::new(ago(5), &destination::parse("a").unwrap());
        bench.spool().folder.write(&planted, b"planted").unwrap();
        bench.answers(Answers::Yes);
        bench.push("2").unwrap();
        assert_eq!(
            (bench.took(), bench.board.lost()),
            (vec!["2".to_owned()], 1)
        );

        let mut bench = Bench::new();
        bench.settings.spool = Path::new("/dev/null").into();
        bench.answers(Answers::Gone);
        let error = bench.push("1").unwrap_err();
        assert!(error.starts_with("Gone; not kept: /dev/null: "), "{error}");
        bench.answers(Answers::Yes);
        bench.push("2").unwrap();
    }

    #[test]
    fn nobody_else_can_read_what_waits() {
        let bench = Bench::new();
        bench.answers(Answers::Gone);
        bench.push("secret").unwrap_err();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&bench.settings.spool), 0o700);
        assert_eq!(mode(&bench.files()[0]), 0o600);
    }
}
