//! Opens a file for reading and unpacks it on the way where it is compressed: gzip or Zstandard, one member or several.
//!
//! Memory stays flat: nothing is unpacked before it is read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

/// Most memory that a Zstandard frame may ask for as its window.
const WINDOW: u64 = 128 << 20;
/// Most bytes that a file unpacks to.
const LIMIT: u64 = 64 << 30;

/// A file, and how it is compressed.
pub struct Packed {
    /// Its content, unpacked.
    pub reader: Box<dyn Read>,
    /// `gzip` or `zstd`.
    pub compression: Option<&'static str>,
}

/// Opens a file.
///
/// # Errors
/// It cannot be opened or read.
pub fn open(path: &Path) -> io::Result<Packed> {
    unpack(File::open(path)?)
}

/// Unpacks what is compressed.
///
/// # Errors
/// It cannot be read.
pub fn unpack(source: impl Read + 'static) -> io::Result<Packed> {
    let mut source = BufReader::with_capacity(64 << 10, source);
    let (reader, compression): (Box<dyn Read>, _) = match source.fill_buf()? {
        [0x1f, 0x8b, ..] => (Box::new(MultiGzDecoder::new(source)), Some("gzip")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => (Box::new(Frames::new(source)), Some("zstd")),
        _ => (Box::new(source), None),
    };
    let reader = match compression {
        Some(_) => Box::new(Limited { reader, left: LIMIT }),
        None => reader,
    };
    Ok(Packed { reader, compression })
}

/// Zstandard frames in a row.
struct Frames<R: BufRead> {
    decoder: Option<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
    source: Option<R>,
}

impl<R: BufRead> Frames<R> {
    fn new(source: R) -> Self {
        Frames {
            decoder: None,
            source: Some(source),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(decoder) = &mut self.decoder {
                let read = decoder.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
                self.source = self.decoder.take().map(StreamingDecoder::into_inner);
            }
            let Some(mut source) = self.source.take() else {
                return Ok(0);
            };
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let decoder = StreamingDecoder::new_with_max_window_size(source, WINDOW)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            self.decoder = Some(decoder);
        }
    }
}

/// A reader that fails where a file unpacks to too much.
struct Limited {
    reader: Box<dyn Read>,
    left: u64,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the file unpacks to more than 64 GiB")
        })?;
        Ok(read)
    }
}
