use super::hash::PasswordHash;
use crate::load_error::Problem;

/// One line `user:hash` of a password file.
pub(super) struct Line<'a> {
    pub(super) user_name: &'a str,
    pub(super) hash: PasswordHash,
    /// What stands behind the colon.
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    /// `None` for a blank line or a comment.
    ///
    /// What stands behind the user name never gets into the problem: it may be a password.
    pub(super) fn parse(line: &'a str) -> Result<Option<Self>, Problem> {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let (user_name, text) = line.split_once(':').ok_or_else(|| {
            Problem::new("no `:` behind a user name", "write `USER:HASH`, or `#` for a comment")
        })?;
        check_user_name(user_name)?;
        Ok(Some(Self { user_name, hash: PasswordHash::parse(text)?, text }))
    }
}

/// Whether a name can stand in front of the colon and be read back as the same name.
pub(super) fn check_user_name(name: &str) -> Result<(), Problem> {
    let problem = if name.is_empty() {
        "empty user name"
    } else if name.starts_with('#') || name.contains(':') {
        "user name with a `:`, or a `#` at its start"
    } else if name.trim() != name {
        "user name with blanks around it"
    } else if name.contains(|c: char| c.is_control() || c == '\u{feff}') {
        "user name with a control character or a byte order mark"
    } else {
        return Ok(());
    };
    Err(Problem::new(problem, "choose another user name"))
}
