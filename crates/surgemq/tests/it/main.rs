//! The program from the outside: as a process, over real sockets.

mod harness;
mod limits;
mod login;
mod messages;
mod serve;
mod sessions;
mod usage;
