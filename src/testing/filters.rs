//! Several name filters at once, as cargo's harness takes them: `libtest-mimic` takes one.

use std::ffi::OsString;

use libtest_mimic::Arguments;

/// The options whose value is the next argument.
const WITH_VALUE: [&str; 6] = [
    "--color",
    "--format",
    "--logfile",
    "--skip",
    "--test-threads",
    "-Z",
];

/// Parts the filters from the other arguments of a process.
pub(super) fn part(arguments: impl Iterator<Item = OsString>) -> (Vec<OsString>, Vec<String>) {
    let (mut others, mut filters) = (Vec::new(), Vec::new());
    // The first one names the program.
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

/// Has the arguments select what one of the filters does. Where there are several, as a list of all the names to skip, so
/// that `libtest-mimic` counts what is filtered out.
pub(super) fn apply<'a>(
    arguments: &mut Arguments,
    filters: &[String],
    names: impl Iterator<Item = &'a str>,
) {
    if let [] | [_] = filters {
        arguments.filter = filters.first().cloned();
        return;
    }
    let exact = arguments.exact;
    let means = |filter: &String, name: &str| match exact {
        true => name == filter,
        false => name.contains(filter),
    };
    let is_skipped = |name: &&str| {
        !filters.iter().any(|filter| means(filter, name))
            || arguments.skip.iter().any(|skip| means(skip, name))
    };
    arguments.skip = names.filter(is_skipped).map(str::to_owned).collect();
    arguments.exact = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(line: &str) -> (String, Vec<String>) {
        let (others, filters) = part(line.split(' ').map(OsString::from));
        let others: Vec<_> = others
            .iter()
            .map(|it| it.to_string_lossy().into_owned())
            .collect();
        (others.join(" "), filters)
    }

    #[test]
    fn filters_are_what_is_neither_an_option_nor_its_value() {
        let (others, filters) = parted("program one --skip two three --test-threads 4 -q five");
        assert_eq!(others, "program --skip two --test-threads 4 -q");
        assert_eq!(filters, ["one", "three", "five"]);
        let (others, filters) = parted("program --test-threads=1 --exact one");
        assert_eq!(others, "program --test-threads=1 --exact");
        assert_eq!(filters, ["one"]);
    }
}
