//! How the API server shows what it has: discovery, OpenAPI and tables.
//!
//! Pure functions of the kinds and of objects; the server only chooses among them.

mod age;
mod columns;
pub mod discovery;
mod jsonpath;
pub mod openapi;
mod operations;
mod pods;
mod rows;
pub mod table;
#[cfg(test)]
mod tests;
