//! `signet proxy intercept` on hosts of their own: network namespaces that a cable connects.

mod capture;
mod host;
mod operate;
mod proxies;

use host::{Hosts, needs};
