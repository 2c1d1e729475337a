//! Inspects a library: lists its device code, and decides whether all of it is for one architecture.
//!
//! A library without a [`Fault`] meets these conditions: the device sections parse completely. Every entry is machine code
//! for exactly the wanted architecture, according to the container and to the code itself. The file has no device code in
//! other places. The code names at least one kernel, and all expected kernels.

use std::collections::HashSet;
use std::ops::Range;

use memchr::memmem;
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _};
use sha2::{Digest as _, Sha256};

use crate::arch::{Arch, Variant};
use crate::archive;
use crate::cubin;
use crate::fatbin::{self, Compression, Entry, EntryKind};
use crate::fault::Fault;
pub use crate::inspection::{EntryReport, FileKind, Foreign, Inspection};
use crate::inspection::{LARGE_DATA, LINKED, RELOCATABLE};
use crate::ptx;
use crate::unpack::{self, unpack};

/// The sections for device code.
const SECTIONS: [&str; 2] = [LINKED, RELOCATABLE];

/// Inspects a library, and compares it with the wanted architecture and the kernels that it must contain.
pub fn inspect(bytes: &[u8], wanted: Arch, expected: &[String]) -> Inspection {
    let mut inspector = Inspector {
        inspection: Inspection {
            kind: FileKind::Other,
            sha256: hex(&Sha256::digest(bytes)),
            size: bytes.len() as u64,
            wanted,
            entries: Vec::new(),
            needs: Vec::new(),
            imports: Vec::new(),
            nccl_strings: Vec::new(),
            foreign: None,
            faults: Vec::new(),
        },
        relocatable: Vec::new(),
        budget: unpack::BUDGET,
    };
    inspector.file(bytes);
    let Inspector {
        mut inspection,
        relocatable,
        ..
    } = inspector;
    if inspection.kind != FileKind::Other {
        merge_foreign(&mut inspection, &relocatable);
        let named: HashSet<String> = inspection
            .runnable()
            .flat_map(|entry| entry.kernels.iter().cloned())
            .collect();
        let faults = &mut inspection.faults;
        let unlinked = |name: &&String| name.starts_with("__cudaRegisterLinkedBinary");
        if inspection.kind == FileKind::SharedObject
            && let Some(name) = inspection.imports.iter().find(unlinked)
        {
            faults.push(Fault::Unlinked(name.clone()));
        }
        if inspection.entries.is_empty() && faults.is_empty() {
            faults.push(Fault::NoDeviceCode);
        } else if named.is_empty() && faults.is_empty() {
            faults.push(Fault::NoKernels);
        }
        for kernel in expected {
            if !named.contains(kernel) {
                faults.push(Fault::MissingKernel(kernel.clone()));
            }
        }
    }
    inspection
}

/// Reports relocatable code for other targets: as one fault with a digest next to a linked image, else entry by entry.
fn merge_foreign(inspection: &mut Inspection, relocatable: &[(Fault, String, Vec<u8>)]) {
    if relocatable.is_empty() {
        return;
    }
    if !inspection.is_device_linked() {
        let faults = relocatable.iter().map(|(fault, ..)| fault.clone());
        inspection.faults.splice(0..0, faults);
        return;
    }
    let mut targets: Vec<String> = relocatable.iter().map(|(_, target, _)| target.clone()).collect();
    targets.sort_unstable();
    targets.dedup();
    let mut digests: Vec<&[u8]> = relocatable.iter().map(|(.., digest)| digest.as_slice()).collect();
    // The order of the objects may change with the build.
    digests.sort_unstable();
    let foreign = Foreign {
        entries: relocatable.len(),
        targets,
        digest: hex(&Sha256::digest(digests.concat())),
    };
    inspection.faults.push(Fault::ForeignRelocatable {
        count: foreign.entries,
        targets: foreign.targets.join(", "),
        digest: foreign.digest.clone(),
    });
    inspection.foreign = Some(foreign);
}

/// Sorts ranges and joins those that overlap, so that one look finds the range of a place.
fn merged(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, last| {
        let overlaps = next.0 <= last.1;
        if overlaps {
            last.1 = last.1.max(next.1);
        }
        overlaps
    });
    ranges
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    /// Entries of relocatable code that are not for the wanted target: the fault, what they are, and the digest of what is stored.
    relocatable: Vec<(Fault, String, Vec<u8>)>,
    budget: u64,
}

