//! The options of `#[main]` and `#[test]`.

use std::num::NonZeroUsize;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{LitInt, LitStr, Result};

use crate::arguments::{self, Argument};
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
    /// The path to `pyo3-asyncio`.
    pub(crate) krate: TokenStream,
}

impl Options {
    pub(crate) fn parse(arguments: TokenStream, runtime: Runtime, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        options.krate = arguments::parse(arguments, errors, |it| options.set(it, runtime));
        if let (Some(true), Some(threads)) = (options.current_thread, &options.worker_threads) {
            errors.push(
                threads,
                "`worker_threads` needs `flavor = \"multi_thread\"`: a `current_thread` runtime has no workers",
            );
        }
        let module = options.event_loop.as_ref();
        let module = module.filter(|module| module.value() == "tokio");
        if let (Some(module), Some(_)) = (module, runtime.threads_variable()) {
            errors.push(
                module,
                "`event_loop = \"tokio\"` is an option of `pyo3_asyncio::tokio` only",
            );
        }
        options
    }

    fn set(&mut self, argument: &Argument, runtime: Runtime) -> Result<()> {
        let name = argument.name.to_string();
        match (name.as_str(), runtime.threads_variable()) {
            ("event_loop", _) => {
                let accepted = "the name of a Python module that has `new_event_loop()`, for instance `event_loop = \"uvloop\"`";
                argument.set(&mut self.event_loop, accepted, module_name)
            }
            ("flavor", None) => {
                let accepted = "`\"multi_thread\"` or `\"current_thread\"`";
                argument.set(&mut self.current_thread, accepted, is_current_thread)
            }
            ("worker_threads", None) => {
                let accepted = "a number of threads, at least 1, for instance `worker_threads = 4`";
                argument.set(&mut self.worker_threads, accepted, thread_count)
            }
            ("flavor" | "worker_threads", Some(variable)) => Err(argument.error(format!(
                "`{name}` is an option of `pyo3_asyncio::tokio` only: here, the environment variable `{variable}` sets the number \
                 of threads"
            ))),
            (_, variable) => {
                let advice = match (name.as_str(), variable) {
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
                Err(argument.error(format!("there is no option `{name}`: {advice}")))
            }
        }
    }

    /// The options of tokio's runtime, as generated code passes them.
    pub(crate) fn tokio_options(&self) -> TokenStream {
        let krate = &self.krate;
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

    fn check(runtime: Runtime, argument: &str, is_accepted: bool) {
        let mut errors = Errors::default();
        // With a path, since the package of these tests does not depend on `pyo3-asyncio`.
        let arguments = format!("crate = \"bridge\", {argument}");
        Options::parse(arguments.parse().unwrap(), runtime, &mut errors);
        assert_eq!(errors.is_empty(), is_accepted, "{argument}");
    }

    #[test]
    fn an_event_loop_is_the_name_of_a_module() {
        for module in ["uvloop", "package.module", "_private", "größer"] {
            check(Runtime::Tokio, &format!("event_loop = {module:?}"), true);
        }
        for other in [
            "", ".", "a.", ".a", "a..b", "a b", "a:b", "a-b", "1a", "a.1", "a\0",
        ] {
            check(Runtime::Tokio, &format!("event_loop = {other:?}"), false);
        }
    }

    #[test]
    fn only_tokio_runs_inside_the_event_loop() {
        check(Runtime::Tokio, "event_loop = \"tokio\"", true);
        check(Runtime::Smol, "event_loop = \"tokio\"", false);
    }

    #[test]
    fn a_number_of_threads_is_a_plain_literal_from_1_up() {
        for number in ["1", "1_6usize", "0x10"] {
            check(Runtime::Tokio, &format!("worker_threads = {number}"), true);
        }
        for other in [
            "0", "0x0", "-1", "1.0", "1u8", "'1'", "\"1\"", "N", "1 + 1", "(1)",
        ] {
            check(Runtime::Tokio, &format!("worker_threads = {other}"), false);
        }
    }
}
