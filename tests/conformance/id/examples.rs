//! IDs that every reader takes, and texts that none does (SPIFFE-ID §2).

pub(crate) fn valid() -> Vec<String> {
    let mut ids: Vec<String> = VALID.split_whitespace().map(str::to_owned).collect();
    let longest_name = "a".repeat(255);
    ids.push(format!("spiffe://{longest_name}"));
    ids.push(format!("spiffe://{longest_name}/x"));
    ids.push(format!("spiffe://example.org/{}", "a".repeat(2027)));
    ids.push(format!("spiffe://example.org{}", "/a".repeat(1014)));
    ids
}

pub(crate) fn invalid() -> Vec<String> {
    INVALID.iter().map(|text| (*text).to_owned()).collect()
}

/// Of one ID two spellings or of a length that others take: refused here, and everywhere alike.
pub(crate) fn refused_by_choice() -> Vec<String> {
    vec![
        "Spiffe://example.org/x".to_owned(),
        "SPIFFE://example.org/x".to_owned(),
        "spiffe://EXAMPLE.org/x".to_owned(),
        "spiffe://Example.Org/x".to_owned(),
        format!("spiffe://example.org/{}", "a".repeat(2028)),
        format!("spiffe://{}/x", "a".repeat(256)),
    ]
}

const VALID: &str = "
    spiffe://example.org
    spiffe://example.org/workload
    spiffe://staging.example.com/payments/mysql
    spiffe://k8s-west.example.com/ns/staging/sa/default
    spiffe://example.com/9eebccd2-12bf-40a6-b262-65fe0487d453
    spiffe://trust_domain_name.example.com/x
    spiffe://1.2.3.4/service
    spiffe://a
    spiffe://0/0
    spiffe://example.org/UPPER/lower/MiXeD
    spiffe://example.org/.hidden
    spiffe://example.org/..hidden
    spiffe://example.org/...
    spiffe://example.org/a.
    spiffe://example.org/a..b
    spiffe://example.org/-
    spiffe://example.org/_
    spiffe://example.org/a-b_c.d
    spiffe://example..org/x
    spiffe://.example.org/x
    spiffe://example.org./x
    spiffe://-example.org/x
    spiffe://_/x
    spiffe://./x
    spiffe://../x
    spiffe://999.999.999.999/x
    spiffe://xn--bcher-kva.example/x
    spiffe://localhost/x
";

const INVALID: &[&str] = &[
    "",
    "s",
    "spiffe",
    "spiffe:",
    "spiffe:/",
    "spiffe://",
    "spiffe:///",
    "spiffe:///path",
    "spiffe:/example.org/x",
    "spiffe:example.org/x",
    "example.org/x",
    "//example.org/x",
    "http://example.org/x",
    "https://example.org/x",
    "spiffes://example.org/x",
    "xspiffe://example.org/x",
    " spiffe://example.org/x",
    "spiffe://example.org/x ",
    "spiffe://example.org/x\n",
    "\tspiffe://example.org/x",
    "spiffe://example.org/",
    "spiffe://example.org//",
    "spiffe://example.org//x",
    "spiffe://example.org/x/",
    "spiffe://example.org/x//y",
    "spiffe://example.org/x//",
    "spiffe://example.org/.",
    "spiffe://example.org/..",
    "spiffe://example.org/./x",
    "spiffe://example.org/../x",
    "spiffe://example.org/x/.",
    "spiffe://example.org/x/..",
    "spiffe://example.org/x/./y",
    "spiffe://example.org/x/../y",
    "spiffe://example.org/%61",
    "spiffe://example.org/a%2Fb",
    "spiffe://example.org/%2e%2e",
    "spiffe://example.org/%",
    "spiffe://ex%61mple.org/x",
    "spiffe://%F0%9F%A4%AF/x",
    "spiffe://example.org?q=1",
    "spiffe://example.org/x?q=1",
    "spiffe://example.org/x?",
    "spiffe://example.org#f",
    "spiffe://example.org/x#f",
    "spiffe://example.org/x#",
    "spiffe://example.org:80",
    "spiffe://example.org:80/x",
    "spiffe://example.org:/x",
    "spiffe://user@example.org/x",
    "spiffe://user:pw@example.org/x",
    "spiffe://@example.org/x",
    "spiffe://[::1]/x",
    "spiffe://[2001:db8::1]/x",
    "spiffe://[v1.a]/x",
    "spiffe://exa mple.org/x",
    "spiffe://example.org/a b",
    "spiffe://example.org/a+b",
    "spiffe://example.org/a~b",
    "spiffe://example.org/a:b",
    "spiffe://example.org/a@b",
    "spiffe://example.org/a=b",
    "spiffe://example.org/a,b",
    "spiffe://example.org/a;b",
    "spiffe://example.org/a*",
    "spiffe://example.org/a!",
    "spiffe://example.org/a$",
    "spiffe://example.org/a&b",
    "spiffe://example.org/a'b",
    "spiffe://example.org/(a)",
    "spiffe://example.org/[a]",
    "spiffe://example.org/{a}",
    "spiffe://example.org/a|b",
    "spiffe://example.org/a\\b",
    "spiffe://example.org\\x",
    "spiffe://exam~ple.org/x",
    "spiffe://exam!ple.org/x",
    "spiffe://exam*ple.org/x",
    "spiffe://b\u{fc}cher.example/x",
    "spiffe://example.org/\u{fc}",
    "spiffe://example.org/\0",
    "spiffe://example.org/x\0",
    "spiffe://example.org\0/x",
    "spiffe://exampl\u{435}.org/x",
    "spiffe://example.org/\u{ff0e}\u{ff0e}",
    "spiffe://example.org\u{3002}com/x",
    "spiffe://example.org/a\u{200b}",
    "spiffe://example.org/a\u{ad}",
    "spiffe://,/x",
    "spiffe://example.org,other.org/x",
];
