//! Whatever an application, a server or a user does wrong: the contract's answer, in time, and the agent stays alive.

mod support;

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lab::{Agent, AgentSpec, Lab};
use support::stub::{Behaviour, Stub, http};
use support::wait_for;

/// The agent's Timeout: what a server waits.
const TIMEOUT: Duration = Duration::from_secs(5);

const ALLOW: &str = "allow = ['http://127.0.0.1:*/', 'http://localhost:*/', 'file:///srv/metrics/', 'http://app.example:*/']\n";

struct Bench {
    lab: Lab,
    pids: Vec<u32>,
    ports: AtomicU16,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let lab = Lab::builder()
            .agent_config("Timeout=5\n")
            .courier_toml(ALLOW)
            .start()
            .unwrap();
        make(lab.agent(), "mkdir -p /srv/metrics");
        // The parent, the collector, three listeners and one process of active checks.
        let pids = wait_for("six processes", Duration::from_secs(30), || {
            let pids = lab.agent().pids().unwrap();
            (pids.len() == 6).then_some(pids)
        });
        Bench {
            lab,
            pids,
            ports: AtomicU16::new(10060),
        }
    })
}

fn make(agent: &Agent, command: &str) {
    let output = agent.exec(&["sh", "-c", command]).unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {text}");
}

fn get(agent: &Agent, key: &str) -> Result<String, String> {
    // The deadline is the courier's; that a loaded machine lets a process wait for longer than is left of it is not.
    let attempt = |_| {
        let start = Instant::now();
        let answer = agent.get_within(key, TIMEOUT);
        (start.elapsed() < TIMEOUT).then_some(answer)
    };
    let answer = (0..3).find_map(attempt);
    let answer = answer.unwrap_or_else(|| panic!("{key}: three times later than {TIMEOUT:?}"));
    answer.map_err(|error| error.to_string())
}

fn push(agent: &Agent, source: &str) -> Result<f64, String> {
    get(agent, &format!("courier.push[{source}]")).map(|value| value.parse().unwrap())
}

fn discover(agent: &Agent, source: &str) -> Result<String, String> {
    get(agent, &format!("courier.discover[{source}]"))
}

fn error_of(agent: &Agent, source: &str) -> String {
    get(agent, &format!("courier.stats[{source},error]")).unwrap()
}

impl Bench {
    fn agent(&self) -> &Agent {
        self.lab.agent()
    }

    fn stub(&self, behaviour: Behaviour) -> Stub {
        Stub::on(self.lab.pod().listen(0).unwrap(), behaviour)
    }

    /// An agent of a test's own, whose settings it may change.
    fn agent_with(&self, toml: &str) -> Agent {
        let port = self.ports.fetch_add(1, Ordering::Relaxed);
        let spec = AgentSpec {
            hostname: format!("lab-{port}"),
            port,
            config: "Timeout=5\n".to_owned(),
            courier_toml: Some(format!("{ALLOW}{toml}")),
            ..AgentSpec::default()
        };
        self.lab.start_agent(&spec).unwrap()
    }

    fn all_alive(&self) {
        assert_eq!(self.agent().pids().unwrap(), self.pids);
    }
}

/// One counter, as Dropwizard serves it.
const COUNTER: &[u8] = br#"{"version":"4.0.0","counters":{"a":{"count":1}}}"#;

fn counter() -> Behaviour {
    http("200 OK", "application/json", COUNTER)
}

/// A trapper's answer to one value that it took.
fn acknowledgement() -> Vec<u8> {
    let info = "processed: 1; failed: 0; total: 1; seconds spent: 0.000020";
    let body = format!(r#"{{"response":"success","info":"{info}"}}"#);
    let length = (body.len() as u64).to_le_bytes();
    [b"ZBXD\x01".as_slice(), &length, body.as_bytes()].concat()
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
        let error = get(bench.agent(), key).unwrap_err();
        // The lab's own words repeat the key.
        let (_, error) = error.split_once("is not supported: ").unwrap();
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
        let error = discover(bench.agent(), &stub.url()).unwrap_err();
        assert!(error.contains(reason), "discover, {reason}: {error}");
        assert_eq!(push(bench.agent(), &stub.url()), Ok(0.0), "{reason}");
        assert_eq!(
            get(
                bench.agent(),
                &format!("courier.stats[{},status]", stub.url())
            )
            .unwrap(),
            "failed"
        );
        let error = error_of(bench.agent(), &stub.url());
        assert!(error.contains(reason), "push, {reason}: {error}");
    }
    bench.all_alive();
}

#[test]
fn an_application_that_is_not_there_fails_and_the_log_says_so() {
    let bench = bench();
    let gone = "http://127.0.0.1:7/metrics";
    assert_eq!(push(bench.agent(), gone), Ok(0.0));
    assert!(
        discover(bench.agent(), gone)
            .unwrap_err()
            .contains("Connection refused")
    );
    assert!(error_of(bench.agent(), gone).contains("Connection refused"));
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
            assert_eq!(push(bench.agent(), &stub.url()), Ok(-1.0));
        }
        assert_eq!(
            get(
                bench.agent(),
                &format!("courier.stats[{},status]", stub.url())
            )
            .unwrap(),
            "timeout"
        );
        let error = discover(bench.agent(), &stub.url()).unwrap_err();
        assert!(error.contains("did not answer in time"), "{error}");
    }
    bench.all_alive();
}

