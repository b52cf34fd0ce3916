//! Reading the configuration again while the daemon runs: whole or not at all, and what changed is
//! said.
//!
//! Some settings take effect at once, by whoever follows the configuration in force; the others
//! are named and wait for a restart.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::{
    config::Settings,
    log::{self, LogConfig},
};

/// The configuration in force, the latest.
pub type Current<C> = watch::Receiver<Arc<C>>;

/// A configuration that can be read again.
pub trait Reloadable: Send + Sync + 'static {
    /// The settings, and blocks of them, that take effect without a restart, by their paths. The
    /// level of the log has to be among them.
    const LIVE: &'static [&'static str];

    /// Everything that it sets.
    fn settings(&self) -> &Settings;

    /// How to log.
    fn log(&self) -> &LogConfig;

    /// Whether what it names can be used, such as other files; asked before it is put in force.
    ///
    /// # Errors
    /// What is wrong, with its place.
    fn check(&self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Reads a daemon's configuration again when it is asked to.
pub struct Reloader<C> {
    load: Box<dyn Fn() -> anyhow::Result<C> + Send + Sync>,
    /// What the daemon was started with, and what waits for a restart is compared to.
    launch: Settings,
    current: watch::Sender<Arc<C>>,
    turn: Mutex<()>,
}

impl<C: Reloadable> Reloader<C> {
    /// Puts `config` in force until `load` reads another one.
    pub fn new(
        config: C,
        load: impl Fn() -> anyhow::Result<C> + Send + Sync + 'static,
    ) -> (Self, Current<C>) {
        let launch = config.settings().clone();
        let (current, receiver) = watch::channel(Arc::new(config));
        let reloader = Self {
            load: Box::new(load),
            launch,
            current,
            turn: Mutex::default(),
        };
        (reloader, receiver)
    }

    /// Reads the configuration again. One that is not valid changes nothing.
    pub fn reload(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let read = (self.load)().and_then(|config| config.check().map(|()| config));
        let config = match read {
            Ok(config) => config,
            Err(reason) => {
                let reason = format!("{reason:#}");
                error!(reason, "configuration not reloaded, the one in force stays");
                return;
            }
        };
        let before = Arc::clone(&self.current.borrow());
        let changes = Changes::between(&self.launch, &*before, &config);
        let level = config.log().level;
        let quieter = level < before.log().level;
        if quieter {
            changes.log();
        }
        if level != before.log().level
            && let Some(log) = log::installed()
        {
            log.configure_level(level);
        }
        self.current.send_replace(Arc::new(config));
        if !quieter {
            changes.log();
        }
    }
}

impl<C> fmt::Debug for Reloader<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}

/// What a reading changed.
#[derive(Debug, PartialEq, Eq)]
struct Changes {
    /// `path: old → new`.
    applied: Vec<String>,
    /// Only the paths: these values can be secrets.
    waiting: Vec<String>,
}

impl Changes {
    fn between<C: Reloadable>(launch: &Settings, before: &C, after: &C) -> Self {
        let (before, after) = (before.settings(), after.settings());
        let value =
            |settings: &Settings, path| settings.get(path).unwrap_or("(not set)").to_owned();
        let applied = before
            .differing(after)
            .filter(|path| is_live::<C>(path))
            .map(|path| format!("{path}: {} → {}", value(before, path), value(after, path)));
        let waiting = launch
            .differing(after)
            .filter(|path| !is_live::<C>(path))
            .map(str::to_owned);
        Self {
            applied: applied.collect(),
            waiting: waiting.collect(),
        }
    }

    fn log(&self) {
        if self.applied.is_empty() {
            info!("configuration reloaded, no setting changed that takes effect at once");
        } else {
            info!(changed = self.applied.join(", "), "configuration reloaded");
        }
        if !self.waiting.is_empty() {
            warn!(
                settings = self.waiting.join(", "),
                "changed settings that take effect when the daemon is restarted"
            );
        }
    }
}

fn is_live<C: Reloadable>(path: &str) -> bool {
    C::LIVE.iter().any(|live| {
        let rest = path.strip_prefix(live);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;
    use crate::config::Document;

    struct Config {
        settings: Settings,
        log: LogConfig,
    }

    impl Reloadable for Config {
        const LIVE: &'static [&'static str] = &["server.log_level", "server.ratelimit"];

        fn settings(&self) -> &Settings {
            &self.settings
        }

        fn log(&self) -> &LogConfig {
            &self.log
        }

        fn check(&self) -> anyhow::Result<()> {
            match self.settings.get("server.policies") {
                Some(missing) => bail!("{missing} cannot be read"),
                None => Ok(()),
            }
        }
    }

    fn parse(text: &str) -> anyhow::Result<Config> {
        Ok(Config {
            settings: Document::parse(text, "server.conf")?.settings(),
            log: LogConfig::default(),
        })
    }

    const LAUNCH: &str = r#"server { log_level = "INFO" join_token = "secret" bind_port = 1 }"#;

    fn changes(before: &str, after: &str) -> Changes {
        let launch = parse(LAUNCH).unwrap().settings;
        Changes::between(&launch, &parse(before).unwrap(), &parse(after).unwrap())
    }

    #[test]
    fn what_takes_effect_is_told_with_both_values_and_what_does_not_by_its_name_alone() {
        let after = r#"server { log_level = "DEBUG" join_token = "other" bind_port = 1
            ratelimit { signing = false } }"#;
        let changes = changes(LAUNCH, after);
        assert_eq!(
            changes.applied,
            [
                "server.log_level: INFO → DEBUG",
                "server.ratelimit.signing: (not set) → false"
            ]
        );
        assert_eq!(changes.waiting, ["server.join_token"]);
        assert!(!format!("{changes:?}").contains("other"));
    }

    #[test]
    fn what_waits_for_a_restart_is_told_until_it_is_taken_back() {
        let other = LAUNCH.replace("bind_port = 1", "bind_port = 2");
        assert_eq!(changes(&other, &other).waiting, ["server.bind_port"]);
        assert!(changes(&other, LAUNCH).waiting.is_empty());
    }

    #[test]
    fn a_configuration_that_is_not_valid_or_not_usable_leaves_the_one_in_force() {
        let file = Arc::new(Mutex::new(LAUNCH.replace("INFO", "WARN")));
        let read = Arc::clone(&file);
        let load = move || parse(&read.lock().unwrap());
        let (reloader, current) = Reloader::new(parse(LAUNCH).unwrap(), load);
        let level = || {
            current
                .borrow()
                .settings
                .get("server.log_level")
                .map(str::to_owned)
        };
        reloader.reload();
        assert_eq!(level().as_deref(), Some("WARN"));
        for bad in [
            "server {",
            r#"server { log_level = "DEBUG" policies = "gone" }"#,
        ] {
            *file.lock().unwrap() = bad.to_owned();
            reloader.reload();
            assert_eq!(level().as_deref(), Some("WARN"), "{bad}");
        }
    }
}
