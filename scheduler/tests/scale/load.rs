//! Many at once, and many at all.

use lab::Compose;

use crate::stage::{Run, Stage};

const PLAIN: &str = "    command: [sleep, '100000']\n    init: true\n";

#[test]
fn fifty_simultaneous_runs_for_one_event_are_one_step() {
    let stage = Stage::new();
    stage.project(Compose::V1, "shop", PLAIN);
    let line = ["scale_up", "web", "1", "1", "--timeout", "600", "--json"];
    let children: Vec<_> = (0..50)
        .map(|_| stage.command(&line).spawn().unwrap())
        .collect();
    let runs: Vec<Run> = children
        .into_iter()
        .map(|child| Run::of(child.wait_with_output().unwrap()))
        .collect();
    assert!(runs.iter().all(|run| run.code == 0), "{runs:?}");
    let done = runs
        .iter()
        .filter(|run| run.json()["result"] == "done")
        .count();
    assert_eq!(done, 1);
    assert_eq!(stage.running(), ["shop_web_1", "shop_web_2"]);
    let audit = std::fs::read_to_string(stage.state().join("audit.jsonl")).unwrap();
    assert_eq!(audit.lines().count(), 50);
}

#[test]
fn fifty_simultaneous_runs_that_ask_the_engine_are_one_step_within_the_cool_down() {
    let stage = Stage::new();
    stage.project(Compose::V2, "shop", PLAIN);
    let line = ["scale_up", "web", "--cooldown-up", "5m", "--timeout", "240"];
    let children: Vec<_> = (0..50)
        .map(|_| stage.command(&line).spawn().unwrap())
        .collect();
    let codes: Vec<i32> = children
        .into_iter()
        .map(|child| Run::of(child.wait_with_output().unwrap()).code)
        .collect();
    assert_eq!(
        codes.iter().filter(|&&code| code == 0).count(),
        1,
        "{codes:?}"
    );
    assert_eq!(
        codes.iter().filter(|&&code| code == 3).count(),
        49,
        "{codes:?}"
    );
    assert_eq!(stage.running(), ["shop-web-1", "shop-web-2"]);
}

#[test]
fn from_one_to_fifty_and_back() {
    let stage = Stage::new();
    for (compose, project) in [(Compose::V1, "one"), (Compose::V2, "two")] {
        let folder = stage.project(compose, project, PLAIN);
        let up = stage.done(&format!(
            "scale_up web 1 49 --project {project} --timeout 600 --json"
        ));
        assert_eq!(up.json()["running"], 50);
        let before = stage.containers(project);
        assert_eq!(before.len(), 50);
        stage
            .engine
            .compose(compose, &folder, &["up", "-d", "--scale", "web=50"])
            .unwrap();
        assert_eq!(stage.containers(project), before);
        let down = stage.done(&format!(
            "scale_down web 50 49 --project {project} --timeout 600 --json"
        ));
        assert_eq!(down.json()["running"], 1);
        let left: Vec<String> = stage.containers(project).into_keys().collect();
        assert!(
            left.len() == 1 && left[0].ends_with('1'),
            "the lowest number stays: {left:?}"
        );
    }
}
