//! Runs the guide's Python programs, which import its native modules. `cargo test --package guide` builds the modules.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

/// A native module of `examples`, with the name of its import. Each test copies it to its own directory.
struct Module {
    example: &'static str,
    name: &'static str,
}

impl Module {
    /// "Build your module and rename `libmy_async_module.so` to `my_async_module.so`". Returns the directory.
    fn rename_for(&self, test: &str) -> PathBuf {
        let tests = env::current_exe().expect("the path of the test is known");
        let profile = tests
            .ancestors()
            .nth(2)
            .expect("it is in target/PROFILE/deps");
        let library = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", self.example);
        let built = profile.join("examples").join(library);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        fs::create_dir_all(&directory).expect("a directory can be made in target");
        let suffix = if cfg!(windows) { "pyd" } else { "so" };
        let renamed = directory.join(self.name).with_extension(suffix);
        // Write a new file: a process may still have the old one loaded.
        let _ = fs::remove_file(&renamed);
        fs::copy(&built, &renamed).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; `cargo build --package guide --examples` makes it",
                built.display()
            )
        });
        directory
    }

    /// Starts a program of `python` with arguments.
    fn start(&self, program: &str, arguments: &[&str]) -> Child {
        let test = [&[self.example, program], arguments].concat().join("-");
        Command::new(if cfg!(windows) { "python" } else { "python3" })
            .args(["-W", "ignore::DeprecationWarning"])
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("python")
                    .join(program),
            )
            .args(arguments)
            .env("PYTHONPATH", self.rename_for(&test))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the Python that this was built for is on the PATH")
    }
}

/// The time that each program sleeps.
const SLEEP: Duration = Duration::from_secs(1);

/// Runs a program of `python` with each of the modules, and asserts that it sleeps, succeeds and prints nothing.
#[track_caller]
fn assert_sleeps_silently(modules: &[Module], program: &str, arguments: &[&str]) {
    let started = modules
        .iter()
        .map(|module| (Instant::now(), module.start(program, arguments)));
    // The programs sleep at the same time.
    let started: Vec<_> = started.collect();
    for (module, (begin, child)) in modules.iter().zip(started) {
        let output = child.wait_with_output().expect("the program ends");
        let took = begin.elapsed();
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        let example = module.example;
        assert!(
            output.status.success(),
            "{program} with {example}: {printed}"
        );
        assert_eq!(printed, "", "{program} with {example}");
        assert!(took >= SLEEP, "{program} with {example} took {took:?}");
    }
}

/// Three forms of the module that sleeps in Rust, on async-std and on tokio.
const SLEEPING: [Module; 3] = [
    Module {
        example: "quickstart_async_std",
        name: "my_async_module",
    },
    Module {
        example: "quickstart_tokio",
        name: "my_async_module",
    },
    Module {
        example: "uvloop_extension",
        name: "my_async_module",
    },
];

/// The module that awaits an `async fn`.
const AWAITING_RUST: [Module; 1] = [Module {
    example: "awaiting_rust",
    name: "example",
}];

/// The three forms of the module that calls back to Python.
const MY_MODS: [Module; 3] = [
    Module {
        example: "with_loop",
        name: "my_mod",
    },
    Module {
        example: "scope",
        name: "my_mod",
    },
    Module {
        example: "compact",
        name: "my_mod",
    },
];

#[test]
fn a_coroutine_awaits_a_native_module() {
    assert_sleeps_silently(&SLEEPING, "native_module.py", &[]);
}

#[test]
fn a_coroutine_awaits_a_rust_future() {
    assert_sleeps_silently(&AWAITING_RUST, "awaiting_rust.py", &[]);
}

/// The guide: "You might be surprised to find out that this throws an error".
#[test]
fn asyncio_run_accepts_the_result_of_a_native_function() {
    assert_sleeps_silently(&SLEEPING, "asyncio_run.py", &[]);
}

#[test]
fn a_rust_future_awaits_python_and_other_rust_futures() {
    assert_sleeps_silently(&MY_MODS, "sleep.py", &[]);
}

#[cfg(unix)]
#[test]
fn a_coroutine_awaits_a_native_module_on_uvloop() {
    assert_sleeps_silently(&SLEEPING, "uvloop_extension.py", &[]);
}

#[cfg(unix)]
#[test]
fn a_rust_future_awaits_python_on_uvloop() {
    assert_sleeps_silently(&MY_MODS, "sleep.py", &["uvloop"]);
}
