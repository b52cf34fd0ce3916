//! The compiled descriptors against the tables of names, numbers and types: a wrong
//! number, a missing field or a stray one cannot stay.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of a test"
)]

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

#[test]
fn spire_apis_are_what_the_table_says() {
    assert_same("spire/", include_str!("tables/spire.txt"));
}

#[test]
fn spiffe_apis_are_what_the_table_says() {
    assert_same("spiffe/", include_str!("tables/spiffe.txt"));
}

#[test]
fn the_trace_service_of_otlp_is_what_the_table_says() {
    assert_same("opentelemetry/", include_str!("tables/opentelemetry.txt"));
}

#[test]
fn the_external_authorization_of_envoy_is_what_the_table_says() {
    assert_same("envoy/", include_str!("tables/envoy.txt"));
}

/// Both sides become a set of full lines, so that a difference reads as itself.
fn assert_same(kind: &str, table: &str) {
    let expected = lines_of_table(table);
    let compiled = FileDescriptorSet::decode(signet_proto::DESCRIPTORS).expect("descriptors");
    let mut actual = BTreeSet::new();
    for file in &compiled.file {
        if file.name().starts_with(kind) {
            describe_file(file, &mut actual);
        }
    }
    let missing: Vec<_> = expected.difference(&actual).collect();
    let stray: Vec<_> = actual.difference(&expected).collect();
    assert!(
        missing.is_empty() && stray.is_empty(),
        "missing: {missing:#?}\nstray: {stray:#?}"
    );
    assert!(expected.len() > 50, "the table was not read");
}

fn lines_of_table(table: &str) -> BTreeSet<String> {
    let (mut package, mut owner) = (String::new(), String::new());
    let mut lines = BTreeSet::new();
    for line in table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(name) = line.strip_prefix("package ") {
            package = if name == "-" {
                String::new()
            } else {
                format!("{name}.")
            };
        } else if let Some(row) = line.strip_prefix("  ") {
            lines.insert(format!("{owner}: {row}"));
        } else {
            let (kind, name) = line.split_once(' ').expect("kind and name");
            owner = format!("{kind} {package}{name}");
            lines.insert(owner.clone());
        }
    }
    lines
}

fn describe_file(file: &FileDescriptorProto, lines: &mut BTreeSet<String>) {
    let package = match file.package() {
        "" => String::new(),
        name => format!("{name}."),
    };
    for service in &file.service {
        describe_service(&package, service, lines);
    }
    for message in &file.message_type {
        describe_message(&package, message, lines);
    }
    for kind in &file.enum_type {
        describe_enum(&package, kind, lines);
    }
}

fn describe_service(package: &str, service: &ServiceDescriptorProto, lines: &mut BTreeSet<String>) {
    let owner = format!("service {package}{}", service.name());
    for rpc in &service.method {
        let side = |streaming: bool, kind: &str| {
            format!(
                "{}{}",
                if streaming { "stream " } else { "" },
                kind.trim_start_matches('.')
            )
        };
        let input = side(rpc.client_streaming(), rpc.input_type());
        let output = side(rpc.server_streaming(), rpc.output_type());
        lines.insert(format!("{owner}: rpc {} {input} -> {output}", rpc.name()));
    }
    lines.insert(owner);
}

fn describe_message(scope: &str, message: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let name = format!("{scope}{}", message.name());
    for field in &message.field {
        lines.insert(format!(
            "message {name}: {}",
            describe_field(message, field)
        ));
    }
    let inner = format!("{name}.");
    for nested in &message.nested_type {
        if !nested
            .options
            .as_ref()
            .is_some_and(prost_types::MessageOptions::map_entry)
        {
            describe_message(&inner, nested, lines);
        }
    }
    for kind in &message.enum_type {
        describe_enum(&inner, kind, lines);
    }
    lines.insert(format!("message {name}"));
}

fn describe_enum(scope: &str, kind: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    let owner = format!("enum {scope}{}", kind.name());
    for value in &kind.value {
        lines.insert(format!("{owner}: {} {}", value.number(), value.name()));
    }
    lines.insert(owner);
}

fn describe_field(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let map = message
        .nested_type
        .iter()
        .filter(|nested| {
            nested
                .options
                .as_ref()
                .is_some_and(prost_types::MessageOptions::map_entry)
        })
        .find(|nested| field.type_name().ends_with(&format!(".{}", nested.name())));
    let kind = match map {
        Some(entry) => {
            let (key, value) = (scalar(&entry.field[0]), scalar(&entry.field[1]));
            format!("map<{key}, {value}>")
        }
        None if field.label() == Label::Repeated => format!("repeated {}", scalar(field)),
        None if field.proto3_optional() => format!("optional {}", scalar(field)),
        None => scalar(field),
    };
    let index = field
        .oneof_index
        .and_then(|index| usize::try_from(index).ok());
    let oneof = match index.filter(|_| !field.proto3_optional()) {
        Some(index) => format!(" oneof={}", message.oneof_decl[index].name()),
        None => String::new(),
    };
    format!("{} {} {kind}{oneof}", field.number(), field.name())
}

fn scalar(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::Bool => "bool".into(),
        Type::Bytes => "bytes".into(),
        Type::Double => "double".into(),
        Type::Fixed32 => "fixed32".into(),
        Type::Fixed64 => "fixed64".into(),
        Type::Int32 => "int32".into(),
        Type::Int64 => "int64".into(),
        Type::Uint32 => "uint32".into(),
        Type::Uint64 => "uint64".into(),
        Type::String => "string".into(),
        Type::Message | Type::Enum => field.type_name().trim_start_matches('.').into(),
        other => panic!("the tables know no {other:?}"),
    }
}
