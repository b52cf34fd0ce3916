//! Logs to real files, and what is in them.

use std::path::Path;

use serde_json::Value;
use tracing::{Span, debug, error, info, info_span, trace, warn};

use super::*;

fn logged(config: LogConfig, act: impl FnOnce(&LogHandle, &Path)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.log");
    let config = LogConfig {
        destination: Destination::File(path.clone()),
        ..config
    };
    let (subscriber, handle) = build(&config, Manner::Ours).unwrap();
    tracing::subscriber::with_default(subscriber, || act(&handle, &path));
    std::fs::read_to_string(&path).unwrap()
}

/// The lines without their time, which is checked here.
fn timeless(log: &str) -> Vec<&str> {
    log.lines()
        .map(|line| {
            let (time, rest) = line.split_once(' ').unwrap();
            assert_eq!(
                (time.len(), time.as_bytes()[10], time.as_bytes()[23]),
                (24, b'T', b'Z'),
                "{time}"
            );
            rest
        })
        .collect()
}

#[test]
fn a_text_line_is_a_time_a_level_a_sentence_and_fields() {
    let log = logged(LogConfig::default(), |_, _| {
        info!(
            id = "spiffe://example.org/web",
            count = 3,
            ok = true,
            "agent attested"
        );
        warn!(path = "/tmp/with space", empty = "", "careful");
    });
    assert_eq!(
        timeless(&log),
        [
            "INFO  agent attested id=spiffe://example.org/web count=3 ok=true",
            "WARN  careful path=\"/tmp/with space\" empty=\"\""
        ]
    );
}

#[test]
fn nothing_that_a_peer_sends_can_end_a_line_or_forge_a_field() {
    let log = logged(LogConfig::default(), |_, _| {
        let hostile = "x\n2026-01-01T00:00:00.000Z ERROR forged\u{1b}[2J admin=\"yes\" \u{202e}";
        info!(name = hostile, "hello {hostile}");
    });
    let lines = timeless(&log);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains(
            r#"name="x\n2026-01-01T00:00:00.000Z ERROR forged\u{1b}[2J admin=\"yes\" \u{202e}""#
        ),
        "{log}"
    );
}

#[test]
fn an_error_is_shown_with_its_causes_each_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the store")]
    struct Outer(#[source] Middle);
    #[derive(Debug, thiserror::Error)]
    #[error("page 7: {0}")]
    struct Middle(#[source] std::io::Error);
    let failure = Outer(Middle(std::io::Error::other("bad checksum")));
    let log = logged(LogConfig::default(), |_, _| {
        error!(error = &failure as &dyn StdError, "giving up")
    });
    assert_eq!(
        timeless(&log),
        ["ERROR giving up error=\"cannot read the store: page 7: bad checksum\""]
    );
}

#[test]
fn fields_of_spans_follow_those_of_the_event() {
    let log = logged(LogConfig::default(), |_, _| {
        let span = info_span!(
            "call",
            request = "r-1",
            method = "outer",
            caller = tracing::field::Empty
        );
        let _entered = span.enter();
        Span::current().record("caller", "agent-7");
        info!(method = "Sign", "called");
    });
    assert_eq!(
        timeless(&log),
        ["INFO  called method=Sign request=r-1 caller=agent-7"]
    );
}

/// What is logged in a form of SPIRE's, with `T` for each time.
fn of_spire(format: Format, manner: Manner, act: impl FnOnce()) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.log");
    let config = LogConfig {
        destination: Destination::File(path.clone()),
        format,
        ..LogConfig::default()
    };
    let (subscriber, _) = build(&config, manner).unwrap();
    tracing::subscriber::with_default(subscriber, act);
    let log = std::fs::read_to_string(path).unwrap();
    let key = if format == Format::Json {
        "\"time\":\""
    } else {
        "time=\""
    };
    let mut masked = String::new();
    for line in log.lines() {
        let (before, rest) = line.split_once(key).unwrap();
        let (time, after) = rest.split_once('"').unwrap();
        let whole = without_zone(time);
        let (seconds, fraction) = whole.split_once('.').unwrap_or((whole, ""));
        assert_eq!(
            (seconds.len(), seconds.as_bytes()[10]),
            (19, b'T'),
            "{time}"
        );
        assert!(!fraction.ends_with('0') && !whole.ends_with('.'), "{time}");
        let cut = format == Format::Unsaid;
        assert!(!cut || fraction.is_empty(), "{time}");
        masked.push_str(&format!("{before}{key}T\"{after}\n"));
    }
    masked
}

