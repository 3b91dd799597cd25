//! Connections that end by a deadline, name resolution included.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use openssl::ssl::{ErrorCode, SslStream};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::abi;
use crate::deadline::Deadline;
use crate::tls;

/// Look-ups that a silent name server may hold at once; each is a thread until the resolver gives up.
const MAX_LOOKUPS: usize = 8;
static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// The addresses of `host`; an IP address stands for itself.
///
/// `getaddrinfo` cannot be interrupted, so it runs in a thread of its own, which is left behind at the deadline.
///
/// # Errors
/// The resolver's own, or [`io::ErrorKind::TimedOut`].
pub fn resolve(host: &str, port: u16, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    if LOOKUPS.fetch_add(1, Ordering::Relaxed) >= MAX_LOOKUPS {
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
        return Err(timed_out("the name server does not answer"));
    }
    let (answer, answered) = mpsc::sync_channel(1);
    let name = host.to_owned();
    let look_up = move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
        // Nobody waits any more once the deadline has passed.
        let _ = answer.send(found);
    };
    let thread = thread::Builder::new()
        .name("courier-lookup".to_owned())
        .stack_size(256 << 10);
    // The agent's signals are its own: a thread of ours must not take them.
    if let Err(error) = abi::without_signals(|| thread.spawn(look_up)) {
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
        return Err(error);
    }
    match answered.recv_timeout(deadline.remaining()?) {
        Ok(found) => found,
        Err(_) => Err(timed_out("the name server does not answer")),
    }
}

/// Connects to the first of `addresses` that answers, from the address `from` where one is given.
///
/// # Errors
/// The last address's error, or [`io::ErrorKind::TimedOut`].
pub fn connect(
    addresses: &[SocketAddr],
    from: Option<IpAddr>,
    deadline: Deadline,
) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        // An address that swallows everything leaves time for those behind it.
        let left = (addresses.len() - tried) as u32;
        match connect_one(*address, from, deadline.remaining()? / left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_one(
    address: SocketAddr,
    from: Option<IpAddr>,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    // A timeout of nothing would be none at all.
    socket.connect_timeout(&address.into(), timeout.max(Duration::from_millis(1)))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// Connects to the unix socket at `path`.
///
/// # Errors
/// The system's own, or [`io::ErrorKind::TimedOut`].
pub fn connect_unix(path: &Path, deadline: Deadline) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect_timeout(&SockAddr::unix(path)?, deadline.remaining()?)?;
    Ok(OwnedFd::from(socket).into())
}

/// A connection: what its bytes travel over.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
}

impl Stream {
    /// Whether the peer has neither closed the connection nor sent anything that nobody asked for.
    pub fn is_idle(&self) -> bool {
        let socket = self.socket();
        let mut byte = [MaybeUninit::uninit()];
        let peeked = socket
            .set_nonblocking(true)
            .and_then(|()| socket.peek(&mut byte));
        let waiting = matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        waiting && socket.set_nonblocking(false).is_ok()
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Stream::Tcp(stream) => SockRef::from(stream),
            Stream::Unix(stream) => SockRef::from(stream),
        }
    }
}

/// A connection of which every read and write ends by the deadline.
#[derive(Debug)]
pub struct Timed {
    /// The connection.
    pub stream: Stream,
    /// When its reads and writes end.
    pub deadline: Deadline,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| {
            let left = self.deadline.remaining()?;
            self.stream.socket().set_read_timeout(Some(left))?;
            match &mut self.stream {
                Stream::Tcp(stream) => stream.read(buffer),
                Stream::Unix(stream) => stream.read(buffer),
            }
        })
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        uninterrupted(|| {
            let left = self.deadline.remaining()?;
            self.stream.socket().set_write_timeout(Some(left))?;
            match &mut self.stream {
                Stream::Tcp(stream) => stream.write(buffer),
                Stream::Unix(stream) => stream.write(buffer),
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection as it is talked over.
#[derive(Debug)]
pub enum Connection {
    /// As it is.
    Plain(Timed),
    /// Under TLS.
    Tls(SslStream<Timed>),
}

impl Connection {
    /// Sets when its reads and writes end.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        match self {
            Connection::Plain(timed) => timed.deadline = deadline,
            Connection::Tls(tls) => tls.get_mut().deadline = deadline,
        }
    }

    /// Whether the peer has neither closed the connection nor sent anything that nobody asked for.
    pub fn is_idle(&self) -> bool {
        match self {
            Connection::Plain(timed) => timed.stream.is_idle(),
            Connection::Tls(tls) => tls.get_ref().stream.is_idle(),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Connection::Plain(timed) => timed.read(buffer),
            Connection::Tls(tls) => match tls.ssl_read(buffer) {
                Ok(read) => Ok(read),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => Ok(0),
                Err(error) => Err(tls_broke(error)),
            },
        }
    }
}

impl Write for Connection {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Connection::Plain(timed) => timed.write(buffer),
            // TLS sends nothing for nothing.
            Connection::Tls(_) if buffer.is_empty() => Ok(0),
            Connection::Tls(tls) => tls.ssl_write(buffer).map_err(tls_broke),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the system said stays what it is; what TLS said has a [`tls::Error`] inside.
fn tls_broke(error: openssl::ssl::Error) -> io::Error {
    match tls::Error::from(error) {
        tls::Error::Io(error) => error,
        tls::Error::Closed => io::ErrorKind::UnexpectedEof.into(),
        error => io::Error::other(error),
    }
}

/// Repeats what a signal interrupted (the agent installs its handlers without `SA_RESTART`), and calls a timeout by its
/// name: a socket's own is [`io::ErrorKind::WouldBlock`].
pub fn uninterrupted<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(timed_out("out of time"));
            }
            result => return result,
        }
    }
}

fn timed_out(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(20))
    }

    #[test]
    fn an_ip_address_needs_no_name_server() {
        assert_eq!(
            resolve("127.0.0.1", 1, soon()).unwrap(),
            ["127.0.0.1:1".parse().unwrap()]
        );
        assert_eq!(
            resolve("[::1]", 1, soon()).unwrap(),
            ["[::1]:1".parse().unwrap()]
        );
    }

    #[test]
    fn a_connection_comes_from_the_address_it_was_given() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let from = "127.0.0.9".parse().unwrap();
        let stream = connect(&[listener.local_addr().unwrap()], Some(from), soon()).unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), from);
    }

    #[test]
    fn a_refused_address_gives_way_to_the_next() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = gone.local_addr().unwrap();
        drop(gone);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        assert_eq!(
            connect(&[closed, open], None, soon())
                .unwrap()
                .peer_addr()
                .unwrap(),
            open
        );
        let error = connect(&[closed], None, soon()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = connect(&[listener.local_addr().unwrap()], None, soon()).unwrap();
        let mut timed = Timed {
            stream: Stream::Tcp(stream),
            deadline: Deadline::after(Duration::from_millis(200)),
        };
        assert!(timed.stream.is_idle());
        let error = timed.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
