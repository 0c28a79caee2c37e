//! `#[test]`: a function becomes a test of cargo's harness and of `pyo3_asyncio::testing`.
//!
//! Which of the two will run it cannot be known here, so it is made for both:
//!
//! - a `#[test]` function. The compiler drops it where `harness = false`;
//! - a `Test` for `inventory`. Under cargo's harness nobody asks for it.
//!
//! Both call a third function, which has the user's inside, so that nothing is dead code in either.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, FnArg, Result, ReturnType, Signature};

use crate::errors::Errors;
use crate::function::{
    Function, check_that_it_can_be_called, is_lint_level, option, parse_item, tokio_options,
    unexpected,
};
use crate::marks::Marks;
use crate::options::Options;
use crate::runtime::Runtime;

struct TestFn {
    function: Function,
    marks: Marks,
}

pub(crate) fn expand(runtime: Runtime, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = errors.sift(Options::parse_with_crate(arguments, runtime));
    let function = errors.sift(parse_item(&item, "`#[test]` is for a function"));
    let test_fn = function.map(|mut function: Function| TestFn {
        marks: Marks::take(&mut function.attributes, &mut errors),
        function,
    });
    if let Some(test_fn) = &test_fn {
        errors.sift(test_fn.check(options.as_ref().map(|(options, _)| options)));
    }
    match (options, test_fn) {
        (Some((options, krate)), Some(test_fn)) if errors.is_empty() => {
            let case = test_fn.case(runtime, &options, &krate);
            let of_cargo = test_fn.of_cargo(&krate);
            let of_ours = test_fn.of_ours(&krate);
            quote!(#of_cargo #case #of_ours)
        }
        (_, test_fn) => {
            // The function all the same, for its body to be checked, without the marks that are found wrong already.
            let function = test_fn.map_or(item, |test_fn| test_fn.function.into_token_stream());
            let errors = errors.into_compile_error();
            quote!(#function #errors)
        }
    }
}

impl TestFn {
    fn check(&self, options: Option<&Options>) -> Result<()> {
        let Function {
            attributes,
            signature,
            ..
        } = &self.function;
        let mut errors = Errors::default();
        check_that_it_can_be_called(signature, "a test", &mut errors);
        let is_method = matches!(signature.inputs.first(), Some(FnArg::Receiver(_)));
        if signature.inputs.len() > 1 || is_method || signature.variadic.is_some() {
            errors.push(Error::new_spanned(
                &signature.inputs,
                "a test has no parameters, or one: its event loop, as a `Py<PyAny>` or as `TaskLocals`",
            ));
        }
        let is_test = |attribute: &&Attribute| {
            let last = attribute.path().segments.last();
            last.is_some_and(|segment| segment.ident == "test")
        };
        if let Some(second) = attributes.iter().find(is_test) {
            errors.push(Error::new_spanned(
                second,
                "this function is a test already: remove the second attribute",
            ));
        }
        if let (None, Some(options)) = (&signature.asyncness, options) {
            let flavor = options.flavor.is_some().then_some("flavor");
            let threads = options.worker_threads.is_some().then_some("worker_threads");
            if let Some(name) = flavor.or(threads) {
                errors.push(Error::new_spanned(
                    signature.fn_token,
                    format!("`{name}` is for an `async fn`: no runtime polls a plain `fn`"),
                ));
            }
        }
        errors.into_result()
    }

    /// The test of cargo's harness.
    fn of_cargo(&self, krate: &TokenStream) -> TokenStream {
        let Function {
            attributes,
            visibility,
            signature,
            ..
        } = &self.function;
        let is_doc = |attribute: &&Attribute| attribute.path().is_ident("doc");
        let documentation = attributes.iter().filter(is_doc);
        let lint_levels = attributes.iter().filter(is_lint_level).map(unexpected);
        let marks = [&self.marks.ignore, &self.marks.should_panic];
        let marks = marks.into_iter().flatten().map(|mark| &mark.attribute);
        // The compiler lets nothing be returned from a test that has to panic.
        let (output, run) = if self.marks.should_panic.is_some() {
            (quote!(), quote!(run_to_panic))
        } else {
            let output = quote!(-> ::core::result::Result<(), #krate::__private::Failure>);
            (output, quote!(run))
        };
        let name = &signature.ident;
        let case_name = self.case_name();
        let path = self.path();
        quote! {
            #(#documentation)*
            #(#lint_levels)*
            #[::core::prelude::v1::test]
            #(#marks)*
            #visibility fn #name() #output {
                #case_name().#run(#path)
            }
        }
    }

    /// The test of our harness.
    fn of_ours(&self, krate: &TokenStream) -> TokenStream {
        let Marks {
            ignore,
            should_panic,
        } = &self.marks;
        let should_panic = should_panic.as_ref().map(|mark| {
            let expected = &mark.text;
            quote!(.should_panic(#expected))
        });
        let case_name = self.case_name();
        let path = self.path();
        let ignored = ignore.as_ref().map(|mark| {
            let reason = &mark.text;
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
                    test_fn: &|| #case_name()#should_panic.task(#path),
                }
            }

            #ignored
        }
    }

    /// The function that has the user's inside.
    fn case(&self, runtime: Runtime, options: &Options, krate: &TokenStream) -> TokenStream {
        let Function {
            attributes,
            signature,
            body,
            ..
        } = &self.function;
        let lint_levels = attributes.iter().filter(is_lint_level);
        let inner = attributes
            .iter()
            .filter(|attribute| !attribute.path().is_ident("doc") && !is_lint_level(attribute));
        let options_of_runtime = signature.asyncness.map(|_| {
            let is_given = options.flavor.is_some() || options.worker_threads.is_some();
            let given = option(is_given.then(|| tokio_options(options, krate)));
            quote!(let __options = #given;)
        });
        let take_event_loop = (!signature.inputs.is_empty())
            .then(|| quote!(use #krate::__private::event_loop as __event_loop;));
        let event_loop = options.event_loop.as_ref().map(|module| {
            let module = &module.0;
            quote!(.with_event_loop(#module))
        });
        let case_name = self.case_name();
        let runtime = runtime.ty();
        let made = made(signature);
        quote! {
            #(#lint_levels)*
            fn #case_name() -> #krate::__private::TestCase<#krate::__private::#runtime> {
                #(#inner)*
                #signature #body

                // In a block, so that the names are not in the user's way. Those in small letters could be a test's own.
                {
                    use #krate::__private::{#runtime as Runtime, TestCase};
                    #take_event_loop

                    #options_of_runtime
                    let case = #made;
                    case #event_loop
                }
            }
        }
    }

    /// Lower case, so that a name which is in need of an `allow(non_snake_case)` is reported once.
    fn case_name(&self) -> Ident {
        let name = self.function.signature.ident.unraw();
        format_ident!("__pyo3_asyncio_{}", name.to_string().to_lowercase())
    }

    fn path(&self) -> TokenStream {
        let name = self.function.signature.ident.unraw().to_string();
        quote!(::core::concat!(::core::module_path!(), "::", #name))
    }
}

/// The call that makes the case. What is no parameter of a test and what is no test's result is found there, and is shown
/// at the user's types.
fn made(signature: &Signature) -> TokenStream {
    let of_users = |span: Span| span.resolved_at(Span::call_site());
    let argument = signature.inputs.first().map(|parameter| {
        let span = match parameter {
            FnArg::Typed(parameter) => parameter.ty.span(),
            FnArg::Receiver(receiver) => receiver.span(),
        };
        quote_spanned!(of_users(span)=> __event_loop())
    });
    let span = of_users(match &signature.output {
        ReturnType::Type(_, output) => output.span(),
        ReturnType::Default => signature.ident.span(),
    });
    let mut name = signature.ident.clone();
    name.set_span(span);
    let test = quote_spanned!(span=> || #name(#argument));
    if signature.asyncness.is_some() {
        quote_spanned!(span=> TestCase::<Runtime>::asynchronous(__options, #test))
    } else {
        quote_spanned!(span=> TestCase::<Runtime>::plain(#test))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a path, since the tests' own package does not depend on `pyo3-asyncio`.
    fn expanded(runtime: Runtime, arguments: TokenStream, item: TokenStream) -> String {
        expand(runtime, quote!(crate = "bridge", #arguments), item).to_string()
    }

    #[test]
    fn a_test_is_one_of_each_harness_around_one_function() {
        let test = expanded(
            Runtime::Smol,
            quote!(event_loop = "uvloop"),
            quote!(
                fn works() -> PyResult<()> {
                    Ok(())
                }
            ),
        );
        let expected = quote! {
            #[::core::prelude::v1::test]
            fn works() -> ::core::result::Result<(), bridge::__private::Failure> {
                __pyo3_asyncio_works().run(::core::concat!(::core::module_path!(), "::", "works"))
            }

            fn __pyo3_asyncio_works() -> bridge::__private::TestCase<bridge::__private::Smol> {
                fn works() -> PyResult<()> { Ok(()) }

                {
                    use bridge::__private::{Smol as Runtime, TestCase};

                    let case = TestCase::<Runtime>::plain(|| works());
                    case.with_event_loop("uvloop")
                }
            }

            bridge::__private::inventory::submit! {
                bridge::testing::Test {
                    name: ::core::concat!(::core::module_path!(), "::", "works"),
                    test_fn: &|| __pyo3_asyncio_works().task(::core::concat!(::core::module_path!(), "::", "works")),
                }
            }
        };
        assert_eq!(test, expected.to_string());
    }

    #[test]
    fn what_speaks_to_a_harness_speaks_to_both() {
        let test = expanded(
            Runtime::Tokio,
            quote!(worker_threads = 2),
            quote! {
                /// Panics.
                #[ignore = "too slow"]
                #[should_panic(expected = "text")]
                #[expect(non_snake_case)]
                #[tracing::instrument]
                pub async fn Works() {}
            },
        );
        let of_cargo = quote! {
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
        assert!(test.starts_with(&of_cargo.to_string()), "{test}");
        for part in [
            quote!(
                #[tracing::instrument]
                async fn Works() {}
            ),
            quote!(worker_threads: ::core::option::Option::Some(2),),
            quote!(
                __pyo3_asyncio_works()
                    .should_panic(::core::option::Option::Some("text"))
                    .task
            ),
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
    fn a_runtime_is_given_options_only_where_there_are_some() {
        let item = quote!(
            async fn works() {}
        );
        let without = expanded(Runtime::Tokio, quote!(), item.clone());
        let none = quote!(let __options = ::core::option::Option::None;).to_string();
        assert!(without.contains(&none), "{without}");
        let with = expanded(Runtime::Tokio, quote!(flavor = "current_thread"), item);
        assert!(!with.contains(&none), "{with}");
    }

    #[test]
    fn what_is_no_test_stays_as_it_is_beside_the_errors() {
        let item = quote!(
            const fn works(one: u8, other: u8) {}
        );
        let test = expanded(
            Runtime::Tokio,
            quote!(flavor = "current_thread"),
            item.clone(),
        );
        assert!(test.starts_with(&item.to_string()), "{test}");
        for message in [
            "a test cannot be `const`",
            "a test has no parameters, or one",
            "`flavor` is for an `async fn`",
        ] {
            assert!(test.contains(message), "{message:?} is not in {test}");
        }
    }
}
