//! Who may come in, and what they may do.

use std::{net::SocketAddr, sync::Arc};

use mqtt_auth::{AclFile, Action, Anonymous, Authorizer, Chain, PasswordFile, Subject};
use mqtt_server::ServerBuilder;

use crate::{cli::ServeArgs, failure::Failure};

/// The files that decide. A clone stands for the same files.
#[derive(Clone)]
pub(super) struct Access {
    passwords: Option<Arc<PasswordFile>>,
    rules: Option<Arc<AclFile>>,
    allow_anonymous: bool,
}

impl Access {
    /// Loads the files, and logs what should not stay as it is.
    ///
    /// # Errors
    /// A file cannot be read, or has a line that makes no sense.
    pub(super) fn load(arguments: &ServeArgs) -> Result<Self, Failure> {
        let passwords = arguments.password_file.as_ref().map(PasswordFile::load).transpose();
        let rules = arguments.acl_file.as_ref().map(AclFile::load).transpose();
        let access = Self {
            passwords: passwords.map_err(|error| failure("--password-file", &error))?.map(Arc::new),
            rules: rules.map_err(|error| failure("--acl-file", &error))?.map(Arc::new),
            allow_anonymous: arguments.allow_anonymous,
        };
        access.warn();
        Ok(access)
    }

    /// Loads the files anew, for clients to come and for those that are there. A file that is not in
    /// order changes nothing, and does not keep the other one from being loaded.
    ///
    /// # Errors
    /// What is wrong with the files, in a line for each.
    pub(super) fn reload(&self) -> Result<(), Vec<Failure>> {
        let passwords = self.passwords.as_ref().map_or(Ok(()), |file| file.reload());
        let rules = self.rules.as_ref().map_or(Ok(()), |file| file.reload());
        self.warn();
        let passwords = passwords.map_err(|error| failure("--password-file", &error)).err();
        let rules = rules.map_err(|error| failure("--acl-file", &error)).err();
        let failures: Vec<_> = passwords.into_iter().chain(rules).collect();
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    fn warn(&self) {
        for warning in self.passwords.iter().flat_map(|passwords| passwords.warnings()) {
            tracing::warn!("{warning}");
        }
        if self.passwords.as_ref().is_some_and(|passwords| passwords.is_empty()) {
            tracing::warn!(
                "--password-file: there is no user in the file, so nobody can log in; add one with \
                 `surgemq passwd`"
            );
        }
        if self.rules.as_ref().is_some_and(|rules| rules.permits_nothing()) {
            tracing::warn!(
                "--acl-file: no rule permits anything, so nobody may publish or subscribe"
            );
        }
    }

    /// Hands them to the server.
    ///
    /// Without a password file credentials mean nothing, so everyone may come in; whether that is
    /// in order where the server listens is for [`check_exposure`] to say.
    pub(super) fn apply(&self, mut builder: ServerBuilder) -> ServerBuilder {
        builder = match (self.passwords.clone(), self.allow_anonymous) {
            (None, _) => builder.authenticator(Anonymous::everyone()),
            (Some(passwords), false) => builder.authenticator(passwords),
            (Some(passwords), true) => {
                let anonymous = Anonymous::without_credentials();
                builder.authenticator(Chain::new().then(passwords).then(anonymous))
            }
        };
        if self.passwords.is_some() || self.rules.is_some() {
            builder.authorizer(self.clone())
        } else {
            builder
        }
    }

    /// Whether this is a user whom the password file does not have (any more). Nobody comes in under
    /// such a name; it is that of a session or will from before the file was loaded, or before the
    /// broker started.
    fn was_removed(&self, who: Subject<'_>) -> bool {
        let (Some(passwords), Some(name)) = (&self.passwords, who.identity.user_name()) else {
            return false;
        };
        !passwords.contains(name)
    }
}

/// A user who is removed may do nothing from then on, also until the connection is ended, and nor may
/// what is left of him: a will, a session.
impl Authorizer for Access {
    fn authorize(&self, who: Subject<'_>, action: Action<'_>) -> bool {
        let permitted = self.rules.as_ref().is_none_or(|rules| rules.authorize(who, action));
        permitted && !self.was_removed(who)
    }

    fn generation(&self) -> u64 {
        let rules = self.rules.as_ref().map_or(0, Authorizer::generation);
        rules + self.passwords.as_ref().map_or(0, |passwords| passwords.generation())
    }
}

/// Refuses to serve everyone who can reach the machine, unless that was asked for.
///
/// The addresses are those that the server is bound to, so that no name resolves differently
/// later; nothing is accepted before this.
///
/// # Errors
/// Some address is not on loopback, and neither `--password-file` nor `--allow-anonymous` is given.
pub(super) fn check_exposure(
    arguments: &ServeArgs,
    addresses: &[SocketAddr],
) -> Result<(), Failure> {
    if arguments.allow_anonymous || arguments.password_file.is_some() {
        return Ok(());
    }
    match addresses.iter().find(|address| !is_loopback(address)) {
        None => Ok(()),
        Some(address) => Err(Failure::new(format!(
            "refusing to listen on {address} without authentication, because others can reach it; \
             add --password-file FILE, or --allow-anonymous to let everyone in"
        ))),
    }
}

fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn failure(option: &str, error: &mqtt_auth::LoadError) -> Failure {
    Failure::new(format!("{option}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ServeArgs;

    fn arguments(line: &str) -> ServeArgs {
        use clap::Parser;
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            serve: ServeArgs,
        }
        Only::parse_from(std::iter::once("x").chain(line.split_whitespace())).serve
    }

    #[test]
    fn everyone_may_come_in_on_loopback_only() {
        let check = |line, address: &str| {
            check_exposure(
                &arguments(line),
                &["127.0.0.1:1".parse().unwrap(), address.parse().unwrap()],
            )
        };
        for address in ["127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check("", address), Ok(()), "{address}");
        }
        for address in ["0.0.0.0:1", "[::]:1", "192.168.0.1:1", "[::ffff:10.0.0.1]:1"] {
            let text = check("", address).unwrap_err().to_string();
            assert!(text.contains(address) && text.contains("--allow-anonymous"), "{text}");
            assert_eq!(check("--allow-anonymous", address), Ok(()), "{address}");
            assert_eq!(check("--password-file x", address), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_its_option() {
        let text =
            Access::load(&arguments("--acl-file /does/not/exist")).err().unwrap().to_string();
        assert!(text.starts_with("--acl-file: cannot read /does/not/exist: "), "{text}");
    }
}
