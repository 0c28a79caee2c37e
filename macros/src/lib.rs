//! The attributes of `pyo3-asyncio`, which re-exports them where they belong: `pyo3_asyncio::tokio::main` is
//! [`tokio_main`] here. They are documented there.
//!
//! An attribute is an entry point in this file and a module that expands it. What it generates calls one function in
//! `pyo3_asyncio::__private`: the behaviour is there, where it is compiled and tested once.

mod arguments;
mod errors;
mod export;
mod function;
mod krate;
mod main_fn;
mod marks;
mod options;
mod pyfunction;
mod pymethods;
mod runtime;
mod test_fn;

use proc_macro::TokenStream;

/// Defines the attributes of a runtime.
macro_rules! attributes {
    ($($main:ident, $test:ident, $pyfunction:ident, $pymethods:ident: $runtime:ident;)*) => {$(
        // The documentation stands at the re-export, where its example compiles against the whole crate.
        #[allow(missing_docs, reason = "documented at the re-export, for instance pyo3_asyncio::tokio::main")]
        #[proc_macro_attribute]
        pub fn $main(arguments: TokenStream, item: TokenStream) -> TokenStream {
            main_fn::expand(runtime::Runtime::$runtime, arguments.into(), item.into()).into()
        }

        #[allow(missing_docs, reason = "documented at the re-export, for instance pyo3_asyncio::tokio::test")]
        #[proc_macro_attribute]
        pub fn $test(arguments: TokenStream, item: TokenStream) -> TokenStream {
            test_fn::expand(runtime::Runtime::$runtime, arguments.into(), item.into()).into()
        }

        #[allow(missing_docs, reason = "documented at the re-export, for instance pyo3_asyncio::tokio::pyfunction")]
        #[proc_macro_attribute]
        pub fn $pyfunction(arguments: TokenStream, item: TokenStream) -> TokenStream {
            pyfunction::expand(runtime::Runtime::$runtime, arguments.into(), item.into()).into()
        }

        #[allow(missing_docs, reason = "documented at the re-export, for instance pyo3_asyncio::tokio::pymethods")]
        #[proc_macro_attribute]
        pub fn $pymethods(arguments: TokenStream, item: TokenStream) -> TokenStream {
            pymethods::expand(runtime::Runtime::$runtime, arguments.into(), item.into()).into()
        }
    )*};
}

attributes! {
    async_std_main, async_std_test, async_std_pyfunction, async_std_pymethods: AsyncStd;
    smol_main, smol_test, smol_pyfunction, smol_pymethods: Smol;
    tokio_main, tokio_test, tokio_pyfunction, tokio_pymethods: Tokio;
}
