//! Writes `openapi.json` to the directory given as the only argument.
//!
//! Called by `cargo xtask codegen`; the output in `auth/openapi/` is committed.
#![expect(clippy::print_stdout, reason = "a command for the terminal")]

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(std::env::args().nth(1).ok_or("usage: openapigen OUT_DIR")?);
    std::fs::create_dir_all(&out)?;
    let path = out.join("openapi.json");
    let json = auth::http::document().to_pretty_json()?;
    std::fs::write(&path, json + "\n")?;
    println!("{}", path.display());
    Ok(())
}
