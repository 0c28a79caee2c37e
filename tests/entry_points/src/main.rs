//! The programs: the first argument names the one to be.
//!
//! Each is an `async fn main` in a module of its own. A program prints `ready` when it waits to be interrupted.

use std::process::ExitCode;

mod ends;
mod runs_on;
mod waits;

fn main() -> ExitCode {
    let program = std::env::args().nth(1).unwrap_or_default();
    match program.as_str() {
        "returns" => ends::returning::main(),
        "raises" => ends::raising::main(),
        "fails with an error of its own" => ends::failing_in_its_own_way::main(),
        "panics" => ends::panicking::main(),
        "exits with 3" => ends::exiting::main(),
        "exits with a text" => ends::exiting_with_text::main(),
        "exits with nothing" => ends::exiting_with_nothing::main(),
        "prints without a newline" => ends::printing::main(),
        "runs on multi_thread" => runs_on::multi_thread::main(),
        "runs on current_thread" => runs_on::current_thread::main(),
        "runs on uvloop" => runs_on::uvloop::main(),
        #[cfg(unix)]
        "runs in one thread" => runs_on::one_thread::main(),
        "looks for a package" => runs_on::packages::main(),
        "waits in Rust" => waits::in_rust::main(),
        "waits in Python" => waits::in_python::main(),
        "waits on current_thread" => waits::on_current_thread::main(),
        "waits on uvloop" => waits::on_uvloop::main(),
        #[cfg(unix)]
        "waits in one thread" => waits::in_one_thread::main(),
        "waits in a clean-up without end" => waits::in_endless_clean_up::main(),
        "waits with a handler of its own" => waits::with_own_handler::main(),
        "waits in run" => waits::in_run(),
        #[cfg(target_os = "linux")]
        "waits while another thread takes signals" => waits::while_another_thread_takes_signals(),
        "waits in run_forever" => waits::in_run_forever(),
        _ => {
            eprintln!("there is no program {program:?}");
            ExitCode::from(64)
        }
    }
}
