//! Zabbix runs the command from a trigger's action, as a server-side script.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use lab::{Compose, Engine, Lab, SAMPLE_IMAGE, Version};
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Run, Stage, comes};

/// The scripts of the actions: with the number that Zabbix believes in, and without.
const THREE: &str = "concierge_scheduler scale_up {HOST.HOST} {INVENTORY.DEPLOYMENT.STATUS} 1";
const ONE: &str = "concierge_scheduler scale_up {HOST.HOST}";
/// What is not timed must be allowed to end on a busy machine, for an action runs its script once.
const PATIENT: &str = " --timeout 60";
/// A service host and its item that takes values of another machine alone.
const REFUSED: [&str; 2] = ["api", "scale.target"];
/// The longest that a run may hold the escalator, and what a busy machine may need to start and end a process.
const LIMIT: f64 = 10.0 + 8.0;
/// Where the zabbix user notes when the runs that are timed began and ended.
const CLOCK: &str = "/var/lib/concierge/clock";

/// A command between two readings of the machine's clock.
fn timed(command: &str) -> String {
    let read = format!("cut -d' ' -f1 /proc/uptime >>{CLOCK}");
    format!("{read}; {command}; {read}")
}

struct Loop {
    lab: Lab,
    stage: Stage,
}

impl Loop {
    /// A Zabbix server with the command installed, and an engine beside it.
    fn new(version: Version) -> Self {
        let config = if version >= Version::V7_0 {
            "EnableGlobalScripts=1"
        } else {
            ""
        };
        let lab = Lab::builder()
            .zabbix(version)
            .without_agent()
            .server_config(config)
            .start()
            .unwrap();
        let stage = Stage::of(Engine::start_in(lab.pod()).unwrap());
        let program = std::fs::read(env!("CARGO_BIN_EXE_concierge_scheduler")).unwrap();
        let settings = "ZBX_API_HOST=http://127.0.0.1:10080\nZBX_API_USER=Admin\nZBX_API_PASS=zabbix\nDOCKER_HOST=tcp://127.0.0.1:2376\n";
        lab.pod()
            .write_file("/usr/local/bin/concierge_scheduler", &program)
            .unwrap();
        let prepare = "chmod 755 /usr/local/bin/concierge_scheduler; mkdir -p /etc/concierge /var/lib/concierge; chown zabbix: /var/lib/concierge";
        assert!(
            lab.pod()
                .exec(&["bash", "-c", prepare])
                .unwrap()
                .status
                .success()
        );
        lab.pod()
            .write_file("/etc/concierge/scheduler.env", settings.as_bytes())
            .unwrap();
        Self { lab, stage }
    }

    fn call(&self, method: &str, params: Value) -> Value {
        self.lab.api().call(method, params).unwrap()
    }

    /// A service host with an item `load`, a trigger on it, and an action that runs `script`.
    fn service_host(&self, name: &str, status: &str, script: &str, macros: Value) {
        let group =
            self.call("hostgroup.get", json!({"output": ["groupid"], "limit": 1}))[0]["groupid"]
                .clone();
        let host = self.call(
            "host.create",
            json!({
                "host": name, "groups": [{"groupid": group}], "inventory_mode": 0,
                "inventory": {"deployment_status": status}, "macros": macros,
            }),
        )["hostids"][0]
            .clone();
        for (key, kind) in [
            ("scale.target", 3),
            ("scale.result", 4),
            ("scale.reason", 4),
            ("load", 3),
        ] {
            let allowed = if [name, key] == REFUSED {
                "192.0.2.1"
            } else {
                ""
            };
            self.trapper_item(&host, key, kind, allowed);
        }
        let trigger = self.call(
            "trigger.create",
            json!({"description": name, "expression": format!("last(/{name}/load)>10")}),
        );
        let script = self.call(
            "script.create",
            json!({"name": name, "type": 0, "scope": 1, "execute_on": 1, "command": script}),
        );
        self.call("action.create", json!({
            "name": name, "eventsource": 0, "esc_period": "1h",
            "filter": {"evaltype": 0, "conditions": [{"conditiontype": 2, "operator": 0, "value": trigger["triggerids"][0]}]},
            "operations": [{"operationtype": 1, "opcommand": {"scriptid": script["scriptids"][0]}, "opcommand_hst": [{"hostid": 0}]}],
        }));
    }

    fn trapper_item(&self, host: &Value, key: &str, kind: u8, allowed: &str) {
        self.call("item.create", json!({
            "hostid": host, "name": key, "key_": key, "type": 2, "value_type": kind, "delay": "0", "trapper_hosts": allowed,
        }));
    }

