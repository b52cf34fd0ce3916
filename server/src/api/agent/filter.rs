//! The filters of ListAgents and CountAgents.

use std::time::SystemTime;

use signet_proto::spire::api::server::agent::v1::{count_agents_request, list_agents_request};
use time::{
    OffsetDateTime, format_description::StaticFormatDescription, macros::format_description,
};
use tonic::Status;

use crate::{
    agents::Filter,
    api::{matching::selectors, status::invalid},
};

pub(super) fn of_list(filter: Option<list_agents_request::Filter>) -> Result<Filter, Status> {
    let filter = filter.unwrap_or_default();
    Ok(Filter {
        attestation_type: Some(filter.by_attestation_type).filter(|kind| !kind.is_empty()),
        selectors: filter
            .by_selector_match
            .as_ref()
            .map(|wanted| selectors(wanted, "failed to parse selectors"))
            .transpose()?,
        banned: filter.by_banned,
        can_reattest: filter.by_can_reattest,
        expires_before: expires_before(&filter.by_expires_before)?,
    })
}

/// The same fields under another name.
pub(super) fn of_count(filter: Option<count_agents_request::Filter>) -> Result<Filter, Status> {
    of_list(filter.map(|filter| list_agents_request::Filter {
        by_attestation_type: filter.by_attestation_type,
        by_selector_match: filter.by_selector_match,
        by_banned: filter.by_banned,
        by_can_reattest: filter.by_can_reattest,
        by_expires_before: filter.by_expires_before,
    }))
}

/// A time that cannot be read must not be taken for no filter: this stands in front of tools
/// that delete what is listed.
fn expires_before(text: &str) -> Result<Option<SystemTime>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    // The zone's name at the end says nothing that the offset does not.
    let without_name = text.rsplit_once(' ').map_or(text, |(rest, _)| rest);
    let parsed = OffsetDateTime::parse(without_name, LAYOUT)
        .or_else(|_| OffsetDateTime::parse(text, LAYOUT));
    match parsed {
        Ok(time) => Ok(Some(time.into())),
        Err(error) => Err(invalid(format!(
            "by_expires_before {text:?} is not a time such as \"2006-01-02 15:04:05 -0700 -07\": {error}"
        ))),
    }
}

const LAYOUT: StaticFormatDescription = format_description!(
    "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
);

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn what_is_asked_for_is_looked_for_and_nothing_else() {
        assert_eq!(of_list(None).unwrap(), Filter::default());
        for wanted in [true, false] {
            let asked = list_agents_request::Filter {
                by_attestation_type: "x509pop".to_owned(),
                by_banned: Some(wanted),
                by_can_reattest: Some(wanted),
                ..Default::default()
            };
            let filter = Filter {
                attestation_type: Some("x509pop".to_owned()),
                banned: Some(wanted),
                can_reattest: Some(wanted),
                ..Filter::default()
            };
            assert_eq!(of_list(Some(asked)).unwrap(), filter);
        }
    }

    #[test]
    fn times_are_read_in_the_layout_of_the_command_line() {
        for (text, seconds) in [
            ("2006-01-02 15:04:05 -0700 -07", 1_136_239_445),
            ("2006-01-02 22:04:05 +0000 UTC", 1_136_239_445),
            ("2006-01-02 22:04:05 +0000", 1_136_239_445),
        ] {
            let read = expires_before(text).unwrap();
            assert_eq!(
                read,
                Some(UNIX_EPOCH + Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for text in ["tomorrow", "2006-01-02", "2006-13-02 15:04:05 -0700 -07"] {
            let status = expires_before(text).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{text}");
        }
    }
}
