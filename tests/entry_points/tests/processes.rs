//! Starts the programs, interrupts those that wait, and looks at what they print and how they end.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const PROGRAMS: &str = env!("CARGO_BIN_EXE_entry-points");

fn start(mut command: Command, program: &str) -> Child {
    command
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started")
}

fn end_of(program: &str) -> Output {
    let child = start(Command::new(PROGRAMS), program);
    child.wait_with_output().expect("the program ends")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_main_that_returns_exits_with_0_and_prints_nothing() {
    let output = end_of("returns");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stdout(&output) + &stderr(&output), "");
}

#[test]
fn a_main_that_fails_exits_with_1_and_prints_the_traceback() {
    let output = end_of("raises");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = stderr(&output);
    assert!(
        printed.starts_with("Traceback (most recent call last):"),
        "{printed}"
    );
    assert!(printed.contains("in fails"), "{printed}");
    assert!(printed.ends_with("LookupError: deep down\n"), "{printed}");
}

#[test]
fn a_main_that_fails_with_an_error_of_its_own_prints_what_that_stands_for() {
    let output = end_of("fails with an error of its own");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(stderr(&output), "ValueError: misconfigured\n");
}

#[test]
fn a_main_that_panics_exits_with_1_and_prints_the_text() {
    let output = end_of("panics");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = stderr(&output);
    assert!(
        printed.contains("RustPanic: rust future panicked: the program's own text"),
        "{printed}"
    );
}

