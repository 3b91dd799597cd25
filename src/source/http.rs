//! A body from an HTTP endpoint, over TCP or a unix socket; connections are kept between errands.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use parking_lot::Mutex;
use ureq::config::Config;
use ureq::http::{Request, Response, Uri, header};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::{Access, Body, Error, Location};
use crate::deadline::Deadline;
use crate::net::{self, Stream, Timed};

/// Text 0.0.4 before anything else, so that a server that speaks several formats gives the same keys as one that
/// speaks this one alone.
const ACCEPT: &str = "text/plain;version=0.0.4, application/json;q=0.9, application/vnd.spring-boot.actuator.v3+json;q=0.9, */*;q=0.1";
const MAX_REDIRECTS: usize = 5;
/// Longer than any sensible interval between two errands; what the server has closed by then is noticed.
const KEPT_ALIVE: Duration = Duration::from_secs(600);
/// Connections to more places than this are not kept.
const MAX_CLIENTS: usize = 16;

/// Asks the endpoint at `location`, and where it redirects to as far as that is allowed.
///
/// # Errors
/// [`Error`].
pub fn get(location: &Location, access: &Access<'_>, deadline: Deadline) -> Result<Body, Error> {
    let mut location = location.clone();
    for _ in 0..=MAX_REDIRECTS {
        let Location::Http { uri, socket } = &location else {
            return Err(Error::NotAllowed(location.to_string()));
        };
        let allowed = |allow: &[super::allow::Allow]| {
            allow.iter().any(|one| one.permits(uri, socket.as_deref()))
        };
        if access.allow.is_some_and(|allow| !allowed(allow)) {
            return Err(Error::NotAllowed(location.to_string()));
        }
        let response = ask(&location, uri, socket.as_deref(), access, deadline)?;
        let Some(target) = redirection(&response) else {
            return body(&location, response, access.source.max_bytes);
        };
        let target = location.redirected(&target)?;
        // A source's credentials and its leave to be read end where it redirects to another server.
        if access.allow.is_none() && !same_server(&location, &target) {
            return Err(Error::Failed {
                url: location.to_string(),
                why: format!("it redirects to {target}; make that the source's url if it is meant"),
            });
        }
        location = target;
    }
    Err(Error::Failed {
        url: location.to_string(),
        why: format!("more than {MAX_REDIRECTS} redirects"),
    })
}

/// Sends the request; a kept connection that broke is replaced once.
fn ask(
    location: &Location,
    uri: &Uri,
    socket: Option<&Path>,
    access: &Access<'_>,
    deadline: Deadline,
) -> Result<Response<ureq::Body>, Error> {
    let client = Client::of(socket);
    let mut retried = false;
    loop {
        let request = request(uri, access).map_err(|why| Error::Failed {
            url: location.to_string(),
            why,
        })?;
        let left = deadline.remaining().map_err(|error| Error::Timeout {
            url: location.to_string(),
            phase: error.to_string(),
        })?;
        let connections = client.connections.load(Ordering::Relaxed);
        let request = client.agent.configure_request(request);
        match client.agent.run(request.timeout_global(Some(left)).build()) {
            Ok(response) => return Ok(response),
            Err(ureq::Error::Io(error)) if !retried && error.kind() != io::ErrorKind::TimedOut => {
                retried = client.connections.load(Ordering::Relaxed) == connections;
                if !retried {
                    return Err(failure(location, ureq::Error::Io(error)));
                }
            }
            Err(error) => return Err(failure(location, error)),
        }
    }
}

fn request(uri: &Uri, access: &Access<'_>) -> Result<Request<()>, String> {
    let source = access.source;
    let mut request = Request::get(uri).header(header::ACCEPT, ACCEPT);
    for (name, value) in &source.headers {
        request = request.header(name, value);
    }
    if let Some(path) = &source.bearer_token_file {
        let token = secret(path)?;
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    if let Some(path) = &source.basic_auth_file {
        let credentials = BASE64_STANDARD.encode(secret(path)?);
        request = request.header(header::AUTHORIZATION, format!("Basic {credentials}"));
    }
    // The error never repeats a value, which may be a secret.
    request
        .body(())
        .map_err(|_| "a header of the source in courier.toml is none".to_owned())
}

/// The first line of a file that holds a secret.
fn secret(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(64 << 10).read_to_string(&mut text))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn redirection(response: &Response<ureq::Body>) -> Option<String> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?;
    location.to_str().ok().map(str::to_owned)
}

