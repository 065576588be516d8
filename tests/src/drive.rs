//! A studio whose remote site is in Google Drive: an emulator in this process, the real plug-in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use drive_emulator::{Emulator, Id, Kind, Request, ServiceAccount};
use tempfile::TempDir;

use crate::studio::{self, Outcome, Running, Setup, Studio, Summed, eventually};

/// The service account as which sitesync works.
pub const ROBOT: &str = "robot@studio.iam.gserviceaccount.com";
/// A minute is more than any machine needs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A shared drive `Film` with the folder `demo`, which is the root of the site `remote`; on disk, the
/// site `studio`.
#[derive(Debug)]
pub struct Cloud {
    /// The service.
    pub drive: Emulator,
    /// Who we are there.
    pub robot: ServiceAccount,
    /// The folder that is the remote root.
    pub root: Id,
    /// The shared drive, if the root lies in one that was made for it.
    film: Option<Id>,
    /// The rest.
    pub studio: Studio,
    /// Where the key lies.
    keys: TempDir,
}

impl Cloud {
    /// Everything travels both ways, as soon as it is seen.
    pub fn new() -> Result<Self> {
        Cloud::of(Emulator::start(), |setup| setup)
    }

    /// Likewise, with a Drive and with settings of one's own.
    pub fn of(drive: Emulator, more: impl FnOnce(Setup) -> Setup) -> Result<Self> {
        let robot = drive.service_account(ROBOT);
        let film = drive.shared_drive("Film", &[&robot.email]);
        let root = drive.folder(&film, "demo");
        let cloud = Cloud::at(drive, robot, root, "/Film/demo", more)?;
        Ok(Cloud { film: Some(film), ..cloud })
    }

    /// Likewise, with the root at another place.
    pub fn at(
        drive: Emulator,
        robot: ServiceAccount,
        root: Id,
        path: &str,
        more: impl FnOnce(Setup) -> Setup,
    ) -> Result<Self> {
        let keys = TempDir::new()?;
        let key = robot.write_to(keys.path());
        let setup = Setup::default().remote("gdrive").remote_root(path).loop_delay("1s");
        let setup = setup.remote_line(&connection(&drive, &key));
        let studio = more(setup).build()?;
        Ok(Cloud { drive, robot, root, film: None, studio, keys })
    }

