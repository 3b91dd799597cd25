use std::{
    collections::BTreeMap,
    fs,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use clap::Args;
use lab::{App, Error, Item, Lab, Version, build, prepare, progress::Step};
use serde_json::Value;

/// The host that the demo watches.
const HOST: &str = "shop";
const TEMPLATE: &str = "Concierge Courier Dropwizard";
const TEMPLATE_FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../templates/concierge_courier_dropwizard.xml"
);
/// How often Zabbix is asked what is new.
const TICK: Duration = Duration::from_secs(1);
/// Within this time, everything has to have happened once.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Args)]
pub struct Demo {
    /// The version of Zabbix: 5.0, 6.0 or 7.0
    #[arg(long, default_value_t = Version::V6_0)]
    zabbix: Version,

    /// End once every kind of metric has arrived
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub fn run(self) -> Result<(), Error> {
        prepare::machine()?;
        build::courier()?;
        let step = Step::begin(format!(
            "Starting Zabbix {}, PostgreSQL, the frontend and an agent",
            self.zabbix
        ));
        let lab = Lab::builder().zabbix(self.zabbix).start()?;
        step.done();
        let step = Step::begin("Starting a Dropwizard application");
        let app = lab.start_app(App::Dropwizard)?;
        step.done();

        let shop = Shop::open(&lab)?;
        println!(
            "\nThe application serves {}; Zabbix has the host \"{HOST}\" with the template \"{TEMPLATE}\".",
            app.url()
        );
        println!("Look on:  {}  (Admin / zabbix)", shop.page());
        shop.show_discovery()?;
        shop.watch(&super::on_interrupt()?, self.once)
    }
}

/// The watched host.
struct Shop<'a> {
    lab: &'a Lab,
    id: String,
}

/// What was seen up to the last look.
#[derive(Default)]
struct Seen {
    made: usize,
    filled: usize,
    pushed: i64,
    /// Pushes since a new item got its first value.
    steady: u32,
}

impl<'a> Shop<'a> {
    fn open(lab: &'a Lab) -> Result<Self, Error> {
        let step = Step::begin("Importing the template and making the host");
        let xml = fs::read_to_string(TEMPLATE_FILE).map_err(|source| Error::Io {
            what: TEMPLATE_FILE.into(),
            source,
        })?;
        lab.api().import_template(&xml)?;
        // Shorter than anybody would set it, so that something happens while one looks on.
        let macros = [
            ("{$COURIER.DROPWIZARD.INTERVAL.PUSH}", "5s"),
            ("{$COURIER.DROPWIZARD.INTERVAL.DISCOVERY}", "30s"),
        ];
        let id = lab
            .api()
            .create_host(HOST, &["Applications"], &[TEMPLATE], &macros)?;
        step.done();
        Ok(Self { lab, id })
    }

    /// The frontend's page of the host's latest values.
    fn page(&self) -> String {
        let (url, id) = (self.lab.frontend_url(), &self.id);
        if self.lab.version() < Version::V6_0 {
            return format!(
                "{url}zabbix.php?action=latest.view&filter_hostids%5B%5D={id}&filter_set=1"
            );
        }
        format!("{url}zabbix.php?action=latest.view&hostids%5B%5D={id}&filter_set=1")
    }

    /// What the module's discovery answers, as the agent itself prints it.
    fn show_discovery(&self) -> Result<(), Error> {
        let key = "courier.discover[http://127.0.0.1:8081/metrics]";
        let output = self.lab.agent().test(key)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let rows = printed
            .split_once('|')
            .and_then(|(_, value)| value.trim_end().strip_suffix(']'));
        let rows: Vec<Value> = rows
            .and_then(|rows| serde_json::from_str(rows).ok())
            .ok_or_else(|| Error::Answer {
                from: format!("zabbix_agentd -t {key}"),
                answer: printed.clone(),
            })?;
        println!("\nDiscovery ({key}) has {} rows:", rows.len());
        let mut types: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for row in &rows {
            let text = |macro_name: &str| row[macro_name].as_str().unwrap_or_default();
            types
                .entry(text("{#TYPE}"))
                .or_default()
                .push(text("{#NAME}"));
        }
        for (kind, names) in types {
            let more = if names.len() > 3 { ", ..." } else { "" };
            println!(
                "  {:>3} {kind:<10} {}{more}",
                names.len(),
                names[..names.len().min(3)].join(", ")
            );
        }
        println!();
        Ok(())
    }

