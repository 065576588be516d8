//! `drive-emulator`: a Google Drive on this machine, until it is stopped.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use drive_emulator::{Emulator, Role};

/// A Google Drive on this machine, in memory, for trying things out without a Google account
#[derive(Debug, Parser)]
struct Arguments {
    /// The port to listen on, on 127.0.0.1 only
    #[arg(long, default_value_t = 8520)]
    port: u16,
    /// Address of the service account to make
    #[arg(long, default_value = "robot@studio.iam.gserviceaccount.com")]
    account: String,
    /// Where to write the service account's key
    #[arg(long, value_name = "FILE", default_value = "sa.json")]
    credentials_out: PathBuf,
    /// Makes a shared drive that the account manages; may be given several times
    #[arg(long, value_name = "NAME")]
    shared_drive: Vec<String>,
    /// Makes a folder that a person shares with the account; may be given several times
    #[arg(long, value_name = "NAME")]
    shared_folder: Vec<String>,
    /// Milliseconds that each request waits
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_ms: u64,
    /// Is a proxy, too, that leads to here whoever wants to go to googleapis.com
    #[arg(long, requires = "ca_out")]
    proxy: bool,
    /// Where to write the certificate that clients of the proxy must trust
    #[arg(long, value_name = "FILE", requires = "proxy")]
    ca_out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let drive = Emulator::builder()
        .port(arguments.port)
        .latency(Duration::from_millis(arguments.latency_ms))
        .tls_proxy(arguments.proxy)
        .launch()?;
    let account = drive.service_account(&arguments.account);
    let write = |path: &PathBuf, text: &str| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write(&arguments.credentials_out, &account.credentials_json())?;
    println!("Google Drive emulator at {}", drive.url());
    println!("  key of {}: {}", account.email, arguments.credentials_out.display());
    for name in &arguments.shared_drive {
        let id = drive.shared_drive(name, &[]);
        drive.share(&id, &account.email, Role::Organizer);
        println!("  shared drive {name:?}: {id}");
    }
    let owner = "owner@studio.example";
    let root = drive.user(owner);
    for name in &arguments.shared_folder {
        ensure!(!name.contains('/'), "{name:?} is a path: give the name of one folder");
        let id = drive.folder(&root, name);
        drive.share(&id, &account.email, Role::Writer);
        println!("  folder {name:?} of {owner}: {id}");
    }
    if let Some(path) = &arguments.ca_out {
        write(path, drive.ca_pem())?;
        println!("  proxy: {} with the certificate {}", drive.url(), path.display());
    }
    println!("Everything is forgotten when this ends. Ctrl-C ends it.");
    loop {
        std::thread::park();
    }
}
