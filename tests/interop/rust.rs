//! The client of the crates `spiffe` and `spiffe-rustls`.

use std::sync::OnceLock;

use crate::{
    client::{Client, Held, Told, Withdrawal},
    testbed::signet,
};

pub(crate) fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        // Built with the product: it is of the same workspace.
        let program = signet().with_file_name("signet-interop");
        Client {
            name: "rust",
            command: vec![program.clone().into()],
            executable: program,
            // A permission error of the followed RPC withdraws the material of `X509Source` and
            // `JwtSource`, and says so, until a valid answer brings it back.
            withdrawal: Withdrawal {
                told: Told::AnError,
                held: Held::Withdrawn,
            },
        }
    })
}
