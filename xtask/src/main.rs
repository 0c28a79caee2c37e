//! The commands of the project. `steps.txt` says what each of them runs.
//!
//! Each sets up everything it needs in `.venv` and `target`, so that a fresh clone needs only Rust, a C compiler and
//! a Python with pip.

mod environment;
mod steps;

use std::{env, error::Error, path::Path, process::ExitCode};

use environment::Environment;
use steps::Step;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const USAGE: &str = "\
usage: cargo xtask COMMAND [--python PATH] [ARGUMENT...]

  test [NAME...]           run the tests; with NAMEs, the steps whose name contains one of them
    --list                 only show the steps
    --thorough             also run every test on every runtime with both doorbells, and with the stable ABI
    --all-pythons          on every CPython from 3.9 on that is found: on the PATH, in pyenv's versions, and
                           where systems have them
  lint [NAME...]           check formatting, clippy and rustdoc; with --list and --thorough as above
  demo [ARGUMENT...]       build the example and search Python's standard library with it
    --web [ARGUMENT...]    on a page, with the server of `examples/serve`
  stress [ARGUMENT...]     mix everything at random and check that nothing is lost or left
  fuzz [ARGUMENT...]       look for operations on futures and coroutines that answer otherwise than asyncio's own
  valgrind [ARGUMENT...]   run the unit tests and the behaviours on tokio under valgrind
  sanitize [NAME...]       run them under AddressSanitizer and ThreadSanitizer
  check-platforms [NAME...]
                           check the library for other systems, and link the module of the tests for Windows
  msrv [NAME...]           check with the oldest Rust, and with the oldest versions of the dependencies
  release [NAME...]        check what is published: the packages, their dependencies, and what has changed in the API
  bench [ARGUMENT...]      measure this library against its predecessor
    serve [ARGUMENT...]    measure the server of `examples/serve` against granian and uvicorn

  Steps that need what is not there are left out, and the summary says so. Each command with NAMEs has --list.

  --python PATH            the Python to use, 3.9 or newer; else $PYO3_PYTHON, an active virtual environment's,
                           or `python3` on the PATH
  --                       all that follows are arguments";

fn main() -> ExitCode {
    match dispatch(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut arguments: Vec<String>) -> Result<()> {
    let at = arguments.iter().position(|argument| argument == "--");
    let behind = at.map_or(Vec::new(), |at| arguments.split_off(at));
    let python = environment::choose(take_value(&mut arguments, "--python")?);
    if arguments.is_empty() || ["help", "--help", "-h"].contains(&arguments[0].as_str()) {
        println!("{USAGE}");
        return Ok(());
    }
    let command = arguments.remove(0);
    if steps::of(&command, false).is_empty() {
        return Err(format!("there is no command `{command}`\n\n{USAGE}").into());
    }
    let Some(program) = steps::program(&command, &mut arguments) else {
        return run_steps(&python, &command, arguments);
    };
    arguments.extend(behind.into_iter().skip(1));
    let environment = Environment::prepare(&python, ".venv", &program.needs())?;
    if let Some(need) = program.lacks(&environment) {
        return Err(format!("`{command}` needs `{need}`").into());
    }
    for build in program.builds() {
        environment.run(&build.line)?;
    }
    environment.become_program(&program.line, &arguments)
}

fn run_steps(python: &str, command: &str, mut names: Vec<String>) -> Result<()> {
    let steps = steps::of(command, take(&mut names, "--thorough"));
    let only_list = take(&mut names, "--list");
    let all_pythons = command == "test" && take(&mut names, "--all-pythons");
    let steps = steps::select(steps, &names)?;
    if only_list {
        for step in &steps {
            println!("{:<24} {}", step.name, step.line);
        }
        return Ok(());
    }
    if all_pythons {
        return run_on_all_pythons(python, &steps);
    }
    let needs: Vec<_> = steps.iter().flat_map(Step::needs).collect();
    let environment = Environment::prepare(python, ".venv", &needs)?;
    steps::run(&environment, &steps)
}

fn run_on_all_pythons(python: &str, steps: &[Step]) -> Result<()> {
    let pythons = environment::all_pythons(python)?;
    println!("found {}", pythons.join(", "));
    let mut failed = Vec::new();
    for python in &pythons {
        println!("\n##### {python}");
        let outcome = Environment::prepare(python, "target/venv-{version}", &["tools"]);
        let outcome = outcome.and_then(|environment| steps::run(&environment, steps));
        if let Err(error) = outcome {
            println!("{python}: {error}");
            failed.push(python.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("tests failed on {}", failed.join(", ")).into())
}

/// Takes a flag out.
fn take(arguments: &mut Vec<String>, flag: &str) -> bool {
    let before = arguments.len();
    arguments.retain(|argument| argument != flag);
    arguments.len() < before
}

/// Takes `FLAG VALUE` out.
fn take_value(arguments: &mut Vec<String>, flag: &str) -> Result<Option<String>> {
    let Some(at) = arguments.iter().position(|argument| argument == flag) else {
        return Ok(None);
    };
    if at + 1 == arguments.len() {
        return Err(format!("{flag} needs a value behind it").into());
    }
    Ok(arguments.drain(at..at + 2).nth(1))
}

/// The root of the checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the checkout")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_is_taken_out_wherever_it_stands() {
        for line in ["--python p a b", "a --python p b", "a b --python p"] {
            let mut arguments = line.split(' ').map(str::to_owned).collect();
            let python = take_value(&mut arguments, "--python").unwrap();
            assert_eq!(
                (python.as_deref(), arguments.join(" ")),
                (Some("p"), "a b".to_owned())
            );
        }
        assert!(take_value(&mut vec!["--python".to_owned()], "--python").is_err());
    }
}
