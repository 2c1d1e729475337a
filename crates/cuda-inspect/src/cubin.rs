//! Parses a cubin: device code as an ELF file, with its architecture and its kernels.

use std::collections::HashMap;

use object::elf::{FileHeader64, SHT_SYMTAB};
use object::endian::LittleEndian;
use object::read::SymbolIndex;
use object::read::elf::{FileHeader as _, SectionHeader as _};
use serde::Serialize;

/// ELF machine number of NVIDIA CUDA.
const EM_CUDA: u16 = 190;

/// The section whose attributes state on which GPUs a cubin can run.
const COMPAT: &[u8] = b".nv.compat";

/// The prefix of the constant bank that each kernel has.
const BANK: &[u8] = b".nv.constant0.";

/// The section with the attributes of all kernels, and the prefix of the section of one kernel.
const INFO: &[u8] = b".nv.info";

/// The prefix of the section for the static shared memory of a kernel.
const SHARED: &[u8] = b".nv.shared.";

/// Attributes of [`INFO`]: pairs of a symbol and a number.
const REGISTERS: u8 = 0x2F;
const FRAME: u8 = 0x11;

/// Attribute of the section of one kernel: pairs of a kind and the position of an instruction. Kind 1 is a spill or a refill.
const ANNOTATIONS: u8 = 0x55;
const SPILL_OR_REFILL: u32 = 1;

/// The section with the version of the toolkit that wrote the cubin.
const CUINFO: &[u8] = b".note.nv.cuinfo";

/// The attribute of [`COMPAT`] that is 1 if the code is for its architecture only.
const ATTRIBUTE_ARCH_SPECIFIC: u8 = 9;

/// The first bytes of a cubin file: 64-bit, little-endian, and one of NVIDIA's two ABI numbers.
pub const HEADS: [[u8; 8]; 2] = [
    [0x7F, b'E', b'L', b'F', 2, 1, 1, 0x41],
    [0x7F, b'E', b'L', b'F', 2, 1, 1, 0x33],
];

/// A parsed cubin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cubin {
    /// SM number, such as 100.
    pub sm: u32,
    /// Whether the code is for this architecture only (`sm_100a`).
    pub arch_specific: bool,
    /// CUDA version of the toolkit that wrote it: major, minor.
    pub toolkit: Option<(u32, u32)>,
    /// The names of the kernels, in the order of the file.
    pub kernels: Vec<String>,
    /// What each kernel uses, in the same order.
    pub usage: Vec<Usage>,
}

/// What a kernel uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Name of the kernel.
    pub kernel: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of the stack frame of a thread.
    pub stack: u32,
    /// Bytes of static shared memory of a block, with what the system reserves.
    pub shared: u64,
    /// Number of instructions that spill or refill a register; 0 before CUDA 13, which began to mark them.
    pub spills: u64,
}

