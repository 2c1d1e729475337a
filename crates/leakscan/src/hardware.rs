//! Identities of hardware: GPU UUIDs, MAC addresses, InfiniBand GUIDs, serial numbers, machine ids.

use crate::kinds::HARDWARE_ID;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::before;
use crate::window::is_word;

/// The rules of this family.
pub static RULES: &[Rule] = &[
    Rule::line(&HARDWARE_ID, &["gpu-", "mig-"], r"\b((?:MIG-)?(?:GPU|MIG)-[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"),
    // Most colons have no second one three bytes on.
    Rule::code(&HARDWARE_ID, &[":"], mac).prefilter_if(|text, at| text.get(at + 3) == Some(&b':')),
    Rule::line(&HARDWARE_ID, &["ether ", "ether:", "ether=", "hwaddr", "hw_addr", "mac ", "mac:", "mac=", "mac\"", "mac'", "macaddr", "mac_addr", "lladdr", "perm_addr"], r"(?i:ether|hw_?addr|mac|mac_?addr(?:ess)?|lladdr)[\s=:\x22']{1,4}((?:[0-9a-fA-F]{2}-){5}[0-9a-fA-F]{2}|[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}\.[0-9a-fA-F]{4})\b"),
    Rule::line(&HARDWARE_ID, &["guid", "gid"], r"(?i:guid|gid)\w*[^0-9a-fA-F\n]{1,40}((?:0x)?[0-9a-fA-F]{16}|(?:[0-9a-fA-F]{4}:){3,7}[0-9a-fA-F]{4})\b").accept_if(is_identity)
    .prefilter_if(|text, at| text[at..text.len().min(at + 64)].iter().filter(|b| b.is_ascii_digit()).count() >= 4),
    Rule::line(&HARDWARE_ID, &["machine-id", "machine_id", "machineid", "boot_id", "boot-id", "hostid", "host id", "host_id", "systemuuid", "system uuid", "product_uuid", "machine id"], r"(?i:machine[-_ ]?id|boot[-_ ]?id|host[-_ ]?id|system[-_ ]?uuid|product_uuid)[^0-9a-fA-F\n]{1,8}([0-9a-fA-F]{32}|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{8})\b").accept_if(is_identity),
    Rule::line(&HARDWARE_ID, &["serial ", "serial_n", "serial-n", "serialn", "serial:", "serial=", "serial#", "serial.", "serial\"", "s/n", "asset tag", "asset_tag", "asset-tag", "assettag", "service tag", "service_tag", "service-tag", "servicetag"], r"(?i:serial(?:[ _-]?(?:number|no|num))?|s/n|(?:asset|service)[ _-]?tag)\.?\x22?\s{0,40}[:=#]\s{0,4}\x22?([A-Z0-9][A-Z0-9-]{6,24})\b").accept_if(is_serial),
    Rule::line(&HARDWARE_ID, &["ibping", "ibtracert", "smpquery", "saquery", "iblinkinfo", "ibnetdiscover", "perfquery"], r"\b(0x[0-9a-f]{16})\b").accept_if(is_identity),
    Rule::line(&HARDWARE_ID, &["sn ", "sn:", "\"sn\"", "serial ", "serial-number", "id_serial"], r#"(?:\bS/?N[\s:#]{1,2}|\bsn["']?:\s?["']?|\bID_SERIAL(?:_SHORT)?=|\b(?i:serial(?:[ _-]?number)?)\s(?:(?:→|->|=>)\s)?)([A-Z0-9][A-Z0-9_-]{7,30})\b"#).accept_if(is_serial),
    Rule::line(&HARDWARE_ID, &["dmidecode"], r"\bdmidecode[^\n]{0,40}?UUID\W{1,6}([0-9a-fA-F]{8}-[0-9a-fA-F-]{27})\b").accept_if(is_identity),
    Rule::line(&HARDWARE_ID, &["wwn-0x", "naa."], r"\b(?:wwn-0x|naa\.)([0-9a-f]{16})\b"),
    Rule::line(&HARDWARE_ID, &["physical address", "switchport", "learned on", " arp "], r"\b([0-9a-fA-F]{4}\.[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}|(?:[0-9a-fA-F]{2}-){5}[0-9a-fA-F]{2})\b").accept_if(is_identity),
    Rule::line(&HARDWARE_ID, &["/by-id/"], r"/by-id/((?:nvme|ata|scsi|wwn|usb)-[\w.-]{8,})"),
    Rule::line(&HARDWARE_ID, &["nvme"], r"\bnvme\d+n\d+\s+([A-Z0-9]{10,20})\s").accept_if(is_serial),
    Rule::line(&HARDWARE_ID, &["uuid"], r"(?i:gpu|dmi|system|board|vbios|device)[ _-]?(?i:uuid)[\s:=>\x22-]{1,40}([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})").accept_if(is_identity)
    .prefilter_if(|text, at| matches!(before(text, at), b' ' | b'_' | b'-') || before(text, at).is_ascii_alphabetic()),
];

/// Six pairs of hexadecimal digits. Looks from every first colon.
fn mac(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    let Some(start) = hit.span.start.checked_sub(2) else {
        return;
    };
    let Some(address) = text.get(start..start + 17) else {
        return;
    };
    // The cheap look first: most colons have no second one three bytes on.
    if address[5] != b':' || address[8] != b':' {
        return;
    }
    found.count_work(17);
    let formed = address.iter().enumerate().all(|(at, b)| {
        if at % 3 == 2 {
            *b == b':'
        } else {
            b.is_ascii_hexdigit()
        }
    });
    let (left, right) = (before(text, start), after(text, start + 17));
    if !formed
        || is_word(left)
        || left == b':'
        || left == b'-'
        || is_word(right)
        || (right == b':' && text.get(start + 18).is_some_and(u8::is_ascii_hexdigit))
    {
        return;
    }
    // A clock with a date would have no letters; addresses without any are rare enough.
    let letters = address.iter().any(u8::is_ascii_alphabetic);
    let documentation = address[..14].eq_ignore_ascii_case(b"00:00:5e:00:53")
        || address[..8].eq_ignore_ascii_case(b"de:ad:be")
        || address.eq_ignore_ascii_case(b"aa:bb:cc:dd:ee:ff")
        || address.eq_ignore_ascii_case(b"00:11:22:33:44:55");
    let blank = address.iter().all(|b| matches!(b, b'0' | b':'))
        || address.iter().all(|b| matches!(b, b'f' | b'F' | b':'));
    if letters && !documentation && !blank {
        found.report(&HARDWARE_ID, start..start + 17);
    }
}

fn is_identity(id: &[u8]) -> bool {
    let hex = id.strip_prefix(b"0x").unwrap_or(id);
    let first = hex.first().copied().unwrap_or(b'0');
    let zeros = hex.iter().filter(|b| **b == b'0').count();
    hex.iter().any(|b| *b != first && *b != b'-' && *b != b':')
        && zeros * 4 < hex.len() * 3
        && !hex.starts_with(b"01234567")
        && !hex.starts_with(b"12345678")
}

fn is_serial(id: &[u8]) -> bool {
    let digits = id.iter().filter(|b| b.is_ascii_digit()).count();
    // A certificate's serial number is longer, and has digits alone.
    digits >= 3
        && !(digits == id.len() && digits > 14)
        && is_identity(id)
        && !crate::generic_secrets::is_uuid(id)
}
