//! What goes wrong ends in one clear sentence and exit code 1, with nothing changed on the server.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use lab::Version;
use serde_json::{Value, json};

use crate::SMALL;
use crate::command::{backup, command, restore, stderr, text};
use crate::population::populate;
use crate::proxy::{Proxy, Verdict};
use crate::round_trip::{files, same_folders};
use crate::server::Server;

#[test]
fn faults_change_nothing_and_say_what_to_do() {
    let server = Server::start(Version::V6_0);
    server.strip();
    populate(server.api(), Version::V6_0, SMALL);
    let dirs = tempfile::tempdir().expect("a folder");
    let good = dirs.path().join("good");
    backup(server.address(), &good, &[]);
    server.load("bare");
    let before = dirs.path().join("before");
    backup(server.address(), &before, &[]);

    let run = |address: &str, dir: &Path, variables: &[(&str, &str)]| {
        let mut command = command(address, &["restore_config", "--config-dir", text(dir)]);
        command.envs(variables.iter().copied());
        command.output().expect("the command runs")
    };
    let copy = |name: &str| {
        let dir = dirs.path().join(name);
        fs::create_dir(&dir).expect("a folder");
        for entry in fs::read_dir(&good).expect("the backup") {
            let path = entry.expect("an entry").path();
            fs::copy(&path, dir.join(path.file_name().expect("a name"))).expect("a copy");
        }
        dir
    };

    let output = run(server.address(), &good, &[("ZBX_API_PASS", "wrong")]);
    refused(&output, &["refused the login of Admin"]);

    let output = run("http://127.0.0.1:1/", &good, &[]);
    refused(&output, &["cannot reach the Zabbix API", "ZBX_API_HOST"]);

    let tls = server.address().replace("http://", "https://");
    let output = run(&tls, &good, &[]);
    refused(&output, &["cannot reach the Zabbix API", "certificate"]);

    let own = SelfSigned::start(dirs.path());
    let output = run(&own.address, &good, &[]);
    refused(&output, &["cannot reach the Zabbix API", "certificate"]);

    an_admin_is_no_super_admin(&server, &good);

    // A super admin whose role forbids one of the methods.
    let call = |method: &str, params: Value| server.api().call(method, params).expect("an answer");
    let role = call(
        "role.create",
        json!({"name": "half", "type": "3", "rules": {"api.access": "1", "api.mode": "0", "api": ["hostgroup.get"]}}),
    );
    let user = call(
        "user.create",
        json!({"username": "half", "passwd": "Long-enough-7", "roleid": role["roleids"][0], "usrgrps": [{"usrgrpid": "7"}]}),
    );
    let output = run(
        server.address(),
        &good,
        &[("ZBX_API_USER", "half"), ("ZBX_API_PASS", "Long-enough-7")],
    );
    refused(&output, &["hostgroup.get", "No permissions"]);
    call("user.delete", user["userids"].clone());
    call("role.delete", role["roleids"].clone());

    let cut = copy("cut");
    let hosts = fs::read(cut.join("hosts.json")).expect("a file");
    fs::write(cut.join("hosts.json"), &hosts[..hosts.len() / 2]).expect("half a file");
    refused(
        &run(server.address(), &cut, &[]),
        &["hosts.json is no JSON"],
    );

    let newer = copy("newer");
    for entry in fs::read_dir(&newer).expect("the copy") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a file");
        fs::write(
            &path,
            text.replace("\"version\": \"6.0\"", "\"version\": \"7.4\"")
                .replace("\"zabbix\": \"6.0\"", "\"zabbix\": \"7.4\""),
        )
        .expect("a file");
    }
    refused(
        &run(server.address(), &newer, &[]),
        &["is of Zabbix 7.4, and the server is 6.0"],
    );

    let half_down = Proxy::start(
        server.address(),
        true,
        Box::new(|number| {
            if number > 20 {
                Verdict::BadGateway
            } else {
                Verdict::Pass
            }
        }),
    );
    refused(&run(half_down.address(), &good, &[]), &["502 Bad Gateway"]);

    // A call that only reads is made again when it is lost; a token is no session, and a login's session is ended.
    let after = dirs.path().join("after");
    let sessions = || server.sql("SELECT count(*) FROM sessions WHERE status = 0");
    let open = sessions();
    let once = Proxy::start(
        server.address(),
        true,
        Box::new(|number| match number {
            10 => Verdict::BadGateway,
            _ => Verdict::Pass,
        }),
    );
    let token = call("token.create", json!({"name": "backup"}));
    let made = call("token.generate", token["tokenids"].clone());
    let output = command(
        once.address(),
        &["backup_config", "--config-dir", text(&after)],
    )
    .env_remove("ZBX_API_USER")
    .env_remove("ZBX_API_PASS")
    .env("ZBX_API_TOKEN", made[0]["token"].as_str().expect("a token"))
    .output()
    .expect("the command runs");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!once.calls().iter().any(|call| call == "user.login"));
    same_folders(&before, &after);
    call("token.delete", token["tokenids"].clone());
    backup(server.address(), &after, &[]);
    same_folders(&before, &after);
    assert_eq!(sessions(), open);

    // A failing object does not stop the rest, and is named with Zabbix's own words.
    let mixed = copy("mixed");
    let path = mixed.join("hosts.json");
    let text = fs::read_to_string(&path).expect("a file");
    fs::write(
        &path,
        text.replacen(
            "\"name\": \"template 00\"",
            "\"name\": \"no such template\"",
            1,
        ),
    )
    .expect("a file");
    let answer = restore(server.address(), &mixed, &[]);
    let failed = answer["failed"].as_array().expect("a list");
    assert!(
        failed.iter().any(|failed| failed["name"] == "host 0000"
            && failed["error"].to_string().contains("no such template")),
        "{answer:#}"
    );
    assert!(answer["create"].as_u64() > Some(30), "{answer:#}");
}

