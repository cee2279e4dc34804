mod argon2id;
mod editor;
mod hash;
mod line;
mod warning;

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::RwLock;
use subtle::Choice;

pub use self::{
    editor::{EditError, PasswordEditor},
    warning::PasswordWarning,
};
use self::{hash::PasswordHash, line::Line};
use crate::{
    Authenticator, Exchange, Identity, LoadError, Login, Refusal, Standing, Verdict,
    load_error::Problem,
    scram::{self, ScramDecoys, ScramExchange, ScramKeys},
    text_file::TextFile,
};

/// Users and their passwords from a file with lines `USER:HASH`.
///
/// Four kinds of hashes are understood. [`PasswordEditor`] writes argon2id as a PHC string
/// (`alice:$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`) and the keys of SCRAM
/// (`alice:$scram-sha-256$ITERATIONS$SALT$STORED_KEY$SERVER_KEY`); mosquitto wrote
/// `$7$ROUNDS$SALT$HASH` (PBKDF2-SHA512) and `$6$SALT$HASH` (SHA-512).
/// Blank lines and lines that start with `#` mean nothing. A line that makes no sense, a password
/// in plain text, or a user who stands there twice: the file is not loaded.
///
/// # What it answers
/// - Known user, right password: [`Verdict::Allow`] as this user.
/// - Known user, and the password is wrong, empty or not sent at all:
///   [`Refusal::BadCredentials`]. An empty password opens nothing, even if the file has its hash.
/// - Unknown user, or no user name: [`Verdict::Pass`], which [comes out](Verdict::resolve) as
///   [`Refusal::BadCredentials`] if nobody else knows the user.
///
/// # SCRAM-SHA-256
/// If some user has a line for SCRAM, [`exchange`](Authenticator::exchange) knows the method
/// `SCRAM-SHA-256` (RFC 7677): the client proves that it knows the password and never sends it, and
/// the server proves that it knows the user. There is no channel binding. A user name in CONNECT
/// must be that of the exchange. These users may also send their password; users with other lines
/// can do nothing else, and SCRAM treats them as unknown. In a [`Chain`](crate::Chain) the first
/// file with such a line does all of SCRAM.
///
/// Unknown users get a salt that is made up, always the same for the same name until the program
/// starts anew, and fail at the proof as known ones with a wrong password do.
///
/// # Nobody learns who has an account
/// For an unknown user name the password is checked against the hash of some known user, always
/// the same for the same name, and the answer is thrown away. So unknown names take the time that
/// known ones take, even if the file mixes kinds of hashes. In a [`Chain`](crate::Chain) of
/// several files, an answer takes the time of the files that were asked.
///
/// # It blocks
/// [`authenticate`](Authenticator::authenticate) computes where it is called: some tens of
/// milliseconds, and 19 MiB of memory for argon2id while it lasts. The server calls it on a
/// bounded pool of threads, because [`is_blocking`](Authenticator::is_blocking) is `true`. How
/// often somebody may guess is for the server to limit: there are no clocks here.
pub struct PasswordFile {
    path: Option<PathBuf>,
    users: RwLock<Arc<Users>>,
    /// Chooses the known user whose hash is checked for an unknown one, unpredictably for others; and
    /// tells whether a line is the same after a reload.
    decoys: RandomState,
    generation: AtomicU64,
    /// Survives a reload, so that unknown users keep the salts that were made up for them.
    scram_decoys: Arc<ScramDecoys>,
}

