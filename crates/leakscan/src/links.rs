//! URLs: credentials and signatures in them, webhooks, internal services, runbooks.

use crate::address;
use crate::false_positives::is_placeholder;
use crate::false_positives::is_plausible_secret;
use crate::false_positives::looks_random;
use crate::hosts;
use crate::keys::is_password;
use crate::kinds::CREDENTIAL_URL;
use crate::kinds::INTERNAL_URL;
use crate::kinds::PRESIGNED_URL;
use crate::kinds::PRIVATE_ADDRESS;
use crate::kinds::RUNBOOK;
use crate::kinds::WEBHOOK;
use crate::rule::Hit;
use crate::rule::MatchSink;
use crate::rule::Rule;
use crate::window::after;
use crate::window::around;

/// The rules of this family.
pub static RULES: &[Rule] = &[
    Rule::code(&INTERNAL_URL, &["://"], url),
    Rule::line(&WEBHOOK, &["hooks.slack.com/"], r"hooks\.slack\.com/(?:services|workflows|triggers)/([0-9A-Za-z_]{6,}/[0-9A-Za-z_]{6,}/[0-9A-Za-z_/]{16,})").accept_if(looks_random),
    Rule::line(&WEBHOOK, &["/api/webhooks/"], r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/(\d{15,21}/[0-9A-Za-z_-]{50,})").accept_if(is_plausible_secret),
    Rule::line(&WEBHOOK, &["webhook.office.com/", "outlook.office.com/webhook"], r"office\.com/webhook(?:b2)?/([0-9A-Za-z@/-]{40,})").accept_if(is_plausible_secret),
    Rule::line(&WEBHOOK, &["logic.azure.com", "powerplatform.com"], r"[?&]sig=([0-9A-Za-z_%-]{30,})"),
    Rule::line(&WEBHOOK, &["chat.googleapis.com"], r"/messages\?(key=[0-9A-Za-z_&=%-]{30,})"),
    Rule::line(&WEBHOOK, &["api.telegram.org"], r"/bot(\d{6,10}:[0-9A-Za-z_-]{30,})"),
    Rule::line(&WEBHOOK, &["hooks.zapier.com", "maker.ifttt.com", "hooks.opsgenie", "events.pagerduty.com/integration", "hook.eu", "hook.us"], r"(?:zapier\.com/hooks/catch/|ifttt\.com/trigger/\w+/with/key/|/integration/|make\.com/)([0-9A-Za-z_/-]{12,})").accept_if(is_plausible_secret),
    Rule::line(&WEBHOOK, &["open.feishu.cn/", "open.larksuite.com/", "oapi.dingtalk.com/", "qyapi.weixin.qq.com/"], r"(?:/bot/v2/hook/|/robot/send\?access_token=|/webhook/send\?key=)([0-9a-f-]{36,64})").accept_if(is_plausible_secret),
    Rule::line(&PRESIGNED_URL, &[".oraclecloud.com/p/"], r"oraclecloud\.com/p/([\w-]{30,})/").accept_if(looks_random),
    Rule::line(&CREDENTIAL_URL, &["jdbc:oracle:"], r"jdbc:oracle:thin:\w+/([^@\s\x22']{4,})@").accept_if(is_password),
    Rule::line(&CREDENTIAL_URL, &["anaconda.org/t/"], r"anaconda\.org/t/([\w-]{20,})/").accept_if(is_plausible_secret),
    Rule::line(&WEBHOOK, &["/hooks/"], r"https?://[\w.-]+(?::\d+)?/hooks/([0-9a-z]{26})\b").accept_if(looks_random),
    Rule::line(&PRESIGNED_URL, &["x-amz-signature=", "x-goog-signature="], r"(?i:x-(?:amz|goog)-signature)=([0-9A-Fa-f]{40,})"),
    Rule::line(&PRESIGNED_URL, &["?sig=", "&sig="], r"[?&]sig=([0-9A-Za-z%+/_-]{30,}(?:=|%3[Dd])*)").accept_if(looks_random),
    Rule::line(&PRESIGNED_URL, &["&signature=", "?signature="], r"[?&]Signature=([0-9A-Za-z%+/_~-]{24,}(?:=|%3[Dd])*)").accept_if(looks_random),
    Rule::line(&PRESIGNED_URL, &["x-amz-security-token="], r"(?i:x-amz-security-token)=([0-9A-Za-z%+/_-]{40,})"),
    Rule::line(&RUNBOOK, &["notion.so/", "notion.site/"], r"notion\.(?:so|site)/((?:[\w-]+/)?[\w-]*[0-9a-f]{32})"),
    Rule::line(&RUNBOOK, &[".pagerduty.com/", ".opsgenie.com/", ".incident.io/", "app.incident.io/", ".rootly.com/", ".firehydrant.io/", ".service-now.com/", ".zendesk.com/", ".statuspage.io/", ".victorops.com/"], r"://((?:[\w-]+\.)+(?:pagerduty\.com|opsgenie\.com|incident\.io|rootly\.com|firehydrant\.io|service-now\.com|zendesk\.com|statuspage\.io|victorops\.com)/(?:incidents?|services?|alerts?|teams?|schedules?|agent|account|nav_to|manage|escalation|\w+/incidents?)[^\s)\]>]*)").accept_if(internal_tenant),
    Rule::line(&RUNBOOK, &[".atlassian.net/", "atlassian.com/wiki"], r"([\w-]+\.atlassian\.net/(?:wiki|browse|jira|servicedesk|l|projects|issues|secure)[^\s)\]>]*)").accept_if(internal_tenant),
    Rule::line(&RUNBOOK, &["docs.google.com/", "drive.google.com/"], r"((?:docs|drive)\.google\.com/(?:a/[\w.-]+/)?(?:document|spreadsheets|presentation|forms|drawings|drive/folders|file)/(?:u/\d/)?(?:d/)?(?:e/)?[0-9A-Za-z_-]{20,})").accept_if(is_plausible_secret),
    Rule::line(&RUNBOOK, &[".slack.com/archives/", "slack.com/archives"], r"([\w-]+\.slack\.com/archives/[A-Z0-9]+[^\s)\]>]*)"),
    Rule::line(&RUNBOOK, &[".sharepoint.com/", "teams.microsoft.com/l/", "quip.com/", "app.asana.com/0/", "app.clickup.com/", "linear.app/", "coda.io/d/", "app.slab.com", ".slab.com/posts", ".slite.com/app", "getguru.com/card", "miro.com/app/board", ".monday.com/boards", "app.shortcut.com/"], r"((?:[\w-]+\.)?(?:sharepoint\.com/(?:sites|:\w:|personal)/\w+|microsoft\.com/l/[\w-]+/[\w%]{4,}|quip\.com/[0-9A-Za-z]{10,}|asana\.com/0/\d{4,}|clickup\.com/[\w/]*\d\w{4,}|linear\.app/[\w-]+/(?:issue|project|document)/[\w-]{3,}|coda\.io/d/[\w-]{4,}|slab\.com/posts/[\w-]{4,}|slite\.com/app/docs/[\w-]{6,}|getguru\.com/card/[\w-]{4,}|miro\.com/app/board/[\w=-]{4,}|monday\.com/boards/\d{4,}|shortcut\.com/[\w-]+/story/\d+)[^\s)\]>\x22]*)").accept_if(internal_tenant),
    Rule::line(&RUNBOOK, &["datadoghq.com/", "datadoghq.eu/", ".grafana.net/", ".splunkcloud.com", ".signalfx.com", ".honeycomb.io/", ".newrelic.com/", "sentry.io/organizations", ".sentry.io/issues", ".kb.us", ".lightning.ai/"], r"((?:app|[\w-]+)\.(?:datadoghq\.(?:com|eu)/(?:dashboard|monitors|logs|apm|notebook|incidents)|grafana\.net/(?:d|a|explore|alerting)/|splunkcloud\.com|signalfx\.com|honeycomb\.io/[\w-]+/(?:datasets|environments)|sentry\.io/issues|newrelic\.com/(?:nr1|dashboards|accounts))[^\s)\]>]*)").accept_if(internal_tenant),
    Rule::line(&RUNBOOK, &["console.aws.amazon.com/", "console.cloud.google.com/", "portal.azure.com/"], r"((?:[\w-]+\.)?console\.aws\.amazon\.com/\w+/[^\s)\]>]*#[^\s)\]>]+|console\.cloud\.google\.com/[^\s)\]>]*project=[a-z][^\s)\]>]+|portal\.azure\.com/#@?[^\s)\]>]*(?:resource|subscriptions)[^\s)\]>]+)"),
    Rule::line(&RUNBOOK, &["runbook", "playbook", "post-mortem", "postmortem", "oncall", "on-call"], r#"(?i:(?:run|play)book|post-?mortem|on-?call)\S{0,6}[\s:=]{1,3}["'<(]?((?:https?://)?(?:go|wiki|rb|kb|confluence)/[\w/#-]{3,})"#).accept_if(is_plausible_secret),
    Rule::line(&RUNBOOK, &["runbook", "playbook", "postmortem", "post-mortem"], r#"(https?://[^\s"'<>()]*(?i:(?:run|play)books?|post-?mortem)[^\s"'<>()]*)"#).accept_if(private_runbook),
    Rule::line(&RUNBOOK, &[" go/", "(go/", "\"go/", "http://go/"], r#"(?:^|[\s("'])(?:http://)?(go/[a-z][a-z0-9-]*(?:-|/)[a-z0-9/-]+|go/[a-z0-9-]*(?:runbook|oncall|on-call|drain|incident|cluster|gpu)[a-z0-9-]*)(?:[\s)"'.,]|$)"#),
    Rule::line(&RUNBOOK, &["meet.google.com/", ".zoom.us/j/", "loom.com/share/", "trello.com/c/", "trello.com/b/", ".wandb.io/"], r"((?:meet\.google\.com/[a-z]{3}-[a-z]{4}-[a-z]{3}|[\w-]*\.?zoom\.us/j/\d{9,}|loom\.com/share/[0-9a-f]{32}|trello\.com/[cb]/\w{8}|[\w-]+\.wandb\.io/[\w-]+/[\w-]+/runs)\S*)").accept_if(internal_tenant),
    Rule::line(&RUNBOOK, &["go/"], r"^\s*(go/[a-z]+-[a-z0-9-]+)\s*$").prefilter_if(|text, at| crate::window::before(text, at).is_ascii_whitespace()),
    Rule::line(&RUNBOOK, &["inc-", "inc0", "sev-", "sev1", "sev2", "incident"], r"\b(INC-?\d{3,8}|(?:SEV|Sev)-?[0-5][ :/-]{1,3}INC\S+)\b"),
];

/// Tenants that stand for nobody, and public ones.
fn internal_tenant(link: &[u8]) -> bool {
    let tenant = link.split(|b| *b == b'.').next().unwrap_or_default();
    !matches!(
        tenant,
        b"www"
            | b"docs"
            | b"support"
            | b"developer"
            | b"api"
            | b"status"
            | b"help"
            | b"community"
            | b"your-company"
            | b"company"
            | b"yourcompany"
            | b"play"
            | b"blog"
            | b"events"
            | b"jira"
            | b"ecosystem"
    ) && !link.splitn(3, |b| *b == b'/').take(2).any(is_placeholder)
}

/// A link to a runbook somewhere else than on a public host.
fn private_runbook(link: &[u8]) -> bool {
    let host = link.splitn(4, |b| *b == b'/').nth(2).unwrap_or_default();
    !hosts::is_public(host) && !is_placeholder(link)
}

fn url(hit: &Hit<'_>, found: &mut MatchSink<'_>) {
    let text = hit.text;
    let scheme = around(text, hit.span.start..hit.span.start, 16, |b| {
        b.is_ascii_alphanumeric() || b"+.-".contains(&b)
    })
    .start..hit.span.start;
    let start = hit.span.end;
    let end = around(text, start..start, 512, |b| {
        b.is_ascii_graphic() && !b"/?#\"'<>`{}|\\^,;".contains(&b) || b >= 0x80
    })
    .end
    .max(start);
    found.count_work(end - start + 16);
    found.skip_to(end);
    if scheme.is_empty() {
        return;
    }
    let mut authority = &text[start..end];
    let mut host_at = start;
    // A password may hold the signs that end an authority; look for the `@` in the rest of the word too.
    let word_end = around(text, start..start, 256, |b| {
        b.is_ascii_graphic() && !b"\"'<>`".contains(&b)
    })
    .end;
    if let Some(at) = memchr::memchr(b'@', &text[start..word_end])
        && memchr::memchr(b'/', &text[start..start + at]).is_none()
    {
        let at = memchr::memrchr(b'@', authority).unwrap_or(at);
        credential(text, &scheme, start, &text[start..start + at], found);
        host_at = start + at + 1;
        let stop = around(text, host_at..host_at, 256, hosts::is_authority).end;
        authority = &text[host_at..stop];
    }
    let port_at = authority
        .iter()
        .position(|b| *b == b':')
        .unwrap_or(authority.len());
    let host = &authority[..port_at.min(
        authority
            .iter()
            .position(|&b| !crate::window::is_word(b) && b != b'.' && b != b'-')
            .unwrap_or(authority.len()),
    )];
    let port = port_at < authority.len() && authority[port_at + 1..].first().is_some_and(u8::is_ascii_digit);
    let next = after(text, host_at + host.len());
    if host.is_empty() || matches!(next, b'<' | b'{' | b'$' | b'%' | b'*' | b'(') {
        return;
    }
    if address::is_private_number(host) {
        found.report(&PRIVATE_ADDRESS, host_at..host_at + host.len());
    } else if hosts::is_internal_in_url(host, port) {
        let code = if hosts::is_cluster_dns(host) {
            &crate::kinds::CLUSTER_DNS
        } else {
            &INTERNAL_URL
        };
        found.report(code, host_at..host_at + host.len());
    }
}

/// The part before `@`.
fn credential(
    text: &[u8],
    scheme: &std::ops::Range<usize>,
    start: usize,
    login: &[u8],
    found: &mut MatchSink<'_>,
) {
    if login.len() > 400 || text[scheme.clone()].eq_ignore_ascii_case(b"ssh") && !login.contains(&b':') {
        return;
    }
    match memchr::memchr(b':', login) {
        Some(colon) => {
            let (user, password) = (&login[..colon], &login[colon + 1..]);
            let lower = password.to_ascii_lowercase();
            let words = user == password
                || (user.eq_ignore_ascii_case(password))
                || memchr::memmem::find(&lower, b"password").is_some();
            if is_password(password)
                && !words
                && password.iter().all(|b| b.is_ascii_graphic())
                && password.len() >= 5
            {
                found.report(&CREDENTIAL_URL, start + colon + 1..start + login.len());
            }
        }
        None => {
            if login.len() >= 20 && looks_random(login) {
                found.report(&CREDENTIAL_URL, start..start + login.len());
            }
        }
    }
}
