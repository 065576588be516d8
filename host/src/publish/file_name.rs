//! What a representation is called, from the name of a file in its version.
//!
//! OpenPype and AYON write `<project>_<asset>_<product>_<version>[_<output>][.<frame>][_<udim>].<ext>`,
//! and call the representation `<output>_<ext>`, such as `h264_mp4`, or just `<ext>`.

/// Endings that say how a file is packed, and not what it is: `bgeo.sc` is one extension.
const PACKED: [&str; 6] = ["sc", "gz", "bz2", "xz", "zst", "lz4"];

/// Returns the name of the representation that a file of a version belongs to. `version` is how the
/// path writes it.
///
/// A file in a subfolder of the version belongs to what is called like that folder. A file without
/// an extension is a representation of its own.
pub(super) fn representation(below_version: &str, version: &str) -> String {
    if let Some((folder, _)) = below_version.split_once('/') {
        return folder.to_owned();
    }
    let Some((stem, extension)) = split(below_version) else {
        return below_version.to_owned();
    };
    of(output(stem, version), extension)
}

/// Returns the name of the representation of this extension and, if there is one, output.
pub(super) fn of(output: Option<&str>, extension: &str) -> String {
    let extension = extension.to_lowercase();
    match output {
        Some(output) => format!("{output}_{extension}"),
        None => extension,
    }
}

/// Returns the stem and the extension of a file name, if it has both.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    let (stem, last) = name.rsplit_once('.')?;
    if stem.is_empty() || last.is_empty() {
        return None;
    }
    let packed = stem.rsplit_once('.').filter(|(shorter, inner)| {
        !shorter.is_empty() && is_extension(&name[name.len() - inner.len() - last.len() - 1..])
    });
    match packed {
        Some((shorter, _)) => Some((shorter, &name[shorter.len() + 1..])),
        None => Some((stem, last)),
    }
}

/// Whether this is one extension, without its dot: `exr`, `bgeo.sc`.
pub(super) fn is_extension(text: &str) -> bool {
    match text.split_once('.') {
        None => !text.is_empty(),
        Some((inner, packed)) => {
            let is_frame = inner.bytes().all(|byte| byte.is_ascii_digit());
            !is_frame && PACKED.iter().any(|known| packed.eq_ignore_ascii_case(known))
        }
    }
}

/// Returns what stands between the version and the frame, without the number of a tile.
fn output<'a>(stem: &'a str, version: &str) -> Option<&'a str> {
    let at = stem.rmatch_indices(version).find(|(at, _)| stem[..*at].ends_with('_'))?.0;
    let behind = stem[at + version.len()..].strip_prefix('_')?;
    let output = behind.split('.').next().unwrap_or(behind);
    let output = match output.rsplit_once('_') {
        Some((output, tile)) if is_tile(tile) => output,
        None if is_tile(output) => "",
        _ => output,
    };
    (!output.is_empty()).then_some(output)
}

/// Whether this is the number of a UDIM tile.
fn is_tile(text: &str) -> bool {
    text.len() == 4 && text.starts_with('1') && text.bytes().all(|byte| byte.is_ascii_digit())
}
