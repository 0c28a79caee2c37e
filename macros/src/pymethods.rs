//! `#[pymethods]`: exports the methods of a class. An `async fn` among them returns a coroutine in Python, and a function that
//! returns a stream an async generator.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{ImplItem, ImplItemFn, ItemImpl, Result, Signature, Visibility};

use crate::arguments;
use crate::errors::Errors;
use crate::export::{Export, ExportOptions, never_awaited, pyo3_path, stream_item, without_python};
use crate::function::without_expect;
use crate::runtime::Runtime;

pub(crate) const EXPECTED: &str = "`#[pymethods]` must be applied to an `impl` block";

pub(crate) fn expand(
    runtime: Runtime,
    arguments: TokenStream,
    mut methods: ItemImpl,
    errors: &mut Errors,
) -> Option<TokenStream> {
    check_block(&methods, errors);
    let krate = arguments::parse(arguments, errors, |argument| {
        Err(argument.error(format!(
            "there is no option `{}` for a whole `impl` block, only `crate`: write the options of a method in `#[pyo3(…)]` on it",
            argument.name
        )))
    });
    if !errors.is_empty() {
        return None;
    }
    let private = quote!(#krate::__private);
    let (mut async_fns, mut annotations, mut declarations) = (Vec::new(), Vec::new(), Vec::new());
    for item in std::mem::take(&mut methods.items) {
        match item {
            ImplItem::Fn(mut method) if is_ours(&method) => {
                let exported = export(runtime, &private, &methods, &method);
                if let Some((wrappers, annotation, declaration)) = errors.handle(exported) {
                    methods.items.push(ImplItem::Verbatim(wrappers));
                    annotations.extend(annotation);
                    declarations.extend(declaration.map(|it| (method.sig.ident.clone(), it)));
                }
                without_python(&mut method.attrs, &mut method.sig);
                async_fns.push(ImplItem::Fn(method));
            }
            other => methods.items.push(other),
        }
    }
    if let [(name, _), ..] = &declarations[..] {
        let statements = declarations.iter().map(|(_, statement)| statement);
        let declare = declare(&private, name, statements);
        methods.items.push(ImplItem::Verbatim(declare));
    }
    // The block for Rust: it has the same attributes, except PyO3's.
    let for_rust = (!async_fns.is_empty()).then(|| {
        methods.attrs = methods.attrs.iter().map(without_expect).collect();
        let mut block = methods.clone();
        block.attrs.retain(|it| !it.path().is_ident("pyo3"));
        block.items = async_fns;
        block
    });
    let has_pyo3_path = methods.attrs.iter().any(|it| it.path().is_ident("pyo3"));
    let path = (!has_pyo3_path).then(|| pyo3_path(&private));
    let path = path.map(|path| quote!(#[pyo3(crate = #path)]));
    Some(quote! {
        #[#private::pyo3::pymethods]
        #path
        #methods

        #for_rust

        #(#annotations)*
    })
}

/// Whether a method returns a coroutine or an async generator in Python.
fn is_ours(method: &ImplItemFn) -> bool {
    method.sig.asyncness.is_some() || stream_item(&method.sig.output).is_some()
}

fn check_block(methods: &ItemImpl, errors: &mut Errors) {
    if let Some((_, a_trait, _)) = &methods.trait_ {
        let message =
            "`#[pymethods]` cannot be applied to the `impl` of a trait: use an `impl` of the class";
        errors.push(a_trait, message);
    }
    if !methods.generics.params.is_empty() {
        let message = "a Python class cannot be generic: write the `impl` for a concrete type";
        errors.push(&methods.generics, message);
    }
}

/// The wrappers of a method, an item that belongs beside the block, and the statement that declares the method.
fn export(
    runtime: Runtime,
    private: &TokenStream,
    methods: &ItemImpl,
    method: &ImplItemFn,
) -> Result<(TokenStream, Option<TokenStream>, Option<TokenStream>)> {
    let ImplItemFn { attrs, sig, .. } = method;
    let mut errors = Errors::default();
    for attribute in attrs {
        if let Some(message) = never_awaited(attribute) {
            errors.push(attribute, message);
        }
    }
    let mut options = ExportOptions::default();
    options.set_all(attrs, &mut errors);
    check_names(&options, sig, &mut errors);
    errors.into_result()?;
    let (class, visibility) = (Some(&*methods.self_ty), Visibility::Inherited);
    let export = Export::new(
        runtime,
        private.clone(),
        attrs,
        &visibility,
        sig,
        class,
        options,
    )?;
    let (_, wrapper) = export.wrapper();
    let (_, blocking_wrapper) = export.blocking_wrapper().unzip();
    // The interpreter calls these without looking them up.
    let name = export.python_name().value();
    let is_declared = !["__aiter__", "__anext__"].contains(&name.as_str());
    let declaration = is_declared.then(|| {
        let conditions = attrs.iter().filter(|it| it.path().is_ident("cfg"));
        let declaration = export.declaration();
        quote!(#(#conditions)* #private::declare_method::<Self>(py, #name, &#declaration)?;)
    });
    Ok((
        quote!(#wrapper #blocking_wrapper),
        export.annotation(),
        declaration,
    ))
}

/// Refuses special methods whose result Python does not await. For the second function, refuses those whose type PyO3 prescribes.
fn check_names(options: &ExportOptions, signature: &Signature, errors: &mut Errors) {
    let is_stream = stream_item(&signature.output).is_some();
    let (accepted, accepted_blocking): (&[_], &[_]) = match is_stream {
        true => (&["__aiter__", "__call__"], &["__call__", "__iter__"]),
        false => (
            &["__aenter__", "__aexit__", "__anext__", "__call__"],
            &["__call__", "__enter__", "__exit__", "__next__"],
        ),
    };
    let is_refused = |name: &str, accepted: &[&str]| {
        name.starts_with("__") && name.ends_with("__") && !accepted.contains(&name)
    };
    let name = options.python_name(&signature.ident).value();
    if is_refused(&name, accepted) {
        let accepted = accepted.join("`, `");
        let message = match is_stream {
            true => format!(
                "Python does not iterate over what `{name}` returns. The special methods that may return a stream are `{accepted}`"
            ),
            false => format!(
                "Python does not await what `{name}` returns: make it a plain `fn`. The special methods that may be an `async fn` are \
                 `{accepted}`"
            ),
        };
        errors.push(&signature.ident, message);
    }
    let blocking = options.blocking.as_ref();
    if let Some(name) = blocking.filter(|it| is_refused(&it.to_string(), accepted_blocking)) {
        let accepted = accepted_blocking.join("`, `");
        let message = format!(
            "`blocking` cannot name the special method `{name}`: call block_on in a plain `fn {name}`. The special methods that it \
             can name here are `{accepted}`"
        );
        errors.push(name, message);
    }
}

/// Declares the methods in the function of a class attribute: PyO3 calls it when it has made the class. PyO3 leaves an attribute of
/// this name out of stubs. A second attribute of the same name replaces the value of the first, which then removes the name.
fn declare<'a>(
    private: &TokenStream,
    first_method: &Ident,
    statements: impl Iterator<Item = &'a TokenStream>,
) -> TokenStream {
    // A class may have several blocks.
    let name = format_ident!("__pyo3_asyncio_declare_{first_method}");
    let replace = format_ident!("__pyo3_asyncio_replace_{first_method}");
    let attributes = quote! {
        #[classattr]
        #[pyo3(name = "__releasebuffer__")]
        #[doc(hidden)]
        #[allow(non_snake_case, reason = "it is named after a method, which may be a special one")]
    };
    quote! {
        #attributes
        fn #name(py: #private::pyo3::Python<'_>) -> #private::pyo3::PyResult<#private::RemovesName> {
            #(#statements)*
            ::core::result::Result::Ok(#private::RemovesName::from::<Self>(py))
        }

        #attributes
        fn #replace() -> #private::Nothing {
            #private::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::report;

    fn expanded(block: TokenStream) -> String {
        let arguments = quote!(crate = "bridge");
        let expand = |item, errors: &mut _| expand(Runtime::Tokio, arguments, item, errors);
        report(block, EXPECTED, expand).to_string()
    }

    #[test]
    fn the_block_for_rust_keeps_the_users_attributes() {
        let methods = expanded(quote! {
            #[allow(clippy::unused_self)]
            #[expect(non_snake_case)]
            #[cfg(unix)]
            #[pyo3(crate = "another")]
            impl Class {
                fn plain(&self) {}
                async fn method(&self) {}
            }
        });
        let attributes = quote! {
            #[allow(clippy::unused_self)]
            #[allow(non_snake_case)]
            #[cfg(unix)]
        };
        let for_python = quote! {
            #[bridge::__private::pyo3::pymethods]
            #attributes
            #[pyo3(crate = "another")]
            impl Class
        };
        let for_rust = quote! {
            #attributes
            impl Class {
                async fn method(&self) {}
            }
        };
        assert!(methods.starts_with(&for_python.to_string()), "{methods}");
        assert!(methods.ends_with(&for_rust.to_string()), "{methods}");
    }

    #[test]
    fn a_block_without_async_methods_is_for_pyo3_alone() {
        let block = quote! {
            #[expect(non_snake_case)]
            impl Class {
                fn Plain(&self) {}
            }
        };
        let expected = quote! {
            #[bridge::__private::pyo3::pymethods]
            #[pyo3(crate = "bridge::__private::pyo3")]
            #block
        };
        assert_eq!(expanded(block).to_string(), expected.to_string());
    }
}
