//! One frame to every destination, side by side, within one deadline.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::thread;

use parking_lot::Mutex;

use super::client::{self, Route};
use super::destination::{Address, Destination};
use super::frame;
use super::reply::{self, Reply};
use super::request::Stamp;
use super::tls;
use crate::abi;
use crate::deadline::Deadline;
use crate::settings::tls::Tls;
use crate::spool::{Snapshot, Spool, Undelivered, Why};

/// Where a frame goes, and how.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// All of them get it.
    pub destinations: &'a [Destination],
    /// The address that connections come from.
    pub from: Option<IpAddr>,
    /// How they are encrypted.
    pub tls: &'a Tls,
    /// Whether the frame is compressed on its way.
    pub compress: bool,
    /// When there must be an answer.
    pub deadline: Deadline,
    /// Where what a destination does not take waits, if it does.
    pub spool: Option<Spool<'a>>,
}

/// What each destination answered, in the settings' order.
#[derive(Debug)]
pub struct Answers(Vec<(String, Result<Reply, Undelivered<Nodes>>)>);

/// Not every destination took a frame.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing was sent: TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// Some destinations did not take it.
    #[error("{0}")]
    Destinations(Answers),
}

/// What went wrong with each node of a destination that was tried.
#[derive(Debug)]
struct Nodes(Vec<client::Error>);

impl Nodes {
    fn timed_out(&self) -> bool {
        self.0.iter().any(client::Error::timed_out)
    }

    fn is_unknown(&self) -> bool {
        self.0.iter().any(client::Error::is_unknown)
    }
}

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.0.iter().map(client::Error::to_string).collect();
        f.write_str(&reasons.join("; "))
    }
}

impl Error {
    /// Whether a destination did not answer in time.
    pub fn timed_out(&self) -> bool {
        match self {
            Error::Tls(_) => false,
            Error::Destinations(Answers(all)) => {
                let mut failed = all.iter().filter_map(|(_, answer)| answer.as_ref().err());
                failed.any(|one| one.timed_out(Nodes::timed_out))
            }
        }
    }
}

impl Answers {
    /// What became of the values: of several destinations, at the one that took fewest.
    pub fn fewest(&self) -> Reply {
        let replies = self.0.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        replies
            .min_by_key(|reply| reply.processed)
            .copied()
            .unwrap_or_default()
    }

    /// Whether there are several.
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (to, answer)) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            match answer {
                Ok(Reply {
                    processed, failed, ..
                }) => write!(f, "{to}: {processed} processed, {failed} refused")?,
                // An error of sending names the node.
                Err(error) if matches!(error.why, Why::Send(_)) => error.fmt(f)?,
                Err(error) => write!(f, "{to}: {error}")?,
            }
        }
        Ok(())
    }
}