impl Inspector {
    fn file(&mut self, bytes: &[u8]) {
        if bytes.starts_with(&fatbin::MAGIC) {
            self.inspection.kind = FileKind::Fatbin;
            self.section(None, bytes);
        } else if bytes.starts_with(archive::MAGIC) {
            match archive::members(bytes) {
                // A member that is not a library, such as a text, is not device code.
                Ok(members) => members
                    .into_iter()
                    .filter(|member| member.starts_with(b"\x7fELF"))
                    .for_each(|member| self.host_library(member)),
                Err(why) => self.malformed("the archive", &format!("because {why}")),
            }
            self.inspection.kind = FileKind::Archive;
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
        let mut large = Vec::new();
        let mut read = 0;
        for section in elf.sections() {
            let Ok(name) = section.name_bytes() else {
                self.malformed("the file", "because its section names are damaged");
                return;
            };
            if name == LARGE_DATA.as_bytes()
                && let (Ok(data), Some((start, _))) = (section.data(), section.file_range())
            {
                large.push((start, data));
            }
            let Some(known) = SECTIONS.into_iter().find(|s| s.as_bytes() == name) else {
                continue;
            };
            match (section.data(), section.file_range()) {
                (Ok(data), Some((start, size))) => {
                    read += data.len();
                    if read > bytes.len() {
                        return self.malformed(known, "because its sections overlap");
                    }
                    ranges.push((start, start.saturating_add(size)));
                    self.section(Some(known), data);
                }
                _ => self.malformed(known, "because it lies outside the file"),
            }
        }
        for (start, data) in large {
            ranges.extend(
                self.large_data(data)
                    .iter()
                    .map(|at| (start + at.start, start + at.end)),
            );
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
        self.inspection.imports.extend(imports);
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
            let needs = libraries.filter_map(Result::ok).map(|l| text(l.name()));
            self.inspection.needs.extend(needs);
        }
    }

    /// Reads the containers in large read-only data. Returns their places.
    fn large_data(&mut self, data: &[u8]) -> Vec<Range<u64>> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(start) = memmem::find(&data[at..], &fatbin::MAGIC).map(|n| at + n) {
            let size = fatbin::size_of_blob(&data[start..]);
            let Some(container) = size.and_then(|size| data.get(start..start.checked_add(size)?)) else {
                // The search for strays reports it.
                return found;
            };
            if found.len() == fatbin::MOST_ENTRIES {
                self.malformed(
                    LARGE_DATA,
                    "because it has more containers than any known library",
                );
                return found;
            }
            self.section(Some(LARGE_DATA), container);
            at = start + container.len();
            found.push(start as u64..at as u64);
        }
        found
    }

    /// Searches for device code outside the sections for device code.
    fn strays(&mut self, bytes: &[u8], ranges: &[(u64, u64)]) {
        let patterns: [(&'static str, &[u8]); 3] = [
            ("a container of device code", &fatbin::MAGIC),
            ("a cubin", &cubin::HEADS[0]),
            ("a cubin", &cubin::HEADS[1]),
        ];
        let ranges = merged(ranges.to_vec());
        let outside = |at: &usize| {
            let at = *at as u64;
            let next = ranges.partition_point(|(start, _)| *start <= at);
            next.checked_sub(1).is_none_or(|n| at >= ranges[n].1)
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
                    usage: cubin.usage,
                });
            }
            Err(why) => self.malformed("the file", &format!("because {why}")),
        }
    }

    fn section(&mut self, name: Option<&'static str>, data: &[u8]) {
        match fatbin::entries(data) {
            Ok(entries) if self.inspection.entries.len() + entries.len() > fatbin::MOST_ENTRIES => {
                self.malformed(
                    name.unwrap_or("the file"),
                    "because the file has more entries than any known library",
                );
            }
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
        let (mut kernels, mut toolkit, mut usage) = (Vec::new(), None, Vec::new());
        let earlier = self.inspection.faults.len();
        match (&payload, entry.kind) {
            (_, EntryKind::Ptx) => {
                if let Ok(text) = &payload {
                    kernels = ptx::kernels(text);
                }
                self.fault(Fault::Ptx { place, arch: label });
            }
            (_, EntryKind::Lto) => self.fault(Fault::Lto { place }),
            (_, EntryKind::Tile) => self.fault(Fault::TileIr { place }),
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
                    usage = cubin.usage;
                }
                Err(why) => self.fault(Fault::Unreadable {
                    place,
                    why: why.to_owned(),
                }),
            },
        }
        if section == Some(RELOCATABLE) && self.inspection.faults.len() == earlier + 1 {
            let target = match self.inspection.faults.last() {
                Some(Fault::OtherArch { found, .. }) => Some(found.to_string()),
                Some(Fault::Ptx { arch, .. }) => Some(format!("PTX for {arch}")),
                Some(Fault::Lto { .. }) => Some(format!("intermediate code for {label}")),
                _ => None,
            };
            if let Some(target) = target
                && let Some(fault) = self.inspection.faults.pop()
            {
                self.relocatable
                    .push((fault, target, Sha256::digest(entry.payload).to_vec()));
            }
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
            usage,
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

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn overlapping_ranges_are_joined() {
        let ranges = vec![(5, 9), (0, 2), (1, 3), (6, 7), (9, 12), (20, 30)];
        assert_eq!(merged(ranges), [(0, 3), (5, 12), (20, 30)]);
    }
}
