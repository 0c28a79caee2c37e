//! Generates the `Declaration` of an exported function: its type hints, whether it returns a stream, and the signature of
//! `__call__`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt as _;

use super::Export;
use super::signature::{Parameters, Returns};
use crate::errors::Errors;
use crate::function::option;

impl Export<'_> {
    /// The `Declaration` of the function. The wrapper reports the errors.
    pub(crate) fn declaration(&self) -> TokenStream {
        let private = self.private;
        let mut reported = Errors::default();
        let parameters = Parameters::parse(self.signature, &mut reported);
        let returns = Returns::parse(&self.signature.output, &self.python_name(), &mut reported);
        let hints = parameters.passed().map(|parameter| {
            let name = parameter.name.unraw().to_string();
            match self.options.hints.iter().find(|(of, _)| *of == name) {
                Some((_, text)) => quote!(#private::annotate(annotations, #name, #text)?;),
                None => {
                    let ty = &parameter.ty;
                    quote!(#private::hinted::<#ty>().annotate(annotations, #name)?;)
                }
            }
        });
        let signature = option(self.signature_of_call(&parameters));
        let (is_stream, (output, _)) = (returns.is_stream, self.output(&returns));
        let output = match is_stream {
            true => quote!(#private::Streamed<#output>),
            false => output,
        };
        quote! {
            #private::Declaration {
                is_stream: #is_stream,
                signature: #signature,
                annotate: |annotations| {
                    #(#hints)*
                    #private::hinted::<#output>().annotate(annotations, "return")
                },
            }
        }
    }

    /// The signature of `__call__`, for which PyO3 has no text, unless it is given.
    fn signature_of_call(&self, parameters: &Parameters) -> Option<String> {
        let is_call = self.python_name() == "__call__" && !self.options.has("signature");
        let names = parameters
            .passed()
            .map(|it| format!(", {}", it.name.unraw()));
        is_call.then(|| format!("(self{})", names.collect::<String>()))
    }
}
