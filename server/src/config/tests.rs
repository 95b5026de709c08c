use std::fs;
use std::path::Path;
use std::time::Duration;

use super::keys::{self, KEYS};
use super::*;

/// Loads a file of this text under these variables.
fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("ringback.toml");
    fs::write(&path, file).expect("a file");
    let environment = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Config::load(&Sources { file: Some(path), data_dir: None, environment })
}

/// The only problem of a file, as `key: words`, and the whole error as it is shown.
fn wrong(file: &str) -> (String, String) {
    wrong_with(file, &[])
}

fn wrong_with(file: &str, variables: &[(&str, &str)]) -> (String, String) {
    let error = load(file, variables).expect_err(file);
    let [Problem { key, words, .. }] = &error.problems[..] else { panic!("{error}") };
    (format!("{key}: {words}"), error.to_string())
}

const ENDPOINT: &str =
    "[[endpoint]]\nname = \"app\"\ndialect = \"tencent\"\nurl = \"http://[::1]:9000/cb?a=1\"\ncommands = [\"*\"]\n";

/// The file of a configuration with the embedded store.
fn sqlite(config: &Config) -> &Path {
    match &config.store {
        Store::Sqlite(path) => path,
        Store::Postgres { .. } => panic!("not the embedded store: {config:?}"),
    }
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:10002");
    assert_eq!(config.server.gateway.to_string(), "127.0.0.1:10001");
    assert_eq!(config.server.data_dir, PathBuf::from("ringback-data"));
    assert_eq!(sqlite(&config), Path::new("ringback-data/ringback.db"));
    assert_eq!(config.tencent.sdkappid, 1_400_000_000);
    assert_eq!(config.tencent.admins, ["administrator"]);
    assert_eq!(config.openim.admins, ["imAdmin"]);
    assert!(config.tencent.key.is_none() && config.openim.secret.is_none());
    assert!(config.policy.restricted_words.is_empty() && config.endpoints.is_empty());
    assert_eq!(config.policy.max_message_bytes, 12_288);
}

#[test]
fn the_printed_page_as_a_file_changes_nothing() {
    let printed = load(DEFAULT, &[]).unwrap();
    assert_eq!(format!("{printed:?}"), format!("{:?}", Config::load(&Sources::default()).unwrap()));
}

/// What the page shows commented out is good too, and its numbers are the ones that hold without it.
#[test]
fn the_printed_page_uncommented_is_a_configuration() {
    let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    // Certificates are for https only.
    let page = DEFAULT.replace("whsec_…", secret).replace("http://127.0.0.1:9000", "https://127.0.0.1:9000");
    let page = page.replace("admin_token = \"…\"", ADMIN_TOKEN);
    let page: String = page.replace("X-Api-Key = \"…\"", "X-Api-Key = \"key\"").lines().map(uncommented).collect();
    let all = load(&page.replace("[cluster]\nnats = \"nats://127.0.0.1:4222\"\n", ""), &[]).unwrap();
    let least = load(ENDPOINT, &[]).unwrap();
    let (all, least) = (&all.endpoints[0], &least.endpoints[0]);
    assert_eq!((all.timeout, all.concurrency), (least.timeout, least.concurrency));
    assert_eq!(
        (all.on_failure, format!("{:?}", all.telling.schedule)),
        (least.on_failure, format!("{:?}", least.telling.schedule))
    );
    assert_eq!(least.timeout, Duration::from_secs(2));
}

const ADMIN_TOKEN: &str = "admin_token = \"0123456789abcdef0123456789abcdef\"";

fn uncommented(line: &str) -> String {
    let setting = line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
    format!("{}\n", setting.unwrap_or(line))
}

#[test]
fn the_printed_page_has_every_key_and_only_those() {
    let page: toml::Table = toml::from_str(&DEFAULT.lines().map(uncommented).collect::<String>()).unwrap();
    let mut printed: Vec<String> = Vec::new();
    for (section, table) in &page {
        let table = table.as_table().or_else(|| table.as_array()?[0].as_table()).unwrap();
        printed.extend(table.keys().map(|key| format!("{section}.{key}")));
    }
    printed.sort();
    let mut known: Vec<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    known.sort();
    assert_eq!(printed, known);
}

