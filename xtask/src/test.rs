//! `cargo xtask test`: every test there is.

use xshell::Shell;

use crate::{
    Result,
    needs::Need,
    options::Options,
    pythons,
    steps::{self, Step},
    venv::{MATURIN, Venv},
};

const REQUIREMENTS: &[&str] = &[MATURIN, "anyio", "gunicorn", "mypy", "pytest>=8", "uvicorn"];

pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    if options.all_pythons {
        return run_on_all(sh, &options.rest);
    }
    let venv = Venv::choose(sh, options.python.as_deref())?;
    if is_answered_by_the_list(&venv, Extent::DEFAULT, &options.rest)? {
        return Ok(());
    }
    venv.require(&Need::ALL)?;
    run_on(&venv, Extent::DEFAULT, &options.rest).map(drop)
}

/// Lists the steps if that is asked for. An error for a name that none of them has.
fn is_answered_by_the_list(venv: &Venv<'_>, extent: Extent, names: &[String]) -> Result<bool> {
    let steps = steps(venv, extent);
    if steps::asks_for_list(names) {
        steps::list(&steps);
        return Ok(true);
    }
    steps::select(steps, names).map(|_| false)
}

/// What of the tests is run.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Every runtime with every doorbell, and nothing to which Python does not matter.
    all_pythons: bool,
    /// Python can be embedded.
    embeds: bool,
    /// Packages can be installed.
    installs: bool,
    /// There is a uvloop for this Python.
    uvloop: bool,
    /// CPython's own tests of asyncio are there.
    testsuite: bool,
}

impl Extent {
    const DEFAULT: Self = Extent {
        all_pythons: false,
        embeds: true,
        installs: true,
        uvloop: true,
        testsuite: true,
    };

    /// What a Python cannot be tested for, as clauses that follow others.
    fn lack(self) -> String {
        let mut lack = match (self.embeds, self.installs) {
            (true, true) => "",
            (true, false) => {
                ", has no `ensurepip` to install packages with: only the Rust tests run, without uvloop"
            }
            (false, true) => {
                ", has no shared library to link with: only what Python imports is tested"
            }
            (false, false) => {
                ", has neither a shared library to link with nor `ensurepip`: nothing can be tested"
            }
        }
        .to_owned();
        if self.installs && !self.testsuite {
            lack += ", came without CPython's own tests: they are not run on our futures";
        }
        lack
    }
}

fn run_on_all(sh: &Shell, names: &[String]) -> Result<()> {
    let pythons = pythons::installed(sh).into_iter().map(|python| {
        let venv = Venv::of(sh, python);
        let extent = Extent {
            all_pythons: true,
            embeds: venv.has(Need::Library),
            installs: venv.has(Need::Ensurepip),
            uvloop: venv.has(Need::Ensurepip),
            testsuite: venv.has(Need::Testsuite),
        };
        (venv, extent)
    });
    let pythons: Vec<_> = pythons.collect();
    println!("found {} Pythons from 3.9 on", pythons.len());
    for (venv, extent) in &pythons {
        println!("{}{}", venv.base(), extent.lack());
    }
    let (venv, _) = pythons
        .first()
        .ok_or("there is no Python to test: install CPython 3.9 or newer")?;
    let all = Extent {
        all_pythons: true,
        ..Extent::DEFAULT
    };
    // A name that no step has is a mistake, unlike one of a step that this or that Python lacks.
    if is_answered_by_the_list(venv, all, names)? {
        return Ok(());
    }
    let verdicts = pythons.iter().map(|(venv, extent)| {
        println!("\n##### {}", venv.base());
        run_on(venv, *extent, names)
    });
    let verdicts: Vec<_> = verdicts.collect();
    println!("\n##### summary");
    let mut failed = Vec::new();
    for ((venv, extent), verdict) in pythons.iter().zip(verdicts) {
        let verdict = verdict.unwrap_or_else(|error| {
            failed.push(venv.base().version.as_str());
            format!("FAILED: {error}")
        });
        println!("{} {verdict}{}", venv.base(), extent.lack());
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("tests failed on Python {}", failed.join(", ")).into())
}

