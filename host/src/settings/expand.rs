//! `{project}`, `{VARIABLE}` and `~` in a text.
//!
//! `{{` stands for one `{`. A `}` without a `{` before it stands for itself. What a variable
//! holds is not looked into again.

use super::context::Context;
use super::nearest::nearest;

/// Why a text could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) message: String,
    pub(super) hint: String,
}

impl Trouble {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Trouble { message: message.into(), hint: hint.into() }
    }

    /// Returns what stands for a trouble that was told where it was found.
    pub(super) fn reported() -> Self {
        Trouble::new("", "")
    }

    pub(super) fn was_reported(&self) -> bool {
        self.message.is_empty()
    }
}

/// Returns the text with all filled in. Without a project, `{project}` is no variable.
pub(super) fn expand(
    text: &str,
    project: Option<&str>,
    context: &Context,
) -> Result<String, Trouble> {
    let (mut result, mut rest) = home(text, context)?;
    while let Some(open) = rest.find('{') {
        result.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        if let Some(after) = after.strip_prefix('{') {
            result.push('{');
            rest = after;
            continue;
        }
        let Some(close) = after.find('}') else {
            return Err(Trouble::new("a `{` is not closed", "write `{{` for a `{` itself"));
        };
        result.push_str(&value(&after[..close], project, context)?);
        rest = &after[close + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

fn home<'a>(text: &'a str, context: &Context) -> Result<(String, &'a str), Trouble> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok((String::new(), text));
    };
    // `~name` is a name like any other: file names may begin so.
    if !rest.is_empty() && !rest.starts_with(['/', '\\']) {
        return Ok((String::new(), text));
    }
    match &context.home {
        Some(home) => Ok((home.trim_end_matches(['/', '\\']).to_owned(), rest)),
        None => Err(Trouble::new(
            "`~` stands for the home folder, and there is none here",
            "write the folder out",
        )),
    }
}

fn value(name: &str, project: Option<&str>, context: &Context) -> Result<String, Trouble> {
    if name == "project" {
        return project.map(str::to_owned).ok_or_else(|| {
            Trouble::new(
                "`{project}` has no meaning here: a site is connected once for all projects",
                "use `{project}` in roots only",
            )
        });
    }
    let is_name = name.chars().enumerate().all(|(at, character)| {
        character == '_'
            || character.is_ascii_alphabetic()
            || (at > 0 && (character.is_ascii_digit() || "()".contains(character)))
    });
    if name.is_empty() || !is_name {
        let name = name.escape_debug();
        return Err(Trouble::new(
            format!("`{{{name}}}` is no variable"),
            "allowed are `{project}` in roots, and variables of the environment as in `{STUDIO}`; \
             `{{` stands for a `{` itself",
        ));
    }
    match context.variable(name) {
        Some(value) if value.chars().any(char::is_control) => Err(Trouble::new(
            format!("the environment variable `{name}` holds a control character"),
            "set it to a plain text",
        )),
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        found => {
            let state = if found.is_some() { "empty" } else { "not set" };
            let known = context.variables.iter().filter(|(_, value)| !value.is_empty());
            let known = known.map(|(name, _)| name.as_str());
            let candidates = project.map(|_| "project").into_iter().chain(known);
            let hint = match nearest(name, candidates.filter(|known| *known != name)) {
                Some(near) => format!("did you mean `{{{near}}}`?"),
                None => format!("set `{name}` before starting sitesync, or write the text out"),
            };
            Err(Trouble::new(format!("the environment variable `{name}` is {state}"), hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Platform;

    fn context(platform: Platform) -> Context {
        Context {
            platform,
            variables: [("STUDIO", "/mnt/studio"), ("EMPTY", ""), ("ODD", "{project}")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            home: Some("/home/anna/".into()),
        }
    }

    #[test]
    fn fills_in() {
        for (text, expected) in [
            ("{STUDIO}/projects/{project}", "/mnt/studio/projects/demo"),
            ("~/sync", "/home/anna/sync"),
            ("~", "/home/anna"),
            ("~anna/sync", "~anna/sync"),
            ("/a/~/b", "/a/~/b"),
            ("{{project}", "{project}"),
            ("a}b", "a}b"),
            // Not looked into again.
            ("{ODD}", "{project}"),
            ("", ""),
        ] {
            let found = expand(text, Some("demo"), &context(Platform::Linux));
            assert_eq!(found.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn windows_does_not_tell_case_in_names() {
        let found = expand("{studio}", None, &context(Platform::Windows));
        assert_eq!(found.as_deref(), Ok("/mnt/studio"));
        assert!(expand("{studio}", None, &context(Platform::Linux)).is_err());
    }

    #[test]
    fn says_what_is_missing() {
        let mut context = context(Platform::Linux);
        context.home = None;
        let told: Vec<String> =
            ["{STUDO}", "{EMPTY}", "{MISSING}", "{Project}", "{root[work]}", "{}", "{open", "~/x"]
                .iter()
                .map(|text| match expand(text, Some("demo"), &context) {
                    Err(trouble) => format!("{text}: {} ({})", trouble.message, trouble.hint),
                    Ok(text) => panic!("became {text}"),
                })
                .collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
