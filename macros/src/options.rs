//! The options of `#[main]` and `#[test]`.

use std::num::NonZeroUsize;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{LitInt, LitStr, Path, Result};

use crate::arguments::Argument;
use crate::errors::Errors;
use crate::function::option;
use crate::runtime::Runtime;

#[derive(Default)]
pub(crate) struct Options {
    /// The option `flavor`.
    pub(crate) current_thread: Option<bool>,
    pub(crate) worker_threads: Option<LitInt>,
    /// The name of a Python module that has `new_event_loop()`.
    pub(crate) event_loop: Option<LitStr>,
    pub(crate) krate: Option<Path>,
}

impl Options {
    pub(crate) fn parse(arguments: TokenStream, runtime: Runtime, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        for argument in Argument::parse_all(arguments) {
            errors.handle(argument.and_then(|argument| options.set(&argument, runtime)));
        }
        if let (Some(true), Some(threads)) = (options.current_thread, &options.worker_threads) {
            errors.push(
                threads,
                "`worker_threads` needs `flavor = \"multi_thread\"`: a `current_thread` runtime has no workers",
            );
        }
        options
    }

    fn set(&mut self, argument: &Argument, runtime: Runtime) -> Result<()> {
        let threads_variable = runtime.threads_variable();
        match (argument.name.to_string().as_str(), threads_variable) {
            (name @ ("flavor" | "worker_threads"), Some(variable)) => {
                Err(argument.error(format!(
                    "`{name}` is an option of `pyo3_asyncio::tokio` only: here, the environment variable `{variable}` sets \
                     the number of threads"
                )))
            }
            ("flavor", None) => {
                let accepted = "`\"multi_thread\"` or `\"current_thread\"`";
                argument.set(&mut self.current_thread, accepted, is_current_thread)
            }
            ("worker_threads", None) => {
                let accepted = "a number of threads, at least 1, for instance `worker_threads = 4`";
                argument.set(&mut self.worker_threads, accepted, thread_count)
            }
            ("event_loop", _) => {
                let accepted = "the name of a Python module that has `new_event_loop()`, for instance `event_loop = \"uvloop\"`";
                argument.set(&mut self.event_loop, accepted, module_name)?;
                let is_tokio = self.event_loop.as_ref().is_some_and(|it| it.value() == "tokio");
                match threads_variable {
                    Some(_) if is_tokio => Err(argument.error(
                        "`event_loop = \"tokio\"` is an option of `pyo3_asyncio::tokio` only".to_owned(),
                    )),
                    _ => Ok(()),
                }
            }
            ("crate", _) => argument.set_crate(&mut self.krate),
            (unknown, _) => {
                let advice = match (unknown, threads_variable) {
                    // Earlier names, and the values of options.
                    ("core_threads", None) => "it is called `worker_threads`",
                    ("multi_thread" | "threaded_scheduler", None) => {
                        "write `flavor = \"multi_thread\"`"
                    }
                    ("current_thread" | "single_thread" | "basic_scheduler", None) => {
                        "write `flavor = \"current_thread\"`"
                    }
                    ("uvloop", _) => "write `event_loop = \"uvloop\"`",
                    (_, None) => {
                        "the options are `flavor`, `worker_threads`, `event_loop` and `crate`"
                    }
                    (_, Some(_)) => "the options are `event_loop` and `crate`",
                };
                Err(argument.error(format!("there is no option `{unknown}`: {advice}")))
            }
        }
    }

    /// The options of tokio's runtime, as generated code passes them.
    pub(crate) fn tokio_options(&self, krate: &TokenStream) -> TokenStream {
        let current_thread = self.current_thread.unwrap_or_default();
        let worker_threads = option(self.worker_threads.as_ref());
        quote! {
            #krate::__private::TokioOptions {
                current_thread: #current_thread,
                worker_threads: #worker_threads,
            }
        }
    }
}

fn is_current_thread(flavor: LitStr) -> Option<bool> {
    match flavor.value().as_str() {
        "multi_thread" => Some(false),
        "current_thread" => Some(true),
        _ => None,
    }
}

fn thread_count(number: LitInt) -> Option<LitInt> {
    let is_count = number.base10_parse::<NonZeroUsize>().is_ok();
    (is_count && ["", "usize"].contains(&number.suffix())).then_some(number)
}

fn module_name(name: LitStr) -> Option<LitStr> {
    let is_identifier = |name: &str| {
        name.starts_with(|first: char| !first.is_numeric())
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    let is_module = name.value().split('.').all(is_identifier);
    is_module.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(argument: &str, is_accepted: bool) {
        let mut errors = Errors::default();
        Options::parse(argument.parse().unwrap(), Runtime::Tokio, &mut errors);
        assert_eq!(errors.is_empty(), is_accepted, "{argument}");
    }

    #[test]
    fn an_event_loop_is_the_name_of_a_module() {
        for module in ["uvloop", "package.module", "_private", "größer"] {
            check(&format!("event_loop = {module:?}"), true);
        }
        for other in [
            "", ".", "a.", ".a", "a..b", "a b", "a:b", "a-b", "1a", "a.1", "a\0",
        ] {
            check(&format!("event_loop = {other:?}"), false);
        }
    }

    #[test]
    fn only_tokio_runs_inside_the_event_loop() {
        for (runtime, is_accepted) in [(Runtime::Tokio, true), (Runtime::Smol, false)] {
            let mut errors = Errors::default();
            let argument = "event_loop = \"tokio\"".parse().unwrap();
            Options::parse(argument, runtime, &mut errors);
            assert_eq!(errors.is_empty(), is_accepted);
        }
    }

    #[test]
    fn a_number_of_threads_is_a_plain_literal_from_1_up() {
        for number in ["1", "1_6usize", "0x10"] {
            check(&format!("worker_threads = {number}"), true);
        }
        for other in [
            "0", "0x0", "-1", "1.0", "1u8", "'1'", "\"1\"", "N", "1 + 1", "(1)",
        ] {
            check(&format!("worker_threads = {other}"), false);
        }
    }

    #[test]
    fn a_crate_is_a_path_without_generic_arguments() {
        for path in ["a", "::a", "crate::a::b", "self::a", "super::a"] {
            check(&format!("crate = {path:?}"), true);
        }
        for other in ["", "pyo3-asyncio", "a::<u8>", "a b", "a::"] {
            check(&format!("crate = {other:?}"), false);
        }
    }
}
