//! What a library holds, read off its bytes, and whether that is one architecture and nothing else.
//!
//! The rule: the device sections parse whole; every entry is machine code for exactly the wanted architecture, by the
//! container's header and by the code's own; no device code lies elsewhere in the file; and at least one kernel is named,
//! and every expected one. Anything else has a [`Fault`]. Nothing is loaded and nothing is run.

use std::fmt;
use std::str::FromStr;

use memchr::memmem;
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _};
use serde::Serialize;

use crate::kernel::container::{self, Compression, Entry, Kind, Variant};
use crate::kernel::cubin;
use crate::kernel::fault::Fault;
use crate::kernel::unpack::{self, unpack};
use crate::sys::digest::sha256;

/// Where linkers put device code: whole programs, and relocatable code.
const SECTIONS: [&str; 2] = [".nv_fatbin", "__nv_relfatbin"];

/// An architecture such as `sm_100a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arch {
    /// SM number.
    pub sm: u32,
    /// The letter behind it.
    pub variant: Option<Variant>,
}

impl Arch {
    /// `sm_100a`, the one target there is.
    pub const SM_100A: Arch = Arch {
        sm: 100,
        variant: Some(Variant::A),
    };
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sm_{}{}", self.sm, self.variant.map_or("", Variant::as_str))
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no architecture; write it like `sm_100a`");
        let rest = text.strip_prefix("sm_").ok_or_else(bad)?;
        let (number, variant) = match rest.as_bytes().last() {
            Some(b'a') => (&rest[..rest.len() - 1], Some(Variant::A)),
            Some(b'f') => (&rest[..rest.len() - 1], Some(Variant::F)),
            _ => (rest, None),
        };
        let sm = number.parse().map_err(|_| bad())?;
        Ok(Arch { sm, variant })
    }
}

/// What kind of file a library is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A shared object, one of Python's extensions for instance.
    SharedObject,
    /// An object file.
    Object,
    /// A cubin that stands alone.
    Cubin,
    /// A container that stands alone.
    Fatbin,
    /// None of these.
    Other,
}

/// One entry, read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryReport {
    /// Section; null in a file that is itself a cubin or a container.
    pub section: Option<&'static str>,
    /// Offset in the section, or in the file.
    pub offset: usize,
    /// What it is.
    pub kind: Kind,
    /// SM number.
    pub sm: u32,
    /// The letter behind it.
    pub variant: Option<Variant>,
    /// Size in bytes, unpacked.
    pub size: u64,
    /// Size in bytes as it is stored.
    pub stored: u64,
    /// How it is stored.
    pub compression: Compression,
    /// Kernels that it names.
    pub kernels: Vec<String>,
}

/// A library, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What kind of file it is.
    pub kind: FileKind,
    /// SHA-256 of the file, 64 hex digits.
    pub sha256: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// What it was held against.
    pub wanted: Arch,
    /// Every entry.
    pub entries: Vec<EntryReport>,
    /// Shared objects that it needs.
    pub needs: Vec<String>,
    /// Symbols that it takes from elsewhere.
    pub imports: Vec<String>,
    /// Everything that keeps it from being the wanted architecture and nothing else.
    pub faults: Vec<Fault>,
}

impl Inspection {
    /// Whether it is the wanted architecture and nothing else.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether it is a sound library that holds no device code at all, such as a telemetry extension.
    pub fn is_host_only(&self) -> bool {
        self.faults == [Fault::NoDeviceCode]
    }

    /// The verdict as one sentence.
    pub fn verdict(&self) -> String {
        match self.faults.as_slice() {
            [] => format!("{} and nothing else", self.wanted),
            [only] => format!("not {} alone: {only}", self.wanted),
            [first, rest @ ..] => format!("not {} alone: {first}; and {} more", self.wanted, rest.len()),
        }
    }
}

/// Reads a library and holds it against an architecture and the kernels that must be in it.
pub fn inspect(bytes: &[u8], wanted: Arch, expected: &[String]) -> Inspection {
    let mut reading = Reading {
        inspection: Inspection {
            kind: FileKind::Other,
            sha256: sha256(bytes),
            size: bytes.len() as u64,
            wanted,
            entries: Vec::new(),
            needs: Vec::new(),
            imports: Vec::new(),
            faults: Vec::new(),
        },
        budget: unpack::BUDGET,
    };
    reading.file(bytes);
    let mut inspection = reading.inspection;
    if inspection.kind != FileKind::Other {
        let faults = &mut inspection.faults;
        let named = || inspection.entries.iter().flat_map(|e| &e.kernels);
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

/// An inspection under way.
struct Reading {
    inspection: Inspection,
    budget: u64,
}

impl Reading {
    fn file(&mut self, bytes: &[u8]) {
        if bytes.starts_with(&container::MAGIC) {
            self.inspection.kind = FileKind::Fatbin;
            self.section(None, bytes);
        } else if cubin::HEADS.iter().any(|head| bytes.starts_with(head)) {
            self.inspection.kind = FileKind::Cubin;
            self.lone_cubin(bytes);
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

    /// Takes the imports and needs of a host library.
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
        if let Ok(libraries) = elf.import_libraries() {
            self.inspection.needs = libraries.filter_map(Result::ok).map(|l| text(l.name())).collect();
        }
    }

    /// Looks for device code where none belongs.
    fn strays(&mut self, bytes: &[u8], ranges: &[(u64, u64)]) {
        let patterns: [(&'static str, &[u8]); 4] = [
            ("a container of device code", &container::MAGIC),
            ("a cubin", &cubin::HEADS[0]),
            ("a cubin", &cubin::HEADS[1]),
            ("PTX text", b".target sm_"),
        ];
        for (what, pattern) in patterns {
            let stray = memmem::find_iter(bytes, pattern).find(|at| {
                !ranges
                    .iter()
                    .any(|(start, end)| (*start..*end).contains(&(*at as u64)))
            });
            if let Some(offset) = stray {
                self.fault(Fault::Stray { what, offset });
            }
        }
    }

    fn lone_cubin(&mut self, bytes: &[u8]) {
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
                    kind: Kind::Cubin,
                    sm: found.sm,
                    variant: found.variant,
                    size: bytes.len() as u64,
                    stored: bytes.len() as u64,
                    compression: Compression::None,
                    kernels: cubin.kernels,
                });
            }
            Err(why) => self.malformed("the file", &format!("because {why}")),
        }
    }

    fn section(&mut self, name: Option<&'static str>, data: &[u8]) {
        match container::entries(data) {
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
        let mut kernels = Vec::new();
        match (&payload, entry.kind) {
            (_, Kind::Ptx) => {
                if let Ok(text) = &payload {
                    kernels = cubin::ptx_kernels(text);
                }
                self.fault(Fault::Ptx { place, arch: label });
            }
            (_, Kind::Lto) => self.fault(Fault::Lto { place }),
            (_, Kind::Unknown) => self.fault(Fault::Unreadable {
                place,
                why: "it is of no known kind".to_owned(),
            }),
            (Err(why), Kind::Cubin) => self.fault(Fault::Unreadable {
                place,
                why: why.to_string(),
            }),
            (Ok(bytes), Kind::Cubin) => match cubin::parse(bytes) {
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
