//! From the operating system's error to the contract's: the kind, a sentence, the escaped path.

use std::fmt;
use std::io;

use rustix::io::Errno;
use sitesync_provider::{Error, ErrorKind};

/// Turns an error of a system call into the contract's, with what was done and to what.
pub(crate) fn fault(what: &str, path: &str, error: impl Into<io::Error>) -> Error {
    classify(error.into()).context(Quoted(what, path))
}

/// An error of this provider's own making, with what was done and to what.
pub(crate) fn refuse(kind: ErrorKind, what: &str, path: &str, why: &str) -> Error {
    Error::new(kind, why).context(Quoted(what, path))
}

fn classify(error: io::Error) -> Error {
    let own = |kind, message: &str| {
        let code = error.raw_os_error().map(|n| format!("os error {n}")).unwrap_or_default();
        Error::new(kind, message).with_code(code)
    };
    match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => {
            own(ErrorKind::InvalidPath, "a symbolic link, which is not followed").with_source(error)
        }
        Some(Errno::XDEV) => {
            own(ErrorKind::InvalidPath, "this leaves the root, or the disk it is on")
                .with_source(error)
        }
        Some(Errno::NOTDIR) => {
            own(ErrorKind::InvalidPath, "a file is where a folder should be").with_source(error)
        }
        Some(Errno::NAMETOOLONG) => {
            own(ErrorKind::InvalidPath, "the name or path is too long").with_source(error)
        }
        Some(Errno::ILSEQ | Errno::INVAL) => {
            own(ErrorKind::InvalidPath, "the name cannot be expressed on this disk")
                .with_source(error)
        }
        // A device that fails below the filesystem: nothing here can tell for how long, nor whether it is
        // one file's fault. Several in a row are the disk's.
        Some(Errno::IO) => {
            own(ErrorKind::Interrupted, "the disk reports an input/output error").with_source(error)
        }
        Some(Errno::NODEV | Errno::NXIO | Errno::HOSTDOWN | Errno::SHUTDOWN) => {
            own(ErrorKind::Interrupted, "the disk does not answer any more").with_source(error)
        }
        _ => Error::from(error),
    }
}

/// `write "a/b"`: the path escaped, because a name may hold anything.
struct Quoted<'a>(&'a str, &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.0, self.1)
    }
}
