//! The binary `bots`.

use std::io::Write as _;
use std::process::ExitCode;

use bots::args::{Args, Command};
use clap::Parser as _;
use runtime::service::chain;

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Run(args) => bots::command::run(&args),
        Command::Profiles => bots::command::profiles().map(|()| true),
        Command::Play(args) => bots::play::run(&args).map(|()| true),
        Command::Picture(args) => bots::play::draw(&args).map(|()| true),
        Command::Journey(args) => bots::journey::command(&args).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is nobody else to tell.
            writeln!(std::io::stderr(), "bots: {}", chain(&error)).ok();
            ExitCode::from(2)
        }
    }
}