    /// The file with the service account's key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.robot.write_to(self.keys.path())
    }

    /// Writes a file at the local root.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.studio.write(&self.studio.studio(), path, bytes)
    }

    /// A file at the local root.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        fs::read(self.studio.studio().join(path)).with_context(|| path.to_owned())
    }

    /// Puts files at the local root in one step: nobody sees some of them without the others. They
    /// lie in one folder that is not there yet.
    pub fn write_folder(&self, folder: &str, files: &[(&str, &[u8])]) -> Result<()> {
        let staging = self.studio.path().join("staging");
        for (name, bytes) in files {
            self.studio.write(&staging, name, bytes)?;
        }
        Ok(fs::rename(staging, self.studio.studio().join(folder))?)
    }

    /// Likewise with one file, in a folder that is there.
    pub fn write_file(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let staging = self.studio.path().join("staging");
        fs::write(&staging, bytes)?;
        Ok(fs::rename(staging, self.studio.studio().join(path))?)
    }

    /// What lies beneath the root in Drive, by path. A second file of a name has `#2` at its end.
    #[must_use]
    pub fn there(&self) -> BTreeMap<String, Summed> {
        let tree = self.drive.tree(&self.root).into_iter();
        tree.map(|(path, bytes)| (path, Summed::of(&bytes))).collect()
    }

    /// What lies beneath the local root.
    pub fn here(&self) -> Result<BTreeMap<String, Summed>> {
        studio::digest(&self.studio.studio())
    }

    /// Fails unless both sites hold so many files, the same by their digests, each once.
    pub fn ensure_equal(&self, files: usize) -> Result<()> {
        let (here, there) = (self.here()?, self.there());
        ensure!(here == there, "here {here:#?}\nthere {there:#?}");
        ensure!(here.len() == files, "{} files, not {files}: {here:#?}", here.len());
        Ok(())
    }

    /// Syncs once, which must go well.
    pub fn sync(&self) -> Result<Outcome> {
        let outcome = self.studio.sync()?;
        let well = outcome.code == Some(0) && outcome.sum("conflicts") == Some(0);
        ensure!(well, "{outcome:#?}\n{}", self.log());
        Ok(outcome)
    }

    /// The requests so far of one kind.
    #[must_use]
    pub fn requests(&self, kind: Kind) -> Vec<Request> {
        self.drive.requests().into_iter().filter(|request| request.kind == kind).collect()
    }

    /// The requests so far, in a line each: what was asked, how many bytes came, the answer's status.
    #[must_use]
    pub fn log(&self) -> String {
        let line = |request: Request| {
            format!("{:?} {} {}\n", request.kind, request.received, request.status)
        };
        self.drive.requests().into_iter().map(line).collect()
    }

    /// Bytes of content that were sent so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.requests(Kind::Chunk).iter().map(|request| request.received).sum()
    }

    /// rclone with these arguments, for which `gd:` is the root in Drive: the emulator must be a
    /// proxy, so that rclone believes that it talks to Google.
    pub fn rclone(&self, program: &Path, arguments: &[&str]) -> Result<Command> {
        let authority = self.keys.path().join("ca.pem");
        fs::write(&authority, self.drive.ca_pem())?;
        let mut rclone = Command::new(program);
        rclone
            // Not the user's settings.
            .env("RCLONE_CONFIG", "")
            .env("RCLONE_CONFIG_GD_TYPE", "drive")
            .env("RCLONE_CONFIG_GD_SCOPE", "drive")
            .env("RCLONE_CONFIG_GD_ROOT_FOLDER_ID", &self.root)
            .env("RCLONE_CONFIG_GD_TEAM_DRIVE", self.film.as_deref().unwrap_or_default())
            .env("RCLONE_CONFIG_GD_SERVICE_ACCOUNT_FILE", self.key())
            // Tokens come from the emulator itself.
            .env("NO_PROXY", "127.0.0.1")
            .args(["--http-proxy", self.drive.url(), "--exclude", "/.sitesync*/**", "--ca-cert"])
            .arg(authority)
            .args(arguments)
            .stdin(Stdio::null());
        Ok(rclone)
    }

    /// Waits until so many files are recorded as being at both sites.
    pub fn until_synced(&self, service: &mut Running, files: u64) -> Result<()> {
        eventually(&format!("{files} files are synced"), LIMIT, || {
            ensure!(service.is_alive()?, "it has ended: {}", service.stderr()?);
            let states = self.studio.catalog_states().unwrap_or_default();
            let synced = |site: &str| states.get(&(site.to_owned(), "synced".to_owned()));
            let all = synced("studio") == Some(&files) && synced("remote") == Some(&files);
            Ok((all && states.len() == 2).then_some(()))
        })
        .with_context(|| self.log())
    }

    /// Waits for the change feed to be read twice more with nothing between: what was left to the next
    /// pass is done, and one that begins now has nothing to do.
    pub fn until_idle(&self, service: &mut Running) -> Result<()> {
        let quiet = Duration::from_millis(300);
        let (mut seen, mut since) = (self.drive.requests().len(), Instant::now());
        eventually("it only reads the change feed", LIMIT, || {
            ensure!(service.is_alive()?, "it has ended: {}", service.stderr()?);
            let requests = self.drive.requests();
            let new = &requests[seen.min(requests.len())..];
            if new.iter().any(|request| request.kind != Kind::Changes) {
                (seen, since) = (requests.len(), Instant::now());
            }
            Ok((new.len() >= 2 && since.elapsed() > quiet).then_some(()))
        })
        .with_context(|| self.log())
    }
}

/// The lines of a site in this Drive.
#[must_use]
pub fn connection(drive: &Emulator, key: &Path) -> String {
    format!("credentials_file = {key:?}\nendpoint = {:?}", drive.url())
}
