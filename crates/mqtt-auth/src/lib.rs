//! Who is an MQTT client, and what may it do.
mod acl_file;
mod allow_all;
mod anonymous;
mod authenticator;
mod authorizer;
mod chain;
mod exchange;
mod identity;
mod load_error;
mod login;
mod password_file;
mod text_file;
mod verdict;

pub use self::{
    acl_file::AclFile,
    allow_all::AllowAll,
    anonymous::Anonymous,
    authenticator::Authenticator,
    authorizer::{Action, Authorizer, Subject},
    chain::Chain,
    exchange::{Exchange, Step},
    identity::Identity,
    load_error::LoadError,
    login::Login,
    password_file::{EditError, PasswordEditor, PasswordFile, PasswordWarning},
    verdict::{Refusal, Verdict},
};
