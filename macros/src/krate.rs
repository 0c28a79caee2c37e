//! Where generated code finds `pyo3-asyncio`.

use proc_macro_crate::{Error, FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::Result;

use crate::options::CratePath;

/// The path to `pyo3-asyncio`: the user's, or that under the name which `Cargo.toml` gives it.
pub(crate) fn path(given: Option<&CratePath>) -> Result<TokenStream> {
    if let Some(CratePath(path)) = given {
        return Ok(path.to_token_stream());
    }
    match crate_name("pyo3-asyncio") {
        Ok(FoundCrate::Name(name)) => {
            let name = Ident::new(&name, Span::call_site());
            Ok(quote!(::#name))
        }
        Err(Error::CrateNotFound { .. }) => Err(syn::Error::new(
            Span::call_site(),
            "`pyo3-asyncio` is not among the dependencies in Cargo.toml: add it, or say where it is with `crate = \"path\"`",
        )),
        // Our own doc tests and examples, or a build by another tool than cargo, which has no Cargo.toml.
        Ok(FoundCrate::Itself) | Err(_) => Ok(quote!(::pyo3_asyncio)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The package that these tests are compiled in, our own, is one that does not depend on `pyo3-asyncio`.

    #[test]
    fn a_package_that_does_not_depend_on_us_is_told_to() {
        let error = path(None).unwrap_err().to_string();
        assert_eq!(
            error,
            "`pyo3-asyncio` is not among the dependencies in Cargo.toml: add it, or say where it is with `crate = \"path\"`"
        );
    }

    #[test]
    fn a_given_path_needs_no_dependency() {
        let given = CratePath(syn::parse_quote!(crate::facade::bridge));
        let path = path(Some(&given)).unwrap().to_string();
        assert_eq!(path, quote!(crate::facade::bridge).to_string());
    }
}