impl PasswordFile {
    /// Loads the users from a file, to which [`reload`](Self::reload) comes back.
    ///
    /// # Errors
    /// [`LoadError::Read`], or [`LoadError::Line`] for the first line that makes no sense.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, LoadError> {
        let (path, hasher) = (path.into(), RandomState::new());
        let users = Users::read(&path, &hasher)?;
        Ok(Self::new(Some(path), users, hasher))
    }

    /// Takes the users from a string.
    ///
    /// # Errors
    /// [`LoadError::Line`] for the first line that makes no sense.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        let hasher = RandomState::new();
        let users = Users::parse(text, None, &hasher)?;
        Ok(Self::new(None, users, hasher))
    }

    /// Loads the file anew. On any error the old users stay, all of them.
    ///
    /// A login that is being checked meanwhile is checked against the old users. Of the clients that
    /// are connected, those whose user is gone or has another line have
    /// [no standing](Authenticator::standing) any more, and a server ends their connections.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`LoadError::NoFile`] if the users did not come from a file.
    pub fn reload(&self) -> Result<(), LoadError> {
        let path = self.path.as_deref().ok_or(LoadError::NoFile)?;
        let mut users = Users::read(path, &self.decoys)?;
        {
            let mut old = self.users.write();
            users.carry_over(&old, self.generation().wrapping_add(1));
            *old = Arc::new(users);
        }
        // After the users, so that nobody keeps an old answer under the new number.
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Whether the file, as it was loaded last, has a line for this user.
    #[must_use]
    pub fn contains(&self, user_name: &str) -> bool {
        self.users.read().by_name.contains_key(user_name)
    }

    /// Whether there is no user in the file, as it was loaded last: nobody can log in then.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.read().by_name.is_empty()
    }

    /// How often the users were loaded anew. It grows after the new ones are in force.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What the operator should hear about the file as it was loaded last.
    #[must_use]
    pub fn warnings(&self) -> Vec<PasswordWarning> {
        self.users.read().warnings.clone()
    }

    fn new(path: Option<PathBuf>, users: Users, hasher: RandomState) -> Self {
        Self {
            path,
            users: RwLock::new(Arc::new(users)),
            decoys: hasher,
            generation: AtomicU64::new(0),
            scram_decoys: Arc::new(ScramDecoys::new()),
        }
    }
}

#[async_trait]
impl Authenticator for PasswordFile {
    async fn authenticate(&self, login: Login<'_>) -> Verdict {
        let Some(user_name) = login.user_name else {
            return Verdict::Pass;
        };
        // Not under the lock: a reload would wait for the hashing, and all logins for the reload.
        let users = Arc::clone(&self.users.read());
        match users.check(user_name, login.password.unwrap_or_default(), &self.decoys) {
            Check::Right => Verdict::Allow(Identity::user(user_name)),
            Check::Wrong => Verdict::Deny(Refusal::BadCredentials),
            Check::Unknown => Verdict::Pass,
        }
    }

    fn exchange(&self, method: &str) -> Option<Box<dyn Exchange>> {
        let users = Arc::clone(&self.users.read());
        if method != scram::METHOD || users.scram.is_empty() {
            return None;
        }
        let decoys = Arc::clone(&self.scram_decoys);
        Some(Box::new(ScramExchange::new(move |name| users.scram_keys(name, &decoys))))
    }

    fn is_blocking(&self) -> bool {
        true
    }

    /// Under a key that only this value has; with the user's line in it, so that a password that was
    /// changed is asked for. Known and unknown users take the same time.
    fn fingerprint(&self, login: Login<'_>) -> Option<[u8; 32]> {
        let name = login.user_name.unwrap_or_default();
        let users = Arc::clone(&self.users.read());
        let known = users.by_name.get(name);
        let (line, since) = known.map_or((0, u64::MAX), |user| (user.line, user.since));
        let flags = [u8::from(login.user_name.is_some()), u8::from(login.password.is_some())];
        Some(self.scram_decoys.fingerprint(&[
            &flags,
            &line.to_be_bytes(),
            &since.to_be_bytes(),
            &(name.len() as u64).to_be_bytes(),
            name.as_bytes(),
            login.password.unwrap_or_default(),
        ]))
    }

    fn generation(&self) -> u64 {
        self.generation()
    }

    /// Over for whom the file does not have, or has had with another line since.
    fn standing(&self, identity: &Identity, generation: u64) -> Standing {
        let users = self.users.read();
        let user = identity.user_name().and_then(|name| users.by_name.get(name));
        match user.is_some_and(|user| user.since <= generation) {
            true => Standing::Valid,
            false => Standing::Over,
        }
    }
}

impl fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordFile")
            .field("path", &self.path)
            .field("users", &self.users.read().by_name.len())
            .finish_non_exhaustive()
    }
}

