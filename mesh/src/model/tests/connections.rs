//! What connections call of which only bytes are known.

use super::*;

fn at(name: &str, rest: &str, port: &str) -> String {
    let spec = format!(
        "{{ hosts: [{name}.test], resolution: STATIC, {rest} ports: [{{ {port}, name: a }}], \
         endpoints: [{{ address: 10.0.0.1 }}] }}"
    );
    document("ServiceEntry", name, &spec)
}

/// Where a connection to 10.1.1.1 goes: cluster and route, or why nowhere.
fn goes(text: &str, port: u16, server_name: Option<&str>) -> String {
    let model = parse(text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let workload = Workload {
        namespace: "shop".to_owned(),
        labels: BTreeMap::new(),
    };
    let model = model.for_workload(&workload, "root");
    let call = Connecting {
        address: [10, 1, 1, 1].into(),
        port,
        server_name,
    };
    match model.of_connection(&call, 0) {
        Ok(Connected {
            virtual_service,
            called,
        }) => {
            let route = virtual_service.map(|object| object.name.to_string());
            format!("{} {}", called.name(), route.unwrap_or_default())
        }
        Err(why) => why.to_string(),
    }
}

const VIP: &str = "addresses: [10.1.1.1],";

#[test]
fn an_address_says_which_service_is_meant_and_a_route_of_tcp_where_that_is() {
    let text = at("db", VIP, "number: 5432, protocol: TCP")
        + &at("other", "", "number: 5432, protocol: TCP");
    assert_eq!(goes(&text, 5432, None), "outbound|5432||db.test ");
    let nothing = "nothing of the connection says which service of the mesh is meant at 10.1.1.1 \
                   port 80";
    assert_eq!(goes(&text, 80, None), nothing);
    let spec = "{ hosts: [db.test], tcp: [{ match: [{ port: 5432 }], route: [{ destination: \
                { host: other.test } }] }] }";
    let text = text + &document("VirtualService", "r", spec);
    assert_eq!(goes(&text, 5432, None), "outbound|5432||other.test shop/r");
}

#[test]
fn a_name_says_which_server_is_meant_and_another_is_not_taken_for_it() {
    let text =
        at("web", "", "number: 443, protocol: TLS") + &at("vip", VIP, "number: 443, protocol: TLS");
    assert_eq!(
        goes(&text, 443, Some("WEB.test")),
        "outbound|443||web.test "
    );
    assert_eq!(
        goes(&text, 443, Some("vip.test")),
        "outbound|443||vip.test "
    );
    assert_eq!(goes(&text, 443, None), "outbound|443||vip.test ");
    let nobody = "no service of the mesh has the host nobody.test";
    assert_eq!(goes(&text, 443, Some("nobody.test")), nobody);
    assert_eq!(goes(&text, 444, Some("nobody.test")), nobody);
    let spec = "{ hosts: [nobody.test], tls: [{ match: [{ sniHosts: [nobody.test] }], \
                route: [{ destination: { host: web.test } }] }] }";
    let text = text + &document("VirtualService", "r", spec);
    assert_eq!(
        goes(&text, 443, Some("nobody.test")),
        "outbound|443||web.test shop/r"
    );
}

#[test]
fn bytes_do_not_go_where_requests_are_to_be_seen() {
    let http = "port 80 of service web.test is spoken HTTP on, which the connection is not";
    let text = at("web", VIP, "number: 80, protocol: HTTP");
    assert_eq!(goes(&text, 80, None), http);
    let spec = "{ hosts: [db.test], tcp: [{ route: [{ destination: { host: web.test } }] }] }";
    let text = at("web", "", "number: 80, protocol: HTTP")
        + &at("db", VIP, "number: 5432, protocol: TCP")
        + &document("VirtualService", "r", spec);
    assert_eq!(goes(&text, 5432, None), http);
}

#[test]
fn what_is_spoken_at_an_address_is_what_its_service_says() {
    let model = parse(&at("web", VIP, "number: 443, protocol: TLS")).unwrap();
    let workload = Workload {
        namespace: "shop".to_owned(),
        labels: BTreeMap::new(),
    };
    let model = model.for_workload(&workload, "root");
    let spoken = |port| model.spoken_at([10, 1, 1, 1].into(), port);
    assert_eq!(spoken(443), Some(crate::Protocol::Tls));
    assert_eq!(spoken(80), None);
}

#[test]
fn what_no_document_names_is_told_from_what_cannot_be_called_as_one_says() {
    let text = at("web", VIP, "number: 80, protocol: HTTP")
        + &at("one", VIP, "number: 443, protocol: TLS")
        + &at("two", VIP, "number: 443, protocol: TLS");
    let model = parse(&text).unwrap();
    let workload = Workload {
        namespace: "shop".to_owned(),
        labels: BTreeMap::new(),
    };
    let model = model.for_workload(&workload, "root");
    let call = |address: [u8; 4], port| Connecting {
        address: address.into(),
        port,
        server_name: None,
    };
    let unknown = |address, port| {
        let why = model.of_connection(&call(address, port), 0).unwrap_err();
        (why.is_unknown(), model.names(address.into(), port))
    };
    assert_eq!(unknown([10, 9, 9, 9], 80), (true, false));
    assert_eq!(unknown([10, 1, 1, 1], 80), (false, true));
    // It is not said which of the two, and yet they are known.
    assert_eq!(unknown([10, 1, 1, 1], 443), (true, true));
}
