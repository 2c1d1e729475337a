//! Inspects a library: lists its device code, and decides whether all of it is for one architecture.
//!
//! A library without a [`Fault`] meets these conditions: the device sections parse completely. Every entry is machine code
//! for exactly the wanted architecture, according to the container and to the code itself. The file has no device code in
//! other places. The code names at least one kernel, and all expected kernels.

use memchr::memmem;
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::arch::{Arch, Variant};
use crate::cubin;
use crate::fatbin::{self, Compression, Entry, EntryKind};
use crate::fault::Fault;
use crate::ptx;
use crate::unpack::{self, unpack};

/// The sections for device code: of linked programs, and of relocatable code.
const SECTIONS: [&str; 2] = [".nv_fatbin", "__nv_relfatbin"];

/// The format of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A shared object, for example a Python extension.
    SharedObject,
    /// An object file.
    Object,
    /// A cubin without a container.
    Cubin,
    /// A fat binary without a host library.
    Fatbin,
    /// Another format.
    Other,
}

/// An inspected entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryReport {
    /// The section; null in a cubin or a fat binary.
    pub section: Option<&'static str>,
    /// Offset in the section, or in the file.
    pub offset: usize,
    /// What the entry contains.
    pub kind: EntryKind,
    /// SM number.
    pub sm: u32,
    /// The letter after the number.
    pub variant: Option<Variant>,
    /// Unpacked size in bytes.
    pub size: u64,
    /// Stored size in bytes.
    pub stored: u64,
    /// The compression.
    pub compression: Compression,
    /// CUDA version of the toolkit that wrote the code: major, minor; null if the code does not record it.
    pub toolkit: Option<(u32, u32)>,
    /// The names of the kernels.
    pub kernels: Vec<String>,
}

/// An inspected library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The format of the file.
    pub kind: FileKind,
    /// SHA-256 of the file, 64 hex digits.
    pub sha256: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// The architecture that all code should be for.
    pub wanted: Arch,
    /// All entries.
    pub entries: Vec<EntryReport>,
    /// The shared objects that the library needs.
    pub needs: Vec<String>,
    /// The undefined symbols.
    pub imports: Vec<String>,
    /// Names of NCCL's functions that are complete strings in its read-only data, as `dlsym` needs them.
    pub nccl_strings: Vec<String>,
    /// The reasons why the library is not for the wanted architecture only.
    pub faults: Vec<Fault>,
}

impl Inspection {
    /// Whether the library is for the wanted architecture only.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether this is a valid library without device code, such as a telemetry extension.
    pub fn is_host_only(&self) -> bool {
        self.faults == [Fault::NoDeviceCode]
    }

    /// The newest toolkit that any code was built with.
    pub fn toolkit(&self) -> Option<(u32, u32)> {
        self.entries.iter().filter_map(|entry| entry.toolkit).max()
    }

    /// The verdict in one sentence.
    pub fn verdict(&self) -> String {
        match self.faults.as_slice() {
            [] => format!("{} and nothing else", self.wanted),
            [only] => format!("not {} alone: {only}", self.wanted),
            [first, rest @ ..] => format!("not {} alone: {first}; and {} more", self.wanted, rest.len()),
        }
    }
}

/// Inspects a library, and compares it with the wanted architecture and the kernels that it must contain.
pub fn inspect(bytes: &[u8], wanted: Arch, expected: &[String]) -> Inspection {
    let mut inspector = Inspector {
        inspection: Inspection {
            kind: FileKind::Other,
            sha256: Sha256::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            size: bytes.len() as u64,
            wanted,
            entries: Vec::new(),
            needs: Vec::new(),
            imports: Vec::new(),
            nccl_strings: Vec::new(),
            faults: Vec::new(),
        },
        budget: unpack::BUDGET,
    };
    inspector.file(bytes);
    let mut inspection = inspector.inspection;
    if inspection.kind != FileKind::Other {
        let faults = &mut inspection.faults;
        // A device linker keeps only the kernels that something uses. Its input remains in the other section.
        let linked = inspection.kind == FileKind::SharedObject
            && inspection.entries.iter().any(|e| e.section == Some(SECTIONS[0]));
        let counts = |entry: &&EntryReport| !linked || entry.section == Some(SECTIONS[0]);
        let named = || inspection.entries.iter().filter(counts).flat_map(|e| &e.kernels);
        let unlinked = |name: &&String| name.starts_with("__cudaRegisterLinkedBinary");
        if inspection.kind == FileKind::SharedObject
            && let Some(name) = inspection.imports.iter().find(unlinked)
        {
            faults.push(Fault::Unlinked(name.clone()));
        }
        if inspection.entries.is_empty() && faults.is_empty() {
            faults.push(Fault::NoDeviceCode);
        } else if named().next().is_none() && faults.is_empty() {
            faults.push(Fault::NoKernels);
        }
        for kernel in expected {
            if !named().any(|k| k == kernel) {
                faults.push(Fault::MissingKernel(kernel.clone()));
            }
        }
    }
    inspection
}

