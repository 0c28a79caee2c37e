//! `#[main]`: makes an `async fn main` the start of the program, a plain `fn main` with the user's inside.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ReturnType;

use crate::errors::Errors;
use crate::function::{Function, check_callable, is_for_outer, option, output_span};
use crate::options::Options;
use crate::runtime::Runtime;

pub(crate) const EXPECTED: &str = "`#[main]` must be applied to an `async fn main`";

pub(crate) fn expand(
    runtime: Runtime,
    arguments: TokenStream,
    mut function: Function,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let options = Options::parse(arguments, runtime, errors);
    check(&function, runtime, errors);
    let (output, statements) = match errors.is_empty() {
        true => (
            quote!(::std::process::ExitCode),
            run(&function, runtime, &options),
        ),
        // The compiler still checks the body, and does not report a missing `main` or unused imports.
        false if function.sig.ident == "main" => (quote!(()), quote!()),
        false => return None,
    };
    function.sig.asyncness.get_or_insert_default();
    let Function {
        attrs,
        vis,
        sig,
        body,
    } = &function;
    let (outer, inner): (Vec<_>, Vec<_>) = attrs.iter().partition(|it| is_for_outer(it));
    Some(quote! {
        #(#outer)*
        #vis fn main() -> #output {
            #(#inner)*
            #sig #body

            #statements
        }
    })
}

fn check(function: &Function, runtime: Runtime, errors: &mut Errors) {
    let signature = &function.sig;
    let name = &signature.ident;
    if signature.asyncness.is_none() {
        let message = "`#[main]` needs an `async fn`: write `async fn main`";
        errors.push(signature.fn_token, message);
    }
    if name != "main" {
        let module = runtime.module();
        let message = format!(
            "`#[main]` must be applied to `main`, not to `{name}`: rename the function, or call \
             `pyo3_asyncio::{module}::run` in a plain one"
        );
        errors.push(name, message);
    }
    if matches!(signature.output, ReturnType::Default) {
        let message = "`main` must return a `PyResult`: write `async fn main() -> PyResult<()>`";
        errors.push(name, message);
    }
    check_callable(signature, "`main`", errors);
    if !signature.inputs.is_empty() {
        errors.push(
            &signature.inputs,
            "`main` takes no parameters: call `std::env::args()` for the arguments of the program",
        );
    }
}

fn run(function: &Function, runtime: Runtime, options: &Options) -> TokenStream {
    let krate = &options.krate;
    let runtime_options = match runtime {
        Runtime::Tokio => options.tokio_options(),
        Runtime::AsyncStd | Runtime::Smol => quote!(()),
    };
    let runtime = runtime.ty();
    let event_loop = option(options.event_loop.as_ref());
    // An error here is about the future: it is not `Send`, or its output is no `Result`. It is shown at the return type.
    let span = output_span(&function.sig);
    let run = quote_spanned! {span=>
        __private::run_main::<__private::#runtime, _, _, _>(#runtime_options, #event_loop, main)
    };
    quote! {
        // The block hides the import from the user's function.
        {
            use #krate::__private;

            #run
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::report;

    #[test]
    fn documentation_and_lint_levels_stay_outside_and_other_attributes_go_inside() {
        // With a path, since the package of these tests does not depend on `pyo3-asyncio`.
        let arguments = quote!(crate = "bridge", flavor = "current_thread");
        let item = quote! {
            /// Serves.
            #[allow(dead_code)]
            #[tracing::instrument]
            async fn main() -> PyResult<()> { #![expect(unused)] }
        };
        let expand = |item, errors: &mut _| expand(Runtime::Tokio, arguments, item, errors);
        let program = report(item, EXPECTED, expand).to_string();
        let outer = quote! {
            /// Serves.
            #[allow(dead_code)]
            fn main() -> ::std::process::ExitCode
        };
        let inner = quote! {
            #[tracing::instrument]
            async fn main() -> PyResult<()> { #![expect(unused)] }
        };
        let expected = format!("{outer} {{ {inner}");
        assert!(program.starts_with(&expected), "{program}");
    }

    #[test]
    fn an_item_that_is_no_main_stays_as_it_is_beside_the_error() {
        for item in [
            quote! { async fn serve() -> PyResult<()> { Ok(()) } },
            quote! { struct Server; },
        ] {
            let expand = |item, errors: &mut _| expand(Runtime::Tokio, quote!(), item, errors);
            let program = report(item.clone(), EXPECTED, expand).to_string();
            assert!(program.starts_with(&item.to_string()), "{program}");
            assert!(program.contains("compile_error"), "{program}");
        }
    }
}
