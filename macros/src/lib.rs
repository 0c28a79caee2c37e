//! The attributes of `pyo3-asyncio`. It re-exports and documents them: [`tokio_main`] is `pyo3_asyncio::tokio::main`.
//!
//! Each attribute is an entry point in this file and a module that expands it. The generated code calls functions of
//! `pyo3_asyncio::__private`. The behaviour is there, so that it is compiled and tested once.

mod arguments;
mod errors;
mod export;
mod function;
mod main_fn;
mod options;
mod pyfunction;
mod pymethods;
mod runtime;
mod test_fn;

use proc_macro::TokenStream;

/// Defines attributes: the name, the module that expands it, and the runtime.
macro_rules! attributes {
    ($($name:ident: $module:ident, $runtime:ident;)*) => {$(
        // The documentation is at the re-export, where its example compiles against the whole crate.
        #[allow(missing_docs, reason = "documented at the re-export, for instance pyo3_asyncio::tokio::main")]
        #[proc_macro_attribute]
        pub fn $name(arguments: TokenStream, item: TokenStream) -> TokenStream {
            let runtime = runtime::Runtime::$runtime;
            let expand = |item, errors: &mut _| $module::expand(runtime, arguments.into(), item, errors);
            errors::report(item.into(), $module::EXPECTED, expand).into()
        }
    )*};
}

attributes! {
    async_std_main: main_fn, AsyncStd;
    async_std_pyfunction: pyfunction, AsyncStd;
    async_std_pymethods: pymethods, AsyncStd;
    async_std_test: test_fn, AsyncStd;
    smol_main: main_fn, Smol;
    smol_pyfunction: pyfunction, Smol;
    smol_pymethods: pymethods, Smol;
    smol_test: test_fn, Smol;
    tokio_main: main_fn, Tokio;
    tokio_pyfunction: pyfunction, Tokio;
    tokio_pymethods: pymethods, Tokio;
    tokio_test: test_fn, Tokio;
}
