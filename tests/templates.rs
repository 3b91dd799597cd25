//! The templates import into every supported version of Zabbix, and serve one host together.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use lab::{App, Lab, Version};
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["Dropwizard", "Prometheus", "Actuator"];

#[test]
fn the_templates_are_what_their_generator_writes() {
    let output = Command::new("python3")
        .args([folder().join("generate.py").as_os_str(), "--check".as_ref()])
        .output()
        .expect("python3 is needed: apt-get install python3");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn they_import_into_5_0_and_serve_one_host_together() {
    import_and_link(Version::V5_0);
}

#[test]
fn they_import_into_6_0_and_serve_one_host_together() {
    import_and_link(Version::V6_0);
}

#[test]
fn they_import_into_7_0_and_serve_one_host_together() {
    import_and_link(Version::V7_0);
}

#[test]
fn discovery_makes_every_item_of_all_three_on_one_host_and_no_trigger_fires() {
    let lab = Lab::builder()
        .server_config("Timeout=30\n")
        .agent_config("Timeout=30\n")
        .start()
        .unwrap();
    let apps =
        [App::Dropwizard, App::NodeExporter, App::Pyctuator].map(|app| lab.start_app(app).unwrap());
    import(&lab);
    let sources: Vec<(String, String)> = NAMES
        .iter()
        .zip(&apps)
        .flat_map(|(name, app)| {
            let own = |what: &str| format!("{{$COURIER.{}.{what}}}", name.to_uppercase());
            [
                (own("SOURCE"), app.url()),
                (own("INTERVAL.PUSH"), "5s".into()),
                (own("INTERVAL.DISCOVERY"), "15s".into()),
                (own("SLOW"), "30000".into()),
            ]
        })
        .collect();
    let macros: Vec<(&str, &str)> = sources.iter().map(|(a, b)| (&**a, &**b)).collect();
    let templates = NAMES.map(|name| format!("Concierge Courier {name}"));
    let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
    let host = lab
        .api()
        .create_host("lab", &["Lab"], &templates, &macros)
        .unwrap();

    let mut expected = Vec::from_iter(NAMES.iter().zip(&apps).flat_map(|(name, app)| {
        let rows = lab.agent().get(&format!("courier.discover[{}]", app.url()));
        let rows: Value = serde_json::from_str(&rows.unwrap()).unwrap();
        expanded(&lab, name, rows.as_array().unwrap())
    }));
    expected.sort();
    assert!(expected.len() > 500, "only {expected:?}");

    // A passive item is first asked for within its interval; then the items are made, and a further push fills them.
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let items = lab.api().items(&host).unwrap();
        let mut made: Vec<String> = items
            .iter()
            .filter(|item| item.discovered)
            .map(|item| item.name.clone())
            .collect();
        made.sort();
        let pushed = items
            .iter()
            .filter(|item| item.name.ends_with(": values processed"))
            .filter(|item| item.last_value.parse().unwrap_or(0) > 0)
            .count();
        // Those of a push's outcome are without one before the first push.
        let broken: Vec<_> = items.iter().filter(|item| !item.error.is_empty()).collect();
        if made == expected && pushed == NAMES.len() && broken.is_empty() {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{pushed} pushed; {broken:#?}; expected {expected:#?}, made {made:#?}",
        );
        thread::sleep(Duration::from_secs(1));
    }

    let get = |method: &str, params: Value| lab.api().call(method, params).unwrap();
    let problems = get("problem.get", json!({"hostids": host, "recent": true}));
    assert_eq!(problems, json!([]));
    let rules = get(
        "discoveryrule.get",
        json!({"hostids": host, "output": ["name", "error"]}),
    );
    for rule in rules.as_array().unwrap() {
        assert_eq!(rule["error"], "", "{rule}");
    }
}

#[test]
fn every_trigger_tells_of_its_problem_and_of_its_end() {
    let lab = Lab::builder().start().unwrap();
    let app = lab.start_app(App::Dropwizard).unwrap();
    import(&lab);
    let url = app.url();
    let macros = [
        ("{$COURIER.DROPWIZARD.SOURCE}", url.as_str()),
        ("{$COURIER.DROPWIZARD.INTERVAL.PUSH}", "2s"),
        ("{$COURIER.DROPWIZARD.INTERVAL.DISCOVERY}", "5s"),
        ("{$COURIER.DROPWIZARD.SLOW}", "0"),
        ("{$COURIER.DROPWIZARD.REFUSED}", "10s"),
        ("{$COURIER.DROPWIZARD.NODATA}", "30s"),
    ];
    let template = "Concierge Courier Dropwizard";
    // Without discovery there are no items, and every value is refused.
    let discovers = |of: Value| {
        let discover = json!({"output": ["itemid"], "search": {"key_": "courier.discover["}});
        let mut params = of;
        params
            .as_object_mut()
            .unwrap()
            .extend(discover.as_object().unwrap().clone());
        lab.api().call("item.get", params).unwrap()[0]["itemid"].take()
    };
    let switch = |item: &Value, off: u8| {
        let params = json!({"itemid": item, "status": off});
        lab.api().call("item.update", params).unwrap()
    };
    switch(&discovers(json!({"host": template, "templated": true})), 1);
    let host = lab
        .api()
        .create_host("lab", &["Lab"], &[template], &macros)
        .unwrap();
    let problems = |expected: &[&str]| {
        let deadline = Instant::now() + Duration::from_secs(180);
        loop {
            let params = json!({"hostids": host, "output": ["name", "opdata"]});
            let found = lab.api().call("problem.get", params).unwrap();
            let found = found.as_array().unwrap();
            let name = |problem: &Value| {
                let name = problem["name"].as_str().unwrap();
                name.strip_prefix("Courier Dropwizard: ")
                    .unwrap()
                    .to_owned()
            };
            let names: BTreeSet<String> = found.iter().map(name).collect();
            if names.iter().eq(expected) {
                break found.clone();
            }
            assert!(Instant::now() < deadline, "not {expected:?}: {found:?}");
            thread::sleep(Duration::from_millis(500));
        }
    };

    problems(&["delivering metrics is slow", "every value is refused"]);
    switch(&discovers(json!({"hostids": host})), 0);
    problems(&["delivering metrics is slow"]);

    drop(app);
    let told = problems(&["metrics are not delivered"]);
    let reason = |told: &[Value]| {
        let why = told[0]["opdata"].as_str().unwrap();
        why.strip_prefix("failed (0 ms). ")
            .unwrap_or_else(|| panic!("{why}"))
            .to_owned()
    };
    assert_ne!(reason(&told), "", "it comes with the problem");
    // A push that was under way told of a broken connection.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !reason(&problems(&["metrics are not delivered"])).contains("refused") {
        assert!(Instant::now() < deadline, "{told:?}");
        thread::sleep(Duration::from_millis(500));
    }
    let app = lab.start_app(App::Dropwizard).unwrap();
    problems(&["delivering metrics is slow"]);

    lab.agent().stop().unwrap();
    problems(&["delivering metrics is slow", "no push for a while"]);
    lab.agent().restart().unwrap();
    problems(&["delivering metrics is slow"]);
    drop(app);
}

