//! The `enmesh` program: finds, joins and watches clusters of Erlang, Elixir and Rust nodes.

mod agent;
mod arguments;
mod check_config;
mod config;
mod demo;
mod discover;
mod epmd;
mod exit;
mod leave;
mod log;
mod on_event;
mod reload;
mod run;
mod runtime;
mod service;
mod signals;
mod visit;
mod wait;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::config::Environment;
use crate::exit::Failure;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::of_clap(&error),
    };
    match dispatch(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.is_untold() {
                eprintln!("enmesh: {failure}");
            }
            failure.exit_code()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    let environment = Environment::of_process();
    match command {
        Command::Run(options) => run::run(&options, &environment),
        Command::Agent(options) => agent::run(&options, &environment),
        Command::CheckConfig(options) => check_config::run(&options, &environment),
        Command::Discover(options) => discover::run(&options, &environment),
        Command::Leave(options) => leave::run(&options, &environment),
        Command::Wait(options) => wait::run(&options, &environment),
        Command::Epmd(options) => epmd::run(&options),
        Command::Demo(options) => demo::run(&options),
    }
}
