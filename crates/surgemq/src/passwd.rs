//! `surgemq passwd`: changes a password file.

use std::{
    io::{self, BufRead, IsTerminal},
    process::ExitCode,
};

use mqtt_auth::{EditError, PasswordEditor};

use crate::{cli::PasswdArgs, failure::Failure};

/// Adds, changes or removes one user.
///
/// # Errors
/// The file, the name or the password is not what it should be.
pub(crate) fn run(arguments: &PasswdArgs) -> Result<ExitCode, Failure> {
    check_file(arguments)?;
    let mut file = PasswordEditor::open(&arguments.file).map_err(failure)?;
    if arguments.delete {
        remove(&mut file, arguments)?;
    } else {
        set(&mut file, arguments, &password(arguments)?).map_err(failure)?;
    }
    file.save().map_err(failure)?;
    Ok(ExitCode::SUCCESS)
}

/// A file is made only where that was asked for, and never over another one: a mistyped path must
/// not look like success, nor cost all users their passwords.
fn check_file(arguments: &PasswdArgs) -> Result<(), Failure> {
    let path = arguments.file.display();
    match (arguments.file.exists(), arguments.create) {
        (true, true) => Err(Failure::new(format!(
            "{path} is there already; leave -c out to change it, or remove it first"
        ))),
        (false, false) => {
            Err(Failure::new(format!("there is no file {path}; add -c to make a new one")))
        }
        _ => Ok(()),
    }
}

fn set(
    file: &mut PasswordEditor,
    arguments: &PasswdArgs,
    password: &[u8],
) -> Result<(), EditError> {
    if arguments.scram {
        file.set_scram_user(&arguments.user, password, arguments.iterations)
    } else {
        file.set_user(&arguments.user, password)
    }
}

fn remove(file: &mut PasswordEditor, arguments: &PasswdArgs) -> Result<(), Failure> {
    if file.remove_user(&arguments.user) {
        return Ok(());
    }
    let path = arguments.file.display();
    Err(Failure::new(format!(
        "there is no user {:?} in {path}; nothing was changed",
        arguments.user
    )))
}

fn password(arguments: &PasswdArgs) -> Result<Vec<u8>, Failure> {
    if let Some(password) = &arguments.password {
        return Ok(password.as_encoded_bytes().to_vec());
    }
    if io::stdin().is_terminal() { ask(&arguments.user) } else { read_line(io::stdin().lock()) }
}

fn ask(user: &str) -> Result<Vec<u8>, Failure> {
    let prompt = |text: String| {
        rpassword::prompt_password(text)
            .map_err(|error| Failure::new(format!("cannot ask for the password: {error}")))
    };
    let first = prompt(format!("Password for {}: ", user.escape_default()))?;
    let second = prompt("The same again: ".into())?;
    if first == second {
        Ok(first.into_bytes())
    } else {
        Err(Failure::new("the two passwords differ; nothing was changed"))
    }
}

/// One line, without its end.
fn read_line(mut input: impl BufRead) -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    input
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::new(format!("cannot read the password from stdin: {error}")))?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// What mqtt-auth says about it is made for the user.
fn failure(error: impl Into<EditError>) -> Failure {
    Failure::new(error.into().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_from_a_pipe_is_one_line() {
        for text in ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\nmore\n"] {
            assert_eq!(read_line(text.as_bytes()), Ok(b"s3cret".to_vec()), "{text:?}");
        }
        assert_eq!(read_line(&b"\xff \n"[..]), Ok(b"\xff ".to_vec()));
    }
}
