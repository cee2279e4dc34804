//! Stories that hold in more than one version, told once.

pub(crate) mod connect;
pub(crate) mod delivery;
pub(crate) mod framing;
pub(crate) mod ids;
pub(crate) mod order;
pub(crate) mod publish;
pub(crate) mod qos;
pub(crate) mod retain;
pub(crate) mod session;
pub(crate) mod subscribe;
pub(crate) mod text;
pub(crate) mod topics;
pub(crate) mod unsubscribe;
pub(crate) mod will;
