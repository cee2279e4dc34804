//! A broker in your own program: `cargo run --example embed -p mqtt-server`.

use mqtt_server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().listen("tcp://127.0.0.1:1883").bind().await?;
    println!("listening on {:?}", server.local_addrs()?);

    let report = server
        .run_until(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    println!("{report:?}");
    Ok(())
}
