//! Accounts and resources of clouds.

use crate::false_positives::is_placeholder;
use crate::false_positives::listed;
use crate::kinds::CLOUD_ACCOUNT;
use crate::rule::Rule;

/// The rules of this family.
pub static RULES: &[Rule] = &[
    Rule::line(&CLOUD_ACCOUNT, &["arn:aws"], r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(\d{12}):").accept_if(is_account),
    Rule::line(&CLOUD_ACCOUNT, &["arn:aws"], r"arn:aws[a-z-]*:s3:::([a-z0-9][a-z0-9.-]{1,62})").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &[".dkr.ecr."], r"\b(\d{12})\.dkr\.ecr\.").accept_if(is_account),
    Rule::line(&CLOUD_ACCOUNT, &["account"], r#"(?i:account(?:[_ -]?(?:id|number|no))?|owner[_-]?id)\\?["']?\s{0,2}[:=]?\s{0,2}\\?["']?(\d{12})\b"#).accept_if(is_account),
    Rule::line(&CLOUD_ACCOUNT, &["s3://", "gs://", "s3a://", "gcs://", "r2://", "oss://", "cos://", "tos://", "swift://"], r"\b(?:s3[an]?|gs|gcs|r2|oss|cos|tos|swift)://([a-z0-9][a-z0-9._-]{1,62})").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &["abfss://", "abfs://", "wasbs://", "az://", "hdfs://"], r"\b(?:abfss?|wasbs?|az|hdfs)://([\w-]+(?:@[\w.-]+)?)").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &["i-0", "vpc-0", "subnet-0", "sg-0", "eni-0", "vol-0", "ami-0", "snap-0", "igw-0", "rtb-0", "nat-0", "eipalloc-0", "fs-0", "lt-0", "acl-0", "vpce-0", "tgw-0", "cr-0", "h-0"], r"(?:^|[^\w-])((?:i|vpc|subnet|sg|eni|vol|ami|snap|igw|rtb|nat|eipalloc|fs|fsx|lt|acl|vpce|tgw|cr|h)-0[0-9a-f]{16})\b"),
    Rule::line(&CLOUD_ACCOUNT, &["/subscriptions/"], r"/subscriptions/([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})").accept_if(is_real_uuid),
    Rule::line(&CLOUD_ACCOUNT, &["tenant", "subscription", "client_id", "clientid"], r#"(?i:(?:tenant|subscription)[_ -]?(?:id)?|(?:azure|arm)_client_?id)\\?["']?\s{0,2}[:=]?\s{0,2}\\?["']?([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"#).accept_if(is_real_uuid),
    Rule::line(&CLOUD_ACCOUNT, &["projects/"], r"\bprojects/([a-z][a-z0-9-]{4,28}[a-z0-9]|\d{9,13})/(?:locations|zones|regions|global|secrets|topics|subscriptions|serviceAccounts|instances|datasets|databases|buckets|repositories|clusters|workloadIdentityPools)\b").accept_if(is_project),
    Rule::line(&CLOUD_ACCOUNT, &["--project", "gcp_project", "google_cloud_project", "project_id", "gcloud config set project", "cloudsdk_core_project"], r#"(?:--project(?:_id)?[\s=]|(?i:gcp_project(?:_id)?|google_cloud_project|cloudsdk_core_project|"project_id")["']?\s{0,2}[:=]\s{0,2}["']?|gcloud config set project\s)([a-z][a-z0-9-]{4,28}[a-z0-9])\b"#).accept_if(is_project),
    Rule::line(&CLOUD_ACCOUNT, &[".iam.gserviceaccount.com"], r"([\w-]+@[a-z][a-z0-9-]+\.iam\.gserviceaccount\.com)").accept_if(is_project),
    Rule::line(&CLOUD_ACCOUNT, &["developer.gserviceaccount.com"], r"\b(\d{9,13}-compute@developer\.gserviceaccount\.com)"),
    Rule::line(&CLOUD_ACCOUNT, &["-docker.pkg.dev/", ".pkg.dev/"], r"-(?:docker|python|npm|maven)\.pkg\.dev/([a-z][a-z0-9-]+)").accept_if(is_project),
    Rule::line(&CLOUD_ACCOUNT, &["ocid1."], r"\bocid1\.[a-z]+\.oc\d\.[a-z0-9-]*\.a*([a-z0-9]{16,})"),
    Rule::line(&CLOUD_ACCOUNT, &[".azurecr.io", ".vault.azure.net", ".dfs.core.windows.net", ".blob.core.windows.net", ".file.core.windows.net", ".database.windows.net"], r"\b([a-z0-9][a-z0-9-]{2,})\.(?:azurecr\.io|vault\.azure\.net|(?:dfs|blob|file)\.core\.windows\.net|database\.windows\.net)").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &["resourcegroups/", "resource-group"], r"(?i:resourcegroups/|--resource-group[\s=])([A-Za-z0-9][\w.-]+)").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &[".amazonaws.com/"], r"\.amazonaws\.com/(\d{12})/").accept_if(is_account),
    Rule::line(&CLOUD_ACCOUNT, &[".s3.", ".s3-"], r"\b([a-z0-9][a-z0-9.-]{2,62})\.s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com").accept_if(is_private_resource),
    Rule::line(&CLOUD_ACCOUNT, &["aws_profile", "--profile "], r"(?:AWS_PROFILE=|aws\s[^\n]*--profile[\s=])([a-z][a-z0-9]*(?:-[a-z0-9]+)+)").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &["gcr.io/"], r"\bgcr\.io/([a-z][a-z0-9-]{4,28}[a-z0-9])/").accept_if(is_private_resource),
    Rule::line(&CLOUD_ACCOUNT, &["ocir.io/", "oci://"], r"(?:\b[a-z0-9-]+\.ocir\.io/|\boci://[\w-]+@)([a-z0-9]{10,14})\b").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &["registry.digitalocean.com/"], r"registry\.digitalocean\.com/([a-z0-9][a-z0-9-]+)/").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &[".r2.cloudflarestorage.com"], r"\b([0-9a-f]{32})\.r2\.cloudflarestorage\.com"),
    Rule::line(&CLOUD_ACCOUNT, &["tf_cloud_organization", "tf_workspace"], r"TF_(?:CLOUD_ORGANIZATION|WORKSPACE)=([a-z][a-z0-9]*(?:-[a-z0-9]+)+)").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &["bucket"], r#"(?:^|[\s"'])bucket["']?\s{0,4}[:=]\s{0,2}["']([a-z0-9][a-z0-9.-]{2,62})["']"#).accept_if(is_private_resource).prefilter_if(|text, at| text[at + 6..text.len().min(at + 12)].iter().any(|b| matches!(b, b':' | b'='))),
    Rule::line(&CLOUD_ACCOUNT, &[".cloud.databricks.com", ".azuredatabricks.net"], r"\b(dbc-[0-9a-f]{8}-[0-9a-f]{4}|adb-\d{10,20}\.\d{1,2})\.(?:cloud\.databricks\.com|azuredatabricks\.net)"),
    Rule::line(&CLOUD_ACCOUNT, &[".okta.com", ".oktapreview.com", ".awsapps.com", ".onelogin.com", ".auth0.com"], r"\b([a-z0-9][a-z0-9-]{2,})\.(?:okta|oktapreview|awsapps|onelogin|(?:\w+\.)?auth0)\.com").accept_if(is_tenant),
    // Accounts of a batch system, and of a warehouse.
    Rule::line(&CLOUD_ACCOUNT, &["#sbatch", "sbatch ", "srun "], r"(?:--account[\s=]|\s-A\s)([a-z][a-z0-9]*(?:[-_][a-z0-9]+)+)").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &["reservation=", "account="], r"\b(?:RESERVATION|ACCOUNT)=([a-z][a-z0-9]*(?:[-_][a-z0-9]+)+)").accept_if(is_bucket).prefilter_if(|text, at| text[at].is_ascii_uppercase()),
    Rule::line(&CLOUD_ACCOUNT, &["of cluster ", "on cluster "], r"\b(?:of|on) cluster ([a-z]{3,}\d+)\b").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &[".privatelink", ".snowflakecomputing.com"], r"\b([a-z][a-z0-9_-]+(?:\.[a-z0-9-]+)?)\.(?:privatelink|snowflakecomputing\.com)").accept_if(is_bucket),
    Rule::line(&CLOUD_ACCOUNT, &["billing"], r"(?i:billing[_ -]?account\w*)[^0-9A-F\n]{1,6}([0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})\b"),
];

