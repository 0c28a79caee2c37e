//! The commands as lists of steps, which are all run, however many of them fail.

use std::{collections::HashMap, time::Instant};

use crate::{Result, environment::Environment, root};

/// A row of `steps.txt`.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    command: &'static str,
    pub(crate) name: &'static str,
    needs: Vec<&'static str>,
    pub(crate) line: String,
}

/// The steps of a command.
pub(crate) fn of(command: &str, thorough: bool) -> Vec<Step> {
    let is_of = |step: &Step| match step.command.strip_suffix('+') {
        Some(with_more) => thorough && with_more == command,
        None => step.command == command,
    };
    table().into_iter().filter(is_of).collect()
}

/// The program that a command becomes, without the word among the arguments that chose it. None if the command has steps.
pub(crate) fn program(command: &str, arguments: &mut Vec<String>) -> Option<Step> {
    let word = arguments.first().map_or("", String::as_str);
    let word = format!("={word}");
    let mut programs = of(command, false);
    let of_word = programs.iter().position(|program| program.name == word);
    if of_word.is_some() && word != "=" {
        arguments.remove(0);
    }
    let program = programs.swap_remove(of_word.unwrap_or(0));
    program.name.starts_with('=').then_some(program)
}

fn table() -> Vec<Step> {
    let rows = include_str!("steps.txt").lines();
    let rows = rows.filter(|row| !row.is_empty() && !row.starts_with('#'));
    rows.map(|row| {
        let mut rest = row;
        let mut column = || {
            let (column, others) = rest.split_once(' ').expect("a row has four columns");
            rest = others.trim_start();
            column
        };
        let (command, name, needs) = (column(), column(), column());
        Step {
            command,
            name,
            needs: needs.split(',').filter(|need| *need != "-").collect(),
            line: rest.replace("{root}", &root().display().to_string()),
        }
    })
    .collect()
}

/// Those of the steps whose name contains one of the names, or all.
pub(crate) fn select(steps: Vec<Step>, names: &[String]) -> Result<Vec<Step>> {
    for name in names {
        if !steps.iter().any(|step| step.name.contains(name)) {
            let known: Vec<_> = steps.iter().map(|step| step.name).collect();
            let known = known.join(", ");
            return Err(format!("no step has `{name}` in its name; there are {known}").into());
        }
    }
    let selected =
        |step: &Step| names.is_empty() || names.iter().any(|name| step.name.contains(name));
    Ok(steps.into_iter().filter(selected).collect())
}

impl Step {
    /// What has to be built before it, in order.
    pub(crate) fn builds(&self) -> Vec<Step> {
        let mut builds = of("build", false);
        builds.retain(|build| self.needs.contains(&build.name));
        let with_theirs = |build: Step| [build.builds(), vec![build]].concat();
        builds.into_iter().flat_map(with_theirs).collect()
    }

    /// What it and its builds need of the machine. An extension module needs packages, which need a virtual environment.
    pub(crate) fn needs(&self) -> Vec<&'static str> {
        let builds = self.builds();
        let all = builds.iter().chain([self]);
        let mut needs: Vec<_> = all.flat_map(|step| step.needs.iter().copied()).collect();
        if !needs.is_empty() {
            needs.push("venv");
        }
        needs
    }

    /// Something that it needs and that is not there. Without CPython's own tests, the others run.
    pub(crate) fn lacks(&self, environment: &Environment) -> Option<&'static str> {
        let is_lacking = |need: &&str| *need != "testsuite" && !environment.has(need);
        self.needs().into_iter().find(is_lacking)
    }

    /// Runs it without the tests that need what the Python lacks: their names say so.
    fn run(&self, environment: &Environment) -> Result<()> {
        let skip = match !environment.has("uvloop") && self.line.contains("cargo test") {
            true => " -- --skip uvloop",
            false => "",
        };
        environment.run(&format!("{}{skip}", self.line))
    }
}

/// Runs every step that it has everything for, and says at the end how each went. An error if one failed, or if none could run.
pub(crate) fn run(environment: &Environment, steps: &[Step]) -> Result<()> {
    let mut built = HashMap::new();
    let mut outcomes = Vec::new();
    for step in steps {
        if let Some(need) = step.lacks(environment) {
            outcomes.push((step.name, format!("left out, without {need}")));
            continue;
        }
        let begin = Instant::now();
        println!("\n=== {}", step.name);
        let passes = |step: &Step| match step.run(environment) {
            Ok(()) => true,
            Err(error) => {
                println!("{} FAILED: {error}", step.name);
                false
            }
        };
        let mut builds = step.builds().into_iter();
        let is_built =
            builds.all(|build| *built.entry(build.name).or_insert_with(|| passes(&build)));
        let verdict = if is_built && passes(step) {
            "passed"
        } else {
            "FAILED"
        };
        let took = begin.elapsed().as_secs_f64();
        outcomes.push((step.name, format!("{verdict} in {took:.1} s")));
    }
    report(&outcomes)
}

fn report(outcomes: &[(&str, String)]) -> Result<()> {
    println!("\n=== summary");
    for (name, verdict) in outcomes {
        println!("{name:<24} {verdict}");
    }
    let named = |verdict: &str| -> Vec<_> {
        let outcomes = outcomes.iter().filter(|it| it.1.starts_with(verdict));
        outcomes.map(|(name, _)| *name).collect()
    };
    let (failed, all) = (named("FAILED"), outcomes.len());
    if !failed.is_empty() {
        let (count, names) = (failed.len(), failed.join(", "));
        return Err(format!("{count} of {all} steps failed: {names}").into());
    }
    if named("passed").is_empty() {
        return Err("no step could run".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|step| step.name).collect()
    }

    fn selected(names: &[&str]) -> Result<Vec<Step>> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        select(of("test", false), &names)
    }

    #[test]
    fn a_name_selects_every_step_that_contains_it() {
        let found = selected(&["smol", "rust"]).unwrap();
        assert_eq!(names(&found), ["rust", "python-smol"]);
        assert_eq!(selected(&[]).unwrap().len(), of("test", false).len());
        assert!(of("test", true).len() > of("test", false).len());
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_names() {
        let error = selected(&["rust", "go"]).unwrap_err().to_string();
        assert!(error.starts_with("no step has `go` in its name; there are models, rust, "));
    }

    #[test]
    fn a_word_chooses_among_the_programs_of_a_command() {
        let chosen = |command, words: &[&str]| {
            let mut arguments = words.iter().map(|word| (*word).to_owned()).collect();
            let program = program(command, &mut arguments).map(|program| program.name);
            (program, arguments.join(" "))
        };
        assert_eq!(chosen("bench", &[]), (Some("="), String::new()));
        assert_eq!(
            chosen("bench", &["--quick"]),
            (Some("="), "--quick".to_owned())
        );
        assert_eq!(
            chosen("bench", &["serve", "--quick"]),
            (Some("=serve"), "--quick".to_owned())
        );
        assert_eq!(chosen("test", &["serve"]), (None, "serve".to_owned()));
    }

    #[test]
    fn what_a_build_needs_is_built_before_it() {
        let stubs = &selected(&["stubs"]).unwrap()[0];
        assert_eq!(names(&stubs.builds()), ["module", "stubs"]);
        assert!(stubs.needs().contains(&"tools"));
    }
}
