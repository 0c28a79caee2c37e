//! The options of `#[main]` and `#[test]`, and what they may be set to.

use proc_macro2::TokenStream;
use syn::{Error, Lit, LitInt, LitStr, Path, Result};

use crate::arguments::{Argument, Value};
use crate::errors::Errors;
use crate::krate;
use crate::runtime::Runtime;

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) flavor: Option<Flavor>,
    pub(crate) worker_threads: Option<WorkerThreads>,
    pub(crate) event_loop: Option<EventLoop>,
    pub(crate) krate: Option<CratePath>,
}

impl Options {
    fn parse(arguments: TokenStream, runtime: Runtime) -> Result<Self> {
        let mut options = Self::default();
        let mut errors = Errors::default();
        for argument in Argument::parse_all(arguments) {
            errors.sift(argument.and_then(|argument| options.set(&argument, runtime)));
        }
        if let (Some(Flavor::CurrentThread), Some(WorkerThreads(threads))) =
            (options.flavor, &options.worker_threads)
        {
            errors.push(Error::new(
                threads.span(),
                "`worker_threads` needs `flavor = \"multi_thread\"`: a `current_thread` runtime has no workers",
            ));
        }
        errors.into_result().map(|()| options)
    }

    /// The options, and the path to `pyo3-asyncio`.
    pub(crate) fn parse_with_crate(
        arguments: TokenStream,
        runtime: Runtime,
    ) -> Result<(Self, TokenStream)> {
        let options = Self::parse(arguments, runtime)?;
        let krate = krate::path(options.krate.as_ref())?;
        Ok((options, krate))
    }

    fn set(&mut self, argument: &Argument, runtime: Runtime) -> Result<()> {
        match (argument.name.to_string().as_str(), runtime.threads()) {
            (name @ ("flavor" | "worker_threads"), Some(threads)) => Err(argument.error(format!(
                "`{name}` is an option of `pyo3_asyncio::tokio`: {threads}"
            ))),
            ("flavor", None) => argument.set(&mut self.flavor),
            ("worker_threads", None) => argument.set(&mut self.worker_threads),
            ("event_loop", _) => argument.set(&mut self.event_loop),
            ("crate", _) => argument.set(&mut self.krate),
            (unknown, threads) => {
                let options = match threads {
                    None => "the options are `flavor`, `worker_threads`, `event_loop` and `crate`",
                    Some(_) => "the options are `event_loop` and `crate`",
                };
                let meant = meant_by(unknown, runtime).unwrap_or(options);
                Err(argument.error(format!("there is no option `{unknown}`: {meant}")))
            }
        }
    }
}

/// What to write for a name that another attribute, or an old one, has for an option.
fn meant_by(name: &str, runtime: Runtime) -> Option<&'static str> {
    Some(match (name, runtime) {
        ("core_threads", Runtime::Tokio) => "it is called `worker_threads`",
        ("multi_thread" | "threaded_scheduler", Runtime::Tokio) => {
            "write `flavor = \"multi_thread\"`"
        }
        ("current_thread" | "single_thread" | "basic_scheduler", Runtime::Tokio) => {
            "write `flavor = \"current_thread\"`"
        }
        ("uvloop", _) => "write `event_loop = \"uvloop\"`",
        _ => return None,
    })
}

/// The kinds of tokio runtime, under tokio's own names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flavor {
    MultiThread,
    CurrentThread,
}

impl Value for Flavor {
    const ACCEPTED: &'static str = "`\"multi_thread\"` or `\"current_thread\"`";

    fn from_literal(literal: Lit) -> Option<Self> {
        match string(literal)?.value().as_str() {
            "multi_thread" => Some(Self::MultiThread),
            "current_thread" => Some(Self::CurrentThread),
            _ => None,
        }
    }
}

pub(crate) struct WorkerThreads(pub(crate) LitInt);

impl Value for WorkerThreads {
    const ACCEPTED: &'static str =
        "a number of threads, at least 1, for instance `worker_threads = 4`";

    fn from_literal(literal: Lit) -> Option<Self> {
        let Lit::Int(number) = literal else {
            return None;
        };
        match (number.base10_parse::<usize>(), number.suffix()) {
            (Ok(1..), "" | "usize") => Some(Self(number)),
            _ => None,
        }
    }
}

pub(crate) struct EventLoop(pub(crate) LitStr);

impl Value for EventLoop {
    const ACCEPTED: &'static str = "the name of a Python module that has `new_event_loop()`, for instance `event_loop = \"uvloop\"`";

    fn from_literal(literal: Lit) -> Option<Self> {
        let is_identifier = |name: &str| {
            name.starts_with(|first: char| !first.is_numeric())
                && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        string(literal)
            .filter(|module| module.value().split('.').all(is_identifier))
            .map(Self)
    }
}

pub(crate) struct CratePath(pub(crate) Path);

impl Value for CratePath {
    const ACCEPTED: &'static str =
        "the path to `pyo3-asyncio`, for instance `crate = \"my_facade::pyo3_asyncio\"`";

