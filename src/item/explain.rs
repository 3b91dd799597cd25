//! `courier push --explain`: which keys a server refuses. It tells how many values of a request it refused, never
//! which: it is asked again with fewer, until that says it.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use super::Parameters;
use super::push::{Errand, NAMES};
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::trapper::deliver::{self, Delivery};
use crate::trapper::destination::Destination;
use crate::trapper::request::Request;

/// So often a server is asked at the most, and so long all of them.
const MAX_QUESTIONS: usize = 1000;
const LONGEST: Duration = Duration::from_secs(60);

/// What one server or proxy refuses.
pub struct Refusals {
    /// Which.
    pub by: Destination,
    /// The keys that it refuses.
    pub keys: Vec<String>,
    /// How many more it refuses, whose names the limit cut off.
    pub unnamed: u64,
}

/// Delivers a source's values once more, in parts, and answers the keys that are refused. All values have one clock, so
/// that Zabbix 6.0 and later keep each once; 5.0 keeps an accepted one each time.
///
/// `progress` is told how many questions were asked, and how many keys are known.
///
/// # Errors
/// Why there is no answer.
pub fn explain(
    environment: &Environment,
    parameters: &[Cow<'_, str>],
    timeout: Duration,
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<Refusals>, String> {
    let parameters = Parameters::new("courier.push", &NAMES, parameters)?;
    let errand = Errand::new(environment, &parameters).map_err(|error| error.to_string())?;
    let stamp = environment.board.stamp(SystemTime::now());
    let rows = errand.rows(stamp, Deadline::for_item(timeout));
    let rows = rows.map_err(|error| error.to_string())?;
    let tls = environment.tls().map_err(|error| error.to_string())?;
    let from = environment.agent().source_ip();
    let from = from.map_err(|error| error.to_string())?;
    let end = Instant::now() + LONGEST;
    let mut all = Vec::new();
    for destination in &errand.destinations {
        let ask = |rows: &[(String, String)]| {
            let mut request = Request::new(errand.naming(), &errand.selection, stamp);
            for (key, value) in rows {
                request.add(key, value);
            }
            let frame = request.into_frame().unwrap_or_default();
            let delivery = Delivery {
                destinations: std::slice::from_ref(destination),
                from,
                tls: &tls,
                compress: errand.target.settings.deliver.compress,
                deadline: Deadline::for_item(timeout),
                spool: None,
            };
            deliver::deliver(&delivery, stamp, &frame)
                .map(|answers| answers.fewest().failed)
                .map_err(|error| error.to_string())
        };
        let mut search = Search {
            ask,
            progress: &mut progress,
            asked: 0,
            may_ask: |asked| asked < MAX_QUESTIONS && Instant::now() < end,
            refused: Vec::new(),
            unnamed: 0,
        };
        let refused = search.question(&rows)?;
        search.narrow(&rows, refused)?;
        all.push(Refusals {
            by: destination.clone(),
            keys: search.refused,
            unnamed: search.unnamed,
        });
    }
    Ok(all)
}

/// Key and value.
type Row = (String, String);

struct Search<'a, A, P, M> {
    ask: A,
    progress: &'a mut P,
    may_ask: M,
    asked: usize,
    refused: Vec<String>,
    unnamed: u64,
}

impl<A, P, M> Search<'_, A, P, M>
where
    A: FnMut(&[Row]) -> Result<u64, String>,
    P: FnMut(usize, usize),
    M: Fn(usize) -> bool,
{
    /// How many of `rows` are refused.
    fn question(&mut self, rows: &[Row]) -> Result<u64, String> {
        self.asked += 1;
        (self.progress)(self.asked, self.refused.len());
        (self.ask)(rows)
    }

    /// Names the `refused` ones of `rows`. Only a first half is asked for: the second one's number follows.
    fn narrow(&mut self, rows: &[Row], refused: u64) -> Result<(), String> {
        if refused >= rows.len() as u64 {
            self.refused.extend(rows.iter().map(|(key, _)| key.clone()));
        } else if refused > 0 {
            if !(self.may_ask)(self.asked) {
                self.unnamed += refused;
                return Ok(());
            }
            let (first, second) = rows.split_at(rows.len() / 2);
            let in_first = self.question(first)?;
            self.narrow(first, in_first)?;
            self.narrow(second, refused.saturating_sub(in_first))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn search(refused: &[bool], most: usize) -> (Vec<String>, u64, usize) {
        let rows: Vec<Row> = (0..refused.len())
            .map(|row| (row.to_string(), String::new()))
            .collect();
        let ask = |rows: &[Row]| {
            let is_refused = |(key, _): &&Row| refused[key.parse::<usize>().unwrap()];
            Ok(rows.iter().filter(is_refused).count() as u64)
        };
        let mut search = Search {
            ask,
            progress: &mut |_, _| {},
            may_ask: |asked| asked < most,
            asked: 0,
            refused: Vec::new(),
            unnamed: 0,
        };
        let all = search.question(&rows).unwrap();
        search.narrow(&rows, all).unwrap();
        (search.refused, search.unnamed, search.asked)
    }

    #[test]
    fn one_refused_key_among_thousands_takes_a_dozen_questions() {
        let mut refused = vec![false; 4096];
        refused[1234] = true;
        let (keys, unnamed, asked) = search(&refused, usize::MAX);
        assert_eq!((keys, unnamed), (vec!["1234".to_owned()], 0));
        assert_eq!(asked, 13);
    }

    #[test]
    fn what_is_refused_as_a_whole_takes_one_question() {
        let (keys, _, asked) = search(&[true; 100], usize::MAX);
        assert_eq!((keys.len(), asked), (100, 1));
        let (keys, _, asked) = search(&[false; 100], usize::MAX);
        assert_eq!((keys.len(), asked), (0, 1));
    }

    proptest! {
        #[test]
        fn all_that_is_refused_is_named_or_counted(
            refused in proptest::collection::vec(any::<bool>(), 1..200), most in 1..100_usize
        ) {
            let named: Vec<String> = (0..refused.len())
                .filter(|row| refused[*row])
                .map(|row| row.to_string())
                .collect();
            let (keys, unnamed, asked) = search(&refused, usize::MAX);
            prop_assert_eq!((keys, unnamed), (named.clone(), 0));
            prop_assert!(asked <= refused.len());
            let (keys, unnamed, asked) = search(&refused, most);
            prop_assert_eq!(keys.len() as u64 + unnamed, named.len() as u64);
            prop_assert!(asked <= most);
        }
    }
}
