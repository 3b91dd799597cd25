//! Whatever an application, a server or a user does wrong: the contract's answer, in time, and the agent stays alive.

mod support;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use lab::Lab;
use support::stats;
use support::stub::{Behaviour, Stub, http};

/// The agent's own default.
const TIMEOUT: Duration = Duration::from_secs(3);

const ALLOW: &str = "allow = ['http://127.0.0.1:*/', 'http://localhost:*/', 'file:///srv/metrics/', 'http://app.example:*/']\n";

struct Bench {
    lab: Lab,
    pids: Vec<u32>,
    settings: Mutex<()>,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let lab = Lab::builder().courier_toml(ALLOW).start().unwrap();
        let made = lab.agent().exec(&["mkdir", "-p", "/srv/metrics"]).unwrap();
        assert!(made.status.success());
        let pids = lab.agent().pids().unwrap();
        assert!(pids.len() >= 5, "{pids:?}");
        Bench {
            lab,
            pids,
            settings: Mutex::new(()),
        }
    })
}

impl Bench {
    fn stub(&self, behaviour: Behaviour) -> Stub {
        Stub::on(self.lab.pod().listen(0).unwrap(), behaviour)
    }

    fn get(&self, key: &str) -> Result<String, String> {
        let start = Instant::now();
        let answer = self
            .lab
            .agent()
            .get_within(key, TIMEOUT)
            .map_err(|error| error.to_string());
        assert!(
            start.elapsed() < TIMEOUT,
            "{key} took {:?}",
            start.elapsed()
        );
        answer
    }

    fn push(&self, source: &str) -> Result<f64, String> {
        self.get(&format!("courier.push[{source}]"))
            .map(|value| value.parse().unwrap())
    }

    fn discover(&self, source: &str) -> Result<String, String> {
        self.get(&format!("courier.discover[{source}]"))
    }

    fn all_alive(&self) {
        assert_eq!(self.lab.agent().pids().unwrap(), self.pids);
    }

    /// Writes courier.toml for one test at a time.
    fn settings(&self, toml: &str) -> MutexGuard<'_, ()> {
        // A test that failed leaves nothing behind that the next one does not write anew.
        let guard = self
            .settings
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        self.lab
            .agent()
            .write_file(
                "/etc/zabbix/courier.toml",
                format!("{ALLOW}{toml}").as_bytes(),
            )
            .unwrap();
        guard
    }
}

#[test]
fn misuse_makes_the_item_unsupported_and_says_what_to_mend() {
    let bench = bench();
    for (key, reason) in [
        (
            "courier.push[http://127.0.0.1:1/,timers]",
            "unknown type \"timers\"",
        ),
        (
            "courier.discover[http://127.0.0.1:1/,,(]",
            "bad regular expression in include",
        ),
        (
            "courier.push[http://127.0.0.1:1/,,,,(]",
            "bad regular expression in exclude",
        ),
        ("courier.discover[http://10.0.0.1/]", "is not allowed"),
        ("courier.push[http://localhost.example/]", "is not allowed"),
        ("courier.discover[file:///etc/passwd]", "is not allowed"),
        (
            "courier.discover[/srv/metrics/../../etc/passwd]",
            "is not allowed",
        ),
        ("courier.discover[nobody]", "\"nobody\" is no source"),
        ("courier.discover", "the parameter source is missing"),
        ("courier.discover[a,b,c,d,e]", "5 parameters are too many"),
        (
            "courier.stats[http://127.0.0.1:9/,status]",
            "was not pushed",
        ),
        ("courier.push[http://u:secret@127.0.0.1/]", "credentials"),
    ] {
        let error = bench.get(key).unwrap_err();
        assert!(
            error.contains(reason) && !error.contains("secret"),
            "{key}: {error}"
        );
    }
    bench.all_alive();
}

