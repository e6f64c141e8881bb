//! The `enmesh` program: finds, joins and watches clusters of Erlang, Elixir and Rust nodes.

mod agent;
mod arguments;
mod check_config;
mod config;
mod demo;
mod discover;
mod ending;
mod env;
mod epmd;
mod exit;
mod http;
mod inject;
mod install;
mod leave;
mod log;
mod manifests;
mod on_event;
mod parting;
mod reload;
mod run;
mod runtime;
mod service;
mod signals;
mod visit;
mod wait;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::config::Environment;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::of_clap(&error),
    };
    match arguments.command.run(&Environment::of_process()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_untold() {
                eprintln!("enmesh: {failure}");
            }
            failure.exit_code()
        }
    }
}
