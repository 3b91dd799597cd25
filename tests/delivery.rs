//! Where values go: every destination, the next node of a cluster, the proxy that a group redirects to.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lab::{App, Lab, Sample};
use serde_json::{Value, json};
use support::{stats, wait_for};

const SERVER: &str = "127.0.0.1:10051";
/// Nobody listens there.
const GONE: &str = "127.0.0.1:7";

#[test]
fn values_reach_every_destination_by_whichever_node_takes_them() {
    let bench = Bench::start();
    every_destination_gets_the_same_values(&bench);
    a_cluster_is_reached_by_the_node_that_works(&bench);
    an_unanswered_request_goes_to_no_other_node(&bench);
    a_redirect_is_followed_once(&bench);
    compressed_values_are_taken(&bench);
    a_process_remembers_the_node_that_works(&bench);
}

fn every_destination_gets_the_same_values(bench: &Bench) {
    let other = bench.trapper(&success());
    let sent = bench.send(&[SERVER, &other.address], "1.25");
    assert!(sent.status.success(), "{sent:?}");
    let sample = bench.arrived("1.25");
    assert_eq!(
        other.told(),
        [json!({"request": "sender data", "data": [
            {"host": "lab", "key": "k", "value": "1.25", "clock": sample.clock, "ns": sample.ns}
        ]})]
    );

    let sent = bench.send(&[SERVER, GONE, &other.address], "2.25");
    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    let said = String::from_utf8(sent.stderr).unwrap();
    let expected = format!(
        "courier: {SERVER}: 1 processed, 0 refused; {GONE}: connecting: Connection refused (os error 111); {}: 1 \
         processed, 0 refused",
        other.address
    );
    assert_eq!(said.trim_end(), expected);
    bench.arrived("2.25");
}

fn a_cluster_is_reached_by_the_node_that_works(bench: &Bench) {
    let standby = bench.trapper(&json!({"response": "failed", "info": "standby"}));
    let nodes = format!("{GONE};{};{SERVER}", standby.address);
    let sent = bench.send(&[&nodes], "3.25");
    assert!(sent.status.success(), "{sent:?}");
    bench.arrived("3.25");
    assert_eq!(standby.told().len(), 1);
}

fn an_unanswered_request_goes_to_no_other_node(bench: &Bench) {
    let mute = bench.trapper(&Value::Null);
    let sent = bench.send(&[&format!("{};{SERVER}", mute.address)], "4.25");
    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    let said = String::from_utf8(sent.stderr).unwrap();
    assert!(
        said.contains("whether it took the values is not known"),
        "{said}"
    );
    assert_eq!(mute.told().len(), 1);
    bench.send(&[SERVER], "4.75");
    bench.arrived("4.75");
    assert!(bench.history().iter().all(|sample| sample.value != "4.25"));
}

fn a_redirect_is_followed_once(bench: &Bench) {
    let redirect =
        |to: &str| json!({"response": "failed", "redirect": {"revision": 1, "address": to}});
    let first = bench.trapper(&redirect(SERVER));
    let sent = bench.send(&[&first.address], "5.25");
    assert!(sent.status.success(), "{sent:?}");
    bench.arrived("5.25");

    let twice = bench.trapper(&redirect(&first.address));
    let sent = bench.send(&[&twice.address], "5.75");
    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    let said = String::from_utf8(sent.stderr).unwrap();
    assert!(
        said.contains(&format!("belongs to {SERVER} of its proxy group")),
        "{said}"
    );
}

fn compressed_values_are_taken(bench: &Bench) {
    bench.settings("[deliver]\ncompress = true\n");
    let sent = bench.send(&[SERVER], "6.25");
    assert!(sent.status.success(), "{sent:?}");
    bench.arrived("6.25");
}