#[test]
fn a_body_that_is_no_metrics_fails_and_says_why() {
    let bench = bench();
    let deep = [b"[".repeat(1_000_000), b"]".repeat(1_000_000)].concat();
    let deep_gauge = format!(
        "{{\"gauges\":{{\"a\":{{\"value\":{}1{}}}}}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for (behaviour, reason) in [
        (
            http("500 Internal Server Error", "text/plain", b"oops"),
            "it answered 500",
        ),
        (
            http(
                "200 OK",
                "text/html",
                b"<!DOCTYPE html><title>Login</title>",
            ),
            "HTML",
        ),
        (
            http(
                "200 OK",
                "application/json",
                br#"{"version":"4.0.0","timers":{"a":{"count":1"#,
            ),
            "EOF",
        ),
        (
            http(
                "200 OK",
                "application/json",
                b"{\"version\":\"4.0.0\",\"gauges\":{\"\xff\":{\"value\":1}}}",
            ),
            "invalid",
        ),
        (http("200 OK", "application/json", &deep), "deep"),
        (
            http("200 OK", "application/json", deep_gauge.as_bytes()),
            "recursion",
        ),
        (http("200 OK", "application/json", b""), "empty"),
        (
            Behaviour::Floods(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 104857600\r\n\r\n",
            ),
            "more than 8388608 bytes",
        ),
        (
            Behaviour::Answers(Arc::new(b"SSH-2.0-OpenSSH\r\n".to_vec())),
            "cannot read",
        ),
        (Behaviour::Answers(Arc::new(Vec::new())), "cannot read"),
    ] {
        let stub = bench.stub(behaviour);
        let error = bench.discover(&stub.url()).unwrap_err();
        assert!(error.contains(reason), "discover, {reason}: {error}");
        assert_eq!(bench.push(&stub.url()), Ok(0.0), "{reason}");
        assert_eq!(stats(&bench.lab, &stub.url(), "status"), "failed");
        let error = stats(&bench.lab, &stub.url(), "error");
        assert!(error.contains(reason), "push, {reason}: {error}");
    }
    bench.all_alive();
}

#[test]
fn an_application_that_is_not_there_fails_and_the_log_says_so() {
    let bench = bench();
    let gone = "http://127.0.0.1:7/metrics";
    assert_eq!(bench.push(gone), Ok(0.0));
    assert!(
        bench
            .discover(gone)
            .unwrap_err()
            .contains("Connection refused")
    );
    assert!(stats(&bench.lab, gone, "error").contains("Connection refused"));
    let log = bench.lab.agent().log().unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("push of http://127.0.0.1:7/metrics"));
    assert_eq!(lines.count(), 1, "{log}");
    bench.all_alive();
}

