//! Compose projects of both generations: what is done to them is what Compose would have done.

use lab::Compose;
use serde_json::Value;

use crate::stage::Stage;

/// A service with everything that a replica must have too.
const FULL: &str = "
    command: [sleep, '100000']
    init: true
    environment: {COLOUR: blue}
    hostname: shop
    user: '0'
    working_dir: /bin
    stop_signal: SIGTERM
    stop_grace_period: 3s
    restart: unless-stopped
    labels: {owner: shop}
    volumes: ['data:/data', '/anonymous', '/etc/hostname:/etc/of-host:ro']
    tmpfs: [/scratch]
    networks:
      default: {aliases: [frontend]}
      back: {}
    ports: ['80', '127.0.0.1:8100-8110:81']
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 50
    cap_drop: [NET_RAW]
    dns: [192.0.2.1]
    extra_hosts: ['db:192.0.2.2']
    sysctls: {net.core.somaxconn: '64'}
    ulimits: {nofile: 1024}
    logging: {driver: json-file, options: {max-size: 1m}}
    healthcheck: {test: [CMD, 'true'], interval: 1s}
volumes: {data: {}}
networks: {back: {}}
";

const PLAIN: &str =
    "    command: [sleep, '100000']\n    init: true\n    mem_limit: 64m\n    cpus: 0.5\n";

/// A check that fails the first time.
const HEALTHY_LATER: &str =
    "    healthcheck: {test: [CMD, sh, -c, '[ -e /ok ] || { true >/ok; false; }'], interval: 1s}\n";

/// Asserts that the project has `count` containers and that its own Compose takes them for its own.
fn up_to_date(stage: &Stage, compose: Compose, project: &str, count: usize) {
    let before = stage.containers(project);
    assert_eq!(before.len(), count, "{before:?}");
    let folder = format!("/srv/{project}");
    let scale = format!("web={count}");
    stage
        .engine
        .compose(compose, &folder, &["up", "-d", "--scale", &scale])
        .unwrap();
    assert_eq!(
        stage.containers(project),
        before,
        "{compose:?} recreated something"
    );
}

#[test]
fn every_verb_of_every_command_line_leaves_the_project_up_to_date() {
    let stage = Stage::new();
    for (compose, project) in [(Compose::V1, "one"), (Compose::V2, "two")] {
        stage.project(compose, project, PLAIN);
        let old = format!(
            "--event-engine zabbix --container-engine docker container -u {} -p {project}",
            stage.engine.docker_host()
        );
        let steps = [
            (format!("scale_up web --project {project}"), 2),
            (format!("scale_up web 2 1 --project {project}"), 3),
            (format!("{old} scale -n web -c 3 -s 2 up"), 5),
            (format!("{old} scale -n web -c 5 -s 1 scale_up"), 6),
            (format!("scale_down web --project {project}"), 5),
            (format!("scale_down web 5 1 --project {project}"), 4),
            (format!("{old} scale -n web -c 4 -s 1 down"), 3),
            (format!("{old} scale -n web -c 3 -s 1 scale_down"), 2),
            (format!("increase_memory web 64M --project {project}"), 2),
            (format!("decrease_memory web 32M --project {project}"), 2),
            (format!("{old} scale -n web -c 2 -s 16 memory"), 2),
            (format!("{old} scale -n web -c 2 -s -16 memory"), 2),
            (format!("increase_cpu web 0.5 --project {project}"), 2),
            (format!("decrease_cpu web 0.25 --project {project}"), 2),
        ];
        for (line, count) in steps {
            let run = stage.done(&line);
            assert_eq!(run.stdout.lines().count(), 1, "the result alone: {run:?}");
            up_to_date(&stage, compose, project, count);
        }
        for name in stage.containers(project).keys() {
            let config = &stage.inspect(name)["HostConfig"];
            assert_eq!(
                (config["Memory"].as_u64(), config["NanoCpus"].as_u64()),
                (Some(96 << 20), Some(750_000_000))
            );
            assert_eq!(config["MemorySwap"].as_u64(), Some(192 << 20));
        }
        for line in [
            format!("list web --project {project}"),
            format!("service_ps web --project {project}"),
            format!("{old} list"),
            format!("{old} list -n web"),
        ] {
            let listed = stage.done(&line).stdout;
            assert!(
                stage
                    .containers(project)
                    .keys()
                    .all(|name| listed.contains(name)),
                "{listed}"
            );
        }
        let before = stage.containers(project);
        let folder = format!("/srv/{project}");
        stage
            .engine
            .compose(compose, &folder, &["up", "-d"])
            .unwrap();
        let after = stage.containers(project);
        assert!(
            !after.is_empty() && after.iter().all(|(name, id)| before.get(name) == Some(id)),
            "{before:?} {after:?}"
        );
        stage.engine.compose(compose, &folder, &["down"]).unwrap();
        assert!(stage.containers(project).is_empty());
    }
}

