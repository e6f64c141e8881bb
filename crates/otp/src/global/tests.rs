#![allow(clippy::disallowed_methods)]

mod claims;
mod deaths;
mod simulation;
mod world;
