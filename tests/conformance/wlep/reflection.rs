//! What the endpoint says of itself, against the standard's own tables.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, field_descriptor_proto::Type,
};
use tokio_stream::StreamExt as _;
use tonic::{Code, transport::Channel};
use tonic_reflection::pb::{v1, v1alpha};

use super::raw::{RPCS, TRUE, call, open};
use crate::wlapi::{
    soon,
    world::{Registered, code},
};

/// The messages of the standard's file: name, number and type of each field.
const MESSAGES: &str = "\
JWTBundlesRequest
JWTBundlesResponse bundles=1:map<string,bytes>
JWTSVID hint=3:string spiffe_id=1:string svid=2:string
JWTSVIDRequest audience=1:repeated,string spiffe_id=2:string
JWTSVIDResponse svids=1:repeated,JWTSVID
ValidateJWTSVIDRequest audience=1:string svid=2:string
ValidateJWTSVIDResponse claims=2:google.protobuf.Struct spiffe_id=1:string
WITBundlesRequest
WITBundlesResponse bundles=1:map<string,string>
WITSVID hint=4:string spiffe_id=1:string wit_svid=2:string wit_svid_key=3:string
WITSVIDRequest spiffe_id=1:string
WITSVIDResponse svids=1:repeated,WITSVID
X509BundlesRequest
X509BundlesResponse bundles=2:map<string,bytes> crl=1:repeated,bytes
X509SVID bundle=4:bytes hint=5:string spiffe_id=1:string x509_svid=2:bytes x509_svid_key=3:bytes
X509SVIDRequest
X509SVIDResponse crl=2:repeated,bytes federated_bundles=3:map<string,bytes> svids=1:repeated,X509SVID
";

const SERVICES: [&str; 3] = [
    "SpiffeWorkloadAPI",
    "grpc.health.v1.Health",
    "grpc.reflection.",
];

#[tokio::test(flavor = "multi_thread")]
async fn wlep_29_30_31_reflection_lists_the_workload_api_with_exactly_the_standards_calls() {
    let shared = Registered::shared();
    let services = list(shared.world.channel()).await;
    assert!(
        services.iter().any(|name| name == "SpiffeWorkloadAPI"),
        "{services:?}"
    );
    for name in &services {
        let known = SERVICES.iter().any(|known| name.starts_with(known));
        assert!(known, "an unexpected service: {name}");
    }
    assert_eq!(
        list_alpha(shared.world.channel()).await.len(),
        services.len()
    );
    let file = file_of(shared.world.channel(), "SpiffeWorkloadAPI").await;
    let service = file.service.first().unwrap();
    let methods: Vec<&str> = service.method.iter().map(|method| method.name()).collect();
    let (methods, standard) = (BTreeSet::from_iter(methods), BTreeSet::from(RPCS));
    assert_eq!(methods, standard);
    for method in &service.method {
        let unary = ["FetchJWTSVID", "ValidateJWTSVID"].contains(&method.name());
        assert_eq!(method.server_streaming(), !unary, "{}", method.name());
        assert!(!method.client_streaming(), "{}", method.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_04_05_the_messages_are_the_standards_field_by_field_and_the_service_has_no_package()
{
    let shared = Registered::shared();
    let file = file_of(shared.world.channel(), "SpiffeWorkloadAPI").await;
    assert_eq!(file.package(), "");
    assert!(file.enum_type.is_empty() && file.extension.is_empty());
    let mut lines: Vec<String> = file.message_type.iter().map(describe).collect();
    lines.sort();
    assert_eq!(lines.join("\n") + "\n", MESSAGES);
    // What is on the wire has these fields and no others.
    let raw = call(shared.world.channel(), "FetchX509SVID", TRUE, &[])
        .await
        .unwrap();
    let known = signet_proto::workload::X509SvidResponse::decode(raw.as_slice()).unwrap();
    assert_eq!(known.encoded_len(), raw.len());
    for path in [
        "/spiffe.workload.SpiffeWorkloadAPI/FetchX509SVID",
        "/WorkloadAPI/FetchX509SVID",
        "/SpiffeWorkloadApi/FetchX509SVID",
        "/spiffeworkloadapi/fetchx509svid",
    ] {
        let answer = open(shared.world.channel(), path, TRUE, &[]).await;
        assert_eq!(code(&answer), Code::Unimplemented, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wlep_28_an_unknown_call_is_unimplemented() {
    let shared = Registered::shared();
    for rpc in ["NoSuch", "FetchX509SVIDs", "fetchX509SVID", ""] {
        let answer = call(shared.world.channel(), rpc, TRUE, &[]).await;
        assert_eq!(code(&answer), Code::Unimplemented, "{rpc:?}");
    }
    let known = call(shared.world.channel(), "FetchX509SVID", TRUE, &[]).await;
    assert_eq!(code(&known), Code::Ok);
}

/// What a version of reflection answers: the two are alike but for their types.
macro_rules! ask {
    ($version:ident, $channel:expr, $message:ident($asked:expr) => $answer:ident) => {{
        use $version::{
            server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let request = $version::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::$message($asked)),
        };
        let mut client = ServerReflectionClient::new($channel);
        let answer = client
            .server_reflection_info(tokio_stream::once(request))
            .await;
        let answer = soon(answer.unwrap().into_inner().next())
            .await
            .unwrap()
            .unwrap();
        let Some(MessageResponse::$answer(answer)) = answer.message_response else {
            panic!("{answer:?}");
        };
        answer
    }};
}

async fn list(channel: Channel) -> Vec<String> {
    let list = ask!(v1, channel, ListServices(String::new()) => ListServicesResponse);
    let services = list.service.into_iter();
    services.map(|service| service.name).collect()
}

async fn list_alpha(channel: Channel) -> Vec<String> {
    let list = ask!(v1alpha, channel, ListServices(String::new()) => ListServicesResponse);
    let services = list.service.into_iter();
    services.map(|service| service.name).collect()
}

async fn file_of(channel: Channel, symbol: &str) -> FileDescriptorProto {
    let symbol = symbol.to_owned();
    let files = ask!(v1, channel, FileContainingSymbol(symbol) => FileDescriptorResponse);
    FileDescriptorProto::decode(files.file_descriptor_proto[0].as_slice()).unwrap()
}

fn describe(message: &DescriptorProto) -> String {
    let mut fields: Vec<String> = message
        .field
        .iter()
        .map(|field| {
            format!(
                " {}={}:{}",
                field.name(),
                field.number(),
                kind(message, field)
            )
        })
        .collect();
    fields.sort();
    format!("{}{}", message.name(), fields.concat())
}

fn kind(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let entry = message.nested_type.iter().find(|nested| {
        let map = nested
            .options
            .as_ref()
            .is_some_and(|options| options.map_entry());
        map && field.type_name().ends_with(&format!(".{}", nested.name()))
    });
    if let Some(entry) = entry {
        let of = |number: usize| scalar(&entry.field[number]);
        return format!("map<{},{}>", of(0), of(1));
    }
    let repeated = if field.label() == prost_types::field_descriptor_proto::Label::Repeated {
        "repeated,"
    } else {
        ""
    };
    format!("{repeated}{}", scalar(field))
}

fn scalar(field: &FieldDescriptorProto) -> String {
    let kind = field.r#type();
    if kind == Type::Message {
        return field.type_name().trim_start_matches('.').to_owned();
    }
    format!("{kind:?}").to_lowercase()
}
