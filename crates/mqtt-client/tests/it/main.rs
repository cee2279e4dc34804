//! The client against a server that follows a script, over real sockets.

#![cfg(test)]

mod back_pressure;
mod connecting;
mod leaving;
mod limits;
mod publishing;
mod script;
mod sessions;
mod streams;
mod websocket;
