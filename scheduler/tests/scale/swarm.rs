//! Swarm services.

use lab::SAMPLE_IMAGE;
use serde_json::Value;

use crate::stage::{Stage, until};

fn swarm(stage: &Stage) {
    stage
        .engine
        .docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"])
        .unwrap();
    let create = [
        "service",
        "create",
        "--detach",
        "--name",
        "web",
        "--no-resolve-image",
        "--limit-memory",
        "64m",
        "--limit-cpu",
        "0.5",
        "--init",
        "--stop-grace-period",
        "1s",
        "--env",
        "COLOUR=blue",
        "--label",
        "owner=shop",
        "--container-label",
        "inner=shop",
        "--hostname",
        "shop",
        SAMPLE_IMAGE,
        "sleep",
        "100000",
    ];
    stage.engine.docker(&create).unwrap();
    until("the first task", || stage.running().len() == 1);
}

fn service(stage: &Stage) -> Value {
    let text = stage.engine.docker(&["service", "inspect", "web"]).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[0]["Spec"].take()
}

#[test]
fn every_verb_of_every_command_line_works_on_a_service() {
    let stage = Stage::new();
    swarm(&stage);
    let first = stage.running();
    let old = format!("container -u {} -p shop", stage.engine.docker_host());
    let replicas =
        |count: u64| assert_eq!(service(&stage)["Mode"]["Replicated"]["Replicas"], count);
    let before = service(&stage);
    for (line, count) in [
        ("scale_up web".to_owned(), 2),
        ("scale_up web 2 1".to_owned(), 3),
        (format!("{old} scale -n web -c 3 -s 1 up"), 4),
        (format!("{old} scale -n web -c 4 -s 1 scale_up"), 5),
        ("scale_down web".to_owned(), 4),
        ("scale_down web 4 1".to_owned(), 3),
        (format!("{old} scale -n web -c 3 -s 1 down"), 2),
        (format!("{old} scale -n web -c 2 -s 1 scale_down"), 1),
    ] {
        let run = stage.done(&line);
        assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
        replicas(count);
        if line.contains("up") {
            assert_eq!(
                stage.running().len() as u64,
                count,
                "it returns once they run"
            );
            assert!(
                first.iter().all(|task| stage.running().contains(task)),
                "the tasks before are left alone"
            );
        }
    }
    let mut after = service(&stage);
    after["Mode"]["Replicated"]["Replicas"] = 1.into();
    assert_eq!(after, before, "nothing but the number was changed");
    let limits = |stage: &Stage| service(stage)["TaskTemplate"]["Resources"]["Limits"].clone();
    stage.done("increase_memory web 64M --wait");
    assert_eq!(limits(&stage)["MemoryBytes"], 128 << 20);
    stage.done("decrease_memory web 32M");
    assert_eq!(limits(&stage)["MemoryBytes"], 96 << 20);
    stage.done("increase_cpu web 0.5");
    assert_eq!(limits(&stage)["NanoCPUs"], 1_000_000_000);
    stage.done("decrease_cpu web 0.25");
    assert_eq!(limits(&stage)["NanoCPUs"], 750_000_000);
    stage.done(&format!("{old} scale -n web -c 1 -s 16 memory"));
    assert_eq!(limits(&stage)["MemoryBytes"], 112 << 20);
    for line in [
        "list web".to_owned(),
        "service_ps web".to_owned(),
        format!("{old} list -n web"),
        format!("container -u {} list", stage.engine.docker_host()),
    ] {
        assert!(stage.done(&line).stdout.contains("web.1"), "{line}");
    }
}

#[test]
fn bounds_hold_for_a_swarm_too_and_what_fails_is_told() {
    let stage = Stage::new();
    swarm(&stage);
    assert_eq!(stage.run("scale_down web").code, 3);
    assert_eq!(stage.run("scale_up web --max 1").code, 3);
    let dry = stage.done("scale_up web --dry-run --json");
    assert_eq!(
        (dry.json()["target"].as_u64(), dry.json()["engine"].as_str()),
        (Some(2), Some("swarm"))
    );
    let global = [
        "service",
        "create",
        "--detach",
        "--name",
        "everywhere",
        "--mode",
        "global",
        SAMPLE_IMAGE,
        "sleep",
        "9",
    ];
    stage.engine.docker(&global).unwrap();
    let stacked = [
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "shop_api",
        "--label",
        "com.docker.stack.namespace=shop",
        SAMPLE_IMAGE,
        "sleep",
        "9",
    ];
    stage.engine.docker(&stacked).unwrap();
    let dry = stage.done("scale_up api --project shop --dry-run --json");
    assert_eq!(
        dry.json()["service"],
        "shop_api",
        "a stack's name stands before its services'"
    );
    let listed = |options: &str| {
        let host = stage.engine.docker_host();
        let run = stage.done(&format!("container -u {host} {options} --json"));
        let services = run.json()["services"].take();
        let names = services.as_array().unwrap().iter();
        let names = names.map(|service| service["service"].as_str().unwrap().to_owned());
        names.collect::<Vec<String>>()
    };
    assert_eq!(listed("list"), ["everywhere", "shop_api", "web"]);
    assert_eq!(listed("-p shop list"), ["shop_api"]);
    assert_eq!(listed("list -n everywhere"), ["everywhere"]);
    assert!(
        stage
            .run("scale_up everywhere")
            .failure()
            .contains("not replicated")
    );
    assert!(
        stage
            .run("scale_up nowhere")
            .failure()
            .contains("no service nowhere")
    );
    stage
        .engine
        .docker(&[
            "service",
            "update",
            "--detach",
            "--no-resolve-image",
            "--image",
            // The engine asks the registry first; this one refuses at once.
            "127.0.0.1:1/gone:1",
            "web",
        ])
        .unwrap();
    let run = stage.run("scale_up web --timeout 30");
    assert!(run.failure().contains("No such image"), "{run:?}");
}

