//! Progress bars, on stderr, when that is a terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::progress::Progress;

/// A line that follows a run: files, bytes, rate, time left. Ends when dropped.
pub(super) struct Bar {
    bar: ProgressBar,
    task: tokio::task::JoinHandle<()>,
}

impl Bar {
    /// Follows a run; `None` where nobody would see it.
    pub(super) fn follow(progress: Arc<Progress>) -> Option<Self> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let style = ProgressStyle::with_template(
            "{spinner} {msg}  {bar:24}  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
        )
        .ok()?;
        let bar = ProgressBar::new(0).with_style(style);
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            loop {
                let done = read(&progress.files) + read(&progress.adopted);
                let planned = read(&progress.planned_files).max(done);
                let bytes = read(&progress.planned_bytes);
                shown.set_length(bytes);
                shown.set_position(read(&progress.moved).min(bytes));
                shown.set_message(format!("{done}/{planned} files, {} seen", read(&progress.seen)));
                shown.tick();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Some(Bar { bar, task })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}
