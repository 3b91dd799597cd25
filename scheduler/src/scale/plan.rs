//! The rule: from what runs, what is asked and what is allowed to what is to be done. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::Direction;

/// What the caller asks for.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Up or down.
    pub direction: Direction,
    /// The number from which to count; what runs where it is absent.
    pub current: Option<u32>,
    /// By how much.
    pub increment: u32,
}

/// What is allowed.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Never fewer.
    pub min: u32,
    /// Never more.
    pub max: Option<u32>,
    /// Nothing at all.
    pub paused: bool,
    /// The time between two steps up.
    pub cooldown_up: Duration,
    /// The time between two steps down.
    pub cooldown_down: Duration,
}

/// How far a replica may grow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ceiling {
    /// Billionths of a core.
    pub cpu: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
}

/// When the last steps were made, in seconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The last step up.
    pub up: Option<u64>,
    /// The last step down.
    pub down: Option<u64>,
}

/// What is to be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<T = u32> {
    /// Change the number of replicas, or the limit, to this one.
    Change(T, String),
    /// It is already so.
    Already(String),
    /// A bound, a cool-down or a pause forbids it.
    Held(String),
}

/// Decides on a step while `running` replicas run.
pub fn decide(step: Step, running: u32, rules: &Rules, history: History, now: u64) -> Decision {
    let Step {
        direction,
        current,
        increment,
    } = step;
    let from = current.unwrap_or(running);
    let (sign, wanted) = match direction {
        Direction::Up => ('+', from.saturating_add(increment)),
        Direction::Down => ('-', from.saturating_sub(increment)),
    };
    let target = wanted.max(rules.min).min(rules.max.unwrap_or(u32::MAX));
    let mut reason = format!("{from} {sign} {increment} = {wanted}, {running} running");
    if target != wanted {
        let bound = if target < wanted {
            "maximum"
        } else {
            "minimum"
        };
        reason.push_str(&format!(", held at the {bound} {target}"));
    }
    let moves = |to: u32| match direction {
        Direction::Up => to > running,
        Direction::Down => to < running,
    };
    if !moves(wanted) {
        return Decision::Already(format!("nothing to do: {reason}"));
    }
    if !moves(target) {
        return Decision::Held(reason);
    }
    if rules.paused {
        return Decision::Held(format!("{reason}, but scaling is paused"));
    }
    if let Some(left) = cooling(direction, rules, history, now) {
        return Decision::Held(format!("{reason}, but the cool-down lasts {left} s more"));
    }
    Decision::Change(target, reason)
}