    fn from_literal(literal: Lit) -> Option<Self> {
        let path = string(literal)?.parse_with(Path::parse_mod_style);
        path.ok().map(Self)
    }
}

fn string(literal: Lit) -> Option<LitStr> {
    match literal {
        Lit::Str(string) => Some(string),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Options> {
        parse_for(Runtime::Tokio, arguments)
    }

    fn parse_for(runtime: Runtime, arguments: &str) -> Result<Options> {
        let arguments = arguments.parse().expect("the test's arguments are tokens");
        Options::parse(arguments, runtime)
    }

    fn accepted(arguments: &str) -> Options {
        parse(arguments).unwrap_or_else(|error| panic!("{arguments}: {error}"))
    }

    fn messages(arguments: &str) -> Vec<String> {
        let errors = parse(arguments).err().into_iter().flatten();
        errors.map(|error| error.to_string()).collect()
    }

    #[test]
    fn nothing_is_set_without_arguments() {
        let options = accepted("");
        assert_eq!(options.flavor, None);
        assert!(options.worker_threads.is_none());
        assert!(options.event_loop.is_none());
        assert!(options.krate.is_none());
    }

    #[test]
    fn every_option_is_taken_in_any_order() {
        let options = accepted(
            r#"crate = "a::b", event_loop = "uvloop", worker_threads = 1_6usize, flavor = "multi_thread","#,
        );
        assert_eq!(options.flavor, Some(Flavor::MultiThread));
        let WorkerThreads(threads) = options.worker_threads.unwrap();
        assert_eq!(threads.base10_parse::<usize>().unwrap(), 16);
        let EventLoop(module) = options.event_loop.unwrap();
        assert_eq!(module.value(), "uvloop");
        let CratePath(path) = options.krate.unwrap();
        assert_eq!(path.segments.len(), 2);
    }

    #[test]
    fn both_flavors_are_known() {
        assert_eq!(
            accepted("flavor = \"current_thread\"").flavor,
            Some(Flavor::CurrentThread)
        );
        assert_eq!(
            accepted("flavor = \"multi_thread\"").flavor,
            Some(Flavor::MultiThread)
        );
    }

    #[test]
    fn an_event_loop_is_the_name_of_a_module() {
        for module in ["uvloop", "package.module", "_private", "größer"] {
            accepted(&format!("event_loop = {module:?}"));
        }
        for other in [
            "", ".", "a.", ".a", "a..b", "a b", "a:b", "a-b", "1a", "a.1", "a\0",
        ] {
            let errors = messages(&format!("event_loop = {other:?}"));
            assert_eq!(errors.len(), 1, "{other:?}: {errors:?}");
        }
    }

    #[test]
    fn a_number_of_threads_is_a_plain_literal_from_1_up() {
        for other in [
            "0", "0x0", "-1", "1.0", "1u8", "'1'", "\"1\"", "N", "1 + 1", "(1)",
        ] {
            let errors = messages(&format!("worker_threads = {other}"));
            assert_eq!(errors.len(), 1, "{other}: {errors:?}");
        }
    }

    #[test]
    fn a_crate_is_a_path_without_generic_arguments() {
        for path in [
            "bridge",
            "::bridge",
            "crate::a::bridge",
            "self::bridge",
            "super::bridge",
        ] {
            accepted(&format!("crate = {path:?}"));
        }
        for other in ["", "pyo3-asyncio", "a::<u8>", "a b", "a::"] {
            let errors = messages(&format!("crate = {other:?}"));
            assert_eq!(errors.len(), 1, "{other:?}: {errors:?}");
        }
    }

    #[test]
    fn every_mistake_is_reported_in_its_order() {
        assert_eq!(
            messages(
                r#"flavor = "basic", threads = 2, 5, event_loop, worker_threads = 0, worker_threads = 2, worker_threads = 2"#
            ),
            [
                "`flavor` cannot be `\"basic\"`: it takes `\"multi_thread\"` or `\"current_thread\"`",
                "there is no option `threads`: the options are `flavor`, `worker_threads`, `event_loop` and `crate`",
                "an option is `name = value`",
                "`event_loop` needs a value: it takes the name of a Python module that has `new_event_loop()`, for instance `event_loop = \"uvloop\"`",
                "`worker_threads` cannot be `0`: it takes a number of threads, at least 1, for instance `worker_threads = 4`",
                "`worker_threads` is set twice",
            ]
        );
    }

    #[test]
    fn worker_threads_are_for_the_multi_thread_flavor_wherever_it_is_set() {
        let expected = "`worker_threads` needs `flavor = \"multi_thread\"`: a `current_thread` runtime has no workers";
        for arguments in [
            "worker_threads = 2, flavor = \"current_thread\"",
            "flavor = \"current_thread\", worker_threads = 2",
        ] {
            assert_eq!(messages(arguments), [expected]);
        }
    }

    #[test]
    fn what_only_tokio_has_says_how_another_runtime_does_it() {
        for runtime in [Runtime::AsyncStd, Runtime::Smol] {
            let arguments = "flavor = \"multi_thread\", worker_threads = 2, multi_thread";
            let errors = parse_for(runtime, arguments).err().into_iter().flatten();
            let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
            let threads = runtime.threads().unwrap();
            assert_eq!(
                errors,
                [
                    format!("`flavor` is an option of `pyo3_asyncio::tokio`: {threads}"),
                    format!("`worker_threads` is an option of `pyo3_asyncio::tokio`: {threads}"),
                    "there is no option `multi_thread`: the options are `event_loop` and `crate`"
                        .to_owned(),
                ]
            );
            assert!(parse_for(runtime, "event_loop = \"uvloop\", crate = \"a\"").is_ok());
        }
    }
}
