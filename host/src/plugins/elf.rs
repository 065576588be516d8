//! A file as a shared library of this machine: judged by its headers, none of it executed.
//!
//! What the dynamic linker would answer with a crash (a truncated file) or with a misleading
//! sentence (another architecture) is found here.

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, ReadRef};
use sitesync_provider::abi::manifest::SECTION;

use super::manifest::{LONGEST, Manifest};
use super::report::Refusal;

type Header = elf::FileHeader64<Endianness>;

const REINSTALL: &str = "copy the file again, completely, under another name, and rename it then";
const FOREIGN: &str = "remove it from the plug-in folder, or install the provider for this machine";

/// Machines by the names that people give them.
const MACHINES: &[(elf::Machine, &str)] = &[
    (elf::EM_X86_64, "x86_64"),
    (elf::EM_AARCH64, "aarch64"),
    (elf::EM_RISCV, "riscv"),
    (elf::EM_PPC64, "powerpc64"),
    (elf::EM_S390, "s390x"),
    (elf::EM_ARM, "arm"),
    (elf::EM_386, "x86"),
];

/// No library has more: what claims to is not read, however large it is.
const MOST_SEGMENTS: u16 = 256;
const MOST_SECTIONS: u16 = 4096;

fn damaged(what: &str) -> Refusal {
    Refusal::new(format!("the file is damaged or incomplete: {what}"), REINSTALL)
}

/// Judges the headers and reads the manifest.
pub(super) fn inspect<'data>(data: impl ReadRef<'data>) -> Result<Manifest, Refusal> {
    let len = data.len().map_err(|()| damaged("it cannot be read"))?;
    if len == 0 {
        return Err(Refusal::new("the file is empty", REINSTALL));
    }
    let ident = data.read_bytes_at(0, 5).unwrap_or_default();
    if !ident.starts_with(&elf::ELFMAG) {
        return Err(Refusal::new("the file is not a shared library (no ELF header)", FOREIGN));
    }
    if ident.get(4) != Some(&elf::ELFCLASS64.0) {
        return Err(Refusal::new("the file is not a 64-bit library", FOREIGN));
    }
    let header = Header::parse(data).map_err(|_| damaged("its header makes no sense"))?;
    let endian = header.endian().map_err(|_| damaged("its byte order makes no sense"))?;
    check_machine(header, endian)?;
    check_tables(header, endian)?;
    check_segments(header, endian, data, len)?;
    Manifest::parse(manifest(header, endian, data)?)
}

fn check_machine(header: &Header, endian: Endianness) -> Result<(), Refusal> {
    let machine = header.e_machine(endian);
    let name = MACHINES.iter().find(|(known, _)| *known == machine).map(|(_, name)| *name);
    let here = std::env::consts::ARCH;
    let native = if cfg!(target_endian = "little") { Endianness::Little } else { Endianness::Big };
    if name != Some(here) || endian != native {
        let machine = name.map_or_else(|| format!("machine {}", machine.0), str::to_owned);
        return Err(Refusal::new(
            format!("the file was built for {machine}, this machine is {here}"),
            FOREIGN,
        ));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err(Refusal::new("the file is not a shared library", FOREIGN));
    }
    Ok(())
}

/// Both tables are small. Numbers that do not fit their 16 bits stand elsewhere; they are too large.
fn check_tables(header: &Header, endian: Endianness) -> Result<(), Refusal> {
    let (segments, sections) = (header.e_phnum(endian), header.e_shnum(endian));
    if segments > MOST_SEGMENTS {
        return Err(damaged(&format!("it claims {segments} segments")));
    }
    if sections > MOST_SECTIONS || (sections == 0 && header.e_shoff(endian) != 0) {
        return Err(damaged(&format!("it claims {sections} sections")));
    }
    Ok(())
}

fn check_segments<'data>(
    header: &Header,
    endian: Endianness,
    data: impl ReadRef<'data>,
    len: u64,
) -> Result<(), Refusal> {
    let segments = header
        .program_headers(endian, data)
        .map_err(|_| damaged("its table of segments lies outside of it"))?;
    if !segments.iter().any(|segment| segment.p_type(endian) == elf::PT_DYNAMIC) {
        return Err(damaged("it has no dynamic section"));
    }
    let mut mapped = 0;
    for segment in segments {
        if segment.p_type(endian) == elf::PT_INTERP {
            return Err(Refusal::new("the file is a program, not a shared library", FOREIGN));
        }
        let end = segment.p_offset(endian).checked_add(segment.p_filesz(endian));
        if end.is_none_or(|end| end > len) {
            return Err(damaged(&format!("it ends at byte {len}, inside of a segment")));
        }
        if segment.p_type(endian) == elf::PT_LOAD {
            mapped = check_load(segment, endian, mapped)
                .ok_or_else(|| damaged("its segments make no sense"))?;
        }
    }
    Ok(())
}

/// A segment that is mapped: after the one before it, which ends at this address, and as the
/// dynamic linker wants it. Returns the address at which it ends.
fn check_load(
    segment: &elf::ProgramHeader64<Endianness>,
    endian: Endianness,
    mapped: u64,
) -> Option<u64> {
    let (address, align) = (segment.p_vaddr(endian), segment.p_align(endian).max(1));
    let end = address.checked_add(segment.p_memsz(endian))?;
    let fits = align.is_power_of_two()
        && address.wrapping_sub(segment.p_offset(endian)).is_multiple_of(align)
        && segment.p_filesz(endian) <= segment.p_memsz(endian)
        && address >= mapped;
    fits.then_some(end)
}