#[test]
fn system_exit_chooses_the_status() {
    let output = end_of("exits with 3");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn system_exit_with_a_text_prints_it_and_exits_with_1() {
    let output = end_of("exits with a text");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(stderr(&output), "that is all\n");
}

#[test]
fn system_exit_with_nothing_exits_with_0() {
    let output = end_of("exits with nothing");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn what_python_has_buffered_is_printed_at_the_end() {
    let output = end_of("prints without a newline");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stdout(&output), "buffered");
}

#[test]
fn the_attribute_chooses_the_runtime_and_its_threads() {
    assert_eq!(
        stdout(&end_of("runs on multi_thread")),
        "MultiThread 3 asyncio\n"
    );
    assert_eq!(
        stdout(&end_of("runs on current_thread")),
        "CurrentThread 1 asyncio\n"
    );
}

#[cfg(unix)]
#[test]
fn a_main_sees_the_packages_of_the_active_virtual_environment() {
    let printed = |environment: &Path| {
        let output = Command::new(PROGRAMS)
            .arg("looks for a package")
            .env("VIRTUAL_ENV", environment)
            // Where an embedded interpreter finds its environment by itself.
            .env("PATH", environment.join("nothing"))
            .output();
        stdout(&output.expect("the program can be started"))
    };
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("second-environment");
    let before = printed(&environment.join("missing"));
    assert!(before.contains("No module named"), "{before}");
    let version = before.split(' ').next().expect("it prints the version");
    let packages = environment.join(format!("lib/python{version}/site-packages"));
    fs::create_dir_all(&packages).expect("it can be made");
    let marker = packages.join("pyo3_asyncio_marker.py");
    fs::write(marker, "NAME = 'marked'\n").expect("it can be written");
    assert_eq!(printed(&environment), format!("{version} marked\n"));
}

#[cfg(unix)]
#[test]
fn the_attribute_chooses_uvloop() {
    let output = end_of("runs on uvloop");
    assert_eq!(
        stdout(&output),
        "MultiThread 1 uvloop\n",
        "these tests need uvloop: pip install uvloop\n{output:?}"
    );
}

#[cfg(all(unix, not(pyo3_asyncio_no_unix)))]
#[test]
fn the_attribute_puts_tokio_on_the_main_thread() {
    assert_eq!(stdout(&end_of("runs in one thread")), "true true\n");
}

#[cfg(unix)]
#[path = "../../interruptible/mod.rs"]
mod interruptible;

#[cfg(unix)]
mod interrupted {
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::thread;
    use std::time::Duration;

    use rustix::process::{Pid, Signal, kill_process};

    use super::interruptible::interruptible;
    use super::*;

    /// Ends a test that would hang. No test passes because of it: a killed program has no status.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Waits for each of the lines and interrupts the program when it comes; gives what is printed after the last.
    fn interrupt_at(program: &str, lines: &[&str]) -> (String, Output) {
        let mut child = start(interruptible(PROGRAMS), program);
        let pid = Pid::from_child(&child);
        let (_ends, has_ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            if has_ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                kill_process(pid, Signal::KILL).expect("it is ours");
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        for expected in lines {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("it is text");
            if line.trim_end() != *expected {
                let output = child.wait_with_output();
                panic!("{program} printed {line:?} instead of {expected:?}: {output:?}");
            }
            kill_process(pid, Signal::INT).expect("it is ours");
        }
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).expect("it is text");
        (rest, child.wait_with_output().expect("the program ends"))
    }

    const RUST_THEN_PYTHON: [&str; 2] = ["cleaned up in Rust", "cleaned up in Python"];

    #[track_caller]
    fn assert_cleans_up_and_exits_with_130(program: &str, cleaned_up: &[&str]) {
        let (rest, output) = interrupt_at(program, &["ready"]);
        assert_eq!(rest.lines().collect::<Vec<_>>(), cleaned_up, "{output:?}");
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        assert_eq!(stderr(&output), "");
    }

    #[test]
    fn ctrl_c_drops_the_main_future_before_the_program_exits_with_130() {
        assert_cleans_up_and_exits_with_130("waits in Rust", &["cleaned up in Rust"]);
    }

    #[test]
    fn ctrl_c_lets_the_python_task_that_main_awaits_clean_up() {
        for program in ["waits in Python", "waits on current_thread"] {
            assert_cleans_up_and_exits_with_130(program, &RUST_THEN_PYTHON);
        }
    }

    #[test]
    fn ctrl_c_lets_the_python_task_that_main_awaits_clean_up_on_uvloop() {
        assert_cleans_up_and_exits_with_130("waits on uvloop", &RUST_THEN_PYTHON);
    }

    #[cfg(not(pyo3_asyncio_no_unix))]
    #[test]
    fn ctrl_c_lets_the_python_task_that_main_awaits_clean_up_in_one_thread() {
        assert_cleans_up_and_exits_with_130("waits in one thread", &RUST_THEN_PYTHON);
    }

    #[test]
    fn ctrl_c_ends_run_with_keyboard_interrupt() {
        let cleaned_up = ["cleaned up in Rust", "KeyboardInterrupt"];
        assert_cleans_up_and_exits_with_130("waits in run", &cleaned_up);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn ctrl_c_that_another_thread_takes_wakes_the_loop() {
        let cleaned_up = ["cleaned up in Rust", "KeyboardInterrupt"];
        let program = "waits while another thread takes signals";
        assert_cleans_up_and_exits_with_130(program, &cleaned_up);
    }

    #[test]
    fn ctrl_c_ends_run_forever_with_keyboard_interrupt_when_all_has_cleaned_up() {
        let cleaned_up = ["cleaned up in Python", "KeyboardInterrupt"];
        assert_cleans_up_and_exits_with_130("waits in run_forever", &cleaned_up);
    }

    #[test]
    fn a_second_ctrl_c_does_not_wait_for_the_clean_up() {
        let program = "waits in a clean-up without end";
        let (rest, output) = interrupt_at(program, &["ready", "cleaning up"]);
        assert_eq!(rest, "", "{output:?}");
        assert_eq!(output.status.code(), Some(130), "{output:?}");
    }

    #[test]
    fn a_program_that_handles_ctrl_c_itself_is_not_interrupted() {
        let (rest, output) = interrupt_at("waits with a handler of its own", &["ready"]);
        assert_eq!(rest, "handled\n", "{output:?}");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}
