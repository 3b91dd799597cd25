//! What goes wrong: the truth in one sentence, and nothing half made left behind.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use lab::{Authority, Compose};

use crate::stage::{Run, Stage, until};

const PLAIN: &str = "    command: [sleep, '100000']\n    init: true\n";

/// A run with other credentials.
fn with_certs(stage: &Stage, ca: &str, pair: &lab::Pair) -> Run {
    let certs = stage.store("other", ca, pair);
    Run::of(
        stage
            .command(&["scale_up", "web"])
            .env("DOCKER_CERT_PATH", certs)
            .output()
            .unwrap(),
    )
}

#[test]
fn credentials_that_do_not_serve_are_named_for_what_they_are() {
    let stage = Stage::new();
    stage.project(Compose::V1, "shop", PLAIN);
    let authority = stage.engine.authority();
    let other = Authority::new("another CA").unwrap();
    let good = stage.engine.client().clone();
    let wrong_ca = with_certs(&stage, other.pem(), &good);
    assert!(
        wrong_ca.failure().contains("not signed by the CA"),
        "{wrong_ca:?}"
    );
    let expired = with_certs(
        &stage,
        authority.pem(),
        &authority.sign("scheduler", Authority::EXPIRED).unwrap(),
    );
    assert!(expired.failure().contains("expired on"), "{expired:?}");
    let mut mixed = authority.sign("scheduler", Authority::VALID).unwrap();
    mixed.key = good.key.clone();
    let mismatch = with_certs(&stage, authority.pem(), &mixed);
    assert!(
        mismatch
            .failure()
            .contains("does not belong to the client certificate"),
        "{mismatch:?}"
    );
    let stranger = with_certs(
        &stage,
        authority.pem(),
        &other.sign("scheduler", Authority::VALID).unwrap(),
    );
    assert!(
        stranger
            .failure()
            .contains("refuses the client certificate"),
        "{stranger:?}"
    );
    let none = Run::of(
        stage
            .command(&["scale_up", "web"])
            .env_remove("DOCKER_CERT_PATH")
            .output()
            .unwrap(),
    );
    assert!(none.failure().contains("TLS"), "{none:?}");
    assert_eq!(stage.running(), ["shop_web_1"]);
}