    fn host_id(&self, name: &str) -> Value {
        let query = json!({"output": ["hostid"], "filter": {"host": [name]}});
        self.call("host.get", query)[0]["hostid"].clone()
    }

    /// Waits until the server knows what was configured so far; `host` gets the items that tell.
    fn known(&self, host: &str) {
        let id = self.host_id(host);
        // It reads items first, triggers and actions last: with the second item, the reading of the first one is over.
        for key in ["first.sign", "second.sign"] {
            self.trapper_item(&id, key, 3, "");
            self.until("a new item", || self.takes(&[(host, key, 0)]));
        }
    }

    /// Gives a host a macro by a template of its template.
    fn inherit(&self, host: &str, name: &str, value: &str) {
        let method = if self.lab.version() >= Version::V7_0 {
            "templategroup.get"
        } else {
            "hostgroup.get"
        };
        let group =
            self.call(method, json!({"output": ["groupid"], "limit": 1}))[0]["groupid"].clone();
        let groups = json!([{"groupid": group}]);
        let macros = json!([{"macro": name, "value": value}]);
        let base = json!({"host": "scaling base", "groups": groups, "macros": macros});
        let base = self.call("template.create", base)["templateids"][0].clone();
        let upper =
            json!({"host": "scaling", "groups": groups, "templates": [{"templateid": base}]});
        let upper = self.call("template.create", upper)["templateids"][0].clone();
        self.call(
            "host.massadd",
            json!({"hosts": [{"hostid": self.host_id(host)}], "templates": [{"templateid": upper}]}),
        );
    }

    /// Stores the engine's credentials into the inventory of a host.
    fn credentials(&self, host: &str) {
        let certs = self.stage.path().join("certs");
        let line = ["pem", "put", host, "--from", certs.to_str().unwrap()];
        let put = self.api_command(&line).output().unwrap();
        assert!(put.status.success(), "{put:?}");
    }

    fn api_command(&self, line: &[&str]) -> std::process::Command {
        let mut command = self.stage.command(line);
        command
            .env("ZBX_API_HOST", self.lab.frontend_url())
            .env("ZBX_API_USER", "Admin")
            .env("ZBX_API_PASS", "zabbix");
        command
    }

    /// Raises the triggers of hosts by their `load`, anew where they are raised already.
    fn raise(&self, hosts: &[&str]) {
        let values: Vec<_> = hosts
            .iter()
            .flat_map(|host| [(*host, "load", 0), (*host, "load", 99)])
            .collect();
        assert!(self.takes(&values), "{values:?}");
    }

    /// Sends values, host and key before each, and says whether the server took them all.
    fn takes(&self, values: &[(&str, &str, u32)]) -> bool {
        let data: Vec<Value> = values
            .iter()
            .map(|(host, key, value)| json!({"host": host, "key": key, "value": value.to_string()}))
            .collect();
        let body = json!({"request": "sender data", "data": data}).to_string();
        let mut server = self.lab.pod().connect(10051).unwrap();
        server.write_all(b"ZBXD\x01").unwrap();
        server
            .write_all(&(body.len() as u64).to_le_bytes())
            .unwrap();
        server.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        server
            .read_to_string(&mut answer)
            .map(drop)
            .unwrap_or_else(|error| panic!("{error}"));
        answer.contains(&format!("processed: {}; failed: 0", values.len()))
    }

    /// Waits until something is so.
    fn until(&self, what: &str, is_so: impl FnMut() -> bool) {
        assert!(
            comes(PATIENCE, is_so),
            "{what} did not happen; alerts: {}; log: {}",
            self.alerts(),
            self.lab.server_log().unwrap()
        );
    }

    fn alerts(&self) -> Value {
        self.call(
            "alert.get",
            json!({"output": ["alerttype", "status", "error", "message"]}),
        )
    }

