//! `#[main]`: an `async fn main` becomes the start of the program.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, Result, ReturnType, Signature, Visibility};

use crate::errors::Errors;
use crate::krate;
use crate::options::{Flavor, Options};

/// The function under the attribute. Its body stays as it is: what is wrong there is for the compiler to say.
struct MainFn {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    body: TokenStream,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = errors.sift(Options::parse(arguments));
    let krate = options
        .as_ref()
        .and_then(|options| errors.sift(krate::path(options.krate.as_ref())));
    let main_fn = errors.sift(syn::parse2::<MainFn>(item.clone()));
    if let Some(main_fn) = &main_fn {
        errors.sift(main_fn.check());
    }
    match (options, krate, main_fn) {
        (Some(options), Some(krate), Some(main_fn)) if errors.is_empty() => {
            main_fn.into_program(&options, &krate)
        }
        (.., main_fn) => {
            // A function all the same: else the compiler would add that `main` is missing and imports are unused.
            let function = main_fn
                .filter(MainFn::is_named_main)
                .map_or(item, MainFn::into_stand_in);
            let errors = errors.into_compile_error();
            quote!(#function #errors)
        }
    }
}

impl Parse for MainFn {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let no_function =
            |error: Error| Error::new(error.span(), "`#[main]` is for an `async fn main`");
        Ok(Self {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            signature: input.parse().map_err(no_function)?,
            body: input.parse()?,
        })
    }
}

impl MainFn {
    fn check(&self) -> Result<()> {
        let signature = &self.signature;
        let mut errors = Errors::default();
        if signature.asyncness.is_none() {
            errors.push(Error::new_spanned(
                signature.fn_token,
                "`#[main]` is for an `async fn`: write `async fn main`",
            ));
        }
        if !self.is_named_main() {
            errors.push(Error::new_spanned(
                &signature.ident,
                "`#[main]` is for the start of the program: name the function `main`, or call `pyo3_asyncio::tokio::run` \
                 in a function of your own",
            ));
        }
        if matches!(signature.output, ReturnType::Default) {
            errors.push(Error::new_spanned(
                &signature.ident,
                "`main` has to return a `PyResult`: write `async fn main() -> PyResult<()>`",
            ));
        }
        let qualified = "`main` cannot be `const`, `unsafe` or `extern`";
        let generic = "`main` cannot be generic";
        let generics = &signature.generics;
        let forbidden = [
            (signature.constness.to_token_stream(), qualified),
            (signature.unsafety.to_token_stream(), qualified),
            (signature.abi.to_token_stream(), qualified),
            (generics.to_token_stream(), generic),
            (generics.where_clause.to_token_stream(), generic),
            (
                signature.inputs.to_token_stream(),
                "`main` has no parameters: `std::env::args()` has the arguments of the program",
            ),
        ];
        for (tokens, message) in forbidden {
            if !tokens.is_empty() {
                errors.push(Error::new_spanned(tokens, message));
            }
        }
        errors.into_result()
    }

    fn is_named_main(&self) -> bool {
        self.signature.ident == "main"
    }

    fn into_program(self, options: &Options, krate: &TokenStream) -> TokenStream {
        let current_thread = options.flavor == Some(Flavor::CurrentThread);
        let worker_threads = option(options.worker_threads.as_ref().map(|threads| &threads.0));
        let event_loop = option(options.event_loop.as_ref().map(|module| &module.0));
        // What cannot be run, such as a future of another type or one that is not `Send`, is found here, and is shown at
        // the user's return type.
        let span = match &self.signature.output {
            ReturnType::Type(_, output) => output.span(),
            ReturnType::Default => self.signature.ident.span(),
        };
        let run = quote_spanned!(span.resolved_at(Span::call_site())=> tokio_main(options, event_loop, main));
        self.wrap(
            &quote!(::std::process::ExitCode),
            &quote! {
                // In a block, so that the names are not in the user's way.
                {
                    use #krate::__private::{TokioOptions, tokio_main};

                    let options = TokioOptions {
                        current_thread: #current_thread,
                        worker_threads: #worker_threads,
                    };
                    let event_loop = #event_loop;
                    #run
                }
            },
        )
    }

