//! The runtimes, and the differences between their attributes.

use proc_macro2::{Ident, Span};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Runtime {
    AsyncStd,
    Smol,
    Tokio,
}

impl Runtime {
    /// Its type in `pyo3_asyncio::__private`, which has the name of the variant.
    pub(crate) fn ty(self) -> Ident {
        Ident::new(&format!("{self:?}"), Span::call_site())
    }

    /// Its module in `pyo3_asyncio`.
    pub(crate) fn module(self) -> &'static str {
        match self {
            Self::AsyncStd => "async_std",
            Self::Smol => "smol",
            Self::Tokio => "tokio",
        }
    }

    /// The environment variable that sets the number of threads, where no option does.
    pub(crate) fn threads_variable(self) -> Option<&'static str> {
        match self {
            Self::AsyncStd => Some("ASYNC_STD_THREAD_COUNT"),
            Self::Smol => Some("SMOL_THREADS"),
            Self::Tokio => None,
        }
    }
}
