//! NOTE to colleagues: another engineer is writing the bench in this folder right now (since 13:27). Leave this folder alone.
fn main() {}
