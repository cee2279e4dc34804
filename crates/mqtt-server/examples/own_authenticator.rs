//! Decide yourself who a client is: `cargo run --example own_authenticator -p mqtt-server`.
//!
//! Devices log in with a serial number and its checksum; everybody else is sent away.

use async_trait::async_trait;
use mqtt_auth::{Authenticator, Identity, Login, Refusal, Verdict};
use mqtt_packet::{Connect, ConnectProperties, Version};
use mqtt_server::{Server, ServerHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Knows devices by their serial numbers.
struct SerialNumbers;

#[async_trait]
impl Authenticator for SerialNumbers {
    async fn authenticate(&self, login: Login<'_>) -> Verdict {
        // An authenticator may wait here, for a database or a web service. One that cannot get an
        // answer says `Refusal::Unavailable`.
        let (Some(serial), Some(password)) = (login.user_name, login.password) else {
            return Verdict::Pass;
        };
        if password == checksum(serial).to_string().as_bytes() {
            println!("{serial} is let in as {:?}", login.client_id);
            Verdict::Allow(Identity::user(serial))
        } else {
            println!("{serial} is refused");
            Verdict::Deny(Refusal::BadCredentials)
        }
    }
}

fn checksum(serial: &str) -> u32 {
    serial.bytes().map(u32::from).sum()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server =
        Server::builder().listen("tcp://127.0.0.1:0").authenticator(SerialNumbers).bind().await?;
    let handle = server.handle();
    let visits = async {
        for password in [checksum("A-1234").to_string(), "guessed".to_owned()] {
            match visit(&handle, &password).await {
                Ok(code) => println!("the broker answers with return code {code}"),
                Err(error) => eprintln!("{error}"),
            }
        }
    };
    server.run_until(visits).await;
    Ok(())
}

/// Connects over a transport in memory, and says what CONNACK said.
async fn visit(
    handle: &ServerHandle,
    password: &str,
) -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    let connect = Connect {
        version: Version::V311,
        clean_start: true,
        keep_alive_secs: 0,
        client_id: "device",
        will: None,
        user_name: Some("A-1234"),
        password: Some(password.as_bytes()),
        properties: ConnectProperties::default(),
    };
    let mut packet = bytes::BytesMut::new();
    connect.encode(&mut packet)?;

    let (mut ours, theirs) = tokio::io::duplex(1024);
    let dialogue = async {
        ours.write_all(&packet).await?;
        let mut connack = [0; 4];
        ours.read_exact(&mut connack).await?;
        drop(ours);
        let [_, _, _, code] = connack;
        Ok(code)
    };
    let (_, code) = tokio::join!(handle.serve(theirs, "in memory"), dialogue);
    code
}
