//! What a run leaves behind: tables, files, plots, a page of documentation.

mod axis;
mod chart;
pub(crate) mod column;
pub(crate) mod json;
pub(crate) mod page;
mod plots;
mod svg;
pub(crate) mod table;
