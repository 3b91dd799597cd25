//! How bodies are fetched: kept connections, unix sockets, compression, redirects, credentials.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use courier::board::Board;
use courier::deadline::Deadline;
use courier::environment::Environment;
use courier::errand::Target;
use courier::metric::{self, Collector};
use flate2::Compression;
use flate2::write::GzEncoder;

/// An HTTP server on loopback that answers each request by `answer`, and notes what it was asked.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn new(answer: impl Fn(usize) -> Vec<u8> + Send + Clone + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let (requests, connections) = (server.requests.clone(), server.connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (answer, requests) = (answer.clone(), requests.clone());
                thread::spawn(move || serve(stream, &answer, &requests));
            }
        });
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.port)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn last_request(&self) -> String {
        self.requests.lock().unwrap().last().unwrap().clone()
    }
}

/// Serves one connection until the peer leaves, or an answer that closes it was given.
fn serve(
    mut stream: impl Read + Write,
    answer: &impl Fn(usize) -> Vec<u8>,
    requests: &Mutex<Vec<String>>,
) {
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read_exact(&mut byte).is_err() {
                return;
            }
            request.push(byte[0]);
        }
        let number = {
            let mut requests = requests.lock().unwrap();
            requests.push(String::from_utf8(request).unwrap());
            requests.len()
        };
        let answer = answer(number);
        if stream.write_all(&answer).is_err() || answer.is_empty() {
            return;
        }
    }
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// What an item that names `source` would fetch under these settings.
fn fetch(settings: &str, source: &str) -> Result<String, String> {
    errand(settings, source, |target, deadline| {
        let body = target.fetch(deadline).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(body.bytes).unwrap())
    })
}

/// As in a process of an agent, one errand at a time: connections are kept from one to the next, and counted.
static ERRAND: Mutex<()> = Mutex::new(());

/// Runs a part of an errand of an item that names `source`.
fn errand<T>(
    settings: &str,
    source: &str,
    run: impl FnOnce(&Target, Deadline) -> Result<T, String>,
) -> Result<T, String> {
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("zabbix_agentd.conf");
    fs::write(&agent, "").unwrap();
    fs::write(folder.path().join("courier.toml"), settings).unwrap();
    let environment = Environment::new(Some(agent), Board::private()).map_err(|e| e.to_string())?;
    let target = Target::find(&environment, source).map_err(|error| error.to_string())?;
    let _alone = ERRAND.lock().unwrap_or_else(PoisonError::into_inner);
    run(&target, Deadline::after(Duration::from_secs(5)))
}

#[test]
fn a_connection_is_kept_between_errands() {
    let server = Server::new(|number| ok("", number.to_string().as_bytes()));
    for number in 1..=3 {
        assert_eq!(fetch("", &server.url()).unwrap(), number.to_string());
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_kept_connection_that_the_server_drops_is_replaced_once() {
    // It hangs up on the second request of a connection without a word.
    let server = Server::new(|number| {
        if number == 2 {
            Vec::new()
        } else {
            ok("", b"1")
        }
    });
    assert_eq!(fetch("", &server.url()).unwrap(), "1");
    assert_eq!(fetch("", &server.url()).unwrap(), "1");
    assert_eq!(server.connections(), 2);

    let never = Server::new(|_| Vec::new());
    assert!(fetch("", &never.url()).is_err());
    assert_eq!(
        never.connections(),
        1,
        "a new connection is not tried again"
    );
}

#[test]
fn a_unix_socket_is_a_source_where_its_folder_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(stream, &|_| ok("", b"over a socket"), &Mutex::default());
        }
    });
    let source = format!("unix://{}:/metrics", socket.display());
    let allow = format!("allow = ['unix://{}/']", folder.path().display());
    assert_eq!(fetch(&allow, &source).unwrap(), "over a socket");
    assert!(fetch("", &source).unwrap_err().contains("is not allowed"));
    let named = format!("allow = []\n[source.app]\nurl = '{source}'");
    assert_eq!(fetch(&named, "app").unwrap(), "over a socket");
}

#[test]
fn a_compressed_body_is_unpacked_up_to_the_limit() {
    let gzip = |body: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        ok("Content-Encoding: gzip\r\n", &encoder.finish().unwrap())
    };
    let small = gzip(b"metrics");
    let server = Server::new(move |_| small.clone());
    assert_eq!(fetch("", &server.url()).unwrap(), "metrics");

    let bomb = gzip(&vec![b' '; 64 << 20]);
    let server = Server::new(move |_| bomb.clone());
    let error = fetch("", &server.url()).unwrap_err();
    assert!(error.contains("more than 8388608 bytes"), "{error}");
}