/// Backup and restore refuse a user who sees only a part, and leave the folder as it is.
pub fn an_admin_is_no_super_admin(server: &Server, dir: &Path) {
    let mut user = json!({"passwd": "Long-enough-7", "usrgrps": [{"usrgrpid": "8"}]});
    let (name, rank) = match server.version() {
        Version::V5_0 => ("alias", "type"),
        Version::V6_0 | Version::V7_0 => ("username", "roleid"),
    };
    user[name] = json!("limited");
    user[rank] = json!("2");
    let call = |method: &str, params: Value| server.api().call(method, params).expect("an answer");
    let user = call("user.create", user);
    let before = files(dir);
    for verb in ["backup_config", "restore_config"] {
        let output = command(server.address(), &[verb, "--config-dir", text(dir)])
            .env("ZBX_API_USER", "limited")
            .env("ZBX_API_PASS", "Long-enough-7")
            .output()
            .expect("the command runs");
        refused(&output, &["no super admin"]);
    }
    assert_eq!(files(dir), before);
    call("user.delete", user["userids"].clone());
}

/// A web server whose certificate nobody vouches for.
struct SelfSigned {
    address: String,
    server: Child,
}

impl SelfSigned {
    fn start(dir: &Path) -> Self {
        let (key, certificate) = (dir.join("key.pem"), dir.join("certificate.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
        fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
        fs::write(&certificate, made.cert.pem()).expect("a file");
        // Whoever is given the port in between has it, and openssl ends.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = free.local_addr().expect("an address").port();
            drop(free);
            let server = Command::new("openssl")
                .args(["s_server", "-quiet", "-www", "-accept", &port.to_string()])
                .args(["-key", text(&key), "-cert", text(&certificate)])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("openssl starts");
            let address = format!("https://localhost:{port}/");
            let mut own = Self { address, server };
            if own.listens(port) {
                return own;
            }
        }
        panic!("openssl does not listen");
    }

    /// Waits until it listens, or has ended.
    fn listens(&mut self, port: u16) -> bool {
        for _ in 0..1200 {
            if self.server.try_wait().expect("a child").is_some() {
                return false;
            }
            if TcpStream::connect(("localhost", port)).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("nothing answers at port {port}");
    }
}

impl Drop for SelfSigned {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn refused(output: &Output, parts: &[&str]) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    let sentence: Vec<&str> = error
        .lines()
        .filter(|line| line.starts_with("concierge_scheduler: "))
        .collect();
    assert_eq!(sentence.len(), 1, "{error}");
    for part in parts {
        assert!(sentence[0].contains(part), "no \"{part}\" in: {error}");
    }
}