fn a_process_remembers_the_node_that_works(bench: &Bench) {
    let app = bench.lab.start_app(App::Dropwizard).unwrap();
    let standby = bench.trapper(&json!({"response": "failed", "info": "standby"}));
    bench.settings(&format!(
        "[deliver]\nto = ['{};{SERVER}']\n",
        standby.address
    ));
    for _ in 0..30 {
        let push = format!("courier.push[{}]", app.url());
        let elapsed: f64 = bench.lab.agent().get(&push).unwrap().parse().unwrap();
        assert!(elapsed >= 1.0, "{}", stats(&bench.lab, &app.url(), "error"));
    }
    let told = standby.told().len();
    assert!(
        (1..=3).contains(&told),
        "{told} requests of three listeners"
    );
}

struct Bench {
    lab: Lab,
    host: String,
}

impl Bench {
    /// A server that takes values for the item `k` of the host `lab`.
    fn start() -> Self {
        let lab = Lab::builder().agent_config("Timeout=30\n").start().unwrap();
        let host = lab.api().create_host("lab", &["Lab"], &[], &[]).unwrap();
        let item = json!({"hostid": host, "name": "k", "key_": "k", "type": 2, "value_type": 0});
        lab.api().call("item.create", item).unwrap();
        let bench = Bench { lab, host };
        bench.lab.reload_config_cache().unwrap();
        // The server learns of the item some time later.
        wait_for("value that is taken", Duration::from_secs(60), || {
            bench.send(&[SERVER], "0").status.success().then_some(())
        });
        bench
    }

    fn send(&self, to: &[&str], value: &str) -> Output {
        let mut command = vec!["courier", "send", "k", value];
        for to in to {
            command.extend(["--to", to]);
        }
        // Its own deadline is two seconds, for which a busy machine may hold up all that takes part.
        let attempt = |_| self.lab.agent().exec(&command).unwrap();
        let in_time =
            |sent: &Output| !String::from_utf8_lossy(&sent.stderr).contains("out of time");
        let mut attempts = (0..3).map(attempt);
        attempts.find(in_time).expect("an attempt in time")
    }

    fn settings(&self, toml: &str) {
        let agent = self.lab.agent();
        agent
            .write_file("/etc/zabbix/courier.toml", toml.as_bytes())
            .unwrap();
    }

    fn history(&self) -> Vec<Sample> {
        let items = self.lab.api().items(&self.host).unwrap();
        self.lab.api().history(&items).unwrap()
    }

    fn arrived(&self, value: &str) -> Sample {
        let what = format!("{value} in the history");
        wait_for(&what, Duration::from_secs(30), || {
            let mut history = self.history().into_iter();
            history.find(|sample| sample.value == value)
        })
    }

    fn trapper(&self, answer: &Value) -> Trapper {
        Trapper::on(self.lab.pod().listen(0).unwrap(), answer)
    }
}

fn success() -> Value {
    json!({"response": "success", "info": "processed: 1; failed: 0; total: 1; seconds spent: 0.000010"})
}

fn serve(
    stream: &mut TcpStream,
    requests: &Mutex<Vec<Value>>,
    answer: &Value,
) -> std::io::Result<()> {
    let mut header = [0; 13];
    stream.read_exact(&mut header)?;
    let length = u32::from_le_bytes(header[5..9].try_into().unwrap());
    let mut message = vec![0; length as usize];
    stream.read_exact(&mut message)?;
    let request = serde_json::from_slice(&message).unwrap();
    requests.lock().unwrap().push(request);
    if answer.is_null() {
        return Ok(());
    }
    let answer = answer.to_string();
    let length = (answer.len() as u64).to_le_bytes();
    stream.write_all(&[b"ZBXD\x01", &length[..], answer.as_bytes()].concat())
}

/// A stand-in for a server: gives every request the same answer, or closes where that is null.
struct Trapper {
    address: String,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Trapper {
    fn on(listener: TcpListener, answer: &Value) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let told = Arc::new(Mutex::new(Vec::new()));
        let (requests, answer) = (told.clone(), answer.clone());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // A courier that has given up is told by what it says itself.
                let _ = serve(&mut stream, &requests, &answer);
            }
        });
        Trapper { address, told }
    }

    fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap().clone()
    }
}
