//! One login, from its turn to its answer.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mqtt_auth::{Refusal, Step};

use crate::{
    core::login::{LoginAnswer, LoginJob},
    net::login_turns::{Busy, Origin},
    server::Shared,
};

/// The answer to who was refused because there are too many logins, or because logins fail all the time
/// where it comes from, waits so long: whoever tries again at once is not served faster for it.
const REFUSED_AFTER: Duration = Duration::from_secs(1);

/// So many logins of an address may fail without that.
const FAILURES_FREE: u32 = 10;

/// A login under way; `None` if the authenticator panicked.
pub(crate) type Login = Pin<Box<dyn Future<Output = Option<LoginAnswer>> + Send>>;

/// Asks the authenticator. One that hashes passwords does so on the threads that may block, when it is
/// the turn of this login.
pub(crate) fn login(job: LoginJob, shared: &Arc<Shared>) -> Login {
    match job.authenticator.is_blocking() {
        false => Box::pin(async move { Some(job.run().await) }),
        true => Box::pin(in_turn(job, shared.clone())),
    }
}

async fn in_turn(job: LoginJob, shared: Arc<Shared>) -> Option<LoginAnswer> {
    let (turns, now) = (&shared.logins, || shared.clock.now());
    let origin = Origin::of(job.peer.address);
    let fingerprint = job.fingerprint();
    let verified = || fingerprint.as_ref().and_then(|print| turns.verified(print, now()));
    if let Some(identity) = verified() {
        return Some(LoginAnswer::verified(identity));
    }
    let user_name = job.credentials.user_name.as_deref().unwrap_or_default();
    let turn = match turns.turn(origin, user_name, job.credentials.bytes(), now()).await {
        Ok(turn) => turn,
        Err(Busy) => {
            shared.broker.logins_refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(REFUSED_AFTER).await;
            return Some(LoginAnswer::refused(Refusal::Unavailable));
        }
    };
    // Many devices of one user may have waited for the first of them.
    if let Some(identity) = verified() {
        return Some(LoginAnswer::verified(identity));
    }
    let runtime = tokio::runtime::Handle::current();
    let asked = tokio::task::spawn_blocking(move || runtime.block_on(job.run())).await;
    // An authenticator without end has the turn until its connection is cut, and not for ever.
    drop(turn);
    let answer = asked.ok()?;
    let mut has_failed_often = false;
    match (&answer.step, fingerprint) {
        (Step::Done { identity, .. }, Some(fingerprint)) => {
            turns.note_verified(fingerprint, identity.clone(), now());
        }
        (Step::Refused(Refusal::BadCredentials), _) => {
            has_failed_often = turns.note_failure(origin, now()) > FAILURES_FREE;
        }
        _ => {}
    }
    if has_failed_often {
        tokio::time::sleep(REFUSED_AFTER).await;
    }
    Some(answer)
}
