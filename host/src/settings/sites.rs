//! `[sites.NAME]`: the keys that are the same for every provider, and the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::context::Context;
use super::foreign::foreign;
use super::layers::Layer;
use super::model::Site;
use super::nearest;
use super::read::{Field, Fields, Report, set};
use super::roots::read_roots;
use super::sections::{Extent, SITE, Sections, SiteSection, is_name};
use super::source::Span;
use super::tree::Value;

/// The longest that a site may be waited for without a sign of life.
const HOUR: Duration = Duration::from_secs(3600);

/// Reads the table `sites`.
pub(super) fn read_sites(
    field: &Field<'_>,
    extent: Extent,
    sections: &mut Sections,
    report: &mut Report<'_>,
    context: &Context,
) {
    let Some(table) = report.table(field, "[sites.studio]") else {
        return;
    };
    for field in &table {
        if !is_name("site", field, report) {
            continue;
        }
        let example = format!("[sites.{}]", field.name);
        // A site that cannot be read is still there: mentions of it are not the mistake.
        let table = report.table(field, &example).unwrap_or_default();
        let section = read_site(field, &table, extent, &mut sections.mentions, report, context);
        sections.sites.insert(field.name.to_owned(), section);
    }
}

fn read_site(
    header: &Field<'_>,
    table: &Fields<'_>,
    extent: Extent,
    mentions: &mut Vec<(String, Span)>,
    report: &mut Report<'_>,
    context: &Context,
) -> SiteSection {
    let mut section = SiteSection {
        site: Site {
            span: (!header.key.is_built_in()).then_some(header.key),
            ..Site::built_in(header.name)
        },
        roots: BTreeMap::new(),
        troubles: Vec::new(),
    };
    let site = &mut section.site;
    for field in table {
        match field.name {
            "provider" => set(&mut site.provider, report.string(field, "local_drive")),
            "enabled" => set(&mut site.enabled, report.boolean(field)),
            "root" => section.roots = read_roots(field, report, context.platform),
            "slots" => site.slots = report.integer(field, 1..=1024, 4),
            "requests_per_second" => {
                site.requests_per_second = report.number(field, 0.001..=100_000.0);
            }
            "bandwidth" => {
                site.bandwidth = report.bytes_per_second(field, 1024..=1 << 40);
            }
            "mounted" => set(&mut site.mounted, report.boolean(field)),
            "timeout" => {
                site.timeout = report.duration(field, Duration::from_secs(1)..=HOUR);
            }
            "alternative_sites" => {
                for (name, span) in report.strings(field, "studio").unwrap_or_default() {
                    if name == header.name {
                        let message = format!("`alternative_sites`: `{name}` is the site itself");
                        report.note(span, message, "remove it");
                    } else {
                        mentions.push((name.clone(), span));
                        site.alternative_sites.push(name);
                    }
                }
            }
            other => {
                if let Some(own) = SITE.iter().find(|own| nearest::one_slip(other, own)) {
                    report.note(
                        field.key,
                        format!("`{other}` is left to the provider"),
                        format!("did you mean `{own}`?"),
                    );
                }
                if let Some(value) = foreign(field, &mut section.troubles, report, context) {
                    site.settings.insert(other.to_owned(), value);
                    site.key_spans.insert(other.to_owned(), field.key);
                    site.places.insert(other.to_owned(), report.place(field.key));
                }
            }
        }
    }
    let named = |field: &Field<'_>| field.name == "provider";
    // A site that only this machine's own layer knows was reported for that.
    let known = report.source(header.key).layer() != Layer::Local;
    let judged = extent == Extent::All && known && matches!(header.value, Value::Table(_));
    if judged && !table.iter().any(named) {
        let slip = table.iter().find(|field| nearest::one_slip(field.name, "provider"));
        let hint = match slip {
            Some(field) => format!("did you mean `provider` by `{}`?", field.name),
            None => "add one, for example `provider = \"local_drive\"`".into(),
        };
        report.error(header.key, format!("site `{}` has no provider", header.name), hint);
    }
    section
}