/// The table of keys and the structs say the same: an unknown key lists what the structs would take.
#[test]
fn the_table_has_every_key_of_the_structs() {
    for section in keys::below("") {
        let start = if section == "endpoint" { ENDPOINT.to_owned() } else { format!("[{section}]\n") };
        let file: toml::Table = toml::from_str(&format!("{start}zzz = 1")).unwrap();
        let stack = figment::Figment::from(figment::providers::Serialized::defaults(
            &toml::from_str::<toml::Table>(DEFAULT).unwrap(),
        ))
        .merge(figment::providers::Serialized::defaults(&file));
        let error = stack.extract::<raw::Raw>().unwrap_err();
        let figment::error::Kind::UnknownField(_, fields) = &error.kind else { panic!("{section}: {error}") };
        assert_eq!(keys::below(section), *fields, "{section}");
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_command_line_over_both() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\ngateway = \"127.0.0.1:2\"\n";
    let config =
        load(file, &[("RINGBACK_SERVER__LISTEN", "[::1]:3"), ("PATH", "x"), ("RINGBACK_SERVICE_HOST", "x")]).unwrap();
    assert_eq!((config.server.listen.port(), config.server.gateway.port()), (3, 2));

    let environment = vec![("RINGBACK_SERVER__DATA_DIR".to_owned(), "a".to_owned())];
    let sources = Sources { file: None, data_dir: Some(PathBuf::from("b")), environment };
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.server.data_dir, PathBuf::from("b"));
    assert_eq!(sqlite(&config), Path::new("b/ringback.db"), "the database follows the data dir");
}

#[test]
fn values_of_each_kind_from_the_environment() {
    let config = load(
        "",
        &[
            // Looks like a number, and is a text.
            ("RINGBACK_TENCENT__KEY", "0012"),
            ("RINGBACK_TENCENT__SDKAPPID", "1400000001"),
            ("RINGBACK_TENCENT__ADMINS", "root, second"),
            ("RINGBACK_OPENIM__ADMINS", "[\"a,b\"]"),
            ("RINGBACK_STORE__URL", "sqlite:/tmp/x.db"),
        ],
    )
    .unwrap();
    assert_eq!(config.tencent.key.as_ref().unwrap().expose(), "0012");
    assert_eq!(config.tencent.sdkappid, 1_400_000_001);
    assert_eq!(config.tencent.admins, ["root", "second"]);
    assert_eq!(config.openim.admins, ["a,b"]);
    assert_eq!(sqlite(&config), Path::new("/tmp/x.db"));
}

#[test]
fn endpoints_from_the_environment_by_name() {
    let file = ENDPOINT.replace("\"app\"", "\"my-app\"");
    let config =
        load(&file, &[("RINGBACK_ENDPOINT__MY_APP__TOKEN", "007"), ("RINGBACK_ENDPOINT__MY_APP__CONCURRENCY", "1")])
            .unwrap();
    let [endpoint] = &config.endpoints[..] else { panic!() };
    assert_eq!((endpoint.token.as_ref().unwrap().expose(), endpoint.concurrency), ("007", 1));

    let variables = [
        ("RINGBACK_ENDPOINT__APP__DIALECT", "openim"),
        ("RINGBACK_ENDPOINT__APP__URL", "https://example.com"),
        ("RINGBACK_ENDPOINT__APP__COMMANDS", "callbackBeforeSendSingleMsgCommand,callbackAfterSendSingleMsgCommand"),
        ("RINGBACK_ENDPOINT__APP__TIMEOUT", "500ms"),
    ];
    let config = load("", &variables).unwrap();
    let [endpoint] = &config.endpoints[..] else { panic!() };
    assert_eq!((endpoint.name.as_str(), endpoint.dialect), ("app", Dialect::OpenIm));
    assert_eq!((endpoint.commands.len(), endpoint.timeout), (2, Duration::from_millis(500)));

    let (problem, _) = wrong_with("", &variables[..1]);
    assert!(problem.starts_with("endpoint[app].") && problem.contains("is missing"), "{problem}");
}

