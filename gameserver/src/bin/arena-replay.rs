//! The binary `arena-replay`.

use std::io::{self, BufWriter};
use std::process::ExitCode;

use clap::Parser as _;
use gameserver::history::replay::{self, Args};
use runtime::service::chain;

fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    match replay::run(Args::parse(), &mut out, &mut io::stderr()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}
