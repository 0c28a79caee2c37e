//! `#[test]`: makes a function a test of cargo's harness and of `pyo3_asyncio::testing`.
//!
//! The attribute cannot know which of the two harnesses will run the test, so it generates an item for each:
//!
//! - a `#[test]` function, which the compiler drops under `harness = false`;
//! - a `Test` for `inventory`, which nothing asks for under cargo's harness.
//!
//! Both call a third function, which contains the user's function. So nothing is dead code under either harness.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, FnArg, LitStr, Meta, MetaNameValue, Result};

use crate::errors::Errors;
use crate::function::{
    Function, check_callable, hygienic, is_for_outer, is_lint_level, option, output_span,
    without_expect,
};
use crate::options::Options;
use crate::runtime::Runtime;

struct TestFn {
    function: Function,
    /// The attributes for the harness, each with the text in it.
    ignore: Option<(Attribute, Option<LitStr>)>,
    should_panic: Option<(Attribute, Option<LitStr>)>,
    options: Options,
    runtime: Runtime,
    /// The name of the function that contains the user's.
    case: Ident,
    path: TokenStream,
}

pub(crate) const EXPECTED: &str = "`#[test]` must be applied to a function";

pub(crate) fn expand(
    runtime: Runtime,
    arguments: TokenStream,
    mut function: Function,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let options = Options::parse(arguments, runtime, errors);
    let attrs = &mut function.attrs;
    let mut take = |name| {
        let index = attrs.iter().position(|it| it.path().is_ident(name))?;
        let attribute = attrs.remove(index);
        let text = errors.handle(text(&attribute))?;
        Some((attribute, text))
    };
    let (ignore, should_panic) = (take("ignore"), take("should_panic"));
    check(&function, &options, errors);
    if !errors.is_empty() {
        // The compiler still checks the body.
        return Some(function.into_token_stream());
    }
    let name = function.sig.ident.unraw().to_string();
    let test_fn = TestFn {
        function,
        ignore,
        should_panic,
        options,
        runtime,
        // In lower case, so that a name that is not in snake case is reported only once.
        case: format_ident!("__pyo3_asyncio_{}", name.to_lowercase()),
        path: quote!(::core::concat!(::core::module_path!(), "::", #name)),
    };
    let (cargo_test, case, test) = (test_fn.cargo_test(), test_fn.case(), test_fn.test());
    Some(quote!(#cargo_test #case #test))
}

fn check(function: &Function, options: &Options, errors: &mut Errors) {
    let signature = &function.sig;
    check_callable(signature, "a test", errors);
    let is_method = matches!(signature.inputs.first(), Some(FnArg::Receiver(_)));
    if signature.inputs.len() > 1 || is_method || signature.variadic.is_some() {
        errors.push(
            &signature.inputs,
            "a test takes one parameter at most, the event loop: write `event_loop: Py<PyAny>` or `locals: TaskLocals`",
        );
    }
    let is_test = |attribute: &&Attribute| {
        let last = attribute.path().segments.last();
        last.is_some_and(|segment| segment.ident == "test")
    };
    if let Some(second) = function.attrs.iter().find(is_test) {
        let message = "this function is already a test: remove the second attribute";
        errors.push(second, message);
    }
    let flavor = options.current_thread.map(|_| "flavor");
    let needs_runtime = flavor.or(options.worker_threads.as_ref().map(|_| "worker_threads"));
    if let (None, Some(name)) = (signature.asyncness, needs_runtime) {
        let message = format!(
            "`{name}` needs an `async fn`: no runtime polls a plain `fn`. Write `async fn`, or remove `{name}`"
        );
        errors.push(signature.fn_token, message);
    }
}

impl TestFn {
    /// The test of cargo's harness.
    fn cargo_test(&self) -> TokenStream {
        let Function {
            attrs, vis, sig, ..
        } = &self.function;
        let krate = &self.options.krate;
        let doc = attrs.iter().filter(|it| it.path().is_ident("doc"));
        let lint_levels = attrs.iter().filter(|it| is_lint_level(it));
        let lint_levels = lint_levels.map(without_expect);
        let for_harness = [&self.ignore, &self.should_panic].into_iter().flatten();
        let for_harness = for_harness.map(|(attribute, _)| attribute);
        // The compiler refuses `#[should_panic]` on a test that returns something.
        let (output, run) = if self.should_panic.is_some() {
            (quote!(), quote!(run_to_panic))
        } else {
            let output = quote!(-> ::core::result::Result<(), #krate::__private::Failure>);
            (output, quote!(run))
        };
        let (name, case, path) = (&sig.ident, &self.case, &self.path);
        quote! {
            #(#doc)*
            #(#lint_levels)*
            #[::core::prelude::v1::test]
            #(#for_harness)*
            #vis fn #name() #output {
                #case().#run(#path)
            }
        }
    }

    /// The test of our harness.
    fn test(&self) -> TokenStream {
        let (krate, case, path) = (&self.options.krate, &self.case, &self.path);
        let should_panic = self.should_panic.as_ref().map(|(_, text)| {
            let expected = option(text.as_ref());
            quote!(.should_panic(#expected))
        });
        let ignored = self.ignore.as_ref().map(|(_, text)| {
            let reason = option(text.as_ref());
            quote! {
                #krate::__private::inventory::submit! {
                    #krate::__private::Ignored { name: #path, reason: #reason }
                }
            }
        });
        quote! {
            #krate::__private::inventory::submit! {
                #krate::testing::Test {
                    name: #path,
                    test_fn: &|| #case()#should_panic.task(#path),
                }
            }

            #ignored
        }
    }

    /// The function that contains the user's.
    fn case(&self) -> TokenStream {
        let Function {
            attrs, sig, body, ..
        } = &self.function;
        let (krate, runtime, name) = (&self.options.krate, self.runtime.ty(), &self.case);
        let lint_levels = attrs.iter().filter(|it| is_lint_level(it));
        let inner = attrs.iter().filter(|it| !is_for_outer(it));
        let event_loop = self.options.event_loop.as_ref();
        let with_event_loop = event_loop.map(|module| quote!(.with_event_loop(#module)));
        let case = self.call();
        quote! {
            #(#lint_levels)*
            fn #name() -> #krate::__private::TestCase<#krate::__private::#runtime> {
                #(#inner)*
                #sig #body

                // The block hides the import from the user's function.
                {
                    use #krate::__private;

                    #case #with_event_loop
                }
            }
        }
    }

    /// The call that makes the test case. An error here is about the user's types, so it is shown there.
    fn call(&self) -> TokenStream {
        let (sig, options, runtime) = (&self.function.sig, &self.options, self.runtime.ty());
        let argument = sig.inputs.first().map(|parameter| {
            let span = match parameter {
                FnArg::Typed(parameter) => parameter.ty.span(),
                FnArg::Receiver(receiver) => receiver.span(),
            };
            quote_spanned!(hygienic(span)=> __private::event_loop())
        });
        let span = output_span(sig);
        let mut name = sig.ident.clone();
        name.set_span(span);
        let test = quote_spanned!(span=> || #name(#argument));
        if sig.asyncness.is_none() {
            return quote_spanned!(span=> __private::TestCase::<__private::#runtime>::plain(#test));
        }
        let has_runtime = options.current_thread.is_some() || options.worker_threads.is_some();
        let options = option(has_runtime.then(|| options.tokio_options()));
        quote_spanned! {span=>
            __private::TestCase::<__private::#runtime>::asynchronous(#options, #test)
        }
    }
}

/// The reason in `#[ignore]`, or the expected text in `#[should_panic]`.
fn text(attribute: &Attribute) -> Result<Option<LitStr>> {
    let is_ignore = attribute.path().is_ident("ignore");
    let value = match &attribute.meta {
        Meta::Path(_) => return Ok(None),
        Meta::NameValue(pair) => Some(pair.value.clone()),
        Meta::List(list) => {
            let pair = list.parse_args::<MetaNameValue>().ok();
            let pair = pair.filter(|pair| pair.path.is_ident("expected") && !is_ignore);
            pair.map(|pair| pair.value)
        }
    };
    syn::parse2(value.into_token_stream()).map(Some).map_err(|_| {
        let message = match is_ignore {
            true => "malformed attribute: write `#[ignore]` or `#[ignore = \"reason\"]`",
            false => "malformed attribute: write `#[should_panic]` or `#[should_panic(expected = \"text\")]`",
        };
        Error::new_spanned(attribute, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::report;

    #[test]
    fn attributes_for_a_harness_reach_both() {
        // With a path, since the package of these tests does not depend on `pyo3-asyncio`.
        let arguments = quote!(crate = "bridge", worker_threads = 2);
        let item = quote! {
            /// Panics.
            #[ignore = "too slow"]
            #[should_panic(expected = "text")]
            #[expect(non_snake_case)]
            #[tracing::instrument]
            pub async fn Works() {}
        };
        let expand = |item, errors: &mut _| expand(Runtime::Tokio, arguments, item, errors);
        let test = report(item, EXPECTED, expand).to_string();
        let cargo_test = quote! {
            /// Panics.
            #[allow(non_snake_case)]
            #[::core::prelude::v1::test]
            #[ignore = "too slow"]
            #[should_panic(expected = "text")]
            pub fn Works() {
                __pyo3_asyncio_works().run_to_panic(::core::concat!(::core::module_path!(), "::", "Works"))
            }

            #[expect(non_snake_case)]
            fn __pyo3_asyncio_works()
        };
        assert!(test.starts_with(&cargo_test.to_string()), "{test}");
        for part in [
            quote! { #[tracing::instrument] async fn Works() {} },
            quote! { worker_threads: ::core::option::Option::Some(2), },
            quote! { __pyo3_asyncio_works().should_panic(::core::option::Option::Some("text")).task },
            quote! {
                bridge::__private::Ignored {
                    name: ::core::concat!(::core::module_path!(), "::", "Works"),
                    reason: ::core::option::Option::Some("too slow")
                }
            },
        ] {
            assert!(test.contains(&part.to_string()), "{part} is not in {test}");
        }
    }

    #[test]
    fn an_item_that_is_no_test_stays_as_it_is_beside_the_errors() {
        let item = quote! { const fn works(one: u8, other: u8) {} };
        let arguments = quote!(flavor = "current_thread");
        let expand = |item, errors: &mut _| expand(Runtime::Tokio, arguments, item, errors);
        let test = report(item.clone(), EXPECTED, expand).to_string();
        assert!(test.starts_with(&item.to_string()), "{test}");
        assert!(test.contains("a test cannot be `const`"), "{test}");
    }
}