#[test]
fn a_replica_is_what_compose_itself_makes() {
    let stage = Stage::new();
    for (compose, project, second) in [
        (Compose::V1, "one", "one_web_2"),
        (Compose::V2, "two", "two-web-2"),
    ] {
        let folder = stage.project(compose, project, FULL);
        stage
            .engine
            .compose(compose, &folder, &["up", "-d", "--scale", "web=2"])
            .unwrap();
        let theirs = comparable(stage.inspect(second));
        stage.done(&format!("scale_down web --project {project}"));
        let run = stage.done(&format!("scale_up web --project {project} --wait --json"));
        assert_eq!(run.json()["started"], serde_json::json!([second]));
        let ours = comparable(stage.inspect(second));
        assert!(
            ours == theirs,
            "{compose:?}: ours, theirs: {:#?}",
            differences(&ours, &theirs)
        );
        up_to_date(&stage, compose, project, 2);
        stage
            .engine
            .compose(compose, &folder, &["down", "-v"])
            .unwrap();
    }
}

/// A container's inspection without what is its own: ids, times, addresses, what the engine chose.
fn comparable(mut container: Value) -> Value {
    let id = container["Id"].as_str().unwrap().to_owned();
    for field in [
        "Id",
        "Created",
        "State",
        "ExecIDs",
        "ResolvConfPath",
        "HostnamePath",
        "HostsPath",
        "LogPath",
        "GraphDriver",
    ] {
        container[field].take();
    }
    let settings = &mut container["NetworkSettings"];
    for field in ["SandboxID", "SandboxKey", "Ports"] {
        settings[field].take();
    }
    for network in settings["Networks"].as_object_mut().unwrap().values_mut() {
        for field in ["EndpointID", "IPAddress", "MacAddress", "Gateway"] {
            network[field].take();
        }
        let aliases = network["Aliases"].as_array_mut().unwrap();
        aliases.retain(|alias| !id.starts_with(alias.as_str().unwrap()));
        // Compose 1 makes the first alias of a set.
        aliases.sort_by_key(|alias| alias.to_string());
    }
    for mount in container["Mounts"].as_array_mut().unwrap() {
        if mount["Destination"] == "/anonymous" {
            mount["Name"].take();
            mount["Source"].take();
        }
    }
    if let Some(Value::Array(binds)) = container.pointer_mut("/HostConfig/Binds") {
        // Compose 1 gives them in any order.
        binds.sort_by_key(|bind| bind.to_string());
    }
    for mounts in ["/Mounts", "/HostConfig/Mounts"] {
        if let Some(Value::Array(mounts)) = container.pointer_mut(mounts) {
            // Compose 2 gives them in any order.
            mounts.sort_by_key(|mount| format!("{}{}", mount["Destination"], mount["Target"]));
        }
    }
    container
}

/// The lines of two values that are not the same.
fn differences(ours: &Value, theirs: &Value) -> Vec<(String, String)> {
    let lines = |value: &Value| -> Vec<String> {
        format!("{value:#}").lines().map(str::to_owned).collect()
    };
    lines(ours)
        .into_iter()
        .zip(lines(theirs))
        .filter(|(ours, theirs)| ours != theirs)
        .collect()
}

#[test]
fn stopped_replicas_are_started_again_before_new_ones_are_made() {
    let stage = Stage::new();
    let folder = stage.project(Compose::V1, "shop", PLAIN);
    stage
        .engine
        .compose(Compose::V1, &folder, &["up", "-d", "--scale", "web=3"])
        .unwrap();
    stage
        .engine
        .docker(&["stop", "-t", "1", "shop_web_2"])
        .unwrap();
    let before = stage.containers("shop");
    let run = stage.done("scale_up web --json");
    assert_eq!(
        (run.json()["from"].as_u64(), run.json()["running"].as_u64()),
        (Some(2), Some(3))
    );
    assert_eq!(stage.containers("shop"), before);
    assert_eq!(stage.running().len(), 3);
}

#[test]
fn an_obsolete_replica_goes_first() {
    let stage = Stage::new();
    let folder = stage.project(Compose::V1, "shop", PLAIN);
    let changed = format!(
        "version: '2.4'\nservices:\n  web:\n    image: {}\n{PLAIN}    environment: [NEW=1]\n",
        lab::SAMPLE_IMAGE
    );
    stage
        .engine
        .write_file(&format!("{folder}/docker-compose.yml"), changed.as_bytes())
        .unwrap();
    stage
        .engine
        .compose(
            Compose::V1,
            &folder,
            &["up", "-d", "--no-recreate", "--scale", "web=3"],
        )
        .unwrap();
    stage.done("scale_down web");
    assert_eq!(stage.running(), ["shop_web_2", "shop_web_3"]);
    stage.done("scale_down web");
    assert_eq!(stage.running(), ["shop_web_2"]);
}

