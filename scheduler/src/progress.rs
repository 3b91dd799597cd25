//! How far a long errand is: a bar on a terminal, a line elsewhere, always on standard error.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// One errand of a known number of steps.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    steps: usize,
}

impl Progress {
    /// Begins an errand.
    pub fn new(what: &str, steps: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(steps as u64);
            let style = ProgressStyle::with_template("{msg:24} [{bar:30}] {pos}/{len} {elapsed}");
            if let Ok(style) = style {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(what.to_owned());
            bar
        });
        Self {
            bar,
            what: what.to_owned(),
            steps,
        }
    }

    /// One more step is done.
    pub fn advance(&self) {
        self.advance_by(1);
    }

    /// Some more steps are done.
    pub fn advance_by(&self, steps: usize) {
        if let Some(bar) = &self.bar {
            bar.inc(steps as u64);
        }
    }

    /// The errand is done.
    pub fn finish(self) {
        match self.bar {
            Some(bar) => bar.finish_and_clear(),
            None if self.steps > 0 => eprintln!("{}: {} done", self.what, self.steps),
            None => {}
        }
    }
}
