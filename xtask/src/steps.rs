//! A list of commands that are all run, however many of them fail.

use std::time::{Duration, Instant};

use xshell::Cmd;

use crate::{
    Result,
    transcript::{self, Transcript},
};

/// One command with what has to be done before it.
#[derive(Debug)]
pub(crate) struct Step<'sh> {
    name: &'static str,
    setup: Option<Line<'sh>>,
    line: Line<'sh>,
}

/// A command and the variables of its own.
#[derive(Debug)]
struct Line<'sh> {
    variables: Vec<(&'static str, String)>,
    command: Cmd<'sh>,
}

impl<'sh> Step<'sh> {
    pub(crate) fn new(name: &'static str, command: Cmd<'sh>) -> Self {
        Step {
            name,
            setup: None,
            line: Line::new(command),
        }
    }

    #[cfg(test)]
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        self.line.text()
    }

    /// Steps in a row with the same set-up share one run of it: another one may undo it.
    pub(crate) fn after(mut self, setup: Cmd<'sh>) -> Self {
        self.setup = Some(Line::new(setup));
        self
    }

    /// With an environment variable that the heading shows.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.line.variables.push((name, value.into()));
        self
    }
}

impl<'sh> Line<'sh> {
    fn new(command: Cmd<'sh>) -> Self {
        Line {
            variables: Vec::new(),
            command,
        }
    }

    /// As one would type it.
    fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.variables {
            let quote = if value.contains(' ') { "'" } else { "" };
            text += &format!("{name}={quote}{value}{quote} ");
        }
        text + &self.command.to_string()
    }

    /// What it said if it failed.
    fn run(self, name: &str) -> Option<Transcript> {
        println!("\n=== {name}\n$ {}", self.text());
        let failure = transcript::run(self.command.envs(self.variables).into());
        if let Err(transcript) = &failure {
            println!("{name}: {}", transcript.verdict);
        }
        failure.err()
    }
}

/// Sets up and runs the steps that `names` select, or only lists them all for `--list`.
pub(crate) fn run(
    steps: Vec<Step<'_>>,
    names: &[String],
    set_up: impl FnOnce() -> Result<()>,
) -> Result<()> {
    if asks_for_list(names) {
        list(&steps);
        return Ok(());
    }
    let steps = select(steps, names)?;
    set_up()?;
    report(&run_all(steps))
}

pub(crate) fn asks_for_list(names: &[String]) -> bool {
    names.iter().any(|name| name == "--list")
}

pub(crate) fn list(steps: &[Step<'_>]) {
    for step in steps {
        println!("{:<30} {}", step.name, step.line.text());
    }
}

pub(crate) fn select<'sh>(steps: Vec<Step<'sh>>, names: &[String]) -> Result<Vec<Step<'sh>>> {
    for name in names {
        if !steps.iter().any(|step| step.name.contains(name)) {
            let known: Vec<_> = steps.iter().map(|step| step.name).collect();
            let known = known.join(", ");
            return Err(format!("no step has `{name}` in its name; there are {known}").into());
        }
    }
    let selected =
        |step: &Step<'_>| names.is_empty() || names.iter().any(|name| step.name.contains(name));
    Ok(steps.into_iter().filter(selected).collect())
}

/// How one step went.
#[derive(Debug)]
pub(crate) struct Outcome {
    name: &'static str,
    failure: Option<Transcript>,
    took: Duration,
}

impl Outcome {
    fn passed(&self) -> bool {
        self.failure.is_none()
    }
}

pub(crate) fn run_all(steps: Vec<Step<'_>>) -> Vec<Outcome> {
    let mut last = (String::new(), None);
    let run_one = |step: Step<'_>| {
        let start = Instant::now();
        let not_ready = step.setup.and_then(|setup| {
            if last.0 != setup.text() {
                last = (setup.text(), setup.run(step.name));
            }
            last.1.clone()
        });
        Outcome {
            name: step.name,
            failure: not_ready.or_else(|| step.line.run(step.name)),
            took: start.elapsed(),
        }
    };
    steps.into_iter().map(run_one).collect()
}

/// Says how each step went, and last why: where only the end of a long output is kept, that is what is looked for.
/// An error if one failed.
pub(crate) fn report(outcomes: &[Outcome]) -> Result<()> {
    println!("\n=== summary");
    for outcome in outcomes {
        let verdict = if outcome.passed() { "passed" } else { "FAILED" };
        let took = outcome.took.as_secs_f64();
        println!("{:<30} {verdict} in {took:.1} s", outcome.name);
    }
    for outcome in outcomes {
        if let Some(failure) = &outcome.failure {
            println!(
                "\n=== {} FAILED, the end of what it said\n{failure}",
                outcome.name
            );
        }
    }
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.passed())
        .map(|outcome| outcome.name)
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} of {} steps failed: {}",
        failed.len(),
        outcomes.len(),
        failed.join(", ")
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use xshell::{Shell, cmd};

    /// Steps that fail at once if they are run.
    fn three(sh: &Shell) -> Vec<Step<'_>> {
        ["rust", "python", "python-debug"]
            .map(|name| Step::new(name, cmd!(sh, "there-is-no-such-program {name}")))
            .into()
    }

    fn selected(names: &[&str]) -> Result<Vec<&'static str>> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let sh = Shell::new()?;
        let steps = select(three(&sh), &names)?;
        Ok(steps.iter().map(|step| step.name).collect())
    }

    #[test]
    fn without_names_every_step_is_selected() {
        assert_eq!(selected(&[]).unwrap(), ["rust", "python", "python-debug"]);
    }

    #[test]
    fn a_name_selects_every_step_that_contains_it() {
        assert_eq!(selected(&["python"]).unwrap(), ["python", "python-debug"]);
        assert_eq!(
            selected(&["debug", "rust"]).unwrap(),
            ["rust", "python-debug"]
        );
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_names() {
        let error = selected(&["rust", "go"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "no step has `go` in its name; there are rust, python, python-debug"
        );
    }

    #[test]
    fn a_failed_step_does_not_hide_the_others() {
        let sh = Shell::new().unwrap();
        let error = run(three(&sh), &["python".to_owned()], || Ok(())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 of 2 steps failed: python, python-debug"
        );
    }

    #[test]
    fn a_set_up_is_run_again_where_another_one_came_between() {
        let sh = Shell::new().unwrap();
        let directory = sh.create_temp_dir().unwrap();
        let log = directory.path().join("log");
        let touch = |name| cmd!(sh, "sh -c").arg(format!("echo {name} >> {}", log.display()));
        let step = |setup| Step::new("step", cmd!(sh, "true")).after(touch(setup));
        run_all(vec![step("one"), step("one"), step("other"), step("one")]);
        assert_eq!(sh.read_file(&log).unwrap(), "one\nother\none\n");
    }

    #[test]
    fn a_heading_is_what_one_would_type() {
        let sh = Shell::new().unwrap();
        let step = Step::new("loom", cmd!(sh, "cargo test")).with("RUSTFLAGS", "--cfg loom");
        assert_eq!(step.line.text(), "RUSTFLAGS='--cfg loom' cargo test");
    }
}
