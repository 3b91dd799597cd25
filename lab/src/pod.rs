use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Output,
    sync::Arc,
    thread,
    time::Duration,
};

use nix::sched::{CloneFlags, setns};

use crate::{Error, container::Container};

/// The network that all containers of one lab share: one loopback interface, apart from every other lab's.
#[derive(Clone)]
pub struct Pod {
    owner: Arc<Container>,
    host_pid: u32,
}

impl Pod {
    pub(crate) fn of(owner: Arc<Container>) -> Result<Self, Error> {
        let host_pid = owner.host_pid()?;
        Ok(Self { owner, host_pid })
    }

    /// The name of the container that owns the pod.
    pub fn name(&self) -> &str {
        self.owner.name()
    }

    /// The process id of the owner's PID 1, as the host counts.
    pub(crate) fn host_pid(&self) -> u32 {
        self.host_pid
    }

    /// Runs a command in the server's container; its exit status is the caller's to judge.
    pub fn exec(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.owner.exec(arguments)
    }

    /// Writes a file in the server's container, readable by all.
    pub fn write_file(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.owner.write_file(path, content)
    }

    /// A listener of this process on the pod's loopback; port 0 is any free one.
    pub fn listen(&self, port: u16) -> Result<TcpListener, Error> {
        self.inside(move || TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
    }

    /// A UDP socket of this process on the pod's loopback; port 0 is any free one.
    pub fn listen_udp(&self, port: u16) -> Result<UdpSocket, Error> {
        self.inside(move || UdpSocket::bind((Ipv4Addr::LOCALHOST, port)))
    }

    /// A connection from this process to a port on the pod's loopback.
    pub fn connect(&self, port: u16) -> Result<TcpStream, Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.inside(move || TcpStream::connect_timeout(&address, Duration::from_secs(10)))
    }

    /// Moves the calling thread to the pod's network namespace, for good.
    pub(crate) fn enter(&self) -> Result<(), Error> {
        let path = format!("/proc/{}/ns/net", self.host_pid);
        let moved = File::open(&path)
            .map_err(|error| nix::Error::from_raw(error.raw_os_error().unwrap_or_default()))
            .and_then(|file| setns(file, CloneFlags::CLONE_NEWNET));
        moved.map_err(|reason| Error::Namespace {
            container: self.name().to_owned(),
            reason,
        })
    }

    /// Does something in the pod's network namespace. A socket stays in the namespace it was made in, so a
    /// short-lived thread goes there and hands back what it made; no other thread of this process is moved.
    pub(crate) fn inside<T, F>(&self, make: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        let pod = self.clone();
        let entered = thread::spawn(move || pod.enter().map(|()| make()));
        match entered.join() {
            Ok(Ok(made)) => made.map_err(Error::io(format!("in the network of {}", self.name()))),
            Ok(Err(error)) => Err(error),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