/// Finds the strings that are the name of a function of NCCL and nothing else.
fn nccl_strings(data: &[u8]) -> impl Iterator<Item = String> {
    memmem::find_iter(data, b"nccl").filter_map(|at| {
        let start = match at.checked_sub(1).and_then(|before| data.get(before)) {
            None | Some(0) => at,
            // The profiling interface has the same functions with a `p` before the name.
            Some(b'p') if at < 2 || data.get(at - 2) == Some(&0) => at - 1,
            Some(_) => return None,
        };
        let rest = data.get(start..)?;
        let length = rest.iter().take(100).position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(rest.get(..length)?).ok()?;
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric())
            .then(|| name.to_owned())
    })
}

/// An inspection in progress.
struct Inspector {
    inspection: Inspection,
    budget: u64,
}

impl Inspector {
    fn file(&mut self, bytes: &[u8]) {
        if bytes.starts_with(&fatbin::MAGIC) {
            self.inspection.kind = FileKind::Fatbin;
            self.section(None, bytes);
        } else if cubin::HEADS.iter().any(|head| bytes.starts_with(head)) {
            self.inspection.kind = FileKind::Cubin;
            self.cubin_file(bytes);
        } else {
            self.host_library(bytes);
        }
    }

    fn host_library(&mut self, bytes: &[u8]) {
        let elf = match ElfFile64::<LittleEndian>::parse(bytes) {
            Ok(elf) => elf,
            Err(_) if bytes.is_empty() => return self.fault(Fault::NotALibrary("the file is empty")),
            Err(_) if !bytes.starts_with(b"\x7fELF") => {
                return self.fault(Fault::NotALibrary("its first bytes are neither's"));
            }
            Err(_) => {
                return self.fault(Fault::NotALibrary(
                    "its ELF headers are damaged or not 64-bit little-endian",
                ));
            }
        };
        self.inspection.kind = match elf.kind() {
            ObjectKind::Dynamic => FileKind::SharedObject,
            ObjectKind::Relocatable => FileKind::Object,
            _ => return self.fault(Fault::NotALibrary("it is an executable or a core")),
        };
        let mut ranges = Vec::new();
        for section in elf.sections() {
            let Ok(name) = section.name_bytes() else {
                self.malformed("the file", "because its section names are damaged");
                return;
            };
            let Some(known) = SECTIONS.into_iter().find(|s| s.as_bytes() == name) else {
                continue;
            };
            match (section.data(), section.file_range()) {
                (Ok(data), Some((start, size))) => {
                    ranges.push((start, start.saturating_add(size)));
                    self.section(Some(known), data);
                }
                _ => self.malformed(known, "because it lies outside the file"),
            }
        }
        self.strays(bytes, &ranges);
        self.names(&elf);
    }

    /// Lists the undefined symbols and the needed libraries of a host library.
    fn names(&mut self, elf: &ElfFile64<'_, LittleEndian>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut imports: Vec<String> = elf
            .symbols()
            .chain(elf.dynamic_symbols())
            .filter(|s| s.is_undefined())
            .filter_map(|s| s.name_bytes().ok().map(text))
            .filter(|name| !name.is_empty())
            .collect();
        imports.sort_unstable();
        imports.dedup();
        self.inspection.imports = imports;
        for section in elf.sections() {
            if section
                .name_bytes()
                .is_ok_and(|name| name.starts_with(b".rodata"))
                && let Ok(data) = section.data()
            {
                self.inspection.nccl_strings.extend(nccl_strings(data));
            }
        }
        if let Ok(libraries) = elf.import_libraries() {
            self.inspection.needs = libraries.filter_map(Result::ok).map(|l| text(l.name())).collect();
        }
    }