/// The names of the items that a template's prototypes make of discovery rows.
fn expanded(lab: &Lab, name: &str, rows: &[Value]) -> Vec<String> {
    let template = json!({"filter": {"host": format!("Concierge Courier {name}")}});
    let id = &lab.api().call("template.get", template).unwrap()[0]["templateid"];
    let params = json!({"templateids": id, "filter": {"discover": 0}, "output": ["name", "key_"]});
    let prototypes = lab.api().call("itemprototype.get", params).unwrap();
    let prototypes = prototypes.as_array().unwrap();
    assert!(!prototypes.is_empty());
    let mut names = Vec::new();
    for row in rows {
        let start = format!("{}[", row["{#TYPE}"].as_str().unwrap());
        for prototype in prototypes {
            if prototype["key_"].as_str().unwrap().starts_with(&start) {
                let (name, title) = (&prototype["name"], &row["{#TITLE}"]);
                names.push(
                    name.as_str()
                        .unwrap()
                        .replace("{#TITLE}", title.as_str().unwrap()),
                );
            }
        }
    }
    names
}

fn import_and_link(version: Version) {
    let lab = Lab::builder()
        .zabbix(version)
        .without_agent()
        .start()
        .unwrap();
    let first = import(&lab);
    assert_eq!(first, import(&lab), "a second import changes something");

    let templates = NAMES.map(|name| format!("Concierge Courier {name}"));
    let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
    let host = lab
        .api()
        .create_host("all", &["Lab"], &templates, &[])
        .unwrap();
    let keys: Vec<String> = lab
        .api()
        .items(&host)
        .unwrap()
        .into_iter()
        .map(|item| item.key)
        .collect();
    for name in NAMES {
        let source = format!("{{$COURIER.{}.SOURCE}}", name.to_uppercase());
        for start in [
            format!("courier.discover[{source},"),
            format!("courier.push[{source},,{{HOST.HOST}},"),
            format!("courier.stats[{source},status"),
        ] {
            let found = keys.iter().filter(|key| key.starts_with(&start)).count();
            assert_eq!(found, 1, "{start} in {keys:?}");
        }
    }
    let count = |method: &str, params: Value| {
        let found = lab.api().call(method, params).unwrap();
        found.as_array().map_or(0, Vec::len)
    };
    let all = json!({"hostids": host, "output": ["name"]});
    assert_eq!(count("discoveryrule.get", all.clone()), 6 + 7 + 5);
    let triggers = json!({"hostids": host, "output": ["description"]});
    assert_eq!(count("trigger.get", triggers), NAMES.len() * 4);
    assert_eq!(count("graph.get", all.clone()), NAMES.len() * 2);
    let dashboards = if version == Version::V5_0 {
        count("templatescreen.get", all)
    } else {
        let own = json!({"templateids": template_ids(&lab), "output": ["name"]});
        count("templatedashboard.get", own)
    };
    assert_eq!(dashboards, NAMES.len() * 2);
}

