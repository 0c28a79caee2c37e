//! The commands of the project: `cargo xtask demo`, `test`, `lint`, `stress`, `fuzz`,
//! `valgrind`, `miri`, `bench`.
//!
//! Each sets up everything it needs in `.venv` and `target`, so that a fresh clone needs only Rust, a C compiler and
//! a Python with pip.

mod bench;
mod demo;
mod hand_over;
mod lint;
mod memory;
mod needs;
mod options;
mod programs;
mod python;
mod pythons;
mod steps;
mod test;
mod transcript;
mod venv;

use std::{env, error::Error, path::Path, process::ExitCode};

use options::Options;
use xshell::Shell;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: cargo xtask COMMAND [--python PATH] [ARGUMENT...]

  demo [ARGUMENT...]           build the example and search Python's standard library with it
  test [--list] [NAME...]      run the tests; with NAMEs, the steps whose name contains one of them
  test --all-pythons [--list] [NAME...]
                               run the tests on every CPython from 3.9 on that is found: on the PATH,
                               in pyenv's versions, and where the system has them. Here the Python
                               tests run on every runtime with both doorbells; without this, on
                               every runtime, but with the second doorbell on tokio only
  lint [--list] [NAME...]      check formatting, clippy and rustdoc; NAMEs as above
  stress [--minutes N] [--seed S] [ARGUMENT...]
                               mix everything at random and check that nothing is lost or left
  fuzz [--minutes N] [--seed S] [ARGUMENT...]
                               look for operations on futures and coroutines that answer
                               otherwise than asyncio's own
  valgrind [ARGUMENT...]       run the unit tests and the behaviours on tokio under valgrind
  miri [ARGUMENT...]           run the protocols between threads under miri, with a nightly Rust
  bench [ARGUMENT...]          measure this library against its predecessor

  --python PATH    the Python to use, 3.9 or newer; else $PYO3_PYTHON, an active virtual
                   environment's, or `python3` or `python` on the PATH";

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
    if arguments.is_empty() {
        arguments.push("help".to_owned());
    }
    let command = arguments.remove(0);
    let options = Options::parse(arguments)?;
    if options.all_pythons && command != "test" {
        return Err(format!("--all-pythons is for `test`, not for `{command}`").into());
    }
    let sh = Shell::new()?;
    sh.change_dir(root());
    match command.as_str() {
        "demo" => demo::run(&sh, &options),
        "test" => test::run(&sh, &options),
        "lint" => lint::run(&sh, &options),
        name @ ("stress" | "fuzz") => programs::run(&sh, &options, name),
        "valgrind" => memory::valgrind(&sh, &options),
        "miri" => memory::miri(&sh, &options),
        "bench" => bench::run(&sh, &options),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(format!("there is no command `{other}`\n\n{USAGE}").into()),
    }
}

/// The root of the checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the checkout")
}
