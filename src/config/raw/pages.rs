//! `[pages]`

use crate::config::table::table;
use crate::config::word::names::FilePath;

table! {
    /// Files in place of the gateway's own pages; docs/logins.md says what may stand in them.
    Pages, "[pages]" {
        /// The file for every page that has none of its own. Default: the pages that are built in.
        template: FilePath,
        /// The file for the page that asks which login it shall be.
        chooser: FilePath,
        /// The file for the page of a login or logout that failed.
        error: FilePath,
        /// The file for the page after a logout.
        logged_out: FilePath,
        /// The file for the page of a refused request, or of one whose upstream failed.
        refusal: FilePath,
    }
}
