//! Starts the test program, and looks at what it prints and how it ends.

use std::process::{Command, Output};

#[cfg(unix)]
#[path = "../../interruptible/mod.rs"]
mod interruptible;

const SUITE: &str = env!("CARGO_BIN_EXE_suite");

fn suite(arguments: &[&str]) -> Command {
    with_arguments(Command::new(SUITE), arguments)
}

fn with_arguments(mut suite: Command, arguments: &[&str]) -> Command {
    suite
        .args(arguments)
        .env("RUST_BACKTRACE", "0")
        .env_remove("RUST_TEST_THREADS");
    suite
}

fn run(arguments: &[&str]) -> Output {
    suite(arguments).output().expect("the suite can be started")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What was said of each test, in the order of their names: tests that run at once end in any order.
fn verdicts(output: &Output) -> Vec<String> {
    let printed = stdout(output);
    let lines = printed.lines().filter(|line| line.contains(" ... "));
    let mut lines: Vec<_> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    lines.sort();
    lines
}

#[track_caller]
fn assert_ends(output: &Output, status: i32, summary: &str) {
    let printed = stdout(output);
    assert_eq!(
        output.status.code(),
        Some(status),
        "{printed}{}",
        stderr(output)
    );
    assert!(printed.contains(summary), "{summary:?} is not in {printed}");
}

/// The report of one failure, without its title.
fn report(output: &Output, test: &str) -> String {
    let printed = stdout(output);
    let title = format!("---- {test} ----\n");
    let (_, report) = printed
        .split_once(&title)
        .unwrap_or_else(|| panic!("no report of {test}: {printed}"));
    let end = report.find("\n\n").unwrap_or(report.len());
    report[..end].to_owned()
}

#[test]
fn every_test_runs_whatever_becomes_of_the_others() {
    let output = run(&[]);
    assert_ends(
        &output,
        101,
        "test result: FAILED. 6 passed; 9 failed; 7 ignored; 0 measured; 0 filtered out;",
    );
    assert_eq!(
        verdicts(&output),
        [
            "test failing::gives_an_error_of_rust ... FAILED",
            "test failing::panics ... FAILED",
            "test failing::panics_while_it_blocks ... FAILED",
            "test failing::raises ... FAILED",
            "test failing::raises_in_a_box ... FAILED",
            "test ignored::for_a_reason ... ignored (it takes a day)",
            "test ignored::for_none ... ignored",
            "test panicking::as_it_should ... ok",
            "test panicking::but_an_error ... FAILED",
            "test panicking::not_at_all ... FAILED",
            "test panicking::with_another_text ... FAILED",
            "test panicking::with_the_expected_text ... ok",
            "test passing::blocks ... ok",
            "test passing::prints ... ok",
            "test passing::sleeps ... ok",
            "test started::alone ... ignored (needs to be alone)",
            "test started::alone_too ... ignored (needs to be alone)",
            "test started::meets_the_other ... ignored (needs the other one)",
            "test started::meets_the_other_in_a_thread ... ignored (needs the other one)",
            "test started::waits_to_be_interrupted ... ignored (does not end)",
            "test twins::one::same_name ... ok",
            "test twins::two::same_name ... FAILED",
        ]
    );
    // Nothing but the panics' own messages: the exit is no error of Python's.
    assert!(
        !stderr(&output).contains("SystemExit"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_run_without_a_failure_exits_with_0() {
    let output = run(&["passing"]);
    assert_ends(
        &output,
        0,
        "test result: ok. 3 passed; 0 failed; 0 ignored;",
    );
}

#[test]
fn a_failure_is_reported_with_what_caused_it() {
    let output = run(&["failing"]);
    let raised = report(&output, "failing::raises");
    assert!(
        raised.starts_with("Traceback (most recent call last):\n"),
        "{raised}"
    );
    assert!(raised.contains("in fails\n"), "{raised}");
    assert!(raised.ends_with("\nLookupError: deep down"), "{raised}");
    let boxed = report(&output, "failing::raises_in_a_box");
    assert_eq!(
        boxed,
        "ModuleNotFoundError: No module named 'no_such_module'"
    );
    let panicked = report(&output, "failing::panics");
    assert_eq!(panicked, "test panicked: the test's own text");
    let panicked = report(&output, "failing::panics_while_it_blocks");
    assert!(
        panicked.starts_with("test panicked: a value that is not text"),
        "{panicked}"
    );
    let rust = report(&output, "failing::gives_an_error_of_rust");
    assert_eq!(rust, "ParseIntError { kind: InvalidDigit }");
    let list = "failures:\n    failing::";
    assert!(stdout(&output).contains(list), "{}", stdout(&output));
}

#[test]
fn a_panic_names_the_test_and_the_place() {
    let output = run(&["failing::panics", "--exact"]);
    let printed = stderr(&output);
    assert!(printed.contains("thread 'failing::panics'"), "{printed}");
    assert!(printed.contains("src/suite.rs"), "{printed}");
}

#[test]
fn a_test_that_should_panic_fails_if_it_does_not() {
    let output = run(&["panicking"]);
    assert_ends(&output, 101, "2 passed; 3 failed;");
    let other_text = report(&output, "panicking::with_another_text");
    assert!(
        other_text.contains("panicked: \"on purpose\""),
        "{other_text}"
    );
    assert!(
        other_text.contains("expected: \"by accident\""),
        "{other_text}"
    );
    let not_at_all = report(&output, "panicking::not_at_all");
    assert_eq!(not_at_all, "the test did not panic, as it should have");
    let error = report(&output, "panicking::but_an_error");
    assert_eq!(error, "LookupError: no panic");
}

#[test]
fn tests_of_one_name_are_told_apart_by_their_modules() {
    let output = run(&["twins::one::same_name", "--exact"]);
    assert_eq!(verdicts(&output), ["test twins::one::same_name ... ok"]);
    assert_ends(&output, 0, "1 passed; 0 failed;");
    let output = run(&["same_name"]);
    assert_ends(&output, 101, "1 passed; 1 failed;");
}

#[test]
fn a_filter_is_a_part_of_the_name_and_skip_takes_away() {
    let output = run(&["ing::", "--skip", "panic", "--skip", "failing"]);
    assert_ends(
        &output,
        0,
        "3 passed; 0 failed; 0 ignored; 0 measured; 19 filtered out;",
    );
    let output = run(&["pass", "--exact"]);
    assert_ends(
        &output,
        0,
        "0 passed; 0 failed; 0 ignored; 0 measured; 22 filtered out;",
    );
}

#[test]
fn several_filters_select_what_one_of_them_does() {
    let output = run(&["twins::one", "--skip", "panic", "ignored::for_none"]);
    assert_eq!(
        verdicts(&output),
        [
            "test ignored::for_none ... ignored",
            "test twins::one::same_name ... ok"
        ]
    );
    let counts = "1 passed; 0 failed; 1 ignored; 0 measured; 20 filtered out;";
    assert_ends(&output, 0, counts);
    let output = run(&["same_name", "twins::one::same_name", "--exact"]);
    assert_ends(&output, 0, "1 passed; 0 failed;");
    let output = run(&["twins::", "ignored::for", "--skip", "one"]);
    assert_ends(&output, 101, "0 passed; 1 failed; 1 ignored;");
}

#[test]
fn ignored_tests_run_if_they_are_asked_for() {
    let output = run(&["ignored", "--ignored"]);
    assert_eq!(
        verdicts(&output),
        [
            "test ignored::for_a_reason ... ok",
            "test ignored::for_none ... ok"
        ]
    );
    let output = run(&["--include-ignored", "--skip", "started", "--skip", "ing"]);
    assert_ends(&output, 101, "3 passed; 1 failed; 0 ignored;");
}

#[test]
fn as_many_tests_run_at_once_as_there_are_threads_for() {
    let output = run(&["started::meets", "--ignored", "--test-threads", "2"]);
    assert_ends(&output, 0, "2 passed; 0 failed;");
    let output = run(&["started::alone", "--ignored", "--test-threads=1"]);
    assert_ends(&output, 0, "2 passed; 0 failed;");
    let output = suite(&["started::alone", "--ignored"])
        .env("RUST_TEST_THREADS", "1")
        .output()
        .unwrap();
    assert_ends(&output, 0, "2 passed; 0 failed;");
}

#[test]
fn no_threads_at_all_is_an_error_that_says_what_to_write() {
    let output = run(&["--test-threads", "0"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let printed = stderr(&output);
    assert!(
        printed.contains("ValueError: `--test-threads` cannot be 0"),
        "{printed}"
    );
}

#[test]
fn an_unknown_argument_is_refused() {
    let output = run(&["--no-such-flag"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("--no-such-flag"), "{output:?}");
}

#[test]
fn tests_that_are_made_by_hand_run_inside_of_the_runtime() {
    let output = Command::new(env!("CARGO_BIN_EXE_by_hand"))
        .output()
        .unwrap();
    // What becomes of the tests is for its `main` to say.
    assert_ends(&output, 0, "test result: FAILED. 1 passed; 2 failed;");
    assert_eq!(report(&output, "panics"), "test panicked: by hand");
    let report = report(&output, "panics before it begins");
    assert_eq!(report, "test panicked: nothing is made of this");
}

/// What `cargo nextest` does: it asks for the names, and starts a process for each.
/// https://nexte.st/docs/design/custom-test-harnesses/
mod nextest {
    use super::*;

    fn list(arguments: &[&str]) -> Vec<String> {
        let arguments = [&["--list", "--format", "terse"], arguments].concat();
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(stderr(&output), "");
        stdout(&output).lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_list_has_a_line_for_every_test_and_nothing_else() {
        let all = list(&[]);
        assert_eq!(all.len(), 22);
        assert!(all.iter().all(|line| line.ends_with(": test")), "{all:?}");
        let mut ignored = list(&["--ignored"]);
        ignored.sort();
        assert_eq!(
            ignored[..2],
            ["ignored::for_a_reason: test", "ignored::for_none: test"]
        );
        assert_eq!(ignored.len(), 7);
    }

    /// Those of the suite that fail, wherever they run.
    const FAILING: [&str; 9] = [
        "failing::gives_an_error_of_rust",
        "failing::panics",
        "failing::panics_while_it_blocks",
        "failing::raises",
        "failing::raises_in_a_box",
        "panicking::but_an_error",
        "panicking::not_at_all",
        "panicking::with_another_text",
        "twins::two::same_name",
    ];

    #[test]
    fn every_test_of_the_list_has_its_own_verdict_in_a_process_of_its_own() {
        let ignored = list(&["--ignored"]);
        for line in list(&[]) {
            let name = line.strip_suffix(": test").unwrap();
            if name.starts_with("started::") {
                // They wait for each other, or for ever.
                continue;
            }
            let mut arguments = vec![name, "--exact", "--nocapture"];
            arguments.extend(ignored.contains(&line).then_some("--ignored"));
            let output = run(&arguments);
            let (status, verdict, summary) = if FAILING.contains(&name) {
                (101, "FAILED", "0 passed; 1 failed; 0 ignored;")
            } else {
                (0, "ok", "1 passed; 0 failed; 0 ignored;")
            };
            assert_ends(&output, status, summary);
            assert_eq!(verdicts(&output), [format!("test {name} ... {verdict}")]);
        }
    }

    #[test]
    fn an_ignored_test_does_not_run_unless_it_is_asked_for() {
        let output = run(&["ignored::for_none", "--exact", "--nocapture"]);
        assert_ends(&output, 0, "0 passed; 0 failed; 1 ignored;");
    }

    #[test]
    fn what_a_test_prints_is_passed_on_with_the_flag_that_says_so_and_without() {
        for flag in [None, Some("--nocapture"), Some("--no-capture")] {
            let mut arguments = vec!["passing::prints", "--exact"];
            arguments.extend(flag);
            let output = run(&arguments);
            assert_ends(&output, 0, "printed by a test\n");
        }
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_run() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    use rustix::process::{Pid, Signal, kill_process};

    let suite = interruptible::interruptible(SUITE);
    let mut suite = with_arguments(suite, &["started::waits_to_be_interrupted", "--ignored"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the suite can be started");
    let stdout = suite.stdout.take().expect("it is a pipe");
    let mut lines = BufReader::new(stdout).lines();
    let is_ready = lines.any(|line| line.expect("the suite prints text") == "ready");
    assert!(is_ready, "the suite ended before its test had begun");
    kill_process(Pid::from_child(&suite), Signal::INT).expect("the suite runs");
    let status = suite.wait().expect("the suite ends");
    assert_eq!(status.code(), Some(130), "{status}");
    // No verdict on the test, which nobody has.
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().all(|line| !line.contains("FAILED")), "{rest:?}");
}
