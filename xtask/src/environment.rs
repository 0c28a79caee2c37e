//! A Python with its virtual environment, and the variables under which everything of ours runs.

use std::{
    env, path,
    process::{Command, Stdio},
};

use crate::{Result, root};

/// What `environment.py` has found and made.
#[derive(Debug)]
pub(crate) struct Environment {
    variables: Vec<(String, String)>,
    lacks: Vec<String>,
}

impl Environment {
    /// Makes the virtual environment. An error says what of `needs` is missing, and where to get it.
    pub(crate) fn prepare(python: &str, directory: &str, needs: &[&str]) -> Result<Self> {
        let answer = ask(python, &[&[directory], needs].concat())?;
        let lacks = answer
            .lines()
            .filter_map(|line| line.strip_prefix("lacks "));
        let variables = answer.lines().filter_map(|line| line.split_once('='));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let environment = Environment {
            lacks: lacks.map(str::to_owned).collect(),
            variables: variables.map(owned).collect(),
        };
        for lack in &environment.lacks {
            println!("without {lack}: what needs it is left out");
        }
        // How to make a shell in which a command that is shown can be typed. Each variable begins with what is new in it.
        let mut exports = String::new();
        for (name, value) in environment.variables.iter().filter(|it| it.0 != "PATH") {
            let new = env::split_paths(value).next().unwrap_or_default();
            exports += &format!(" {name}={}", new.display());
        }
        println!("$ export{exports} PATH=$VIRTUAL_ENV/bin:$PATH");
        Ok(environment)
    }

    pub(crate) fn has(&self, need: &str) -> bool {
        self.lacks.iter().all(|lack| lack != need)
    }

    /// Shows and runs it. What it prints is for the user as it is.
    pub(crate) fn run(&self, line: &str) -> Result<()> {
        println!("$ {line}");
        ends_well(self.command(line).stdin(Stdio::null()))
    }

    /// Becomes the program, in the user's own directory: Ctrl-C then reaches it alone, and it takes its time to end well.
    pub(crate) fn become_program(&self, line: &str, arguments: &[String]) -> Result<()> {
        println!("$ {line} {}", arguments.join(" "));
        let mut command = self.command(line);
        command.args(arguments).current_dir(env::current_dir()?);
        #[cfg(unix)]
        return Err(std::os::unix::process::CommandExt::exec(&mut command).into());
        #[cfg(not(unix))]
        ends_well(&mut command)
    }

    fn command(&self, line: &str) -> Command {
        let (variables, program, arguments) = words(line);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(root())
            // Each would have PyO3 or Python itself look elsewhere.
            .env_remove("CONDA_PREFIX")
            .env_remove("PYTHONHOME")
            .env_remove("VIRTUAL_ENV")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(variables);
        command
    }
}

type Words<'a> = (Vec<(&'a str, &'a str)>, &'a str, Vec<&'a str>);

/// The variables that a line begins with, its program and its arguments. None of them has a blank in it.
fn words(line: &str) -> Words<'_> {
    let mut words = line.split_whitespace().peekable();
    let mut variables = Vec::new();
    while let Some(variable) = words.peek().and_then(|word| word.split_once('=')) {
        variables.push(variable);
        words.next();
    }
    let program = words.next().expect("a line has a program");
    (variables, program, words.collect())
}

fn ends_well(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status();
    let status = status.map_err(|error| format!("`{program}` does not start: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`{program}` ended with {status}").into())
}

/// Every CPython that is new enough.
pub(crate) fn all_pythons(python: &str) -> Result<Vec<String>> {
    let found = ask(python, &["--all"])?;
    Ok(found.lines().map(str::to_owned).collect())
}

/// What `environment.py` prints. It tells the user itself what it does and what is wrong.
fn ask(python: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(python)
        .arg(root().join("xtask/src/environment.py"))
        .args(arguments)
        .current_dir(root())
        .env_remove("PYTHONHOME")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            format!("`{python}` does not start ({error}): install Python 3.9 or newer, or name one with `--python PATH`")
        })?;
    if !output.status.success() {
        return Err(format!("`{python}` cannot be used").into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The Python to use. Our commands run at the root: a path is made absolute, and a bare name is left to the PATH.
pub(crate) fn choose(named: Option<String>) -> String {
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
    fn a_line_begins_with_its_variables() {
        let line = "RUSTFLAGS=--cfg=loom A= cargo test --config x=y";
        let variables = vec![("RUSTFLAGS", "--cfg=loom"), ("A", "")];
        let arguments = vec!["test", "--config", "x=y"];
        assert_eq!(words(line), (variables, "cargo", arguments));
    }

    #[test]
    fn a_named_python_goes_before_all_others() {
        assert_eq!(choose(Some("python3.12".to_owned())), "python3.12");
        let path = choose(Some("bin/python3".to_owned()));
        assert!(path.ends_with("/bin/python3") && path::Path::new(&path).is_absolute());
    }
}