/// Delivers `frame`, a snapshot of the clock `stamp`, to every destination.
///
/// # Errors
/// [`Error`] unless every destination took it.
pub fn deliver(delivery: &Delivery<'_>, stamp: Stamp, frame: &[u8]) -> Result<Answers, Error> {
    let tls = tls::Client::new(delivery.tls)?;
    let route = Route {
        from: delivery.from,
        tls: tls.as_ref(),
    };
    let exchange = |to, frame: &[u8], deadline| {
        let frame = match delivery.compress {
            true => Cow::Owned(frame::compressed(frame)),
            false => Cow::Borrowed(frame),
        };
        to_one(to, route, &frame, deadline)
    };
    let send = |to| match &delivery.spool {
        None => exchange(to, frame, delivery.deadline).map_err(|nodes| Undelivered {
            why: Why::Send(nodes),
            kept: None,
        }),
        Some(spool) => spool.deliver(
            to,
            Snapshot { stamp, frame },
            delivery.deadline,
            |frame, deadline| exchange(to, frame, deadline),
            Nodes::is_unknown,
        ),
    };
    let answers: Vec<Result<Reply, Undelivered<Nodes>>> = match delivery.destinations {
        [one] => vec![send(one)],
        several => thread::scope(|scope| {
            let running: Vec<_> = several
                .iter()
                .map(|one| abi::without_signals(|| scope.spawn(|| send(one))))
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
    let names = delivery.destinations.iter().map(Destination::to_string);
    let answers = Answers(names.zip(answers).collect());
    match answers.0.iter().all(|(_, answer)| answer.is_ok()) {
        true => Ok(answers),
        false => Err(Error::Destinations(answers)),
    }
}

/// The nodes of a cluster are tried in turn, until one may have taken the frame. Each has its share of the time until
/// the frame is out, so that a silent one leaves time for those behind it; the answer may take what is left.
fn to_one(
    destination: &Destination,
    route: Route<'_>,
    frame: &[u8],
    deadline: Deadline,
) -> Result<Reply, Nodes> {
    let nodes = in_turn(destination);
    let mut errors = Vec::new();
    for (tried, node) in nodes.iter().enumerate() {
        let share = deadline.shared_by(nodes.len() - tried);
        match ask(node, route, frame, share, deadline) {
            Ok((reply, by)) => {
                remember(destination, by);
                return Ok(reply);
            }
            Err(error) => {
                let end = error.is_unknown();
                errors.push(error);
                if end {
                    break;
                }
            }
        }
    }
    Err(Nodes(errors))
}

/// Asks a node, and where it redirects to that one; answers who took the frame, too.
fn ask(
    node: &Address,
    route: Route<'_>,
    frame: &[u8],
    share: Deadline,
    deadline: Deadline,
) -> Result<(Reply, Address), client::Error> {
    match client::exchange(node, route, frame, share, deadline) {
        Ok(reply) => Ok((reply, node.clone())),
        // The second redirect of a frame is an error as any other.
        Err(client::Error::Reply {
            error: reply::Error::Redirected(to),
            ..
        }) => client::exchange(&to, route, frame, deadline, deadline).map(|reply| (reply, to)),
        Err(error) => Err(error),
    }
}

/// Who took the last frame for a destination, where that is not its first node: another node of the cluster, or the
/// proxy that it redirected to. Kept by each process.
static LAST: Mutex<Vec<(Destination, Address)>> = Mutex::new(Vec::new());
/// Destinations change with the settings only; of so many the oldest is forgotten.
const MAX_LAST: usize = 64;

fn remember(destination: &Destination, took: Address) {
    let mut last = LAST.lock();
    last.retain(|(of, _)| of != destination);
    if took != destination.first {
        if last.len() >= MAX_LAST {
            last.remove(0);
        }
        last.push((destination.clone(), took));
    }
}

/// The nodes to try, the one that worked last time first.
fn in_turn(destination: &Destination) -> Vec<Address> {
    let last = LAST.lock();
    let last = last.iter().find(|(of, _)| of == destination);
    let mut nodes: Vec<Address> = last.map(|(_, took)| took.clone()).into_iter().collect();
    for node in destination.nodes() {
        if !nodes.contains(node) {
            nodes.push(node.clone());
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::trapper::destination;

    const TOOK: &str =
        r#"{"response":"success","info":"processed: 1; failed: 0; total: 1; seconds spent: 0.1"}"#;
    const MESSAGE: &[u8] = b"{\"request\":\"sender data\",\"data\":[]}";

    /// Stands in for a server that gives each request the next of `answers`; an empty one is none.
    fn stand_in(answers: &[&str]) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = destination::address(&listener.local_addr().unwrap().to_string()).unwrap();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        thread::spawn(move || {
            let mut listener = Some(listener);
            for (number, answer) in answers.iter().enumerate() {
                let (mut stream, _) = listener.as_ref().unwrap().accept().unwrap();
                // Who was answered may come again at once, and finds nobody after the last answer.
                if number + 1 == answers.len() {
                    listener = None;
                }
                let mut header = [0; frame::HEADER];
                stream.read_exact(&mut header).unwrap();
                let mut message = vec![0; frame::read(header).unwrap().length];
                stream.read_exact(&mut message).unwrap();
                if !answer.is_empty() {
                    let framed = [&frame::header(answer.len()), answer.as_bytes()].concat();
                    stream.write_all(&framed).unwrap();
                }
            }
        });
        address
    }

    /// An address that refuses.
    fn closed() -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        destination::address(&listener.local_addr().unwrap().to_string()).unwrap()
    }

    /// An address that neither refuses nor accepts: the queue of a listener that nobody serves is full.
    fn silent() -> (Address, Vec<std::net::TcpStream>) {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let listener: TcpListener = socket.into();
        let address = listener.local_addr().unwrap();
        let short = Duration::from_millis(200);
        let mut held = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, short) {
            held.push(stream);
        }
        std::mem::forget(listener);
        (destination::address(&address.to_string()).unwrap(), held)
    }

    fn cluster(nodes: &[&Address]) -> Destination {
        let nodes: Vec<String> = nodes.iter().map(|node| node.to_string()).collect();
        destination::parse(&nodes.join(";")).unwrap()
    }

    fn delivered(destinations: &[Destination]) -> Result<u64, String> {
        let delivery = Delivery {
            destinations,
            from: None,
            tls: &Tls::Unencrypted,
            compress: false,
            deadline: Deadline::after(Duration::from_secs(4)),
            spool: None,
        };
        let frame = [&frame::header(MESSAGE.len()), MESSAGE].concat();
        let stamp = Stamp { clock: 1, ns: 0 };
        deliver(&delivery, stamp, &frame)
            .map(|answers| answers.fewest().processed)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_that_is_gone_or_refuses_gives_way_to_the_next_which_is_asked_first_from_then_on() {
        let refusing = stand_in(&[r#"{"response":"failed","info":"standby"}"#]);
        let (gone, works) = (closed(), stand_in(&[TOOK, TOOK]));
        let destination = [cluster(&[&gone, &refusing, &works])];
        // The refusing one answers once: a second question would be an error.
        assert_eq!(delivered(&destination), Ok(1));
        assert_eq!(in_turn(&destination[0])[0], works);
        assert_eq!(delivered(&destination), Ok(1));
        let error = delivered(&destination).unwrap_err();
        assert_eq!(error.matches("refused").count(), 3, "{error}");
    }

    #[test]
    fn a_request_that_went_out_unanswered_is_not_sent_again() {
        let (hangs_up, other) = (stand_in(&[""]), stand_in(&[TOOK]));
        let error = delivered(&[cluster(&[&hangs_up, &other])]).unwrap_err();
        assert!(
            error.contains("is not known") && !error.contains(&other.to_string()),
            "{error}"
        );
    }

    #[test]
    fn a_silent_node_leaves_time_for_the_next() {
        let ((silent, _held), works) = (silent(), stand_in(&[TOOK]));
        let start = Instant::now();
        assert_eq!(delivered(&[cluster(&[&silent, &works])]), Ok(1));
        assert!(
            start.elapsed() >= Duration::from_millis(1900),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn every_destination_gets_the_frame_and_the_error_tells_each() {
        let (works, gone, other) = (stand_in(&[TOOK]), closed(), stand_in(&[TOOK]));
        let all = [&works, &gone, &other].map(|node| cluster(&[node]));
        let error = delivered(&all).unwrap_err();
        assert!(
            error.starts_with(&format!(
                "{works}: 1 processed, 0 refused; {gone}: connecting: "
            )),
            "{error}"
        );
        assert!(
            error.ends_with(&format!("; {other}: 1 processed, 0 refused")),
            "{error}"
        );
    }

    fn redirect(to: &Address) -> String {
        format!(r#"{{"response":"failed","redirect":{{"revision":1,"address":"{to}"}}}}"#)
    }

    #[test]
    fn a_redirect_is_followed_once_and_remembered_until_it_is_reset() {
        let reset = r#"{"response":"failed","redirect":{"reset":true}}"#;
        let own = stand_in(&[TOOK, TOOK, reset]);
        let asked = stand_in(&[&redirect(&own), TOOK]);
        let destination = [cluster(&[&asked])];
        for _ in 0..2 {
            assert_eq!(delivered(&destination), Ok(1));
            assert_eq!(in_turn(&destination[0]), [own.clone(), asked.clone()]);
        }
        assert_eq!(delivered(&destination), Ok(1));
        assert_eq!(in_turn(&destination[0]), std::slice::from_ref(&asked));
    }

    #[test]
    fn a_second_redirect_is_an_error() {
        let third = closed();
        let second = stand_in(&[&redirect(&third)]);
        let first = stand_in(&[&redirect(&second)]);
        let error = delivered(&[cluster(&[&first])]).unwrap_err();
        assert_eq!(
            error,
            format!("{second}: the host belongs to {third} of its proxy group")
        );
    }
}