#[test]
fn the_compose_program_starts_from_nothing_and_scales_where_it_is_asked_to() {
    let stage = Stage::new();
    let file = stage.path().join("compose.yml");
    let text = format!(
        "version: '2.4'\nservices:\n  web:\n    image: {}\n{PLAIN}{HEALTHY_LATER}",
        lab::SAMPLE_IMAGE
    );
    std::fs::write(&file, text).unwrap();
    let file = file.display();
    let missing = stage.run("scale_up web --project shop");
    assert!(missing.failure().contains("--file"), "{missing:?}");
    let step = |line: &str| {
        let run = stage.done(&format!("{line} --project shop --file {file} --json"));
        run.json()
    };
    let names = |value: &Value| {
        let mut names: Vec<String> = serde_json::from_value(value.clone()).unwrap();
        names.sort();
        names
    };
    let from_nothing = step("scale_up web 0 2 --wait");
    let first = stage.running();
    assert_eq!((first.len(), &names(&from_nothing["started"])), (2, &first));
    let third = step("scale_up web --via compose --wait");
    let started = names(&third["started"]);
    assert_eq!((started.len(), stage.running().len()), (1, 3));
    for name in first.iter().chain(&started) {
        let status = &stage.inspect(name)["State"]["Health"]["Status"];
        assert_eq!(status, "healthy", "{name} was waited for");
    }
    let down = step("scale_down web --via compose --wait");
    assert_eq!((names(&down["removed"]), stage.running()), (started, first));
    let left: Vec<_> = std::fs::read_dir(stage.state())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().starts_with("tunnel")),
        "{left:?}"
    );
}

#[test]
fn what_forbids_a_step_is_told_and_exits_with_3() {
    let stage = Stage::new();
    stage.project(Compose::V1, "shop", PLAIN);
    let held = |line: &str, reason: &str| {
        let before = stage.containers("shop");
        let run = stage.run(line);
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.stderr.contains(reason), "{run:?}");
        assert_eq!(stage.containers("shop"), before);
    };
    held("scale_down web", "minimum 1");
    held("scale_up web --max 1", "maximum 1");
    let paused = stage
        .command(&["scale_up", "web"])
        .env("SCALE_PAUSED", "1")
        .output()
        .unwrap();
    assert_eq!(paused.status.code(), Some(3));
    stage.done("scale_up web --dry-run --cooldown-up 1h");
    stage.done("scale_up web 1 9 --max 2 --cooldown-up 1h");
    held("scale_up web --cooldown-up 1h", "cool-down");
    stage.done("scale_down web --cooldown-down 1h");
    let already = stage.run("scale_up web 0 1 --cooldown-up 1h");
    assert_eq!(
        (already.code, already.stdout.as_str()),
        (0, "Left web at 1\n")
    );
    held("increase_memory web 64M --memory-max 64M", "maximum");
    let usage = stage.run("scale_up web --min 3 --max 2");
    assert_eq!((usage.code, usage.stdout.as_str()), (64, ""));
    for line in ["scale_up web 1", "scale_up web 3.5 1"] {
        let run = stage.run(line);
        assert_eq!(run.code, 64);
        assert!(
            run.stderr.contains("{INVENTORY.DEPLOYMENT.STATUS}"),
            "{run:?}"
        );
    }
    let audit = std::fs::read_to_string(stage.state().join("audit.jsonl")).unwrap();
    let lines: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let results: Vec<&str> = lines
        .iter()
        .map(|line| line["result"].as_str().unwrap())
        .collect();
    assert_eq!(
        results,
        [
            "held",
            "held",
            "held",
            "done",
            "held",
            "done",
            "unchanged",
            "held",
            "usage"
        ]
    );
}

#[test]
fn wait_means_healthy() {
    let stage = Stage::new();
    stage.project(Compose::V1, "shop", &format!("{PLAIN}{HEALTHY_LATER}"));
    let run = stage.done("scale_up web --wait");
    assert_eq!(
        stage.inspect("shop_web_2")["State"]["Health"]["Status"],
        "healthy",
        "{run:?}"
    );
}

#[test]
fn a_replica_has_its_siblings_image_even_where_the_name_means_another_by_now() {
    let stage = Stage::new();
    stage.project(Compose::V1, "shop", PLAIN);
    let other = format!(
        "tar -C /lab -c sample | docker import - {}",
        lab::SAMPLE_IMAGE
    );
    assert!(
        stage
            .engine
            .exec(&["bash", "-c", &other])
            .unwrap()
            .status
            .success()
    );
    stage.done("scale_up web");
    assert_eq!(
        stage.inspect("shop_web_2")["Image"],
        stage.inspect("shop_web_1")["Image"]
    );
}
