//! The attributes of `pyo3-asyncio`, which re-exports them where they belong: `pyo3_asyncio::tokio::main` is
//! [`tokio_main`] here. They are documented there.
//!
//! An attribute is an entry point in this file and a module that expands it. What it generates calls one function in
//! `pyo3_asyncio::__private`: the behaviour is there, where it is compiled and tested once.

mod arguments;
mod errors;
mod export;
mod krate;
mod main_fn;
mod options;
mod pyfunction;
mod pymethods;

use proc_macro::TokenStream;

use export::Runtime;

// The documentation stands at the re-export, where its example compiles against the whole crate.
#[allow(
    missing_docs,
    reason = "documented at the re-export, pyo3_asyncio::tokio::main"
)]
#[proc_macro_attribute]
pub fn tokio_main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    main_fn::expand(arguments.into(), item.into()).into()
}

/// Stamps the attributes that export functions on a runtime.
macro_rules! export {
    ($($runtime:ident: $pyfunction:ident, $pymethods:ident;)+) => {$(
        #[allow(missing_docs, reason = "documented at the re-export, `pyfunction` in the runtime's module")]
        #[proc_macro_attribute]
        pub fn $pyfunction(arguments: TokenStream, item: TokenStream) -> TokenStream {
            pyfunction::expand(Runtime::$runtime, arguments.into(), item.into()).into()
        }

        #[allow(missing_docs, reason = "documented at the re-export, `pymethods` in the runtime's module")]
        #[proc_macro_attribute]
        pub fn $pymethods(arguments: TokenStream, item: TokenStream) -> TokenStream {
            pymethods::expand(Runtime::$runtime, arguments.into(), item.into()).into()
        }
    )+};
}

export! {
    AsyncStd: async_std_pyfunction, async_std_pymethods;
    Smol: smol_pyfunction, smol_pymethods;
    Tokio: tokio_pyfunction, tokio_pymethods;
}
