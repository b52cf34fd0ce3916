//! What a provider answers about a request (`envoy.service.auth.v3.CheckResponse`), read whole or
//! not at all.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use signet_proto::envoy::{
    config::core::v3::{HeaderValueOption, header_value_option::HeaderAppendAction},
    service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response},
};

use crate::headers::{X_FORWARDED_CLIENT_CERT, X_REQUEST_ID};

/// What a provider says of a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It may pass, changed like this.
    Permitted(Changes),
    /// It may not, and this is what its client is answered.
    Denied(Box<Response<Full<Bytes>>>),
}

/// What a provider changes of what it permits.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    request: Vec<Change>,
    removed: Vec<HeaderName>,
    response: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    how: How,
    name: HeaderName,
    value: HeaderValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Set,
    Append,
    AddIfAbsent,
    SetIfThere,
}

impl Verdict {
    /// Reads an answer.
    ///
    /// # Errors
    /// It says what cannot be carried out, so that it permits nothing.
    pub(super) fn read(response: CheckResponse) -> Result<Self, String> {
        // Without a status it says nothing of what may pass.
        let status = response.status.ok_or("its answer has no status")?;
        match (status.code, response.http_response) {
            (0, None) => Ok(Self::Permitted(Changes::default())),
            (0, Some(check_response::HttpResponse::OkResponse(ok))) => {
                Changes::read(ok).map(Self::Permitted)
            }
            (0, Some(check_response::HttpResponse::DeniedResponse(_))) => {
                Err("its answer both permits and denies".to_owned())
            }
            (_, Some(check_response::HttpResponse::DeniedResponse(denied))) => {
                answer(denied).map(|answer| Self::Denied(Box::new(answer)))
            }
            (_, Some(check_response::HttpResponse::OkResponse(_)) | None) => {
                answer(DeniedHttpResponse::default()).map(|it| Self::Denied(Box::new(it)))
            }
        }
    }
}

impl Changes {
    fn read(ok: OkHttpResponse) -> Result<Self, String> {
        if !ok.query_parameters_to_set.is_empty() || !ok.query_parameters_to_remove.is_empty() {
            return Err("its answer changes the query, which is not supported".to_owned());
        }
        let removed = ok.headers_to_remove.iter().map(|name| {
            let name = name_of(name)?;
            carried(name)
        });
        Ok(Self {
            removed: removed.collect::<Result<_, _>>()?,
            request: changes(ok.headers, How::Set)?,
            response: changes(ok.response_headers_to_add, How::Append)?,
        })
    }

    /// Changes the headers of a request.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.removed {
            headers.remove(name);
        }
        self.request.iter().for_each(|change| change.apply(headers));
    }

    /// Changes the headers of its response.
    pub(crate) fn apply_to_response(&self, headers: &mut HeaderMap) {
        self.response
            .iter()
            .for_each(|change| change.apply(headers));
    }

    /// Whether the response is changed.
    pub(crate) fn has_response(&self) -> bool {
        !self.response.is_empty()
    }
}