/// Runs what can be run on a Python, and says how it went.
fn run_on(venv: &Venv<'_>, mut extent: Extent, names: &[String]) -> Result<String> {
    if extent.installs {
        venv.make(REQUIREMENTS)?;
        extent.uvloop = venv.add_uvloop();
    }
    venv.print_environment();
    let Ok(steps) = steps::select(steps(venv, extent), names) else {
        return Ok("has none of these steps".to_owned());
    };
    if steps.is_empty() {
        return Ok("was not tested: there is no step that it can run".to_owned());
    }
    let outcomes = steps::run_all(steps);
    steps::report(&outcomes)?;
    Ok(format!("passed all of {} steps", outcomes.len()))
}

fn steps<'sh>(venv: &Venv<'sh>, extent: Extent) -> Vec<Step<'sh>> {
    let mut steps = Vec::new();
    if extent.embeds {
        steps.extend(rust(venv, extent));
    }
    if extent.installs {
        steps.extend(python(venv, extent));
    }
    steps.extend(examples(venv, extent));
    steps
}

/// Unit, integration, compile-fail and doc tests, and the loom models.
fn rust<'sh>(venv: &Venv<'sh>, extent: Extent) -> Vec<Step<'sh>> {
    // Each runtime is one test binary, `on_…`, with every behaviour on both loops and with both doorbells.
    let mut workspace = "test --workspace --all-features --no-fail-fast".to_owned();
    // One binary is enough to see that the ABI does not matter. Doc tests are examples of the API, which is the same; the
    // load is that of `python-abi3`.
    let mut abi3 =
        "test --package pyo3-asyncio --lib --test on_tokio --test entry_points --all-features \
                    --features pyo3/abi3-py39 --no-fail-fast -- --skip behaviour::load"
            .to_owned();
    if !extent.uvloop {
        workspace.push_str(" -- --skip uvloop");
        abi3.push_str(" --skip uvloop");
    }
    let mut steps = vec![
        Step::new("rust", venv.cargo(&workspace)),
        Step::new("abi3", venv.cargo(&abi3)),
    ];
    if !extent.all_pythons {
        const LOOM: &str = "test --package pyo3-asyncio --lib --release --all-features --target-dir target/loom loom";
        let loom = Step::new("loom", venv.cargo(LOOM));
        steps.push(loom.with("RUSTFLAGS", "--cfg pyo3_asyncio_loom"));
    }
    steps
}

/// Where the type stubs go.
const STUBS: &str = "target/stubs";

/// The tests that stand on Python's side.
fn python<'sh>(venv: &Venv<'sh>, extent: Extent) -> Vec<Step<'sh>> {
    // A process of the tests covers one doorbell and one runtime.
    let run = |name, doorbell, runtime| {
        let arguments = ["--doorbell", doorbell, "--runtime", runtime];
        let mut command = venv.python(["-m", "pytest", "pytests"]).args(arguments);
        if name != "python" {
            command = command.arg("--brief");
        }
        if name == "python-debug" {
            // asyncio notes the stack of every future then: a hundred thousand of them take minutes.
            command = command.arg("--ignore=pytests/tests/test_load.py");
        }
        if !extent.testsuite {
            command = command.arg("--ignore-glob=pytests/tests/test_cpython_*.py");
        }
        Step::new(name, command)
    };
    let pytests =
        |name, doorbell, runtime| run(name, doorbell, runtime).after(venv.maturin("pytests", &[]));
    let (reader, helper) = ("add_reader", "call_soon_threadsafe");
    let mut steps = vec![
        pytests("python", reader, "tokio"),
        pytests("python-current-thread", reader, "tokio_current_thread"),
        pytests("python-async-std", reader, "async_std"),
        pytests("python-smol", reader, "smol"),
        pytests("python-doorbell", helper, "tokio"),
        pytests("python-debug", reader, "tokio").with("PYTHONASYNCIODEBUG", "1"),
    ];
    if extent.all_pythons {
        steps.extend([
            pytests(
                "python-doorbell-current-thread",
                helper,
                "tokio_current_thread",
            ),
            pytests("python-doorbell-async-std", helper, "async_std"),
            pytests("python-doorbell-smol", helper, "smol"),
        ]);
    }
    steps.extend(programs(venv));
    // The extension module as it is given to others, for every Python at once.
    let abi3 = venv.maturin("pytests", &["--features", "pyo3/abi3-py39"]);
    steps.push(run("python-abi3", reader, "tokio").after(abi3));
    if !extent.all_pythons {
        // What a type checker reads depends on no Python.
        let stubs = ["-m", "mypy", "--warn-unused-ignores", "pytests/stubs"];
        let stubs = Step::new("stubs", venv.python(stubs)).with("MYPYPATH", STUBS);
        steps.push(stubs.after(venv.stubs("pytests", STUBS)));
    }
    steps
}

