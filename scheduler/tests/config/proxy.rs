//! A proxy in front of an API that counts calls and, at one of them, does harm.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens at a call.
type Harm = Box<dyn Fn(usize) -> Verdict + Send + Sync>;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It goes through.
    Pass,
    /// It goes through, and its answer is lost.
    LoseAnswer,
    /// The web server says that it is out of order.
    BadGateway,
}

/// The proxy; it ends with the process.
pub struct Proxy {
    address: String,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts one before `upstream`. `harm` is asked at each call that changes something, counted from 1; with
    /// `reads_too`, at every call.
    pub fn start(upstream: &str, reads_too: bool, harm: Harm) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}/", listener.local_addr().expect("an address"));
        let upstream = upstream
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let count = Arc::new(AtomicUsize::new(0));
        let harm = Arc::new(harm);
        let log = Arc::clone(&calls);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (upstream, count) = (upstream.clone(), Arc::clone(&count));
                let (harm, log) = (Arc::clone(&harm), Arc::clone(&log));
                thread::spawn(move || serve(client, &upstream, reads_too, &count, &harm, &log));
            }
        });
        Self { address, calls }
    }

    /// Its address, as ZBX_API_HOST takes it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The methods of the counted calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().expect("no thread panicked").clone()
    }
}

fn serve(
    mut client: TcpStream,
    upstream: &str,
    reads_too: bool,
    count: &AtomicUsize,
    harm: &Harm,
    log: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    loop {
        let (head, body) = message(&mut reader)?;
        let method = method(&body);
        let mut verdict = Verdict::Pass;
        let reads = ["get", "export", "version", "login", "logout"];
        if reads_too
            || !reads
                .iter()
                .any(|verb| method.ends_with(&format!(".{verb}")))
        {
            log.lock().ok()?.push(method);
            verdict = harm(count.fetch_add(1, Ordering::SeqCst) + 1);
        }
        if verdict == Verdict::BadGateway {
            client
                .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                .ok()?;
            continue;
        }
        let mut server = TcpStream::connect(upstream).ok()?;
        server.write_all(&head).ok()?;
        server.write_all(&body).ok()?;
        let (head, body) = answer(&mut BufReader::new(server))?;
        if verdict == Verdict::LoseAnswer {
            harm(0);
            return None;
        }
        client.write_all(&head).ok()?;
        client.write_all(&body).ok()?;
    }
}

/// A request's head, which asks the server to close the connection after it, and its body.
fn message(reader: &mut impl BufRead) -> Option<(Vec<u8>, Vec<u8>)> {
    let (lines, length) = head(reader)?;
    let mut head = lines.first()?.clone().into_bytes();
    for line in lines
        .iter()
        .skip(1)
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
    {
        head.extend(line.as_bytes());
    }
    head.extend(b"Connection: close\r\n\r\n");
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// An answer with its length told, so that the connection to the client can stay.
fn answer(reader: &mut impl BufRead) -> Option<(Vec<u8>, Vec<u8>)> {
    let (lines, _) = head(reader)?;
    let mut body = Vec::new();
    reader.read_to_end(&mut body).ok()?;
    let mut head = lines.first()?.clone().into_bytes();
    let kept = |line: &&String| {
        let line = line.to_ascii_lowercase();
        !line.starts_with("connection:")
            && !line.starts_with("content-length:")
            && !line.starts_with("transfer-encoding:")
    };
    for line in lines.iter().skip(1).filter(kept) {
        head.extend(line.as_bytes());
    }
    let chunked = lines.iter().any(|line| {
        line.to_ascii_lowercase()
            .starts_with("transfer-encoding: chunked")
    });
    assert!(
        !chunked,
        "PHP's own server does not answer in chunks when the connection closes"
    );
    head.extend(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    Some((head, body))
}

fn head(reader: &mut impl BufRead) -> Option<(Vec<String>, Option<usize>)> {
    let mut lines = Vec::new();
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            return Some((lines, length));
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
        lines.push(line);
    }
}

fn method(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    body["method"].as_str().unwrap_or_default().to_owned()
}
