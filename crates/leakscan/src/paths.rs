//! Absolute paths of private machines: home directories and shared storage. Ignores the paths of images and runners.

use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::kinds::PRIVATE_PATH;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::around;
use crate::window::before;

include!(concat!(env!("OUT_DIR"), "/paths.rs"));

fn precedes_lower_case(text: &[u8], at: usize) -> bool {
    after(text, at + 1).is_ascii_lowercase()
}

fn may_be_share(text: &[u8], at: usize) -> bool {
    let is_start = |b: u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'=' | b'(');
    after(text, at + 1) == b'\\'
        && match after(text, at + 2) {
            b'\\' => after(text, at + 3) == b'\\' && after(text, at + 4).is_ascii_alphabetic(),
            letter => letter.is_ascii_alphabetic() && is_start(before(text, at)),
        }
}

/// Accounts of images, runners and documentation.
const COMMON_ACCOUNTS: &str = "runner user username users me you your name ubuntu vscode node app appuser coder ec2-user jovyan nobody \
    docker circleci travis builder python root nonroot gitpod vagrant pi linuxbrew runneradmin public default \
    shared dev developer worker nvidia rust rustacean build ci git admin foo bar someone somebody yourname \
    your_name your-name myuser myname test testuser user1 u x someuser some-user guest administrator mambauser \
    conda sandbox workspace code work jenkins actions containeruser alice-example jane john johndoe janedoe john.doe \
    sweet tmp ferris gitlab-runner github-runner actions-runner dir internal \
    yarn opam abc a nix nixbld steam deck kubernetes agent overview dashboard profile settings \
    www www-data web html media ftp mail nginx apache httpd postgres mysql redis celery deploy";

fn is_common_account(name: &[u8]) -> bool {
    let lower = name.to_ascii_lowercase();
    let text = std::str::from_utf8(&lower).unwrap_or_default();
    let service = ["-runtime", "-runner", "-user", "-bot", " users"]
        .iter()
        .any(|ending| text.ends_with(ending));
    listed(COMMON_ACCOUNTS, text)
        || service
        || is_placeholder(name)
        || text.starts_with("your")
        || text.starts_with("you.")
}

/// Whether an account can be the account of a person.
pub fn is_somebody(name: &[u8]) -> bool {
    !is_common_account(name) && !name.contains(&b'%')
}

fn is_personal_home(path: &[u8]) -> bool {
    let name = path[1..].split(|b| *b == b'/').next().unwrap_or_default();
    let number_format = ["fp", "bf", "int", "sm"].iter().any(|kind| {
        name.strip_prefix(kind.as_bytes())
            .is_some_and(|n| n.first().is_some_and(u8::is_ascii_digit))
    });
    // `~seq_len/3` is a formula.
    let rest = &path[1 + name.len()..];
    let formula = rest
        .iter()
        .all(|b| b.is_ascii_digit() || matches!(b, b'/' | b'.'));
    is_somebody(name) && name.len() >= 3 && !number_format && !formula
}

/// Finds `~name/…`, the home folder of a person.
fn tilde_home(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let (text, start) = (hit.text, hit.span.start);
    let before = hit.before();
    if !before.is_ascii_whitespace() && !b"\"'=:(`".contains(&before) {
        return;
    }
    let end = around(text, start + 1..start + 1, 256, |b| {
        !b.is_ascii_whitespace() && !b"\"'`)".contains(&b)
    })
    .end;
    found.count_work(end - start);
    found.skip_to(end);
    let path = &text[start..end];
    let name = path[1..].split(|b| *b == b'/').next().unwrap_or_default();
    let is_name = (2..=32).contains(&name.len())
        && name.len() + 1 < path.len()
        && name
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if is_name && is_personal_home(path) && !names_a_package(hit.lead()) {
        found.report(&PRIVATE_PATH, start..end);
    }
}

/// Whether `~` begins the name of a package, as in `@import '~bootstrap/scss/root'` and `url(~pkg/a.png)`.
fn names_a_package(lead: &[u8]) -> bool {
    let Some((b'"' | b'\'' | b'(', lead)) = lead.split_last() else {
        return false;
    };
    let lead = lead.strip_suffix(b"(").unwrap_or(lead).trim_ascii_end();
    [&b"import"[..], b"@use", b"@forward", b"require", b"from", b"url"]
        .iter()
        .any(|word| lead.ends_with(word))
}

fn is_path(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-' | b'+' | b'@' | b'=' | b'%' | b'~')
}

/// Whether a path begins here, and not inside a longer path, a URL or a word.
fn begins(hit: &Hit<'_>) -> bool {
    let before = hit.before();
    let inside = before.is_ascii_alphanumeric()
        || matches!(
            before,
            b'.' | b'_' | b'-' | b'/' | b'~' | b'}' | b')' | b'>' | b'*' | b'%' | b'\\' | b'+' | b'@' | b']'
        );
    !inside || hit.text[..hit.span.start].ends_with(b"file://")
}

