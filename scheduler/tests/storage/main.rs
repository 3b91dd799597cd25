//! Upload and download against Azurite, moto's S3 and a stand-in for Google Cloud Storage.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// Azurite's own account and its public development key.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

#[test]
fn s3_keeps_what_was_uploaded() {
    let s3 = S3::start();
    there_and_back("s3://bucket", &s3.variables());
}

#[test]
fn azure_keeps_what_was_uploaded() {
    let options = [
        "--silent",
        "--inMemoryPersistence",
        "--skipApiVersionCheck",
        "--disableTelemetry",
        "--blobPort",
    ];
    let azurite = Peer::start("node_modules/.bin/azurite-blob", &options);
    let port = azurite.port;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/storage/create_container.py");
    run(Command::new("python3")
        .arg(script)
        .args([ACCOUNT, KEY, &port.to_string()]));
    let endpoint = format!("http://127.0.0.1:{port}/{ACCOUNT}");
    there_and_back(
        "az://box",
        &[
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
            ("AZURE_STORAGE_ENDPOINT", &endpoint),
            ("AZURE_ALLOW_HTTP", "true"),
        ],
    );
}

#[test]
fn the_stand_in_for_google_keeps_what_was_uploaded() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/storage/gcs_stand_in.py");
    let stand_in = Peer::start("venv/bin/python", &[text(&script)]);
    let port = stand_in.port;
    put_bucket(port);
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.json");
    let base = format!("http://127.0.0.1:{port}");
    let content = serde_json::json!({"gcs_base_url": base, "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""});
    fs::write(&key, content.to_string()).expect("a key file");
    there_and_back(
        "bucket",
        &[
            ("GCP_CREDENTIAL_FILE", text(&key)),
            ("GOOGLE_ALLOW_HTTP", "true"),
        ],
    );
}

#[test]
fn an_upload_that_is_cut_off_is_never_taken_for_a_whole_one() {
    let s3 = S3::start();
    let first = backup("first");
    expect(
        &scheduler("upload", first.path(), "s3://bucket", &s3.variables()),
        0,
    );
    let cut = relay(s3.server.port, 3);
    let endpoint = format!("http://127.0.0.1:{cut}");
    let mut variables = s3.variables().to_vec();
    variables.retain(|(name, _)| *name != "AWS_ENDPOINT");
    variables.push(("AWS_ENDPOINT", &endpoint));
    let second = backup("second");
    let output = scheduler("upload", second.path(), "s3://bucket", &variables);
    expect(&output, 1);
    let there = tempfile::tempdir().expect("a folder");
    expect(
        &scheduler("download", there.path(), "s3://bucket", &s3.variables()),
        0,
    );
    assert_eq!(files(there.path()), files(first.path()));
    // A download that is cut off leaves what was there.
    let cut = relay(s3.server.port, 4);
    let endpoint = format!("http://127.0.0.1:{cut}");
    variables.retain(|(name, _)| *name != "AWS_ENDPOINT");
    variables.push(("AWS_ENDPOINT", &endpoint));
    expect(
        &scheduler("download", second.path(), "s3://bucket", &variables),
        1,
    );
    assert_eq!(files(second.path()), files(backup("second").path()));
}

#[test]
fn a_full_disk_loses_nothing() {
    let s3 = S3::start();
    let large = backup(&"x".repeat(300_000));
    expect(
        &scheduler("upload", large.path(), "s3://bucket", &s3.variables()),
        0,
    );
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Mount::of(folder.path(), "size=512k");
    let small = backup("small");
    for (name, content) in files(small.path()) {
        let path = disk.0.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
    let output = scheduler("download", &disk.0, "s3://bucket", &s3.variables());
    expect(&output, 1);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("No space left"), "{error}");
    let mut kept = files(&disk.0);
    kept.retain(|name, _| !name.starts_with('.'));
    assert_eq!(kept, files(small.path()));
}

/// Uploads, keeps the newest, and downloads it: the same files.
fn there_and_back(location: &str, variables: &[(&str, &str)]) {
    let upload = |content: &str, keep: &str| {
        let dir = backup(content);
        let mut command = command("upload", dir.path(), location, variables);
        let output = command
            .args(["--keep", keep])
            .output()
            .expect("the command runs");
        expect(&output, 0);
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (name, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (first, told) = upload("first", "2");
    assert!(!told.contains("deleted"), "{told}");
    let (second, told) = upload("second", "2");
    assert!(!told.contains("deleted"), "{told}");
    let (_, told) = upload("third", "1");
    for name in [first, second] {
        assert!(told.contains(&format!("deleted {name}")), "{told}");
    }
    // Two are there now, and no rest of the others.
    let (_, told) = upload("fourth", "2");
    assert!(!told.contains("deleted"), "{told}");
    let there = tempfile::tempdir().expect("a folder");
    expect(&scheduler("download", there.path(), location, variables), 0);
    assert_eq!(files(there.path()), files(backup("fourth").path()));
}

/// A folder with a backup, one of its files in a folder of its own.
fn backup(content: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let content = serde_json::json!([content]).to_string();
    fs::create_dir(folder.path().join("scripts")).expect("a folder");
    for name in [
        "backup.json",
        "users.json",
        "services.json",
        "macros.json",
        "scripts/a %2F b.json",
    ] {
        fs::write(folder.path().join(name), &content).expect("a file");
    }
    folder
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("it lies below");
                found.insert(text(name).to_owned(), fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

fn scheduler(verb: &str, dir: &Path, location: &str, variables: &[(&str, &str)]) -> Output {
    command(verb, dir, location, variables)
        .output()
        .expect("the command runs")
}

fn command(verb: &str, dir: &Path, location: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concierge_scheduler"));
    command
        .env_clear()
        .envs(variables.iter().copied())
        .args([
            verb,
            "--config-dir",
            text(dir),
            "--storage-location",
            location,
        ])
        .args(["--storage-folder", "zabbix/one"]);
    command
}

fn expect(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// moto's S3, with one bucket.
struct S3 {
    server: Peer,
    endpoint: String,
}

impl S3 {
    fn start() -> Self {
        let server = Peer::start("venv/bin/moto_server", &["-p"]);
        put_bucket(server.port);
        let endpoint = format!("http://127.0.0.1:{}", server.port);
        Self { server, endpoint }
    }

    fn variables(&self) -> [(&str, &str); 5] {
        [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT", &self.endpoint),
            ("AWS_ALLOW_HTTP", "true"),
        ]
    }
}

/// A server that ends with the test.
struct Peer {
    child: Child,
    port: u16,
}

impl Peer {
    /// Starts a program of the peers, whose last argument is its port.
    fn start(program: &str, arguments: &[&str]) -> Self {
        // Whoever is given the port in between has it, and the program ends.
        for _ in 0..5 {
            let port = free_port();
            let mut command = Command::new(peers().join(program));
            command.args(arguments).arg(port.to_string());
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let child = child.expect("the peer starts");
            let mut peer = Self { child, port };
            if peer.listens() {
                return peer;
            }
        }
        panic!("{program} {arguments:?} does not listen");
    }

    /// Waits until it listens, or has ended.
    fn listens(&mut self) -> bool {
        for _ in 0..1200 {
            if self.child.try_wait().expect("a child").is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("nothing answers at port {}", self.port);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A small disk of its own.
struct Mount(PathBuf);

impl Mount {
    fn of(folder: &Path, options: &str) -> Self {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", text(folder)]));
        Self(folder.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Left mounted, it would go with the machine.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Passes requests on to `port`, and after the given number of them cuts every connection off.
fn relay(port: u16, requests: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let own = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
                let count = Arc::clone(&count);
                thread::spawn(move || pass(client, server, &count, requests));
            }
        }
    });
    own
}

fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    count: &AtomicUsize,
    limit: usize,
) -> Option<()> {
    let (mut answers, mut back) = (server.try_clone().ok()?, client.try_clone().ok()?);
    thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let mut buffer = [0; 65536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let begun = buffer[..length]
            .windows(10)
            .filter(|window| window == b" HTTP/1.1\r")
            .count();
        if count.fetch_add(begun, Ordering::SeqCst) + begun > limit {
            break;
        }
        server.write_all(&buffer[..length]).ok()?;
    }
    server.shutdown(std::net::Shutdown::Both).ok()?;
    client.shutdown(std::net::Shutdown::Both).ok()
}

fn put_bucket(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the peer listens");
    stream
        .write_all(b"PUT /bucket HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains(" 200 "), "{answer}");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Where moto and Azurite are installed, from PyPI and npm, when they are first needed.
fn peers() -> &'static Path {
    static PEERS: OnceLock<PathBuf> = OnceLock::new();
    PEERS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("storage-peers");
        fs::create_dir_all(&folder).expect("a folder");
        if !folder.join("venv/bin/moto_server").exists() {
            run(Command::new("python3").args(["-m", "venv", text(&folder.join("venv"))]));
            fetch(Command::new(folder.join("venv/bin/pip")).args([
                "install",
                "--quiet",
                "moto[server]==5.2.5",
            ]));
        }
        if !folder.join("node_modules/.bin/azurite-blob").exists() {
            fetch(Command::new("npm").args([
                "install",
                "--silent",
                "--prefix",
                text(&folder),
                "azurite@3.37.0",
            ]));
        }
        folder
    })
}

/// Runs a command that needs PyPI or npm, which may be out of reach for a moment.
fn fetch(command: &mut Command) {
    for pause in [10, 30] {
        if command.output().is_ok_and(|output| output.status.success()) {
            return;
        }
        thread::sleep(Duration::from_secs(pause));
    }
    run(command);
}

fn run(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| {
        panic!("{command:?}: {error}; it comes with python3-venv, npm or mount")
    });
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}
