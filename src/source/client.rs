//! The HTTP client: its connections over TCP, TLS or a unix socket, kept between errands.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::Location;
use super::trust::Trust;
use crate::deadline::Deadline;
use crate::net::{self, Connection, Stream, Timed};

/// Longer than any sensible interval between two errands; what the server has closed by then is noticed.
const KEPT_ALIVE: Duration = Duration::from_secs(600);
/// Connections to more places than this are not kept.
const MAX_CLIENTS: usize = 16;

/// An HTTP client and the connections that it keeps.
pub struct Client {
    /// Sends the requests.
    pub agent: ureq::Agent,
    connections: Arc<AtomicU64>,
}

/// What a client's connections have in common: the unix socket, if they are to one, and `ca_file`.
type Place = (Option<PathBuf>, Option<PathBuf>);

impl Client {
    /// The client of this process for TCP, or for a unix socket; `ca_file` says whose certificates are trusted.
    pub fn of(socket: Option<&Path>, ca_file: Option<&Path>) -> Arc<Client> {
        static CLIENTS: Mutex<Vec<(Place, Arc<Client>)>> = Mutex::new(Vec::new());

        let place = (socket.map(Path::to_owned), ca_file.map(Path::to_owned));
        let mut clients = CLIENTS.lock();
        if let Some((_, client)) = clients.iter().find(|(of, _)| *of == place) {
            return client.clone();
        }
        if clients.len() >= MAX_CLIENTS {
            clients.remove(0);
        }
        let client = Arc::new(Client::new(place.clone()));
        clients.push((place, client.clone()));
        client
    }

    /// How many connections it has made.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    fn new((socket, ca_file): Place) -> Self {
        let config = Config::builder()
            .http_status_as_error(false)
            // Redirects are followed here, each one checked; a proxy of the environment is not the agent's to use.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("concierge-courier/", env!("CARGO_PKG_VERSION")))
            // The application is near: compressing would cost it more than it saves.
            .accept_encoding("identity")
            .max_idle_connections_per_host(1)
            .max_idle_connections(MAX_CLIENTS)
            .max_idle_age(KEPT_ALIVE)
            .build();
        let connections = Arc::new(AtomicU64::new(0));
        let dialer = Dialer {
            socket,
            trust: Trust::new(ca_file),
            connections: connections.clone(),
        };
        Client {
            agent: ureq::Agent::with_parts(config, dialer, Lookup),
            connections,
        }
    }
}

/// Looks names up within the deadline.
#[derive(Debug)]
struct Lookup;

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let found = net::resolve(host, Location::port(uri), Deadline::after(*timeout.after))?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(16) {
            if leads_away(host, address.ip()) {
                let text = format!(
                    "localhost resolves to {}, which is another machine",
                    address.ip()
                );
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text).into());
            }
            addresses.push(address);
        }
        if addresses.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(addresses)
    }
}

/// Whether a name that is allowed as this machine's leads to another: localhost is this machine, whatever a name server or
/// /etc/hosts says.
fn leads_away(host: &str, address: IpAddr) -> bool {
    host.eq_ignore_ascii_case("localhost") && !address.is_loopback()
}

/// Makes connections, over TCP or to one unix socket.
#[derive(Debug)]
struct Dialer {
    socket: Option<PathBuf>,
    trust: Trust,
    connections: Arc<AtomicU64>,
}

impl Connector for Dialer {
    type Out = Wire;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<Wire>, ureq::Error> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let deadline = Deadline::after(*details.timeout.after);
        let stream = match &self.socket {
            Some(path) => Stream::Unix(net::connect_unix(path, deadline)?),
            None => Stream::Tcp(net::connect(&details.addrs, None, deadline)?),
        };
        let timed = Timed { stream, deadline };
        let connection = match details.uri.host().filter(|_| details.needs_tls()) {
            Some(host) => Connection::Tls(self.trust.connect(host, timed)?),
            None => Connection::Plain(timed),
        };
        let config = details.config;
        Ok(Some(Wire {
            connection,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
        }))
    }
}

/// A connection as `ureq` uses it.
#[derive(Debug)]
struct Wire {
    connection: Connection,
    buffers: LazyBuffers,
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.connection
            .set_deadline(Deadline::after(*timeout.after));
        Ok(self
            .connection
            .write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.connection
            .set_deadline(Deadline::after(*timeout.after));
        let read = self.connection.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_tls(&self) -> bool {
        matches!(self.connection, Connection::Tls(_))
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_idle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_this_machine_whatever_it_resolves_to() {
        let at = |text: &str| text.parse().unwrap();
        for (host, address, away) in [
            ("localhost", "127.0.0.1", false),
            ("localhost", "::1", false),
            ("LocalHost", "192.0.2.1", true),
            ("localhost", "2001:db8::1", true),
            ("app.example", "192.0.2.1", false),
        ] {
            assert_eq!(leads_away(host, at(address)), away, "{host} {address}");
        }
    }
}
