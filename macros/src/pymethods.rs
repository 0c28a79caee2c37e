//! `#[pymethods]`: each `async fn` among the methods becomes one that gives Python a coroutine.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ImplItem, ImplItemFn, ItemImpl, Result, Type, Visibility};

use crate::errors::Errors;
use crate::export::{Export, Options, Wrapper, never_awaited, of_impl, pyo3_path, without_python};
use crate::function::{parse_item, unexpected};
use crate::krate;
use crate::runtime::Runtime;

pub(crate) fn expand(runtime: Runtime, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let methods = parse_item(&item, "`#[pymethods]` is for an `impl` block");
    let methods = methods.and_then(check_block);
    let krate = of_impl(arguments).and_then(|krate| krate::path(krate.as_ref()));
    let (Some(mut methods), Some(krate)) = (errors.sift(methods), errors.sift(krate)) else {
        let errors = errors.into_compile_error();
        return quote!(#item #errors);
    };
    let class = methods.self_ty.clone();
    let mut annotations = Vec::new();
    let own = take_async(&mut methods, |method| {
        let wrapper = errors.sift(export(runtime, &krate, &class, method))?;
        annotations.extend(wrapper.annotation);
        Some(wrapper.function)
    });
    let own = (!own.is_empty()).then(|| beside(&mut methods, own));
    let has_pyo3_path = methods.attrs.iter().any(|it| it.path().is_ident("pyo3"));
    let path = (!has_pyo3_path).then(|| pyo3_path(&krate));
    let path = path.map(|path| quote!(#[pyo3(crate = #path)]));
    let errors = errors.into_compile_error();
    quote! {
        #[#krate::__private::pyo3::pymethods]
        #path
        #methods

        #own

        #(#annotations)*

        #errors
    }
}

fn check_block(methods: ItemImpl) -> Result<ItemImpl> {
    match &methods.trait_ {
        Some((_, a_trait, _)) => Err(Error::new_spanned(
            a_trait,
            "`#[pymethods]` is for the methods of a class, not for those of a trait",
        )),
        None if !methods.generics.params.is_empty() => Err(Error::new_spanned(
            &methods.generics,
            "a Python class has no type or lifetime parameters",
        )),
        None => Ok(methods),
    }
}

/// The block for Rust, under the same attributes but for PyO3's.
fn beside(methods: &mut ItemImpl, own: Vec<ImplItemFn>) -> ItemImpl {
    methods.attrs = methods.attrs.iter().map(unexpected).collect();
    let mut block = methods.clone();
    block.attrs.retain(|it| !it.path().is_ident("pyo3"));
    block.items = own.into_iter().map(ImplItem::Fn).collect();
    block
}

/// Puts the wrapper of each `async fn` in its place, and gives those that were taken out.
fn take_async(
    methods: &mut ItemImpl,
    mut export: impl FnMut(&ImplItemFn) -> Option<TokenStream>,
) -> Vec<ImplItemFn> {
    let mut own = Vec::new();
    let items = std::mem::take(&mut methods.items);
    methods.items = items
        .into_iter()
        .filter_map(|item| match item {
            ImplItem::Fn(mut method) if method.sig.asyncness.is_some() => {
                let wrapper = export(&method);
                without_python(&mut method.attrs, &mut method.sig);
                own.push(method);
                wrapper.map(ImplItem::Verbatim)
            }
            other => Some(other),
        })
        .collect();
    own
}

fn export(
    runtime: Runtime,
    krate: &TokenStream,
    class: &Type,
    method: &ImplItemFn,
) -> Result<Wrapper> {
    let mut errors = Errors::default();
    for attribute in &method.attrs {
        if let Some(message) = never_awaited(attribute) {
            errors.push(Error::new_spanned(attribute, message));
        }
    }
    let mut options = Options::default();
    errors.sift(options.add_attributes(&method.attrs));
    let export = Export {
        visibility: Visibility::Inherited,
        signature: &method.sig,
        attributes: &method.attrs,
        options,
        class: Some(class),
    };
    errors.sift(check_name(&export.python_name(), method));
    errors.into_result()?;
    export.wrapper(runtime, krate)
}

/// Refuses special methods that Python does not await.
fn check_name(name: &str, method: &ImplItemFn) -> Result<()> {
    const AWAITED: [&str; 4] = ["__aenter__", "__aexit__", "__anext__", "__call__"];
    let is_special = name.starts_with("__") && name.ends_with("__");
    if !is_special || AWAITED.contains(&name) {
        return Ok(());
    }
    let awaited = AWAITED.join("`, `");
    Err(Error::new(
        method.sig.ident.span(),
        format!(
            "Python does not await what `{name}` returns: of the special methods `{awaited}` may be `async fn`"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_for_rust_is_under_the_attributes_of_the_users() {
        let methods = expand(
            Runtime::Tokio,
            quote!(crate = "bridge"),
            quote! {
                #[allow(clippy::unused_self)]
                #[expect(non_snake_case)]
                #[cfg(unix)]
                #[pyo3(crate = "another")]
                impl Class {
                    fn plain(&self) {}
                    async fn method(&self) {}
                }
            },
        );
        let methods = methods.to_string();
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
    fn a_block_without_async_methods_is_pyo3s_alone() {
        let block = quote! {
            #[expect(non_snake_case)]
            impl Class {
                fn Plain(&self) {}
            }
        };
        let methods = expand(Runtime::Tokio, quote!(crate = "bridge"), block.clone());
        let expected = quote! {
            #[bridge::__private::pyo3::pymethods]
            #[pyo3(crate = "bridge::__private::pyo3")]
            #block
        };
        assert_eq!(methods.to_string(), expected.to_string());
    }
}