/// The seconds that a cool-down still lasts. A last step in the future is a clock that was set back, and holds nothing.
fn cooling(direction: Direction, rules: &Rules, history: History, now: u64) -> Option<u64> {
    let (last, cooldown) = match direction {
        Direction::Up => (history.up, rules.cooldown_up),
        Direction::Down => (history.down, rules.cooldown_down),
    };
    let age = now.checked_sub(last?)?;
    cooldown.as_secs().checked_sub(age).filter(|left| *left > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn up(current: Option<u32>, increment: u32) -> Step {
        Step {
            direction: Direction::Up,
            current,
            increment,
        }
    }

    fn down(current: Option<u32>, increment: u32) -> Step {
        Step {
            direction: Direction::Down,
            current,
            increment,
        }
    }

    fn decided(step: Step, running: u32, rules: &Rules) -> Decision {
        decide(step, running, rules, History::default(), 1000)
    }

    fn target(decision: &Decision) -> Option<u32> {
        match decision {
            Decision::Change(to, _) => Some(*to),
            _ => None,
        }
    }

    #[test]
    fn a_repeated_event_changes_nothing_more() {
        let rules = Rules {
            min: 1,
            ..Rules::default()
        };
        assert_eq!(target(&decided(up(Some(2), 1), 2, &rules)), Some(3));
        assert!(matches!(
            decided(up(Some(2), 1), 3, &rules),
            Decision::Already(_)
        ));
    }

    #[test]
    fn up_never_removes_and_down_never_adds() {
        let rules = Rules {
            min: 1,
            ..Rules::default()
        };
        assert!(matches!(
            decided(up(Some(2), 1), 9, &rules),
            Decision::Already(_)
        ));
        assert!(matches!(
            decided(down(Some(9), 1), 2, &rules),
            Decision::Already(_)
        ));
    }

    #[test]
    fn a_wrong_number_cannot_stop_a_service() {
        let rules = Rules {
            min: 1,
            ..Rules::default()
        };
        assert_eq!(target(&decided(down(Some(0), 5), 4, &rules)), Some(1));
        assert!(matches!(
            decided(down(Some(1), 1), 1, &rules),
            Decision::Held(_)
        ));
    }

    #[test]
    fn a_clamp_that_still_changes_something_is_a_change() {
        let rules = Rules {
            min: 1,
            max: Some(5),
            ..Rules::default()
        };
        assert_eq!(target(&decided(up(None, 9), 3, &rules)), Some(5));
        assert!(
            matches!(decided(up(None, 1), 5, &rules), Decision::Held(reason) if reason.contains("maximum 5"))
        );
    }

    #[test]
    fn pauses_and_cool_downs_hold_each_direction_by_itself() {
        let rules = Rules {
            min: 1,
            cooldown_up: Duration::from_secs(60),
            ..Rules::default()
        };
        let history = History {
            up: Some(950),
            down: Some(950),
        };
        let held = decide(up(None, 1), 2, &rules, history, 1000);
        assert!(matches!(held, Decision::Held(reason) if reason.contains("10 s more")));
        assert_eq!(
            target(&decide(up(None, 1), 2, &rules, history, 1010)),
            Some(3)
        );
        assert_eq!(
            target(&decide(down(None, 1), 2, &rules, history, 1000)),
            Some(1)
        );
        assert_eq!(
            target(&decide(up(None, 1), 2, &rules, history, 900)),
            Some(3),
            "a clock set back holds nothing"
        );
        let paused = Rules {
            paused: true,
            ..rules
        };
        assert!(
            matches!(decided(down(None, 1), 2, &paused), Decision::Held(reason) if reason.contains("paused"))
        );
    }

    prop_compose! {
        fn rules()(min in 0..50u32, room in proptest::option::of(0..50u32), paused: bool, a in 0..100u64, b in 0..100u64) -> Rules {
            Rules {
                min,
                max: room.map(|room| min + room),
                paused,
                cooldown_up: Duration::from_secs(a),
                cooldown_down: Duration::from_secs(b),
            }
        }
    }

    prop_compose! {
        fn step()(is_up: bool, current in proptest::option::of(any::<u32>()), increment: u32) -> Step {
            let direction = if is_up { Direction::Up } else { Direction::Down };
            Step { direction, current, increment }
        }
    }

    prop_compose! {
        fn history()(up in proptest::option::of(0..2000u64), down in proptest::option::of(0..2000u64)) -> History {
            History { up, down }
        }
    }

    proptest! {
        #[test]
        fn a_change_stays_in_bounds_and_goes_the_asked_way(
            step in step(), running in 0..100u32, rules in rules(), history in history(), now in 0..2000u64
        ) {
            if let Some(to) = target(&decide(step, running, &rules, history, now)) {
                prop_assert!(to >= rules.min && rules.max.is_none_or(|max| to <= max));
                prop_assert!(!rules.paused);
                match step.direction {
                    Direction::Up => prop_assert!(to > running),
                    Direction::Down => prop_assert!(to < running),
                }
            }
        }

        #[test]
        fn repeating_an_event_with_its_number_changes_nothing(
            step in step(), current: u32, running in 0..100u32, rules in rules(), history in history(), now in 0..2000u64
        ) {
            let step = Step { current: Some(current), ..step };
            if let Some(to) = target(&decide(step, running, &rules, history, now)) {
                let again = decide(step, to, &rules, history, now);
                prop_assert!(target(&again).is_none(), "{again:?}");
            }
        }
    }
}
