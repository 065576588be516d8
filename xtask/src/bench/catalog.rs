//! What a large catalog costs: the example `catalog` of the tests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::medium::Medium;
use super::peer::STATE;
use crate::dist;
use crate::process::read;
use crate::workspace::Workspace;

/// Files in a representation.
const SEQUENCE: u64 = 20;

/// The program, built.
#[derive(Debug)]
pub(super) struct Catalog {
    program: PathBuf,
}

/// What was measured, by the names that the program prints.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) files: u64,
    values: Value,
}

impl Measured {
    pub(super) fn number(&self, name: &str) -> Result<f64> {
        self.values[name].as_f64().with_context(|| format!("no number {name:?}"))
    }
}

impl Catalog {
    pub(super) fn build(workspace: &Workspace) -> Result<Self> {
        let mut cargo = workspace.cargo();
        cargo.args(["build", "--release", "--package", "sitesync-tests", "--example", "catalog"]);
        Ok(Catalog { program: dist::example(&mut cargo, "catalog")? })
    }

    /// Publishes so many files into a fresh catalog, and reads what people look at.
    pub(super) fn measure(&self, medium: &Medium, files: u64) -> Result<Measured> {
        medium.clear(&[STATE])?;
        let folder = medium.path(STATE);
        dist::private_folder(&folder)?;
        medium.settle()?;
        let mut command = Command::new(&self.program);
        command.arg(&folder);
        command.args([files, files.div_ceil(SEQUENCE)].map(|count| count.to_string()));
        let printed = read(&mut command)?;
        medium.clear(&[STATE])?;
        let values = serde_json::from_str(&printed)
            .with_context(|| format!("{:?} is no JSON", printed.trim()))?;
        Ok(Measured { files, values })
    }
}