    /// A function in the place of one that is not accepted, in which the user's body is checked all the same.
    fn into_stand_in(mut self) -> TokenStream {
        self.signature.asyncness.get_or_insert_default();
        self.wrap(&quote!(()), &quote!())
    }

    /// A plain `fn main` around the user's.
    fn wrap(self, output: &TokenStream, statements: &TokenStream) -> TokenStream {
        let Self {
            attributes,
            visibility,
            signature,
            body,
        } = self;
        let name = &signature.ident;
        let (outer, inner): (Vec<_>, Vec<_>) = attributes.iter().partition(covers_both);
        quote! {
            #(#outer)*
            #visibility fn #name() -> #output {
                #(#inner)*
                #signature #body

                #statements
            }
        }
    }
}

/// Documentation is of the function that others see, and a lint level counts in all that is nested. Any other attribute is
/// about the `async fn`, as `#[tracing::instrument]` is.
fn covers_both(attribute: &&Attribute) -> bool {
    ["doc", "allow", "expect", "warn", "deny", "forbid"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
}

fn option(value: Option<impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a path, since the tests' own package does not depend on `pyo3-asyncio`.
    fn expanded(arguments: TokenStream, item: TokenStream) -> String {
        expand(quote!(crate = "bridge", #arguments), item).to_string()
    }

    #[test]
    fn the_options_reach_the_function_that_runs_main() {
        let program = expanded(
            quote!(worker_threads = 3, event_loop = "uvloop"),
            quote!(
                pub(crate) async fn main() -> PyResult<()> {
                    Ok(())
                }
            ),
        );
        let expected = quote! {
            pub(crate) fn main() -> ::std::process::ExitCode {
                async fn main() -> PyResult<()> { Ok(()) }

                {
                    use bridge::__private::{TokioOptions, tokio_main};

                    let options = TokioOptions {
                        current_thread: false,
                        worker_threads: ::core::option::Option::Some(3),
                    };
                    let event_loop = ::core::option::Option::Some("uvloop");
                    tokio_main(options, event_loop, main)
                }
            }
        };
        assert_eq!(program, expected.to_string());
    }

    #[test]
    fn attributes_are_of_the_async_fn_except_documentation_and_lint_levels() {
        let program = expanded(
            quote!(flavor = "current_thread"),
            quote! {
                /// Serves.
                #[allow(dead_code)]
                #[tracing::instrument]
                async fn main() -> PyResult<()> {
                    #![expect(unused)]
                }
            },
        );
        let outer = quote! {
            /// Serves.
            #[allow(dead_code)]
            fn main() -> ::std::process::ExitCode
        };
        let inner = quote! {
            #[tracing::instrument]
            async fn main() -> PyResult<()> {
                #![expect(unused)]
            }
        };
        assert!(program.starts_with(&outer.to_string()), "{program}");
        assert!(program.contains(&inner.to_string()), "{program}");
    }

    #[test]
    fn beside_an_error_stands_a_function_in_which_the_body_is_checked() {
        let program = expanded(
            quote!(threads = 4),
            quote!(
                fn main() -> PyResult<()> {
                    serve().await
                }
            ),
        );
        let function = quote! {
            fn main() -> () {
                async fn main() -> PyResult<()> { serve().await }
            }
        };
        let (before, errors) = program.split_once(":: core :: compile_error").unwrap();
        assert_eq!(before.trim_end(), function.to_string());
        assert!(errors.contains("there is no option `threads`"), "{errors}");
        assert!(
            errors.contains("`#[main]` is for an `async fn`"),
            "{errors}"
        );
    }

    #[test]
    fn what_is_no_main_stays_as_it_is_beside_the_error() {
        for item in [
            quote!(
                async fn serve() -> PyResult<()> {
                    Ok(())
                }
            ),
            quote!(
                struct Server;
            ),
        ] {
            let program = expanded(quote!(), item.clone());
            assert!(program.starts_with(&item.to_string()), "{program}");
            assert!(program.contains("compile_error"), "{program}");
        }
    }
}