#[test]
fn silence_of_the_trapper_or_the_name_server_is_a_timeout_too() {
    let bench = bench();
    let app = bench.stub(counter());
    let trapper = bench.stub(Behaviour::Silent);
    let agent = bench.agent_with(&format!("[deliver]\nto = ['127.0.0.1:{}']\n", trapper.port));
    for _ in 0..3 {
        assert_eq!(push(&agent, &app.url()), Ok(-1.0));
    }
    let reason = error_of(&agent, &app.url());
    assert!(reason.contains("answer"), "{reason}");

    // It takes every question and answers none.
    let _name_server = bench.lab.pod().listen_udp(53).unwrap();
    let agent = bench.agent_with("[deliver]\nto = ['zabbix.example']\n");
    make(
        &agent,
        "printf 'nameserver 127.0.0.1\\n' > /etc/resolv.conf",
    );
    for _ in 0..5 {
        assert_eq!(push(&agent, "http://app.example:80/"), Ok(-1.0));
    }
    assert!(error_of(&agent, "http://app.example:80/").contains("app.example"));
    assert_eq!(push(&agent, &app.url()), Ok(-1.0));
    assert!(error_of(&agent, &app.url()).contains("name resolution"));
    bench.all_alive();
}

#[test]
fn a_fifo_is_no_source_and_a_file_is_one() {
    let bench = bench();
    let agent = bench.agent();
    let body = br#"{"version":"4.0.0","counters":{"a":{"count":1}}}"#;
    agent.write_file("/srv/metrics/a.json", body).unwrap();
    make(agent, "mkfifo -m 666 /srv/metrics/fifo");
    make(agent, "ln -s /etc/passwd /srv/metrics/link");
    for source in [
        "/srv/metrics/fifo",
        "file:///srv/metrics/fifo",
        "/srv/metrics",
    ] {
        let reason = push(agent, source).unwrap_err();
        assert!(reason.contains("no regular file"), "{source}: {reason}");
    }
    let reason = push(agent, "/srv/metrics/link").unwrap_err();
    assert!(reason.contains("not allowed"), "{reason}");
    let rows = discover(agent, "/srv/metrics/a.json").unwrap();
    assert!(rows.contains("{#COUNTER}"), "{rows}");
    assert!(push(agent, "/srv/metrics/a.json").unwrap() >= 1.0);
    let refused = "courier.stats[file:///srv/metrics/a.json,failed]";
    assert_eq!(get(agent, refused), Ok("1".to_owned()));
    bench.all_alive();
}

#[test]
fn wrong_settings_are_named_with_file_line_and_key_until_they_are_mended() {
    let bench = bench();
    let agent = bench.agent_with("[source.app]\nurl = 'http://127.0.0.1:1/'\nmax_bites = 1\n");
    let reason = discover(&agent, "app").unwrap_err();
    let expected = "/etc/zabbix/courier.toml, line 4: unknown field `max_bites`";
    assert!(reason.contains(expected), "{reason}");
    agent.write_file("/etc/zabbix/courier.toml", b"").unwrap();
    let reason = discover(&agent, "app").unwrap_err();
    assert!(reason.contains("is no source"), "{reason}");
}

#[test]
fn every_item_can_be_tried_on_the_agents_command_line_and_printing_all_delivers_nothing() {
    let bench = bench();
    let trapper = bench.stub(Behaviour::Silent);
    let agent = bench.agent_with(&format!("[deliver]\nto = ['127.0.0.1:{}']\n", trapper.port));
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

    let app = bench.stub(counter());
    let agent = bench.agent_with("");
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

// Only while a peer of the errand has it: before that, a signal makes the agent itself hang up on whoever asks,
// agent.ping included.
#[test]
fn signals_in_the_middle_of_an_errand_change_nothing() {
    let bench = bench();
    // Where it delivers is known before its processes are.
    let listener = bench.lab.pod().listen(0).unwrap();
    let to = listener.local_addr().unwrap().port();
    let agent = bench.agent_with(&format!("[deliver]\nto = ['127.0.0.1:{to}']\n"));
    let pids = agent.pids().unwrap();
    let interrupts = |answer: Vec<u8>| Behaviour::Interrupts(pids[1..].to_vec(), Arc::new(answer));

    let trapper = Stub::on(listener, interrupts(acknowledgement()));
    let head = b"HTTP/1.0 200 OK\r\n\r\n".as_slice();
    let app = bench.stub(interrupts([head, COUNTER].concat()));
    for _ in 0..5 {
        let rows = discover(&agent, &app.url()).unwrap();
        assert!(rows.contains("{#COUNTER}"), "{rows}");
        let milliseconds = push(&agent, &app.url()).unwrap();
        let reason = error_of(&agent, &app.url());
        assert!(milliseconds > 0.0, "{milliseconds}: {reason}");
    }
    assert!(app.connections() >= 10 && trapper.connections() >= 5);

    let slow = bench.stub(interrupts([head, &[b' '; 1 << 20]].concat()));
    assert_eq!(
        push(&agent, &slow.url()),
        Ok(-1.0),
        "its deadline, not a signal, ends it"
    );
    assert_eq!(agent.pids().unwrap(), pids);
}

#[test]
fn send_ends_within_three_seconds_when_the_server_is_slow_or_gone() {
    let bench = bench();
    let slow = bench.stub(Behaviour::Silent);
    for port in [slow.port, 7] {
        let to = format!("127.0.0.1:{port}");
        // What takes longer is stopped, and its exit status is 124.
        let send = [
            "timeout",
            "3",
            "courier",
            "send",
            "container.state",
            "1",
            "--to",
            &to,
        ];
        // Its own deadline is 2 s; the tests beside this one may hold up the start of a program for longer than the rest.
        let output = (0..3)
            .map(|_| bench.agent().exec(&send).unwrap())
            .find(|output| output.status.code() != Some(124))
            .expect("an attempt within three seconds");
        let reason = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{reason}");
        assert!(reason.contains(&to), "{reason}");
    }
}
