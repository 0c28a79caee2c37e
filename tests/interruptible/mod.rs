//! Starts programs that Ctrl-C can interrupt.

use std::process::Command;

/// Resets the signal and becomes the program, whose process id it keeps.
const LAUNCHER: &str = "\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])";

/// A command that starts `program` with SIGINT's default disposition.
///
/// A program inherits an ignored signal, and a shell ignores SIGINT for what it starts in the background: `cargo test &`
/// would otherwise start programs that cannot be interrupted. std offers no safe way to reset a signal in a child.
pub(crate) fn interruptible(program: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-I", "-S", "-c", LAUNCHER, program]);
    command
}
