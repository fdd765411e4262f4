//! What is refused, with which words, and what a hostile server setting cannot do.

use nightvault_core::config::TlsMode;
use nightvault_core::secret::Secret;
use nightvault_core::source::{DumpLimits, postgres};
use nightvault_core::{Class, Error};

use crate::support::postgres::{Scratch, assert_same, dump, psql, unique};

/// A role that drops itself with all that it owns and may do in a database.
struct Role {
    name: String,
    database: String,
}

impl Role {
    fn new(scratch: &Scratch, options: &str) -> Self {
        let name = unique("role");
        scratch.psql(&format!("CREATE ROLE \"{name}\" LOGIN {options}"));
        Self { name, database: scratch.name.clone() }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        psql(&self.database, &format!("DROP OWNED BY \"{0}\"; DROP ROLE \"{0}\"", self.name));
    }
}

/// Dumps as another role.
async fn dump_as(scratch: &Scratch, role: &Role) -> Result<String, Error> {
    let mut config = scratch.config();
    config.user = role.name.clone();
    let (bytes, _) = dump(&config, &DumpLimits::default()).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// Both doors refuse, with this class and these words.
async fn assert_refused(scratch: &Scratch, class: Class, words: &[&str]) {
    let limits = DumpLimits::default();
    let errors = [
        postgres::check(&scratch.config(), &limits).await.expect_err("check refuses"),
        scratch.dump().await.expect_err("dump refuses"),
    ];
    for error in errors {
        assert_eq!(error.class(), class, "{error:?}");
        for word in words {
            assert!(error.to_string().contains(word), "{word} is not in: {error}");
        }
    }
}

#[tokio::test]
async fn what_is_not_covered_is_refused_by_name() {
    // One line for each kind: how it is made, what must be named.
    let cases = [
        ("CREATE TYPE shell", "type public.shell"),
        ("CREATE ACCESS METHOD heap_too TYPE TABLE HANDLER heap_tableam_handler", "access method heap_too"),
        ("CREATE CONVERSION conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8", "conversion public.conv"),
        ("CREATE SUBSCRIPTION sub_x CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)", "sub_x"),
        ("CREATE FOREIGN DATA WRAPPER wrapper", "foreign-data wrapper wrapper"),
        ("CREATE FOREIGN DATA WRAPPER w2; CREATE SERVER elsewhere FOREIGN DATA WRAPPER w2", "server elsewhere"),
        (
            "CREATE FOREIGN DATA WRAPPER w3; CREATE SERVER s3 FOREIGN DATA WRAPPER w3; \
             CREATE USER MAPPING FOR PUBLIC SERVER s3 OPTIONS (password 'hidden')",
            "user mapping public on server s3",
        ),
        (
            "CREATE FOREIGN DATA WRAPPER w4; CREATE SERVER s4 FOREIGN DATA WRAPPER w4; CREATE FOREIGN TABLE far (n integer) SERVER s4",
            "foreign table public.far",
        ),
        ("CREATE OPERATOR FAMILY family USING btree", "operator family public.family USING btree"),
        ("CREATE LANGUAGE other HANDLER plpgsql_call_handler", "language other"),
        ("CREATE TEXT SEARCH TEMPLATE template (LEXIZE = dsimple_lexize)", "text search template public.template"),
        (
            "CREATE TEXT SEARCH PARSER parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)",
            "text search parser public.parser",
        ),
        (
            "CREATE EXTENSION hstore; CREATE TRANSFORM FOR hstore LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal))",
            "transform",
        ),
    ];
    for (sql, name) in cases {
        let scratch = Scratch::new();
        scratch.psql(sql);
        assert_refused(&scratch, Class::Unsupported, &[name]).await;
        if name == "sub_x" {
            scratch.psql("ALTER SUBSCRIPTION sub_x SET (slot_name = NONE)");
            scratch.psql("DROP SUBSCRIPTION sub_x");
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let scratch = Scratch::new();
    for mode in [TlsMode::Require, TlsMode::VerifyCa, TlsMode::VerifyFull] {
        let mut config = scratch.config();
        config.tls = mode;
        let error = postgres::check(&config, &DumpLimits::default()).await.unwrap_err();
        assert_eq!(error.class(), Class::Configuration, "{mode:?}: {error:?}");
    }
    let mut config = scratch.config();
    config.tls = TlsMode::Prefer;
    postgres::check(&config, &DumpLimits::default()).await.unwrap();
}

#[tokio::test]
async fn temporary_objects_of_other_sessions_are_no_part_of_a_dump() {
    let scratch = Scratch::new();
    let mut other = crate::support::postgres::client("psql", &scratch.name)
        .args(["-X", "-q"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut input = other.stdin.take().unwrap();
    let sql =
        b"CREATE TEMP TABLE t (id serial PRIMARY KEY, v text DEFAULT 'x'); CREATE TEMP VIEW v AS SELECT * FROM t; \
                CREATE TYPE pg_temp.e AS ENUM ('a');\n";
    std::io::Write::write_all(&mut input, sql).unwrap();
    while scratch.psql("SELECT count(*) FROM pg_type WHERE typname = 'e'").trim() == "0" {}
    let result = scratch.dump().await;
    drop(input);
    other.wait().unwrap();
    assert!(result.unwrap().1.tables.is_empty());
}

#[tokio::test]
async fn a_role_that_row_security_shows_a_part_is_refused() {
    let scratch = Scratch::new();
    scratch.psql(
        "CREATE TABLE secrets (n integer); INSERT INTO secrets VALUES (1), (2); ALTER TABLE secrets ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY one ON secrets USING (n = 1)",
    );
    let role = Role::new(&scratch, "");
    scratch.psql(&format!("GRANT SELECT ON secrets TO \"{}\"", role.name));
    let error = dump_as(&scratch, &role).await.unwrap_err();
    assert_eq!(error.class(), Class::Permission);
    assert!(error.to_string().contains("table public.secrets"), "{error}");
}

#[tokio::test]
async fn everything_that_the_role_may_not_read_is_named_at_once() {
    let scratch = Scratch::new();
    scratch.psql(
        "CREATE SCHEMA closed; CREATE TABLE t1 (n integer); CREATE TABLE t2 (n integer); CREATE SEQUENCE seq; \
         CREATE TABLE readable (n integer); GRANT SELECT ON readable TO PUBLIC",
    );
    let role = Role::new(&scratch, "");
    let error = dump_as(&scratch, &role).await.unwrap_err();
    assert_eq!(error.class(), Class::Permission);
    for name in ["schema closed", "table public.t1", "table public.t2", "sequence public.seq"] {
        assert!(error.to_string().contains(name), "{name} is not in: {error}");
    }
    assert!(!error.to_string().contains("readable"), "{error}");
}

#[tokio::test]
async fn a_role_that_may_read_everything_dumps_what_a_superuser_does() {
    let scratch = Scratch::of("clinic.sql");
    let role = Role::new(&scratch, "IN ROLE pg_read_all_data");
    let (wanted, _) = scratch.dump().await.unwrap();
    assert_same("dumps", &wanted, &dump_as(&scratch, &role).await.unwrap());
}

#[tokio::test]
async fn settings_of_the_role_change_nothing() {
    let scratch = Scratch::of("types.sql");
    let role = Role::new(&scratch, "IN ROLE pg_read_all_data");
    let settings = [
        ("statement_timeout", "'1ms'"),
        ("idle_in_transaction_session_timeout", "'1ms'"),
        ("search_path", "'public'"),
        ("datestyle", "'German, DMY'"),
        ("intervalstyle", "'sql_standard'"),
        ("extra_float_digits", "'0'"),
        ("bytea_output", "'escape'"),
        ("xmloption", "'document'"),
        ("timezone", "'Asia/Kathmandu'"),
        ("default_transaction_isolation", "'read committed'"),
        ("default_transaction_deferrable", "'on'"),
        ("row_security", "'on'"),
        ("quote_all_identifiers", "'on'"),
        ("standard_conforming_strings", "'off'"),
        ("client_encoding", "'LATIN1'"),
        ("synchronize_seqscans", "'on'"),
    ];
    for (name, value) in settings {
        scratch.psql(&format!("ALTER ROLE \"{}\" SET {name} = {value}", role.name));
    }
    let (wanted, _) = scratch.dump().await.unwrap();
    assert_same("dumps", &wanted, &dump_as(&scratch, &role).await.unwrap());
}

#[tokio::test]
async fn a_row_over_the_limit_is_refused_before_its_table_is_read() {
    let scratch = Scratch::new();
    scratch.psql(
        "CREATE TABLE small (v text); INSERT INTO small VALUES (repeat('x', 900000)); \
         CREATE TABLE wide (a bytea, j jsonb); INSERT INTO wide VALUES ('\\x00', to_jsonb(repeat('x', 2000000)))",
    );
    let limits = DumpLimits { max_row_bytes: 1 << 20, ..DumpLimits::default() };
    let error = dump(&scratch.config(), &limits).await.unwrap_err();
    assert_eq!(error.class(), Class::Limit);
    assert!(error.to_string().contains("table public.wide holds a row of 20000"), "{error}");
    scratch.psql("UPDATE wide SET j = NULL, a = decode(repeat('00', 600000), 'hex')");
    let error = dump(&scratch.config(), &limits).await.unwrap_err();
    assert!(error.to_string().contains("table public.wide holds a row of 12000"), "{error}");
    scratch.psql("DROP TABLE wide");
    dump(&scratch.config(), &limits).await.unwrap();
}

#[tokio::test]
async fn a_password_of_any_characters_reaches_the_server_as_it_is() {
    let scratch = Scratch::new();
    let password = "night@vault:/#?% é";
    let mut config = scratch.config();
    config.password = Secret::new(password);
    // The server trusts the loopback address, so what can be seen is that no character of the password changes the rest.
    dump(&config, &DumpLimits::default()).await.unwrap();
    config.database = "no@such:/#?% é".to_owned();
    let error = postgres::check(&config, &DumpLimits::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::NotFound);
    assert!(error.to_string().contains("no@such:/#?% é"), "{error}");
    assert!(!format!("{error:?} {}", error.chain()).contains(password));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_passing_failure_that_names_the_place() {
    let scratch = Scratch::new();
    let mut config = scratch.config();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    config.port = free.local_addr().unwrap().port();
    drop(free);
    let error = postgres::check(&config, &DumpLimits::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert!(error.to_string().contains(&format!("127.0.0.1:{}", config.port)), "{error}");
    assert_eq!(postgres::estimate(&config).await, None);
    assert!(postgres::estimate(&scratch.config()).await.is_some());
}
