//! How much memory the process may use, and how much it does, as the operating system says.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// How much memory the process may use; at it the server refuses, rather than that the system ends it.
///
/// The bytes are those of the whole process. Kernel buffers of sockets and files are not among them,
/// which is why the default leaves a part for them.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum MemoryLimit {
    /// So many percent of what there is: of the memory of the machine, or of the process's cgroup
    /// (version 1 or 2, those around it included) if that is less. Where the system does not say there
    /// is no limit.
    Percent(u8),
    /// So many bytes.
    Bytes(u64),
    /// No limit.
    None,
}

impl MemoryLimit {
    /// The limit in bytes.
    #[must_use]
    pub fn bytes(self) -> Option<u64> {
        match self {
            Self::Percent(percent) => available().map(|bytes| bytes / 100 * u64::from(percent)),
            Self::Bytes(bytes) => Some(bytes),
            Self::None => None,
        }
    }
}

impl Default for MemoryLimit {
    fn default() -> Self {
        Self::Percent(50)
    }
}

/// The memory that is resident for this process alone, in bytes: without pages of files.
pub(crate) fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = statm.split_ascii_whitespace().skip(1).map_while(|n| n.parse::<u64>().ok());
    let (resident, shared) = (pages.next()?, pages.next()?);
    Some(resident.saturating_sub(shared).saturating_mul(page_bytes()))
}

/// The size of a page, from what the kernel tells each process when it starts.
fn page_bytes() -> u64 {
    static BYTES: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *BYTES.get_or_init(|| {
        let auxv = fs::read("/proc/self/auxv").unwrap_or_default();
        page_size_in(&auxv).unwrap_or(4096)
    })
}

/// The value of `AT_PAGESZ` among pairs of native words.
fn page_size_in(auxv: &[u8]) -> Option<u64> {
    const AT_PAGESZ: usize = 6;
    let (words, _) = auxv.as_chunks::<{ size_of::<usize>() }>();
    let mut words = words.iter().map(|word| usize::from_ne_bytes(*word));
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        if key == AT_PAGESZ {
            return u64::try_from(value).ok().filter(|bytes| bytes.is_power_of_two());
        }
    }
    None
}

/// What the machine has, or the cgroup of the process if that is less.
fn available() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = limit_of_groups(Path::new("/sys/fs/cgroup"), &groups);
    let machine = total_in(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    group.into_iter().chain(machine).min()
}

/// `MemTotal` of `/proc/meminfo`.
fn total_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib = line.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
    Some(kib.saturating_mul(1024))
}

/// The lowest limit of the groups of `/proc/self/cgroup` and of those that they are in; `root` is where
/// they are mounted.
fn limit_of_groups(root: &Path, groups: &str) -> Option<u64> {
    groups
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            match controllers {
                // Version 2 has one tree for everything.
                "" => lowest(root.to_owned(), path, "memory.max"),
                _ if controllers.split(',').any(|name| name == "memory") => {
                    lowest(root.join("memory"), path, "memory.limit_in_bytes")
                }
                _ => None,
            }
        })
        .min()
}

/// The lowest number in `file` from the mount on down to `path`. In a container the path may be the
/// host's, and then only the mount itself is there.
fn lowest(mut at: PathBuf, path: &str, file: &str) -> Option<u64> {
    let mut lowest: Option<u64> = None;
    for name in std::iter::once("").chain(path.split('/').filter(|name| *name != "..")) {
        at.push(name);
        let said = fs::read_to_string(at.join(file)).ok();
        let limit = said.and_then(|text| text.trim().parse::<u64>().ok());
        lowest = lowest.into_iter().chain(limit).min();
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_says_what_there_is_and_what_is_used() {
        let (resident, available) = (resident().unwrap(), available().unwrap());
        assert!(resident > 100_000 && resident < available, "{resident} of {available}");
        assert_eq!(MemoryLimit::Percent(100).bytes(), Some(available / 100 * 100));
    }

    #[test]
    fn the_lowest_limit_of_the_groups_around_counts() {
        let root = std::env::temp_dir().join(format!("surgemq-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "3000\n");
        write("a/b/memory.max", "max\n");
        write("memory/x/memory.limit_in_bytes", "2000\n");
        assert_eq!(limit_of_groups(&root, "0::/a/b\n"), Some(3000));
        assert_eq!(limit_of_groups(&root, "4:cpu,memory:/x\n0::/a/b\n"), Some(2000));
        assert_eq!(limit_of_groups(&root, "0::/\n1:cpu:/a\nnonsense\n"), None);
        write("memory.max", "1000\n");
        // A path of the host, seen from inside a container.
        assert_eq!(limit_of_groups(&root, "0::/../host/path\n"), Some(1000));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn what_is_not_said_is_not_guessed() {
        assert_eq!(total_in("MemFree: 1 kB\nMemTotal:       8 kB\n"), Some(8192));
        assert_eq!(total_in("MemTotal: many"), None);
        assert_eq!(page_size_in(&[1, 2, 3]), None);
    }
}