    fn last(&self, host: &str, key: &str) -> String {
        let items = self.call(
            "item.get",
            json!({"output": ["lastvalue"], "host": host, "filter": {"key_": key}}),
        );
        items[0]["lastvalue"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// How long the nth of the runs that are timed took, in seconds.
    fn held(&self, nth: usize) -> f64 {
        let read = || self.as_zabbix(&["cat", CLOCK]).stdout;
        self.until("the end of the run", || read().lines().count() == 2 * nth);
        let readings: Vec<f64> = read().lines().map(|line| line.parse().unwrap()).collect();
        readings[2 * nth - 1] - readings[2 * nth - 2]
    }

    /// The last line of the audit on a component.
    fn audit(&self, component: &str) -> Value {
        let audit = self
            .as_zabbix(&["cat", "/var/lib/concierge/audit.jsonl"])
            .stdout;
        let mut lines = audit
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.rfind(|line| line["component"] == component).unwrap()
    }

    /// Runs a command as the server's own user.
    fn as_zabbix(&self, line: &[&str]) -> Run {
        let user = [
            "setpriv",
            "--reuid=zabbix",
            "--regid=zabbix",
            "--clear-groups",
        ];
        Run::of(self.lab.pod().exec(&[&user, line].concat()).unwrap())
    }

    fn has(&self, container: &str) -> bool {
        self.stage.running().iter().any(|name| name == container)
    }
}

fn an_action_scales(version: Version) {
    let zabbix = Loop::new(version);
    let services = "    command: [sleep, '100000']\n    init: true\n";
    let file = format!(
        "version: '2.4'\nservices:\n  web:\n    image: {SAMPLE_IMAGE}\n{services}  api:\n    image: {SAMPLE_IMAGE}\n{services}  bare:\n    image: {SAMPLE_IMAGE}\n{services}"
    );
    zabbix
        .stage
        .engine
        .write_file("/srv/shop/docker-compose.yml", file.as_bytes())
        .unwrap();
    zabbix
        .stage
        .engine
        .compose(Compose::V1, "/srv/shop", &["up", "-d"])
        .unwrap();
    let silent = zabbix.lab.pod().listen(0).unwrap();
    let silent = format!("tcp://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let patient = |script: &str| format!("{script}{PATIENT}");
    zabbix.service_host("web", "1", &patient(THREE), json!([]));
    zabbix.service_host("api", "", &patient(ONE), json!([]));
    zabbix.inherit("api", "{$SCALE.MAX}", "2");
    zabbix.service_host("bare", "", THREE, json!([]));
    zabbix.service_host(
        "slow",
        "1",
        &timed(THREE),
        json!([{"macro": "{$DOCKER.HOST}", "value": silent}]),
    );
    for host in ["web", "api", "bare", "slow"] {
        zabbix.credentials(host);
    }

    zabbix.known("web");

    let outcome =
        || ["scale.target", "scale.result", "scale.reason"].map(|key| zabbix.last("web", key));
    // A run waits two seconds for Zabbix to take the outcome. Where that was too short, the step is made again.
    let told = (0..3).any(|_| {
        if zabbix.has("shop_web_2") {
            let remove = ["rm", "--force", "shop_web_2"];
            zabbix.stage.engine.docker(&remove).unwrap();
        }
        zabbix.raise(&["web"]);
        zabbix.until("the second container of web", || zabbix.has("shop_web_2"));
        comes(Duration::from_secs(30), || {
            outcome() == ["2", "done", "1 + 1 = 2, 1 running"]
        })
    });
    assert!(told, "{:?}; alerts: {}", outcome(), zabbix.alerts());

    zabbix.raise(&["bare"]);
    let explained = |alerts: &Value| alerts.to_string().contains("{INVENTORY.DEPLOYMENT.STATUS}");
    zabbix.until("the reason in the action log", || {
        explained(&zabbix.alerts())
    });
    assert!(!zabbix.has("shop_bare_2"));

    // An engine that never answers, and in the same breath one that does.
    zabbix.raise(&["slow", "api"]);
    zabbix.until("the second container of api", || zabbix.has("shop_api_2"));
    let held = zabbix.held(1);
    assert!(held <= LIMIT, "the escalator was held for {held} s");
    assert_eq!(zabbix.audit("slow")["result"], "failed");

    let as_zabbix = |line: &str| {
        let line = format!("concierge_scheduler {line}{PATIENT}");
        zabbix.as_zabbix(&line.split_whitespace().collect::<Vec<_>>())
    };
    let refused =
        "refused 1 of the values scale.target, scale.result, scale.reason of the host api";
    // A server that is too busy to answer costs the run no more than its share of the time.
    zabbix.until("the warning of a refused value", || {
        let again = as_zabbix("scale_up api");
        assert!(
            again.code == 3 && again.stderr.contains("maximum 2"),
            "the template's macro holds: {again:?}"
        );
        again.stderr.contains(refused)
    });
    zabbix.until("the values that were not refused", || {
        zabbix.last("api", "scale.result") == "held"
    });
    assert_eq!(zabbix.last("api", "scale.target"), "0");
    let listed = as_zabbix("list api");
    assert!(listed.stdout.contains("shop_api_2"), "{listed:?}");

    // It takes every question and answers none; the resolver would ask for longer than a run may take.
    let _name_server = zabbix.lab.pod().listen_udp(53).unwrap();
    let line =
        timed("concierge_scheduler scale_up web --docker-host tcp://engine.example:2376 >&2");
    let resolver = b"nameserver 127.0.0.1\noptions timeout:30 attempts:2\n";
    zabbix
        .lab
        .pod()
        .write_file("/etc/resolv.conf", resolver)
        .unwrap();
    let nameless = zabbix.as_zabbix(&["bash", "-c", &line]);
    assert!(nameless.stderr.contains("engine.example"), "{nameless:?}");
    let held = zabbix.held(2);
    assert!(held <= LIMIT, "the run took {held} s: {nameless:?}");
}

#[test]
fn an_action_of_zabbix_6_scales() {
    an_action_scales(Version::V6_0);
}

#[test]
fn an_action_of_zabbix_7_scales() {
    an_action_scales(Version::V7_0);
}

#[test]
fn no_credential_of_the_inventory_touches_the_disk() {
    let lab = Lab::builder()
        .zabbix(Version::V6_0)
        .without_agent()
        .start()
        .unwrap();
    let stage = Stage::new();
    stage.project(
        Compose::V1,
        "shop",
        "    command: [sleep, '100000']\n    init: true\n",
    );
    let group = lab
        .api()
        .call("hostgroup.get", json!({"output": ["groupid"], "limit": 1}))
        .unwrap()[0]["groupid"]
        .clone();
    let host = json!({"host": "shop web", "groups": [{"groupid": group}], "inventory_mode": 0, "inventory": {"alias": "web"}});
    let host = lab.api().call("host.create", host).unwrap()["hostids"][0].clone();
    let with_zabbix = |line: &[&str]| {
        let mut command = stage.command(line);
        command
            .env("ZBX_API_HOST", lab.frontend_url())
            .env("ZBX_API_USER", "Admin")
            .env("ZBX_API_PASS", "zabbix");
        command.env_remove("DOCKER_CERT_PATH");
        command
    };
    let run = |line: &[&str]| Run::of(with_zabbix(line).output().unwrap());
    let none = run(&["scale_up", "web"]);
    assert!(none.failure().contains("TLS"), "{none:?}");

    let certs = stage.path().join("certs");
    assert_eq!(
        run(&["pem", "put", "web", "--from", certs.to_str().unwrap()]).code,
        0
    );
    let shown = run(&["pem", "show", "web", "--json"]).json();
    assert_eq!(
        (shown["certificate"]["subject"].as_str(), &shown["problem"]),
        (Some("CN=scheduler"), &Value::Null)
    );
    let exported = stage.path().join("exported");
    assert_eq!(
        run(&["pem", "export", "web", "--to", exported.to_str().unwrap()]).code,
        0
    );
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        let read = |folder: &std::path::Path| std::fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(read(&exported), read(&certs));
        let mode = std::fs::metadata(exported.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    // As a single-line field of a form would leave it.
    let flat = |text: &str| text.replace('\n', " ");
    let pair = stage.engine.client();
    let inventory = json!({"notes": flat(&pair.key), "poc_1_notes": flat(stage.engine.authority().pem()), "poc_2_notes": flat(&pair.certificate)});
    lab.api()
        .call(
            "host.update",
            json!({"hostid": host, "inventory": inventory}),
        )
        .unwrap();
    let trace = stage.path().join("trace");
    let plain = with_zabbix(&["scale_up", "web"]);
    let mut traced = Command::new("strace");
    traced
        .args([
            "-f",
            "-s",
            "100000",
            "-e",
            "trace=%file,write,pwrite64,writev",
            "-o",
        ])
        .arg(&trace);
    traced
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear();
    traced.envs(
        plain
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let output = traced
        .output()
        .expect("strace is missing: apt-get install strace");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stage.running(), ["shop_web_1", "shop_web_2"]);
    let trace = std::fs::read_to_string(trace).unwrap();
    let is_write = |line: &&str| {
        ["O_CREAT", "O_WRONLY", "O_RDWR", "O_TMPFILE"]
            .iter()
            .any(|flag| line.contains(flag))
    };
    let state = stage.state().display().to_string();
    let mut opened = trace.lines().filter(is_write).peekable();
    assert!(
        opened.peek().is_some(),
        "the trace saw the state being written"
    );
    for line in opened {
        assert!(
            line.contains(&state),
            "written outside the state folder: {line}"
        );
    }
    let secret = pair.key.lines().nth(1).unwrap();
    assert!(!trace.contains(secret), "the key went through a write");
    for entry in std::fs::read_dir(stage.state()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("BEGIN") && !text.contains(secret), "{text}");
    }
}
