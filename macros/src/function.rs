//! The function under an attribute.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Result, Signature, Visibility};

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

impl Function {
    /// Refuses what nothing that is called without arguments can be.
    pub(crate) fn check_that_it_can_be_called(&self, it: &str, errors: &mut Errors) {
        let signature = &self.signature;
        let qualified = format!("{it} cannot be `const`, `unsafe` or `extern`");
        let generic = format!("{it} cannot be generic");
        let generics = &signature.generics;
        for (tokens, message) in [
            (signature.constness.to_token_stream(), &qualified),
            (signature.unsafety.to_token_stream(), &qualified),
            (signature.abi.to_token_stream(), &qualified),
            (generics.to_token_stream(), &generic),
            (generics.where_clause.to_token_stream(), &generic),
        ] {
            if !tokens.is_empty() {
                errors.push(Error::new_spanned(tokens, message));
            }
        }
    }
}

/// Documentation is of the function that others see, and a lint level counts in all that is nested. Any other attribute is
/// about the user's function, as `#[tracing::instrument]` is.
pub(crate) fn covers_both(attribute: &&Attribute) -> bool {
    attribute.path().is_ident("doc") || is_lint_level(attribute)
}

pub(crate) fn is_lint_level(attribute: &&Attribute) -> bool {
    ["allow", "expect", "warn", "deny", "forbid"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
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