#[test]
fn an_engine_that_cannot_be_reached_is_named() {
    let stage = Stage::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", silent.local_addr().unwrap());
    let begun = Instant::now();
    let run = stage.run(&format!("scale_up web --docker-host {address} --timeout 3"));
    assert!(run.failure().contains(&address), "{run:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
    drop(silent);
    let run = stage.run(&format!("scale_up web --docker-host {address}"));
    assert!(run.failure().contains("nothing listens there"), "{run:?}");
    let run = stage.run("scale_up web --docker-host unix:///nowhere.sock");
    assert!(run.failure().contains("/nowhere.sock"), "{run:?}");
}

#[test]
fn an_image_that_is_gone_leaves_no_container() {
    let stage = Stage::new();
    stage.project(Compose::V1, "shop", PLAIN);
    stage
        .engine
        .docker(&["stop", "-t", "1", "shop_web_1"])
        .unwrap();
    stage
        .engine
        .docker(&["rmi", "-f", lab::SAMPLE_IMAGE])
        .unwrap();
    let run = stage.run("scale_up web 0 2");
    assert!(run.failure().contains("No such image"), "{run:?}");
    assert_eq!(stage.containers("shop").len(), 1);
}

#[test]
fn a_port_that_is_taken_leaves_no_container() {
    let stage = Stage::new();
    for (compose, project) in [(Compose::V1, "one"), (Compose::V2, "two")] {
        let port = if compose == Compose::V1 { 8201 } else { 8202 };
        stage.project(
            compose,
            project,
            &format!("{PLAIN}    ports: ['{port}:80']\n    volumes: [/data]\n"),
        );
        let volumes = stage.engine.docker(&["volume", "ls", "-q"]).unwrap();
        let run = stage.run(&format!("scale_up web 1 3 --project {project}"));
        assert!(
            run.failure().contains("port is already allocated"),
            "{run:?}"
        );
        assert_eq!(stage.containers(project).len(), 1);
        assert_eq!(
            stage.engine.docker(&["volume", "ls", "-q"]).unwrap(),
            volumes
        );
    }
}

#[test]
fn memory_that_is_used_is_not_taken_away_and_its_lack_is_told() {
    let stage = Stage::new();
    // What lies in a tmpfs is memory in use.
    let hungry = "    command: [sh, -c, 'busybox dd if=/dev/zero of=/scratch/x bs=1M count=24; sleep 100000']\n    init: true\n    tmpfs: ['/scratch:size=400m']\n    mem_limit: 128m\n";
    stage.project(Compose::V1, "shop", hungry);
    let size = [
        "exec",
        "shop_web_1",
        "busybox",
        "stat",
        "-c",
        "%s",
        "/scratch/x",
    ];
    until("24 MiB", || {
        stage
            .engine
            .docker(&size)
            .is_ok_and(|size| size == "25165824")
    });
    let run = stage.done("decrease_memory web 120M --json");
    let limit = stage.inspect("shop_web_1")["HostConfig"]["Memory"]
        .as_u64()
        .unwrap();
    assert!((24 << 20..128 << 20).contains(&limit), "{limit}: {run:?}");
    assert!(
        run.json()["reason"].as_str().unwrap().contains("in use"),
        "{run:?}"
    );
    assert_eq!(stage.inspect("shop_web_1")["State"]["Running"], true);
    let greedy = hungry
        .replace("busybox dd", "exec busybox dd")
        .replace("count=24", "count=240");
    let check = "    healthcheck: {test: [CMD, 'true'], interval: 20s}\n";
    stage.project(Compose::V1, "greedy", &format!("{greedy}{check}"));
    let run = stage.run("scale_up web --project greedy --wait");
    assert!(run.failure().contains("out of memory"), "{run:?}");
}

#[test]
fn an_engine_that_is_killed_in_mid_run_leaves_nothing_half_made() {
    let stage = Stage::new();
    stage.project(Compose::V1, "shop", PLAIN);
    let child = stage
        .command(&["scale_up", "web", "1", "40", "--timeout", "60"])
        .spawn()
        .unwrap();
    until("some containers", || stage.containers("shop").len() > 3);
    stage.engine.kill().unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert!(run.failure().contains("shop_web_"), "{run:?}");
    stage.engine.start_again().unwrap();
    let created = || {
        stage
            .engine
            .docker(&["ps", "-aq", "--filter", "status=created"])
            .unwrap()
    };
    stage.done("scale_up web 0 1");
    assert_eq!(created(), "", "the next run clears what this one could not");
    assert!(!stage.running().is_empty());
}

#[test]
fn a_run_that_is_killed_leaves_nothing_for_the_next_to_trip_over() {
    let stage = Stage::new();
    stage.project(Compose::V1, "shop", PLAIN);
    let mut child = stage
        .command(&["scale_up", "web", "1", "20"])
        .spawn()
        .unwrap();
    until("some containers", || stage.containers("shop").len() > 3);
    child.kill().unwrap();
    child.wait().unwrap();
    // What the engine was told already, it still does.
    let mut before = (BTreeMap::new(), Vec::new());
    until("quiet", || {
        std::thread::sleep(Duration::from_secs(5));
        let now = (stage.containers("shop"), stage.running());
        std::mem::replace(&mut before, now.clone()) == now
    });
    let run = stage.done("scale_up web 20 1 --json");
    assert_eq!(run.json()["running"], 21, "{run:?}");
    assert_eq!(
        stage
            .engine
            .docker(&["ps", "-aq", "--filter", "status=created"])
            .unwrap(),
        ""
    );
    assert_eq!(stage.running().len(), 21);
}

/// A program that does not end when it is told to.
const STUBBORN: &str = "    command: [sh, -c, 'trap : TERM; while true; do sleep 1; done']\n";

#[test]
fn a_replica_that_does_not_stop_is_killed_before_the_run_takes_too_long() {
    let stage = Stage::new();
    let folder = stage.project(Compose::V1, "shop", STUBBORN);
    stage
        .engine
        .compose(Compose::V1, &folder, &["up", "-d", "--scale", "web=2"])
        .unwrap();
    let begun = Instant::now();
    stage.done("scale_down web --timeout 10");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let signals = || -> Vec<u64> {
        let events = [
            "events",
            "--since",
            "1h",
            "--until",
            "0s",
            "--filter",
            "container=shop_web_2",
            "--filter",
            "event=kill",
            "--format",
            "{{.TimeNano}}",
        ];
        let times = stage.engine.docker(&events).unwrap();
        times.lines().map(|time| time.parse().unwrap()).collect()
    };
    until("the signal that ends it", || signals().len() == 2);
    let times = signals();
    assert!(
        times[1] - times[0] < 10_000_000_000,
        "it had the engine's own grace: {times:?}"
    );
    until("the end of it", || stage.running() == ["shop_web_1"]);
}

#[test]
fn a_grace_that_the_service_sets_itself_is_not_cut() {
    let stage = Stage::new();
    let folder = stage.project(
        Compose::V1,
        "shop",
        &format!("{STUBBORN}    stop_grace_period: 30s\n"),
    );
    stage
        .engine
        .compose(Compose::V1, &folder, &["up", "-d", "--scale", "web=2"])
        .unwrap();
    let begun = Instant::now();
    let run = stage.done("scale_down web --timeout 10");
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        run.stderr.contains("still stopping") && run.stderr.contains("shop_web_2"),
        "{run:?}"
    );
    assert!(
        stage.running().len() == 2 || begun.elapsed() > Duration::from_secs(29),
        "it has its time"
    );
    until("the end of its grace", || stage.running() == ["shop_web_1"]);
    assert!(
        begun.elapsed() >= Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
}