#[test]
fn silence_of_the_application_is_a_timeout_before_the_server_gives_up() {
    let bench = bench();
    let dripped = Arc::new(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".to_vec());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n".as_bytes();
    let body = Arc::new([head, b"{}"].concat());
    for behaviour in [
        Behaviour::Silent,
        Behaviour::Drips(dripped),
        Behaviour::Drips(body),
    ] {
        let stub = bench.stub(behaviour);
        for _ in 0..3 {
            assert_eq!(bench.push(&stub.url()), Ok(-1.0));
        }
        assert_eq!(stats(&bench.lab, &stub.url(), "status"), "timeout");
        let error = bench.discover(&stub.url()).unwrap_err();
        assert!(error.contains("did not answer in time"), "{error}");
    }
    bench.all_alive();
}

#[test]
fn silence_of_the_trapper_or_the_name_server_is_a_timeout_too() {
    let bench = bench();
    let app = bench.stub(http(
        "200 OK",
        "application/json",
        br#"{"version":"4.0.0","counters":{"a":{"count":1}}}"#,
    ));
    let trapper = bench.stub(Behaviour::Silent);
    let guard = bench.settings(&format!("[deliver]\nto = ['127.0.0.1:{}']\n", trapper.port));
    for _ in 0..3 {
        assert_eq!(bench.push(&app.url()), Ok(-1.0));
    }
    let error = stats(&bench.lab, &app.url(), "error");
    assert!(error.contains("waiting for the answer"), "{error}");
    drop(guard);

    // It takes every question and answers none.
    let name_server = bench.lab.pod().listen_udp(53).unwrap();
    let resolver = [
        "sh",
        "-c",
        "printf 'nameserver 127.0.0.1\\n' > /etc/resolv.conf",
    ];
    assert!(bench.lab.agent().exec(&resolver).unwrap().status.success());
    for _ in 0..5 {
        assert_eq!(bench.push("http://app.example:80/"), Ok(-1.0));
    }
    assert!(stats(&bench.lab, "http://app.example:80/", "error").contains("app.example"));
    let guard = bench.settings("[deliver]\nto = ['zabbix.example']\n");
    assert_eq!(bench.push(&app.url()), Ok(-1.0));
    assert!(stats(&bench.lab, &app.url(), "error").contains("name resolution"));
    drop((guard, name_server));
    bench.all_alive();
}

#[test]
fn a_fifo_is_no_source_and_a_file_is_one() {
    let bench = bench();
    let agent = bench.lab.agent();
    agent
        .write_file(
            "/srv/metrics/a.json",
            br#"{"version":"4.0.0","counters":{"a":{"count":1}}}"#,
        )
        .unwrap();
    for make in [
        "mkfifo -m 666 /srv/metrics/fifo",
        "ln -s /etc/passwd /srv/metrics/link",
    ] {
        assert!(agent.exec(&["sh", "-c", make]).unwrap().status.success());
    }
    for source in [
        "/srv/metrics/fifo",
        "file:///srv/metrics/fifo",
        "/srv/metrics",
    ] {
        assert!(
            bench.push(source).unwrap_err().contains("no regular file"),
            "{source}"
        );
    }
    assert!(
        bench
            .push("/srv/metrics/link")
            .unwrap_err()
            .contains("not allowed")
    );
    assert!(
        bench
            .discover("/srv/metrics/a.json")
            .unwrap()
            .contains("{#COUNTER}")
    );
    assert!(bench.push("/srv/metrics/a.json").unwrap() >= 1.0);
    assert_eq!(
        stats(&bench.lab, "file:///srv/metrics/a.json", "failed"),
        "1"
    );
    bench.all_alive();
}

#[test]
fn wrong_settings_are_named_with_file_line_and_key_until_they_are_mended() {
    let bench = bench();
    let guard = bench.settings("[source.app]\nurl = 'http://127.0.0.1:1/'\nmax_bites = 1\n");
    let error = bench.discover("app").unwrap_err();
    assert!(
        error.contains("/etc/zabbix/courier.toml, line 4: unknown field `max_bites`"),
        "{error}"
    );
    drop(guard);
    drop(bench.settings(""));
    assert!(bench.discover("app").unwrap_err().contains("is no source"));
    bench.all_alive();
}

#[test]
fn every_item_can_be_tried_on_the_agents_command_line_and_printing_all_delivers_nothing() {
    let bench = bench();
    let agent = bench.lab.agent();
    let trapper = bench.stub(Behaviour::Silent);
    let guard = bench.settings(&format!("[deliver]\nto = ['127.0.0.1:{}']\n", trapper.port));
    let printed = agent.print().unwrap();
    let printed = String::from_utf8_lossy(&printed.stdout);
    for key in [
        "courier.discover",
        "courier.push",
        "courier.stats",
        "courier.version",
    ] {
        assert!(printed.contains(key), "{printed}");
    }
    assert!(printed.contains("a test delivers nothing"), "{printed}");
    assert_eq!(trapper.connections(), 0);
    drop(guard);
    let app = bench.stub(http(
        "200 OK",
        "application/json",
        br#"{"version":"4.0.0","counters":{"a":{"count":1}}}"#,
    ));
    drop(bench.settings(""));
    for (key, expected) in [
        (
            format!("courier.discover[{}]", app.url()),
            "[t|[{\"{#COUNTER}\":\"a\"",
        ),
        (format!("courier.push[{}]", app.url()), "[d|"),
        (
            format!("courier.stats[{},status]", app.url()),
            "was not pushed",
        ),
        (
            "courier.version".to_owned(),
            concat!("[t|", env!("CARGO_PKG_VERSION"), "]"),
        ),
    ] {
        let output = agent.test(&key).unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(expected), "{key}: {text}");
    }
    bench.all_alive();
}

#[test]
fn send_ends_within_three_seconds_when_the_server_is_slow_or_gone() {
    let bench = bench();
    let slow = bench.stub(Behaviour::Silent);
    for port in [slow.port, 7] {
        let to = format!("127.0.0.1:{port}");
        let start = Instant::now();
        let output = bench
            .lab
            .agent()
            .exec(&["courier", "send", "container.state", "1", "--to", &to])
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "{:?}",
            start.elapsed()
        );
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(&to), "{error}");
    }
}