#[test]
fn unknown_keys_are_errors_that_show_the_known_ones() {
    let (problem, shown) = wrong("[server]\nlisen = \"127.0.0.1:1\"");
    assert_eq!(problem, "server.lisen: there is no such key; [server] has listen, gateway, data_dir, admin_token");
    assert!(shown.contains("ringback.toml"), "{shown}");
    assert!(wrong("[serve]\n").0.starts_with("serve: there is no such section; there are server, store"));
    assert!(
        wrong(&format!("{ENDPOINT}retry = 1"))
            .0
            .starts_with("endpoint[app].retry: there is no such key; [endpoint] has name")
    );
    let of = |name| wrong_with("", &[(name, "1")]).0;
    assert!(of("RINGBACK_SERVER__LISEN").starts_with("RINGBACK_SERVER__LISEN: there is no such key"));
    assert!(of("RINGBACK_ENDPOINT__APP__RETRY").contains("there is no such key"));
    assert!(of("RINGBACK_ENDPOINT__URL").contains("RINGBACK_ENDPOINT__<NAME>__URL"));
    assert!(of("RINGBACK_SERVER_LISTEN").contains("right would be RINGBACK_SERVER__LISTEN"));
}

/// Every error names the key and what would be right.
#[test]
fn wrong_values() {
    let keys_and_values = [
        ("server.listen", "\"localhost\""),
        ("server.listen", "10002"),
        ("server.gateway", "\"127.0.0.1:10002\""),
        ("server.data_dir", "\"\""),
        ("server.admin_token", "\"hush\""),
        ("server.admin_token", "\"hush hush hush hush hush hush hush hush\""),
        ("store.url", "\"mysql://x\""),
        ("store.url", "\"sqlite:\""),
        ("store.url", "\"sqlite::memory:\""),
        ("store.url", "\"postgres:user:hush@host/db\""),
        ("store.connections", "0"),
        ("store.connections", "1001"),
        ("store.writers", "0"),
        ("store.writers", "\"many\""),
        ("store.shards", "1025"),
        ("tencent.sdkappid", "0"),
        ("tencent.sdkappid", "-1"),
        ("tencent.sdkappid", "4294967296"),
        ("tencent.sdkappid", "\"hello\""),
        ("tencent.key", "\"\""),
        ("tencent.key", "[\"hush\"]"),
        ("tencent.admins", "[]"),
        ("tencent.admins", "[\"\"]"),
        ("tencent.admins", "\"administrator\""),
        ("openim.admins", "[7]"),
        ("openim.secret", "\"openIM123\""),
        ("policy.restricted_words", "[\"\"]"),
        ("policy.max_message_bytes", "0"),
        ("policy.max_message_bytes", "1048577"),
        ("callbacks.allow", "\"10.0.0.0/8\""),
        ("callbacks.allow", "[\"10.0.0.0/33\"]"),
        ("callbacks.allow", "[\"intern.example\"]"),
        ("callbacks.proxy", "\"https://u:hush@proxy\""),
        ("callbacks.keep_events", "\"59m\""),
        ("callbacks.keep_attempts", "\"367d\""),
        ("callbacks.max_attempts", "0"),
        ("callbacks.proxy", "\"hush\""),
        ("callbacks.proxy", "[\"hush\"]"),
    ];
    for (key, value) in keys_and_values {
        let (section, name) = key.split_once('.').unwrap();
        let (problem, shown) = wrong(&format!("[{section}]\n{name} = {value}\n"));
        assert_names_what_is_right(key, key, &problem, &shown);
    }
}