/// A time of whatever zone this machine is in, without it.
fn without_zone(time: &str) -> &str {
    if let Some(whole) = time.strip_suffix('Z') {
        return whole;
    }
    let (whole, zone) = time.split_at(time.len() - 6);
    let shape = zone.replace(|c: char| c.is_ascii_digit(), "0");
    assert!(["+00:00", "-00:00"].contains(&shape.as_str()), "{time}");
    whole
}

#[test]
fn a_text_line_of_spire_has_its_fields_in_order_and_quotes_only_where_it_has_to() {
    for (format, manner) in [
        (Format::Text, Manner::Ours),
        (Format::Unsaid, Manner::Spire),
    ] {
        let log = of_spire(format, manner, || {
            warn!(
                zone = "eu-1",
                msg = "mine",
                count = 3,
                address = "/run/api.sock",
                empty = "",
                id = "spiffe://example.org/web",
                "a sentence"
            );
            info!("one-word");
            info!(level = 7, "");
        });
        assert_eq!(
            log,
            "time=\"T\" level=warning msg=\"a sentence\" address=/run/api.sock count=3 empty= \
             fields.msg=mine id=\"spiffe://example.org/web\" zone=eu-1\n\
             time=\"T\" level=info msg=one-word\n\
             time=\"T\" level=info fields.level=7\n"
        );
    }
}

#[test]
fn a_json_line_of_spire_has_all_its_keys_in_order() {
    let log = of_spire(Format::Json, Manner::Ours, || {
        let sentence = "sentence with \"quotes\" & <marks>";
        warn!(
            level = "high",
            count = 2_u64,
            share = 0.5,
            ok = true,
            "{sentence}"
        );
    });
    assert_eq!(
        log,
        "{\"count\":2,\"fields.level\":\"high\",\"level\":\"warning\",\
         \"msg\":\"sentence with \\\"quotes\\\" \\u0026 \\u003cmarks\\u003e\",\"ok\":true,\
         \"share\":0.5,\"time\":\"T\"}\n"
    );
}

#[test]
fn nothing_that_a_peer_sends_can_forge_a_line_of_spire() {
    let hostile = "x\ntime=\"2026\" level=error msg=forged\r\u{1b}[2J\u{202e}";
    let text = of_spire(Format::Text, Manner::Ours, || {
        info!(name = hostile, "hello {hostile}");
    });
    let quoted = r#"x\ntime=\"2026\" level=error msg=forged\r\x1b[2J\u202e"#;
    assert_eq!(
        text,
        format!("time=\"T\" level=info msg=\"hello {quoted}\" name=\"{quoted}\"\n")
    );
    let json = of_spire(Format::Json, Manner::Ours, || {
        info!(name = hostile, "hello")
    });
    assert_eq!(json.lines().count(), 1);
    let line: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(line["name"], hostile);
}

#[test]
fn an_event_that_spire_knows_is_said_in_its_words_and_at_its_level_in_its_forms_alone() {
    let act = || {
        let agent = "spiffe://example.org/spire/agent/x";
        info!(name: "agent_banned", agent_id = agent, "banned an agent");
        debug!(name: "svid_creating", entry_id = "e-1", "having an SVID signed");
        let moment = Moment(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_767_323_045));
        info!(
            name: "x509_ca_prepared",
            authority_id = "ab12",
            expires_at = %moment,
            "prepared an X.509 authority"
        );
        warn!(name: "sync_failed", error = "no route", "not synchronized");
        warn!(name: "attestation_refused", reason = "agent is banned", "refused");
        info!(name: "agent_api_starting", socket = "/run/a.sock", "serving");
    };
    assert_eq!(
        of_spire(Format::Text, Manner::Ours, act),
        "time=\"T\" level=info msg=\"Agent banned\" \
         spiffe_id=\"spiffe://example.org/spire/agent/x\" subsystem_name=api\n\
         time=\"T\" level=info msg=\"Creating X509-SVID\" entry_id=e-1 subsystem_name=manager\n\
         time=\"T\" level=info msg=\"X509 CA prepared\" \
         expiration=\"2026-01-02 03:04:05 +0000 UTC\" local_authority_id=ab12 \
         subsystem_name=ca_manager\n\
         time=\"T\" level=error msg=\"Synchronize failed\" \
         error=\"failed to fetch authorized entries: no route\" subsystem_name=manager\n\
         time=\"T\" level=error msg=\"Agent is banned\" subsystem_name=api\n\
         time=\"T\" level=info msg=\"Starting agent APIs\" address=/run/a.sock \
         subsystem_name=endpoints\n"
    );
    let json = of_spire(Format::Json, Manner::Ours, act);
    assert!(
        json.contains("\"expiration\":\"2026-01-02T03:04:05Z\""),
        "{json}"
    );
    let address = "\"address\":{\"Name\":\"/run/a.sock\",\"Net\":\"unix\"}";
    assert!(json.contains(address), "{json}");
    let log = logged(LogConfig::default(), |_, _| act());
    assert_eq!(
        timeless(&log),
        [
            "INFO  banned an agent agent_id=spiffe://example.org/spire/agent/x",
            "INFO  prepared an X.509 authority authority_id=ab12 expires_at=2026-01-02T03:04:05Z",
            "WARN  not synchronized error=\"no route\"",
            "WARN  refused reason=\"agent is banned\"",
            "INFO  serving socket=/run/a.sock",
        ]
    );
}

