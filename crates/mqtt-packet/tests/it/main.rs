//! Tests of the codec against the standards: by vectors, by grids, by properties.

#![cfg(test)]

mod bad_inputs;
mod grids;
mod harness;
mod limits;
mod round_trips;
mod vector_table;
mod vectors;
