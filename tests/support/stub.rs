//! Stand-ins that inject faults: servers that answer what no real one would.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A server in a pod that handles every connection in the same wrong way, until the test process ends.
pub struct Stub {
    /// Its port on the pod's loopback.
    pub port: u16,
    connections: Arc<AtomicUsize>,
}

/// Passes every connection on to a port of the same pod, and counts them.
pub fn forwarder(pod: &lab::Pod, to: u16) -> Stub {
    let listener = pod.listen(0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let (count, pod) = (connections.clone(), pod.clone());
    thread::spawn(move || {
        for mut near in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let mut far = pod.connect(to).unwrap();
            let (mut back_from, mut back_to) =
                (far.try_clone().unwrap(), near.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut near, &mut far);
            });
            thread::spawn(move || {
                let _ = std::io::copy(&mut back_from, &mut back_to);
                let _ = back_to.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    Stub { port, connections }
}

/// What a stub does with a connection.
#[derive(Clone)]
pub enum Behaviour {
    /// Reads what comes, and never says anything.
    Silent,
    /// Answers these bytes and closes.
    Answers(Arc<Vec<u8>>),
    /// Answers these bytes, one a second.
    Drips(Arc<Vec<u8>>),
    /// Answers these bytes, a few at a time, each after a signal to every one of these processes.
    Interrupts(Vec<u32>, Arc<Vec<u8>>),
    /// Answers this header and then blanks without end.
    Floods(&'static str),
    /// Serves JSON by path, any number of requests to a connection.
    Routes(Arc<BTreeMap<String, String>>),
}

impl Stub {
    /// Serves on a listener.
    pub fn on(listener: TcpListener, behaviour: Behaviour) -> Self {
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let behaviour = behaviour.clone();
                thread::spawn(move || behave(stream, &behaviour));
            }
        });
        Stub { port, connections }
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The stub's address as an HTTP source.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.port)
    }
}

/// An HTTP answer.
pub fn http(status: &str, content_type: &str, body: &[u8]) -> Behaviour {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    Behaviour::Answers(Arc::new([head.as_bytes(), body].concat()))
}

/// An HTTP server of JSON documents by path.
pub fn routes(documents: &[(String, String)]) -> Behaviour {
    Behaviour::Routes(Arc::new(documents.iter().cloned().collect()))
}

/// Answers one request of a kept connection; `None` when it has ended.
fn route(stream: &mut (impl Read + Write), documents: &BTreeMap<String, String>) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1)?;
    let (status, body) = match documents.get(path) {
        Some(body) => ("200 OK", body.as_str()),
        None => ("404 Not Found", ""),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()
}

/// The signal that orders of `zabbix_agentd -R` come by; it interrupts a system call and does nothing else.
fn interrupt(pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    let sent = Command::new("kill").arg("-USR1").args(pids).status();
    assert!(sent.unwrap().success());
}

// A peer that goes away is what the tests are about: its errors are not the stub's.
fn behave(mut stream: impl Read + Write, behaviour: &Behaviour) {
    let mut request = [0; 65536];
    match behaviour {
        Behaviour::Routes(documents) => while route(&mut stream, documents).is_some() {},
        Behaviour::Silent => while stream.read(&mut request).is_ok_and(|read| read > 0) {},
        Behaviour::Answers(bytes) => {
            let _ = stream.read(&mut request);
            let _ = stream.write_all(bytes);
        }
        Behaviour::Drips(bytes) => {
            let _ = stream.read(&mut request);
            for byte in bytes.iter() {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_secs(1));
            }
        }
        Behaviour::Interrupts(pids, bytes) => {
            let _ = stream.read(&mut request);
            for part in bytes.chunks(16) {
                interrupt(pids);
                if stream.write_all(part).is_err() {
                    return;
                }
            }
        }
        Behaviour::Floods(head) => {
            let _ = stream.read(&mut request);
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&[b' '; 65536]).is_ok() {}
        }
    }
}
