//! `#[main]`: an `async fn main` becomes the start of the program.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, Result, ReturnType};

use crate::errors::Errors;
use crate::function::{
    Function, check_that_it_can_be_called, covers_both, option, parse_item, tokio_options,
};
use crate::options::Options;
use crate::runtime::Runtime;

struct MainFn(Function);

pub(crate) fn expand(runtime: Runtime, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = errors.sift(Options::parse_with_crate(arguments, runtime));
    let main_fn = errors.sift(parse_item(&item, "`#[main]` is for an `async fn main`").map(MainFn));
    if let Some(main_fn) = &main_fn {
        errors.sift(main_fn.check(runtime));
    }
    match (options, main_fn) {
        (Some((options, krate)), Some(main_fn)) if errors.is_empty() => {
            main_fn.into_program(runtime, &options, &krate)
        }
        (_, main_fn) => {
            // A function all the same: else the compiler would add that `main` is missing and imports are unused.
            let function = main_fn
                .filter(MainFn::is_named_main)
                .map_or(item, MainFn::into_stand_in);
            let errors = errors.into_compile_error();
            quote!(#function #errors)
        }
    }
}

impl MainFn {
    fn check(&self, runtime: Runtime) -> Result<()> {
        let signature = &self.0.signature;
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
                format!(
                    "`#[main]` is for the start of the program: name the function `main`, or call `pyo3_asyncio::{}::run` \
                     in a function of your own",
                    runtime.module()
                ),
            ));
        }
        if matches!(signature.output, ReturnType::Default) {
            errors.push(Error::new_spanned(
                &signature.ident,
                "`main` has to return a `PyResult`: write `async fn main() -> PyResult<()>`",
            ));
        }
        check_that_it_can_be_called(signature, "`main`", &mut errors);
        if !signature.inputs.is_empty() {
            errors.push(Error::new_spanned(
                &signature.inputs,
                "`main` has no parameters: `std::env::args()` has the arguments of the program",
            ));
        }
        errors.into_result()
    }

    fn is_named_main(&self) -> bool {
        self.0.signature.ident == "main"
    }

    fn into_program(self, runtime: Runtime, options: &Options, krate: &TokenStream) -> TokenStream {
        let runtime_options = match runtime {
            Runtime::Tokio => tokio_options(options, krate),
            Runtime::AsyncStd | Runtime::Smol => quote!(()),
        };
        let runtime = runtime.ty();
        let event_loop = option(options.event_loop.as_ref().map(|module| &module.0));
        // What cannot be run, such as a future of another type or one that is not `Send`, is found here, and is shown at
        // the user's return type.
        let signature = &self.0.signature;
        let span = match &signature.output {
            ReturnType::Type(_, output) => output.span(),
            ReturnType::Default => signature.ident.span(),
        };
        let run = quote_spanned!(span.resolved_at(Span::call_site())=> run_main::<Runtime, _, _, _>(options, event_loop, main));
        self.wrap(
            &quote!(::std::process::ExitCode),
            &quote! {
                // In a block, so that the names are not in the user's way.
                {
                    use #krate::__private::{#runtime as Runtime, run_main};

                    let options = #runtime_options;
                    let event_loop = #event_loop;
                    #run
                }
            },
        )
    }

    /// A function in the place of one that is not accepted, in which the user's body is checked all the same.
    fn into_stand_in(mut self) -> TokenStream {
        self.0.signature.asyncness.get_or_insert_default();
        self.wrap(&quote!(()), &quote!())
    }

    /// A plain `fn main` around the user's.
    fn wrap(self, output: &TokenStream, statements: &TokenStream) -> TokenStream {
        let Self(Function {
            attributes,
            visibility,
            signature,
            body,
        }) = self;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// With a path, since the tests' own package does not depend on `pyo3-asyncio`.
    fn expanded(arguments: TokenStream, item: TokenStream) -> String {
        expand(Runtime::Tokio, quote!(crate = "bridge", #arguments), item).to_string()
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
                    use bridge::__private::{Tokio as Runtime, run_main};

                    let options = bridge::__private::TokioOptions {
                        current_thread: false,
                        worker_threads: ::core::option::Option::Some(3),
                    };
                    let event_loop = ::core::option::Option::Some("uvloop");
                    run_main::<Runtime, _, _, _>(options, event_loop, main)
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
