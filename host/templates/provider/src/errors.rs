//! What the service's refusals mean. Here alone they are classified: the kind of an error decides
//! what sitesync does about it.

use sitesync_provider::{Error, ErrorKind};

use crate::service::Refusal;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let (kind, message) = match refusal {
            Refusal::WrongKey => (ErrorKind::Unauthenticated, "the account has another key"),
            Refusal::Missing => (ErrorKind::NotFound, "nothing is there"),
            Refusal::Exists => (ErrorKind::AlreadyExists, "something is there already"),
            Refusal::Changed => (ErrorKind::Precondition, "somebody else has changed it"),
            Refusal::IsFolder => (ErrorKind::InvalidPath, "a folder is there"),
            Refusal::IsFile => (ErrorKind::InvalidPath, "a file is where a folder should be"),
            Refusal::NotEmpty => (ErrorKind::Precondition, "the folder is not empty"),
            // The connection's fault, and not the file's: the host begins anew.
            Refusal::UploadGone => (ErrorKind::Interrupted, "the service has lost the upload"),
        };
        // The service's own code helps whoever has to ask its makers.
        Error::new(kind, message).with_code(format!("{refusal:?}"))
    }
}
