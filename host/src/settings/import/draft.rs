//! What an export comes to, before it is written.

use std::collections::BTreeMap;

use toml_edit::Value;

use super::Left;
use crate::settings::context::Platform;
use crate::settings::source::is_secret;

/// Paths by root name: texts, or tables of platforms.
pub(super) type Roots = BTreeMap<String, Value>;

/// A whole file.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) enabled: Option<bool>,
    pub(super) sync: Section,
    pub(super) sites: BTreeMap<String, Site>,
    pub(super) projects: BTreeMap<String, Project>,
    /// What other programs call this machine; `local` here.
    pub(super) local_id: Option<String>,
    pub(super) left: Vec<Left>,
}

/// `[sync]`, or what a project has of it.
#[derive(Default)]
pub(super) struct Section {
    pub(super) enabled: Option<bool>,
    pub(super) active_site: Option<Mention>,
    pub(super) remote_site: Option<Mention>,
    pub(super) retry_count: Option<u64>,
    /// In seconds.
    pub(super) loop_delay: Option<u64>,
    pub(super) always_accessible_on: Vec<Mention>,
}

/// A site's name, and where it was named.
#[derive(Clone)]
pub(super) struct Mention {
    pub(super) name: String,
    pub(super) at: String,
}

#[derive(Default)]
pub(super) struct Site {
    pub(super) provider: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) alternative_sites: Vec<Mention>,
    pub(super) roots: Roots,
    /// The provider's own settings.
    pub(super) fields: BTreeMap<String, Value>,
}

#[derive(Default)]
pub(super) struct Project {
    pub(super) section: Section,
    pub(super) sites: BTreeMap<String, ProjectSite>,
    /// Why it can't be synced yet.
    pub(super) unready: Option<String>,
}

#[derive(Default)]
pub(super) struct ProjectSite {
    pub(super) enabled: Option<bool>,
    pub(super) roots: Roots,
}

impl Draft {
    pub(super) fn left(
        &mut self,
        at: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let left = Left { at: at.into(), why: why.into(), remedy: remedy.into() };
        if !self.left.contains(&left) {
            self.left.push(left);
        }
    }

