use serde_json::{Value, json};

use super::body::{NAME, TRAPPED};
use crate::{Error, Lab};

/// The host that values are sent to.
pub(crate) const TRAPPED_HOST: &str = "trapped";

/// A master item of Zabbix's own HTTP agent.
pub(crate) struct Master {
    /// Its id.
    pub id: String,
}

/// Makes the host of trapper items.
pub(crate) fn trapped(lab: &Lab, timers: usize) -> Result<(), Error> {
    let host = lab.api().create_host(TRAPPED_HOST, &["Bench"], &[], &[])?;
    let item = json!({
        "hostid": host, "name": "pattern", "key_": "pattern", "type": 2, "value_type": 0, "history": "1h", "trends": "0",
    });
    clone(lab, &create(lab, item)?, timers, "''")
}

/// Makes a host whose master item asks for the Dropwizard body, with dependent items by JSONPath.
pub(crate) fn by_json_path(lab: &Lab, timers: usize, port: u16) -> Result<Master, Error> {
    let params = "format('$.timers[\"%s\"].%s', name, field)";
    let step =
        json!({"type": 12, "params": "$.pattern", "error_handler": 0, "error_handler_params": ""});
    dependent(lab, "by JSONPath", timers, port, "metrics", &step, params)
}

/// Makes a host whose master item asks for the Prometheus body, with dependent items by Prometheus pattern.
pub(crate) fn by_prometheus(lab: &Lab, timers: usize, port: u16) -> Result<Master, Error> {
    let params = "format(E'timer_%s{name=\"%s\"}\\nvalue\\n', field, name)";
    let step = json!({"type": 22, "params": "pattern\nvalue\n", "error_handler": 0, "error_handler_params": ""});
    dependent(
        lab,
        "by Prometheus",
        timers,
        port,
        "prometheus",
        &step,
        params,
    )
}

fn dependent(
    lab: &Lab,
    host: &str,
    timers: usize,
    port: u16,
    path: &str,
    step: &Value,
    params: &str,
) -> Result<Master, Error> {
    let host = lab.api().create_host(host, &["Bench"], &[], &[])?;
    let master = json!({
        "hostid": host, "name": "body", "key_": "body", "type": 19, "value_type": 4, "history": "0", "trends": "0",
        "delay": "1d", "timeout": "60s", "url": format!("http://127.0.0.1:{port}/{path}"),
    });
    let master = create(lab, master)?;
    let item = json!({
        "hostid": host, "name": "pattern", "key_": "pattern", "type": 18, "value_type": 0, "history": "1h", "trends": "0",
        "master_itemid": master, "preprocessing": [step],
    });
    clone(lab, &create(lab, item)?, timers, params)?;
    Ok(Master { id: master })
}

fn create(lab: &Lab, item: Value) -> Result<String, Error> {
    let made = lab.api().call("item.create", item)?;
    Ok(made["itemids"][0].as_str().unwrap_or_default().to_owned())
}

/// Makes the item of every value from a pattern, straight in the database: the API would take minutes for so many.
/// `params` is the preprocessing step's, as SQL.
fn clone(lab: &Lab, pattern: &str, timers: usize, params: &str) -> Result<(), Error> {
    let [before, after] = NAME;
    let fields = TRAPPED.join("','");
    let sql = format!(
        "BEGIN;
        CREATE TEMP TABLE value AS
            SELECT row_number() OVER () AS n, '{before}' || lpad(t::text, 5, '0') || '{after}' AS name, field
            FROM generate_series(1, {timers}) t, unnest(ARRAY['{fields}']) field;
        CREATE TEMP TABLE base AS
            SELECT (SELECT max(itemid) FROM items) AS item, (SELECT max(item_preprocid) FROM item_preproc) AS step;
        INSERT INTO items SELECT made.* FROM base, value, items pattern, LATERAL jsonb_populate_record(pattern,
            jsonb_build_object('itemid', base.item + n, 'key_', format('timer[%s.%s]', value.name, field),
                'name', format('%s %s', value.name, field))) made
            WHERE pattern.itemid = {pattern};
        INSERT INTO item_rtdata (itemid) SELECT base.item + n FROM base, value;
        INSERT INTO item_preproc SELECT made.* FROM base, value, item_preproc pattern, LATERAL jsonb_populate_record(pattern,
            jsonb_build_object('item_preprocid', base.step + n, 'itemid', base.item + n, 'params', {params})) made
            WHERE pattern.itemid = {pattern};
        DELETE FROM ids WHERE table_name IN ('items', 'item_preproc');
        COMMIT;"
    );
    sql_of(lab, &sql).map(drop)
}

/// How many numeric values the database has ever been given.
pub(crate) fn stored(lab: &Lab) -> Result<usize, Error> {
    let count = sql_of(lab, "SELECT count(*) FROM history")?;
    count.trim().parse().map_err(|_| Error::Answer {
        from: "psql (counting the values)".into(),
        answer: count,
    })
}

fn sql_of(lab: &Lab, sql: &str) -> Result<String, Error> {
    let options = ["-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", sql];
    let psql = [&["psql", "-U", "zabbix"][..], &options].concat();
    let output = lab.pod().exec(&psql)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Command {
        command: format!("psql -c '{}...'", sql.chars().take(40).collect::<String>()),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
