//! The alphabets of base 64, and base 64 of a part of a text.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;

/// The standard alphabet.
pub const STANDARD: GeneralPurpose = engine(base64::alphabet::STANDARD);
/// The alphabet for URLs.
pub const URL_SAFE: GeneralPurpose = engine(base64::alphabet::URL_SAFE);

const fn engine(alphabet: base64::alphabet::Alphabet) -> GeneralPurpose {
    GeneralPurpose::new(
        &alphabet,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    )
}

/// The characters that base 64 of any text with these bytes contains, at each of the three alignments.
pub fn base64_of_part(bytes: &[u8]) -> impl Iterator<Item = String> {
    (0..3usize).filter_map(|shift| {
        let mut shifted = vec![0u8; shift];
        shifted.extend_from_slice(bytes);
        // The first and last characters contain bits of the neighbours.
        let from = [0, 2, 3][shift];
        let whole = shifted.len() * 8 / 6;
        STANDARD.encode(&shifted).get(from..whole).map(str::to_owned)
    })
}
