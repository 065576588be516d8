//! Log lines, on stderr.

use tracing_subscriber::EnvFilter;

use super::{Global, LogFormat};

/// Starts logging. `SITESYNC_LOG` takes a filter as tracing's `EnvFilter` writes it, on real
/// targets of host and providers (`local_drive=debug`); else `-v` counts.
pub(super) fn start(global: &Global, service: bool) {
    let level = match (global.verbose, service) {
        (0, false) => "warn",
        (0, true) | (1, _) => "info",
        (2, _) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("SITESYNC_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber in one process (tests) leaves the first in place.
    let _ = match global.log_format {
        LogFormat::Text => lines.with_target(true).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}