/// Accounts of AWS's own documentation.
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

/// Buckets of examples and of public data.
const PUBLIC_BUCKETS: &str = "profile-name bucket my-bucket mybucket your-bucket yourbucket bucket-name bucketname path commoncrawl openimages t5-data \
    test-bucket testbucket foo bar b mlcommons noaa-goes16 softwareheritage huggingface pytorch tensorflow \
    gresearch dclm ai2-llm some-bucket somebucket a-bucket the-bucket dst-bucket src-bucket account container \
    storage data namenode localhost host registry name myregistry myaccount mystorageaccount";

fn is_bucket(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name)
        .unwrap_or_default()
        .trim_end_matches('.');
    !listed(PUBLIC_BUCKETS, text)
        && !text.starts_with("my-")
        && !text.starts_with("your-")
        && !text.starts_with("my")
        && !text.starts_with("test")
        && !text.starts_with("gcp-public-data")
        && !text.starts_with("productionresultssa")
        && !is_placeholder(name)
        && name.len() >= 3
}

/// A name that says itself that it is not for everybody.
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

/// The tenant of a service that people log in to.
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

fn is_real_uuid(id: &[u8]) -> bool {
    let first = id.first().copied().unwrap_or_default();
    id.iter().any(|b| *b != first && *b != b'-')
        && !id.starts_with(b"00000000-")
        && !id.starts_with(b"12345678-")
        && !id.starts_with(b"01234567-")
}
