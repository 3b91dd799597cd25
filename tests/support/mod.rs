//! What the tests on the lab share.

// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod openssl_stand_in;
pub mod pki;
pub mod stub;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use lab::{Item, Lab, Sample};

/// Raised for tens of thousands of items; Debian's defaults are for a few hundred.
pub const LARGE: &str = "Timeout=30\nCacheSize=256M\nHistoryCacheSize=256M\nHistoryIndexCacheSize=64M\nTrendCacheSize=128M\nValueCacheSize=64M\n";

/// A template's XML.
pub fn template(name: &str) -> String {
    let path = format!(
        "{}/templates/concierge_courier_{name}.xml",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Asks until there is an answer.
pub fn wait_for<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < patience, "no {what} within {patience:?}");
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// A host that is discovered by the server and pushed to by the test.
pub struct Host<'a> {
    lab: &'a Lab,
    /// Its name.
    pub name: String,
    id: String,
}

impl<'a> Host<'a> {
    /// A host with templates whose own intervals are so long that nothing happens by itself.
    pub fn new(lab: &'a Lab, name: &str, templates: &[&str], macros: &[(&str, &str)]) -> Self {
        let id = lab
            .api()
            .create_host(name, &[name], templates, macros)
            .unwrap();
        Host {
            lab,
            name: name.to_owned(),
            id,
        }
    }

    /// Its items.
    pub fn items(&self) -> Vec<Item> {
        self.lab.api().items(&self.id).unwrap()
    }

    /// The items that discovery made, by key.
    pub fn discovered(&self) -> BTreeMap<String, Item> {
        let items = self.items().into_iter().filter(|item| item.discovered);
        items.map(|item| (item.key.clone(), item)).collect()
    }

    /// Has the server run discovery until it has made `count` items, or makes no more, and know them.
    pub fn discover(&self, count: usize) -> BTreeMap<String, Item> {
        self.lab.reload_config_cache().unwrap();
        let (mut last, mut since) = (0, Instant::now());
        let items = wait_for(
            &format!("items of {}", self.name),
            Duration::from_secs(600),
            || {
                let items = self.discovered();
                if items.len() > last {
                    (last, since) = (items.len(), Instant::now());
                }
                let stuck = last > 0 && since.elapsed() > Duration::from_secs(60);
                if items.len() >= count || stuck {
                    return Some(items);
                }
                for item in self.items() {
                    if last == 0 && item.key.starts_with("courier.discover[") {
                        self.lab.api().execute_now(&[&item.id]).unwrap();
                    }
                }
                std::thread::sleep(Duration::from_secs(1));
                None
            },
        );
        self.lab.reload_config_cache().unwrap();
        items
    }

    /// Pushes until the server takes `processed` values: it learns of new items some time after they are made.
    pub fn push_until(&self, source: &str, push: &str, processed: u64) {
        let patience = Duration::from_secs(180);
        wait_for(
            &format!("{processed} values of {}", self.name),
            patience,
            || {
                let elapsed: f64 = self.lab.agent().get(push).unwrap().parse().unwrap();
                assert!(
                    elapsed >= 1.0,
                    "{push} answered {elapsed}: {}",
                    stats(self.lab, source, "error")
                );
                let taken: u64 = stats(self.lab, source, "processed").parse().unwrap();
                (taken == processed).then_some(())
            },
        );
    }

    /// The last value of each item once all of `items` have one of the same push, newer than `since`: while they were
    /// made, pushes filled a part of them.
    pub fn last_samples(
        &self,
        items: &BTreeMap<String, Item>,
        since: i64,
    ) -> BTreeMap<String, Sample> {
        let all: Vec<Item> = items.values().cloned().collect();
        wait_for(
            &format!("history of {}", self.name),
            Duration::from_secs(60),
            || {
                let mut last = BTreeMap::new();
                for sample in self.lab.api().history(&all).unwrap() {
                    if sample.clock >= since {
                        last.insert(sample.item.clone(), sample);
                    }
                }
                let push: BTreeSet<_> = last.values().map(|one| (one.clock, one.ns)).collect();
                (last.len() == all.len() && push.len() == 1).then(|| {
                    let of = |item: &Item| last[&item.id].clone();
                    all.iter()
                        .map(|item| (item.key.clone(), of(item)))
                        .collect()
                })
            },
        )
    }
}

/// A field of courier.stats.
pub fn stats(lab: &Lab, source: &str, field: &str) -> String {
    lab.agent()
        .get(&format!("courier.stats[{source},{field}]"))
        .unwrap()
}

/// What a push would send now, by key.
pub fn dry_run(lab: &Lab, arguments: &[&str]) -> BTreeMap<String, String> {
    let mut command = vec!["courier", "push", "--dry-run"];
    command.extend(arguments);
    let output = lab.agent().exec(&command).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| line.split_once('\t').unwrap());
    rows.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Whether a value of Zabbix's history is the one that was served; floats are kept as doubles.
pub fn same(served: &str, kept: &str) -> bool {
    match (served.parse::<f64>(), kept.parse::<f64>()) {
        (Ok(served), Ok(kept)) => served == kept || (served - kept).abs() <= served.abs() * 1e-15,
        _ => served == kept,
    }
}

/// Seconds since the epoch.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs() as i64
}
