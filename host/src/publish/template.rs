//! Templates: where in a path a representation's parts stand.

use std::fmt;
use std::ops::Range;

use super::file_name;
use super::naming::{Naming, version};
use super::pieces::{Field, Piece, Values, fit, pieces};

/// What holds where a project says nothing: the publish folders of OpenPype and AYON, and their
/// workfiles. (`anatomy` of both, their templates `publish`, `render`, `hero`, `simpleUnrealTexture`,
/// `maya2unreal` and `work`.)
pub const DEFAULTS: [&str; 5] = [
    "{folder}/publish/{type}/{product}/{version}/{file}",
    "{folder}/publish/{type}/{version}/{file}",
    "{folder}/publish/{type}/{product}_v{version}.{ext}",
    "{folder}/work/{task}/{product}_v{version}.{ext}",
    "{folder}/work/{task}/{product}_v{version}_{output}.{ext}",
];

/// The most templates of a project.
const MOST: usize = 64;

/// The longest template, in bytes.
const LONGEST: usize = 1024;

/// A project's templates, in their order: the first that fits a path counts.
#[derive(Debug, Clone)]
pub struct Templates(Vec<Template>);

impl Default for Templates {
    /// [`DEFAULTS`].
    fn default() -> Self {
        let all = DEFAULTS.iter().map(|text| Template::compile(text));
        Templates(all.collect::<Result<_, _>>().expect("the templates that are built in are right"))
    }
}

impl Templates {
    /// Reads templates such as `{folder}/publish/{type}/{product}/{version}/{file}`, which fit paths
    /// below a root.
    ///
    /// | name | stands for | |
    /// |---|---|---|
    /// | `{folder}` | one or more whole parts; with text beside it, a piece of one | must be there, or `{asset}` |
    /// | `{product}` | a part, or a piece of one | must be there, or `{type}` |
    /// | `{version}` | `v003`, `003`, `hero`, `master` | must be there |
    /// | `{name}` | the representation | must be there, or one of the next two |
    /// | `{ext}` | an extension; with `{output}` before it, `<output>_<ext>` is the name | |
    /// | `{file}` | all that is left, at the end: the name is made of the file's | |
    /// | `{frame}` | a whole number | |
    /// | `{output}`, `{asset}`, `{type}`, `{task}`, `{_}` | a part, or a piece of one | |
    ///
    /// A name that stands in two parts stands for the same text in both; `{_}` for any.
    ///
    /// # Errors
    /// The first that is wrong, by its number, with the reason.
    pub fn compile<T: AsRef<str>>(texts: &[T]) -> Result<Self, (usize, TemplateError)> {
        if texts.len() > MOST {
            let message = format!("{} templates are too many", texts.len());
            return Err((MOST, TemplateError::new(message, format!("allowed are {MOST}"))));
        }
        let compiled = texts
            .iter()
            .enumerate()
            .map(|(index, text)| Template::compile(text.as_ref()).map_err(|error| (index, error)));
        compiled.collect::<Result<_, _>>().map(Templates)
    }

    /// Returns the representation that a file belongs to, by its path below the root.
    #[must_use]
    pub fn naming(&self, path: &str) -> Naming {
        let path = Path::of(path);
        self.0.iter().find_map(|template| template.naming(&path)).unwrap_or_else(|| {
            Naming::by_folder(path.text.rsplit_once('/').map_or("", |(folder, _)| folder))
        })
    }
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TemplateError {
    /// What is wrong, and where.
    pub message: String,
    /// What is allowed.
    pub hint: String,
}

impl TemplateError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        TemplateError { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.hint)
    }
}

impl std::error::Error for TemplateError {}

/// A path, and where its parts stand in it.
struct Path<'t> {
    text: &'t str,
    parts: Vec<Range<usize>>,
}

impl<'t> Path<'t> {
    fn of(text: &'t str) -> Self {
        let mut parts = Vec::with_capacity(16);
        let mut start = 0;
        for (at, _) in text.match_indices('/') {
            parts.push(start..at);
            start = at + 1;
        }
        parts.push(start..text.len());
        Path { text, parts }
    }

    /// Whether parts fit those that begin at one, which are there.
    fn fits(&self, parts: &[Vec<Piece>], from: usize, values: &mut Values<'t>) -> bool {
        parts
            .iter()
            .zip(&self.parts[from..])
            .all(|(pieces, part)| fit(pieces, &self.text[part.clone()], values))
    }
}

