#![allow(clippy::disallowed_methods)]

mod claims;
mod simulation;
mod world;