#[test]
fn an_actuators_index_and_all_its_meters_are_one_body_to_the_limit() {
    /// Counts the series.
    struct Series(usize);

    impl Collector for Series {
        fn series(&mut self, _: &metric::Series<'_>) -> bool {
            self.0 += 1;
            true
        }
        fn value(&mut self, _: &str, _: metric::Value<'_>) {}
        fn skip(&mut self) {}
    }

    let server = || {
        Server::new(|number| {
            let json = match number {
                1 => r#"{"names":["a","b","c","d","e"]}"#.to_owned(),
                _ => format!(
                    r#"{{"name":"m{number}","description":"{}","measurements":[{{"statistic":"VALUE","value":1}}]}}"#,
                    "d".repeat(300)
                ),
            };
            ok("Content-Type: application/json\r\n", json.as_bytes())
        })
    };
    let read = |limit: usize| {
        let server = server();
        let settings = format!(
            "[source.app]\nurl = '{}'\nmax_bytes = {limit}",
            server.url()
        );
        let mut series = Series(0);
        let read = errand(&settings, "app", |target, deadline| {
            let body = target.fetch(deadline).map_err(|error| error.to_string())?;
            let read = target.read(&body, &mut series, deadline);
            read.map_err(|error| error.to_string())
        });
        (read, series.0)
    };
    assert_eq!(read(10_000), (Ok(()), 5));
    let (error, told) = read(1_000);
    let error = error.unwrap_err();
    assert!(
        error.contains("with all its meters has more than 1000 bytes"),
        "{error}"
    );
    assert_eq!(told, 2);
}

#[test]
fn redirects_are_followed_only_to_what_is_allowed() {
    let target = Server::new(|_| ok("", b"there"));
    let url = target.url();
    let within = Server::new(move |_| redirect(&url));
    assert_eq!(fetch("", &within.url()).unwrap(), "there");

    let out = Server::new(|_| redirect("http://192.0.2.1/secret"));
    let error = fetch("", &out.url()).unwrap_err();
    assert!(
        error.contains("http://192.0.2.1/secret is not allowed"),
        "{error}"
    );
    let file = Server::new(|_| redirect("file:///etc/passwd"));
    assert!(fetch("", &file.url()).unwrap_err().contains("not allowed"));

    let named = format!("[source.app]\nurl = '{}'", within.url());
    let error = fetch(&named, "app").unwrap_err();
    assert!(error.contains("it redirects to"), "{error}");
    let endless = Server::new(|_| redirect("/metrics"));
    assert!(fetch("", &endless.url()).unwrap_err().contains("redirects"));
}

#[test]
fn credentials_come_from_files_and_stay_out_of_errors() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("token"), "s3cret-token\n").unwrap();
    fs::write(at("basic"), "user:s3cret\n").unwrap();
    let server = Server::new(|_| ok("", b"1"));
    let source = |more: &str| format!("[source.app]\nurl = '{}'\n{more}", server.url());

    fetch(
        &source(&format!("bearer_token_file = '{}'", at("token"))),
        "app",
    )
    .unwrap();
    let request = server.last_request().to_lowercase();
    assert!(
        request.contains("authorization: bearer s3cret-token\r\n"),
        "{request}"
    );
    fetch(
        &source(&format!("basic_auth_file = '{}'", at("basic"))),
        "app",
    )
    .unwrap();
    let request = server.last_request();
    assert!(request.contains("Basic dXNlcjpzM2NyZXQ="), "{request}");
    fetch(&source("headers = { X-Key = 'k' }"), "app").unwrap();
    assert!(
        server
            .last_request()
            .to_lowercase()
            .contains("x-key: k\r\n")
    );

    fetch(&source("headers = { accept = 'text/plain' }"), "app").unwrap();
    let request = server.last_request().to_lowercase();
    assert_eq!(request.matches("accept: ").count(), 1, "{request}");
    assert!(request.contains("accept: text/plain\r\n"), "{request}");

    let error = fetch(&source("headers = { X-Key = \"s3cret\\n\" }"), "app").unwrap_err();
    assert!(!error.contains("s3cret"), "{error}");
    let error = fetch(&source("bearer_token_file = '/nowhere'"), "app").unwrap_err();
    assert!(error.contains("/nowhere: No such file"), "{error}");
}