/// Parses a cubin.
///
/// # Errors
/// States in a few words why the bytes are not a cubin.
pub fn parse(bytes: &[u8]) -> Result<Cubin, &'static str> {
    let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(|_| "it is not a 64-bit ELF file")?;
    let endian = header.endian().map_err(|_| "it is not little-endian")?;
    if header.e_machine(endian).0 != EM_CUDA {
        return Err("its ELF machine is not CUDA");
    }
    let flags = header.e_flags(endian).0;
    // The ABI of CUDA 13 stores the SM in the second byte, the older ABI in the first.
    let (sm, flagged) = match header.e_ident().os_abi.0 {
        0x41 => ((flags >> 8) & 0xFF, flags & 8 != 0),
        _ => (flags & 0xFF, flags & 0x800 != 0),
    };
    let sections = header
        .sections(endian, bytes)
        .map_err(|_| "its section table is damaged")?;
    let (mut arch_specific, mut toolkit, mut kernels) = (flagged, None, Vec::new());
    let (mut attributes, mut shared) = (Vec::new(), Vec::new());
    for section in sections.iter() {
        let name = sections
            .section_name(endian, section)
            .map_err(|_| "its section names are damaged")?;
        if name == COMPAT {
            let data = section
                .data(endian, bytes)
                .map_err(|_| "its compatibility attributes lie outside the file")?;
            arch_specific |= attribute(data, ATTRIBUTE_ARCH_SPECIFIC)
                .ok_or("its compatibility attributes are damaged")?
                == 1;
        } else if name == CUINFO {
            toolkit = section.data(endian, bytes).ok().and_then(toolkit_of);
        } else if let Some(rest) = name.strip_prefix(INFO) {
            let data = section.data(endian, bytes).unwrap_or_default();
            attributes.push((rest.strip_prefix(b"."), data));
        } else if let Some(kernel) = name.strip_prefix(SHARED) {
            let size: u64 = section.sh_size(endian);
            shared.push((kernel, size));
        } else if let Some(kernel) = name.strip_prefix(BANK) {
            kernels.push(String::from_utf8_lossy(kernel).into_owned());
        }
    }
    let symbols = sections.symbols(endian, bytes, SHT_SYMTAB).ok();
    let name_of = |index: u32| {
        let symbols = symbols.as_ref()?;
        let symbol = symbols.symbol(SymbolIndex(index as usize)).ok()?;
        symbols.symbol_name(endian, symbol).ok()
    };
    let mut usage: Vec<Usage> = kernels
        .iter()
        .map(|kernel| Usage {
            kernel: kernel.clone(),
            ..Usage::default()
        })
        .collect();
    // A library can have thousands of kernels, each with its own sections.
    let places: HashMap<&[u8], usize> = kernels
        .iter()
        .enumerate()
        .map(|(at, kernel)| (kernel.as_bytes(), at))
        .collect();
    for (kernel, size) in shared {
        if let Some(usage) = places.get(kernel).and_then(|at| usage.get_mut(*at)) {
            usage.shared += size;
        }
    }
    for (section, number, value) in attributes
        .iter()
        .flat_map(|(section, data)| list(data).map(move |(number, value)| (*section, number, value)))
    {
        match (section, number) {
            (None, REGISTERS | FRAME) => {
                for (symbol, amount) in pairs(value) {
                    let place = name_of(symbol).and_then(|name| places.get(name));
                    let Some(usage) = place.and_then(|at| usage.get_mut(*at)) else {
                        continue;
                    };
                    if number == REGISTERS {
                        usage.registers = amount;
                    } else {
                        usage.stack = amount;
                    }
                }
            }
            (Some(kernel), ANNOTATIONS) => {
                if let Some(usage) = places.get(kernel).and_then(|at| usage.get_mut(*at)) {
                    usage.spills += pairs(value).filter(|(kind, _)| *kind == SPILL_OR_REFILL).count() as u64;
                }
            }
            _ => {}
        }
    }
    Ok(Cubin {
        sm,
        arch_specific,
        toolkit,
        kernels,
        usage,
    })
}

/// Reads the toolkit from a note: a header of 12 bytes, a name of 12, then the version of the note, the SM and the toolkit, such
/// as 130 for CUDA 13.0.
fn toolkit_of(note: &[u8]) -> Option<(u32, u32)> {
    let word = note.get(28..30)?.try_into().ok().map(u16::from_le_bytes)?;
    Some((u32::from(word / 10), u32::from(word % 10)))
}

/// Reads pairs of little-endian numbers.
fn pairs(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let words = |half: &[u8]| half.try_into().ok().map(u32::from_le_bytes);
    bytes.chunks_exact(8).filter_map(move |pair| {
        let (first, second) = pair.split_at(4);
        Some((words(first)?, words(second)?))
    })
}

/// Lists the attributes that have data, up to the first damaged one. The format is that of [`attribute`].
fn list(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        while let [format, number, low, high, rest @ ..] = data {
            data = rest;
            if *format == 4 {
                let length = usize::from(u16::from_le_bytes([*low, *high]));
                let (value, after) = rest.split_at_checked(length)?;
                data = after;
                return Some((*number, value));
            }
        }
        None
    })
}

/// Reads the value of an attribute: 0 if the attribute is absent, `None` if the list is damaged.
///
/// An attribute is a format byte, a number, and two bytes: a value, or for format 4 the length of the data that follows.
fn attribute(mut data: &[u8], wanted: u8) -> Option<u16> {
    let mut value = 0;
    while let [format, number, low, high, rest @ ..] = data {
        let word = u16::from_le_bytes([*low, *high]);
        match format {
            0 => break,
            4 => data = rest.get(usize::from(word)..)?,
            _ => data = rest,
        }
        if *number == wanted && *format != 4 {
            value = word;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_other_formats_are_skipped() {
        let list = [4, 11, 8, 0, 9, 9, 1, 0, 0, 0, 0, 0, 3, 7, 1, 1, 2, 9, 1, 0];
        assert_eq!(attribute(&list, 9), Some(1));
        assert_eq!(attribute(&list, 8), Some(0));
        assert_eq!(attribute(&[4, 11, 200, 0, 1], 9), None);
    }
}
