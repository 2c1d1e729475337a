//! Reads what a loader needs to know of a shared object: its machine, its extent, and where it searches libraries.

use object::LittleEndian;
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, EM_386, EM_AARCH64, EM_X86_64, FileHeader64, PT_LOAD};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};

/// What the headers of a shared object say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostElf {
    /// Machine number of the ELF header.
    pub machine: u16,
    /// Whether a part of the file that must be loaded lies behind its end.
    pub truncated: bool,
    /// Names of the libraries that it needs.
    pub needs: Vec<String>,
    /// Folders where it searches libraries (`DT_RPATH`, `DT_RUNPATH`), as written.
    pub search: Vec<String>,
}

impl HostElf {
    /// Reads the headers. Returns `None` if they cannot be read; a loader states the cause then.
    pub fn parse(file: &[u8]) -> Option<HostElf> {
        let header = FileHeader64::<LittleEndian>::parse(file).ok()?;
        let endian = LittleEndian;
        let segments = header.program_headers(endian, file).ok()?;
        let size = file.len() as u64;
        let beyond = |segment: &object::elf::ProgramHeader64<LittleEndian>| {
            let (offset, length) = segment.file_range(endian);
            segment.p_type(endian) == PT_LOAD && offset.checked_add(length).is_none_or(|end| end > size)
        };
        let mut found = HostElf {
            machine: header.e_machine(endian).0,
            truncated: segments.iter().any(beyond),
            ..HostElf::default()
        };
        found.dynamic(header, file);
        Some(found)
    }

    fn dynamic(&mut self, header: &FileHeader64<LittleEndian>, file: &[u8]) -> Option<()> {
        let sections = header.sections(LittleEndian, file).ok()?;
        let (entries, strings) = sections.dynamic(LittleEndian, file).ok()??;
        let strings = sections.strings(LittleEndian, file, strings).ok()?;
        for entry in entries {
            let text = || {
                let offset = u32::try_from(entry.d_val(LittleEndian)).ok()?;
                Some(String::from_utf8_lossy(strings.get(offset).ok()?).into_owned())
            };
            match entry.d_tag(LittleEndian) {
                DT_NEEDED => self.needs.extend(text()),
                DT_RPATH | DT_RUNPATH => {
                    let text = text().unwrap_or_default();
                    self.search.extend(text.split(':').map(str::to_owned));
                }
                _ => {}
            }
        }
        Some(())
    }

    /// Names a machine.
    pub fn machine_name(machine: u16) -> String {
        match object::elf::Machine(machine) {
            EM_X86_64 => "x86-64".to_owned(),
            EM_AARCH64 => "aarch64".to_owned(),
            EM_386 => "i386".to_owned(),
            _ => format!("ELF machine {machine}"),
        }
    }
}
