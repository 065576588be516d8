//! `sitesync config schema`: what may stand in the settings, for editors.

use super::super::ground;
use super::super::output::{print, say};
use super::super::{Exit, Failure, Global};
use crate::settings::provider::Declared;
use crate::settings::{Plugins, editor};
use crate::state_dir::StateDir;

pub(super) fn run(global: &Global) -> Result<Exit, Failure> {
    let settings = ground::settings_if_any(global)?.map(|settings| settings.plugins);
    let state = StateDir::open(&ground::state_path(global)?)?;
    let plugins = ground::plugins(global, &settings.unwrap_or_else(Plugins::default), &state);
    let mut declared = Vec::new();
    for name in plugins.names() {
        match plugins.get(&name) {
            Ok(provider) => declared.push(Declared::of(&provider.description)),
            Err(refusal) => {
                say(format_args!("left out: provider `{name}`\n  {}", refusal.reason));
                say(format_args!("  help: {}", refusal.remedy));
            }
        }
    }
    print(format_args!("{:#}\n", editor::schema(&declared)));
    Ok(Exit::Done)
}
