//! How a command ends that is there to run a program.

use std::{env, process::Command};

use xshell::Cmd;

use crate::Result;

/// Becomes the program, in the user's own directory: Ctrl-C then reaches it alone, and it takes its time to end well.
pub(crate) fn hand_over(command: Cmd<'_>) -> Result<()> {
    println!("$ {command}");
    let mut command = Command::from(command);
    command.current_dir(env::current_dir()?);
    #[cfg(unix)]
    return Err(std::os::unix::process::CommandExt::exec(&mut command).into());
    #[cfg(not(unix))]
    match command.status()? {
        status if status.success() => Ok(()),
        status => Err(format!("the program ended with {status}").into()),
    }
}