#[test]
fn wrong_values_of_endpoints() {
    let keys_and_values = [
        ("name", "\"\""),
        ("name", "\"a b\""),
        ("dialect", "\"smtp\""),
        ("dialect", "\"Standard\""),
        ("url", "\"ftp://example.com\""),
        ("url", "\"/callback\""),
        ("url", "\"http://\""),
        ("url", "\"http://example.com:99999/\""),
        ("url", "\"http://example.com:0/\""),
        ("url", "\"http://user:hush@example.com/\""),
        ("url", "\"http://example.com/#part\""),
        ("url", "\"ftp://example.com/?token=hush\""),
        ("url", "\"http://example.com/?token=hush#part\""),
        ("commands", "[]"),
        ("commands", "[\"callbackAfterSendSingleMsgCommand\"]"),
        ("commands", "[\"\"]"),
        ("timeout", "\"0s\""),
        ("timeout", "\"61s\""),
        ("timeout", "\"soon\""),
        ("timeout", "2"),
        ("on_failure", "\"ignore\""),
        ("on_timeout", "\"ignore\""),
        ("on_connection_error", "true"),
        ("on_bad_status", "\"\""),
        ("on_bad_body", "\"Allow\""),
        ("command", "7"),
        ("acknowledge", "\"never\""),
        ("concurrency", "0"),
        ("concurrency", "1025"),
        ("concurrency", "65536"),
        ("order", "\"random\""),
        ("retry_schedule", "[]"),
        ("retry_schedule", "[\"5s\"]"),
        ("retry_schedule", "[\"0s\", \"soon\"]"),
        ("retry_schedule", "[\"0s\", \"31d\"]"),
        ("max_age", "\"59m\""),
        ("max_dead_letters", "0"),
        ("when_full", "\"panic\""),
        ("rate_limit", "0"),
        ("batch", "0"),
        ("batch", "2"),
        ("max_body_bytes", "1023"),
        ("token", "\"\""),
        ("secret", "\"hush\""),
        ("secret", "\"whsec_hush!\""),
        ("secret", "\"whsec_aHVzaA==\""),
        ("secret", "7"),
        ("secret", "[]"),
        ("secret", "[\"hush\"]"),
        ("secret", "[7]"),
        ("secret", "\"whsk_aHVzaA==\""),
        ("headers", "\"hush\""),
        ("headers", "{ webhook-id = \"hush\" }"),
        ("headers", "{ Host = \"hush\" }"),
        ("headers", "{ X-Key = \"hush\\nhush\" }"),
        ("ca_file", "\"ca.pem\""),
        ("ca_file", "7"),
    ];
    for (name, value) in keys_and_values {
        let kept: String =
            ENDPOINT.lines().filter(|line| !line.starts_with(name)).map(|line| format!("{line}\n")).collect();
        let (problem, shown) = wrong(&format!("{kept}{name} = {value}\n"));
        let place = problem.split_once("].").unwrap().0;
        assert_names_what_is_right(&format!("{place}].{name}"), &format!("endpoint.{name}"), &problem, &shown);
    }
}

/// What a command has of its own is checked and explained as what its endpoint has.
#[test]
fn wrong_values_of_commands() {
    let of = |settings: &str| wrong(&format!("{ENDPOINT}[endpoint.command.\"C2C.CallbackBeforeSendMsg\"]\n{settings}"));
    let keys_and_values = [
        ("timeout", "\"0s\""),
        ("timeout", "\"61s\""),
        ("timeout", "2"),
        ("on_failure", "\"ignore\""),
        ("on_timeout", "\"ignore\""),
        ("on_connection_error", "true"),
        ("on_bad_status", "7"),
        ("on_bad_body", "[]"),
    ];
    for (name, value) in keys_and_values {
        let (problem, shown) = of(&format!("{name} = {value}"));
        let key = format!("endpoint[app].command[C2C.CallbackBeforeSendMsg].{name}");
        assert_names_what_is_right(&key, &format!("endpoint.{name}"), &problem, &shown);
    }
    let (problem, _) = of("concurrency = 1");
    let known = "there is no such key; a command of an endpoint has timeout, on_failure, on_timeout, on_connection_error, \
                 on_bad_status, on_bad_body";
    assert_eq!(problem, format!("endpoint[app].command[C2C.CallbackBeforeSendMsg].concurrency: {known}"));

    for name in ["callbackBeforeSendSingleMsgCommand", "\"\""] {
        let (problem, shown) = wrong(&format!("{ENDPOINT}[endpoint.command.{name}]"));
        let key = format!("endpoint[app].command[{}]", name.trim_matches('"'));
        assert_names_what_is_right(&key, "endpoint.command", &problem, &shown);
    }
    let (problem, shown) = wrong(&format!("{ENDPOINT}[endpoint.command]\n\"C2C.CallbackBeforeSendMsg\" = \"5s\""));
    let key = "endpoint[app].command[C2C.CallbackBeforeSendMsg]";
    assert_names_what_is_right(key, "endpoint.command", &problem, &shown);

    let unheard = ENDPOINT.replace("\"*\"", "\"C2C.CallbackAfterSendMsg\"");
    let file = format!("{unheard}[endpoint.command.\"C2C.CallbackBeforeSendMsg\"]\ntimeout = \"1s\"");
    assert!(wrong(&file).0.contains("is not among its `commands`"), "{}", wrong(&file).0);
}

