//! The arguments of a test program. `libtest-mimic` takes one name filter, and cargo's harness takes several.

use std::ffi::OsString;

use libtest_mimic::Arguments;

/// The arguments of a test program, from [`parse_args`]. The default is none: every test runs that is not ignored.
#[derive(Clone, Debug, Default)]
pub struct Args {
    arguments: Arguments,
    /// A test runs if its name contains one of them, or if there is none.
    filters: Vec<String>,
}

/// Reads the arguments of the process, and `RUST_TEST_THREADS`.
///
/// Prints the usage and exits if the arguments ask for help or are invalid.
///
/// # Example
///
/// ```
/// use pyo3::prelude::*;
/// use pyo3_asyncio::testing;
///
/// # async fn in_main() -> PyResult<()> {
/// let mut tests = Vec::new();
/// for name in ["first", "second"] {
///     tests.push(testing::Test {
///         name,
///         test_fn: &|| Box::pin(async { Ok(()) }),
///     });
/// }
/// testing::test_harness(tests, testing::parse_args()).await
/// # }
/// ```
#[must_use]
pub fn parse_args() -> Args {
    // Newer versions of Rust and of cargo's subcommands spell the flag so.
    let arguments = std::env::args_os().map(|argument| {
        if argument == "--no-capture" {
            "--nocapture".into()
        } else {
            argument
        }
    });
    let (arguments, filters) = split_filters(arguments);
    let mut arguments = Arguments::from_iter(arguments);
    if arguments.test_threads.is_none() {
        let threads = std::env::var("RUST_TEST_THREADS").ok();
        arguments.test_threads = threads.and_then(|threads| threads.parse().ok());
    }
    Args { arguments, filters }
}

impl Args {
    pub(super) fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// The arguments with which `libtest-mimic` runs the tests that the filters select.
    ///
    /// Several filters become the list of all names to skip, so that `libtest-mimic` counts the tests that are filtered out.
    pub(super) fn select<'a>(self, names: impl Iterator<Item = &'a str>) -> Arguments {
        let Self {
            mut arguments,
            filters,
        } = self;
        if let [] | [_] = &filters[..] {
            arguments.filter = filters.into_iter().next();
            return arguments;
        }
        let exact = arguments.exact;
        let matches = |filter: &String, name: &str| match exact {
            true => name == filter,
            false => name.contains(filter),
        };
        let is_skipped = |name: &&str| {
            !filters.iter().any(|filter| matches(filter, name))
                || arguments.skip.iter().any(|skip| matches(skip, name))
        };
        arguments.skip = names.filter(is_skipped).map(str::to_owned).collect();
        arguments.exact = true;
        arguments
    }
}

/// The options whose value is the next argument.
const WITH_VALUE: [&str; 6] = [
    "--color",
    "--format",
    "--logfile",
    "--skip",
    "--test-threads",
    "-Z",
];

/// Separates the name filters from the other arguments of a process.
fn split_filters(arguments: impl Iterator<Item = OsString>) -> (Vec<OsString>, Vec<String>) {
    let (mut others, mut filters) = (Vec::new(), Vec::new());
    // The first argument names the program, so it is no filter either.
    let mut is_value = true;
    for argument in arguments {
        let was_value = std::mem::take(&mut is_value);
        match argument.to_str() {
            Some(filter) if !was_value && !filter.starts_with('-') => {
                filters.push(filter.to_owned())
            }
            _ => {
                is_value = !was_value && WITH_VALUE.iter().any(|option| argument == *option);
                others.push(argument);
            }
        }
    }
    (others, filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> (String, Vec<String>) {
        let (others, filters) = split_filters(line.split(' ').map(OsString::from));
        let others: Vec<_> = others
            .iter()
            .map(|it| it.to_string_lossy().into_owned())
            .collect();
        (others.join(" "), filters)
    }

    #[test]
    fn filters_are_what_is_neither_an_option_nor_its_value() {
        let (others, filters) = split("program one --skip two three --test-threads 4 -q five");
        assert_eq!(others, "program --skip two --test-threads 4 -q");
        assert_eq!(filters, ["one", "three", "five"]);
        let (others, filters) = split("program --test-threads=1 --exact one");
        assert_eq!(others, "program --test-threads=1 --exact");
        assert_eq!(filters, ["one"]);
    }
}