fn home(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    let keyword = &text[hit.span.clone()];
    // Windows drives, as WSL and the shell of Git for Windows name them.
    let drive = [&b"/mnt/c"[..], b" /c", b"/mnt/d", b" /d"]
        .iter()
        .any(|d| text[..hit.span.start].ends_with(d));
    if !(begins(hit) || drive) || keyword.starts_with(b"/users") || keyword.starts_with(b"/USERS") {
        return;
    }
    // The command creates the account, so the account is one of an image.
    let lead = hit.lead();
    let created =
        lead.ends_with(b"--home-dir ") || lead.ends_with(b"--home ") || lead.ends_with(b"--home-dir=");
    if created {
        return;
    }
    let end = around(text, hit.span.end..hit.span.end, 256, is_path).end;
    found.count_work(end - hit.span.start);
    let name = text[hit.span.end..end]
        .split(|b| *b == b'/')
        .next()
        .unwrap_or_default();
    let end = trim(text, end);
    let mac = keyword.starts_with(b"/Users");
    let deeper = hit.span.end + name.len() < end;
    if name.len() >= 2 && is_somebody(name) && (deeper || !mac) && name[0].is_ascii_alphabetic() {
        found.skip_to(end);
        found.report(&PRIVATE_PATH, hit.span.start..end);
    }
}

fn trim(text: &[u8], mut end: usize) -> usize {
    while end > 0 && matches!(text[end - 1], b'.' | b'-' | b'/' | b'=' | b'%') {
        end -= 1;
    }
    end
}

/// First parts of paths under `/mnt`, `/shared` and similar that reveal nothing.
const GENERIC: &str = "data c d e cache tmp temp disk disks volume vol host cdrom usb input output test foo path models model \
    datasets dataset checkpoints ckpt results logs config secrets run work workspace repo src app user out in \
    new root iso image bin lib share etc x y a b to file dir folder my storage wsl wslg boot efi";

/// Mount points whose name identifies shared storage.
const SHARED: &str = "proj project pfs gscratch project1 project2 lustre afs dss gpfs fsx nfs weka beegfs vast efs ceph cephfs wekafs panfs lustre1 lustre2 gpfs1 gpfs2 nfs1 scratch1 lustre3 vast1 \
    pscratch lus isilon ddn";

fn mount(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    if !begins(hit)
        || text[hit.span.clone()].iter().any(u8::is_ascii_uppercase)
            && !text[hit.span.clone()].starts_with(b"/Volumes")
    {
        return;
    }
    let end = trim(text, around(text, hit.span.end..hit.span.end, 256, is_path).end);
    found.count_work(end.saturating_sub(hit.span.start));
    if end <= hit.span.end {
        return;
    }
    let root = &text[hit.span.start + 1..hit.span.end - 1];
    let root = root.strip_prefix(b"p/").unwrap_or(root);
    let parts: Vec<&[u8]> = text[hit.span.end..end]
        .split(|b| *b == b'/')
        .filter(|p| !p.is_empty())
        .collect();
    let (Some(first), depth) = (parts.first().copied(), parts.len()) else {
        return;
    };
    if is_placeholder(first)
        || memchr::memmem::find(&text[hit.span.start..end], b"...").is_some()
        || memchr::memmem::find(&text[hit.span.start..end], b"path/to").is_some()
        || !first[0].is_ascii_alphanumeric()
    {
        return;
    }
    let storage = listed(SHARED, first)
        || SHARED
            .split(' ')
            .any(|s| first.len() > s.len() && first.starts_with(s.as_bytes()));
    let people = parts
        .iter()
        .take(depth.saturating_sub(1))
        .any(|p| matches!(*p, b"users" | b"home" | b"homes"));
    let private = if listed(SHARED, root) {
        depth >= 2 || !listed(GENERIC, first)
    } else {
        match root {
            b"mnt" => depth >= 2 && (!listed(GENERIC, first) || people) && (first.len() > 1) || storage,
            b"net" => {
                depth >= 2
                    && first.iter().any(u8::is_ascii_digit)
                    && first[0].is_ascii_alphabetic()
                    && !first.starts_with(b"ipv")
            }
            b"scratch" | b"export" | b"exports" | b"nas" | b"ifs" | b"orcd" | b"hpc" | b"raid" | b"nvme"
            | b"nvme0" | b"nvme1" => depth >= 2 && !listed(GENERIC, first) || people,
            b"shared" | b"storage" | b"projects" | b"global" | b"work" => {
                storage
                    || people
                    || root == b"work" && depth >= 3 && first.contains(&b'-') && !is_placeholder(first)
                    || root == b"shared" && depth >= 3 && !listed(GENERIC, first)
                    || (depth >= 3
                        && parts
                            .iter()
                            .any(|p| p.starts_with(b"ml-") || p.ends_with(b"-prod")))
            }
            b"media" => false,
            b"u" => depth >= 3 && first.len() >= 4 && is_somebody(first),
            b"Volumes" => depth >= 2 && !matches!(first, b"Macintosh HD"),
            b"fs1" | b"fs2" | b"data0" | b"data1" | b"data2" => {
                depth >= 2 && (people || !listed(GENERIC, first))
            }
            _ => false,
        }
    };
    if private {
        found.skip_to(end);
        let span = hit.span.start..end;
        if listed(SHARED, root) {
            found.report_everywhere(&PRIVATE_PATH, span);
        } else {
            found.report(&PRIVATE_PATH, span);
        }
    }
}
