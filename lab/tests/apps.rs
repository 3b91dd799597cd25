//! The sample applications run and serve what their kind serves.

use lab::{App, Lab};
use serde_json::{Value, json};

#[test]
fn the_dropwizard_application_serves_what_it_is_told_and_holds_it_still() {
    let lab = Lab::builder().without_agent().start().unwrap();
    let shop = lab.start_app(App::Dropwizard).unwrap();
    let shown: Value = serde_json::from_str(&shop.metrics().unwrap()).unwrap();
    for (section, name) in [
        ("gauges", "shop.release"),
        ("counters", "shop.sessions"),
        ("histograms", "shop.basket.items"),
        ("meters", "shop.requests"),
        ("timers", "shop.checkout"),
    ] {
        assert!(shown[section].get(name).is_some(), "no {name} in {shown}");
    }

    let awkward = r#"a, b] ["ü\ 'c"#;
    let metrics = json!([
        {"kind": "timer", "name": awkward, "values": [1, 2.5]},
        {"kind": "gauge", "name": "nan", "double": "NaN"},
        {"kind": "gauge", "name": "broken", "error": "why"},
    ]);
    shop.post("/registry", metrics.to_string()).unwrap();
    shop.post("/freeze", "").unwrap();
    let first = shop.metrics().unwrap();
    let shown: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(shown["timers"][awkward]["count"], 2);
    assert_eq!(shown["gauges"]["nan"]["value"], "NaN");
    assert!(
        shown["gauges"]["broken"]["error"]
            .as_str()
            .unwrap()
            .contains("why")
    );
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(shop.metrics().unwrap(), first);
}

#[test]
fn the_exporters_and_the_python_applications_serve_their_formats() {
    let lab = Lab::builder().without_agent().start().unwrap();
    let node = lab.start_app(App::NodeExporter).unwrap().metrics().unwrap();
    assert!(node.contains("\nnode_load1 "), "{node}");
    let postgres = lab
        .start_app(App::PostgresExporter)
        .unwrap()
        .metrics()
        .unwrap();
    assert!(postgres.contains("\npg_up 1"), "{postgres}");
    let client = lab
        .start_app(App::PrometheusClient)
        .unwrap()
        .metrics()
        .unwrap();
    assert!(
        client.contains("\nshop_checkout_seconds_bucket{"),
        "{client}"
    );
    let actuator = lab.start_app(App::Pyctuator).unwrap();
    let names: Value = serde_json::from_str(&actuator.metrics().unwrap()).unwrap();
    let first = names["names"][0].as_str().unwrap();
    let meter: Value =
        serde_json::from_str(&actuator.get(&format!("/actuator/metrics/{first}")).unwrap())
            .unwrap();
    assert!(meter["measurements"][0]["value"].is_number(), "{meter}");
}
