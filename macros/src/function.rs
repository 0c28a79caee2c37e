//! The function under an attribute.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, GenericParam, Meta, Result, Signature, Visibility};

use crate::errors::Errors;
use crate::options::{Flavor, Options};

/// A function, whose body stays as it is: what is wrong there is for the compiler to say.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Ok(Self {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            signature: input.parse()?,
            body: input.parse()?,
        })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            attributes,
            visibility,
            signature,
            body,
        } = self;
        tokens.extend(quote!(#(#attributes)* #visibility #signature #body));
    }
}

/// What an attribute stands at.
pub(crate) fn parse_item<T: Parse>(item: &TokenStream, expected: &str) -> Result<T> {
    syn::parse2(item.clone()).map_err(|error| Error::new(error.span(), expected))
}

/// Refuses what generated code cannot call. Lifetimes and conditions are for the compiler to check at the call.
pub(crate) fn check_that_it_can_be_called(signature: &Signature, it: &str, errors: &mut Errors) {
    for qualifier in [
        signature.constness.to_token_stream(),
        signature.unsafety.to_token_stream(),
        signature.abi.to_token_stream(),
    ] {
        if !qualifier.is_empty() {
            let message = format!("{it} cannot be `const`, `unsafe` or `extern`");
            errors.push(Error::new_spanned(qualifier, message));
        }
    }
    let is_type = |it: &GenericParam| !matches!(it, GenericParam::Lifetime(_));
    if signature.generics.params.iter().any(is_type) {
        let message = format!("{it} cannot be generic: nothing says which types it is called with");
        errors.push(Error::new_spanned(&signature.generics, message));
    }
}

/// Documentation is of the function that others see, and a lint level counts in all that is nested. Any other attribute is
/// about the user's function, as `#[tracing::instrument]` is.
pub(crate) fn covers_both(attribute: &&Attribute) -> bool {
    attribute.path().is_ident("doc") || is_lint_level(attribute)
}

pub(crate) fn is_lint_level(attribute: &&Attribute) -> bool {
    is_any_of(attribute, &["allow", "expect", "warn", "deny", "forbid"])
}

/// A lint level for two items: an expectation may be met in one of them only.
pub(crate) fn unexpected(attribute: &Attribute) -> Attribute {
    let mut attribute = attribute.clone();
    match &mut attribute.meta {
        Meta::List(list) if list.path.is_ident("expect") => list.path = syn::parse_quote!(allow),
        _ => {}
    }
    attribute
}

pub(crate) fn is_any_of(attribute: &Attribute, names: &[&str]) -> bool {
    names.iter().any(|name| attribute.path().is_ident(name))
}

pub(crate) fn option(value: Option<impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

/// The options of tokio, as the value that the generated code hands over.
pub(crate) fn tokio_options(options: &Options, krate: &TokenStream) -> TokenStream {
    let current_thread = options.flavor == Some(Flavor::CurrentThread);
    let worker_threads = option(options.worker_threads.as_ref().map(|threads| &threads.0));
    quote! {
        #krate::__private::TokioOptions {
            current_thread: #current_thread,
            worker_threads: #worker_threads,
        }
    }
}