/// The content of the file.
#[derive(Default)]
struct Users {
    by_name: HashMap<Box<str>, User>,
    hashes: Vec<PasswordHash>,
    /// The indices of those in `hashes` that serve SCRAM.
    scram: Vec<usize>,
    warnings: Vec<PasswordWarning>,
}

/// A user's line.
#[derive(Clone, Copy)]
struct User {
    /// The index into `hashes`.
    index: usize,
    /// A keyed hash of what stands behind the name.
    line: u64,
    /// The generation since which it has been the same.
    since: u64,
}

enum Check {
    Right,
    Wrong,
    Unknown,
}

impl Users {
    fn read(path: &Path, hasher: &RandomState) -> Result<Self, LoadError> {
        let file = TextFile::read_trusted(path)?;
        let mut users = Self::parse(&file.text, Some(path), hasher)?;
        let warning = file.mode.and_then(|mode| PasswordWarning::for_mode(path.to_owned(), mode));
        users.warnings.extend(warning);
        Ok(users)
    }

    fn parse(text: &str, path: Option<&Path>, hasher: &RandomState) -> Result<Self, LoadError> {
        let mut users = Self::default();
        for (index, line) in text.lines().enumerate() {
            users.take_line(index, line, hasher).map_err(|problem| problem.at(path, index))?;
        }
        Ok(users)
    }

    fn take_line(&mut self, index: usize, line: &str, hasher: &RandomState) -> Result<(), Problem> {
        let Some(Line { user_name, hash, text }) = Line::parse(line)? else {
            return Ok(());
        };
        let user = User { index: self.hashes.len(), line: hasher.hash_one(text), since: 0 };
        if self.by_name.insert(user_name.into(), user).is_some() {
            let remedy = "keep one line for each user";
            return Err(Problem::new(format!("user {user_name:?} for the second time"), remedy));
        }
        if hash.is_weak() {
            let line = index.saturating_add(1);
            self.warnings.push(PasswordWarning::WeakHash { line, user_name: user_name.into() });
        }
        if hash.scram_keys().is_some() {
            self.scram.push(self.hashes.len());
        }
        self.hashes.push(hash);
        Ok(())
    }

    /// Users whose line is that of the old ones are the same users still; the others are so since
    /// `generation`.
    fn carry_over(&mut self, old: &Self, generation: u64) {
        for (name, user) in &mut self.by_name {
            let before = old.by_name.get(name).filter(|before| before.line == user.line);
            user.since = before.map_or(generation, |before| before.since);
        }
    }

    /// Takes the same time for known and unknown users, with and without a password.
    fn check(&self, user_name: &str, password: &[u8], decoys: &RandomState) -> Check {
        let known = self.by_name.get(user_name).map(|user| user.index);
        let index = known.unwrap_or_else(|| self.decoy(user_name, decoys));
        let Some(hash) = self.hashes.get(index) else {
            // There are no users whom one could tell from unknown ones.
            return Check::Unknown;
        };
        let is_known = Choice::from(u8::from(known.is_some()));
        let is_given = Choice::from(u8::from(!password.is_empty()));
        let is_right = hash.verify(password) & is_known & is_given;
        match (bool::from(is_known), bool::from(is_right)) {
            (false, _) => Check::Unknown,
            (true, false) => Check::Wrong,
            (true, true) => Check::Right,
        }
    }

    /// The keys of a user, or some that are made up. Both are looked for, and take the same time.
    fn scram_keys(&self, user_name: &str, decoys: &ScramDecoys) -> ScramKeys {
        let known = self.by_name.get(user_name).and_then(|user| self.scram_at(user.index));
        let model = self.scram.get(decoys.choose(user_name, self.scram.len()));
        let made_up = decoys.keys(user_name, model.and_then(|index| self.scram_at(*index)));
        known.cloned().unwrap_or(made_up)
    }

    fn scram_at(&self, index: usize) -> Option<&ScramKeys> {
        self.hashes.get(index).and_then(PasswordHash::scram_keys)
    }

    /// The index of the hash that is checked for an unknown user.
    fn decoy(&self, user_name: &str, decoys: &RandomState) -> usize {
        let count = self.hashes.len().max(1) as u64;
        usize::try_from(decoys.hash_one(user_name) % count).unwrap_or_default()
    }
}