/// One template, compiled: each part of a path as its pieces.
#[derive(Debug, Clone)]
struct Template {
    /// Parts before `{folder}`, or all if it does not stand alone.
    before: Vec<Vec<Piece>>,
    /// Parts behind it, if it does.
    after: Option<Vec<Vec<Piece>>>,
    /// Whether `{file}` is at the end.
    file: bool,
}

impl Template {
    fn naming(&self, path: &Path<'_>) -> Option<Naming> {
        let count = path.parts.len();
        let after = self.after.as_deref().unwrap_or_default();
        let fixed = self.before.len() + after.len();
        // What `{folder}` and `{file}` share.
        let open = count.checked_sub(fixed)?;
        let lengths = match (&self.after, self.file) {
            (None, false) if open == 0 => 0..=0,
            (None, true) if open >= 1 => 0..=0,
            (Some(_), false) if open >= 1 => open..=open,
            (Some(_), true) if open >= 2 => 1..=open - 1,
            _ => return None,
        };
        let mut values = Values::default();
        if !path.fits(&self.before, 0, &mut values) {
            return None;
        }
        // The shortest folder: what is published within what is published belongs to the outer.
        for length in lengths {
            let begin = self.before.len();
            let mut values = values;
            if !path.fits(after, begin + length, &mut values) {
                continue;
            }
            if length > 0 {
                let folder = path.parts[begin].start..path.parts[begin + length - 1].end;
                values.set(Field::Folder, &path.text[folder]);
            }
            let file = self.file.then(|| &path.text[path.parts[fixed + length].start..]);
            return naming(&values, file);
        }
        None
    }
}

/// What the names of a template come to.
fn naming(values: &Values<'_>, file: Option<&str>) -> Option<Naming> {
    let written = values.get(Field::Version)?;
    let name = match (values.get(Field::Name), values.get(Field::Ext), file) {
        (Some(name), ..) => name.to_owned(),
        (None, _, Some(file)) => file_name::representation(file, written),
        (None, Some(extension), None) => file_name::of(values.get(Field::Output), extension),
        (None, None, None) => return None,
    };
    Some(Naming {
        folder: values.get(Field::Folder).or(values.get(Field::Asset))?.to_owned(),
        product: values.get(Field::Product).or(values.get(Field::Type))?.to_owned(),
        version: version(written),
        name,
    })
}

impl Template {
    fn compile(text: &str) -> Result<Self, TemplateError> {
        if text.len() > LONGEST {
            let message = format!("a template of {} bytes is too long", text.len());
            return Err(TemplateError::new(message, format!("allowed are {LONGEST}")));
        }
        let mut template = Template { before: Vec::new(), after: None, file: false };
        let mut seen = Vec::new();
        let mut rest = Some(text);
        while let Some(left) = rest {
            let part = left.split_once('/').map_or(left, |(part, _)| part);
            rest = left.get(part.len() + 1..);
            let pieces = pieces(part).map_err(|wrong| {
                let at = text.len() - left.len() + wrong.at;
                let shown = text.escape_debug();
                let place = format!("at character {} of `{shown}`", text[..at].chars().count() + 1);
                TemplateError::new(format!("{} {place}", wrong.message), wrong.hint)
            })?;
            seen.extend(pieces.iter().filter_map(Piece::field));
            match pieces.as_slice() {
                [Piece::Named(Field::File)] if rest.is_none() => template.file = true,
                pieces if pieces.iter().any(|piece| piece.field() == Some(Field::File)) => {
                    let message =
                        format!("`{{file}}` is not the last part of `{}`", text.escape_debug());
                    return Err(TemplateError::new(message, "let it stand alone at the end"));
                }
                [Piece::Named(Field::Folder)] if template.after.is_none() => {
                    template.after = Some(Vec::new());
                }
                [Piece::Named(Field::Folder)] => {
                    let message = format!("`{{folder}}` stands twice in `{}`", text.escape_debug());
                    return Err(TemplateError::new(
                        message,
                        "write it once; `{_}` is any one part",
                    ));
                }
                _ => template.after.as_mut().unwrap_or(&mut template.before).push(pieces),
            }
        }
        for (what, either) in [
            ("folder", &[Field::Folder, Field::Asset][..]),
            ("product", &[Field::Product, Field::Type]),
            ("version", &[Field::Version]),
            ("name", &[Field::Name, Field::Ext, Field::File]),
        ] {
            if !either.iter().any(|field| seen.contains(field)) {
                let either: Vec<String> = either.iter().map(|field| format!("`{field}`")).collect();
                let message = format!("`{}` does not say what the {what} is", text.escape_debug());
                return Err(TemplateError::new(message, format!("add {}", either.join(" or "))));
            }
        }
        Ok(template)
    }
}
