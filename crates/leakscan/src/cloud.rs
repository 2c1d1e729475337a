//! Accounts and resources of clouds.

use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::rule::Rule;
use crate::window::starts_with_capital;

include!(concat!(env!("OUT_DIR"), "/cloud.rs"));

fn has_assignment(text: &[u8], at: usize) -> bool {
    let near = &text[at + 6..text.len().min(at + 12)];
    near.iter().any(|b| matches!(b, b':' | b'='))
}

/// Accounts in the documentation of AWS.
const SAMPLE_ACCOUNTS: &[&[u8]] = &[
    b"123456789012",
    b"012345678901",
    b"123456789123",
    b"210987654321",
    b"111122223333",
    b"444455556666",
    b"777788889999",
    b"999999999999",
    b"123412341234",
    b"001234567890",
];

fn is_account(digits: &[u8]) -> bool {
    let first = digits.first().copied().unwrap_or_default();
    !SAMPLE_ACCOUNTS.contains(&digits) && digits.iter().any(|b| *b != first)
}

/// Names in examples, and buckets of public data.
const PUBLIC_BUCKETS: &str = "profile-name bucket my-bucket mybucket your-bucket yourbucket bucket-name bucketname path commoncrawl openimages t5-data \
    test-bucket testbucket foo bar b mlcommons noaa-goes16 softwareheritage huggingface pytorch tensorflow \
    gresearch dclm ai2-llm some-bucket somebucket a-bucket the-bucket dst-bucket src-bucket account container \
    accesspoint storage aws_key aws_key_id aws_access_key access_key data namenode localhost host registry name myregistry myaccount mystorageaccount";

fn is_bucket(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name)
        .unwrap_or_default()
        .trim_end_matches('.');
    !listed(PUBLIC_BUCKETS, text)
        && !text
            .split(['-', '.', '_'])
            .any(|word| matches!(word, "public" | "opendata"))
        && !text.starts_with("my-")
        && !text.starts_with("your-")
        && !text.starts_with("my")
        && !text.starts_with("test")
        && !text.starts_with("gcp-public-data")
        && !text.starts_with("productionresultssa")
        && !is_placeholder(name)
        && name.len() >= 3
}

/// Whether a word of a name marks the resource as private.
fn is_private_resource(name: &[u8]) -> bool {
    let mut words = name.split(|b| matches!(b, b'-' | b'.' | b'_'));
    words.any(|word| {
        listed(
            "prod production staging stage internal private priv corp dev research train training ckpt ckpts checkpoints \
            tfstate terraform state backup backups secrets ml moe llm infra ops runner runners",
            word,
        )
    }) && is_bucket(name)
        && is_project(name)
}

/// Whether a name is the tenant of a login service.
fn is_tenant(name: &[u8]) -> bool {
    is_bucket(name)
        && !listed(
            "site www developer dev login help support trust docs api status auth cdn demo",
            name,
        )
        && !name.starts_with(b"dev-")
}

fn is_project(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name).unwrap_or_default();
    !is_placeholder(name)
        && !text.starts_with("my-")
        && !text.starts_with("your-")
        && !matches!(
            text,
            "project"
                | "project-id"
                | "projectid"
                | "test-project"
                | "sample-project"
                | "google-samples"
                | "public"
                | "myproject"
                | "default"
        )
}

/// Whether the value of `--project` is a project of Google Cloud: most of them contain a hyphen or a digit.
fn is_chosen_project(name: &[u8]) -> bool {
    is_project(name) && name.iter().any(|b| *b == b'-' || b.is_ascii_digit())
}

fn is_real_uuid(id: &[u8]) -> bool {
    let first = id.first().copied().unwrap_or_default();
    id.iter().any(|b| *b != first && *b != b'-')
        && !id.starts_with(b"00000000-")
        && !id.starts_with(b"12345678-")
        && !id.starts_with(b"01234567-")
}
