//! Measures the provider against what `cp` and `find` take: `measure copy FROM TO [THREADS]`,
//! `measure list DIR`, `measure stream FROM TO`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use local_drive::{LocalDrive, Settings};
use sitesync_provider::{
    At, BoxFuture, Copy, Expect, Host, HostServices, Kind, ListStream, Op, Provider, Result, join,
};

struct Bare;

impl HostServices for Bare {
    fn cache_dir(&self) -> PathBuf {
        std::env::temp_dir()
    }
    fn site_id(&self) -> String {
        "measure".into()
    }
    fn permit(&self, _: u32) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn is_stopped(&self) -> bool {
        false
    }
    fn stopped(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let drive = Arc::new(LocalDrive::connect(Settings::default(), Host::new(Bare)).await?);
    let begun = Instant::now();
    let mut lister = drive.list(At::new(&args[1], ""), true).await?;
    let mut files = Vec::new();
    let mut folders = 0;
    while let Some(pages) = lister.next().await? {
        for page in pages {
            folders += 1;
            for entry in page.entries.iter().filter(|entry| entry.metadata.kind == Kind::File) {
                files.push((join(&page.folder, &entry.name), entry.metadata.version.clone()));
            }
        }
    }
    println!("listed {} files in {folders} folders: {:?}", files.len(), begun.elapsed());
    if args[0] != "copy" {
        return Ok(());
    }
    let threads = args.get(3).and_then(|n| n.parse().ok()).unwrap_or(2);
    let begun = Instant::now();
    let (files, next) = (Arc::new(files), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..threads {
        let (drive, files, next, args) = (drive.clone(), files.clone(), next.clone(), args.clone());
        tasks.push(tokio::spawn(async move {
            let batch = if files.len() > 1000 { 64 } else { 1 };
            loop {
                let from = next.fetch_add(batch, Ordering::Relaxed).min(files.len());
                let part = &files[from..(from + batch).min(files.len())];
                if part.is_empty() {
                    return;
                }
                let known: Vec<_> = part
                    .iter()
                    .map(|(_, version)| sitesync_provider::Known::new(None, version.clone()))
                    .collect();
                let copies: Vec<_> = part
                    .iter()
                    .zip(&known)
                    .map(|((path, _), known)| {
                        let from = At::new(&args[1], path).known(Some(known));
                        Copy::new(from, At::new(&args[2], path), Expect::Nothing)
                    })
                    .collect();
                for answer in drive.server_copy(&copies, &Op::unbound()).await {
                    if let Err(error) = answer {
                        println!("{error}");
                    }
                }
            }
        }));
    }
    for task in tasks {
        let _ = task.await;
    }
    println!("copied: {:?}", begun.elapsed());
    drive.flush(&[&args[2]]).await?;
    println!("copied and flushed: {:?}", begun.elapsed());
    Ok(())
}