/// The programs that look for what no test was written for, each for a moment.
fn programs<'sh>(venv: &Venv<'sh>) -> Vec<Step<'sh>> {
    let program = |name, minutes| {
        let program = format!("pytests/{name}");
        Step::new(name, venv.python([&program, "--minutes", minutes]))
            .after(venv.maturin("pytests", &[]))
    };
    vec![program("stress", "1"), program("fuzz", "0.2")]
}

/// The programs of `examples`.
fn examples<'sh>(venv: &Venv<'sh>, extent: Extent) -> Vec<Step<'sh>> {
    const USE_OF_MODULE: &str = "\
import asyncio
from my_async_module import rust_sleep

async def main():
    await rust_sleep()

asyncio.run(main())";
    let mut steps = Vec::new();
    if extent.installs {
        steps.extend([
            Step::new(
                "example-scan",
                venv.python(["-m", "pytest", "examples/scan/tests"]),
            )
            .after(venv.maturin("examples/scan", &[])),
            Step::new("example-module", venv.python(["-c", USE_OF_MODULE]))
                .after(venv.maturin("examples/my_async_module", &[])),
        ]);
    }
    if extent.embeds {
        steps.extend([
            Step::new(
                "example-application",
                venv.cargo("run --package rust_application"),
            ),
            Step::new(
                "example-custom-runtime",
                venv.cargo("run --package pyo3-asyncio --all-features --example custom_runtime"),
            ),
        ]);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::Python;

    fn names(extent: Extent) -> Vec<&'static str> {
        let sh = Shell::new().unwrap();
        let venv = Venv::of(&sh, Python::find(&sh, None).unwrap());
        let steps = steps(&venv, extent);
        steps.iter().map(Step::name).collect()
    }

    const ALL: Extent = Extent {
        all_pythons: true,
        ..Extent::DEFAULT
    };

    #[test]
    fn all_pythons_run_what_depends_on_python_and_each_doorbell_on_each_runtime() {
        let (one, all) = (names(Extent::DEFAULT), names(ALL));
        let left_out: Vec<_> = one.iter().filter(|name| !all.contains(name)).collect();
        assert_eq!(left_out, [&"loom", &"stubs"]);
        let doorbell = all.iter().filter(|name| name.contains("doorbell"));
        assert_eq!(doorbell.count(), 4);
    }

    #[test]
    fn what_is_not_there_for_a_python_leaves_out_its_tests_alone() {
        let sh = Shell::new().unwrap();
        let venv = Venv::of(&sh, Python::find(&sh, None).unwrap());
        let lines =
            |extent| -> Vec<String> { steps(&venv, extent).iter().map(Step::text).collect() };
        let bare = Extent {
            uvloop: false,
            testsuite: false,
            ..Extent::DEFAULT
        };
        let without = [
            " -- --skip uvloop",
            " --skip uvloop",
            " --ignore-glob=pytests/tests/test_cpython_*.py",
        ];
        let (all, bare) = (lines(Extent::DEFAULT), lines(bare));
        for (line, bare) in all.iter().zip(&bare) {
            let left_out = bare.strip_prefix(line.as_str()).unwrap();
            let runs_tests = line.contains("pytest pytests")
                || line.contains("cargo test") && !line.contains("loom");
            assert_eq!(without.contains(&left_out), runs_tests, "{bare}");
        }
    }

    #[test]
    fn what_a_python_lacks_leaves_out_what_needs_it() {
        let embeds = false;
        let without_library = names(Extent { embeds, ..ALL });
        let installs = false;
        let without_packages = names(Extent { installs, ..ALL });
        for step in names(ALL) {
            let ran = (
                without_library.contains(&step),
                without_packages.contains(&step),
            );
            assert!(ran.0 ^ ran.1, "{step} needs one of the two: {ran:?}");
        }
        assert!(without_library.contains(&"python"));
        assert!(without_packages.contains(&"rust"));
        assert!(
            names(Extent {
                embeds,
                installs,
                ..ALL
            })
            .is_empty()
        );
    }
}
