//! What every command takes.

use crate::Result;

/// The arguments behind a command's name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// `--python`
    pub(crate) python: Option<String>,
    /// `--all-pythons`
    pub(crate) all_pythons: bool,
    /// All the others, in their order.
    pub(crate) rest: Vec<String>,
}

impl Options {
    /// Everything behind `--` belongs to `rest`.
    pub(crate) fn parse(arguments: Vec<String>) -> Result<Self> {
        let mut options = Options::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                options.rest.extend(arguments);
                break;
            } else if argument == "--python" {
                let path = arguments.next().ok_or("--python needs a path behind it")?;
                options.python = Some(path);
            } else if let Some(path) = argument.strip_prefix("--python=") {
                options.python = Some(path.to_owned());
            } else if argument == "--all-pythons" {
                options.all_pythons = true;
            } else {
                options.rest.push(argument);
            }
        }
        if options.all_pythons && options.python.is_some() {
            return Err("--all-pythons and --python exclude each other".into());
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn python_is_taken_out_wherever_it_stands() {
        for line in [
            "--python p a b",
            "a --python p b",
            "a b --python=p",
            "--python p -- a b",
        ] {
            let options = parse(line).unwrap();
            assert_eq!(options.python.as_deref(), Some("p"), "{line}");
            assert_eq!(options.rest, ["a", "b"], "{line}");
        }
    }

    #[test]
    fn what_stands_behind_two_dashes_is_left_alone() {
        let options = parse("a -- --python p").unwrap();
        assert_eq!(options.python, None);
        assert_eq!(options.rest, ["a", "--python", "p"]);
    }

    #[test]
    fn all_pythons_are_asked_for_without_a_python() {
        let options = parse("a --all-pythons b").unwrap();
        assert!(options.all_pythons);
        assert_eq!(options.rest, ["a", "b"]);
        assert!(parse("--all-pythons --python p").is_err());
    }

    #[test]
    fn python_without_a_path_is_an_error() {
        assert!(parse("a --python").is_err());
    }
}