#[test]
fn a_line_of_spire_says_who_calls_each_thing_once_and_ours_does_not() {
    let act = || {
        let scope = Scope::new(|say| {
            say("caller_id", &"agent-7");
            say("method", &"NewJWTSVID");
        });
        scope.run(|| {
            info!(name: "agent_renewed", agent_id = "agent-7", "renewed");
            info!(name: "agent_refused_as_banned", "banned");
            info!(name: "call_refused", path = "/a.B/C", reason = "AGENT_BANNED", "refused a call");
        });
    };
    assert_eq!(
        of_spire(Format::Text, Manner::Ours, act),
        "time=\"T\" level=info msg=\"Renewing agent SVID\" caller_id=agent-7 method=NewJWTSVID \
         subsystem_name=api\n\
         time=\"T\" level=error msg=\"Agent is banned\" caller_id=agent-7 method=NewJWTSVID \
         subsystem_name=api\n\
         time=\"T\" level=error msg=\"Failed to authenticate caller\" caller_id=agent-7 \
         error=\"rpc error: code = PermissionDenied desc = authorization denied for method /a.B/C\" \
         method=NewJWTSVID subsystem_name=api\n"
    );
    let log = logged(LogConfig::default(), |_, _| act());
    assert_eq!(
        timeless(&log),
        [
            "INFO  renewed agent_id=agent-7",
            "INFO  refused a call path=/a.B/C reason=AGENT_BANNED"
        ]
    );
}

#[test]
fn a_list_in_a_line_of_spire_is_one_of_go() {
    let act = || {
        info!(name: "server_configured", admin_ids = ?["one", "a \"b\""], "configured");
        info!(name: "server_configured", admin_ids = ?[""; 0], "configured");
        info!(name: "server_configured", admin_ids = "no list", "configured");
    };
    assert_eq!(
        of_spire(Format::Text, Manner::Ours, act),
        "time=\"T\" level=info msg=Configured admin_ids=\"[one a \\\"b\\\"]\"\n\
         time=\"T\" level=info msg=Configured admin_ids=\"[]\"\n\
         time=\"T\" level=info msg=Configured admin_ids=\"no list\"\n"
    );
    let json = of_spire(Format::Json, Manner::Ours, act);
    let values: Vec<&str> = json
        .lines()
        .filter_map(|line| line.split(",\"level").next())
        .collect();
    assert_eq!(
        values,
        [
            "{\"admin_ids\":[\"one\",\"a \\\"b\\\"\"]",
            "{\"admin_ids\":[]",
            "{\"admin_ids\":\"no list\"",
        ]
    );
}

#[test]
fn a_code_is_a_word_in_a_text_line_of_spire_and_a_number_in_json() {
    let act = || {
        warn!(name: "jwt_svid_call_failed", status_code = 1, "no token");
        warn!(name: "jwt_svid_call_failed", status_code = "none", "no token");
    };
    let text = of_spire(Format::Text, Manner::Ours, act);
    let json = of_spire(Format::Json, Manner::Ours, act);
    for (log, codes) in [
        (text, ["status_code=Canceled ", "status_code=none "]),
        (json, ["\"status_code\":1,", "\"status_code\":\"none\","]),
    ] {
        let lines = log.lines().zip(codes);
        let wrong = lines.filter(|(line, code)| !line.contains(code)).count();
        assert_eq!((log.lines().count(), wrong), (2, 0), "{log}");
    }
}

