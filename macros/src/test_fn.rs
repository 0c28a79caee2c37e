//! `#[test]`: a function becomes a test of cargo's harness and of `pyo3_asyncio::testing`.
//!
//! Which of the two will run it cannot be known here, so it is made for both:
//!
//! - a `#[test]` function. The compiler drops it where `harness = false`;
//! - a `Test` for `inventory`. Under cargo's harness nobody asks for it.
//!
//! Both call a third function, which has the user's inside, so that nothing is dead code in either.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, Expr, ExprLit, FnArg, Lit, LitStr, Meta, Result, ReturnType};

use crate::errors::Errors;
use crate::function::{Function, is_lint_level, option, tokio_options};
use crate::krate;
use crate::options::Options;
use crate::runtime::Runtime;

/// The function under the attribute, and the attributes of it that speak to a harness.
struct TestFn {
    function: Function,
    ignore: Option<Attribute>,
    should_panic: Option<Attribute>,
}

pub(crate) fn expand(runtime: Runtime, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = errors.sift(Options::parse(arguments, runtime));
    let krate = options
        .as_ref()
        .and_then(|options| errors.sift(krate::path(options.krate.as_ref())));
    let test_fn = errors.sift(TestFn::parse(item.clone()));
    if let Some(test_fn) = &test_fn {
        errors.sift(test_fn.check(options.as_ref()));
    }
    match (options, krate, test_fn) {
        (Some(options), Some(krate), Some(test_fn)) if errors.is_empty() => test_fn
            .into_test(runtime, &options, &krate)
            .unwrap_or_else(Error::into_compile_error),
        _ => {
            let errors = errors.into_compile_error();
            quote!(#item #errors)
        }
    }
}

impl TestFn {
    fn parse(item: TokenStream) -> Result<Self> {
        let mut function: Function = syn::parse2(item)
            .map_err(|error| Error::new(error.span(), "`#[test]` is for a function"))?;
        let mut take = |name| {
            let attributes = &mut function.attributes;
            let position = attributes
                .iter()
                .position(|attribute| attribute.path().is_ident(name));
            position.map(|position| attributes.remove(position))
        };
        Ok(Self {
            ignore: take("ignore"),
            should_panic: take("should_panic"),
            function,
        })
    }

    fn check(&self, options: Option<&Options>) -> Result<()> {
        let Function {
            attributes,
            signature,
            ..
        } = &self.function;
        let mut errors = Errors::default();
        self.function
            .check_that_it_can_be_called("a test", &mut errors);
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

    fn into_test(
        self,
        runtime: Runtime,
        options: &Options,
        krate: &TokenStream,
    ) -> Result<TokenStream> {
        let expected_panic = self.should_panic.as_ref().map(expected_panic).transpose()?;
        let reason = self.ignore.as_ref().map(reason).transpose()?;
        let case = self.case(runtime, options, krate);
        let Self {
            function,
            ignore,
            should_panic,
        } = self;
        let visibility = &function.visibility;
        let name = &function.signature.ident;
        let case_name = case_name(&function);
        let path_of_test = {
            let name = name.unraw().to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #name))
        };
        let documentation = function
            .attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("doc"));
        let lint_levels = function
            .attributes
            .iter()
            .filter(is_lint_level)
            .map(unexpected);
        // The compiler lets nothing be returned from a test that has to panic.
        let (output, run) = match &should_panic {
            Some(_) => (quote!(), quote!(run_to_panic)),
            None => (
                quote!(-> ::core::result::Result<(), #krate::__private::Failure>),
                quote!(run),
            ),
        };
        let should_panic_in_harness =
            expected_panic.map(|expected| quote!(.should_panic(#expected)));
        let ignored = reason.map(|reason| {
            quote! {
                #krate::__private::inventory::submit! {
                    #krate::__private::Ignored { name: #path_of_test, reason: #reason }
                }
            }
        });
        Ok(quote! {
            #(#documentation)*
            #(#lint_levels)*
            #[::core::prelude::v1::test]
            #ignore
            #should_panic
            #visibility fn #name() #output {
                #case_name().#run()
            }

            #case

            #krate::__private::inventory::submit! {
                #krate::testing::Test {
                    name: #path_of_test,
                    test_fn: &|| #case_name()#should_panic_in_harness.task(#path_of_test),
                }
            }

            #ignored
        })
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
        let case_name = case_name(&self.function);
        let name = &signature.ident;
        let parameter = signature
            .inputs
            .first()
            .map(|_| quote!(#krate::__private::event_loop()));
        let runtime_ty = runtime.ty();
        let case_ty = quote!(#krate::__private::TestCase::<#krate::__private::#runtime_ty>);
        let event_loop = options.event_loop.as_ref().map(|module| {
            let module = &module.0;
            quote!(.with_event_loop(#module))
        });
        // What is no test's result is found here, and is shown at the user's return type.
        let span = match &signature.output {
            ReturnType::Type(_, output) => output.span(),
            ReturnType::Default => signature.ident.span(),
        };
        let span = span.resolved_at(Span::call_site());
        let made = if signature.asyncness.is_some() {
            let is_given = options.flavor.is_some() || options.worker_threads.is_some();
            let runtime_options = option(is_given.then(|| tokio_options(options, krate)));
            quote_spanned!(span=> #case_ty::asynchronous(#runtime_options, || #name(#parameter)))
        } else {
            quote_spanned!(span=> #case_ty::plain(|| #name(#parameter)))
        };
        quote! {
            #(#lint_levels)*
            fn #case_name() -> #krate::__private::TestCase<#krate::__private::#runtime_ty> {
                #(#inner)*
                #signature #body

                #made #event_loop
            }
        }
    }
}

/// Lower case, so that a name which is in need of an `allow(non_snake_case)` is reported once.
fn case_name(function: &Function) -> proc_macro2::Ident {
    let name = function.signature.ident.unraw().to_string().to_lowercase();
    format_ident!("__pyo3_asyncio_{}", name)
}

/// The lint level for the generated function beside that with the user's body: an expectation cannot be met in both.
fn unexpected(attribute: &Attribute) -> Attribute {
    let mut attribute = attribute.clone();
    match &mut attribute.meta {
        Meta::List(list) if list.path.is_ident("expect") => list.path = syn::parse_quote!(allow),
        _ => {}
    }
    attribute
}

/// `#[ignore]` or `#[ignore = "reason"]`
fn reason(attribute: &Attribute) -> Result<TokenStream> {
    match &attribute.meta {
        Meta::Path(_) => Ok(option(None::<TokenStream>)),
        Meta::NameValue(reason) => Ok(option(Some(text(&reason.value)?))),
        Meta::List(_) => Err(Error::new_spanned(
            attribute,
            "write `#[ignore]` or `#[ignore = \"reason\"]`",
        )),
    }
}

/// `#[should_panic]`, `#[should_panic = "text"]` or `#[should_panic(expected = "text")]`
fn expected_panic(attribute: &Attribute) -> Result<TokenStream> {
    match &attribute.meta {
        Meta::Path(_) => Ok(option(None::<TokenStream>)),
        Meta::NameValue(expected) => Ok(option(Some(text(&expected.value)?))),
        Meta::List(list) => {
            let expected: syn::MetaNameValue = list.parse_args()?;
            if !expected.path.is_ident("expected") {
                return Err(Error::new_spanned(
                    &expected.path,
                    "write `#[should_panic(expected = \"text\")]`",
                ));
            }
            Ok(option(Some(text(&expected.value)?)))
        }
    }
}

fn text(value: &Expr) -> Result<&LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(text),
        other => Err(Error::new_spanned(other, "this has to be a string literal")),
    }
}
