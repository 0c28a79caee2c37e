//! Finds a Python, and runs `xtask.py` with it: that program has the commands of the project.

use std::process::{Command, ExitCode};
use std::{env, io, path};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/xtask.py");

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1).collect();
    let python = match take_python(&mut arguments) {
        Ok(named) => choose(named),
        Err(error) => return fail(error),
    };
    let mut command = Command::new(&python);
    command.args(["-B", PROGRAM]).args(arguments);
    // With these, Python looks for its modules elsewhere.
    command
        .env_remove("PYTHONHOME")
        .env_remove("PYTHONSAFEPATH");
    match become_program(&mut command) {
        Ok(status) => status,
        Err(error) => fail(&format!(
            "`{python}` does not start ({error}): install Python 3.9 or newer, or name one with `--python PATH`"
        )),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// Ctrl-C then reaches the program alone, which takes its time to end well.
#[cfg(unix)]
fn become_program(command: &mut Command) -> io::Result<ExitCode> {
    Err(std::os::unix::process::CommandExt::exec(command))
}

#[cfg(not(unix))]
fn become_program(command: &mut Command) -> io::Result<ExitCode> {
    let is_success = command.status()?.success();
    Ok(ExitCode::from(u8::from(!is_success)))
}

/// Takes `--python PATH` out of the arguments before `--`.
fn take_python(arguments: &mut Vec<String>) -> Result<Option<String>, &'static str> {
    let options = arguments.iter().take_while(|argument| *argument != "--");
    let Some(at) = options.into_iter().position(|option| option == "--python") else {
        return Ok(None);
    };
    if at + 1 == arguments.len() {
        return Err("--python needs a value behind it");
    }
    Ok(arguments.drain(at..at + 2).nth(1))
}

/// The Python to use. The commands run at the root: a path is made absolute, and a bare name is left to the PATH.
fn choose(named: Option<String>) -> String {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let (usual, in_virtual) = match cfg!(windows) {
        true => ("python", "Scripts/python.exe"),
        false => ("python3", "bin/python"),
    };
    let chosen = named
        .or_else(|| variable("PYO3_PYTHON"))
        .or_else(|| Some(format!("{}/{in_virtual}", variable("VIRTUAL_ENV")?)))
        .unwrap_or_else(|| usual.to_owned());
    match path::absolute(&chosen) {
        Ok(path) if chosen.contains(path::is_separator) => path.display().to_string(),
        _ => chosen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_is_taken_out_wherever_it_stands() {
        for line in ["--python p a b", "a --python p b", "a b --python p"] {
            let mut arguments = line.split(' ').map(str::to_owned).collect();
            let python = take_python(&mut arguments).unwrap();
            assert_eq!(
                (python.as_deref(), arguments.join(" ")),
                (Some("p"), "a b".to_owned())
            );
        }
        assert!(take_python(&mut vec!["--python".to_owned()]).is_err());
    }

    #[test]
    fn a_named_python_goes_before_all_others() {
        assert_eq!(choose(Some("python3.12".to_owned())), "python3.12");
        let path = choose(Some("bin/python3".to_owned()));
        assert!(path.ends_with("/bin/python3") && path::Path::new(&path).is_absolute());
    }
}
