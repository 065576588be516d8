//! A draft as a text that people like to read.

use std::fmt::Write as _;

use toml_edit::Value;

use super::draft::{Draft, Mention, Roots, Section};
use crate::settings::edit::dotted;

/// Returns the text of a settings file.
pub(super) fn text(draft: &Draft, from: &str) -> String {
    let mut text = format!(
        "# Taken over from {from}. Read it through, then ask `sitesync config check`.\n\
         # {from} keeps a folder for each project beneath a root: that is `{{project}}`.\n"
    );
    if let Some(enabled) = draft.enabled {
        let _ = write!(text, "\nenabled = {enabled}   # the switch for everything\n");
    }
    let sync = section(&draft.sync);
    if !sync.is_empty() {
        let _ = write!(text, "\n# What holds for every project.\n[sync]\n{sync}");
    }
    // First the two that are always there.
    let order = |name: &String| match name.as_str() {
        "studio" => 0,
        "local" => 1,
        _ => 2,
    };
    let mut sites: Vec<_> = draft.sites.iter().collect();
    sites.sort_by_key(|(name, _)| order(name));
    for (name, site) in sites {
        let _ = write!(text, "\n[{}]\n", key(&["sites", name]));
        if let Some(provider) = &site.provider {
            line(&mut text, &["provider"], &provider.as_str().into());
        }
        if let Some(enabled) = site.enabled.filter(|enabled| !enabled) {
            line(&mut text, &["enabled"], &enabled.into());
        }
        if !site.alternative_sites.is_empty() {
            let names = site.alternative_sites.iter().map(|mention| mention.name.as_str());
            line(&mut text, &["alternative_sites"], &names.collect());
        }
        for (name, value) in &site.fields {
            line(&mut text, &[name], value);
        }
        roots(&mut text, &[], &site.roots);
    }
    if draft.projects.is_empty() {
        text.push_str(
            "\n# No project is in the export. Each that is to be synced needs its line:\n",
        );
        text.push_str("# [projects.NAME]\n");
    }
    for (name, project) in &draft.projects {
        let _ = write!(text, "\n[{}]\n", key(&["projects", name]));
        let mut own = section(&project.section);
        if let Some(why) = &project.unready {
            own = own.replace("enabled = true\n", "");
            let _ = writeln!(text, "enabled = false   # {why}");
        }
        text.push_str(&own);
        for (site, seen) in &project.sites {
            if let Some(enabled) = seen.enabled {
                line(&mut text, &["sites", site, "enabled"], &enabled.into());
            }
            roots(&mut text, &["sites", site], &seen.roots);
        }
    }
    text
}

fn section(section: &Section) -> String {
    let mut text = String::new();
    if let Some(enabled) = section.enabled {
        line(&mut text, &["enabled"], &enabled.into());
    }
    let ends = [("active_site", &section.active_site), ("remote_site", &section.remote_site)];
    for (key, end) in ends {
        if let Some(Mention { name, .. }) = end {
            line(&mut text, &[key], &name.as_str().into());
        }
    }
    if let Some(retry_count) = section.retry_count {
        let _ = writeln!(text, "retry_count = {retry_count}");
    }
    if let Some(seconds) = section.loop_delay {
        let _ = writeln!(text, "loop_delay = \"{seconds}s\"");
    }
    if !section.always_accessible_on.is_empty() {
        let names = section.always_accessible_on.iter().map(|mention| mention.name.as_str());
        line(&mut text, &["always_accessible_on"], &names.collect());
    }
    text
}

fn roots(text: &mut String, before: &[&str], roots: &Roots) {
    for (name, path) in roots {
        line(text, &[before, &["root", name]].concat(), path);
    }
}

fn line(text: &mut String, parts: &[&str], value: &Value) {
    let _ = writeln!(text, "{} = {value}", key(parts));
}

fn key(parts: &[&str]) -> String {
    dotted(&parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
}