    /// Shows what is new at every look, until Ctrl-C or, with `once`, until every kind of metric has a value.
    fn watch(&self, interrupted: &Receiver<()>, once: bool) -> Result<(), Error> {
        let started = Instant::now();
        let mut seen = Seen::default();
        loop {
            let items = self.lab.api().items(&self.id)?;
            self.hurry(&items, &seen)?;
            seen.show_news(&items);
            if once && seen.complete(&items) {
                println!("\nEvery kind of metric has arrived.");
                return Ok(());
            }
            if (once || seen.steady == 0) && started.elapsed() > PATIENCE {
                let log = self.lab.agent().log()?;
                return Err(Error::NotReady {
                    name: format!("the demo's agent ({} items)", items.len()),
                    log,
                });
            }
            match interrupted.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Nobody wants to wait for the first discovery's turn.
    fn hurry(&self, items: &[Item], seen: &Seen) -> Result<(), Error> {
        let Some(discover) = item(items, "courier.discover[") else {
            return Ok(());
        };
        if seen.made > 0 || discover.last_clock > 0 {
            return Ok(());
        }
        self.lab.api().execute_now(&[&discover.id])
    }
}

impl Seen {
    fn show_news(&mut self, items: &[Item]) {
        let made = items.iter().filter(|item| item.discovered).count();
        if made > self.made {
            println!(
                "Zabbix made {} items of them, {made} in all",
                made - self.made
            );
            self.made = made;
        }
        let Some(push) = item(items, "courier.push[") else {
            return;
        };
        let (Some(values), Some(processed)) = (stat(items, "values"), stat(items, "processed"))
        else {
            return;
        };
        // Each is polled in its own moment: only those that came after a push speak of it.
        if push.last_clock <= self.pushed
            || values.last_clock.min(processed.last_clock) < push.last_clock
        {
            return;
        }
        self.pushed = push.last_clock;
        let filled = items
            .iter()
            .filter(|item| item.discovered && item.last_clock > 0)
            .count();
        self.steady = if filled > 0 && filled == self.filled {
            self.steady + 1
        } else {
            0
        };
        self.filled = filled;
        let took: f64 = push.last_value.parse().unwrap_or_default();
        println!(
            "pushed in {took:.1} ms; {} values, {} of them have an item; {filled} of {made} items hold values",
            values.last_value, processed.last_value,
        );
        for item in arrivals(items, push.last_clock) {
            println!("    {:<50} {}", item.key, item.last_value);
        }
    }

    /// Whether every kind of metric that has items has values, and no further item is getting its first one.
    fn complete(&self, items: &[Item]) -> bool {
        let kinds = [
            "timer[",
            "gauge[",
            "counter[",
            "meter[",
            "histogram[",
            "text[",
        ];
        let arrived = |kind: &str| {
            items
                .iter()
                .any(|item| item.key.starts_with(kind) && item.last_clock > 0)
        };
        self.steady > 0 && kinds.into_iter().all(arrived)
    }
}

/// One value of each kind that came with a push.
fn arrivals(items: &[Item], clock: i64) -> Vec<&Item> {
    let mut kinds: BTreeMap<&str, &Item> = BTreeMap::new();
    for item in items
        .iter()
        .filter(|item| item.discovered && item.last_clock >= clock - 1)
    {
        kinds
            .entry(item.key.split('[').next().unwrap_or_default())
            .or_insert(item);
    }
    kinds.into_values().collect()
}

fn stat<'a>(items: &'a [Item], field: &str) -> Option<&'a Item> {
    let end = format!(",{field}]");
    items
        .iter()
        .find(|item| item.key.starts_with("courier.stats[") && item.key.ends_with(&end))
}

fn item<'a>(items: &'a [Item], key: &str) -> Option<&'a Item> {
    items.iter().find(|item| item.key.starts_with(key))
}