#[test]
fn the_readable_form_can_be_asked_of_what_stands_in_for_spire() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.log");
    let config = LogConfig {
        destination: Destination::File(path.clone()),
        format: Format::Readable,
        ..LogConfig::default()
    };
    let (subscriber, _) = build(&config, Manner::Spire).unwrap();
    tracing::subscriber::with_default(subscriber, || info!("here"));
    let log = std::fs::read_to_string(path).unwrap();
    assert_eq!(timeless(&log), ["INFO  here"]);
}

#[test]
fn the_level_changes_at_run_time_and_libraries_are_quieter() {
    let log = logged(
        LogConfig {
            level: Level::Warn,
            ..LogConfig::default()
        },
        |handle, _| {
            info!("one");
            handle.set_level(Level::Debug);
            assert_eq!(
                (handle.level(), handle.launch_level()),
                (Level::Debug, Level::Warn)
            );
            debug!("two");
            trace!("three");
            debug!(target: "h2", "four");
            info!(target: "h2", "five");
            handle.reset_level();
            info!("six");
            warn!("seven");
        },
    );
    assert_eq!(timeless(&log), ["DEBUG two", "INFO  five", "WARN  seven"]);
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let log = logged(LogConfig::default(), |handle, path| {
        info!("before");
        let moved = path.with_extension("1");
        std::fs::rename(path, &moved).unwrap();
        info!("still the old file");
        handle.reopen().unwrap();
        info!("after");
        assert_eq!(std::fs::read_to_string(moved).unwrap().lines().count(), 2);
    });
    assert_eq!(timeless(&log), ["INFO  after"]);
}

#[test]
fn a_reopening_that_is_refused_leaves_the_old_file_in_use() {
    logged(LogConfig::default(), |handle, path| {
        let moved = path.with_extension("1");
        std::fs::rename(path, &moved).unwrap();
        std::fs::create_dir(path).unwrap();
        let error = handle.reopen().unwrap_err().to_string();
        assert!(error.contains("a directory stands there"), "{error}");
        info!("after");
        assert_eq!(std::fs::read_to_string(&moved).unwrap().lines().count(), 1);
        std::fs::remove_dir(path).unwrap();
        std::fs::rename(&moved, path).unwrap();
    });
}

#[test]
fn the_source_location_is_shown_on_request() {
    let config = LogConfig {
        source_location: true,
        ..LogConfig::default()
    };
    let log = logged(config, |_, _| info!("here"));
    assert!(
        timeless(&log)[0].starts_with("INFO  here file=daemon/src/log/tests.rs:"),
        "{log}"
    );
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named_with_the_remedy() {
    let destination = Destination::File("/no/such/directory/daemon.log".into());
    let config = LogConfig {
        destination,
        ..LogConfig::default()
    };
    let Err(error) = build(&config, Manner::Ours) else {
        panic!("opened")
    };
    assert_eq!(
        error.to_string(),
        "cannot open the log file /no/such/directory/daemon.log: the directory does not exist; create it (No such file or directory (os error 2))"
    );
}

#[test]
fn levels_and_formats_are_read_in_any_case_and_refused_with_the_choices() {
    assert_eq!("DEBUG".parse(), Ok(Level::Debug));
    assert_eq!("Warning".parse(), Ok(Level::Warn));
    assert_eq!("JSON".parse(), Ok(Format::Json));
    assert_eq!("".parse(), Ok(Format::Unsaid));
    assert_eq!(
        "loud".parse::<Level>().unwrap_err().to_string(),
        "`loud` is no log level; choose one of ERROR, WARN, INFO, DEBUG, TRACE"
    );
    assert_eq!(
        "xml".parse::<Format>().unwrap_err().to_string(),
        "`xml` is no log format; choose one of text, json, readable"
    );
}

#[test]
fn a_process_has_one_log() {
    let config = LogConfig {
        destination: Destination::Stderr,
        ..LogConfig::default()
    };
    let first = init(&config, Manner::Ours);
    assert_eq!(first.unwrap().level(), installed().unwrap().level());
    let second = init(&config, Manner::Ours);
    assert!(matches!(second, Err(LogError::Twice)));
}
