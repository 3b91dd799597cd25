//! The lab's own Docker engine: both generations of Compose and a Swarm work in it.

use lab::{Compose, Engine, SAMPLE_IMAGE};

#[test]
fn an_engine_runs_projects_of_both_generations_and_a_swarm() {
    let engine = Engine::start().unwrap();
    let file = format!(
        "version: '2.4'\nservices:\n  web:\n    image: {SAMPLE_IMAGE}\n    command: [sleep, '1000']\n    init: true\n"
    );
    for (compose, project, container) in [
        (Compose::V1, "one", "one_web_1"),
        (Compose::V2, "two", "two-web-1"),
    ] {
        engine
            .write_file(
                &format!("/srv/{project}/docker-compose.yml"),
                file.as_bytes(),
            )
            .unwrap();
        engine
            .compose(compose, &format!("/srv/{project}"), &["up", "-d"])
            .unwrap();
        let names = engine.docker(&["ps", "--format", "{{.Names}}"]).unwrap();
        assert!(names.lines().any(|name| name == container), "{names}");
    }
    engine
        .docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"])
        .unwrap();
    let create = [
        "service",
        "create",
        "--name",
        "web",
        "--network",
        "host",
        SAMPLE_IMAGE,
        "sleep",
        "1000",
    ];
    engine.docker(&create).unwrap();
    engine.kill().unwrap();
    engine.start_again().unwrap();
    assert!(
        engine
            .docker(&["ps", "-a", "--format", "{{.Names}}"])
            .unwrap()
            .contains("one_web_1")
    );
}
