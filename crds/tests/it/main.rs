//! Integration tests of the API crate; one binary, so that they link once.

mod files;
mod schema;
