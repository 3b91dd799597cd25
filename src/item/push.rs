//! `courier.push[source,type,host,include,exclude,prefix]`: everything that a source has, delivered in one request.

use std::borrow::Cow;
use std::ffi::CStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Instant, SystemTime};

use super::Parameters;
use crate::abi::Answer;
use crate::board::{Board, Record, Status};
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::errand::{self, Target};
use crate::select::Selection;
use crate::spool::Spool;
use crate::trapper::deliver::{self, Answers, Delivery};
use crate::trapper::destination::Destination;
use crate::trapper::request::{Naming, Request, Stamp};

/// What `zabbix_agentd -p` runs the key with: no source has this name, and nothing is delivered.
pub const TEST: &CStr = c"test:";

/// The parameters.
pub(super) const NAMES: [&str; 6] = ["source", "type", "host", "include", "exclude", "prefix"];

/// An errand whose item's key is right: what can go wrong from here on is a value, not an unsupported item.
pub(super) struct Errand {
    pub(super) target: Target,
    pub(super) selection: Selection,
    pub(super) destinations: Vec<Destination>,
    host: String,
    prefix: String,
}

/// Runs the errand; the value is its time in milliseconds, -1 after a timeout, 0 after a failure.
///
/// # Errors
/// The reason why the item is unsupported: misuse.
pub fn push(
    environment: &Environment,
    parameters: &[Cow<'_, str>],
    deadline: Deadline,
) -> Result<Answer, String> {
    if parameters
        .first()
        .is_some_and(|source| source.as_bytes() == TEST.to_bytes())
    {
        return Ok(Answer::Text("a test delivers nothing".to_owned()));
    }
    let parameters = Parameters::new("courier.push", &NAMES, parameters)?;
    let errand = Errand::new(environment, &parameters).map_err(|error| error.to_string())?;
    let start = Instant::now();
    let mut record = Record::default();
    let outcome = errand.run(environment, deadline, &mut record);
    record.elapsed = milliseconds(start).max(1.0);
    let source = &errand.target.id;
    let value = match outcome {
        Err(Failure::Misuse(reason)) => return Err(reason),
        Err(Failure::TimedOut(reason)) => {
            record.status = Status::Timeout;
            record.told = reason;
            -1.0
        }
        Err(Failure::Failed(reason)) => {
            record.status = Status::Failed;
            record.told = reason;
            0.0
        }
        Ok(outcome) => {
            errand.say_what_changed(environment.board, &parameters, &outcome, &record);
            record.told = outcome.answers.to_string();
            record.elapsed
        }
    };
    if value <= 0.0 {
        log::warn!("push of {source}: {}", record.told);
    }
    environment.board.write(source, &record, SystemTime::now());
    Ok(Answer::Number(value))
}

/// What a push would deliver: a row a value, `KEY<TAB>VALUE`.
///
/// # Errors
/// Why there is nothing to deliver.
pub fn rows(
    environment: &Environment,
    parameters: &[Cow<'_, str>],
    deadline: Deadline,
) -> Result<String, String> {
    let parameters = Parameters::new("courier.push", &NAMES, parameters)?;
    let text = |error: errand::Error| error.to_string();
    let target = Target::find(environment, parameters.at(0)).map_err(text)?;
    let selection = target
        .selection(parameters.at(1), parameters.at(3), parameters.at(4))
        .map_err(text)?;
    let naming = Naming {
        host: parameters.at(2),
        prefix: prefix(&parameters, &target),
        style: target.source.keys,
    };
    let stamp = environment.board.stamp(SystemTime::now());
    let rows = read_rows(&target, &selection, naming, stamp, deadline).map_err(text)?;
    Ok(rows
        .iter()
        .map(|(key, value)| format!("{key}\t{value}\n"))
        .collect())
}

fn read_rows(
    target: &Target,
    selection: &Selection,
    naming: Naming<'_>,
    stamp: Stamp,
    deadline: Deadline,
) -> Result<Vec<(String, String)>, errand::Error> {
    let body = target.fetch(deadline)?;
    let mut request = Request::new(naming, selection, stamp);
    target.read(&body, &mut request, deadline)?;
    Ok(request.into_rows())
}

/// The parameter, else the source's own.
fn prefix<'a>(parameters: &Parameters<'a>, target: &'a Target) -> &'a str {
    match parameters.at(5) {
        "" => &target.source.prefix,
        prefix => prefix,
    }
}

/// What an errand that went through leaves to be said.
struct Outcome {
    /// Names that no item can have.
    unnamable: Vec<String>,
    answers: Answers,
}

/// Why an errand did not go through.
enum Failure {
    Misuse(String),
    TimedOut(String),
    Failed(String),
}

impl From<errand::Error> for Failure {
    fn from(error: errand::Error) -> Self {
        let reason = error.to_string();
        if error.is_misuse() {
            Failure::Misuse(reason)
        } else if error.timed_out() {
            Failure::TimedOut(reason)
        } else {
            Failure::Failed(reason)
        }
    }
}

impl Errand {
    pub(super) fn new(
        environment: &Environment,
        parameters: &Parameters<'_>,
    ) -> Result<Self, errand::Error> {
        let target = Target::find(environment, parameters.at(0))?;
        let selection = target.selection(parameters.at(1), parameters.at(3), parameters.at(4))?;
        let host = environment.host(parameters.at(2))?;
        let destinations = environment.destinations(&target.settings)?;
        Ok(Errand {
            prefix: prefix(parameters, &target).to_owned(),
            target,
            selection,
            host,
            destinations,
        })
    }

    pub(super) fn naming(&self) -> Naming<'_> {
        Naming {
            host: &self.host,
            prefix: &self.prefix,
            style: self.target.source.keys,
        }
    }

    /// The keys and values that a push would deliver.
    pub(super) fn rows(
        &self,
        stamp: Stamp,
        deadline: Deadline,
    ) -> Result<Vec<(String, String)>, errand::Error> {
        read_rows(
            &self.target,
            &self.selection,
            self.naming(),
            stamp,
            deadline,
        )
    }

    /// Fetches, reads and delivers.
    fn run(
        &self,
        environment: &Environment,
        deadline: Deadline,
        record: &mut Record,
    ) -> Result<Outcome, Failure> {
        let start = Instant::now();
        let body = self.target.fetch(deadline);
        record.fetch = milliseconds(start);
        let body = body?;
        record.bytes = body.bytes.len() as u64;

        let start = Instant::now();
        let stamp = environment.board.stamp(SystemTime::now());
        let mut request = Request::new(self.naming(), &self.selection, stamp);
        let read = self.target.read(&body, &mut request, deadline);
        drop(body);
        record.parse = milliseconds(start);
        read?;
        record.values = request.values();
        record.skipped = request.skipped();
        let unnamable = request.unnamable().to_vec();
        let frame = request.into_frame().ok_or_else(|| {
            Failure::Failed("the values are more than the 1 GiB that Zabbix reads".to_owned())
        })?;

        let start = Instant::now();
        let delivery = Delivery {
            destinations: &self.destinations,
            from: environment
                .agent()
                .source_ip()
                .map_err(|error| Failure::Misuse(error.to_string()))?,
            tls: &environment.tls().map_err(errand::Error::from)?,
            compress: self.target.settings.deliver.compress,
            deadline,
            spool: Spool::new(&self.target.settings.deliver, environment.board),
        };
        let delivered = deliver::deliver(&delivery, stamp, &frame);
        record.send = milliseconds(start);
        record.delivered = !matches!(delivered, Err(deliver::Error::Tls(_)));
        let answers = delivered.map_err(|error| match error.timed_out() {
            true => Failure::TimedOut(error.to_string()),
            false => Failure::Failed(error.to_string()),
        })?;
        let reply = answers.fewest();
        record.processed = reply.processed;
        record.failed = reply.failed;
        record.server = reply.seconds * 1000.0;
        Ok(Outcome { unnamable, answers })
    }

    /// What was left out or refused is said when it changes, in whichever process; each item has its own.
    fn say_what_changed(
        &self,
        board: Board,
        parameters: &Parameters<'_>,
        outcome: &Outcome,
        record: &Record,
    ) {
        let item: Vec<&str> = (0..NAMES.len()).map(|place| parameters.at(place)).collect();
        let names = match &*outcome.unnamable {
            [] => 0,
            names => hash(names),
        };
        if board.is_news(&format!("names of {item:?}"), names) {
            log::warn!(
                "push of {}: Zabbix can make no item of these names, their values are left out: {}",
                self.target.id,
                outcome.unnamable.join(", ")
            );
        }
        if board.is_news(&format!("refusals of {item:?}"), record.failed) {
            let each = match outcome.answers.are_several() {
                true => format!(" ({})", outcome.answers),
                false => String::new(),
            };
            log::warn!(
                "push of {}: the server refused {} of {} values for host {}{each}: items that discovery has not made \
                 yet, that are disabled or of another type, an unknown host, or an address that Allowed hosts leaves out",
                self.target.id,
                record.failed,
                record.values,
                self.host
            );
        }
    }
}

fn hash(names: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish().max(1)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
