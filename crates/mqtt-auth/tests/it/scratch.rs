use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A file in a directory of its own, both gone when this is dropped.
pub(crate) struct Scratch {
    directory: PathBuf,
    path: PathBuf,
}

impl Scratch {
    /// A path at which there is nothing yet.
    pub(crate) fn nothing() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mqtt-auth-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("file");
        Self { directory, path }
    }

    pub(crate) fn file(content: impl AsRef<[u8]>) -> Self {
        let scratch = Self::nothing();
        scratch.write(content);
        scratch
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&self, content: impl AsRef<[u8]>) {
        let is_new = !self.path.exists();
        fs::write(&self.path, content).unwrap();
        #[cfg(unix)]
        if is_new {
            self.set_mode(0o600);
        }
        #[cfg(not(unix))]
        let _ = is_new;
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    pub(crate) fn names_in_directory(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[cfg(unix)]
    pub(crate) fn mode(&self) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(&self.path).unwrap().permissions().mode() & 0o7777
    }

    #[cfg(unix)]
    pub(crate) fn set_mode(&self, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.directory));
    }
}