fn manifest<'data>(
    header: &Header,
    endian: Endianness,
    data: impl ReadRef<'data>,
) -> Result<&'data [u8], Refusal> {
    let sections = header
        .sections(endian, data)
        .map_err(|_| damaged("its table of sections lies outside of it"))?;
    let (_, section) = sections.section_by_name(endian, SECTION.as_bytes()).ok_or_else(|| {
        Refusal::new("the file is a shared library, but no provider: it has no manifest", FOREIGN)
    })?;
    if section.sh_size(endian) > LONGEST {
        return Err(damaged("its manifest is too long"));
    }
    section.data(endian, data).map_err(|_| damaged("its manifest lies outside of it"))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use sitesync_provider::API_VERSION;
    use sitesync_provider::abi::manifest::{MAGIC, TARGET};

    use super::*;

    /// Where the segments' table begins.
    const TABLE: usize = 64;

    /// The smallest library with a manifest: header, a dynamic and a loaded segment, three sections.
    pub(crate) fn library() -> Vec<u8> {
        let manifest = format!(
            "{MAGIC}name=gdrive\nversion=1.2.0\napi={API_VERSION}\nrustc=rustc 1.95.0\n\
             target={TARGET}\npanic=unwind\n"
        );
        let names = b"\0.sitesync\0.shstrtab\0";
        let names_at = TABLE + 2 * 56;
        let manifest_at = names_at + names.len();
        let sections_at = (manifest_at + manifest.len()).next_multiple_of(8);
        let machine = MACHINES
            .iter()
            .find(|(_, name)| *name == std::env::consts::ARCH)
            .map_or(0, |(machine, _)| machine.0);
        let mut file = Vec::new();
        file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        file.extend(3u16.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        for at in [0u64, 64, sections_at as u64] {
            file.extend(at.to_le_bytes());
        }
        file.extend(0u32.to_le_bytes());
        for number in [64u16, 56, 2, 64, 3, 2] {
            file.extend(number.to_le_bytes());
        }
        file.extend(2u32.to_le_bytes());
        file.extend(4u32.to_le_bytes());
        for number in [names_at as u64, 0, 0, names.len() as u64, 0, 8] {
            file.extend(number.to_le_bytes());
        }
        file.extend(1u32.to_le_bytes());
        file.extend(4u32.to_le_bytes());
        for number in [0, 0, 0, names_at as u64, names_at as u64, 4096] {
            file.extend(number.to_le_bytes());
        }
        file.extend(names);
        file.extend(manifest.as_bytes());
        file.resize(sections_at, 0);
        file.extend([0; 64]);
        for (name, at, len) in [(1u32, manifest_at, manifest.len()), (11, names_at, names.len())] {
            let kind = if name == 1 { 1u32 } else { 3 };
            file.extend(name.to_le_bytes());
            file.extend(kind.to_le_bytes());
            for number in [0u64, 0, at as u64, len as u64, 0, 1, 0] {
                file.extend(number.to_le_bytes());
            }
            file.resize(file.len().next_multiple_of(8), 0);
        }
        file
    }

    fn reason(file: &[u8]) -> String {
        inspect(file).expect_err("refused").reason
    }

    #[test]
    fn a_library_with_a_manifest() {
        let manifest = inspect(library().as_slice()).unwrap();
        assert_eq!(manifest.name, "gdrive");
        manifest.gate().unwrap();
    }

    #[test]
    fn what_is_none() {
        let patched = |at: usize, bytes: &[u8]| {
            let mut file = library();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            reason(&file)
        };
        let whole = library();
        insta::assert_snapshot!(
            [
                reason(b""),
                reason(b"#!/bin/sh\nexit 1\n"),
                reason(b"\x7fELF"),
                reason(b"\x7fELF\x01\x01\x01"),
                reason(&whole[..100]),
                reason(&whole[..200]),
                reason(&whole[..whole.len() - 1]),
                patched(18, &243u16.to_le_bytes()),
                patched(18, &9999u16.to_le_bytes()),
                patched(16, &2u16.to_le_bytes()),
                patched(TABLE, &3u32.to_le_bytes()),
                patched(TABLE, &1u32.to_le_bytes()),
                patched(TABLE + 32, &u64::MAX.to_le_bytes()),
                patched(TABLE + 56 + 16, &1u64.to_le_bytes()),
                patched(TABLE + 56 + 40, &1u64.to_le_bytes()),
                patched(TABLE + 56 + 48, &3u64.to_le_bytes()),
                patched(40, &u64::MAX.to_le_bytes()),
                patched(56, &257u16.to_le_bytes()),
                patched(60, &0u16.to_le_bytes()),
                patched(60, &u16::MAX.to_le_bytes()),
                patched(TABLE + 2 * 56 + 1, b".textual"),
            ]
            .join("\n")
            .replace(std::env::consts::ARCH, "ARCH")
        );
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
            elf.extend(&bytes);
            prop_assert!(inspect(bytes.as_slice()).is_err());
            prop_assert!(inspect(elf.as_slice()).is_err());
        }
    }
}