/// Puts a label on the service as somebody else's client does, which may lose the race against a run itself: then the
/// engine refuses the change, and the other asks again.
fn label_as_another(stage: &Stage, label: &str) {
    let change = [
        "service",
        "update",
        "--detach",
        "--no-resolve-image",
        "--label-add",
        label,
        "web",
    ];
    while let Err(error) = stage.engine.docker(&change) {
        assert!(error.to_string().contains("out of sequence"), "{error}");
    }
}

#[test]
fn simultaneous_changes_of_others_are_no_failure() {
    let stage = Stage::new();
    swarm(&stage);
    std::thread::scope(|scope| {
        let stage = &stage;
        let other = scope.spawn(move || {
            for step in 0..20 {
                label_as_another(stage, &format!("step={step}"));
            }
        });
        for target in 2..8 {
            stage.done(&format!("scale_up web {} 1 --timeout 300", target - 1));
        }
        other.join().unwrap();
    });
    let spec = service(&stage);
    assert_eq!(spec["Mode"]["Replicated"]["Replicas"], 7);
    assert_eq!(spec["Labels"]["step"], "19", "their change was not undone");
}

/// Starts a registry that asks for a password, puts the sample image there and answers what it is called.
fn private_image(stage: &Stage) -> String {
    let image = "127.0.0.1:5000/shop/web:1";
    let script = "cd /srv && htpasswd -Bbn shop open-sesame >users \
        && export REGISTRY_AUTH=htpasswd REGISTRY_AUTH_HTPASSWD_REALM=shop REGISTRY_AUTH_HTPASSWD_PATH=/srv/users \
            REGISTRY_HTTP_ADDR=127.0.0.1:5000 REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/srv/registry \
        && (docker-registry serve /etc/docker/registry/config.yml >registry.log 2>&1 &) \
        && for _ in $(seq 1200); do (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null && break; sleep 0.1; done \
        && echo open-sesame | docker login --username shop --password-stdin 127.0.0.1:5000 \
        && docker tag \"$0\" \"$1\" && docker push \"$1\"";
    let output = stage
        .engine
        .exec(&["bash", "-c", script, SAMPLE_IMAGE, image]);
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    image.to_owned()
}

#[test]
fn credentials_of_a_registry_stay_with_a_service_that_is_scaled() {
    let stage = Stage::new();
    stage
        .engine
        .docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"])
        .unwrap();
    let image = private_image(&stage);
    for (name, credentials) in [("known", "true"), ("unknown", "false")] {
        let registry_auth = format!("--with-registry-auth={credentials}");
        let create = ["service", "create", "--detach", &registry_auth, "--name"];
        let program = [name, &image, "sleep", "100000"];
        stage
            .engine
            .docker(&[&create[..], &program].concat())
            .unwrap();
    }
    until("the first tasks", || stage.running().len() == 2);
    // From here on nobody but the service's own settings knows the password, and the image must be pulled again.
    stage.engine.docker(&["logout", "127.0.0.1:5000"]).unwrap();
    for name in ["known", "unknown"] {
        stage.done(&format!("scale_down {name} --min 0"));
    }
    until("the end of the tasks", || stage.running().is_empty());
    let remove =
        "docker container prune --force && docker rmi --force $(docker images --quiet \"$0\")";
    let repository = image.trim_end_matches(":1");
    let output = stage.engine.exec(&["bash", "-c", remove, repository]);
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");

    stage.done("scale_up known");
    assert_eq!(stage.running().len(), 1);
    let run = stage.run("scale_up unknown --timeout 30");
    assert!(run.failure().contains("No such image"), "{run:?}");
}