#[test]
fn what_commands_have_of_their_own() {
    let of = |[timeout, connection_error, bad_status, bad_body]: [Option<OnFailure>; 4]| OnFailures {
        timeout,
        connection_error,
        bad_status,
        bad_body,
    };
    let (allow, reject) = (Some(OnFailure::Allow), Some(OnFailure::Reject));
    let keys = ["on_timeout", "on_connection_error", "on_bad_status", "on_bad_body"];
    let written = |values: [Option<OnFailure>; 4]| {
        let line = |(key, value): (&str, Option<OnFailure>)| format!("{key} = {:?}\n", format!("{:?}", value.unwrap()));
        keys.into_iter().zip(values).map(line).collect::<String>().to_lowercase()
    };
    // Together the two tell all kinds apart, so that no two can be mixed up, neither here nor there.
    let (one, other) = ([allow, reject, allow, reject], [allow, allow, reject, reject]);
    for (general, own) in [(one, other), (other, one)] {
        let file = format!(
            "{ENDPOINT}on_failure = \"reject\"\n{}[endpoint.command.\"C2C.CallbackBeforeSendMsg\"]\ntimeout = \"5s\"\n\
             on_failure = \"allow\"\n{}[endpoint.command.\"Group.CallbackBeforeSendMsg\"]\n",
            written(general),
            written(own)
        );
        let config = load(&file, &[]).unwrap();
        let endpoint = &config.endpoints[0];
        assert_eq!((endpoint.on_failure, endpoint.on_failures), (OnFailure::Reject, of(general)));
        let timeout = Some(Duration::from_secs(5));
        let own = CommandSettings { timeout, on_failure: allow, on_failures: of(own) };
        let commands = ["C2C.CallbackBeforeSendMsg", "Group.CallbackBeforeSendMsg"].map(str::to_owned);
        let expected = commands.into_iter().zip([own, CommandSettings::default()]);
        assert_eq!(endpoint.by_command, expected.collect());
    }

    // A variable holds the whole table.
    let table = "{ \"Group.CallbackBeforeSendMsg\" = { on_bad_status = \"reject\" } }";
    let own = CommandSettings { on_failures: of([None, None, reject, None]), ..CommandSettings::default() };
    let same = load(ENDPOINT, &[("RINGBACK_ENDPOINT__APP__COMMAND", table)]).unwrap();
    assert_eq!(same.endpoints[0].by_command, BTreeMap::from([("Group.CallbackBeforeSendMsg".to_owned(), own)]));
    let (problem, _) = wrong_with(ENDPOINT, &[("RINGBACK_ENDPOINT__APP__COMMAND", "5s")]);
    assert!(problem.contains("a TOML table in one line"), "{problem}");
}

fn assert_names_what_is_right(key: &str, path: &str, problem: &str, shown: &str) {
    let right = keys::find(path).unwrap().right;
    assert!(problem.starts_with(&format!("{key}: ")) && problem.contains(right), "{problem}");
    assert!(!shown.contains("hush") && shown.contains("(in ") && shown.contains("ringback.toml)"), "{shown}");
}

#[test]
fn wrong_endpoints_as_a_whole() {
    assert!(wrong("[[endpoint]]\nname = \"app\"\n").0.starts_with("endpoint[app].dialect: is missing; right would be"));
    assert!(wrong("[[endpoint]]\ndialect = \"openim\"\n").0.starts_with("endpoint[no. 1].name: is missing"));
    assert!(wrong(&format!("{ENDPOINT}{ENDPOINT}")).0.starts_with("endpoint[app].name: found it twice"));
    let openim = ENDPOINT.replace("tencent", "openim");
    let found = wrong(&format!("{openim}token = \"x\"")).0;
    assert!(found.contains("a token does nothing in the dialect \"openim\""), "{found}");
    let standard = ENDPOINT.replace("tencent", "standard");
    let found = wrong(&format!("{standard}token = \"x\"")).0;
    assert!(found.contains("a token does nothing in the dialect \"standard\""), "{found}");
    assert!(wrong("endpoint = 7").0.starts_with("endpoint: found 7"));
    assert!(wrong_with("endpoint = 7", &[("RINGBACK_ENDPOINT__APP__URL", "x")]).0.starts_with("endpoint: found 7"));
}

const NEW: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
const OLD: &str = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=";

