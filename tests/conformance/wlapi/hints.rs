//! Hints: what an operator writes arrives as it is, up to a length.

use super::{
    until,
    world::{World, first},
};

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_51_53_a_hint_is_any_text_of_up_to_1024_bytes_and_arrives_verbatim() {
    let world = World::new();
    let longest = "é".repeat(512);
    assert_eq!(longest.len(), 1024);
    let hints = [
        longest.as_str(),
        "with blanks and\ttab",
        "\u{1f511} ключ 鍵",
        "%2e%2e/..\\\"quoted\"",
        "internal",
        "Internal",
    ];
    for (number, hint) in hints.iter().enumerate() {
        world.mine(&format!("/w{number}"), &["--hint", hint]);
    }
    let found = until(async || {
        let message = first(world.client()).await.ok()?;
        (message.svids.len() == hints.len()).then_some(message)
    })
    .await;
    for (number, hint) in hints.iter().enumerate() {
        let id = format!("spiffe://example.org/w{number}");
        let svid = found
            .svids
            .iter()
            .find(|svid| svid.spiffe_id == id)
            .unwrap();
        assert_eq!(svid.hint, *hint);
    }
    // One byte more is refused where the entry is made.
    let too_long = format!("{longest}x");
    let refused = world.server.run(&[
        "entry",
        "create",
        "--parent-id",
        &world.agent.id,
        "--spiffe-id",
        "spiffe://example.org/long",
        "--selector",
        "unix:uid:0",
        "--hint",
        &too_long,
    ]);
    let refused = refused.refused();
    assert!(
        refused.contains("InvalidArgument") || refused.contains("1024"),
        "{refused}"
    );
}