    /// Returns a name as we have it. Others allow blanks.
    pub(super) fn name(&mut self, raw: &str, at: &str) -> String {
        let raw = raw.trim();
        if self.local_id.as_deref() == Some(raw) {
            return "local".into();
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let name: String = raw.chars().map(|c| if fits(c) { c } else { '_' }).take(64).collect();
        let name = name.trim_start_matches(['-', '.']).trim_end_matches('.');
        let name = if name.is_empty() { "_" } else { name }.to_owned();
        if name != raw {
            let why = format!("`{raw}` is no name here; it is called `{name}`");
            self.left(at, why, "rename it as you like, wherever it is named");
        }
        name
    }

    pub(super) fn mention(&mut self, raw: &str, at: &str) -> Mention {
        Mention { name: self.name(raw, at), at: at.to_owned() }
    }

    /// Notes that two sites are one storage; a project's list may repeat those of the studio.
    pub(super) fn alternative(&mut self, site: &str, other: &str, at: &str) {
        let mention = self.mention(other, at);
        let known = &mut self.sites.entry(site.to_owned()).or_default().alternative_sites;
        if mention.name != site && !known.iter().any(|known| known.name == mention.name) {
            known.push(mention);
        }
    }

    pub(super) fn section(&mut self, project: Option<&str>) -> &mut Section {
        match project {
            Some(project) => &mut self.projects.entry(project.to_owned()).or_default().section,
            None => &mut self.sync,
        }
    }

    pub(super) fn roots(&mut self, project: Option<&str>, site: &str) -> &mut Roots {
        match project {
            Some(project) => {
                let project = self.projects.entry(project.to_owned()).or_default();
                &mut project.sites.entry(site.to_owned()).or_default().roots
            }
            None => &mut self.sites.entry(site.to_owned()).or_default().roots,
        }
    }

    pub(super) fn has_secret(&self) -> bool {
        self.sites.values().flat_map(|site| site.fields.keys()).any(|key| is_secret(key))
    }

    /// Takes out what could not hold: sites of no provider, mentions of no site; switches off
    /// projects whose ends have no folders yet.
    pub(super) fn settle(&mut self, platform: Platform) {
        let always = |name: &str| matches!(name, "studio" | "local");
        let homeless: Vec<String> = self
            .sites
            .iter_mut()
            .filter_map(|(name, site)| {
                if site.provider.is_none() && always(name) {
                    site.provider = Some("local_drive".into());
                }
                site.provider.is_none().then(|| name.clone())
            })
            .collect();
        for name in homeless {
            self.sites.remove(&name);
            self.left(
                format!("sites.{name}"),
                "its provider is not in the export",
                "export the system settings too, and name both files",
            );
        }
        let known: Vec<String> = self.sites.keys().cloned().collect();
        let is_known = |name: &str| always(name) || known.iter().any(|known| known == name);
        let mut unknown = Vec::new();
        let mut keep = |mention: &Mention| {
            let keep = is_known(&mention.name);
            if !keep {
                unknown.push(mention.clone());
            }
            keep
        };
        for site in self.sites.values_mut() {
            site.alternative_sites.retain(&mut keep);
        }
        let sections = self.projects.values_mut().map(|project| &mut project.section);
        for section in sections.chain([&mut self.sync]) {
            section.active_site = section.active_site.take().filter(&mut keep);
            section.remote_site = section.remote_site.take().filter(&mut keep);
            section.always_accessible_on.retain(&mut keep);
        }
        let mut strangers = Vec::new();
        for (project_name, project) in &mut self.projects {
            project.sites.retain(|site, _| {
                let keep = is_known(site);
                if !keep {
                    strangers.push(format!("projects.{project_name}.sites.{site}"));
                }
                keep
            });
        }
        for Mention { name, at } in unknown {
            self.left(at, format!("there is no site `{name}` in the export"), "add [sites.NAME]");
        }
        for at in strangers {
            self.left(at, "there is no such site in the export", "add [sites.NAME]");
        }
        let unready: Vec<(String, String)> = self
            .projects
            .iter()
            .filter(|(_, project)| project.section.enabled.or(self.sync.enabled) != Some(false))
            .filter_map(|(name, project)| Some((name.clone(), self.unready(project, platform)?)))
            .collect();
        for (name, why) in unready {
            let remedy = format!("add what is missing, and remove `enabled = false` of `{name}`");
            self.left(format!("projects.{name}"), why.clone(), remedy);
            if let Some(project) = self.projects.get_mut(&name) {
                project.unready = Some(why);
            }
        }
    }

    /// Why a project's two ends can't be synced, if so.
    fn unready(&self, project: &Project, platform: Platform) -> Option<String> {
        let end = |own: &Option<Mention>, shared: &Option<Mention>| {
            let mention = own.as_ref().or(shared.as_ref());
            mention.map_or_else(|| "studio".to_owned(), |mention| mention.name.clone())
        };
        let active = end(&project.section.active_site, &self.sync.active_site);
        let remote = end(&project.section.remote_site, &self.sync.remote_site);
        if active == remote {
            return None;
        }
        let roots = |site: &str| -> Vec<&String> {
            let shared = self.sites.get(site).map(|site| &site.roots);
            let own = project.sites.get(site).map(|site| &site.roots);
            let here = |value: &Value| {
                value.as_inline_table().is_none_or(|table| table.contains_key(platform.name()))
            };
            let all = [shared, own].into_iter().flatten().flatten();
            all.filter(|(_, path)| here(path)).map(|(name, _)| name).collect()
        };
        let (ours, theirs) = (roots(&active), roots(&remote));
        for (site, roots) in [(&active, &ours), (&remote, &theirs)] {
            if roots.is_empty() {
                return Some(format!(
                    "site `{site}` has no folder for {} in the export",
                    platform.name()
                ));
            }
        }
        (!ours.iter().any(|root| theirs.contains(root)))
            .then(|| format!("sites `{active}` and `{remote}` have no root name in common"))
    }
}

/// Returns a folder as we have it: a project's own.
pub(super) fn folder(path: &str) -> Result<String, String> {
    let path = path.replace("{project[name]}", "{project}");
    if let Some(at) = path.find('[') {
        let begin = path[..at].rfind('{').unwrap_or(at);
        let end = path[at..].find('}').map_or(path.len(), |end| at + end + 1);
        return Err(format!("`{}` in `{path}` is not known here", &path[begin..end]));
    }
    if path.is_empty() || path.contains("{project}") {
        return Ok(path);
    }
    let separator = if path.contains('\\') && !path.contains('/') { '\\' } else { '/' };
    Ok(format!("{}{separator}{{project}}", path.trim_end_matches(['/', '\\'])))
}