#[test]
fn one_secret_or_several() {
    let public_keys = |file: &str, variables: &[(&str, &str)]| {
        let config = load(&format!("{ENDPOINT}{file}"), variables).unwrap();
        config.endpoints[0].secret.as_ref().unwrap().public_keys().count()
    };
    assert_eq!(public_keys(&format!("secret = \"{NEW}\""), &[]), 0);
    assert_eq!(public_keys(&format!("secret = [\"{NEW}\", \"{OLD}\"]"), &[]), 1);
    for variable in [format!("{NEW},{OLD}"), format!("{NEW}, {OLD}"), format!("[\"{OLD}\", \"{NEW}\"]")] {
        assert_eq!(public_keys("", &[("RINGBACK_ENDPOINT__APP__SECRET", &variable)]), 1, "{variable}");
    }
    let five = format!("{ENDPOINT}secret = {:?}", [NEW; 5]);
    assert!(wrong(&five).0.contains("must be 1 to 4 secrets"), "{five}");
    for variable in ["hush,hush", "[hush", "[\"hush"] {
        let (problem, shown) = wrong_with(ENDPOINT, &[("RINGBACK_ENDPOINT__APP__SECRET", variable)]);
        assert!(
            problem.starts_with("endpoint[app].secret: found something else") && !shown.contains("hush"),
            "{shown}"
        );
    }
}

#[test]
fn headers_of_an_endpoint() {
    let shown = |file: &str, variables: &[(&str, &str)]| {
        format!("{:?}", load(&format!("{ENDPOINT}{file}"), variables).unwrap().endpoints[0].headers)
    };
    let both = r#"{"x-a": "…", "x-b": "…"}"#;
    assert_eq!(shown("[endpoint.headers]\nX-A = \"1\"\nX-B = \"2\"", &[]), both);
    assert_eq!(shown("", &[("RINGBACK_ENDPOINT__APP__HEADERS", "{ X-A = \"1\", X-B = \"2\" }")]), both);
    let (problem, shown) = wrong_with(ENDPOINT, &[("RINGBACK_ENDPOINT__APP__HEADERS", "hush")]);
    assert!(problem.starts_with("endpoint[app].headers: found something") && !shown.contains("hush"), "{shown}");
    // A number may be a secret, too.
    let (problem, shown) = wrong(&format!("{ENDPOINT}headers = {{ X-Pin = 4711 }}"));
    assert!(problem.starts_with("endpoint[app].headers.X-Pin: ") && !shown.contains("4711"), "{shown}");
}

#[test]
fn a_client_certificate_has_two_files() {
    let endpoint = ENDPOINT.replace("http:", "https:");
    let both = format!("{endpoint}client_cert_file = \"a\"\nclient_key_file = \"b\"\nca_file = \"c\"\n");
    let config = load(&both, &[]).unwrap();
    let files = config.endpoints[0].client_files.clone().unwrap();
    assert_eq!((files.0, files.1), (PathBuf::from("a"), PathBuf::from("b")));
    assert_eq!(config.endpoints[0].ca_file, Some(PathBuf::from("c")));
    for (given, missing) in [("client_cert_file", "client_key_file"), ("client_key_file", "client_cert_file")] {
        let (problem, _) = wrong(&format!("{endpoint}{given} = \"a\"\n"));
        assert!(problem.starts_with(&format!("endpoint[app].{missing}: is missing; right would be")), "{problem}");
    }
}

/// What would be refused at each call is refused at the start; names are judged when they are called.
#[test]
fn urls_that_may_not_be_called() {
    let at = |host: &str, before: &str| format!("{before}\n{}", ENDPOINT.replace("[::1]", host));
    for host in ["169.254.169.254", "[::ffff:a9fe:a9fe]", "2852039166", "0.0.0.0", "10.0.0.1", "1.2.3.4.5"] {
        let (problem, _) = wrong(&at(host, ""));
        assert!(problem.starts_with("endpoint[app].url: found \"http://"), "{problem}");
        assert!(problem.contains("refused by the egress guard") && problem.contains("right would be"), "{problem}");
        assert!(!problem.contains("a=1"), "{problem}");
    }
    let allow = "[callbacks]\nallow = [\"10.0.0.0/8\", \"192.168.0.1\", \"fd00::/8\"]";
    for host in ["10.0.0.1", "192.168.0.1", "[fd00::1]", "backend", "example.com", "8.8.8.8"] {
        load(&at(host, allow), &[]).unwrap();
    }
    wrong(&at("192.168.0.2", allow));

    // Loopback, while the server is on it.
    for host in ["127.0.0.1", "127.1", "[::1]", "localhost"] {
        load(&at(host, ""), &[]).unwrap();
    }
    let open = "[server]\nlisten = \"0.0.0.0:10002\"";
    assert!(wrong(&at("127.0.0.1", open)).0.contains("127.0.0.1 is loopback and not in callbacks.allow"));
    load(&at("127.0.0.1", &format!("{open}\n[callbacks]\nallow = [\"127.0.0.1\"]")), &[]).unwrap();
}

