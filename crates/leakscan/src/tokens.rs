//! Tokens that tell their issuer by their form: prefix, alphabet, length.
//!
//! The forms are the issuers' published ones. A length is a floor rather than an exact number where issuers have changed it.

use crate::false_positives::is_plausible_secret;
use crate::false_positives::looks_random;
use crate::kinds::CLOUD_KEY;
use crate::kinds::GITHUB_TOKEN;
use crate::kinds::MODEL_API_KEY;
use crate::kinds::PACKAGE_TOKEN;
use crate::kinds::SERVICE_TOKEN;
use crate::rule::Rule;

/// The rules of this family.
pub static RULES: &[Rule] = &[
    // GitHub. The last six characters of a classic token are a checksum, which `looks_github` knows.
    Rule::at(
        &GITHUB_TOKEN,
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        r"gh[pousr]_[0-9A-Za-z]{36,255}",
    )
    .accept_if(crate::checksum::looks_github),
    Rule::at(&GITHUB_TOKEN, &["github_pat_"], r"github_pat_[0-9A-Za-z_]{36,255}").accept_if(looks_random),
    Rule::line(
        &GITHUB_TOKEN,
        &["config.sh", "runner_token", "registration_token", "registration token"],
        r"(?i:token)\S?[\s=:]+\S?(A[A-Z0-9]{28})\b",
    ),
    Rule::line(&GITHUB_TOKEN, &["--jitconfig"], r"--jitconfig[\s=]+([0-9A-Za-z+/=]{80,})"),
    // Clouds.
    Rule::at(
        &CLOUD_KEY,
        &["akia", "asia", "abia", "acca"],
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    )
    .accept_if(has_digit_or_mix),
    Rule::at(&CLOUD_KEY, &["absk"], r"ABSK[0-9A-Za-z+/=]{100,}"),
    Rule::line(
        &CLOUD_KEY,
        &["secretaccesskey", "secret_access_key", "secret_key", "secretkey", "secret-key", "secret access key"],
        r#"(?i:aws|s3|minio|secret.?access).{0,24}?(?i:key)\\?["']?\s{0,4}[:=]{1,2}>?\s{0,4}\\?["']?([0-9A-Za-z/+]{40})(?:[^0-9A-Za-z/+=]|$)"#,
    )
    .accept_if(looks_random),
    Rule::line(
        &CLOUD_KEY,
        &["session_token", "sessiontoken", "security-token"],
        r#"(?i:token)\\?["']?\s{0,4}[:=]\s{0,4}\\?["']?((?:IQoJ|FwoG|FQoG|AQo)[0-9A-Za-z/+=]{60,})"#,
    ),
    Rule::at(&CLOUD_KEY, &["amzn.mws."], r"amzn\.mws\.[0-9a-f-]{36}"),
    Rule::at(&CLOUD_KEY, &["aiza"], r"AIza[0-9A-Za-z_-]{35}").accept_if(looks_random),
    Rule::at(&CLOUD_KEY, &["gocspx-"], r"GOCSPX-[0-9A-Za-z_-]{24,}"),
    Rule::at(&CLOUD_KEY, &["ya29."], r"ya29\.[0-9A-Za-z_.-]{20,}"),
    Rule::at(&CLOUD_KEY, &["1//0"], r"1//0[0-9A-Za-z_-]{30,}"),
    Rule::at(&CLOUD_KEY, &["goog1"], r"GOOG1[A-Z0-9]{20,60}"),
    Rule::line(
        &CLOUD_KEY,
        &["private_key_id"],
        r#""private_key_id"\s{0,4}:\s{0,4}"([0-9a-f]{40})""#,
    ),
    Rule::line(
        &CLOUD_KEY,
        &["accountkey=", "sharedaccesskey=", "sharedsecret=", "account_key", "accountkey"],
        r#"(?i:account_?key|shared_?access_?key|shared_?secret)["']?\s{0,4}[=:]\s{0,4}["']?([0-9A-Za-z+/%]{40,90}={1,2})"#,
    ),
    Rule::line(&CLOUD_KEY, &["0q~", "1q~", "2q~", "3q~", "4q~", "5q~", "6q~", "7q~", "8q~", "9q~"], r"(?:^|[^0-9A-Za-z_~.-])([0-9A-Za-z_~.-]{3}\dQ~[0-9A-Za-z_~.-]{31,34})(?:[^0-9A-Za-z_~.-]|$)"),
    Rule::line(&CLOUD_KEY, &["+acr"], r"([0-9A-Za-z+/]{42}\+ACR[A-D][0-9A-Za-z]{6})"),
    Rule::at(&CLOUD_KEY, &["doo_v1_", "dop_v1_", "dor_v1_"], r"do[opr]_v1_[0-9a-f]{40,}"),
    Rule::at(&CLOUD_KEY, &["ltai"], r"LTAI[0-9A-Za-z]{16,20}\b").accept_if(looks_random),
    Rule::at(&CLOUD_KEY, &["akid"], r"AKID[0-9A-Za-z]{32}\b").accept_if(looks_random),
    Rule::at(&CLOUD_KEY, &["scw"], r"SCW[A-Z0-9]{17}\b").accept_if(has_digit_or_mix),
    Rule::at(&CLOUD_KEY, &["hrku-"], r"HRKU-[0-9A-Za-z_-]{36,}"),
    Rule::at(&CLOUD_KEY, &["flyv1 "], r"FlyV1 fm[12][a-z]?_[0-9A-Za-z+/=,_-]{40,}"),
    Rule::at(&CLOUD_KEY, &["fo1_", "fm2_", "fm1_"], r"(?:fo1|fm[12][a-z]?)_[0-9A-Za-z+/=_-]{40,}"),
    Rule::at(&CLOUD_KEY, &["nfp_", "nfc_", "nfo_", "nfu_"], r"nf[pcou]_[0-9A-Za-z]{36,}").accept_if(looks_random),
    Rule::at(&CLOUD_KEY, &["rnd_"], r"rnd_[0-9A-Za-z]{32}\b").accept_if(looks_random),
    Rule::at(&CLOUD_KEY, &["vcp_", "vci_", "vca_", "vcr_", "vck_"], r"vc[piark]_[0-9A-Za-z]{24,}").accept_if(looks_random),
    Rule::at(&CLOUD_KEY, &["pscale_"], r"pscale_(?:tkn|oauth|pw|api)_[0-9A-Za-z_.=-]{30,64}"),
    Rule::at(&CLOUD_KEY, &["sbp_", "sb_secret_"], r"(?:sbp_(?:v0_)?[0-9a-f]{40}|sb_secret_[0-9A-Za-z_-]{20,})\b"),
    Rule::at(&CLOUD_KEY, &["napi_"], r"napi_[0-9a-z]{40,}"),
    Rule::at(&CLOUD_KEY, &["dapi", "dkea", "dose"], r"(?:dapi|dkea|dose)[0-9a-f]{32}(?:-\d)?\b"),
    Rule::at(&CLOUD_KEY, &["avns_"], r"AVNS_[0-9A-Za-z_-]{19}\b"),
    Rule::at(&CLOUD_KEY, &["cfut_", "cfat_", "cfk_"], r"cf(?:ut|at|k)_[0-9A-Za-z]{40,}"),
    Rule::at(&CLOUD_KEY, &["v1.0-"], r"v1\.0-[0-9a-f]{24}-[0-9a-f]{100,}"),
    Rule::at(&CLOUD_KEY, &["tskey-"], r"tskey-(?:[a-z]+-)?[0-9A-Za-z]{8,}(?:CNTRL)?-[0-9A-Za-z]{16,}"),
    Rule::at(&CLOUD_KEY, &["hvs.", "hvb.", "hvr."], r"hv[sbr]\.[0-9A-Za-z_-]{20,}").accept_if(looks_random),
    Rule::line(&CLOUD_KEY, &["vault"], r"(?i:vault).{0,40}\b(s\.[0-9A-Za-z]{24})\b").accept_if(looks_random),
    Rule::line(&CLOUD_KEY, &[".atlasv1."], r"\b([0-9A-Za-z]{14}\.atlasv1\.[0-9A-Za-z_=-]{60,})"),
    Rule::at(&CLOUD_KEY, &["pul-"], r"pul-[0-9a-f]{40}\b"),
    Rule::at(&CLOUD_KEY, &["k10"], r"K10[0-9a-f]{48,}::(?:[a-z]+:)?[0-9a-zA-Z.]{16,}"),
    Rule::at(&CLOUD_KEY, &["sha256~"], r"sha256~[0-9A-Za-z_-]{43}"),
    Rule::line(
        &CLOUD_KEY,
        &["kubeadm", "--token", "bootstrap"],
        r"(?i:token)\S?[\s=:]+\S?([0-9a-z]{6}\.[0-9a-z]{16})\b",
    ),
    Rule::line(&CLOUD_KEY, &["token-ca-cert-hash"], r"sha256:([0-9a-f]{64})"),
    // Models, data, experiments.
    Rule::at(&MODEL_API_KEY, &["sk-"], r"sk-(?:proj|svcacct|admin|none|None|service|live|test)-[0-9A-Za-z_-]{20,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["sk-ant-"], r"sk-ant-(?:[a-z]+\d*-)?[0-9A-Za-z_-]{24,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["sk-or-", "sk-lf-", "pk-lf-"], r"[sp]k-(?:or-v\d-[0-9a-f]{48,}|lf-[0-9a-f-]{36})"),
    Rule::at(&MODEL_API_KEY, &["sk-"], r"sk-[0-9A-Za-z]{32,}\b").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["hf_"], r"hf_[0-9A-Za-z]{30,42}\b").accept_if(mixed_letters),
    Rule::at(&MODEL_API_KEY, &["api_org_"], r"api_org_[0-9A-Za-z]{30,42}\b").accept_if(mixed_letters),
    Rule::at(&MODEL_API_KEY, &["wandb_v1_"], r"wandb_v1_[0-9A-Za-z_]{40,}").accept_if(looks_random),
    Rule::line(
        &MODEL_API_KEY,
        &["wandb"],
        r"(?i:wandb)[^\n]{0,40}?\b([0-9a-f]{40})\b",
    ),
    Rule::at(&MODEL_API_KEY, &["nvapi-"], r"nvapi-[0-9A-Za-z_-]{40,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["gsk_"], r"gsk_[0-9A-Za-z]{40,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["pplx-"], r"pplx-[0-9A-Za-z]{32,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["r8_"], r"r8_[0-9A-Za-z]{37,40}\b").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["tgp_v1_"], r"tgp_v1_[0-9A-Za-z_-]{40,}"),
    Rule::at(&MODEL_API_KEY, &["fw_"], r"fw_[0-9A-Za-z]{22,26}\b").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["xai-"], r"xai-[0-9A-Za-z]{60,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["csk-"], r"csk-[0-9a-z]{40,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["rpa_"], r"rpa_[0-9A-Za-z]{40,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["ak-", "as-"], r"a[ks]-[0-9A-Za-z]{22}\b").accept_if(mixed_case_and_digit),
    Rule::at(&MODEL_API_KEY, &["lsv2_", "ls__"], r"(?:lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}|ls__[0-9a-f]{32})\b"),
    Rule::at(&MODEL_API_KEY, &["pcsk_"], r"pcsk_[0-9A-Za-z_]{40,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["sk_"], r"sk_[0-9a-f]{48}\b"),
    Rule::at(&MODEL_API_KEY, &["kgat_"], r"KGAT_[0-9a-f]{32}\b"),
    Rule::at(&MODEL_API_KEY, &["tvly-"], r"tvly-[0-9A-Za-z-]{28,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["fc-"], r"fc-[0-9a-f]{32}\b"),
    Rule::at(&MODEL_API_KEY, &["jina_"], r"jina_[0-9A-Za-z_-]{40,}").accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["pa-"], r"pa-[0-9A-Za-z_-]{43}\b").accept_if(mixed_case_and_digit),
    Rule::at(&MODEL_API_KEY, &["eyjhcglfywrkcmvzcyi"], r"eyJhcGlfYWRkcmVzcyI[0-9A-Za-z+/=_-]{40,}"),
    Rule::at(&MODEL_API_KEY, &["pnu_", "pnb_"], r"pn[ub]_[0-9A-Za-z]{36}\b").accept_if(looks_random),
    Rule::line(&MODEL_API_KEY, &["t3blbkfj"], r"([0-9A-Za-z_-]{20,}T3BlbkFJ[0-9A-Za-z_-]{20,})"),
    // Registries of packages and images.
    Rule::at(&PACKAGE_TOKEN, &["npm_"], r"npm_[0-9A-Za-z]{36}\b").accept_if(looks_random),
    Rule::line(&PACKAGE_TOKEN, &[":_auth"], r#":_(?:authToken|auth|password)\s{0,4}=\s{0,4}"?([0-9A-Za-z+/=_.-]{16,})"#).accept_if(looks_random),
    Rule::at(&PACKAGE_TOKEN, &["pypi-"], r"pypi-A[0-9A-Za-z_-]{40,}").accept_if(looks_random),
    Rule::at(&PACKAGE_TOKEN, &["cio"], r"cio[0-9A-Za-z]{32}\b").accept_if(mixed_case_and_digit),
    Rule::at(&PACKAGE_TOKEN, &["rubygems_"], r"rubygems_[0-9a-f]{48}\b"),
    Rule::at(&PACKAGE_TOKEN, &["oy2"], r"oy2[0-9a-z]{43}\b").accept_if(looks_random),
    Rule::at(&PACKAGE_TOKEN, &["dckr_"], r"dckr_[op]at_[0-9A-Za-z_-]{24,}"),
    Rule::at(&PACKAGE_TOKEN, &["clojars_"], r"CLOJARS_[0-9a-z]{60}\b"),
    Rule::at(&PACKAGE_TOKEN, &["packagist_"], r"packagist_[a-z]{3}_[0-9a-f]{60,}"),
    Rule::at(&PACKAGE_TOKEN, &["akcp"], r"AKCp[0-9A-Za-z]{60,}"),
    Rule::at(&PACKAGE_TOKEN, &["cmvmdgtuo"], r"cmVmdGtuO[0-9A-Za-z+/=]{30,}"),
    // Everything else.
    Rule::at(
        &SERVICE_TOKEN,
        &["glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-", "gloas-", "glffct-", "glrtr-"],
        r"gl(?:pat|dt|rtr|rt|cbt|ptt|ft|imt|agent|soat|oas|ffct)-[0-9A-Za-z_.-]{20,}",
    )
    .accept_if(looks_random),
    Rule::at(&SERVICE_TOKEN, &["gr1348941"], r"GR1348941[0-9A-Za-z_-]{20,}"),
    Rule::at(&SERVICE_TOKEN, &["xoxa-", "xoxb-", "xoxc-", "xoxd-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-"], r"xox[a-eo-s][-.][0-9A-Za-z%./+-]{20,}").accept_if(looks_random),
    Rule::at(&SERVICE_TOKEN, &["xapp-"], r"xapp-\d-[0-9A-Za-z]+-\d+-[0-9a-f]{32,}"),
    Rule::at(&SERVICE_TOKEN, &["sk_live_", "rk_live_", "sk_test_", "rk_test_"], r"[sr]k_(?:live|test)_[0-9A-Za-z]{20,}").accept_if(looks_random),
    Rule::at(&SERVICE_TOKEN, &["whsec_"], r"whsec_[0-9A-Za-z+/=]{24,}").accept_if(looks_random),
    Rule::at(
        &SERVICE_TOKEN,
        &[
            "ac0", "ac1", "ac2", "ac3", "ac4", "ac5", "ac6", "ac7", "ac8", "ac9", "aca", "acb", "acc", "acd", "ace", "acf",
            "sk0", "sk1", "sk2", "sk3", "sk4", "sk5", "sk6", "sk7", "sk8", "sk9", "ska", "skb", "skc", "skd", "ske", "skf",
        ],
        r"(?:SK|AC)[0-9a-f]{32}\b",
    )
    .prefilter_if(|text, at| text[at].is_ascii_uppercase()),
    Rule::at(&SERVICE_TOKEN, &["sg."], r"SG\.[0-9A-Za-z_-]{16,32}\.[0-9A-Za-z_-]{32,64}"),
    Rule::at(&SERVICE_TOKEN, &["key-"], r"key-[0-9a-f]{32}\b").prefilter_if(|text, at| crate::window::before(text, at) != b'-'),
    Rule::line(&SERVICE_TOKEN, &["-us"], r"\b([0-9a-f]{32}-us\d{1,2})\b"),
    Rule::at(&SERVICE_TOKEN, &["xkeysib-", "xsmtpsib-"], r"x(?:key|smtp)sib-[0-9a-f]{64}-[0-9A-Za-z]{16}"),
    Rule::line(&SERVICE_TOKEN, &[":aa"], r"(?:^|[^0-9A-Za-z])((?:bot)?\d{8,10}:AA[0-9A-Za-z_-]{32,33})(?:[^0-9A-Za-z_-]|$)"),
    Rule::line(
        &SERVICE_TOKEN,
        &["discord", "bot token", "bot_token", ".run(", ".login("],
        r"\b([MNO][0-9A-Za-z_-]{22,27}\.[0-9A-Za-z_-]{6}\.[0-9A-Za-z_-]{27,40})",
    ),
    Rule::at(&SERVICE_TOKEN, &["nrak-", "nrii-", "nrjs-", "nrra-", "nraa-", "nrsp-"], r"NR(?:AK|II|JS|RA|AA|SP)-[0-9A-Za-z_-]{19,42}"),
    Rule::at(&SERVICE_TOKEN, &["glsa_"], r"glsa_[0-9A-Za-z]{28,36}_[0-9a-f]{8}"),
    Rule::at(&SERVICE_TOKEN, &["glc_"], r"glc_[0-9A-Za-z+/=_-]{32,}"),
    Rule::at(&SERVICE_TOKEN, &["eyjrijoi"], r"eyJrIjoi[0-9A-Za-z+/=_-]{40,}"),
    Rule::at(&SERVICE_TOKEN, &["hcaik_", "hcbik_", "hciik_", "hcxik_"], r"hc[a-z]ik_[0-9a-z]{40,}"),
    Rule::at(&SERVICE_TOKEN, &["dt0c01.", "dt0s0"], r"dt0[cs]\d\d\.[0-9A-Z]{8,24}\.[0-9A-Z]{60,}"),
    Rule::at(&SERVICE_TOKEN, &["sntrys_", "sntryu_"], r"sntry[su]_[0-9A-Za-z+/=_-]{40,}"),
    Rule::at(&SERVICE_TOKEN, &["atatt3", "atctt3"], r"AT[AC]TT3[0-9A-Za-z_=-]{40,}"),
    Rule::at(&SERVICE_TOKEN, &["atbb"], r"ATBB[0-9A-Za-z]{28,36}\b"),
    Rule::at(&SERVICE_TOKEN, &["lin_api_", "lin_oauth_"], r"lin_(?:api|oauth)_[0-9A-Za-z]{32,}"),
    Rule::at(&SERVICE_TOKEN, &["ntn_"], r"ntn_[0-9A-Za-z]{40,}"),
    Rule::at(&SERVICE_TOKEN, &["secret_"], r"secret_[0-9A-Za-z]{40,}\b").accept_if(mixed_case_and_digit),
    Rule::at(&SERVICE_TOKEN, &["1/1", "0/1", "2/1"], r"[012]/1\d{15}(?:/\d{16})?:[0-9a-f]{32}"),
    Rule::at(&SERVICE_TOKEN, &["pat"], r"pat[0-9A-Za-z]{14}\.[0-9a-f]{64}\b").prefilter_if(|text, at| text.get(at + 17) == Some(&b'.')),
    Rule::at(&SERVICE_TOKEN, &["pat-"], r"pat-[a-z]{2}\d-[0-9a-f]{8}-[0-9a-f-]{27}"),
    Rule::at(&SERVICE_TOKEN, &["pat.", "sat."], r"[ps]at\.[0-9A-Za-z_-]{22}\.[0-9a-f]{24}\.[0-9A-Za-z]{20}"),
    Rule::at(&SERVICE_TOKEN, &["figd_", "figo_", "figu_"], r"fig[dou]_[0-9A-Za-z_-]{36,}"),
    Rule::at(&SERVICE_TOKEN, &["cfpat-"], r"CFPAT-[0-9A-Za-z_-]{40,}"),
    Rule::at(&SERVICE_TOKEN, &["shpat_", "shpca_", "shppa_", "shpss_"], r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    Rule::at(&SERVICE_TOKEN, &["sq0a", "sq0c"], r"sq0[ac][a-z]{2}-[0-9A-Za-z_-]{22,43}"),
    Rule::at(&SERVICE_TOKEN, &["eaaa"], r"EAAA[0-9A-Za-z_-]{60,}").accept_if(looks_random),
    Rule::at(&SERVICE_TOKEN, &["access_token$"], r"access_token\$[a-z]+\$[0-9a-z]{16}\$[0-9a-f]{32}"),
    Rule::at(&SERVICE_TOKEN, &["pmak-"], r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    Rule::at(&SERVICE_TOKEN, &["sdk-", "api-", "mob-"], r"(?:sdk|api|mob)-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b"),
    Rule::at(&SERVICE_TOKEN, &["api-"], r"API-[0-9A-Z]{26,32}\b").accept_if(has_digit_or_mix),
    Rule::at(&SERVICE_TOKEN, &["sk.eyj"], r"sk\.eyJ[0-9A-Za-z_-]{20,}\.[0-9A-Za-z_-]{20,}"),
    Rule::at(&SERVICE_TOKEN, &["eaac", "eaab", "eaag", "eaaj"], r"EAA[CBGJ][0-9A-Za-z]{80,}").accept_if(looks_random),
    Rule::at(&SERVICE_TOKEN, &["aaaaaaaaaaaaaaaaaaaa"], r"A{20,24}([0-9A-Za-z%]{50,})").accept_if(|token| token.contains(&b'%') && looks_random(token)),
    Rule::at(&SERVICE_TOKEN, &["sl."], r"sl\.(?:u\.)?[0-9A-Za-z_-]{130,}"),
    Rule::at(&SERVICE_TOKEN, &["bkua_", "bkaj_", "bkpi_"], r"bk[a-z]{2}_[0-9a-f]{40}\b"),
    Rule::at(&SERVICE_TOKEN, &["ccipat_", "ccipra_", "ccirt_"], r"CCI(?:PAT|PRA|RT)_[0-9A-Za-z_]{40,}"),
    Rule::at(&SERVICE_TOKEN, &["sqp_", "sqa_", "squ_", "sqb_"], r"sq[paub]_[0-9a-f]{40}\b"),
    Rule::at(&SERVICE_TOKEN, &["duffel_"], r"duffel_(?:live|test)_[0-9A-Za-z_-]{40,}"),
    Rule::at(&SERVICE_TOKEN, &["ezak", "eztk"], r"EZ[AT]K[0-9A-Za-z]{54,}"),
    Rule::at(&SERVICE_TOKEN, &["ops_eyj"], r"ops_eyJ[0-9A-Za-z+/=_-]{100,}"),
    Rule::at(&SERVICE_TOKEN, &["dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."], r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[0-9A-Za-z]{40,44}\b"),
    Rule::at(&SERVICE_TOKEN, &["tfp_"], r"tfp_[0-9A-Za-z_-]{40,}"),
    Rule::at(&SERVICE_TOKEN, &["pnu_"], r"pnu_[0-9A-Za-z]{36}"),
    Rule::at(&SERVICE_TOKEN, &["re_"], r"re_[0-9A-Za-z]{8}_[0-9A-Za-z]{24}\b").accept_if(looks_random),
    Rule::at(&SERVICE_TOKEN, &["rdme_"], r"rdme_[0-9a-z]{70}"),
    Rule::at(&SERVICE_TOKEN, &["shippo_"], r"shippo_(?:live|test)_[0-9a-f]{40}"),
    Rule::at(&SERVICE_TOKEN, &["live_", "test_"], r"(?:live|test)_[0-9a-f]{35}\b").prefilter_if(|text, at| text.get(at + 5).is_some_and(u8::is_ascii_hexdigit)),
    Rule::at(&SERVICE_TOKEN, &["phx_", "phc_"], r"ph[xc]_[0-9A-Za-z]{40,}"),
    Rule::at(&SERVICE_TOKEN, &["b2_", "k00"], r"K00\d[0-9A-Za-z+/]{27}\b").accept_if(mixed_case_and_digit),
];

/// Upper-case forms: a letter-only one is likely to be a word.
fn has_digit_or_mix(token: &[u8]) -> bool {
    is_plausible_secret(token) && distinct(token) >= 9
}

/// Letters of both cases, as issuers draw them, that need no digit.
fn mixed_letters(token: &[u8]) -> bool {
    let capitals = token.iter().filter(|b| b.is_ascii_uppercase()).count();
    let body = token.rsplit(|b| *b == b'_').next().unwrap_or_default();
    looks_random(token)
        || is_plausible_secret(token) && capitals >= 6 && crate::false_positives::entropy(body) >= 3.5
}

fn mixed_case_and_digit(token: &[u8]) -> bool {
    looks_random(token)
        && token.iter().any(u8::is_ascii_digit)
        && token.iter().any(u8::is_ascii_uppercase)
        && token.iter().any(u8::is_ascii_lowercase)
}

fn distinct(token: &[u8]) -> usize {
    let mut seen = [false; 256];
    token.iter().for_each(|&b| seen[usize::from(b)] = true);
    seen.iter().filter(|&&s| s).count()
}