fn same_server(a: &Location, b: &Location) -> bool {
    let server = |location: &Location| match location {
        Location::Http { uri, socket } => Some((
            uri.scheme_str().map(str::to_owned),
            uri.host().map(str::to_ascii_lowercase),
            Location::port(uri),
            socket.clone(),
        )),
        Location::File(_) => None,
    };
    server(a) == server(b)
}

fn body(
    location: &Location,
    mut response: Response<ureq::Body>,
    max_bytes: u64,
) -> Result<Body, Error> {
    if !response.status().is_success() {
        let status = response.status();
        let reason = status.canonical_reason().unwrap_or_default();
        return Err(Error::Failed {
            url: location.to_string(),
            why: format!("it answered {} {reason}", status.as_u16())
                .trim_end()
                .to_owned(),
        });
    }
    let content_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let expected = response.body().content_length().unwrap_or(64 << 10);
    let mut bytes = Vec::with_capacity(expected.min(max_bytes) as usize);
    let mut reader = response.body_mut().as_reader().take(max_bytes + 1);
    if let Err(error) = reader.read_to_end(&mut bytes) {
        return Err(failure(location, ureq::Error::from(error)));
    }
    if bytes.len() as u64 > max_bytes {
        return Err(Error::TooLarge {
            url: location.to_string(),
            max_bytes,
        });
    }
    Ok(Body {
        bytes,
        content_type,
    })
}

fn failure(location: &Location, error: ureq::Error) -> Error {
    let url = location.to_string();
    match error {
        ureq::Error::Timeout(phase) => Error::Timeout {
            url,
            phase: phase.to_string(),
        },
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Error::Timeout {
            url,
            phase: error.to_string(),
        },
        ureq::Error::Io(error) => Error::Failed {
            url,
            why: error.to_string(),
        },
        error => Error::Failed {
            url,
            why: error.to_string(),
        },
    }
}

/// An HTTP client and the connections that it keeps.
struct Client {
    agent: ureq::Agent,
    /// How many connections it has made.
    connections: Arc<AtomicU64>,
}

impl Client {
    /// The client of this process for TCP, or for a unix socket.
    fn of(socket: Option<&Path>) -> Arc<Client> {
        type Clients = Vec<(Option<PathBuf>, Arc<Client>)>;
        static CLIENTS: Mutex<Clients> = Mutex::new(Vec::new());

        let mut clients = CLIENTS.lock();
        if let Some((_, client)) = clients.iter().find(|(of, _)| of.as_deref() == socket) {
            return client.clone();
        }
        if clients.len() >= MAX_CLIENTS {
            clients.remove(0);
        }
        let client = Arc::new(Client::new(socket));
        clients.push((socket.map(Path::to_owned), client.clone()));
        client
    }

    fn new(socket: Option<&Path>) -> Self {
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
            socket: socket.map(Path::to_owned),
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
            // Whatever a name server says: localhost is this machine.
            if host.eq_ignore_ascii_case("localhost") && !address.ip().is_loopback() {
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

/// Makes connections, over TCP or to one unix socket.
#[derive(Debug)]
struct Dialer {
    socket: Option<PathBuf>,
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
        let config = details.config;
        Ok(Some(Wire {
            timed: Timed { stream, deadline },
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
        }))
    }
}

/// A connection as `ureq` uses it.
#[derive(Debug)]
struct Wire {
    timed: Timed,
    buffers: LazyBuffers,
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.timed.deadline = Deadline::after(*timeout.after);
        Ok(self.timed.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.timed.deadline = Deadline::after(*timeout.after);
        let read = self.timed.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.timed.stream.is_idle()
    }
}
