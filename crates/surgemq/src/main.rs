//! The SurgeMQ broker and its command-line tools.
fn main() {}
