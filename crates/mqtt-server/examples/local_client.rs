//! Talk to a broker from inside its own process, without a socket:
//! `cargo run --example local_client -p mqtt-server`.

use mqtt_packet::QoS;
use mqtt_server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().listen("tcp://127.0.0.1:0").bind().await?;
    let handle = server.handle();

    let report = server
        .run_until(async {
            if let Err(error) = talk(&handle).await {
                eprintln!("{error}");
            }
        })
        .await;
    println!("{} messages went through", report.totals.traffic.published);
    Ok(())
}

async fn talk(handle: &mqtt_server::ServerHandle) -> Result<(), mqtt_server::LocalError> {
    // Retained: whoever subscribes later gets it as well.
    let sensor = handle.local_client("sensor")?;
    sensor.publish("room/temperature", b"21.5", QoS::AtLeastOnce, true)?;

    let mut display = handle.local_client("display")?;
    display.subscribe("room/+", QoS::AtLeastOnce)?;
    sensor.publish("room/humidity", b"40", QoS::AtLeastOnce, false)?;
    for _ in 0..2 {
        if let Some(message) = display.next().await {
            println!("{} = {}", message.topic(), String::from_utf8_lossy(&message.payload()));
        }
    }
    Ok(())
}
