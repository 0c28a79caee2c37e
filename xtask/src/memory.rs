//! `cargo xtask valgrind` and `miri`: what reads or leaks memory that it should not.

use xshell::{Shell, cmd};

use crate::{
    Result,
    needs::Need,
    options::Options,
    steps::{self, Step},
    venv::Venv,
};

/// Errors are what is read or written without being there, or before it was written, and what nobody refers to any more.
/// What a thread of a runtime holds at the end of the process is neither.
const MEMCHECK: &str = "valgrind --tool=memcheck --error-exitcode=9 --leak-check=full --show-leak-kinds=definite \
    --errors-for-leak-kinds=definite --num-callers=40 --suppressions=tests/valgrind.supp";

/// Runs the unit tests and the behaviours on tokio under valgrind. The arguments go to the test programs.
pub(crate) fn valgrind(sh: &Shell, options: &Options) -> Result<()> {
    require(
        sh,
        "valgrind --version",
        "valgrind is not there: install it (Debian: `apt install valgrind`)",
    )?;
    let venv = Venv::choose(sh, options.python.as_deref())?;
    let runner: Vec<_> = MEMCHECK.split_whitespace().collect();
    // The tests under load would take too long, and reach no code that the others do not.
    let tests = venv
        .cargo("test --package pyo3-asyncio --lib --test on_tokio --all-features --no-fail-fast")
        .args([
            "--config",
            &format!("target.'cfg(all())'.runner={runner:?}"),
        ])
        .args(["--", "--test-threads=1", "--skip", "behaviour::load"])
        .args(&options.rest);
    // Python's own allocator would hide the ends of objects.
    let step = Step::new("valgrind", tests).with("PYTHONMALLOC", "malloc");
    steps::run(vec![step], &[], || {
        venv.require(&[Need::Library])?;
        venv.make(&[])?;
        venv.add_uvloop();
        venv.print_environment();
        Ok(())
    })
}

/// Runs under miri what knows no Python: the protocols between threads. The arguments go to the test program.
pub(crate) fn miri(sh: &Shell, options: &Options) -> Result<()> {
    require(
        sh,
        "cargo +nightly miri --version",
        "there is no miri: install it with `rustup toolchain install nightly --component miri`",
    )?;
    let venv = Venv::choose(sh, options.python.as_deref())?;
    let tests = venv
        .cargo("+nightly miri test --package pyo3-asyncio --lib --target-dir target/miri -- loom_")
        .args(&options.rest);
    let step = Step::new("miri", tests).with("MIRIFLAGS", "-Zmiri-strict-provenance");
    steps::run(vec![step], &[], || Ok(()))
}

fn require(sh: &Shell, command: &str, otherwise: &str) -> Result<()> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or("a command has a name")?;
    let answer = cmd!(sh, "{program} {words...}")
        .quiet()
        .ignore_stderr()
        .read();
    answer.map(drop).map_err(|_| otherwise.into())
}
