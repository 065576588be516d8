//! Recording copies that are at a site already.

use std::path::Path;

use serde_json::json;
use tokio::sync::mpsc;

use super::{Answer, Desk, Refused, Report};
use crate::publish::echoed;

/// Records what a folder, which is a root of the project at the site, has of the project's files.
pub(super) async fn adopt(
    desk: &Desk,
    project: &str,
    (site, root): (&str, Option<&str>),
    folder: &str,
    report: &mpsc::Sender<Report>,
) -> Answer {
    let project = desk.project(project)?;
    desk.site(site)?;
    if !project.site_enabled(site) {
        return Err(Refused::wrong(format!("site '{site}' is switched off")));
    }
    let same = |path: &str| match (Path::new(path).canonicalize(), Path::new(folder).canonicalize())
    {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    let roots = project.roots(site);
    let named = |name: &String| root.is_none_or(|root| root == name);
    let fitting: Vec<&String> = roots
        .iter()
        .filter(|(name, path)| named(name) && same(path))
        .map(|(name, _)| name)
        .collect();
    let name = match fitting[..] {
        [name] => name.clone(),
        [] => {
            let first = || roots.keys().next().map(String::as_str);
            let name = root.or_else(first).unwrap_or("work");
            let are: Vec<String> =
                roots.iter().map(|(name, path)| format!("{name} = {path}")).collect();
            let shown = echoed(folder);
            let why = format!(
                "{shown} is not a root of project '{}' at site '{site}' (they are: {})",
                project.name,
                if are.is_empty() { "none".to_owned() } else { are.join(", ") }
            );
            return Err(Refused::wrong(why).hint(format!(
                "make it one: `root.{name} = \"{folder}\"` in [sites.{site}], or in \
                 [projects.{}.sites.{site}] for this project alone",
                project.name
            )));
        }
        _ => {
            let why = format!("several roots of site '{site}' are {}", echoed(folder));
            return Err(Refused::wrong(why).hint("say which one with --root"));
        }
    };
    let hear = |done| {
        let _ = report.try_send(Report { done, ..Report::default() });
    };
    let adopted = desk.engine.adopt_copies(&project, site, &name, hear).await?;
    desk.wake();
    let named = adopted
        .named
        .iter()
        .map(|(path, why)| json!({"path": format!("{{root[{name}]}}/{path}"), "reason": why}));
    Ok(json!({
        "site": site, "root": name, "adopted": adopted.files, "bytes": adopted.bytes,
        "known": adopted.known, "differ": adopted.differ, "uncompared": adopted.uncompared,
        "unknown": adopted.unknown, "missing": adopted.missing,
        "files": named.collect::<Vec<_>>(),
    }))
}
