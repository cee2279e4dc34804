//! The SurgeMQ broker and its command-line tools.

mod cli;
mod connect;
mod failure;
mod format;
mod log;
mod passwd;
mod private_files;
mod properties;
mod publish;
mod runtime;
mod serve;
mod signals;
mod store;
mod subscribe;

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os().collect())
}