impl Change {
    fn apply(&self, headers: &mut HeaderMap) {
        let Self { how, name, value } = self;
        let there = headers.contains_key(name);
        match how {
            How::Append => {
                headers.append(name, value.clone());
            }
            How::AddIfAbsent if there => {}
            How::SetIfThere if !there => {}
            How::Set | How::AddIfAbsent | How::SetIfThere => {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// `usual` is what is meant where nothing is said: in this API request headers are overwritten.
fn changes(options: Vec<HeaderValueOption>, usual: How) -> Result<Vec<Change>, String> {
    if options.len() > MOST_HEADERS {
        return Err(format!("its answer has more than {MOST_HEADERS} headers"));
    }
    let change = |option| {
        let change = change(option, usual)?;
        Ok(Change {
            name: carried(change.name)?,
            ..change
        })
    };
    options.into_iter().map(change).collect()
}

fn change(option: HeaderValueOption, usual: How) -> Result<Change, String> {
    let how = match (option.append, option.append_action()) {
        (Some(true), _) => How::Append,
        (Some(false), _) => How::Set,
        (None, HeaderAppendAction::AppendIfExistsOrAdd) => usual,
        (None, HeaderAppendAction::AddIfAbsent) => How::AddIfAbsent,
        (None, HeaderAppendAction::OverwriteIfExistsOrAdd) => How::Set,
        (None, HeaderAppendAction::OverwriteIfExists) => How::SetIfThere,
    };
    let header = option
        .header
        .ok_or("its answer has a header without name")?;
    let name = name_of(&header.key)?;
    let bytes = match header.raw_value.is_empty() {
        true => header.value.into_bytes(),
        false => header.raw_value,
    };
    let value = HeaderValue::from_bytes(&bytes)
        .map_err(|_invalid| format!("the value it gives header {name} is not valid"))?;
    Ok(Change { how, name, value })
}

fn name_of(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_invalid| format!("its answer has the header {name:?}, which is no name"))
}

/// What is the proxy's own to say, a provider must not.
fn carried(name: HeaderName) -> Result<HeaderName, String> {
    match is_of_proxy(&name) {
        false => Ok(name),
        true => Err(format!(
            "its answer changes header {name}, which it may not"
        )),
    }
}

fn is_of_proxy(name: &HeaderName) -> bool {
    let framing = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
    ];
    framing.contains(name) || *name == X_FORWARDED_CLIENT_CERT || *name == X_REQUEST_ID
}

/// What the client of a denied request is answered: 403 if nothing else is said.
fn answer(denied: DeniedHttpResponse) -> Result<Response<Full<Bytes>>, String> {
    let code = denied.status.map_or(0, |status| status.code);
    let status = match u16::try_from(code).ok().map(StatusCode::from_u16) {
        Some(Ok(status)) if status.as_u16() >= 200 => status,
        Some(_) if code == 0 => StatusCode::FORBIDDEN,
        Some(_) | None => return Err(format!("its answer has the status {code}")),
    };
    if denied.headers.len() > MOST_HEADERS {
        return Err(format!("its answer has more than {MOST_HEADERS} headers"));
    }
    let mut response = Response::new(Full::from(denied.body));
    *response.status_mut() = status;
    for option in denied.headers {
        let change = change(option, How::Set)?;
        // The answer is framed here.
        if !is_of_proxy(&change.name) {
            change.apply(response.headers_mut());
        }
    }
    Ok(response)
}

const MOST_HEADERS: usize = 100;

#[cfg(test)]
mod tests {
    use signet_proto::{
        envoy::{
            config::core::v3::{HeaderValue as Value, QueryParameter},
            r#type::v3::HttpStatus,
        },
        google::rpc::Status,
    };

    use super::*;

    fn response(code: i32, http: Option<check_response::HttpResponse>) -> CheckResponse {
        CheckResponse {
            status: Some(Status {
                code,
                ..Status::default()
            }),
            http_response: http,
        }
    }

    fn option(name: &str, value: &str, append: Option<bool>, action: i32) -> HeaderValueOption {
        HeaderValueOption {
            header: Some(Value {
                key: name.to_owned(),
                value: value.to_owned(),
                raw_value: Vec::new(),
            }),
            append,
            append_action: action,
            keep_empty_value: false,
        }
    }

    fn permitted(ok: OkHttpResponse) -> Result<Changes, String> {
        let ok = check_response::HttpResponse::OkResponse(ok);
        match Verdict::read(response(0, Some(ok)))? {
            Verdict::Permitted(changes) => Ok(changes),
            Verdict::Denied(denied) => panic!("{denied:?}"),
        }
    }

    fn denied(code: i32, denied: DeniedHttpResponse) -> Result<StatusCode, String> {
        let denied = check_response::HttpResponse::DeniedResponse(denied);
        match Verdict::read(response(code, Some(denied)))? {
            Verdict::Permitted(changes) => panic!("{changes:?}"),
            Verdict::Denied(denied) => Ok(denied.status()),
        }
    }

    #[test]
    fn headers_are_set_appended_and_removed() {
        let changes = permitted(OkHttpResponse {
            headers: vec![
                option("x-set", "new", None, 0),
                option("x-more", "2", Some(true), 0),
                option("x-absent", "new", None, 1),
                option("x-there", "new", None, 3),
                option("x-not-there", "new", None, 3),
            ],
            headers_to_remove: vec!["x-secret".to_owned()],
            ..OkHttpResponse::default()
        });
        let mut headers = HeaderMap::new();
        for name in ["x-set", "x-more", "x-absent", "x-there", "x-secret"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        changes.unwrap().apply(&mut headers);
        let told: Vec<String> = [
            "x-set",
            "x-more",
            "x-absent",
            "x-there",
            "x-not-there",
            "x-secret",
        ]
        .map(|name| {
            let values = headers.get_all(name).iter();
            let values: Vec<&str> = values.map(|value| value.to_str().unwrap()).collect();
            format!("{name}={}", values.join(","))
        })
        .into();
        assert_eq!(
            told.join(" "),
            "x-set=new x-more=1,2 x-absent=1 x-there=new x-not-there= x-secret="
        );
    }

    #[test]
    fn what_cannot_be_carried_out_permits_nothing() {
        for name in [
            "host",
            "content-length",
            "x-forwarded-client-cert",
            ":path",
            "a b",
        ] {
            let headers = vec![option(name, "1", None, 0)];
            let headers_to_remove = vec![name.to_owned()];
            let set = OkHttpResponse {
                headers,
                ..OkHttpResponse::default()
            };
            let removed = OkHttpResponse {
                headers_to_remove,
                ..OkHttpResponse::default()
            };
            assert!(permitted(set).is_err(), "{name}");
            assert!(permitted(removed).is_err(), "{name}");
        }
        let value = vec![option("x", "a\nb", None, 0)];
        let many = vec![option("x", "1", None, 0); MOST_HEADERS + 1];
        for headers in [value, many] {
            let ok = OkHttpResponse {
                headers,
                ..OkHttpResponse::default()
            };
            assert!(permitted(ok).is_err());
        }
        let query = OkHttpResponse {
            query_parameters_to_set: vec![QueryParameter::default()],
            ..OkHttpResponse::default()
        };
        assert!(permitted(query).is_err());
        assert!(
            Verdict::read(CheckResponse::default()).is_err(),
            "no status"
        );
        assert!(denied(0, DeniedHttpResponse::default()).is_err(), "both");
    }

    #[test]
    fn a_denial_is_403_unless_it_says_otherwise() {
        let with = |code| DeniedHttpResponse {
            status: Some(HttpStatus { code }),
            ..DeniedHttpResponse::default()
        };
        assert_eq!(denied(7, DeniedHttpResponse::default()).unwrap(), 403);
        assert_eq!(denied(7, with(0)).unwrap(), 403);
        assert_eq!(denied(16, with(302)).unwrap(), 302);
        for wrong in [1, 101, 1000, -1] {
            assert!(denied(7, with(wrong)).is_err(), "{wrong}");
        }
        let bare = Verdict::read(response(7, None)).unwrap();
        assert!(matches!(bare, Verdict::Denied(answer) if answer.status() == 403));
    }
}
