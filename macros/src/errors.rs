//! Collects the errors of an attribute, so that all of them are reported at once.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::Parse;
use syn::{Error, Result};

#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    /// Adds an error that is shown at these tokens.
    pub(crate) fn push(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.handle::<()>(Err(Error::new_spanned(tokens, message)));
    }

    /// Returns the value, or adds the error.
    pub(crate) fn handle<T>(&mut self, result: Result<T>) -> Option<T> {
        match (result, &mut self.0) {
            (Ok(value), _) => return Some(value),
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), none) => *none = Some(error),
        }
        None
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn into_result(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Parses the item that an attribute is applied to, and expands it. Returns the expansion, or else the item, followed by the errors.
pub(crate) fn report<T: Parse>(
    item: TokenStream,
    expected: &str,
    expand: impl FnOnce(T, &mut Errors) -> Option<TokenStream>,
) -> TokenStream {
    let mut errors = Errors::default();
    let parsed = syn::parse2(item.clone()).map_err(|error| Error::new(error.span(), expected));
    let parsed = errors.handle(parsed);
    let expansion = parsed.and_then(|parsed| expand(parsed, &mut errors));
    let expansion = expansion.unwrap_or(item);
    let errors = errors.0.map(Error::into_compile_error);
    quote!(#expansion #errors)
}
