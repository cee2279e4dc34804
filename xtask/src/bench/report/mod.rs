//! What a run leaves behind: tables, files, plots, a page of documentation.

pub(crate) mod column;
pub(crate) mod json;
pub(crate) mod table;
