//! The SurgeMQ broker and its command-line tools.

mod cli;
mod failure;
mod format;
mod passwd;
mod properties;
mod runtime;
mod serve;
mod signals;

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os().collect())
}