/// Imports all templates and returns what the server then exports.
fn import(lab: &Lab) -> BTreeSet<String> {
    for name in NAMES {
        let file = format!("concierge_courier_{}.xml", name.to_lowercase());
        let xml = fs::read_to_string(folder().join(file)).unwrap();
        lab.api().import_template(&xml).unwrap();
    }
    let params = json!({"format": "json", "options": {"templates": template_ids(lab)}});
    let export = lab.api().call("configuration.export", params).unwrap();
    let mut export: Value = serde_json::from_str(export.as_str().unwrap()).unwrap();
    let export = export["zabbix_export"].as_object_mut().unwrap();
    // When it was exported.
    export.remove("date");
    let mut leaves = BTreeSet::new();
    flatten("", &Value::Object(export.clone()), &mut leaves);
    leaves
}

/// Every leaf with its path; what stands in no order of its own (a widget's fields) is named by its content.
fn flatten(path: &str, value: &Value, leaves: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "fields" {
                    for field in member.as_array().into_iter().flatten() {
                        leaves.insert(format!("{path}.{field}"));
                    }
                } else {
                    flatten(&format!("{path}.{name}"), member, leaves);
                }
            }
        }
        Value::Array(elements) => {
            for (number, element) in elements.iter().enumerate() {
                flatten(&format!("{path}[{number}]"), element, leaves);
            }
        }
        leaf => {
            leaves.insert(format!("{path}={leaf}"));
        }
    }
}

fn template_ids(lab: &Lab) -> Vec<String> {
    let hosts = NAMES.map(|name| format!("Concierge Courier {name}"));
    let params = json!({"filter": {"host": hosts}, "output": ["templateid"]});
    let found = lab.api().call("template.get", params).unwrap();
    let rows = found.as_array().unwrap().iter();
    rows.map(|row| row["templateid"].as_str().unwrap().to_owned())
        .collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("templates")
}