    /// Searches for device code outside the sections for device code.
    fn strays(&mut self, bytes: &[u8], ranges: &[(u64, u64)]) {
        let patterns: [(&'static str, &[u8]); 3] = [
            ("a container of device code", &fatbin::MAGIC),
            ("a cubin", &cubin::HEADS[0]),
            ("a cubin", &cubin::HEADS[1]),
        ];
        let outside = |at: &usize| {
            !ranges
                .iter()
                .any(|(start, end)| (*start..*end).contains(&(*at as u64)))
        };
        let binaries = patterns
            .into_iter()
            .map(|(what, pattern)| (what, memmem::find_iter(bytes, pattern).find(outside)));
        let text = ptx::targets(bytes).find(outside);
        for (what, stray) in binaries.chain([("PTX text", text)]) {
            if let Some(offset) = stray {
                self.fault(Fault::Stray { what, offset });
            }
        }
    }

    fn cubin_file(&mut self, bytes: &[u8]) {
        match cubin::parse(bytes) {
            Ok(cubin) => {
                let found = Arch {
                    sm: cubin.sm,
                    variant: cubin.arch_specific.then_some(Variant::A),
                };
                self.compare("the file".to_owned(), found);
                self.inspection.entries.push(EntryReport {
                    section: None,
                    offset: 0,
                    kind: EntryKind::Cubin,
                    sm: found.sm,
                    variant: found.variant,
                    size: bytes.len() as u64,
                    stored: bytes.len() as u64,
                    compression: Compression::None,
                    toolkit: cubin.toolkit,
                    kernels: cubin.kernels,
                });
            }
            Err(why) => self.malformed("the file", &format!("because {why}")),
        }
    }

    fn section(&mut self, name: Option<&'static str>, data: &[u8]) {
        match fatbin::entries(data) {
            Ok(entries) => entries.iter().for_each(|entry| self.entry(name, entry)),
            Err(malformed) => self.malformed(name.unwrap_or("the file"), &malformed.to_string()),
        }
    }

    fn entry(&mut self, section: Option<&'static str>, entry: &Entry<'_>) {
        let place = format!("the entry at {}+{:#x}", section.unwrap_or("file"), entry.offset);
        let label = Arch {
            sm: entry.sm,
            variant: match (entry.arch_specific, entry.family) {
                (_, true) => Some(Variant::F),
                (true, false) => Some(Variant::A),
                (false, false) => None,
            },
        };
        let payload = unpack(entry, &mut self.budget);
        let (mut kernels, mut toolkit) = (Vec::new(), None);
        match (&payload, entry.kind) {
            (_, EntryKind::Ptx) => {
                if let Ok(text) = &payload {
                    kernels = ptx::kernels(text);
                }
                self.fault(Fault::Ptx { place, arch: label });
            }
            (_, EntryKind::Lto) => self.fault(Fault::Lto { place }),
            (_, EntryKind::Unknown) => self.fault(Fault::Unreadable {
                place,
                why: "it is of no known kind".to_owned(),
            }),
            (Err(why), EntryKind::Cubin) => self.fault(Fault::Unreadable {
                place,
                why: why.to_string(),
            }),
            (Ok(bytes), EntryKind::Cubin) => match cubin::parse(bytes) {
                Ok(cubin) => {
                    let agrees =
                        cubin.sm == label.sm && cubin.arch_specific == (label.variant == Some(Variant::A));
                    if !agrees {
                        let found = Arch {
                            sm: cubin.sm,
                            variant: cubin.arch_specific.then_some(Variant::A),
                        };
                        self.fault(Fault::Mislabelled {
                            place: place.clone(),
                            label,
                            found,
                        });
                    }
                    self.compare(place, label);
                    toolkit = cubin.toolkit;
                    kernels = cubin.kernels;
                }
                Err(why) => self.fault(Fault::Unreadable {
                    place,
                    why: why.to_owned(),
                }),
            },
        }
        self.inspection.entries.push(EntryReport {
            section,
            offset: entry.offset,
            kind: entry.kind,
            sm: entry.sm,
            variant: label.variant,
            size: entry.size,
            stored: entry.payload.len() as u64,
            compression: entry.compression,
            toolkit,
            kernels,
        });
    }

    fn compare(&mut self, place: String, found: Arch) {
        let wanted = self.inspection.wanted;
        if found != wanted {
            self.fault(Fault::OtherArch { place, found, wanted });
        }
    }

    fn malformed(&mut self, place: &str, why: &str) {
        self.fault(Fault::Malformed {
            place: place.to_owned(),
            why: why.to_owned(),
        });
    }

    fn fault(&mut self, fault: Fault) {
        self.inspection.faults.push(fault);
    }
}
