//! Many connections of one address, which do not keep out those of another.

use std::net::Ipv4Addr;

use tokio::net::TcpSocket;

use super::*;

#[tokio::test]
async fn silent_connections_of_one_address_do_not_keep_another_out() {
    let server = Running::start().await;
    let mut silent = Vec::new();
    // As many as there are handshakes at a time.
    for _ in 0..256 {
        let socket = TcpSocket::new_v4().unwrap();
        let crowd = Ipv4Addr::new(127, 0, 0, 2);
        socket.bind(SocketAddr::from((crowd, 0))).unwrap();
        silent.push(socket.connect(server.address).await.unwrap());
    }
    let mut client = BundleClient::new(server.remote(None).await);
    let asked = client.get_bundle(GetBundleRequest::default());
    // Sooner than any of the handshakes is given up.
    timeout(Duration::from_secs(8), asked)
        .await
        .expect("the others keep it out")
        .unwrap();
    server.stop().await;
}