#[test]
fn to_allow_what_is_never_called_is_a_mistake() {
    for net in ["169.254.0.0/16", "169.254.169.254", "fe80::/10", "fd00:ec2::254"] {
        let (problem, _) = wrong(&format!("[callbacks]\nallow = [\"{net}\"]"));
        assert!(problem.starts_with("callbacks.allow: found \"") && problem.contains("never called"), "{problem}");
    }
    let (problem, _) = wrong_with("", &[("RINGBACK_CALLBACKS__ALLOW", "10.0.0.0/8,169.254.169.254")]);
    assert!(problem.contains("link-local"), "{problem}");
}

#[test]
fn a_proxy_may_have_a_password() {
    let config = load("[callbacks]\nproxy = \"http://user:hush@10.0.0.1:3128\"", &[]).unwrap();
    let shown = format!("{:?}", config.callbacks.proxy.unwrap());
    assert!(shown.contains("10.0.0.1:3128") && !shown.contains("hush"), "{shown}");
}

#[test]
fn the_standard_dialect_has_commands_of_its_own_shape() {
    let with = |commands: &str| {
        let endpoint = ENDPOINT.replace("tencent", "standard").replace("[\"*\"]", commands);
        load(&endpoint, &[])
    };
    let config = with("[\"message.sent\", \"message.not_sent\", \"*\"]").unwrap();
    assert_eq!((config.endpoints[0].dialect, config.endpoints[0].commands.len()), (Dialect::Standard, 3));
    for odd in ["C2C.CallbackAfterSendMsg", "callbackAfterSendGroupMsgCommand", "message.", ".sent", "message", "a..b"]
    {
        let error = with(&format!("[\"{odd}\"]")).expect_err(odd).to_string();
        assert!(error.contains("is not a command of this dialect"), "{error}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let error = load("[tencent]\nsdkappid = 0\nadmins = []\n[policy]\nmax_message_bytes = 0", &[]).unwrap_err();
    let keys: Vec<&str> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["tencent.sdkappid", "tencent.admins", "policy.max_message_bytes"]);
}

#[test]
fn a_cluster_is_not_available() {
    assert!(wrong("[cluster]\nnats = \"nats://127.0.0.1:4222\"").0.contains("not available in this version"));
}

#[test]
fn values_from_variables_are_named_by_them() {
    let (_, shown) = wrong_with("", &[("RINGBACK_TENCENT__SDKAPPID", "hello")]);
    assert!(shown.contains("tencent.sdkappid (from RINGBACK_TENCENT__SDKAPPID): found \"hello\""), "{shown}");
    let (_, shown) = wrong_with("", &[("RINGBACK_SERVER__LISTEN", "localhost")]);
    assert!(shown.contains("server.listen (from RINGBACK_SERVER__LISTEN): found \"localhost\""), "{shown}");
    let (_, shown) = wrong_with("", &[("RINGBACK_OPENIM__ADMINS", "[\"a")]);
    assert!(shown.contains("a,b or a TOML list"), "{shown}");
}

#[test]
fn a_file_that_is_not_toml_is_shown_by_its_place_only() {
    let (problem, shown) = wrong("[tencent]\nkey = \"hush\n");
    assert!(problem.starts_with("line 2, column "), "{problem}");
    assert!(!shown.contains("hush"), "{shown}");
    let sources = Sources { file: Some(PathBuf::from("/nowhere.toml")), ..Sources::default() };
    let shown = Config::load(&sources).unwrap_err().to_string();
    assert!(shown.contains("--config (/nowhere.toml): the file cannot be read"), "{shown}");
}

#[test]
fn secrets_are_not_in_debug() {
    let file = format!(
        "[server]\nadmin_token = \"hushhushhushhushhushhushhushhush\"\n[tencent]\nkey = \"hush\"\n[openim]\nsecret = \"hush\"\n{ENDPOINT}token = \"hush\""
    );
    let shown = format!("{:?}", load(&file, &[]).unwrap());
    assert!(!shown.contains("hush") && shown.contains('…'), "{shown}");
    assert_eq!(KEYS.iter().filter(|key| key.kind.is_secret()).count(), 8);
}
