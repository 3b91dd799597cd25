//! What goes when it is asked for, and that it is shown before it goes.

use lab::Version;
use serde_json::{Value, json};

use crate::SMALL;
use crate::command::{backup, scheduler, stderr, text};
use crate::population::populate;
use crate::proxy::{Proxy, Verdict};
use crate::round_trip::{nothing_to_do, same_folders};
use crate::server::Server;

const EXTRA_TRIGGER: &str =
    "last(/template 01/own.value1[0])>1 and last(/template 01/own.value1[1])>1";

#[test]
fn prune_takes_what_the_backup_does_not_have_and_nothing_else() {
    let server = Server::start(Version::V7_0);
    server.strip();
    populate(server.api(), Version::V7_0, SMALL);
    let dirs = tempfile::tempdir().expect("a folder");
    let (first, second) = (dirs.path().join("first"), dirs.path().join("second"));
    backup(server.address(), &first, &[]);

    let call = |method: &str, params: Value| {
        let answer = server.api().call(method, params);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    };
    let id = |kind: &str, name: &str| {
        let found = call(&format!("{kind}.get"), json!({"filter": {"host": name}}));
        found[0][format!("{kind}id")].clone()
    };
    let extra_item = |key: &str, host: Value| {
        call(
            "item.create",
            json!({"name": key, "key_": key, "type": "2", "value_type": "3", "hostid": host}),
        )
    };
    // Over these two hosts, and over two items of this template, lie a graph and triggers that the backup has.
    for host in ["host 0000", "host 0001"] {
        extra_item("extra.own", id("host", host));
    }
    extra_item("extra.item", id("template", "the found"));
    let item = extra_item("extra.item", id("template", "template 00"));
    let extra_graph = |name: &str, item: &Value| {
        call(
            "graph.create",
            json!({"name": name, "gitems": [{"itemid": item, "color": "1A7C11"}]}),
        )
    };
    extra_graph("extra graph of an extra item", &item["itemids"][0]);
    // This host and this template have nothing else that the backup does not have.
    let own = call(
        "item.get",
        json!({"hostids": id("host", "host 0002"), "filter": {"key_": "own.second"}}),
    );
    extra_graph("extra graph", &own[0]["itemid"]);
    call(
        "trigger.create",
        json!({"description": "extra trigger", "expression": EXTRA_TRIGGER}),
    );
    let beside = || {
        server.sql(
            "SELECT triggerid FROM triggers WHERE description IN ('both are too many', 'either is too high')
             UNION ALL SELECT graphid FROM graphs WHERE name = 'both' ORDER BY 1",
        )
    };
    let before = beside();
    call(
        "script.create",
        json!({"name": "extra script", "type": "0", "scope": "2", "command": "true", "execute_on": "2"}),
    );
    call(
        "usermacro.createglobal",
        json!({"macro": "{$EXTRA}", "value": "1"}),
    );
    // Low-level discovery makes hosts, and takes them away; no backup has them.
    let group = call("hostgroup.get", json!({"filter": {"name": "Stores"}}));
    call(
        "host.create",
        json!({"host": "discovered", "groups": [{"groupid": group[0]["groupid"]}]}),
    );
    server.sql("UPDATE hosts SET flags = 4, tls_accept = 4 WHERE host = 'discovered'");
    let rule = call(
        "discoveryrule.get",
        json!({"output": ["itemid", "hostid"], "templateids": id("template", "template 00")}),
    );
    call(
        "itemprototype.create",
        json!({"name": "extra {#DISK}", "key_": "extra.prototype[{#DISK}]", "type": "2", "value_type": "3",
            "hostid": rule[0]["hostid"], "ruleid": rule[0]["itemid"]}),
    );
    nothing_to_do(server.address(), &first);

    let run = |more: &[&str]| {
        let mut arguments = vec!["restore_config", "--config-dir", text(&first)];
        arguments.extend(more);
        let output = scheduler(server.address(), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    server.sql("UPDATE items SET history = '3d' WHERE key_ = 'own.value[3]'");
    run(&[]);
    let left =
        server.sql("SELECT COUNT(*) FROM items WHERE key_ LIKE 'extra.%' AND templateid IS NULL");
    assert_eq!(
        left.trim(),
        "5",
        "nothing is deleted unless it is asked for"
    );

    let pruned = [
        "--prune", "template", "--prune", "host", "--prune", "script",
    ];
    let planned = run(&[&pruned[..], &["--dry-run"]].concat()).stdout;
    let shown = String::from_utf8(planned.clone()).expect("text");
    let lines: Vec<&str> = shown.lines().collect();
    let items = lines.iter().filter(|line| line.contains("[extra."));
    assert!(
        items.clone().all(|line| line.ends_with("-> nothing")),
        "{shown}"
    );
    assert_eq!(items.count(), 5, "{shown}");
    let objects: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| !line.starts_with(' '))
        .collect();
    let trigger = format!("- template (triggers) \"extra trigger: {EXTRA_TRIGGER}\"");
    assert_eq!(
        objects,
        [
            "~ template \"template 00\"",
            "~ template \"the found\"",
            "~ host \"host 0000\"",
            "~ host \"host 0001\"",
            "- script \"extra script\"",
            "- host (graphs) \"host 0002: extra graph\"",
            "- template (graphs) \"template 00: extra graph of an extra item\"",
            &trigger,
        ]
    );

    assert_eq!(run(&pruned).stdout, planned, "what goes is what was shown");
    assert_eq!(
        beside(),
        before,
        "the backup's triggers and graphs are the old ones"
    );
    let macros = call(
        "usermacro.get",
        json!({"globalmacro": true, "filter": {"macro": "{$EXTRA}"}}),
    );
    assert_eq!(macros.as_array().map(Vec::len), Some(1), "it was not asked");
    // The answer stays one object, with what goes beside it.
    let output = run(&["--prune", "macro", "--prune", "host", "--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(answer["delete"], 1, "{answer:#}");
    assert!(stderr(&output).contains("- macro \"{$EXTRA}\""));
    let discovered = server.sql("SELECT count(*) FROM hosts WHERE host = 'discovered'");
    assert_eq!(discovered.trim(), "1");
    backup(server.address(), &second, &[]);
    same_folders(&first, &second);

    let unknown = scheduler(
        server.address(),
        &[
            "restore_config",
            "--config-dir",
            text(&first),
            "--prune",
            "hots",
        ],
    );
    assert_eq!(unknown.status.code(), Some(64));
    assert!(stderr(&unknown).contains("known are proxy_group, "));
}

#[test]
fn force_templates_shows_the_templates_then_deletes_them_and_brings_back_those_of_the_backup() {
    let server = Server::start(Version::V6_0);
    server.strip();
    populate(server.api(), Version::V6_0, SMALL);
    let dirs = tempfile::tempdir().expect("a folder");
    let (first, second) = (dirs.path().join("first"), dirs.path().join("second"));
    backup(server.address(), &first, &[]);
    let group = server
        .api()
        .call(
            "hostgroup.get",
            json!({"filter": {"name": "Own templates"}}),
        )
        .expect("the group");
    server
        .api()
        .call(
            "template.create",
            json!({"host": "extra template", "groups": [{"groupid": group[0]["groupid"]}]}),
        )
        .expect("a template");
    let before = items(&server);

    let force = [
        "restore_config",
        "--config-dir",
        text(&first),
        "--force-templates",
    ];
    let templates = ["extra template", "template 00", "template 01", "the found"];
    let expected = templates.map(|name| format!("- template \"{name}\""));
    // A server that does nothing any more: what goes was shown all the same.
    let mute = Proxy::start(server.address(), false, Box::new(|_| Verdict::BadGateway));
    let output = scheduler(mute.address(), &force);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    assert_eq!(items(&server), before, "nothing went");

    let output = scheduler(server.address(), &force);
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    let after = items(&server);
    assert!(
        after.iter().all(|id| !before.contains(id)),
        "the templates' items are new ones"
    );
    backup(server.address(), &second, &[]);
    same_folders(&first, &second);
    nothing_to_do(server.address(), &first);
}

/// The ids of the items of the server's first own template.
fn items(server: &Server) -> Vec<String> {
    let items = server.sql(
        "SELECT itemid FROM items JOIN hosts USING (hostid) WHERE host = 'template 00' ORDER BY itemid",
    );
    items.lines().map(str::to_owned).collect()
}
