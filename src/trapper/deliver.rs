//! One frame to every destination, side by side, within one deadline.

use std::fmt;
use std::net::IpAddr;
use std::thread;

use super::client;
use super::destination::Destination;
use super::reply::Reply;
use crate::abi;
use crate::deadline::Deadline;

/// Where a frame goes, and how.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// All of them get it.
    pub destinations: &'a [Destination],
    /// The address that connections come from.
    pub from: Option<IpAddr>,
    /// When there must be an answer.
    pub deadline: Deadline,
}

/// What became of the values; of several destinations the one that took fewest.
pub type Delivered = Reply;

/// At least one destination did not take the frame.
#[derive(Debug)]
pub struct Error {
    /// Whether one of them did not answer in time.
    pub timed_out: bool,
    /// Each one's reason.
    reasons: Vec<String>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("; "))
    }
}

/// Delivers `frame` to every destination.
///
/// # Errors
/// [`Error`] unless every destination took it.
pub fn deliver(delivery: &Delivery<'_>, frame: &[u8]) -> Result<Delivered, Error> {
    let answers: Vec<Result<Reply, client::Error>> = match delivery.destinations {
        [one] => vec![to_one(one, delivery, frame)],
        several => thread::scope(|scope| {
            let running: Vec<_> = several
                .iter()
                .map(|one| abi::without_signals(|| scope.spawn(|| to_one(one, delivery, frame))))
                .collect();
            // A thread's panic goes on here, to the one guard at the border.
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            running.into_iter().map(join).collect()
        }),
    };
    let mut error = Error {
        timed_out: false,
        reasons: Vec::new(),
    };
    let mut worst: Option<Reply> = None;
    for answer in answers {
        match answer {
            Ok(reply) if worst.is_none_or(|worst| reply.processed < worst.processed) => {
                worst = Some(reply)
            }
            Ok(_) => {}
            Err(reason) => {
                error.timed_out |= reason.timed_out();
                error.reasons.push(reason.to_string());
            }
        }
    }
    match worst {
        Some(worst) if error.reasons.is_empty() => Ok(worst),
        _ => Err(error),
    }
}

/// The nodes of a cluster are tried in turn.
fn to_one(
    destination: &Destination,
    delivery: &Delivery<'_>,
    frame: &[u8],
) -> Result<Reply, client::Error> {
    let ask = |node| client::exchange(node, delivery.from, frame, delivery.deadline);
    let mut answer = ask(&destination.first);
    for node in &destination.others {
        if answer.is_ok() {
            break;
        }
        answer = ask(node);
    }
    answer
}
