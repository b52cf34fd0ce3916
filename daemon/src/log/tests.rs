//! Logs to real files, and what is in them.

use std::path::Path;

use serde_json::Value;
use tracing::{Span, debug, error, info, info_span, trace, warn};

use super::*;

fn logged(config: LogConfig, act: impl FnOnce(&LogHandle, &Path)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.log");
    let (subscriber, handle) = build(&LogConfig {
        destination: Destination::File(path.clone()),
        ..config
    })
    .unwrap();
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

#[test]
fn json_lines_have_the_keys_of_spire() {
    let config = LogConfig {
        format: Format::Json,
        ..LogConfig::default()
    };
    let log = logged(config, |_, _| {
        warn!(
            level = "high",
            count = 2_u64,
            share = 0.5,
            "sentence with \"quotes\""
        )
    });
    let line: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(line["msg"], "sentence with \"quotes\"");
    assert_eq!(
        (&line["level"], &line["fields.level"]),
        (&Value::from("warning"), &Value::from("high"))
    );
    assert_eq!(
        (&line["count"], &line["share"]),
        (&Value::from(2), &Value::from(0.5))
    );
    assert_eq!(line["time"].as_str().unwrap().len(), 24);
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
    let Err(error) = build(&LogConfig {
        destination,
        ..LogConfig::default()
    }) else {
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
    assert_eq!(
        "loud".parse::<Level>().unwrap_err().to_string(),
        "`loud` is no log level; choose one of ERROR, WARN, INFO, DEBUG, TRACE"
    );
    assert_eq!(
        "xml".parse::<Format>().unwrap_err().to_string(),
        "`xml` is no log format; choose one of text, json"
    );
}

#[test]
fn a_process_has_one_log() {
    let first = init(&LogConfig {
        destination: Destination::Stderr,
        ..LogConfig::default()
    });
    assert_eq!(first.unwrap().level(), installed().unwrap().level());
    assert!(matches!(init(&LogConfig::default()), Err(LogError::Twice)));
}
